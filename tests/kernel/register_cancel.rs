//! Cancelling by a call, which waits until the cancelled operations have ended.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::time::Duration;
use std::fs::File;
use std::time::Instant;

use crate::common::process::bounded;
use crate::common::{PATIENCE, reap, require};
use crate::op_common::{
    AS_OF_6_7, Told, assert_quiet, finish, leaked, pipe, reap_sorted, reap_told, ring, start,
};
use ringbolt::ops::{Fixed, PollAdd, Read, Splice, Timeout};
use ringbolt::register::{CancelWhat, FileSlot};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{CancelFlags, Opcode, RegisterOp};
use ringbolt::{IoUring, Timespec};

const CANCELED: Result<u32, Errno> = Err(Errno::CANCELED);

/// Starts a read that waits until something is written to the pipe.
fn start_read(ring: &mut IoUring, pipe: &(File, File), id: u64) {
    let read = Read::new(&pipe.0, leaked::<8>().as_mut_ptr(), 8).sqe(id);
    // SAFETY: the buffer stays forever, and is not touched.
    unsafe { start(ring, read) };
}

fn start_poll(ring: &mut IoUring, pipe: &(File, File), id: u64) {
    // SAFETY: no memory is used; the caller's pipe outlives what is in flight.
    unsafe { start(ring, PollAdd::new(&pipe.0, EventFlags::IN).sqe(id)) };
}

/// Cancels without a time limit. Returns the completions that are ready then, without waiting for
/// more.
fn cancel(ring: &mut IoUring, what: CancelWhat<'_>) -> (Result<u32, Errno>, Vec<Told>) {
    let result = ring.registrar().cancel(what, None).map_err(Errno::from);
    ring.get_events().expect("what is due comes in");
    let there = usize::try_from(ring.completion().len()).expect("a small queue");
    (result, reap_sorted(ring, there))
}

const NONE: (Result<u32, Errno>, Vec<Told>) = (Err(Errno::NOENT), Vec::new());

/// liburing: sync-cancel.
#[test]
fn cancelling_by_user_data_ends_one_operation_and_no_other() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let mut pipe = pipe();
    let mut ring = ring();
    for id in 1..=3 {
        start_read(&mut ring, &pipe, id);
    }
    let told = cancel(&mut ring, CancelWhat::user_data(2));
    assert_eq!(told, (Ok(0), vec![(2, CANCELED)]));
    assert_eq!(cancel(&mut ring, CancelWhat::user_data(2)), NONE);
    assert_eq!(cancel(&mut ring, CancelWhat::user_data(u64::MAX)), NONE);
    finish(&mut ring, &mut pipe, &[1, 3]);
    assert_eq!(cancel(&mut ring, CancelWhat::user_data(1)), NONE, "it has completed");
}

#[test]
fn one_match_or_all_matches_can_be_cancelled() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let mut pipe = pipe();
    let mut ring = ring();
    for _ in 0..4 {
        start_read(&mut ring, &pipe, 1);
    }
    start_read(&mut ring, &pipe, 2);
    let one = CancelWhat::user_data(1);
    assert_eq!(cancel(&mut ring, one), (Ok(0), vec![(1, CANCELED)]));
    assert_eq!(cancel(&mut ring, one.all()), (Ok(3), vec![(1, CANCELED); 3]));
    assert_eq!(cancel(&mut ring, one.all()), (Ok(0), vec![]), "0 were cancelled");
    finish(&mut ring, &mut pipe, &[2]);
}

/// liburing: sync-cancel.
#[test]
fn cancelling_by_file_ends_only_operations_on_that_file() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let (one, mut two) = (pipe(), pipe());
    let mut ring = ring();
    start_read(&mut ring, &one, 1);
    start_poll(&mut ring, &one, 2);
    start_read(&mut ring, &two, 3);
    let all = CancelWhat::file(&one.0).all();
    assert_eq!(cancel(&mut ring, all), (Ok(2), vec![(1, CANCELED), (2, CANCELED)]));
    assert_eq!(cancel(&mut ring, CancelWhat::file(&one.0)), NONE);
    start_read(&mut ring, &one, 4);
    // The file matches through any of its descriptors.
    let again = one.0.try_clone().expect("a second descriptor");
    assert_eq!(cancel(&mut ring, CancelWhat::file(&again)), (Ok(0), vec![(4, CANCELED)]));
    finish(&mut ring, &mut two, &[3]);
}

