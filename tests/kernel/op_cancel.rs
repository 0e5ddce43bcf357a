//! Cancelling what is in flight, by all that it can be recognised by.

use core::time::Duration;
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use crate::common::{PATIENCE, require};
use crate::op_common::{
    AS_OF_5_19, AS_OF_6_0, AS_OF_6_7, Told, assert_quiet, finish, leaked, pipe, reap_sorted, ring,
    start,
};
use ringbolt::ops::{AsyncCancel, CancelFile, Fixed, Nop, PollAdd, Read, Timeout};
use ringbolt::register::FileSlot;
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{CancelFlags, Opcode};
use ringbolt::{IoUring, Timespec};

const CANCELED: Result<u32, Errno> = Err(Errno::CANCELED);

/// The `user_data` of the cancellation in each test.
const CANCEL: u64 = 99;

/// Starts a read that waits until something is written to the pipe.
fn start_read(ring: &mut IoUring, pipe: &(File, File), id: u64) {
    let read = Read::new(&pipe.0, leaked::<8>().as_mut_ptr(), 8).sqe(id);
    // SAFETY: the buffer stays for ever, and is not touched.
    unsafe { start(ring, read) };
}

fn start_poll(ring: &mut IoUring, pipe: &(File, File), id: u64) {
    // SAFETY: no memory is named; the caller's pipe outlives what is in flight.
    unsafe { start(ring, PollAdd::new(&pipe.0, EventFlags::IN).sqe(id)) };
}

/// Cancels, and tells `want` completions besides the cancellation's own, which comes first.
fn cancel(ring: &mut IoUring, op: AsyncCancel, want: usize) -> (Result<u32, Errno>, Vec<Told>) {
    ring.submission().push_safe(op.sqe(CANCEL)).expect("the queue has room");
    assert_eq!(ring.submit(), Ok(1));
    let mut told = reap_sorted(ring, want + 1);
    let (user_data, result) = told.pop().expect("one more than wanted");
    assert_eq!(user_data, CANCEL, "{told:?}");
    (result, told)
}

/// The same by file. The caller keeps the file open until this returns.
fn cancel_file(ring: &mut IoUring, op: CancelFile, want: usize) -> (Result<u32, Errno>, Vec<Told>) {
    // SAFETY: the descriptor is open, by the contract of this function.
    unsafe { start(ring, op.sqe(CANCEL)) };
    let mut told = reap_sorted(ring, want + 1);
    let (user_data, result) = told.pop().expect("one more than wanted");
    assert_eq!(user_data, CANCEL, "{told:?}");
    (result, told)
}

/// liburing: io-cancel.
#[test]
fn by_user_data_one_is_cancelled_and_the_others_go_on() {
    let mut pipe = pipe();
    let mut ring = ring();
    for id in 1..=3 {
        start_read(&mut ring, &pipe, id);
    }
    assert_quiet(&mut ring);
    let told = cancel(&mut ring, AsyncCancel::of_user_data(2), 1);
    assert_eq!(told, (Ok(0), vec![(2, CANCELED)]));
    finish(&mut ring, &mut pipe, &[1, 3]);
}

#[test]
fn what_is_not_there_is_enoent() {
    let mut pipe = pipe();
    let mut ring = ring();
    let none = (Err(Errno::NOENT), vec![]);
    assert_eq!(cancel(&mut ring, AsyncCancel::of_user_data(1), 0), none);
    start_read(&mut ring, &pipe, 1);
    assert_eq!(cancel(&mut ring, AsyncCancel::of_user_data(2), 0), none);
    assert_eq!(cancel(&mut ring, AsyncCancel::of_user_data(u64::MAX), 0), none);
    finish(&mut ring, &mut pipe, &[1]);
    assert_eq!(cancel(&mut ring, AsyncCancel::of_user_data(1), 0), none, "it has completed");
}

