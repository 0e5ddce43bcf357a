//! Messages with addresses and control data, and sends that do not copy.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::ffi::c_void;
use core::mem::MaybeUninit;
use core::net::SocketAddr as StdAddr;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::common::{complete, reap, require};
use crate::op_common::{
    AS_OF_6_0, AS_OF_6_7, assert_quiet, cancel, leaked, pipe, provide, reap_sorted, reap_told,
    ring, start, tcp_pair, udp, unix_pair,
};
use ringbolt::ops::{IoVec, MsgHdr, Nop, RecvMsg, RecvZc, SendMsg, SendMsgZc, SendZc, Target};
use ringbolt::rustix::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};
use ringbolt::rustix::io::{Errno, FdFlags, fcntl_getfd};
use ringbolt::rustix::net::addr::{SocketAddrArg as _, SocketAddrStorage};
use ringbolt::rustix::net::{RecvFlags, SendFlags, SocketAddrAny};
use ringbolt::sys::{NotifUsage, Opcode, RecvSendFlags, RegisterOp};
use ringbolt::{Cqe, IoUring, ReceivedMessage, Sqe};

const GROUP: u16 = 5;

/// A message of these buffers alone.
fn message(vectors: &[IoVec]) -> MsgHdr {
    MsgHdr { vectors: vectors.as_ptr(), vector_count: vectors.len(), ..MsgHdr::EMPTY }
}

/// The buffers of a message to be sent.
fn parts<const N: usize>(parts: [&'static [u8]; N]) -> [IoVec; N] {
    parts.map(IoVec::from)
}

/// What an entry comes to.
fn result(ring: &mut IoUring, sqe: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller keeps all that the entry names until this returns.
    unsafe { complete(ring, sqe) }.result()
}

#[test]
fn a_message_is_gathered_from_some_buffers_and_scattered_over_others() {
    let (ours, theirs) = unix_pair();
    let mut ring = ring();
    let out = parts([b"012", b"", b"3456789"]);
    let sent = message(&out);
    assert_eq!(result(&mut ring, SendMsg::new(&ours, &sent).sqe(1)), Ok(10));
    let (mut first, mut second) = ([b'-'; 4], [b'-'; 8]);
    let into = [IoVec::from(&mut first[..]), IoVec::from(&mut second[..])];
    let mut received = message(&into);
    assert_eq!(result(&mut ring, RecvMsg::new(&theirs, &mut received).sqe(2)), Ok(10));
    assert_eq!((&first, &second), (b"0123", b"456789--"));
}

#[test]
fn a_datagram_goes_to_its_address_and_tells_where_it_came_from() {
    let (one, two) = (udp(), udp());
    let mut ring = ring();
    let to = two.local_addr().expect("it is bound").as_any();
    let out = parts([b"hello ", b"world"]);
    let name: *const c_void = to.as_ptr().cast();
    let sent = MsgHdr { name: name.cast_mut(), name_len: to.addr_len(), ..message(&out) };
    assert_eq!(result(&mut ring, SendMsg::new(&one, &sent).sqe(1)), Ok(11));

    let mut buf = [b'-'; 8];
    let into = [IoVec::from(&mut buf[..])];
    let mut from = MaybeUninit::<SocketAddrStorage>::uninit();
    let room = u32::try_from(size_of::<SocketAddrStorage>()).expect("a small size");
    let mut received = MsgHdr { name: from.as_mut_ptr().cast(), name_len: room, ..message(&into) };
    let recv = RecvMsg::new(&two, &mut received).sqe(2);
    assert_eq!((result(&mut ring, recv), &buf), (Ok(8), b"hello wo"));
    assert_eq!(received.flags & RecvFlags::TRUNC.bits(), RecvFlags::TRUNC.bits(), "it was cut");
    assert!(received.name_len <= room);
    // SAFETY: the kernel wrote an address of that length there.
    let from = unsafe { SocketAddrAny::new(from, received.name_len) };
    assert_eq!(StdAddr::try_from(from).ok(), one.local_addr().ok());
}

/// A control message that carries a descriptor, `struct cmsghdr` with its data.
#[repr(C)]
struct Rights {
    len: usize,
    level: i32,
    kind: i32,
    fd: i32,
}

impl Rights {
    const LEN: usize = core::mem::offset_of!(Self, fd) + size_of::<i32>();

    fn new(fd: i32) -> Self {
        Self { len: Self::LEN, level: libc::SOL_SOCKET, kind: libc::SCM_RIGHTS, fd }
    }
}

#[test]
fn a_descriptor_is_sent_and_received_as_control_data() {
    let (ours, theirs) = unix_pair();
    let (reader, writer) = pipe();
    let mut ring = ring();
    let out = parts([b"x"]);
    let mut rights = Rights::new(writer.as_raw_fd());
    let control: *mut c_void = (&raw mut rights).cast();
    let sent = MsgHdr { control, control_len: size_of::<Rights>(), ..message(&out) };
    assert_eq!(result(&mut ring, SendMsg::new(&ours, &sent).sqe(1)), Ok(1));
    drop(writer);

    let mut buf = [0; 4];
    let into = [IoVec::from(&mut buf[..])];
    let mut rights = Rights::new(-1);
    let control: *mut c_void = (&raw mut rights).cast();
    let mut received = MsgHdr { control, control_len: size_of::<Rights>(), ..message(&into) };
    let recv = RecvMsg::new(&theirs, &mut received).flags(RecvFlags::CMSG_CLOEXEC).sqe(2);
    assert_eq!(result(&mut ring, recv), Ok(1));
    assert_eq!((rights.len, rights.level, rights.kind), (Rights::LEN, 1, libc::SCM_RIGHTS));
    assert!(received.control_len >= Rights::LEN && rights.fd >= 0);
    // SAFETY: the kernel has just made it for this process, and nobody else has seen it.
    let mut sent = File::from(unsafe { OwnedFd::from_raw_fd(rights.fd) });
    assert_eq!(fcntl_getfd(&sent), Ok(FdFlags::CLOEXEC));
    sent.write_all(b"abc").expect("room in the pipe");
    let mut buf = [0; 3];
    (&reader).read_exact(&mut buf).expect("three bytes");
    assert_eq!(&buf, b"abc");
}

#[test]
fn a_message_is_waited_for_and_the_wait_can_be_cancelled() {
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let buf = leaked::<8>();
    let into = Box::leak(Box::new([IoVec::from(&mut buf[..])]));
    let header = Box::leak(Box::new(message(into)));
    let recv = RecvMsg::new(&theirs, header).sqe(1);
    // SAFETY: the header and all that it names are leaked, and read when they came back.
    unsafe { start(&mut ring, recv) };
    assert_quiet(&mut ring);
    cancel(&mut ring, 1, 2);
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Err(Errno::CANCELED)), (2, Ok(0))]);
    // SAFETY: as above.
    unsafe { start(&mut ring, recv) };
    ours.write_all(b"abc").expect("room in the socket");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(3))]);
    assert_eq!(&buf[..4], b"abc-");
}