#[test]
fn cancelling_by_slot_ends_only_operations_on_that_slot() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let (one, mut two) = (pipe(), pipe());
    let mut ring = ring();
    let slots = [FileSlot::from(&one.0), FileSlot::from(&two.0), FileSlot::EMPTY];
    ring.registrar().register_files(&slots).expect("three slots");
    for slot in 0..2 {
        let read = Read::new(Fixed(slot), leaked::<8>().as_mut_ptr(), 8).sqe(u64::from(slot));
        // SAFETY: the buffer stays forever, and is not touched.
        unsafe { start(&mut ring, read) };
    }
    let what = CancelWhat::fixed(Fixed(0));
    assert_eq!(cancel(&mut ring, what), (Ok(0), vec![(0, CANCELED)]));
    assert_eq!(cancel(&mut ring, what), NONE);
    for slot in [2, 3, u32::MAX] {
        let told = cancel(&mut ring, CancelWhat::fixed(Fixed(slot)));
        assert_eq!(told, (Err(Errno::BADF), vec![]), "nothing in slot {slot}");
    }
    finish(&mut ring, &mut two, &[1]);
}

#[test]
fn cancelling_by_opcode_ends_only_operations_with_that_opcode() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    require!(op: AS_OF_6_7);
    let mut pipe = pipe();
    let mut ring = ring();
    start_poll(&mut ring, &pipe, 1);
    start_poll(&mut ring, &pipe, 2);
    start_read(&mut ring, &pipe, 3);
    // `user_data` is no longer matched, unless that is requested.
    let polls = CancelWhat::user_data(3).opcode(Opcode::POLL_ADD);
    assert_eq!(cancel(&mut ring, polls.flags(CancelFlags::USERDATA)), NONE);
    assert_eq!(cancel(&mut ring, polls.all()), (Ok(2), vec![(1, CANCELED), (2, CANCELED)]));
    start_poll(&mut ring, &pipe, 4);
    let reads = CancelWhat::file(&pipe.0).opcode(Opcode::READ);
    assert_eq!(cancel(&mut ring, reads), (Ok(0), vec![(3, CANCELED)]));
    assert_eq!(cancel(&mut ring, reads), NONE);
    finish(&mut ring, &mut pipe, &[4]);
}

#[test]
fn any_with_an_opcode_cancels_all_operations_with_that_opcode_only() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    require!(op: AS_OF_6_7);
    let mut pipe = pipe();
    let mut ring = ring();
    start_poll(&mut ring, &pipe, 1);
    start_read(&mut ring, &pipe, 2);
    start_read(&mut ring, &pipe, 3);
    let reads = CancelWhat::any().opcode(Opcode::READ);
    assert_eq!(cancel(&mut ring, reads), (Ok(2), vec![(2, CANCELED), (3, CANCELED)]));
    assert_eq!(cancel(&mut ring, reads), (Ok(0), vec![]));
    finish(&mut ring, &mut pipe, &[1]);
}

/// liburing: sync-cancel.
#[test]
fn any_cancels_all_operations_and_counts_them() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let (one, two) = (pipe(), pipe());
    let mut ring = ring();
    assert_eq!(cancel(&mut ring, CancelWhat::any()), (Ok(0), vec![]));
    let timespec: &Timespec = Box::leak(Box::new(Timespec::new(1000, 0)));
    start_read(&mut ring, &one, 1);
    start_poll(&mut ring, &two, 2);
    // SAFETY: the timespec stays forever.
    unsafe { start(&mut ring, Timeout::new(timespec).sqe(3)) };
    let all = (1..=3).map(|id| (id, CANCELED)).collect();
    assert_eq!(cancel(&mut ring, CancelWhat::any()), (Ok(3), all));
    assert_quiet(&mut ring);
}

#[test]
fn flags_that_the_kernel_does_not_know_are_einval() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let mut pipe = pipe();
    let mut ring = ring();
    start_read(&mut ring, &pipe, 1);
    let unknown = CancelWhat::any().flags(CancelFlags::from_bits_retain(1 << 31));
    assert_eq!(cancel(&mut ring, unknown), (Err(Errno::INVAL), vec![]));
    finish(&mut ring, &mut pipe, &[1]);
}

/// Starts an operation in which a worker thread blocks.
fn start_splice(ring: &mut IoUring, from: &(File, File), to: &(File, File), id: u64) {
    // SAFETY: no memory is used; the caller's pipes outlive what is in flight.
    unsafe { start(ring, Splice::new(&from.0, &to.1, 8).sqe(id)) };
    // The test cannot see whether the worker blocks on the pipe yet.
    std::thread::sleep(Duration::from_millis(20));
}

