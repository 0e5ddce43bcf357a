//! Sending and receiving, on streams and on datagrams.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::net::SocketAddr as StdAddr;
use std::io::{Read as _, Write as _};

use crate::common::{complete, reap, require};
use crate::op_common::{
    AS_OF_5_15, AS_OF_5_19, AS_OF_6_0, assert_quiet, leaked, listener, provide, raises_sigpipe,
    reap_sorted, reap_told, ring, start, tcp_pair, udp, unix_pair,
};
use ringbolt::ops::{AsyncCancel, Fixed, Recv, Send, Target};
use ringbolt::register::FileSlot;
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::net::addr::SocketAddrArg as _;
use ringbolt::rustix::net::{RecvFlags, SendFlags};
use ringbolt::sys::CqeFlags;

#[test]
fn what_one_side_sends_the_other_receives() {
    let (ours, theirs) = tcp_pair();
    let mut ring = ring();
    let mut buf = [b'-'; 8];
    // SAFETY: the sockets stay until `complete` returns, and the bytes for ever.
    let cqe = unsafe { complete(&mut ring, Send::new(&ours, b"hello!".as_ptr(), 5).sqe(1)) };
    assert_eq!((cqe.user_data(), cqe.result()), (1, Ok(5)));
    // SAFETY: the sockets and `buf` stay until `complete` returns.
    let cqe = unsafe { complete(&mut ring, Recv::new(&theirs, buf.as_mut_ptr(), 8).sqe(2)) };
    assert_eq!((cqe.user_data(), cqe.result()), (2, Ok(5)));
    assert_eq!(&buf, b"hello---");
}

#[test]
fn a_receive_says_whether_there_is_more() {
    require!(op: AS_OF_5_19);
    let (mut ours, theirs) = tcp_pair();
    ours.write_all(b"12345678").expect("room in the socket");
    let mut ring = ring();
    let mut buf = [0; 4];
    for (bytes, more) in [(b"1234", true), (b"5678", false)] {
        let recv = Recv::new(&theirs, buf.as_mut_ptr(), 4).sqe(1);
        // SAFETY: the socket and `buf` stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring, recv) };
        assert_eq!((cqe.result(), &buf), (Ok(4), bytes));
        assert_eq!(cqe.flags().contains(CqeFlags::SOCK_NONEMPTY), more, "{cqe:?}");
    }
}

#[test]
fn a_receive_waits_for_data_and_ends_with_the_peer() {
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let buf = leaked::<8>();
    let recv = Recv::new(&theirs, buf.as_mut_ptr(), 8);
    // SAFETY: the buffer is leaked, and not touched until the completion is there.
    unsafe { start(&mut ring, recv.sqe(1)) };
    assert_quiet(&mut ring);
    ours.write_all(b"abc").expect("room in the socket");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(3))]);
    assert_eq!(&buf[..4], b"abc-");
    // SAFETY: as above.
    unsafe { start(&mut ring, recv.sqe(2)) };
    assert_quiet(&mut ring);
    drop(ours);
    assert_eq!(reap_told(&mut ring, 1), [(2, Ok(0))]);
}

#[test]
fn a_waiting_receive_can_be_cancelled() {
    let (mut ours, mut theirs) = unix_pair();
    let mut ring = ring();
    let buf = leaked::<8>();
    // SAFETY: the buffer is leaked, and not touched until the completion is there.
    unsafe { start(&mut ring, Recv::new(&theirs, buf.as_mut_ptr(), 8).sqe(1)) };
    assert_quiet(&mut ring);
    ring.submission().push_safe(AsyncCancel::of_user_data(1).sqe(2)).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Err(Errno::CANCELED)), (2, Ok(0))]);
    // What comes afterwards is for others.
    ours.write_all(b"abc").expect("room in the socket");
    let mut rest = [0; 3];
    theirs.read_exact(&mut rest).expect("three bytes");
    assert_eq!((&rest, &*buf), (b"abc", b"--------"));
    assert_quiet(&mut ring);
}

#[test]
fn waitall_waits_for_all_and_peek_takes_nothing() {
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let buf = leaked::<6>();
    let recv = Recv::new(&theirs, buf.as_mut_ptr(), 6);
    ours.write_all(b"abc").expect("room in the socket");
    // SAFETY: the buffer is leaked, and not touched until the completion is there.
    let peeked = unsafe { complete(&mut ring, recv.flags(RecvFlags::PEEK).sqe(1)) };
    assert_eq!((peeked.result(), &buf[..4]), (Ok(3), &b"abc-"[..]));

    // SAFETY: as above.
    unsafe { start(&mut ring, recv.flags(RecvFlags::WAITALL).sqe(2)) };
    assert_quiet(&mut ring);
    ours.write_all(b"def").expect("room in the socket");
    assert_eq!(reap_told(&mut ring, 1), [(2, Ok(6))]);
    assert_eq!(&*buf, b"abcdef");
}

