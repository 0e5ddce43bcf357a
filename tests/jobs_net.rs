//! The safe front on the kernel: sockets, messages and provided buffers.
#![deny(unsafe_code)]
#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

#[expect(unsafe_code, reason = "what tests of other layers share")]
mod common;

use core::error::Error;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use common::require;
use ringbolt::jobs::{Lease, OwnedJobs, Pages, Received, SafeRing, Slot};
use ringbolt::ops::{
    Accept, Address, Bind, Connect, Group, Listen, Message, Op, Recv, RecvMsg, Send, SendMsg,
    SendZc, Shutdown, Socket, Span,
};
use ringbolt::rustix::net::{AddressFamily, RecvFlags, Shutdown as How, SocketFlags, SocketType};
use ringbolt::sys::{Features, Opcode};

type Outcome = Result<(), Box<dyn Error>>;

/// A listener and the address of it.
fn listener() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// The operations of a connection.
enum Step {
    Make,
    Bind(File, Address),
    Listen(File),
    Accept(File, Address),
    Connect(File, Address),
    Send(File),
    Recv(File, [u8; 8]),
    Stop(File),
}

impl Step {
    fn op(&mut self) -> Op<'_> {
        match self {
            Self::Make => {
                let socket = Socket::new(AddressFamily::INET, SocketType::STREAM);
                socket.flags(SocketFlags::CLOEXEC).op()
            }
            Self::Bind(socket, address) => Bind::lent(&*socket, address).op(),
            Self::Listen(socket) => Listen::lent(&*socket, 8).op(),
            Self::Accept(socket, peer) => Accept::lent(&*socket).peer_in(peer).op(),
            Self::Connect(socket, address) => Connect::lent(&*socket, address).op(),
            Self::Send(socket) => Send::lent(&*socket, b"hello").op(),
            Self::Recv(socket, buf) => Recv::lent(&*socket, buf).op(),
            Self::Stop(socket) => Shutdown::lent(&*socket, How::Both).op(),
        }
    }
}

#[test]
fn a_connection_is_made_by_jobs_alone() -> Outcome {
    require!(op: Opcode::LISTEN);
    let mut jobs: OwnedJobs<Step> = SafeRing::new(8)?.into_jobs(4);
    let made = |jobs: &mut OwnedJobs<Step>| -> Result<File, Box<dyn Error>> {
        jobs.start(Step::Make, Step::op)?;
        let mut event = jobs.wait_next()?.ok_or("no event")?;
        event.result()?;
        Ok(File::from(event.descriptor().ok_or("no descriptor")?))
    };
    let done = |jobs: &mut OwnedJobs<Step>, step| -> Result<(u32, Step), Box<dyn Error>> {
        jobs.start(step, Step::op)?;
        let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
        Ok((done.result()?, done.finish()))
    };
    let (server, client) = (made(&mut jobs)?, made(&mut jobs)?);
    let any = Address::from(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let (_, Step::Bind(server, _)) = done(&mut jobs, Step::Bind(server, any))? else {
        return Err("another value".into());
    };
    let (_, Step::Listen(server)) = done(&mut jobs, Step::Listen(server))? else {
        return Err("another value".into());
    };
    let server = TcpListener::from(OwnedFd::from(server));
    let address = Address::from(server.local_addr()?);
    let server = File::from(OwnedFd::from(server));
    jobs.start(Step::Accept(server, Address::NONE), Step::op)?;
    jobs.start(Step::Connect(client, address), Step::op)?;
    let (mut accepted, mut peer, mut client) = (None, None, None);
    while let Some(mut event) = jobs.wait_next()? {
        event.result()?;
        let fd = event.descriptor();
        match event.finish().ok_or("it completes once")? {
            Step::Accept(_, address) => (accepted, peer) = (fd.map(File::from), address.ip()),
            Step::Connect(socket, _) => client = Some(socket),
            _ => return Err("another value".into()),
        }
    }
    let (accepted, client) = accepted.zip(client).ok_or("no connection")?;
    let stream = TcpStream::from(OwnedFd::from(client.try_clone()?));
    assert_eq!(peer, Some(stream.local_addr()?));
    let (sent, _) = done(&mut jobs, Step::Send(client))?;
    let (len, Step::Recv(accepted, buf)) = done(&mut jobs, Step::Recv(accepted, [0; 8]))? else {
        return Err("another value".into());
    };
    assert_eq!((sent, &buf[..len as usize]), (5, &b"hello"[..]));
    assert_eq!(done(&mut jobs, Step::Stop(accepted))?.0, 0);
    Ok(())
}

#[test]
fn connections_are_accepted_into_slots_that_empty_themselves() -> Outcome {
    require!(op: Opcode::SOCKET);
    enum Task {
        Listen(TcpListener),
        Receive(Slot, [u8; 16]),
    }
    let (listener, address) = listener()?;
    let mut jobs: OwnedJobs<Task> = SafeRing::new(8)?.into_jobs(4);
    jobs.reserve_files(2)?;
    jobs.start_multi(Task::Listen(listener), |task| match task {
        Task::Listen(listener) => Accept::lent(listener).in_slot().multi(),
        Task::Receive(..) => unreachable!("a listener"),
    })?;
    // More connections than slots, one after the other.
    for _ in 0..6 {
        let mut client = TcpStream::connect(address)?;
        let mut event = jobs.wait_next()?.ok_or("no event")?;
        assert!(event.has_more(), "{:?}", event.result());
        let slot = event.slot().ok_or("no slot")?;
        jobs.start(Task::Receive(slot, [0; 16]), |task| match task {
            Task::Receive(slot, buf) => Recv::lent(&*slot, buf).op(),
            Task::Listen(_) => unreachable!("a connection"),
        })?;
        client.write_all(b"hello")?;
        let event = jobs.wait_next()?.ok_or("no event")?;
        assert_eq!(event.result(), Ok(5));
        // The slot is dropped with the value: the next submission closes the connection.
        drop(event.finish());
        jobs.submit()?;
        client.set_read_timeout(Some(Duration::from_secs(5)))?;
        assert_eq!(client.read(&mut [0; 1])?, 0, "the connection was closed");
    }
    Ok(())
}

/// A job that receives into a group.
fn receive(socket: &UnixStream, group: Group) -> ringbolt::ops::Multi<'_> {
    Recv::group(socket, group).multi()
}