/// Whether a splice on a worker was interrupted: with `EINTR` or the kernel's internal
/// `ERESTARTSYS`, or with `ECANCELED` if the worker had not begun.
fn is_stopped(told: &[Told], id: u64) -> bool {
    const ERESTARTSYS: Errno = Errno::from_raw_os_error(512);
    matches!(told, [(told, Err(Errno::CANCELED | Errno::INTR | ERESTARTSYS))] if *told == id)
}

#[test]
fn an_operation_on_a_worker_has_ended_when_the_call_returns() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    bounded(|| {
        let (from, to) = (pipe(), pipe());
        let mut ring = ring();
        for id in 1..10 {
            start_splice(&mut ring, &from, &to, id);
            let (result, told) = cancel(&mut ring, CancelWhat::user_data(id));
            assert_eq!(result, Ok(0));
            assert!(is_stopped(&told, id), "{told:?}");
        }
    });
}

#[test]
fn any_interrupts_operations_on_workers_without_waiting_for_them() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    bounded(|| {
        let (from, to, waiting) = (pipe(), pipe(), pipe());
        let mut ring = ring();
        for what in [CancelWhat::any(), CancelWhat::user_data(1).all()] {
            start_splice(&mut ring, &from, &to, 1);
            start_read(&mut ring, &waiting, 1);
            let result = ring.registrar().cancel(what, None).map_err(Errno::from);
            // The count includes the splice if the worker had not begun.
            assert!(matches!(result, Ok(1 | 2)), "{result:?}");
            let mut told = reap_told(&mut ring, 2);
            let read = told.iter().position(|told| *told == (1, CANCELED));
            let _ = told.remove(read.expect("the read"));
            assert!(is_stopped(&told, 1), "{told:?}");
        }
    });
}

/// Goal: a call that times out reports it, and the operation is still cancelled.
/// Method: a timeout of 0, for an operation that has to be waited for. The worker may occasionally
/// be as fast as the call, so there are several attempts.
///
/// liburing: sync-cancel.
#[test]
fn a_call_that_times_out_is_etime_and_still_cancels() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let seen = bounded(|| {
        let (from, to) = (pipe(), pipe());
        let mut ring = ring();
        (1..100).any(|id| {
            start_splice(&mut ring, &from, &to, id);
            let no_time = Some(Timespec::new(0, 0));
            let result =
                ring.registrar().cancel(CancelWhat::user_data(id), no_time).map_err(Errno::from);
            // Occasionally the operation ends between two checks of the kernel, and nothing is
            // found.
            let possible = matches!(result, Ok(0) | Err(Errno::TIME | Errno::NOENT));
            assert!(possible, "{result:?}");
            let told = reap_told(&mut ring, 1);
            assert!(is_stopped(&told, id), "{told:?}");
            result == Err(Errno::TIME)
        })
    });
    assert!(seen);
}

#[test]
fn the_call_returns_as_soon_as_the_operations_have_ended() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    bounded(|| {
        let (from, to) = (pipe(), pipe());
        let mut ring = ring();
        let start = Instant::now();
        let time = Some(Timespec::from(PATIENCE));
        start_splice(&mut ring, &from, &to, 1);
        assert_eq!(ring.registrar().cancel(CancelWhat::user_data(1), time), Ok(0));
        start_read(&mut ring, &from, 2);
        assert_eq!(ring.registrar().cancel(CancelWhat::user_data(2), time), Ok(0));
        assert_eq!(
            ring.registrar().cancel(CancelWhat::user_data(3), time).map_err(Errno::from),
            Err(Errno::NOENT)
        );
        assert!(start.elapsed() < PATIENCE);
        reap(&mut ring, 2);
    });
}

#[test]
fn another_thread_can_cancel() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    bounded(|| {
        let (from, to) = (pipe(), pipe());
        let mut ring = ring();
        start_poll(&mut ring, &from, 1);
        start_splice(&mut ring, &from, &to, 2);
        let mut ring = bounded(move || {
            let cancel =
                |id| ring.registrar().cancel(CancelWhat::user_data(id), None).map_err(Errno::from);
            assert_eq!((cancel(1), cancel(2), cancel(3)), (Ok(0), Ok(0), Err(Errno::NOENT)));
            ring
        });
        let told = reap_sorted(&mut ring, 2);
        assert_eq!(told[0], (1, CANCELED));
        assert!(is_stopped(&told[1..], 2), "{told:?}");
    });
}
