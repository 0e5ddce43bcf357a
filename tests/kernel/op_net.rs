//! Sockets: made, bound, listening, accepting, connecting, and shut down.

use core::net::{Ipv4Addr, SocketAddr as StdAddr};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use crate::common::{complete, reap, require};
use crate::op_common::{
    AS_OF_5_15, AS_OF_5_19, AS_OF_6_11, accept, assert_quiet, cancel, complete_safe, connect,
    listener, owned, patient, pipe, reap_sorted, reap_told, ring, start,
};
use ringbolt::ops::{
    Accept, Bind, Connect, DestSlot, Fixed, Listen, Send, Shutdown, Socket, Target,
};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fd::{AsFd, AsRawFd as _};
use ringbolt::rustix::fs::{OFlags, fcntl_getfl};
use ringbolt::rustix::io::{Errno, FdFlags, fcntl_getfd};
use ringbolt::rustix::net::addr::{SocketAddrArg as _, SocketAddrStorage};
use ringbolt::rustix::net::sockopt::{socket_domain, socket_protocol, socket_type};
use ringbolt::rustix::net::{
    AddressFamily, Protocol, Shutdown as How, SocketAddrAny, SocketFlags, SocketType, getsockname,
    ipproto,
};
use ringbolt::sys::{AcceptFlags, CqeFlags, Opcode};
use ringbolt::{Cqe, IoUring};

const INET: AddressFamily = AddressFamily::INET;
const STREAM: SocketType = SocketType::STREAM;

/// The connection behind a descriptor that accepting made.
fn stream(cqe: Cqe) -> TcpStream {
    patient(TcpStream::from(owned(cqe.result())))
}

/// An address as the kernel has it, which outlives every test.
fn leaked(address: StdAddr) -> &'static SocketAddrAny {
    Box::leak(Box::new(address.as_any()))
}

fn connect_to(ring: &mut IoUring, socket: impl AsFd, address: StdAddr) -> Result<u32, Errno> {
    let address = leaked(address);
    let connect = Connect::new(&socket, address.as_ptr(), address.addr_len()).sqe(1);
    // SAFETY: the socket stays until `complete` returns, and the address for ever.
    unsafe { complete(ring, connect) }.result()
}

fn new_socket(ring: &mut IoUring, socket: Socket) -> Result<u32, Errno> {
    complete_safe(ring, socket.sqe(1)).result()
}

#[test]
fn a_socket_is_of_the_kind_asked_for() {
    require!(op: Opcode::SOCKET);
    let mut ring = ring();
    let tcp = owned(new_socket(&mut ring, Socket::new(INET, STREAM)));
    assert_eq!((socket_domain(&tcp), socket_type(&tcp)), (Ok(INET), Ok(STREAM)));
    assert_eq!(fcntl_getfd(&tcp), Ok(FdFlags::empty()));

    let dgram = Socket::new(INET, SocketType::DGRAM).protocol(ipproto::UDP);
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let udp = owned(new_socket(&mut ring, dgram.flags(flags)));
    assert_eq!(socket_type(&udp), Ok(SocketType::DGRAM));
    assert_eq!(socket_protocol(&udp), Ok(Some(ipproto::UDP)));
    assert_eq!(fcntl_getfd(&udp), Ok(FdFlags::CLOEXEC));
    assert!(fcntl_getfl(&udp).expect("it is open").contains(OFlags::NONBLOCK));
}

#[test]
fn a_socket_that_cannot_be_says_why() {
    require!(op: Opcode::SOCKET);
    let mut ring = ring();
    let no_family = Socket::new(AddressFamily::from_raw(999), STREAM);
    let mut error = |socket| new_socket(&mut ring, socket);
    assert_eq!(error(no_family), Err(Errno::AFNOSUPPORT));
    assert_eq!(error(Socket::new(INET, STREAM).protocol(ipproto::UDP)), Err(Errno::PROTONOSUPPORT));
    let unknown = SocketFlags::from_bits_retain(1 << 30);
    assert_eq!(error(Socket::new(INET, STREAM).flags(unknown)), Err(Errno::INVAL));
    let slot = Socket::new(INET, STREAM).fixed(DestSlot::At(Fixed(0)));
    assert_eq!(error(slot), Err(Errno::NXIO), "no table");
    assert_eq!(error(slot.flags(SocketFlags::CLOEXEC)), Err(Errno::INVAL));
}