/// liburing: sendmsg_iov_clean.
#[test]
fn the_header_and_the_vectors_may_go_away_right_after_submit() {
    let (ours, mut theirs) = unix_pair();
    ours.set_nonblocking(true).expect("a socket");
    let mut full = 0;
    while let Ok(count) = (&ours).write(&[b'-'; 4096]) {
        full += count;
    }
    ours.set_nonblocking(false).expect("a socket");
    let mut ring = ring();
    let mut out = parts([b"hello ", b"world"]);
    let mut header = message(&out);
    // SAFETY: header and vectors stay until taken, which is all that is asked for; the bytes
    // stay for ever.
    unsafe { start(&mut ring, SendMsg::new(&ours, &header).sqe(1)) };
    assert_quiet(&mut ring);
    out.fill(IoVec::new(core::ptr::without_provenance_mut(8), usize::MAX));
    header.vectors = core::ptr::null();
    assert_eq!((header.vector_count, out.len()), (2, 2));
    let mut bytes = vec![0; full];
    theirs.read_exact(&mut bytes).expect("what was there before");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(11))]);
    drop(ours);
    let mut rest = Vec::new();
    theirs.read_to_end(&mut rest).expect("an end");
    assert_eq!(rest, b"hello world");
}

#[test]
fn messages_that_cannot_be_say_why() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    let (ours, _theirs) = unix_pair();
    let (reader, _writer) = pipe();
    let (alone, out) = (udp(), parts([b"x"]));
    let mut ring = ring();
    let mut header = message(&out);
    let nowhere: *mut MsgHdr = core::ptr::without_provenance_mut(8);
    let many = MsgHdr { vector_count: 1025, ..header };
    let bad = [IoVec::new(nowhere.cast(), 1)];
    let bad = message(&bad);
    let table = [
        (SendMsg::new(&reader, &header).sqe(1), Errno::NOTSOCK),
        (RecvMsg::new(&reader, &mut header).sqe(1), Errno::NOTSOCK),
        (SendMsg::new(Target::Fd(-1), &header).sqe(1), Errno::BADF),
        (SendMsg::new(&alone, &header).sqe(1), Errno::DESTADDRREQ),
        (SendMsg::new(&ours, nowhere).sqe(1), Errno::FAULT),
        (RecvMsg::new(&ours, nowhere).sqe(1), Errno::FAULT),
        (SendMsg::new(&ours, &bad).sqe(1), Errno::FAULT),
        (SendMsg::new(&ours, &many).sqe(1), Errno::MSGSIZE),
        (RecvMsg::new(&ours, &mut header).flags(RecvFlags::DONTWAIT).sqe(1), Errno::AGAIN),
    ];
    for (entry, errno) in table {
        assert_eq!(result(&mut ring, entry), Err(errno), "{entry:?}");
    }
}

