//! Submitting: how many entries the kernel took, what is still queued, and what failed calls
//! leave behind.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use crate::op_common::AS_OF_6_11;
use std::os::unix::net::UnixStream;

use crate::common::process::{bounded, in_child, refuse_call};
use crate::common::{reap, require};
use ringbolt::ops::{Nop, PollAdd, RawOp};
use ringbolt::sys::{EnterFlags, Features, Opcode, SetupFlags, SqStatus};
use ringbolt::{Advice, Builder, Cqe, EnterArg, IoUring, Sqe};
use rustix::event::PollFlags;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

fn new() -> Builder<'static> {
    IoUring::builder()
}

fn push<T>(ring: &mut IoUring<Sqe, Cqe, T>, user_data: u64) {
    ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
}

/// Pushes an entry that the kernel refuses when it looks at it.
fn push_bad<T>(ring: &mut IoUring<Sqe, Cqe, T>, user_data: u64) {
    let bad = RawOp::new(Opcode::from_raw(u8::MAX)).sqe(user_data);
    // SAFETY: no kernel has this operation, and it names nothing.
    unsafe { ring.submission().push(bad) }.expect("room");
}

/// Completions that are there, in order.
fn there<T>(ring: &mut IoUring<Sqe, Cqe, T>) -> Vec<u64> {
    ring.completion().drain().map(|cqe| cqe.user_data()).collect()
}

/// Flags that every kernel refuses before it looks at an entry.
const REFUSED: EnterFlags = EnterFlags::from_bits_retain(1 << 31);

#[test]
fn submit_tells_how_many_entries_were_taken() {
    let mut ring = IoUring::new(8).expect("a ring");
    assert_eq!(ring.submit(), Ok(0));
    for (round, count) in [1, 8, 3, 0, 5].into_iter().enumerate() {
        (0..count).for_each(|_| push(&mut ring, round as u64));
        assert_eq!(ring.submission().len(), count);
        assert_eq!(ring.submit(), Ok(count));
        assert!(ring.submission().is_empty());
        assert_eq!(there(&mut ring), vec![round as u64; count as usize]);
    }
    assert_eq!(ring.submission().dropped(), 0);
}

/// Goal: a submit that has nothing to do makes no system call.
/// Method: a filter under which every call fails.
#[test]
fn the_kernel_is_entered_only_for_a_reason() {
    in_child("the_kernel_is_entered_only_for_a_reason", || {
        let mut ring = IoUring::new(4).expect("a ring");
        push(&mut ring, 1);
        assert_eq!(ring.submit(), Ok(1));
        refuse_call(libc::SYS_io_uring_enter, Errno::NOSYS);
        for _ in 0..3 {
            assert_eq!(ring.submit(), Ok(0));
        }
        assert_eq!(there(&mut ring), [1]);
        push(&mut ring, 2);
        let error = ring.submit().expect_err("there is a reason now");
        assert_eq!((error.errno, error.taken, error.queued), (Errno::NOSYS, 0, 1));
        assert_eq!(ring.submit_and_wait(1).expect_err("waiting is a reason"), error);
        assert_eq!(ring.wait(0), Err(Errno::NOSYS));
    });
}

/// liburing: drop-submit.
#[test]
fn a_bad_entry_stops_the_submit_and_the_rest_stays_queued() {
    // On Linux 6.1 an entry that is refused completes before those ahead of it.
    require!(op: AS_OF_6_11);
    let mut ring = IoUring::new(8).expect("a ring");
    push(&mut ring, 1);
    push_bad(&mut ring, 2);
    push(&mut ring, 3);
    push(&mut ring, 4);
    assert_eq!(ring.submit(), Ok(2));
    assert_eq!(ring.submission().len(), 2);
    let reaped = reap(&mut ring, 2);
    assert_eq!((reaped[0].user_data(), reaped[0].result()), (1, Ok(0)));
    assert_eq!((reaped[1].user_data(), reaped[1].result()), (2, Err(Errno::INVAL)));
    assert!(ring.completion().is_empty());
    assert_eq!(ring.submit(), Ok(2));
    assert_eq!(there(&mut ring), [3, 4]);
}

#[test]
fn what_a_bad_entry_left_queued_can_be_taken_back() {
    let mut ring = IoUring::new(8).expect("a ring");
    for round in 0..10 {
        push_bad(&mut ring, round);
        push(&mut ring, 100);
        push(&mut ring, 101);
        assert_eq!(ring.submit(), Ok(1));
        let back: Vec<_> = core::iter::from_fn(|| ring.submission().pop_back())
            .map(|sqe| sqe.user_data())
            .collect();
        assert_eq!(back, [101, 100]);
        assert_eq!(ring.submit(), Ok(0));
        ring.get_events().expect("nothing to bring in");
        assert_eq!(there(&mut ring), [round]);
    }
}