#[test]
fn poll_first_sends_and_receives_all_the_same() {
    require!(op: AS_OF_5_19);
    let (ours, theirs) = unix_pair();
    let mut ring = ring();
    let buf = leaked::<4>();
    let recv = Recv::new(&theirs, buf.as_mut_ptr(), 4).poll_first().sqe(1);
    // SAFETY: the buffer is leaked, and not touched until the completion is there.
    unsafe { start(&mut ring, recv) };
    // SAFETY: the bytes stay for ever.
    unsafe { start(&mut ring, Send::new(&ours, b"1234".as_ptr(), 4).poll_first().sqe(2)) };
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Ok(4)), (2, Ok(4))]);
    assert_eq!(buf, b"1234");
}

#[test]
fn fixed_slots_send_and_receive() {
    let (ours, theirs) = unix_pair();
    let mut ring = ring();
    let slots = [FileSlot::from(&ours), FileSlot::from(&theirs)];
    ring.registrar().register_files(&slots).expect("two slots");
    let mut buf = [0; 2];
    // SAFETY: the bytes stay for ever.
    let cqe = unsafe { complete(&mut ring, Send::new(Fixed(0), b"hi".as_ptr(), 2).sqe(1)) };
    assert_eq!(cqe.result(), Ok(2));
    // SAFETY: `buf` stays until `complete` returns.
    let cqe = unsafe { complete(&mut ring, Recv::new(Fixed(1), buf.as_mut_ptr(), 2).sqe(2)) };
    assert_eq!((cqe.result(), &buf), (Ok(2), b"hi"));
}

#[test]
fn a_datagram_goes_to_the_address_given() {
    require!(op: AS_OF_6_0);
    let (one, two) = (udp(), udp());
    let address = two.local_addr().expect("it is bound").as_any();
    let len = u16::try_from(address.addr_len()).expect("a short address");
    let mut ring = ring();
    let send = Send::new(&one, b"ping".as_ptr(), 4).to(address.as_ptr(), len).sqe(1);
    // SAFETY: the socket and the address stay until `complete` returns, the bytes for ever.
    assert_eq!(unsafe { complete(&mut ring, send) }.result(), Ok(4));
    let mut buf = [0; 8];
    assert_eq!(two.recv_from(&mut buf).ok(), one.local_addr().ok().map(|from| (4, from)));
    assert_eq!(&buf[..4], b"ping");
}

#[test]
fn a_datagram_is_cut_to_the_room_there_is_and_refused_if_too_long() {
    let (one, two) = (udp(), udp());
    let to: StdAddr = two.local_addr().expect("it is bound");
    one.connect(to).expect("an address");
    let mut ring = ring();
    let long = leaked::<70_000>();
    // SAFETY: the sockets stay until `complete` returns, and the bytes for ever.
    let cqe = unsafe { complete(&mut ring, Send::new(&one, long.as_ptr(), 70_000).sqe(1)) };
    assert_eq!(cqe.result(), Err(Errno::MSGSIZE));
    // SAFETY: as above.
    let cqe = unsafe { complete(&mut ring, Send::new(&one, long.as_ptr(), 100).sqe(2)) };
    assert_eq!(cqe.result(), Ok(100));
    let mut buf = [0; 10];
    // SAFETY: the socket and `buf` stay until `complete` returns.
    let cqe = unsafe { complete(&mut ring, Recv::new(&two, buf.as_mut_ptr(), 10).sqe(3)) };
    assert_eq!((cqe.result(), &buf), (Ok(10), b"----------"));
}

#[test]
fn a_peer_that_is_gone_is_epipe_without_sigpipe() {
    let (ours, theirs) = unix_pair();
    drop(theirs);
    let mut ring = ring();
    let send = |flags| Send::new(&ours, b"x".as_ptr(), 1).flags(flags).sqe(1);
    let raised = raises_sigpipe(|| {
        // SAFETY: the socket stays until `complete` returns, and the byte for ever.
        let cqe = unsafe { complete(&mut ring, send(SendFlags::NOSIGNAL)) };
        assert_eq!(cqe.result(), Err(Errno::PIPE));
    });
    assert!(!raised);
    // Since Linux 5.12 the flag is implied.
    require!(op: AS_OF_5_15);
    let raised = raises_sigpipe(|| {
        // SAFETY: as above.
        let cqe = unsafe { complete(&mut ring, send(SendFlags::empty())) };
        assert_eq!(cqe.result(), Err(Errno::PIPE));
    });
    assert!(!raised);
}

