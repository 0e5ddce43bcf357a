//! Commands that a file interprets by itself.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::ffi::c_void;
use core::mem::MaybeUninit;
use std::fs::File;
use std::io::Write as _;

use crate::common;
use crate::common::{TempDir, complete, require};
use crate::op_common;
use crate::op_common::{AS_OF_6_7, pipe, ring, tcp_pair, unix_pair};
use ringbolt::ops::{BlockDiscard, Fixed, SocketCommand, Target, UringCmd, UringCmd80};
use ringbolt::register::FileSlot;
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::net::SocketAddrAny;
use ringbolt::rustix::net::addr::SocketAddrStorage;
use ringbolt::rustix::net::sockopt::{
    set_socket_recv_buffer_size, set_tcp_nodelay, socket_reuseaddr, tcp_nodelay,
};
use ringbolt::sys::{Opcode, RegisterOp, SetupFlags, SqeFlags, UringCmdFlags};
use ringbolt::{IoUring, Sqe, Sqe128};

/// `SOL_SOCKET`, `SO_REUSEADDR` and the like, as a command takes them.
fn raw(number: i32) -> u32 {
    u32::try_from(number).expect("not negative")
}

/// What an entry comes to.
fn result(ring: &mut IoUring, sqe: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller keeps all that the entry names until this returns.
    unsafe { complete(ring, sqe) }.result()
}

#[test]
fn a_socket_tells_how_many_bytes_wait_on_either_side() {
    require!(op: AS_OF_6_7);
    let (mut ours, theirs) = tcp_pair();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&theirs)]).expect("a slot");
    assert_eq!(result(&mut ring, SocketCommand::bytes_to_read(&theirs).sqe(1)), Ok(0));
    for sum in [5, 10] {
        ours.write_all(b"hello").expect("room in the socket");
        assert_eq!(theirs.peek(&mut [0; 16]).ok(), usize::try_from(sum).ok(), "it has come");
        assert_eq!(
            result(&mut ring, SocketCommand::bytes_to_read(Fixed(0)).sqe(1).into()),
            Ok(sum)
        );
    }

    assert_eq!(result(&mut ring, SocketCommand::bytes_to_send(&ours).sqe(1)), Ok(0));
    // More than the other side takes.
    set_socket_recv_buffer_size(&theirs, 4096).expect("a socket");
    ours.set_nonblocking(true).expect("a socket");
    while ours.write(&[0; 65_536]).is_ok() {}
    let waiting = result(&mut ring, SocketCommand::bytes_to_send(&ours).sqe(1));
    assert!(waiting.is_ok_and(|bytes| bytes > 0), "{waiting:?}");
}

/// Sets an option of 32 bits.
fn set(
    ring: &mut IoUring,
    socket: impl Into<Target>,
    level: i32,
    name: i32,
    value: i32,
) -> Result<u32, Errno> {
    let at: *const c_void = (&raw const value).cast();
    result(ring, SocketCommand::set_option(socket.into(), raw(level), raw(name), at, 4).sqe(1))
}

/// Reads an option of 32 bits.
fn get(
    ring: &mut IoUring,
    socket: impl Into<Target>,
    level: i32,
    name: i32,
) -> (Result<u32, Errno>, i32) {
    let mut value = -7_i32;
    let at: *mut c_void = (&raw mut value).cast();
    let get = SocketCommand::get_option(socket.into(), raw(level), raw(name), at, 4).sqe(1);
    (result(ring, get), value)
}

#[test]
fn options_of_a_socket_are_set_and_read() {
    require!(op: AS_OF_6_7);
    let (ours, _theirs) = tcp_pair();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&ours)]).expect("a slot");
    assert_eq!(get(&mut ring, &ours, libc::SOL_SOCKET, libc::SO_TYPE), (Ok(4), libc::SOCK_STREAM));
    for value in [1, 0] {
        let (level, name) = (libc::SOL_SOCKET, libc::SO_REUSEADDR);
        assert_eq!(set(&mut ring, Fixed(0), level, name, value), Ok(0));
        assert_eq!(socket_reuseaddr(&ours), Ok(value == 1));
        assert_eq!(get(&mut ring, Fixed(0), level, name), (Ok(4), value));
    }
    // Another level: it can be set, but not be read.
    set_tcp_nodelay(&ours, false).expect("a socket");
    assert_eq!(set(&mut ring, &ours, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1), Ok(0));
    assert_eq!(tcp_nodelay(&ours), Ok(true));
    let (told, _) = get(&mut ring, &ours, libc::IPPROTO_TCP, libc::TCP_NODELAY);
    assert_eq!(told, Err(Errno::OPNOTSUPP));
}