/// liburing: drop-submit.
#[test]
fn with_submit_all_a_bad_entry_stops_nothing() {
    // On Linux 6.1 an entry that is refused completes before those ahead of it.
    require!(op: AS_OF_6_11);
    require!(setup: SetupFlags::SUBMIT_ALL);
    let mut ring = new().submit_all().build(8).expect("a ring");
    for user_data in [1, 3, 5, 7] {
        push_bad(&mut ring, user_data - 1);
        push(&mut ring, user_data);
    }
    assert_eq!(ring.submit(), Ok(8));
    for (user_data, cqe) in (0..).zip(reap(&mut ring, 8)) {
        let result = if user_data % 2 == 0 { Err(Errno::INVAL) } else { Ok(0) };
        assert_eq!((cqe.user_data(), cqe.result()), (user_data, result));
    }
}

/// Goal: after a failed submit, everything can be taken back, and the kernel never gets it.
/// Method: let calls fail, take all back, and submit other entries.
#[test]
fn a_failed_submit_can_be_undone() {
    let mut ring = IoUring::new(4).expect("a ring");
    for round in 0..10 {
        (0..4).for_each(|user_data| push(&mut ring, user_data));
        let error = ring.submit_with(0, REFUSED, EnterArg::None).expect_err("an unknown flag");
        assert_eq!((error.errno, error.taken, error.queued), (Errno::INVAL, 0, 4));
        assert_eq!(error.advice(), Advice::Stop);
        let text = error.to_string();
        assert!(text.contains("0 entries taken, 4 still queued"), "{text}");
        for user_data in (2..4).rev() {
            let back = ring.submission().pop_back().expect("an entry");
            assert_eq!(back.user_data(), user_data);
        }
        assert_eq!(ring.submission().rollback(), 2);
        assert!(ring.submission().pop_back().is_none());
        assert_eq!(ring.submission().room(), 4);
        assert_eq!(ring.submit(), Ok(0));
        push(&mut ring, 100 + round);
        assert_eq!(ring.submit(), Ok(1));
        assert_eq!(there(&mut ring), [100 + round]);
    }
}

#[test]
fn a_failed_submit_can_be_repeated() {
    let mut ring = IoUring::new(4).expect("a ring");
    (0..3).for_each(|user_data| push(&mut ring, user_data));
    for _ in 0..3 {
        let error = ring.submit_with(0, REFUSED, EnterArg::None).expect_err("an unknown flag");
        assert_eq!(error.queued, 3);
    }
    push(&mut ring, 3);
    assert_eq!(ring.submit(), Ok(4));
    assert_eq!(there(&mut ring), [0, 1, 2, 3]);
}

#[test]
fn a_flag_that_only_the_ring_can_know_is_ignored() {
    let mut ring = IoUring::new(4).expect("a ring");
    let decided = EnterFlags::EXT_ARG | EnterFlags::EXT_ARG_REG | EnterFlags::REGISTERED_RING;
    push(&mut ring, 1);
    assert_eq!(ring.submit_with(1, decided, EnterArg::None), Ok(1));
    assert_eq!(ring.completion().wait_with(1, decided, EnterArg::None), Ok(()));
    assert_eq!(there(&mut ring), [1]);
}

/// Fills the completion queue of 4 and lets 8 more completions overflow.
fn overflown() -> IoUring {
    let mut ring = new().cq_entries(4).build(4).expect("a ring");
    for first in [0, 4, 8] {
        (first..first + 4).for_each(|user_data| push(&mut ring, user_data));
        assert_eq!(ring.submit(), Ok(4));
    }
    assert!(ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
    assert_eq!(ring.completion().len(), 4);
    ring
}

/// liburing: cq-full, cq-overflow.
#[test]
fn get_events_brings_in_what_has_overflown() {
    require!(feature: Features::NODROP);
    let mut ring = overflown();
    assert_eq!(there(&mut ring), [0, 1, 2, 3]);
    ring.get_events().expect("the overflown come in");
    assert_eq!(there(&mut ring), [4, 5, 6, 7]);
    ring.get_events().expect("the overflown come in");
    assert_eq!(there(&mut ring), [8, 9, 10, 11]);
    assert!(!ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
    assert_eq!(ring.completion().overflow(), 0, "kept, not dropped");
}

#[test]
fn submit_brings_in_what_has_overflown_although_nothing_is_queued() {
    require!(feature: Features::NODROP);
    let mut ring = overflown();
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.extend(there(&mut ring));
        assert_eq!(ring.submit(), Ok(0));
    }
    seen.extend(there(&mut ring));
    assert_eq!(seen, (0..12).collect::<Vec<_>>());
}

#[test]
fn waiting_brings_in_what_has_overflown() {
    require!(feature: Features::NODROP);
    bounded(|| {
        let mut ring = overflown();
        let mut seen = Vec::new();
        while seen.len() < 12 {
            ring.wait(1).expect("completions are there");
            seen.extend(there(&mut ring));
        }
        assert_eq!(seen, (0..12).collect::<Vec<_>>());
    });
}

/// liburing: cq-overflow.
#[test]
fn popping_one_by_one_while_completions_overflow_keeps_their_order() {
    require!(feature: Features::NODROP);
    let mut ring = new().cq_entries(4).build(4).expect("a ring");
    let mut next = 0;
    for first in (0..400).step_by(4) {
        (first..first + 4).for_each(|user_data| push(&mut ring, user_data));
        // Where the kernel will not put up with it any longer, it says so.
        while let Err(error) = ring.submit() {
            assert_eq!((error.errno, error.advice()), (Errno::BUSY, Advice::Reap));
            assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(next));
            next += 1;
        }
        for _ in 0..2 {
            assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(next));
            next += 1;
        }
    }
    for cqe in reap(&mut ring, usize::try_from(400 - next).expect("fewer than 400")) {
        assert_eq!(cqe.user_data(), next);
        next += 1;
    }
    assert_eq!(ring.completion().overflow(), 0);
}