#[test]
fn a_multishot_receive_puts_address_and_payload_into_each_buffer() {
    require!(op: AS_OF_6_0);
    let (one, two) = (udp(), udp());
    let to = two.local_addr().expect("it is bound");
    let mut ring = ring();
    let memory = provide::<64>(&mut ring, GROUP, 2);
    let room = MsgHdr { name_len: 16, ..MsgHdr::EMPTY };
    // SAFETY: the header stays until taken, the socket longer; the group's memory is leaked, and
    // read when it came back.
    unsafe { start(&mut ring, RecvMsg::multishot(&two, &room, GROUP).sqe(1)) };
    for payload in [&b"hello"[..], &[b'x'; 40]] {
        one.send_to(payload, to).expect("room in the socket");
        let cqe = reap(&mut ring, 1).remove(0);
        assert!(cqe.has_more(), "{cqe:?}");
        let id = usize::from(cqe.buffer_id().expect("a buffer was picked"));
        let len = usize::try_from(cqe.result().expect("bytes")).expect("a few");
        let buffer = &memory[id * 64..][..len];
        let message = ReceivedMessage::parse(buffer, &room).expect("a whole one");
        // Of the buffer, 16 bytes are the header, and 16 the address.
        let fits = payload.len().min(32);
        assert_eq!(message.payload(), &payload[..fits]);
        let cut = message.flags() & RecvFlags::TRUNC.bits() != 0;
        assert_eq!(cut, fits < payload.len());
        let port = one.local_addr().expect("it is bound").port().to_be_bytes();
        assert_eq!(message.name().get(2..8), Some(&[port[0], port[1], 127, 0, 0, 1][..]));
    }
    one.send_to(b"one too many", to).expect("room in the socket");
    let cqe = reap(&mut ring, 1).remove(0);
    assert_eq!((cqe.result(), cqe.has_more()), (Err(Errno::NOBUFS), false));
}

/// The two completions of a send that does not copy: the result, and that the memory is free.
fn both(ring: &mut IoUring) -> (Cqe, Cqe) {
    let result = reap(ring, 1).remove(0);
    assert!(result.has_more() && !result.is_notification(), "{result:?}");
    let notification = reap(ring, 1).remove(0);
    assert!(notification.is_notification() && !notification.has_more(), "{notification:?}");
    assert_eq!(result.user_data(), notification.user_data());
    (result, notification)
}

/// What a send that does not copy comes to, and what the other side gets of it.
fn deliver(ring: &mut IoUring, entry: Sqe, mut to: &TcpStream, len: usize) -> (Cqe, Vec<u8>) {
    // SAFETY: the caller keeps what the entry names until the notification, which comes below.
    unsafe { start(ring, entry) };
    let mut bytes = vec![0; len];
    to.read_exact(&mut bytes).expect("what was sent");
    let (result, notification) = both(ring);
    assert_eq!(result.result().map(usize::try_from), Ok(Ok(len)));
    (notification, bytes)
}

/// liburing: send-zerocopy.
#[test]
fn a_zero_copy_send_tells_its_result_and_then_that_the_memory_is_free() {
    require!(op: Opcode::SEND_ZC);
    let (ours, theirs) = tcp_pair();
    let mut ring = ring();
    let data: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    let send = SendZc::new(&ours, data.as_ptr(), 10_000).sqe(7);
    let (notification, bytes) = deliver(&mut ring, send, &theirs, 10_000);
    assert_eq!((notification.user_data(), notification.result()), (7, Ok(0)));
    assert_eq!(bytes, data);
    assert_quiet(&mut ring);
}

