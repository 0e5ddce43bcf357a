//! The parts of the load that use the safe front.

use core::cell::Cell;
use core::error::Error;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};

use ringbolt::jobs::{OwnedJobs, Received, SafeRing};
use ringbolt::ops::{Group, Multi, Op, Read, Recv, Send, Write};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::pipe::{PipeFlags, pipe_with};

use super::{Load, byte_at, mix};
use crate::common::TempDir;

type Outcome<R> = Result<R, Box<dyn Error>>;

const BLOCK: usize = 4096;

/// A block of a file that is written and read back, again and again.
struct Block {
    file: File,
    number: u64,
    version: u64,
    is_written: bool,
    bytes: Vec<u8>,
}

impl Block {
    /// What stands in the block in this version.
    fn content(&self) -> impl Iterator<Item = u8> {
        let words = mix(self.number ^ (self.version << 32))..;
        words.take(BLOCK / 8).flat_map(|word| mix(word).to_ne_bytes())
    }

    fn op(&mut self) -> Op<'_> {
        let offset = self.number * BLOCK as u64;
        if self.is_written {
            Read::lent(&self.file, &mut self.bytes).offset(offset).op()
        } else {
            Write::lent(&self.file, &self.bytes).offset(offset).op()
        }
    }
}

/// Blocks of a file: written, read and compared, 32 at a time.
pub(crate) fn files(load: Load) -> u64 {
    blocks(&load).expect("no error")
}

fn blocks(load: &Load) -> Outcome<u64> {
    let folder = TempDir::new();
    let path = folder.file("blocks", b"");
    let mut jobs: OwnedJobs<Block> = SafeRing::new(32)?.into_jobs(32);
    for number in 0..32 {
        let file = File::options().read(true).write(true).open(&path)?;
        let mut block = Block { file, number, version: 0, is_written: false, bytes: Vec::new() };
        block.bytes = block.content().collect();
        jobs.start(block, Block::op)?;
    }
    let mut done = 0;
    while let Some(event) = jobs.wait_next()? {
        assert_eq!(event.result(), Ok(u32::try_from(BLOCK)?));
        done += 1;
        let mut job = event.expect_done();
        if job.is_written {
            assert!(job.content().eq(job.bytes.iter().copied()), "block {}", job.number);
            job.version += 1;
            job.bytes = job.content().collect();
            job.is_written = false;
        } else {
            job.bytes.fill(0);
            job.is_written = true;
        }
        if load.goes_on() {
            job.restart(Block::op)?;
        }
    }
    Ok(done)
}

/// One end of a pipe.
struct End {
    file: File,
    is_reader: bool,
    position: u64,
    bytes: Vec<u8>,
}

impl End {
    fn op(&mut self) -> Op<'_> {
        if self.is_reader {
            Read::lent(&self.file, &mut self.bytes).op()
        } else {
            Write::lent(&self.file, &self.bytes).op()
        }
    }

    /// What is written next, of some length.
    fn fill(&mut self, len: usize) {
        let end = self.position + len as u64;
        self.bytes.clear();
        self.bytes.extend((self.position..end).map(byte_at));
    }
}

/// The bytes of a pipe, written and read in pieces of any length, by two jobs of one ring.
pub(crate) fn pipes(mut load: Load) -> u64 {
    stream(&mut load).expect("no error")
}

fn stream(load: &mut Load) -> Outcome<u64> {
    const MOST: u32 = 10_000;
    let mut jobs: OwnedJobs<End> = SafeRing::new(2)?.into_jobs(2);
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    for (file, is_reader) in [(File::from(reader), true), (File::from(writer), false)] {
        let mut end = End { file, is_reader, position: 0, bytes: vec![0; MOST as usize] };
        if !is_reader {
            end.fill(1);
        }
        jobs.start(end, End::op)?;
    }
    let (mut done, mut written) = (0, None);
    while let Some(event) = jobs.wait_next()? {
        let len = u64::from(event.result()?);
        done += 1;
        let mut end = event.expect_done();
        let start = end.position;
        end.position += len;
        if end.is_reader {
            let there = &end.bytes[..usize::try_from(len)?];
            assert!(there.iter().copied().eq((start..start + len).map(byte_at)), "at {start}");
            if len > 0 {
                end.bytes.resize(1 + load.below(MOST) as usize, 0);
                end.restart(End::op)?;
            } else {
                // The writer is closed.
                assert_eq!(written, Some(end.position), "all that was written");
            }
        } else if load.goes_on() {
            end.fill(1 + load.below(MOST) as usize);
            end.restart(End::op)?;
        } else {
            written = Some(end.position);
        }
    }
    Ok(done)
}

/// A connection that is received from.
struct Peer {
    socket: TcpStream,
    group: Group,
    position: Cell<u64>,
}

