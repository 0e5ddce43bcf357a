//! A runtime in little, tested against the simulated kernel.
//!
//! [`Reader`] reads a file in blocks, in chains of linked reads, and has to bear what a kernel may
//! do to it: short reads, interrupted and refused calls, completions that overflow, chains that
//! are cancelled half-way. None of that happens on demand; with [`ringbolt::sim`] it does.
//!
//! `cargo run --example sim --features sim`

use core::error::Error;

use ringbolt::ops::{Fixed, Read};
use ringbolt::rustix::io::Errno;
use ringbolt::sim::{Fault, Kernel, Pace};
use ringbolt::sys::SqStatus;
use ringbolt::{Advice, IoUring, PushError, Sqe};

/// Bytes of a block.
const BLOCK: usize = 8;

/// Blocks of a chain.
const CHAIN: usize = 4;

/// How often a call or a block is tried again.
const TRIES: u32 = 16;

/// A part of the file that is still to be read.
#[derive(Clone, Copy, Debug)]
struct Part {
    at: usize,
    len: usize,
}

/// Reads files through a ring, and says what befell it.
struct Reader {
    ring: IoUring,
    /// Reads submitted, and not reaped.
    in_flight: Vec<Part>,
    log: Vec<String>,
}

impl Reader {
    fn new(ring: IoUring) -> Self {
        Self { ring, in_flight: Vec::new(), log: Vec::new() }
    }

    /// Reads `len` bytes of `file`, or up to its end.
    fn read(&mut self, file: Fixed, len: usize) -> Result<Vec<u8>, Errno> {
        let mut bytes = vec![0; len];
        let start = bytes.as_mut_ptr();
        let blocks = (0..len).step_by(BLOCK);
        let mut parts: Vec<Part> = blocks.map(|at| Part { at, len: BLOCK.min(len - at) }).collect();
        let mut end = len;
        for _ in 0..TRIES {
            let sent = parts.chunks(CHAIN).try_for_each(|chain| self.submit(file, start, chain));
            let reaped = self.reap(&mut end);
            if !self.in_flight.is_empty() {
                // The kernel still has the memory: it must stay, if need be for ever.
                core::mem::forget(bytes);
                return Err(reaped.err().or(sent.err()).unwrap_or(Errno::IO));
            }
            sent?;
            parts = reaped?;
            parts.retain(|part| part.at < end);
            if parts.is_empty() {
                bytes.truncate(end);
                return Ok(bytes);
            }
        }
        Err(Errno::IO)
    }

    /// Submits reads of all parts of a chain, each linked to the next.
    fn submit(&mut self, file: Fixed, start: *mut u8, chain: &[Part]) -> Result<(), Errno> {
        let reads = chain.iter().enumerate().map(|(nth, part)| {
            let (to, len) = (start.wrapping_add(part.at), u32::try_from(part.len).unwrap_or(0));
            let number = self.in_flight.len() + nth;
            let read = Read::new(file, to, len).offset(part.at as u64).sqe(number as u64);
            if nth + 1 < chain.len() { read.link() } else { read }
        });
        let reads: Vec<Sqe> = reads.collect();
        // SAFETY: `read` keeps the memory, and does not look at it, until all of `in_flight` is
        // reaped.
        let pushed = unsafe { self.ring.submission().push_all(&reads) };
        pushed.map_err(|error| match error {
            PushError::Full(()) => Errno::BUSY,
            _ => Errno::INVAL,
        })?;
        self.in_flight.extend(chain);
        let submitted = self.submit_all();
        // What the kernel did not take, it never will: its memory is not needed for that.
        let left = self.ring.submission().rollback() as usize;
        self.in_flight.truncate(self.in_flight.len() - left);
        submitted
    }

    /// Submits until nothing is queued.
    fn submit_all(&mut self) -> Result<(), Errno> {
        for _ in 0..TRIES {
            match self.ring.submit() {
                Ok(_) if self.ring.submission().is_empty() => return Ok(()),
                Ok(taken) => self.log.push(format!("{taken} entries are taken: submits the rest")),
                Err(error) if error.advice() == Advice::Stop => return Err(error.errno),
                Err(error) => self.log.push(format!("submitting: {error}: tries again")),
            }
        }
        Err(Errno::AGAIN)
    }