#[test]
fn an_option_is_cut_to_the_room_there_is() {
    require!(op: AS_OF_6_7);
    let (ours, _theirs) = tcp_pair();
    let mut value = [0xff_u8; 4];
    let at = value.as_mut_ptr().cast();
    let (level, name) = (raw(libc::SOL_SOCKET), raw(libc::SO_TYPE));
    let get = SocketCommand::get_option(&ours, level, name, at, 2).sqe(1);
    assert_eq!(result(&mut ring(), get), Ok(2));
    let [first, second, ..] = libc::SOCK_STREAM.to_ne_bytes();
    assert_eq!(value, [first, second, 0xff, 0xff]);
}

#[test]
fn socket_commands_that_cannot_be_say_why() {
    require!(op: AS_OF_6_7);
    let (ours, _theirs) = tcp_pair();
    let (reader, _writer) = pipe();
    let (unix, _peer) = unix_pair();
    let mut ring = ring();
    let (level, name) = (libc::SOL_SOCKET, libc::SO_REUSEADDR);
    assert_eq!(set(&mut ring, &ours, level, 9999, 1), Err(Errno::NOPROTOOPT));
    assert_eq!(get(&mut ring, &ours, level, 9999).0, Err(Errno::NOPROTOOPT));
    let nowhere = core::ptr::without_provenance_mut(8);
    let (level, name) = (raw(level), raw(name));
    let table = [
        (SocketCommand::set_option(&ours, level, name, nowhere, 4), Errno::FAULT),
        (SocketCommand::get_option(&ours, level, name, nowhere, 4), Errno::FAULT),
        (SocketCommand::set_option(&ours, level, name, nowhere, 1), Errno::INVAL),
        (SocketCommand::bytes_to_read(&reader), Errno::OPNOTSUPP),
        (SocketCommand::bytes_to_read(&unix), Errno::OPNOTSUPP),
        (SocketCommand::bytes_to_read(Target::Fd(-1)), Errno::BADF),
        (SocketCommand::bytes_to_read(Target::Fixed(Fixed(0))), Errno::BADF),
    ];
    for (command, errno) in table {
        assert_eq!(result(&mut ring, command.sqe(1)), Err(errno), "{command:?}");
    }
}

#[test]
fn a_socket_tells_its_addresses_or_that_the_kernel_cannot() {
    require!(op: AS_OF_6_7);
    let (ours, _theirs) = tcp_pair();
    let mut ring = ring();
    let room = u32::try_from(size_of::<SocketAddrStorage>()).expect("a small size");
    for of_peer in [false, true] {
        let mut address = MaybeUninit::<SocketAddrStorage>::uninit();
        let mut len = room;
        let at = address.as_mut_ptr();
        let command = if of_peer {
            SocketCommand::peer_address(&ours, at, &mut len)
        } else {
            SocketCommand::own_address(&ours, at, &mut len)
        };
        match result(&mut ring, command.sqe(1)) {
            // Before Linux 6.19.
            Err(Errno::OPNOTSUPP) => assert_eq!(len, room),
            told => {
                assert_eq!(told, Ok(0));
                // SAFETY: the kernel wrote an address of that length there.
                let told = unsafe { SocketAddrAny::new(address, len) };
                let expected = if of_peer { ours.peer_addr() } else { ours.local_addr() };
                assert_eq!(core::net::SocketAddr::try_from(told).ok(), expected.ok());
            }
        }
    }
}

#[test]
fn time_stamps_need_a_ring_with_wide_completions() {
    // The command came with Linux 6.17.
    require!(register: RegisterOp::REGISTER_QUERY);
    let (ours, _theirs) = tcp_pair();
    let command = SocketCommand::tx_timestamps(&ours).sqe(1);
    assert_eq!(result(&mut ring(), command), Err(Errno::INVAL));
    // Nobody has asked for stamps: there is none to tell, and it waits until it is cancelled.
    let mut ring = IoUring::builder().cqe32().build(8).expect("a ring");
    // SAFETY: the socket stays; no memory is named.
    unsafe { op_common::start(&mut ring, command) };
    op_common::assert_quiet(&mut ring);
    op_common::cancel(&mut ring, 1, 2);
    let told = op_common::reap_sorted(&mut ring, 2);
    assert_eq!(told, [(1, Err(Errno::CANCELED)), (2, Ok(0))]);
}

