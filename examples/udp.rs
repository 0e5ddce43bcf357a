//! Sends datagrams back to the addresses that they came from.
//!
//! A job receives, and is started again in its place to send: bytes and address stay where they
//! are. Here a thread is the client.
#![forbid(unsafe_code)]

use core::net::{Ipv4Addr, SocketAddr};
use std::io;
use std::net::UdpSocket;
use std::thread;

use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::{Address, Message, Op, RecvMsg, SendMsg, Span};

const COUNT: usize = 3;

struct Datagram {
    socket: UdpSocket,
    bytes: [u8; 1500],
    len: usize,
    peer: Address,
    message: Message<1>,
}

impl Datagram {
    fn receive(&mut self) -> Op<'_> {
        RecvMsg::lent(&self.socket, self.message.spans([Span::from(&mut self.bytes)])).op()
    }

    fn send(&mut self) -> Op<'_> {
        let pieces = [Span::from(&mut self.bytes).first(self.len)];
        SendMsg::lent(&self.socket, self.message.pieces(pieces).to(&self.peer)).op()
    }
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = socket.local_addr()?;
    let client = thread::spawn(move || client(address));

    let mut jobs: OwnedJobs<Datagram> = SafeRing::new(8)?.into_jobs(1);
    let (peer, message) = (Address::NONE, Message::new());
    let datagram = Datagram { socket, bytes: [0; 1500], len: 0, peer, message };
    jobs.start(datagram, Datagram::receive)?;
    for _ in 0..COUNT {
        let mut received = jobs.wait_next()?.ok_or("no event")?.expect_done();
        received.len = received.result()? as usize;
        received.peer = received.message.sender();
        received.restart(Datagram::send)?;
        let sent = jobs.wait_next()?.ok_or("no event")?.expect_done();
        sent.result()?;
        sent.restart(Datagram::receive)?;
    }
    client.join().map_err(|_| "the client has panicked")??;
    // Cancels the last receive.
    drop(jobs);
    Ok(())
}

/// Sends datagrams, and prints what comes back.
fn client(server: SocketAddr) -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    for number in 0..COUNT {
        socket.send_to(format!("datagram {number}").as_bytes(), server)?;
        let mut bytes = [0; 1500];
        let (len, from) = socket.recv_from(&mut bytes)?;
        assert_eq!(from, server);
        println!("{}", String::from_utf8_lossy(bytes.get(..len).unwrap_or_default()));
    }
    Ok(())
}