#[test]
fn what_is_not_connected_says_so() {
    let (lonely, _) = listener();
    let file = std::fs::File::open("Cargo.toml").expect("the package's own");
    let mut ring = ring();
    let mut buf = [0_u8; 1];
    let ptr = buf.as_mut_ptr();
    let table = [
        (Recv::new(&lonely, ptr, 1).sqe(1), Errno::NOTCONN),
        (Recv::new(&file, ptr, 1).sqe(2), Errno::NOTSOCK),
        (Send::new(&file, ptr, 1).sqe(3), Errno::NOTSOCK),
        (Send::new(Target::Fd(-1), ptr, 1).sqe(4), Errno::BADF),
    ];
    for (entry, errno) in table {
        // SAFETY: the files and `buf` stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring, entry) };
        assert_eq!(cqe.result(), Err(errno), "{entry:?}");
    }
    let udp = udp();
    // SAFETY: the socket and `buf` stay until `complete` returns.
    let cqe = unsafe { complete(&mut ring, Send::new(&udp, ptr, 1).sqe(5)) };
    assert_eq!(cqe.result(), Err(Errno::DESTADDRREQ));
}

/// Goal: a send of the whole ends when everything is sent, and another when there is no room.
/// Method: more than the socket holds, and a peer that reads everything later.
#[test]
fn a_send_is_short_unless_it_is_of_the_whole() {
    require!(op: AS_OF_5_19);
    const LEN: u32 = 4 << 20;
    let (ours, mut theirs) = unix_pair();
    let mut ring = ring();
    let bytes: &'static [u8] = vec![7; LEN as usize].leak();
    let send = Send::new(&ours, bytes.as_ptr(), LEN);
    // SAFETY: the bytes are leaked, and the socket stays.
    let short = unsafe { complete(&mut ring, send.sqe(1)) }.result().expect("some are sent");
    assert!(short < LEN, "the socket holds everything");
    let mut got = vec![0; short as usize];
    theirs.read_exact(&mut got).expect("what was sent");
    // SAFETY: as above.
    unsafe { start(&mut ring, send.whole().sqe(2)) };
    assert_quiet(&mut ring);
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; LEN as usize];
        theirs.read_exact(&mut got).map(|()| got == bytes)
    });
    assert_eq!(reap_told(&mut ring, 1), [(2, Ok(LEN))]);
    assert!(reader.join().expect("it returns").expect("everything"), "as it was sent");
}

#[test]
fn a_provided_buffer_is_picked_when_there_is_data() {
    require!(op: AS_OF_6_0);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let memory = provide::<16>(&mut ring, 3, 1);
    // SAFETY: the memory of the group is leaked, and read only once it came back.
    unsafe { start(&mut ring, Recv::provided(&theirs, 3).sqe(1)) };
    assert_quiet(&mut ring);
    ours.write_all(b"abc").expect("room in the socket");
    let cqe = reap(&mut ring, 1).remove(0);
    assert_eq!((cqe.user_data(), cqe.result(), cqe.buffer_id()), (1, Ok(3), Some(0)));
    assert_eq!(&memory[..4], b"abc-");

    ours.write_all(b"def").expect("room in the socket");
    for group in [3, 4] {
        // SAFETY: the socket stays until `complete` returns; no memory is there.
        let cqe = unsafe { complete(&mut ring, Recv::provided(&theirs, group).sqe(2)) };
        assert_eq!((cqe.result(), cqe.buffer_id()), (Err(Errno::NOBUFS), None), "{group}");
    }
}

#[test]
fn a_multishot_receive_goes_on_until_the_buffers_are_used_up() {
    require!(op: AS_OF_6_0);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let memory = provide::<16>(&mut ring, 3, 2);
    // SAFETY: the memory of the group is leaked, and read only once it came back.
    unsafe { start(&mut ring, Recv::provided(&theirs, 3).multishot().sqe(1)) };
    let mut seen = Vec::new();
    for word in [&b"one"[..], b"two"] {
        ours.write_all(word).expect("room in the socket");
        let cqe = reap(&mut ring, 1).remove(0);
        assert_eq!((cqe.result(), cqe.has_more()), (Ok(3), true));
        let id = cqe.buffer_id().expect("a buffer was picked");
        assert_eq!(&memory[usize::from(id) * 16..][..3], word);
        seen.push(id);
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1]);
    ours.write_all(b"three").expect("room in the socket");
    let cqe = reap(&mut ring, 1).remove(0);
    assert_eq!((cqe.result(), cqe.has_more()), (Err(Errno::NOBUFS), false));
    assert_eq!(cqe.buffer_id(), None);
}