#[test]
fn a_multishot_receive_runs_dry_and_starts_again() -> Outcome {
    require!(op: Opcode::SEND_ZC);
    let (socket, mut peer) = UnixStream::pair()?;
    let mut jobs: OwnedJobs<UnixStream> = SafeRing::new(8)?.into_jobs(1);
    let group = jobs.provide(2, 4)?;
    jobs.start_multi(socket, |socket| receive(socket, group))?;
    peer.write_all(b"aaaabbbbcccc")?;
    let mut kept: Vec<Received> = Vec::new();
    let socket = loop {
        let mut event = jobs.wait_next()?.ok_or("no event")?;
        kept.extend(event.received());
        if event.ran_dry() {
            assert!(!event.has_more());
            break event.finish().ok_or("done")?;
        }
    };
    let bytes: Vec<u8> = kept.iter().flat_map(|received| received.to_vec()).collect();
    assert_eq!((kept.len(), &bytes[..]), (2, &b"aaaabbbb"[..]));
    // A buffer that comes back is filled again.
    kept.pop();
    jobs.start_multi(socket, |socket| receive(socket, group))?;
    let mut event = jobs.wait_next()?.ok_or("no event")?;
    assert_eq!(&event.received().ok_or("a buffer")?[..], b"cccc");
    assert_eq!(&kept[0][..], b"aaaa", "a buffer that is kept is not touched");
    Ok(())
}

#[test]
fn buffers_that_nobody_takes_go_back() -> Outcome {
    require!(op: Opcode::SEND_ZC);
    let (socket, mut peer) = UnixStream::pair()?;
    let mut jobs: OwnedJobs<UnixStream> = SafeRing::new(8)?.into_jobs(1);
    // Linux 6.12 takes the next buffer before it knows that there is nothing to receive.
    let group = jobs.provide(2, 4)?;
    jobs.start_multi(socket, |socket| receive(socket, group))?;
    for round in 0..100_u8 {
        peer.write_all(&[round; 4])?;
        let event = jobs.wait_next()?.ok_or("no event")?;
        assert_eq!(event.result(), Ok(4), "round {round}");
        let _ = event;
    }
    Ok(())
}