#[test]
fn a_socket_in_a_slot_connects_and_sends() {
    require!(op: Opcode::SOCKET);
    let (listener, address) = listener();
    let address = leaked(address);
    let mut ring = ring();
    ring.registrar().register_files_sparse(3).expect("three empty slots");
    let at = Socket::new(INET, STREAM).fixed(DestSlot::At(Fixed(2)));
    assert_eq!(new_socket(&mut ring, at), Ok(0));
    let alloc = Socket::new(INET, STREAM).fixed(DestSlot::Alloc);
    assert_eq!(new_socket(&mut ring, alloc), Ok(0), "the first free slot");
    for slot in [Fixed(2), Fixed(0)] {
        let connect = Connect::new(slot, address.as_ptr(), address.addr_len()).sqe(1);
        // SAFETY: the address stays for ever.
        assert_eq!(unsafe { complete(&mut ring, connect) }.result(), Ok(0));
        let send = Send::new(slot, b"hello".as_ptr(), 5).sqe(2);
        // SAFETY: the bytes stay for ever.
        assert_eq!(unsafe { complete(&mut ring, send) }.result(), Ok(5));
        let (mut peer, _) = accept(&listener);
        let mut buf = [0; 5];
        peer.read_exact(&mut buf).expect("five bytes");
        assert_eq!(&buf, b"hello");
    }
}

#[test]
fn bind_and_listen_make_a_listener_that_others_can_reach() {
    require!(op: Opcode::LISTEN);
    let mut ring = ring();
    let socket = owned(new_socket(&mut ring, Socket::new(INET, STREAM)));
    let any_port = leaked(StdAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let bind = Bind::new(&socket, any_port.as_ptr(), any_port.addr_len()).sqe(1);
    // SAFETY: the socket stays until `complete` returns, and the address for ever.
    assert_eq!(unsafe { complete(&mut ring, bind) }.result(), Ok(0));
    // SAFETY: the socket stays until `complete` returns; no memory is named.
    let cqe = unsafe { complete(&mut ring, Listen::new(&socket, 4).sqe(2)) };
    assert_eq!(cqe.result(), Ok(0));

    let listener = patient(TcpListener::from(socket));
    let address = listener.local_addr().expect("it is bound");
    assert_ne!(address.port(), 0);
    let client = connect(address);
    let (peer, from) = accept(&listener);
    assert_eq!(Some(from), client.local_addr().ok());
    drop(peer);

    // The address is taken now, and the listener has one.
    let other = owned(new_socket(&mut ring, Socket::new(INET, STREAM)));
    let taken = leaked(address);
    for (socket, errno) in [(other.as_fd(), Errno::ADDRINUSE), (listener.as_fd(), Errno::INVAL)] {
        let bind = Bind::new(socket, taken.as_ptr(), taken.addr_len()).sqe(3);
        // SAFETY: the sockets stay until `complete` returns, and the address for ever.
        assert_eq!(unsafe { complete(&mut ring, bind) }.result(), Err(errno));
    }
}

#[test]
fn what_is_no_socket_is_enotsock() {
    require!(op: AS_OF_6_11);
    let (reader, _writer) = pipe();
    let address = leaked(StdAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let (ptr, len) = (address.as_ptr(), address.addr_len());
    let mut ring = ring();
    let entries = [
        Bind::new(&reader, ptr, len).sqe(1),
        Listen::new(&reader, 1).sqe(2),
        Accept::new(&reader).sqe(3),
        Connect::new(&reader, ptr, len).sqe(4),
        Send::new(&reader, b"x".as_ptr(), 1).sqe(5),
        Shutdown::new(&reader, How::Both).sqe(6),
    ];
    for entry in entries {
        // SAFETY: the pipe stays until `complete` returns, address and byte for ever.
        let cqe = unsafe { complete(&mut ring, entry) };
        assert_eq!(cqe.result(), Err(Errno::NOTSOCK), "{entry:?}");
    }
}

/// liburing: accept.
#[test]
fn accept_takes_a_connection_and_tells_who_it_is() {
    let (listener, address) = listener();
    let client = connect(address);
    let mut ring = ring();
    let room = u32::try_from(size_of::<SocketAddrStorage>()).expect("a small size");
    let mut peer = core::mem::MaybeUninit::<SocketAddrStorage>::uninit();
    let mut len = room;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let accept = Accept::new(&listener).peer(peer.as_mut_ptr(), &mut len).flags(flags).sqe(1);
    // SAFETY: the listener, `peer` and `len` stay until `complete` returns.
    let accepted = stream(unsafe { complete(&mut ring, accept) });
    assert_eq!(accepted.peer_addr().ok(), client.local_addr().ok());
    assert_eq!(fcntl_getfd(&accepted), Ok(FdFlags::CLOEXEC));
    assert!(fcntl_getfl(&accepted).expect("it is open").contains(OFlags::NONBLOCK));

    assert!(len <= room);
    // SAFETY: the kernel wrote an address of `len` bytes there.
    let told = unsafe { SocketAddrAny::new(peer, len) };
    assert_eq!(StdAddr::try_from(told).ok(), client.local_addr().ok());
}

#[test]
fn accept_waits_for_a_connection() {
    let (listener, address) = listener();
    let mut ring = ring();
    // SAFETY: the listener stays; no memory is named.
    unsafe { start(&mut ring, Accept::new(&listener).sqe(1)) };
    assert_quiet(&mut ring);
    let mut client = connect(address);
    let mut accepted = stream(reap(&mut ring, 1).remove(0));
    client.write_all(b"x").expect("a connection");
    let mut buf = [0; 1];
    accepted.read_exact(&mut buf).expect("a byte");
    assert_eq!(&buf, b"x");
}

/// liburing: accept.
#[test]
fn a_waiting_accept_can_be_cancelled_and_leaves_the_connection_to_others() {
    let (listener, address) = listener();
    let mut ring = ring();
    // SAFETY: the listener stays; no memory is named.
    unsafe { start(&mut ring, Accept::new(&listener).sqe(1)) };
    assert_quiet(&mut ring);
    cancel(&mut ring, 1, 2);
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Err(Errno::CANCELED)), (2, Ok(0))]);
    let client = connect(address);
    let (_, from) = accept(&listener);
    assert_eq!(Some(from), client.local_addr().ok());
    assert_quiet(&mut ring);
}