impl Peer {
    fn receive(&self) -> Multi<'_> {
        Recv::group(&self.socket, self.group).multi()
    }
}

/// Connections whose peers send streams and close, into so few buffers that they run dry.
pub(crate) fn connections(mut load: Load) -> u64 {
    server(&mut load).expect("no error")
}

/// What a client sends: a stream of some length, in pieces, from another thread.
fn client(mut socket: TcpStream, len: u64, seed: u64) -> std::io::Result<()> {
    let (mut position, mut seed) = (0, seed);
    while position < len {
        seed = mix(seed);
        let end = len.min(position + 1 + seed % 5000);
        let piece: Vec<u8> = (position..end).map(byte_at).collect();
        socket.write_all(&piece)?;
        position = end;
    }
    socket.shutdown(Shutdown::Write)?;
    // Until the server has closed, too.
    socket.read_to_end(&mut Vec::new())?;
    Ok(())
}

fn server(load: &mut Load) -> Outcome<u64> {
    const CLIENTS: usize = 4;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let mut jobs: OwnedJobs<Peer> = SafeRing::new(16)?.into_jobs(16);
    let group = jobs.provide(4, 512)?;
    let mut done = 0;
    // Kept for a while, so that there are fewer left.
    let mut kept: VecDeque<Received> = VecDeque::new();
    while load.goes_on() {
        let lens: Vec<u64> = (0..CLIENTS).map(|_| u64::from(load.below(50_000))).collect();
        let seed = u64::from(load.below(u32::MAX));
        std::thread::scope(|scope| -> Outcome<()> {
            for len in &lens {
                scope.spawn(move || {
                    let socket = TcpStream::connect(address).expect("a connection");
                    client(socket, *len, seed ^ len).expect("all is sent");
                });
            }
            for _ in 0..CLIENTS {
                let (socket, _) = listener.accept()?;
                jobs.start_multi(Peer { socket, group, position: Cell::new(0) }, Peer::receive)?;
            }
            let mut ends = Vec::new();
            while let Some(mut event) = jobs.wait_next()? {
                done += 1;
                if let Some(received) = event.received() {
                    let start = event.position.get();
                    let bytes = received.iter().copied();
                    assert!(bytes.eq((start..).map(byte_at).take(received.len())), "at {start}");
                    event.position.set(start + received.len() as u64);
                    kept.push_back(received);
                    if kept.len() > 3 {
                        kept.clear();
                    }
                }
                let (result, ran_dry) = (event.result(), event.ran_dry());
                let Some(job) = event.done() else { continue };
                if ran_dry || result.is_ok_and(|len| len > 0) {
                    // Buffers come back, and it goes on.
                    kept.clear();
                    job.restart_multi(Peer::receive)?;
                    continue;
                }
                assert_eq!(result, Ok(0), "the end");
                ends.push(job.finish().position.get());
            }
            ends.sort_unstable();
            let mut lens = lens.clone();
            lens.sort_unstable();
            assert_eq!(ends, lens, "each stream is whole");
            Ok(())
        })?;
    }
    drop(kept);
    Ok(done)
}

/// A socket of datagrams, and one datagram.
struct Datagram {
    socket: UdpSocket,
    number: u64,
    is_sent: bool,
    bytes: [u8; 64],
}

impl Datagram {
    fn op(&mut self) -> Op<'_> {
        if self.is_sent {
            Recv::lent(&self.socket, &mut self.bytes).op()
        } else {
            self.bytes = core::array::from_fn(|nth| byte_at(self.number + nth as u64));
            Send::lent(&self.socket, &self.bytes).op()
        }
    }
}

/// Datagrams to a socket that is connected to itself: sent, and received.
pub(crate) fn datagrams(load: Load) -> u64 {
    to_itself(&load).expect("no error")
}

fn to_itself(load: &Load) -> Outcome<u64> {
    let mut jobs: OwnedJobs<Datagram> = SafeRing::new(4)?.into_jobs(4);
    for number in 0..4 {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.connect(socket.local_addr()?)?;
        let number = number << 40;
        let datagram = Datagram { socket, number, is_sent: false, bytes: [0; 64] };
        jobs.start(datagram, Datagram::op)?;
    }
    let mut done = 0;
    while let Some(event) = jobs.wait_next()? {
        if event.result() == Err(Errno::INTR) {
            event.expect_done().restart(Datagram::op)?;
            continue;
        }
        assert_eq!(event.result(), Ok(64));
        done += 1;
        let mut job = event.expect_done();
        if job.is_sent {
            let expected = (job.number..).map(byte_at);
            assert!(job.bytes.iter().copied().eq(expected.take(64)), "{}", job.number);
            job.number += 1;
        }
        job.is_sent = !job.is_sent;
        if job.is_sent || load.goes_on() {
            job.bytes.fill(0);
            job.restart(Datagram::op)?;
        }
    }
    Ok(done)
}
