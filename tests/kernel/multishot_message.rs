//! Messages that a multishot receive leaves in provided buffers: who sent them, what came along,
//! and what was cut.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::net::{Ipv4Addr, SocketAddr};
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixDatagram;

use crate::buf_common::Buffers;
use crate::common::{TempDir, reap, require};
use crate::op_common::{AS_OF_6_0, assert_quiet, cancel, reap_sorted, ring, start, udp};
use ringbolt::ops::{MsgHdr, RecvMsg};
use ringbolt::rustix::fd::AsFd;
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::net::RecvFlags;
use ringbolt::sys::BufRingFlags;
use ringbolt::{Cqe, IoUring, MessageError, ReceivedMessage};

/// Bytes of a message's header.
const HEADER: u32 = 16;

/// Room for an address, and for control messages.
const fn room(name_len: u32, control_len: usize) -> MsgHdr {
    MsgHdr { name_len, control_len, ..MsgHdr::EMPTY }
}

/// Receives messages from `socket` into group 1, for as long as there are buffers.
fn listen(ring: &mut IoUring, socket: impl AsFd, asked: &MsgHdr) {
    listen_with(ring, socket, asked, RecvFlags::empty());
}

fn listen_with(ring: &mut IoUring, socket: impl AsFd, asked: &MsgHdr, flags: RecvFlags) {
    let mut header = *asked;
    let receive = RecvMsg::multishot(&socket, &header, 1).flags(flags).sqe(1);
    // SAFETY: the memory of a group stays for ever, and the header until it is taken.
    unsafe { start(ring, receive) };
    // From here on, nobody looks at it.
    header = room(1 << 30, 1 << 30);
    core::hint::black_box(&header);
}

/// The bytes of the next message, after which there will be more.
fn next(ring: &mut IoUring, buffers: &mut Buffers) -> Vec<u8> {
    let cqe = reap(ring, 1)[0];
    assert!(cqe.has_more(), "{cqe:?}");
    buffers.reclaim(&cqe);
    bytes(buffers, cqe)
}

fn bytes(buffers: &Buffers, cqe: Cqe) -> Vec<u8> {
    buffers.bytes(cqe.buffer_id().expect("a buffer"), cqe.result().expect("a message"))
}