#[test]
fn a_file_without_commands_is_eopnotsupp() {
    require!(op: Opcode::URING_CMD);
    let dir = TempDir::new();
    let path = dir.file("data", b"four");
    let file = File::options().read(true).write(true).open(path).expect("it was just made");
    let (reader, _writer) = pipe();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&file)]).expect("a slot");
    let command = |target: Target| UringCmd::new(target, 1).payload([7; 16]).sqe(1);
    for target in [Target::from(&file), Target::from(&reader), Target::from(Fixed(0))] {
        assert_eq!(result(&mut ring, command(target)), Err(Errno::OPNOTSUPP), "{target:?}");
    }
    assert_eq!(result(&mut ring, command(Target::Fd(-1))), Err(Errno::BADF));
    let unknown = UringCmd::new(&file, 1).flags(UringCmdFlags::from_bits_retain(1 << 5)).sqe(1);
    assert_eq!(result(&mut ring, unknown), Err(Errno::INVAL));
    let no_buffer = UringCmd::new(&file, 1).fixed_buffer(3).sqe(1);
    assert!(matches!(result(&mut ring, no_buffer), Err(Errno::FAULT | Errno::OPNOTSUPP)));
    let discard = BlockDiscard::new(&file, 0, 4096).sqe(1);
    assert_eq!(result(&mut ring, discard), Err(Errno::OPNOTSUPP));
    assert_eq!(std::fs::read(dir.join("data")).ok().as_deref(), Some(&b"four"[..]));
}

#[test]
fn a_socket_does_not_know_every_command() {
    require!(op: AS_OF_6_7);
    let (ours, _theirs) = tcp_pair();
    let unknown = UringCmd::new(&ours, 4711).sqe(1);
    assert_eq!(result(&mut ring(), unknown), Err(Errno::OPNOTSUPP));
}

#[test]
fn a_wide_command_has_its_payload_in_one_piece() {
    let (reader, _writer) = pipe();
    let payload: [u8; 80] = core::array::from_fn(|index| u8::try_from(index).expect("small"));
    let narrow = UringCmd::new(&reader, 0x1234).payload([9; 16]).sqe(1).to_bytes();
    assert_eq!(narrow[48..], [9; 16]);
    for (command, opcode) in [
        (UringCmd80::new(&reader, 0x1234, payload), Opcode::URING_CMD),
        (UringCmd80::mixed(&reader, 0x1234, payload), Opcode::URING_CMD128),
    ] {
        let wide: Sqe128 = command.flags(UringCmdFlags::FIXED).sqe(5);
        assert_eq!((wide.sqe.opcode(), wide.sqe.user_data()), (opcode, 5));
        assert_eq!(wide.sqe.flags(), SqeFlags::empty());
        let bytes = wide.sqe.to_bytes();
        assert_eq!(bytes[8..12], 0x1234_u32.to_ne_bytes());
        assert_eq!(bytes[28..32], UringCmdFlags::FIXED.bits().to_ne_bytes());
        assert_eq!([&bytes[48..], &wide.payload].concat(), payload);
    }
}

/// liburing: sqe-mixed-uring_cmd.
#[test]
fn a_wide_command_reaches_the_driver() {
    require!(setup: SetupFlags::SQE128);
    require!(op: AS_OF_6_7);
    let (reader, _writer) = pipe();
    let (mut ours, theirs) = tcp_pair();
    ours.write_all(b"hello").expect("room in the socket");
    assert_eq!(theirs.peek(&mut [0; 16]).ok(), Some(5), "it has come");
    let mut ring = IoUring::builder().sqe128().build(8).expect("a ring");
    let bytes_to_read = ringbolt::sys::SocketCmd::SIOCINQ.as_raw();
    let mixed = if lacks_mixed() { Errno::INVAL } else { Errno::OPNOTSUPP };
    let table = [
        (UringCmd80::new(&reader, 1, [0; 80]), Err(Errno::OPNOTSUPP)),
        (UringCmd80::new(&theirs, bytes_to_read, [0; 80]), Ok(5)),
        (UringCmd80::mixed(&reader, 1, [0; 80]), Err(mixed)),
    ];
    for (command, told) in table {
        // SAFETY: the files stay until `complete` returns; no memory is named.
        let cqe = unsafe { complete(&mut ring, command.sqe(1)) };
        assert_eq!(cqe.result(), told, "{command:?}");
    }
}

/// Whether the kernel knows no mixed entries, nor the opcodes that are for them.
fn lacks_mixed() -> bool {
    common::lacks_op(Opcode::URING_CMD128).is_some()
}
