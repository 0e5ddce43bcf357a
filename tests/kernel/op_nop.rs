//! Operations that do nothing, and operations spelled out field by field.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::fs::File;

use crate::common::{TempDir, complete, reap, require};
use crate::op_common::{AS_OF_6_11, AS_OF_6_15, leaked, reap_told, ring};
use ringbolt::ops::{Fixed, IoVec, Nop, RawOp, Target};
use ringbolt::register::FileSlot;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{NopFlags, Opcode, RegisterOp, SharedPtr};
use ringbolt::{Cqe, IoUring, Sqe};

fn nop(ring: &mut IoUring, nop: Nop, user_data: u64) -> Cqe {
    ring.submission().push_safe(nop.sqe(user_data)).expect("the queue has room");
    assert_eq!(ring.submit(), Ok(1));
    reap(ring, 1).remove(0)
}

/// liburing: nop.
#[test]
fn a_nop_brings_its_user_data_back() {
    let mut ring = ring();
    for user_data in [0, 1, u64::MAX, 1 << 63, 0x0123_4567_89ab_cdef] {
        let cqe = nop(&mut ring, Nop::new(), user_data);
        assert_eq!((cqe.user_data(), cqe.result()), (user_data, Ok(0)));
        assert!(cqe.flags().is_empty(), "{cqe:?}");
    }
}

#[test]
fn a_nop_completes_with_what_it_is_told() {
    require!(op: AS_OF_6_11);
    let mut ring = ring();
    for result in [0, 1, i32::MAX] {
        let cqe = nop(&mut ring, Nop::new().inject_result(result), 1);
        assert_eq!((cqe.raw_result(), cqe.result().ok()), (result, u32::try_from(result).ok()));
    }
    for errno in [Errno::IO, Errno::CANCELED, Errno::NOBUFS] {
        let cqe = nop(&mut ring, Nop::new().inject_result(-errno.raw_os_error()), 1);
        assert_eq!((cqe.raw_result(), cqe.result()), (-errno.raw_os_error(), Err(errno)));
    }
}

#[test]
fn nops_complete_in_order() {
    let mut ring = ring();
    for id in 0..8 {
        ring.submission().push_safe(Nop::new().sqe(id)).expect("the queue has room");
    }
    assert_eq!(ring.submit(), Ok(8));
    assert_eq!(reap_told(&mut ring, 8), (0..8).map(|id| (id, Ok(0))).collect::<Vec<_>>());
}

/// liburing: nop-flags.
#[test]
fn a_nop_can_look_its_file_and_buffer_up() {
    require!(op: AS_OF_6_15);
    let file = File::open("Cargo.toml").expect("the package's own");
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::EMPTY, FileSlot::from(&file)]).expect("slots");
    let buffers = [IoVec::EMPTY, IoVec::from(&mut leaked::<8>()[..])];
    // SAFETY: the memory is leaked, and nobody uses it.
    unsafe { ring.registrar().register_buffers(&buffers) }.expect("buffers");
    let empty = Nop::new();
    let table = [
        (empty.file(&file), Ok(0)),
        (empty.file(Target::Fd(-1)), Err(Errno::BADF)),
        (empty.file(Fixed(0)), Err(Errno::BADF)),
        (empty.file(Fixed(1)), Ok(0)),
        (empty.file(Fixed(2)), Err(Errno::BADF)),
        (empty.fixed_buffer(0), Err(Errno::FAULT)),
        (empty.fixed_buffer(1), Ok(0)),
        (empty.fixed_buffer(2), Err(Errno::FAULT)),
        (empty.flags(NopFlags::from_bits_retain(1 << 31)), Err(Errno::INVAL)),
    ];
    for (op, result) in table {
        assert_eq!(nop(&mut ring, op, 1).result(), result, "{op:?}");
    }
}

/// liburing: nop-flags.
#[test]
fn a_nop_may_complete_by_way_of_task_work() {
    // Both came with Linux 6.17 or later.
    require!(register: RegisterOp::REGISTER_QUERY);
    let mut ring = ring();
    for id in 0..4 {
        let cqe = nop(&mut ring, Nop::new().task_work().inject_result(9), id);
        assert_eq!((cqe.user_data(), cqe.result()), (id, Ok(9)));
    }
}

#[test]
fn a_raw_operation_does_what_its_fields_say() {
    let dir = TempDir::new();
    let file = File::open(dir.file("digits", b"0123456789")).expect("it was just made");
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&file)]).expect("a slot");
    let mut buf = [b'-'; 4];
    let read = RawOp::new(Opcode::READ).fields(|sqe| {
        sqe.set_addr(SharedPtr::from_mut(buf.as_mut_ptr()));
        sqe.set_len(3);
        sqe.set_off(5);
    });
    for (id, read) in [(1, read.target(&file)), (2, read.target(Fixed(0)))] {
        // SAFETY: the file and `buf` stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring, read.sqe(id)) };
        assert_eq!((cqe.user_data(), cqe.result(), &buf), (id, Ok(3), b"567-"));
        buf = [b'-'; 4];
    }
}

#[test]
fn an_operation_that_no_kernel_has_is_einval() {
    let mut ring = ring();
    for opcode in [200, 254, 255] {
        let sqe = RawOp::new(Opcode::from_raw(opcode)).sqe(u64::from(opcode));
        // SAFETY: the entry names nothing.
        let cqe = unsafe { complete(&mut ring, sqe) };
        assert_eq!((cqe.user_data(), cqe.result()), (u64::from(opcode), Err(Errno::INVAL)));
    }
}

#[test]
fn an_entry_can_be_kept_changed_and_pushed_again() {
    let mut ring = ring();
    let kept: Sqe = Nop::new().sqe(1).into();
    let entries: Vec<Sqe> = (1..=4).map(|id| kept.with_user_data(id)).collect();
    let sent =
        std::thread::spawn(move || entries).join().expect("entries go from thread to thread");
    for _ in 0..2 {
        for entry in &sent {
            // SAFETY: the entry names nothing.
            let cqe = unsafe { complete(&mut ring, *entry) };
            assert_eq!((cqe.user_data(), cqe.result()), (entry.user_data(), Ok(0)));
        }
    }
}