/// liburing: accept.
#[test]
fn a_multishot_accept_takes_one_connection_after_the_other() {
    require!(op: AS_OF_5_19);
    let (listener, address) = listener();
    let mut ring = ring();
    // SAFETY: the listener stays; no memory is named.
    unsafe { start(&mut ring, Accept::new(&listener).multishot().sqe(1)) };
    for _ in 0..3 {
        let client = connect(address);
        let cqe = reap(&mut ring, 1).remove(0);
        assert!(cqe.has_more(), "{cqe:?}");
        assert_eq!(stream(cqe).peer_addr().ok(), client.local_addr().ok());
    }
    cancel(&mut ring, 1, 2);
    let mut last = reap(&mut ring, 2);
    last.sort_by_key(Cqe::user_data);
    let told: Vec<_> = last.iter().map(|cqe| (cqe.result(), cqe.has_more())).collect();
    assert_eq!(told, [(Err(Errno::CANCELED), false), (Ok(0), false)]);
}

/// liburing: accept.
#[test]
fn connections_go_into_slots() {
    require!(op: AS_OF_5_15);
    let (listener, address) = listener();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::EMPTY; 3]).expect("three empty slots");
    let mut client = connect(address);
    let accept = Accept::new(&listener).fixed(DestSlot::At(Fixed(2))).sqe(1);
    // SAFETY: the listener stays; no memory is named.
    assert_eq!(unsafe { complete(&mut ring, accept) }.result(), Ok(0));
    // SAFETY: the bytes stay for ever.
    let cqe = unsafe { complete(&mut ring, Send::new(Fixed(2), b"hi".as_ptr(), 2).sqe(2)) };
    assert_eq!(cqe.result(), Ok(2));
    let mut buf = [0; 2];
    client.read_exact(&mut buf).expect("two bytes");
    assert_eq!(&buf, b"hi");
}