/// Goal: completions put off until the thread asks for them do not stay put off for ever.
/// Method: make a polled socket readable, and look that its completion is not there yet.
#[test]
fn work_that_was_put_off_is_run_by_submit_where_the_flag_shows_it() {
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN | SetupFlags::TASKRUN_FLAG;
    require!(setup: flags);
    let mut ring = new().flags(flags).build_local(4).expect("a ring");
    let (mut near, far) = UnixStream::pair().expect("two sockets");
    for user_data in 0..10 {
        poll(&mut ring, &far, user_data);
        std::io::Write::write_all(&mut near, b"x").expect("room in the socket");
        assert!(ring.completion().is_empty());
        assert!(ring.submission().status().contains(SqStatus::TASKRUN));
        assert_eq!(ring.submit(), Ok(0));
        assert_eq!(there(&mut ring), [user_data]);
        assert!(!ring.submission().status().contains(SqStatus::TASKRUN));
        std::io::Read::read_exact(&mut &far, &mut [0]).expect("the byte");
    }
}

/// liburing: defer-taskrun.
#[test]
fn work_that_was_put_off_is_run_by_get_events() {
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    require!(setup: flags);
    let mut ring = new().flags(flags).build_local(4).expect("a ring");
    let (mut near, far) = UnixStream::pair().expect("two sockets");
    poll(&mut ring, &far, 1);
    std::io::Write::write_all(&mut near, b"x").expect("room in the socket");
    assert!(ring.completion().is_empty());
    // Nothing shows it: submit has no reason to enter the kernel.
    assert_eq!(ring.submit(), Ok(0));
    assert!(ring.completion().is_empty());
    ring.get_events().expect("the work is run");
    assert_eq!(there(&mut ring), [1]);
}

/// Waits for `far` to be readable, which it is not.
fn poll<T>(ring: &mut IoUring<Sqe, Cqe, T>, far: &UnixStream, user_data: u64) {
    let entry = PollAdd::new(far, EventFlags::IN).sqe(user_data);
    // SAFETY: the callers keep the socket open until the completion has come.
    unsafe { ring.submission().push(entry) }.expect("room");
    assert_eq!(ring.submit(), Ok(1));
    assert!(ring.completion().is_empty());
}

#[test]
fn completions_that_were_taken_make_room_before_each_call() {
    let mut ring = new().cq_entries(4).build(4).expect("a ring");
    for first in (0..400).step_by(4) {
        (first..first + 4).for_each(|user_data| push(&mut ring, user_data));
        assert_eq!(ring.submit(), Ok(4));
        assert!(!ring.submission().status().contains(SqStatus::CQ_OVERFLOW), "{first}");
        // Popping all four, and not a fifth time, which would find the queue empty.
        for user_data in first..first + 4 {
            assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(user_data));
        }
    }
}

#[test]
fn a_disabled_ring_is_entered_in_vain() {
    require!(setup: SetupFlags::R_DISABLED);
    let ring = new().build_disabled(4).expect("a ring");
    let fd = std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(&ring));
    let flags = EnterFlags::GETEVENTS;
    let enter = || {
        // SAFETY: nothing is queued, and there is no argument.
        unsafe { ringbolt::sys::io_uring_enter(fd, 1, 0, flags, core::ptr::null(), 0) }
    };
    assert_eq!(enter().map_err(Errno::from_raw_os_error), Err(Errno::BADFD));
    let mut ring = ring.enable().expect("a ring");
    push(&mut ring, 1);
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(there(&mut ring), [1]);
}

#[test]
fn the_descriptor_is_readable_while_completions_wait() {
    let mut ring = IoUring::new(4).expect("a ring");
    for user_data in 0..3 {
        assert!(!is_readable(&ring));
        push(&mut ring, user_data);
        assert_eq!(ring.submit(), Ok(1));
        assert!(is_readable(&ring));
        let mut completion = ring.completion();
        assert_eq!(completion.pop().map(|cqe| cqe.user_data()), Some(user_data));
        // Without this the kernel does not know yet.
        completion.sync();
    }
}

fn is_readable(ring: &IoUring) -> bool {
    let mut fds = [rustix::event::PollFd::new(ring, PollFlags::IN)];
    let timeout = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut fds, Some(&timeout)).expect("poll(2) works") == 1
}