#[test]
fn a_bundle_is_taken_buffer_by_buffer() -> Outcome {
    require!(feature: Features::RECVSEND_BUNDLE);
    let (listener, address) = listener()?;
    let mut client = TcpStream::connect(address)?;
    let (socket, _) = listener.accept()?;
    let mut jobs: OwnedJobs<TcpStream> = SafeRing::new(8)?.into_jobs(1);
    let group = jobs.provide(8, 4)?;
    client.write_all(b"aaaabbbbcccc")?;
    std::thread::sleep(Duration::from_millis(20));
    // With TRUNC the result would be another length: it is taken away.
    jobs.start(socket, |socket| {
        Recv::group(&*socket, group).in_bundles().flags(RecvFlags::TRUNC).op()
    })?;
    let mut event = jobs.wait_next()?.ok_or("no event")?;
    assert_eq!(event.result(), Ok(12));
    let mut parts = Vec::new();
    while let Some(part) = event.received() {
        parts.push(part);
    }
    let texts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
    assert_eq!(texts, [&b"aaaa"[..], b"bbbb", b"cccc"]);
    let socket = event.finish().ok_or("done")?;
    // Those that nobody takes go back: there are five buffers and the three that are dropped.
    drop(parts);
    let mut job = Some(socket);
    for round in 0..20 {
        client.write_all(b"aaaabbbbcc")?;
        let socket = job.take().ok_or("the socket")?;
        jobs.start(socket, |socket| Recv::group(&*socket, group).in_bundles().op())?;
        let event = jobs.wait_next()?.ok_or("no event")?;
        assert!(event.result()? > 0, "round {round}");
        job = event.finish();
    }
    Ok(())
}

#[test]
fn a_datagram_that_is_cut_has_its_buffer_and_no_other() -> Outcome {
    require!(op: Opcode::SEND_ZC);
    let (receiver, sender) =
        (UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?);
    sender.send_to(&[7; 100], receiver.local_addr()?)?;
    let mut jobs: OwnedJobs<UdpSocket> = SafeRing::new(8)?.into_jobs(1);
    let group = jobs.provide(8, 16)?;
    jobs.start(receiver, |socket| Recv::group(&*socket, group).flags(RecvFlags::TRUNC).op())?;
    let mut event = jobs.wait_next()?.ok_or("no event")?;
    assert_eq!(event.result(), Ok(100));
    assert_eq!(&event.received().ok_or("a buffer")?[..], &[7; 16]);
    assert!(event.received().is_none());
    Ok(())
}

#[test]
fn messages_have_addresses() -> Outcome {
    struct Datagram {
        socket: UdpSocket,
        to: Address,
        head: [u8; 2],
        rest: [u8; 8],
        message: Message<2>,
    }
    let sockets =
        [UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?, UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?];
    let [from, to] = [sockets[0].local_addr()?, sockets[1].local_addr()?];
    let mut jobs: OwnedJobs<Datagram> = SafeRing::new(8)?.into_jobs(2);
    for socket in sockets {
        let value = Datagram {
            socket,
            to: to.into(),
            head: *b"he",
            rest: *b"llo worl",
            message: Message::new(),
        };
        let is_sender = value.socket.local_addr()? == from;
        jobs.start(value, |datagram| {
            if is_sender {
                let parts = [&datagram.head[..], &datagram.rest[..]];
                let message = datagram.message.pieces(parts).to(&datagram.to);
                SendMsg::lent(&datagram.socket, message).op()
            } else {
                let parts = [Span::from(&mut datagram.head), Span::from(&mut datagram.rest)];
                RecvMsg::lent(&datagram.socket, datagram.message.spans(parts)).op()
            }
        })?;
        let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
        assert_eq!(done.result(), Ok(10));
        if !is_sender {
            assert_eq!(done.message.sender().ip(), Some(from));
            assert_eq!((&done.head, &done.rest), (b"he", b"llo worl"));
        }
    }
    Ok(())
}

#[test]
fn zero_copy_gives_the_data_back_with_its_second_event() -> Outcome {
    require!(op: Opcode::SEND_ZC);
    let (listener, address) = listener()?;
    let client = TcpStream::connect(address)?;
    let (mut server, _) = listener.accept()?;
    let mut jobs: OwnedJobs<(TcpStream, Lease)> = SafeRing::new(8)?.into_jobs(1);
    let lease = jobs.lease(1, 5000, Pages::Usual)?.next().ok_or("one buffer")?;
    let mut value = (client, lease);
    for round in 1..=3_u8 {
        value.1.fill(round);
        jobs.start_zc(value, |(socket, lease)| {
            if round == 1 {
                SendZc::lent(socket, &lease[..]).zero_copy()
            } else {
                SendZc::lent_fixed(socket, lease).zero_copy()
            }
        })?;
        let event = jobs.wait_next()?.ok_or("no event")?;
        assert_eq!((event.result(), event.has_more()), (Ok(5000), true));
        assert_eq!(event.1[0], round);
        let mut bytes = vec![0; 5000];
        server.read_exact(&mut bytes)?;
        assert_eq!(bytes, [round; 5000]);
        value = jobs.wait_next()?.ok_or("no event")?.finish().ok_or("it is the last")?;
    }
    assert!(jobs.is_empty());
    Ok(())
}