/// liburing: send-zerocopy.
#[test]
fn a_zero_copy_send_reports_that_loopback_copied() {
    // The report came with Linux 6.2.
    require!(op: AS_OF_6_7);
    let (ours, theirs) = tcp_pair();
    let mut ring = ring();
    let data = vec![7; 10_000];
    let send = SendZc::new(&ours, data.as_ptr(), 10_000);
    let report = send.send_flags(RecvSendFlags::SEND_ZC_REPORT_USAGE).sqe(1);
    let (notification, _) = deliver(&mut ring, report, &theirs, 10_000);
    assert_eq!(notification.zero_copy_usage(), NotifUsage::ZC_COPIED);
    // Without being asked, it tells nothing.
    let (notification, _) = deliver(&mut ring, send.sqe(2), &theirs, 10_000);
    assert_eq!(notification.zero_copy_usage(), NotifUsage::empty());
}

/// liburing: send-zerocopy.
#[test]
fn zero_copy_sends_keep_their_order() {
    require!(op: Opcode::SEND_ZC);
    let (ours, mut theirs) = tcp_pair();
    let mut ring = ring();
    for id in 0..50_u8 {
        let send = SendZc::new(&ours, leaked_byte(id), 1).sqe(u64::from(id));
        // SAFETY: the byte is leaked; the socket stays.
        unsafe { start(&mut ring, send) };
        let mut byte = [0];
        theirs.read_exact(&mut byte).expect("a byte");
        let (result, _) = both(&mut ring);
        assert_eq!((byte, result.user_data(), result.result()), ([id], u64::from(id), Ok(1)));
    }
}

fn leaked_byte(byte: u8) -> *const u8 {
    Box::leak(Box::new(byte))
}

/// liburing: send-zerocopy.
#[test]
fn a_zero_copy_send_takes_a_range_of_a_registered_buffer() {
    require!(op: AS_OF_6_7);
    let (ours, theirs) = tcp_pair();
    let mut ring = ring();
    let data: &'static mut [u8; 8192] = leaked();
    data[4000..4005].copy_from_slice(b"hello");
    let start_of = data.as_ptr();
    let buffers = [IoVec::EMPTY, IoVec::from(&mut data[..])];
    // SAFETY: the memory is leaked, and only sent from here on.
    unsafe { ring.registrar().register_buffers(&buffers) }.expect("two buffers");
    let of = |offset, len, index| {
        SendZc::new(&ours, start_of.wrapping_add(offset), len).fixed_buffer(index).sqe(1)
    };
    let (_, bytes) = deliver(&mut ring, of(4000, 5, 1), &theirs, 5);
    assert_eq!(bytes, b"hello");
    for (entry, errno) in
        [(of(0, 5, 0), Errno::FAULT), (of(0, 5, 2), Errno::FAULT), (of(8190, 5, 1), Errno::FAULT)]
    {
        assert_eq!(last(&mut ring, entry), Err(errno), "{entry:?}");
    }
}

/// Goal: what [`SendZc`] says of links holds: cancelled with its chain, it may be notified all the
/// same, and by nothing else. Method: behind an entry that fails.
#[test]
fn a_zero_copy_send_that_is_cancelled_with_its_chain_completes_at_most_twice() {
    require!(op: Opcode::SEND_ZC);
    let (ours, _theirs) = tcp_pair();
    let mut ring = ring();
    let byte = leaked_byte(1);
    let fails = SendZc::new(&ours, byte, 1).fixed_buffer(9).sqe(1).link();
    let entries = [fails, SendZc::new(&ours, byte, 1).sqe(2), Nop::new().sqe(3).into()];
    // SAFETY: the byte is leaked; the socket stays.
    unsafe { ring.submission().push_all(&entries) }.expect("room for three");
    ring.submit_and_wait(3).expect("three completions at least");
    ring.get_events().expect("what is due comes in");
    let told: Vec<Cqe> = ring.completion().drain().filter(|cqe| cqe.user_data() == 2).collect();
    let (first, more) = told.split_first().expect("it completes");
    assert_eq!((first.result(), first.has_more()), (Err(Errno::CANCELED), false));
    assert!(more.len() <= 1 && more.iter().all(Cqe::is_notification), "{more:?}");
}