#[test]
fn a_multishot_accept_fills_the_free_slots_and_ends_when_there_is_none() {
    require!(op: AS_OF_5_19);
    let (listener, address) = listener();
    let mut ring = ring();
    let slots = [FileSlot::EMPTY, FileSlot::from(&listener), FileSlot::EMPTY];
    ring.registrar().register_files(&slots).expect("three slots");
    let accept = Accept::new(Fixed(1)).multishot().fixed(DestSlot::Alloc).sqe(1);
    // SAFETY: the listener stays, as a registered file; no memory is named.
    unsafe { start(&mut ring, accept) };
    let mut clients = Vec::new();
    let mut told = Vec::new();
    for _ in 0..3 {
        clients.push(connect(address));
        let cqe = reap(&mut ring, 1).remove(0);
        told.push((cqe.result(), cqe.flags().contains(CqeFlags::MORE)));
    }
    assert_eq!(told, [(Ok(0), true), (Ok(2), true), (Err(Errno::NFILE), false)]);
}

#[test]
fn accept_says_why_it_cannot() {
    require!(op: AS_OF_6_11);
    let (listener, _) = listener();
    let mut ring = ring();
    let silent = owned(new_socket(&mut ring, Socket::new(INET, STREAM)));
    let table = [
        (Accept::new(&silent), Errno::INVAL),
        (Accept::new(&listener).accept_flags(AcceptFlags::DONTWAIT), Errno::AGAIN),
        (Accept::new(&listener).flags(SocketFlags::from_bits_retain(1 << 30)), Errno::INVAL),
        (Accept::new(&listener).accept_flags(AcceptFlags::from_bits_retain(1 << 15)), Errno::INVAL),
        (Accept::new(Target::Fixed(Fixed(0))), Errno::BADF),
    ];
    for (accept, errno) in table {
        // SAFETY: the sockets stay until `complete` returns; no memory is named.
        let cqe = unsafe { complete(&mut ring, accept.sqe(1)) };
        assert_eq!(cqe.result(), Err(errno), "{accept:?}");
    }
}

#[test]
fn an_accept_that_polls_first_waits_for_a_connection() {
    require!(op: AS_OF_6_11);
    let (listener, address) = listener();
    let mut ring = ring();
    let accept = Accept::new(&listener).poll_first();
    // SAFETY: the listener stays until the completion is there; no memory is named.
    unsafe { start(&mut ring, accept.sqe(1)) };
    assert_quiet(&mut ring);
    let client = connect(address);
    let peer = stream(reap(&mut ring, 1).remove(0));
    assert_eq!(peer.peer_addr().ok(), client.local_addr().ok());
    // The first attempt comes after the poll: a connection that waits is still found.
    let client = connect(address);
    // SAFETY: as above.
    let peer = stream(unsafe { complete(&mut ring, accept.sqe(2)) });
    assert_eq!(peer.peer_addr().ok(), client.local_addr().ok());
    assert_eq!(accept.sqe(1).ioprio(), AcceptFlags::POLL_FIRST.bits());
}

/// The backlog of a TCP socket that listens, as the kernel keeps it.
fn backlog(socket: impl AsFd) -> u32 {
    let mut info = core::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    let mut len = libc::socklen_t::try_from(size_of::<libc::tcp_info>()).expect("a small struct");
    let (fd, at) = (socket.as_fd().as_raw_fd(), info.as_mut_ptr().cast());
    // SAFETY: `at` is valid for writes of `len` bytes during the call.
    let result = unsafe { libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, at, &mut len) };
    assert_eq!(result, 0);
    // SAFETY: it is zeroed where the call has written nothing, and numbers all over.
    unsafe { info.assume_init() }.tcpi_sacked
}