#[test]
fn of_those_alike_one_is_cancelled_or_all_are_and_counted() {
    require!(op: AS_OF_5_19);
    let mut pipe = pipe();
    let mut ring = ring();
    for _ in 0..3 {
        start_read(&mut ring, &pipe, 1);
    }
    let one = AsyncCancel::of_user_data(1);
    assert_eq!(cancel(&mut ring, one, 1), (Ok(0), vec![(1, CANCELED)]));
    assert_quiet(&mut ring);
    assert_eq!(cancel(&mut ring, one.all(), 2), (Ok(2), vec![(1, CANCELED); 2]));
    assert_eq!(cancel(&mut ring, one.all(), 0), (Ok(0), vec![]), "none is a number, too");
    finish(&mut ring, &mut pipe, &[]);
}

#[test]
fn by_file_only_that_file_s_are_cancelled() {
    require!(op: AS_OF_5_19);
    let (one, mut two) = (pipe(), pipe());
    let mut ring = ring();
    start_read(&mut ring, &one, 1);
    start_poll(&mut ring, &one, 2);
    start_read(&mut ring, &two, 3);
    assert_quiet(&mut ring);
    let all = AsyncCancel::of_file(&one.0).all();
    assert_eq!(cancel_file(&mut ring, all, 2), (Ok(2), vec![(1, CANCELED), (2, CANCELED)]));
    let told = cancel_file(&mut ring, AsyncCancel::of_file(&one.0), 0);
    assert_eq!(told, (Err(Errno::NOENT), vec![]));
    finish(&mut ring, &mut two, &[3]);
}

#[test]
fn the_flag_for_a_file_names_no_descriptor_by_itself() {
    require!(op: AS_OF_5_19);
    let mut pipe = pipe();
    let mut ring = ring();
    start_read(&mut ring, &pipe, 1);
    let bare = AsyncCancel::of_user_data(1).flags(CancelFlags::FD);
    assert_eq!(cancel(&mut ring, bare, 0), (Err(Errno::BADF), vec![]));
    assert_eq!(cancel(&mut ring, bare.all(), 0), (Err(Errno::BADF), vec![]));
    finish(&mut ring, &mut pipe, &[1]);
}

#[test]
fn by_slot_only_that_slot_s_are_cancelled() {
    require!(op: AS_OF_6_0);
    let (one, mut two) = (pipe(), pipe());
    let mut ring = ring();
    let slots = [FileSlot::from(&one.0), FileSlot::from(&two.0)];
    ring.registrar().register_files(&slots).expect("two slots");
    for id in [0, 1] {
        let slot = Fixed(u32::try_from(id).expect("0 or 1"));
        let read = Read::new(slot, leaked::<8>().as_mut_ptr(), 8).sqe(id);
        // SAFETY: the buffer stays for ever, and is not touched.
        unsafe { start(&mut ring, read) };
    }
    assert_quiet(&mut ring);
    let told = cancel(&mut ring, AsyncCancel::of_fixed(Fixed(0)), 1);
    assert_eq!(told, (Ok(0), vec![(0, CANCELED)]));
    let told = cancel(&mut ring, AsyncCancel::of_fixed(Fixed(7)), 0);
    assert_eq!(told, (Err(Errno::BADF), vec![]), "no such slot");
    finish(&mut ring, &mut two, &[1]);
}

#[test]
fn by_opcode_only_that_operation_s_are_cancelled() {
    require!(op: AS_OF_6_7);
    let mut pipe = pipe();
    let mut ring = ring();
    start_poll(&mut ring, &pipe, 1);
    start_poll(&mut ring, &pipe, 2);
    start_read(&mut ring, &pipe, 3);
    assert_quiet(&mut ring);
    // `user_data` is no longer looked at, unless that is asked for.
    let polls = AsyncCancel::of_user_data(3).opcode(Opcode::POLL_ADD);
    let neither = cancel(&mut ring, polls.flags(CancelFlags::USERDATA), 0);
    assert_eq!(neither, (Err(Errno::NOENT), vec![]));
    assert_eq!(cancel(&mut ring, polls.all(), 2), (Ok(2), vec![(1, CANCELED), (2, CANCELED)]));
    // Of a file, and of an operation.
    start_poll(&mut ring, &pipe, 4);
    let reads = AsyncCancel::of_file(&pipe.0).opcode(Opcode::READ).all();
    assert_eq!(cancel_file(&mut ring, reads, 1), (Ok(1), vec![(3, CANCELED)]));
    finish(&mut ring, &mut pipe, &[4]);
}