fn turn_on(socket: impl AsFd, level: libc::c_int, option: libc::c_int) {
    let (fd, on) = (socket.as_fd().as_raw_fd(), 1_i32);
    // SAFETY: a number of four bytes, which is read during the call.
    let result = unsafe { libc::setsockopt(fd, level, option, (&raw const on).cast(), 4) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

/// `struct sockaddr_in`, as bytes.
fn ipv4(socket: &UdpSocket) -> Vec<u8> {
    let address = socket.local_addr().expect("it is bound");
    let SocketAddr::V4(address) = address else { panic!("{address}") };
    let family = u16::try_from(libc::AF_INET).expect("a small number").to_ne_bytes();
    let port = address.port().to_be_bytes();
    [&family[..], &port, &address.ip().octets(), &[0; 8]].concat()
}

/// liburing: recv-multishot.
#[test]
fn a_datagram_comes_with_its_sender_and_where_it_went() {
    require!(op: AS_OF_6_0);
    let (one, two, target) = (udp(), udp(), udp());
    turn_on(&target, libc::IPPROTO_IP, libc::IP_PKTINFO);
    turn_on(&target, libc::IPPROTO_IP, libc::IP_RECVTTL);
    let to = target.local_addr().expect("it is bound");
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 4, 256, BufRingFlags::empty());
    let asked = room(28, 128);
    listen(&mut ring, &target, &asked);
    for round in 0..10_u16 {
        for (sender, text) in [(&one, &b"hello"[..]), (&two, b"and good-bye")] {
            sender.send_to(text, to).expect("room in the socket");
            let bytes = next(&mut ring, &mut buffers);
            let message = ReceivedMessage::parse(&bytes, &asked).expect("a message");
            assert_eq!(bytes.len(), 16 + 28 + 128 + text.len());
            assert_eq!((message.name(), message.name_len()), (&ipv4(sender)[..], 16));
            assert_eq!((message.payload(), message.flags()), (text, 0));
            assert_eq!(usize::try_from(message.payload_len()), Ok(text.len()));

            let controls: Vec<_> = message.controls().collect();
            assert!(controls.iter().all(|control| control.level == libc::IPPROTO_IP));
            let find = |kind| controls.iter().find(|control| control.kind == kind);
            let info = find(libc::IP_PKTINFO).expect("asked for").data;
            // The interface, the local address, the address in the packet.
            assert_eq!((info.len(), &info[8..12]), (12, &Ipv4Addr::LOCALHOST.octets()[..]));
            let ttl = find(libc::IP_TTL).expect("asked for").data;
            assert!(i32::from_ne_bytes(ttl.try_into().expect("four bytes")) > 0);
            assert_eq!(controls.len(), 2);
            // No byte of the room that was left.
            let padded = |data: &[u8]| data.len().next_multiple_of(size_of::<usize>());
            let sizes = controls.iter().map(|c| size_of::<libc::cmsghdr>() + padded(c.data));
            assert_eq!(message.control().len(), sizes.sum::<usize>());
        }
        buffers.give(2 * round % 4);
        buffers.give((2 * round + 1) % 4);
    }
}

#[test]
fn a_message_comes_with_the_credentials_of_its_sender() {
    require!(op: AS_OF_6_0);
    let dir = TempDir::new();
    let (here, there) = (dir.join("here"), dir.join("there"));
    let target = UnixDatagram::bind(&there).expect("a new path");
    let sender = UnixDatagram::bind(&here).expect("a new path");
    let nobody = UnixDatagram::unbound().expect("a socket");
    turn_on(&target, libc::SOL_SOCKET, libc::SO_PASSCRED);
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 2, 512, BufRingFlags::empty());
    let asked = room(110, 64);
    listen(&mut ring, &target, &asked);
    let family = u16::try_from(libc::AF_UNIX).expect("a small number").to_ne_bytes();
    let path = [&family[..], here.as_os_str().as_bytes(), &[0]].concat();
    for (sender, name, text) in
        [(&sender, &path[..], b"with a name"), (&nobody, &[], b"without one")]
    {
        sender.send_to(text, &there).expect("room in the socket");
        let bytes = next(&mut ring, &mut buffers);
        let message = ReceivedMessage::parse(&bytes, &asked).expect("a message");
        assert_eq!((message.name(), message.payload()), (name, &text[..]));
        let controls: Vec<_> = message.controls().collect();
        let [control] = controls[..] else { panic!("{controls:?}") };
        assert_eq!((control.level, control.kind), (libc::SOL_SOCKET, libc::SCM_CREDENTIALS));
        let pid: [u8; 4] = control.data[..4].try_into().expect("four bytes");
        assert_eq!(u32::from_ne_bytes(pid), std::process::id());
        assert_eq!(control.data.len(), 12);
    }
}

/// Goal: what did not fit is told, and what fits is there.
/// Method: the same message with too little room for each of its parts.
///
/// liburing: recv-multishot.
#[test]
fn what_is_cut_is_told() {
    require!(op: AS_OF_6_0);
    let (sender, target) = (udp(), udp());
    turn_on(&target, libc::IPPROTO_IP, libc::IP_PKTINFO);
    let to = target.local_addr().expect("it is bound");
    let text: Vec<u8> = (0..200).collect();
    let truncated = libc::MSG_TRUNC.unsigned_abs();
    let control_truncated = libc::MSG_CTRUNC.unsigned_abs();
    let name = ipv4(&sender);
    // Room for address and control messages, buffer; payload, control messages, flags.
    let table = [
        (room(16, 64), 400, 200, 1, 0),
        (room(16, 64), 106, 10, 1, truncated),
        (room(16, 4), 400, 200, 0, control_truncated),
        (room(16, 0), 40, 8, 0, truncated | control_truncated),
        (room(6, 64), 400, 200, 1, 0),
        (room(0, 0), 400, 200, 0, control_truncated),
    ];
    for (whole, (asked, size, payload, controls, flags)) in
        [false, true].into_iter().flat_map(|whole| table.map(|case| (whole, case)))
    {
        let mut ring = ring();
        let mut buffers = Buffers::new(&ring, 1, 2, size, BufRingFlags::empty());
        // The whole length is told to those who ask for it.
        let told = if whole { 200 } else { u32::try_from(payload).expect("a short text") };
        let ask = if whole { RecvFlags::TRUNC } else { RecvFlags::empty() };
        listen_with(&mut ring, &target, &asked, ask);
        for _ in 0..2 {
            sender.send_to(&text, to).expect("room in the socket");
            let bytes = next(&mut ring, &mut buffers);
            let message = ReceivedMessage::parse(&bytes, &asked).expect("a message");
            let fits = name.len().min(usize::try_from(asked.name_len).expect("a short name"));
            let len = if fits == 0 { 0 } else { 16 };
            assert_eq!((message.name(), message.name_len()), (&name[..fits], len), "{asked:?}");
            assert_eq!((message.payload(), message.payload_len()), (&text[..payload], told));
            assert_eq!((message.controls().count(), message.flags()), (controls, flags));
        }
        cancel(&mut ring, 1, 2);
        reap_sorted(&mut ring, 2);
    }
}