#[test]
fn a_backlog_is_lowered_to_the_limit_of_the_system() {
    require!(op: Opcode::LISTEN);
    let limit = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("a limit");
    let limit: u32 = limit.trim().parse().expect("a number");
    let mut ring = ring();
    let socket = owned(new_socket(&mut ring, Socket::new(INET, STREAM)));
    for (asked, expected) in [(0, 0), (5, 5), (limit, limit), (u32::MAX, limit)] {
        // SAFETY: the socket stays until `complete` returns; no memory is named.
        let cqe = unsafe { complete(&mut ring, Listen::new(&socket, asked).sqe(1)) };
        assert_eq!((cqe.result(), backlog(&socket)), (Ok(0), expected), "{asked}");
    }
}

#[test]
fn connect_succeeds_once_and_is_refused_where_nobody_listens() {
    require!(op: Opcode::SOCKET);
    let (listener, address) = listener();
    let mut ring = ring();
    let socket = owned(new_socket(&mut ring, Socket::new(INET, STREAM)));
    assert_eq!(connect_to(&mut ring, &socket, address), Ok(0));
    let (_peer, from) = accept(&listener);
    let ours = getsockname(&socket).expect("a name of its own");
    assert_eq!(StdAddr::try_from(ours).ok(), Some(from));
    assert_eq!(connect_to(&mut ring, &socket, address), Err(Errno::ISCONN));

    drop(listener);
    let socket = owned(new_socket(&mut ring, Socket::new(INET, STREAM)));
    assert_eq!(connect_to(&mut ring, &socket, address), Err(Errno::CONNREFUSED));
}

#[test]
fn shutdown_ends_one_direction_or_both() {
    require!(op: Opcode::SOCKET);
    let (listener, address) = listener();
    let mut ring = ring();
    for (how, we_can_write) in [(How::Write, false), (How::Read, true), (How::Both, false)] {
        let mut ours = connect(address);
        let (mut theirs, _) = accept(&listener);
        // SAFETY: the socket stays until `complete` returns; no memory is named.
        let cqe = unsafe { complete(&mut ring, Shutdown::new(&ours, how).sqe(1)) };
        assert_eq!(cqe.result(), Ok(0), "{how:?}");
        let mut buf = [0; 1];
        if we_can_write {
            ours.write_all(b"x").expect("this direction is open");
            theirs.read_exact(&mut buf).expect("a byte");
            assert_eq!(ours.read(&mut buf).ok(), Some(0), "{how:?}");
        } else {
            assert_eq!(theirs.read(&mut buf).ok(), Some(0), "{how:?}");
        }
    }
    // SAFETY: the socket stays until `complete` returns; no memory is named.
    let cqe = unsafe { complete(&mut ring, Shutdown::new(&listener, How::Both).sqe(1)) };
    assert_eq!(cqe.result(), Ok(0), "a listener stops listening");
    let udp = owned(new_socket(&mut ring, Socket::new(INET, SocketType::DGRAM)));
    // SAFETY: the socket stays until `complete` returns; no memory is named.
    let cqe = unsafe { complete(&mut ring, Shutdown::new(&udp, How::Both).sqe(1)) };
    assert_eq!(cqe.result(), Err(Errno::NOTCONN));
}

#[test]
fn a_protocol_of_another_family_is_refused() {
    require!(op: Opcode::SOCKET);
    let number = core::num::NonZeroU32::new(132_000).expect("not 0");
    let socket = Socket::new(INET, STREAM).protocol(Protocol::from_raw(number));
    let result = new_socket(&mut ring(), socket);
    assert!(matches!(result, Err(Errno::INVAL | Errno::PROTONOSUPPORT)), "{result:?}");
}

#[test]
fn a_completion_of_a_waiting_accept_comes_once() {
    let (listener, address) = listener();
    let mut ring = ring();
    // SAFETY: the listener stays; no memory is named.
    unsafe { start(&mut ring, Accept::new(&listener).sqe(7)) };
    let _one = connect(address);
    let _two = connect(address);
    let told = reap_told(&mut ring, 1);
    assert_eq!(told.first().map(|(user_data, _)| *user_data), Some(7));
    assert_quiet(&mut ring);
    listener.set_nonblocking(true).expect("a listener");
    assert!(listener.accept().is_ok(), "the second connection is for others");
    assert!(listener.accept().is_err(), "and there is no third");
}