    /// Reaps all that is in flight. Returns what has to be read again, and lowers `end` to where
    /// the file has ended.
    fn reap(&mut self, end: &mut usize) -> Result<Vec<Part>, Errno> {
        let (mut again, mut done, mut failure) = (Vec::new(), 0, None);
        let mut tries = TRIES;
        while done < self.in_flight.len() {
            if self.ring.submission().status().contains(SqStatus::CQ_OVERFLOW) {
                self.log
                    .push("completions wait for room: asks for them when some are reaped".into());
            }
            if let Err(errno) = self.ring.wait(1) {
                self.log.push(format!("waiting: {errno}: tries again"));
                tries -= 1;
                if tries == 0 {
                    return Err(errno);
                }
            }
            while let Some(cqe) = self.ring.completion().pop() {
                let number = usize::try_from(cqe.user_data()).ok();
                let part = number.and_then(|number| self.in_flight.get(number).copied());
                let Some(Part { at, len }) = part else { continue };
                done += 1;
                match cqe.result() {
                    Ok(0) => *end = at.min(*end),
                    Ok(got) if (got as usize) < len => {
                        self.log.push(format!("at {at}: got {got} of {len} bytes: reads the rest"));
                        let got = got as usize;
                        again.push(Part { at: at + got, len: len - got });
                    }
                    Ok(_) => {}
                    Err(errno @ (Errno::CANCELED | Errno::AGAIN | Errno::INTR)) => {
                        self.log.push(format!("at {at}: {errno}: reads it again"));
                        again.push(Part { at, len });
                    }
                    Err(errno) => failure = Some(errno),
                }
            }
        }
        self.in_flight.clear();
        failure.map_or(Ok(again), Err)
    }
}

/// Lets a reader read a file from a kernel that makes `trouble`, by way of a ring with room for
/// `room` completions.
fn scenario(name: &str, room: u32, trouble: impl FnOnce(&Kernel)) -> Result<(), Box<dyn Error>> {
    let text = "All that a kernel may do, and seldom does, happens to this text.";
    let kernel = Kernel::new();
    kernel.put_file(Fixed(0), text.into());
    let ring = IoUring::builder().simulated(&kernel).cq_entries(room).build(4)?;
    trouble(&kernel);
    let mut reader = Reader::new(ring);
    let bytes = reader.read(Fixed(0), text.len())?;
    println!("{name}: read {} bytes", bytes.len());
    for line in &reader.log {
        println!("  {line}");
    }
    if bytes != text.as_bytes() {
        return Err(format!("{name}: not what is in the file").into());
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    scenario("A kind kernel", 16, |_| {})?;
    scenario("A short read", 16, |kernel| kernel.shorten_next_transfer(3))?;
    scenario("Signals and no memory", 16, |kernel| {
        kernel.set_pace(Pace::WhenWaited);
        kernel.fail_next(Fault::Refuse(Errno::AGAIN));
        kernel.fail_next(Fault::Short(2));
        kernel.fail_next(Fault::Refuse(Errno::INTR));
        for _ in 0..3 {
            kernel.fail_next(Fault::Interrupt(Errno::INTR));
        }
    })?;
    // Eight blocks are submitted before one is reaped, and complete at once.
    scenario("An overflow", 4, |_| {})?;
    scenario("A cancelled chain", 16, |kernel| {
        // The first read gets all it wants, the second fails.
        kernel.shorten_next_transfer(BLOCK);
        kernel.fail_next_transfer(Errno::AGAIN);
    })?;
    match scenario("A bad disk", 16, |kernel| kernel.fail_next_transfer(Errno::IO)) {
        Ok(()) => Err("what cannot be read was read".into()),
        Err(error) => {
            println!("A bad disk: {error}");
            Ok(())
        }
    }
}