#[test]
fn a_buffer_without_room_for_what_was_asked_ends_it() {
    require!(op: AS_OF_6_0);
    let (sender, target) = (udp(), udp());
    let to = target.local_addr().expect("it is bound");
    let mut ring = ring();
    let _buffers = Buffers::new(&ring, 1, 2, HEADER + 16 + 64 - 1, BufRingFlags::empty());
    listen(&mut ring, &target, &room(16, 64));
    sender.send_to(b"hello", to).expect("room in the socket");
    let cqe = reap(&mut ring, 1)[0];
    assert_eq!((cqe.result(), cqe.has_more()), (Err(Errno::FAULT), false), "{cqe:?}");
    assert_quiet(&mut ring);
}

#[test]
fn a_message_that_leaves_no_payload_ends_it() {
    require!(op: AS_OF_6_0);
    let (sender, target) = (udp(), udp());
    let to = target.local_addr().expect("it is bound");
    let asked = room(16, 0);
    let truncated = libc::MSG_TRUNC.unsigned_abs();
    for (text, size, flags) in [(&b""[..], 64, 0), (b"hello", HEADER + 16, truncated)] {
        let mut ring = ring();
        let buffers = Buffers::new(&ring, 1, 4, size, BufRingFlags::empty());
        listen(&mut ring, &target, &asked);
        sender.send_to(text, to).expect("room in the socket");
        let cqe = reap(&mut ring, 1)[0];
        assert_eq!((cqe.result(), cqe.has_more()), (Ok(32), false), "{cqe:?}");
        let bytes = bytes(&buffers, cqe);
        let message = ReceivedMessage::parse(&bytes, &asked).expect("a message");
        assert_eq!((message.name(), message.payload()), (&ipv4(&sender)[..], &b""[..]));
        assert_eq!((message.payload_len(), message.flags()), (0, flags));
    }
}

/// Goal: nothing is lost when the buffers are used up.
/// Method: more messages than buffers, and the receive started anew each time that it ends.
#[test]
fn messages_wait_while_there_is_no_buffer() {
    require!(op: AS_OF_6_0);
    let (sender, target) = (udp(), udp());
    let to = target.local_addr().expect("it is bound");
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 4, 64, BufRingFlags::empty());
    let asked = room(16, 0);
    listen(&mut ring, &target, &asked);
    let (mut seen, mut held, mut ends) = (Vec::new(), Vec::new(), 0);
    for batch in 0..20_u8 {
        for n in 0..10 {
            sender.send_to(&[batch, n], to).expect("room in the socket");
        }
        while seen.len() < 10 * (usize::from(batch) + 1) {
            let cqe = reap(&mut ring, 1)[0];
            if cqe.has_more() {
                let bytes = bytes(&buffers, cqe);
                let message = ReceivedMessage::parse(&bytes, &asked).expect("a message");
                seen.push(message.payload().to_vec());
                held.extend(buffers.reclaim(&cqe));
                continue;
            }
            assert_eq!((cqe.result(), cqe.buffer_id()), (Err(Errno::NOBUFS), None));
            assert_eq!(held.len(), 4);
            ends += 1;
            held.drain(..).for_each(|bid| buffers.add(bid));
            assert_eq!(buffers.ring.publish(), 4);
            listen(&mut ring, &target, &asked);
        }
    }
    let sent: Vec<_> = (0..20).flat_map(|batch| (0..10).map(move |n| vec![batch, n])).collect();
    assert_eq!(seen, sent);
    assert!(ends >= 40, "{ends}");
}

#[test]
fn bytes_that_are_no_message_are_an_error() {
    require!(op: AS_OF_6_0);
    let (sender, target) = (udp(), udp());
    let to = target.local_addr().expect("it is bound");
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 2, 64, BufRingFlags::empty());
    listen(&mut ring, &target, &room(16, 0));
    sender.send_to(b"hello", to).expect("room in the socket");
    let bytes = next(&mut ring, &mut buffers);
    // Taken apart for something else than was asked for.
    let error = ReceivedMessage::parse(&bytes, &room(16, 64));
    assert_eq!(error, Err(MessageError { needed: 96, len: 37 }));
    assert!(ReceivedMessage::parse(&bytes[..31], &room(16, 0)).is_err());
}