#[test]
fn any_cancels_everything_and_counts_it() {
    require!(op: AS_OF_5_19);
    let (one, two) = (pipe(), pipe());
    let mut ring = ring();
    let timespec: &Timespec = Box::leak(Box::new(Timespec::new(1000, 0)));
    start_read(&mut ring, &one, 1);
    start_poll(&mut ring, &two, 2);
    // SAFETY: the timespec stays for ever.
    unsafe { start(&mut ring, Timeout::new(timespec).sqe(3)) };
    assert_quiet(&mut ring);
    let (result, told) = cancel(&mut ring, AsyncCancel::any(), 3);
    assert_eq!((result, told), (Ok(3), (1..=3).map(|id| (id, CANCELED)).collect()));
    assert_eq!(cancel(&mut ring, AsyncCancel::any(), 0).0, Ok(0));
}

#[test]
fn keys_that_contradict_each_other_are_einval() {
    require!(op: AS_OF_6_7);
    let mut ring = ring();
    for op in [
        AsyncCancel::any().opcode(Opcode::READ),
        AsyncCancel::any().flags(CancelFlags::FD),
        AsyncCancel::any().flags(CancelFlags::from_bits_retain(1 << 31)),
    ] {
        assert_eq!(cancel(&mut ring, op, 0), (Err(Errno::INVAL), vec![]), "{op:?}");
    }
}

/// liburing: io-cancel.
#[test]
fn what_a_worker_carries_out_is_interrupted() {
    // Goal: an operation that blocks in a worker thread ends. Method: whether the worker had
    // come to the pipe decides what both are told; both end either way.
    let pipe = pipe();
    let mut ring = ring();
    let read = Read::new(&pipe.0, leaked::<8>().as_mut_ptr(), 8).sqe(1).force_async();
    // SAFETY: the buffer stays for ever, and is not touched.
    unsafe { start(&mut ring, read) };
    let (result, told) = cancel(&mut ring, AsyncCancel::of_user_data(1), 1);
    assert!(matches!(result, Ok(0) | Err(Errno::ALREADY)), "{result:?}");
    assert!(matches!(told[..], [(1, Err(Errno::CANCELED | Errno::INTR))]), "{told:?}");
    assert_quiet(&mut ring);
}

#[test]
fn a_cancellation_can_go_with_what_it_cancels() {
    let pipe = pipe();
    let mut ring = ring();
    let read = Read::new(&pipe.0, leaked::<8>().as_mut_ptr(), 8).sqe(1);
    let nop = Nop::new().sqe(2).into();
    let all = [read, nop, AsyncCancel::of_user_data(1).sqe(CANCEL).into()];
    // SAFETY: the buffer stays for ever, and is not touched.
    unsafe { ring.submission().push_all(&all) }.expect("room");
    assert_eq!(ring.submit(), Ok(3));
    let told = reap_sorted(&mut ring, 3);
    assert_eq!(told, [(1, CANCELED), (2, Ok(0)), (CANCEL, Ok(0))]);
}

#[test]
fn dropping_a_ring_ends_what_is_in_flight() {
    // Goal: a read that waits goes with its ring, soon. Method: it is the last to hold the
    // pipe's other end, and whoever writes learns when that is gone.
    let mut pipe = pipe();
    let mut ring = ring();
    start_read(&mut ring, &pipe, 1);
    assert_quiet(&mut ring);
    drop(pipe.0);
    drop(ring);
    let end = Instant::now() + PATIENCE;
    while pipe.1.write(b"x").is_ok() {
        assert!(Instant::now() < end, "the read is still there");
        std::thread::sleep(Duration::from_millis(1));
    }
}