/// What a send comes to that fails, with its notification taken if there is one.
fn last(ring: &mut IoUring, entry: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller keeps what the entry names until this returns.
    let cqe = unsafe { complete(ring, entry) };
    if cqe.has_more() {
        let notification = reap(ring, 1).remove(0);
        assert!(notification.is_notification(), "{notification:?}");
    }
    assert_quiet(ring);
    cqe.result()
}

#[test]
fn a_zero_copy_datagram_goes_to_the_address_given() {
    require!(op: Opcode::SEND_ZC);
    let (one, two) = (udp(), udp());
    let to = two.local_addr().expect("it is bound").as_any();
    let len = u16::try_from(to.addr_len()).expect("a short address");
    let mut ring = ring();
    let send = SendZc::new(&one, b"hello".as_ptr(), 5);
    assert_eq!(last(&mut ring, send.sqe(1)), Err(Errno::DESTADDRREQ));
    // SAFETY: the address stays, and the bytes for ever.
    unsafe { start(&mut ring, send.to(to.as_ptr(), len).sqe(2)) };
    let mut buf = [0; 8];
    let (count, from) = two.recv_from(&mut buf).expect("a datagram");
    assert_eq!((&buf[..count], Some(from)), (&b"hello"[..], one.local_addr().ok()));
    assert_eq!(both(&mut ring).0.result(), Ok(5));
}

#[test]
fn a_zero_copy_message_is_gathered_from_its_buffers() {
    require!(op: Opcode::SENDMSG_ZC);
    let (ours, theirs) = tcp_pair();
    let mut ring = ring();
    let out = parts([b"hello ", b"world"]);
    let header = message(&out);
    let send = SendMsgZc::new(&ours, &header).send_flags(RecvSendFlags::SEND_ZC_REPORT_USAGE);
    let (notification, bytes) = deliver(&mut ring, send.sqe(3), &theirs, 11);
    assert_eq!(bytes, b"hello world");
    assert_eq!(notification.zero_copy_usage(), NotifUsage::ZC_COPIED);
    let more = SendMsgZc::new(&ours, &header).flags(SendFlags::MORE | SendFlags::NOSIGNAL);
    // Held back for a while, as told.
    assert_eq!(deliver(&mut ring, more.sqe(4), &theirs, 11).1, b"hello world");
}

#[test]
fn a_zero_copy_send_that_cannot_be_says_why() {
    require!(op: Opcode::SENDMSG_ZC);
    let (unix, _peer) = unix_pair();
    let (reader, _writer) = pipe();
    let (gone, peer) = tcp_pair();
    drop(peer);
    gone.shutdown(std::net::Shutdown::Write).expect("a socket");
    let mut ring = ring();
    let out = parts([b"x"]);
    let header = message(&out);
    for (socket, errno) in [
        (unix.as_fd(), Errno::OPNOTSUPP),
        (reader.as_fd(), Errno::NOTSOCK),
        (gone.as_fd(), Errno::PIPE),
    ] {
        let send = SendZc::new(socket, b"x".as_ptr(), 1).sqe(1);
        assert_eq!(last(&mut ring, send), Err(errno));
        let send = SendMsgZc::new(socket, &header).sqe(2);
        assert_eq!(last(&mut ring, send), Err(errno));
    }
    let (ours, _theirs) = tcp_pair();
    let unknown = RecvSendFlags::from_bits_retain(1 << 15);
    let send = SendZc::new(&ours, b"x".as_ptr(), 1).send_flags(unknown).sqe(3);
    assert_eq!(last(&mut ring, send), Err(Errno::INVAL));
}

#[test]
fn a_zero_copy_receive_without_its_queue_is_refused() {
    require!(op: Opcode::RECV_ZC);
    let (ours, _theirs) = tcp_pair();
    let recv = RecvZc::new(&ours, 0).len(4096).sqe(1);
    assert_eq!(result(&mut ring(), recv), Err(Errno::INVAL));
    let builder = IoUring::builder().single_issuer().defer_taskrun().cqe32();
    let mut ring = builder.build_local(8).expect("a ring");
    // SAFETY: the socket stays until `complete` returns; no memory is named.
    let cqe = unsafe { complete(&mut ring, recv) };
    assert_eq!(cqe.cqe.result(), Err(Errno::INVAL), "no such queue");
}
