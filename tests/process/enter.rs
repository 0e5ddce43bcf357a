//! Entering the kernel with the flags that the caller gives, and no others.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use crate::op_common::AS_OF_6_11;
use core::time::Duration;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::common::process::{Copy, bounded, in_child, refuse_call};
use crate::common::timing::{assert_about, timed};
use crate::common::{PATIENCE, reap, require};
use ringbolt::ops::{Nop, PollAdd, RawOp};
use ringbolt::sys::{EnterFlags, Features, Opcode, SetupFlags, SqStatus};
use ringbolt::{Builder, Cqe, EnterArg, IoUring, Sqe, Timespec, WaitArg};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

const PLAIN: EnterFlags = EnterFlags::empty();

fn new() -> Builder<'static> {
    IoUring::builder()
}

fn push<T>(ring: &mut IoUring<Sqe, Cqe, T>, user_data: u64) {
    ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
}

fn there<T>(ring: &mut IoUring<Sqe, Cqe, T>) -> Vec<u64> {
    ring.completion().into_iter().map(|cqe| cqe.user_data()).collect()
}

/// Goal: no GETEVENTS is added although the ring shows that work waits.
/// Method: see that the work is still put off after the call, and run by one that adds the flag.
#[test]
fn work_that_was_put_off_is_left_where_it_is() {
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN | SetupFlags::TASKRUN_FLAG;
    require!(setup: flags);
    let mut ring = IoUring::local(4).expect("a ring");
    let (mut near, far) = UnixStream::pair().expect("two sockets");
    for round in 0..10 {
        let poll = PollAdd::new(&far, EventFlags::IN).sqe(1000 + round);
        // SAFETY: the socket stays open until the completion has come.
        unsafe { ring.submission().push(poll) }.expect("room");
        assert_eq!(ring.enter(0, PLAIN, EnterArg::None), Ok(1));
        near.write_all(b"x").expect("room in the socket");
        assert!(ring.status().contains(SqStatus::TASKRUN));
        push(&mut ring, round);
        assert_eq!(ring.enter(0, PLAIN, EnterArg::None), Ok(1));
        assert_eq!(ring.enter(7, PLAIN, EnterArg::None), Ok(0), "nothing is waited for");
        assert_eq!(there(&mut ring), [round]);
        assert!(ring.status().contains(SqStatus::TASKRUN));
        if round % 2 == 0 {
            assert_eq!(ring.submit_with(0, PLAIN, EnterArg::None), Ok(0));
        } else {
            assert_eq!(ring.enter(0, EnterFlags::GETEVENTS, EnterArg::None), Ok(0));
        }
        assert_eq!(there(&mut ring), [1000 + round]);
        std::io::Read::read_exact(&mut &far, &mut [0]).expect("the byte");
    }
}

#[test]
fn what_has_overflown_is_left_where_it_is() {
    require!(feature: Features::NODROP);
    let mut ring = new().cq_entries(4).build(4).expect("a ring");
    for first in [0, 4] {
        (first..first + 4).for_each(|user_data| push(&mut ring, user_data));
        assert_eq!(ring.enter(0, PLAIN, EnterArg::None), Ok(4));
    }
    assert_eq!(there(&mut ring), [0, 1, 2, 3]);
    assert_eq!(ring.enter(0, PLAIN, EnterArg::None), Ok(0));
    assert!(ring.status().contains(SqStatus::CQ_OVERFLOW));
    assert!(there(&mut ring).is_empty());
    assert_eq!(ring.enter(0, EnterFlags::GETEVENTS, EnterArg::None), Ok(0));
    assert_eq!(there(&mut ring), [4, 5, 6, 7]);
}

/// Goal: a system call is made even if there is no reason to, and none where the ring is unusable.
/// Method: a filter under which every call fails.
#[test]
fn the_kernel_is_always_entered() {
    in_child("the_kernel_is_always_entered", || {
        let mut ring = IoUring::new(4).expect("a ring");
        let child = Copy::run(|| {
            let error = ring.enter(0, PLAIN, EnterArg::None).expect_err("it is not this process's");
            assert_eq!((error.errno, error.taken, error.queued), (Errno::CHILD, 0, 0));
            0
        });
        assert_eq!(child.exit_code(), 0);
        refuse_call(libc::SYS_io_uring_enter, Errno::NOSYS);
        assert_eq!(ring.submit(), Ok(0));
        let error = ring.enter(0, PLAIN, EnterArg::None).expect_err("the call is refused");
        assert_eq!((error.errno, error.taken, error.queued), (Errno::NOSYS, 0, 0));
    });
}

#[test]
fn waiting_needs_its_flag() {
    require!(feature: Features::EXT_ARG);
    bounded(|| {
        let mut ring = IoUring::new(4).expect("a ring");
        let span = Duration::from_millis(60);
        let limit = Timespec::from(span);
        let arg = EnterArg::Wait(WaitArg { timeout: Some(&limit), ..WaitArg::default() });
        assert_eq!(ring.enter(1, PLAIN, arg), Ok(0));
        let (elapsed, waited) = timed(|| ring.enter(1, EnterFlags::GETEVENTS, arg));
        assert!(waited.expect_err("nothing comes").is_timeout());
        assert_about(elapsed, span);
        push(&mut ring, 1);
        assert_eq!(ring.enter(1, EnterFlags::GETEVENTS, EnterArg::None), Ok(1));
        assert_eq!(there(&mut ring), [1]);
    });
}

/// Pushes an entry that stops a submit, between two that do not.
fn push_three<T>(ring: &mut IoUring<Sqe, Cqe, T>, first: u64) {
    push(ring, first);
    let bad = RawOp::new(Opcode::from_raw(u8::MAX)).sqe(first + 1);
    // SAFETY: no kernel has this operation, and it names nothing.
    unsafe { ring.submission().push(bad) }.expect("room");
    push(ring, first + 2);
}

/// Goal: after a call that took some of the entries, or none, the queue has the others.
fn books_are_kept<T>(mut ring: IoUring<Sqe, Cqe, T>) {
    let refused = EnterFlags::from_bits_retain(1 << 31);
    for first in (0..80).step_by(4) {
        push_three(&mut ring, first);
        let error = ring.enter(0, refused, EnterArg::None).expect_err("an unknown flag");
        assert_eq!((error.errno, error.taken, error.queued), (Errno::INVAL, 0, 3));
        assert_eq!(ring.enter(0, PLAIN, EnterArg::None), Ok(2));
        assert_eq!(ring.submission().len(), 1);
        push(&mut ring, first + 3);
        let back = ring.submission().pop_back().expect("an entry");
        assert_eq!(back.user_data(), first + 3);
        push(&mut ring, first + 3);
        assert_eq!(ring.submission().room(), 2);
        assert_eq!(ring.enter(0, PLAIN, EnterArg::None), Ok(2));
        assert!(ring.submission().is_empty());
        let taken: Vec<_> = reap(&mut ring, 4).iter().map(Cqe::user_data).collect();
        assert_eq!(taken, (first..first + 4).collect::<Vec<_>>());
    }
}

#[test]
fn the_books_of_the_queue_are_kept() {
    // On Linux 6.1 an entry that is refused completes before those ahead of it.
    require!(op: AS_OF_6_11);
    books_are_kept(IoUring::new(4).expect("a ring"));
    books_are_kept(new().register_ring_fd().build_local(4).expect("a ring"));
}

#[test]
fn the_books_of_a_queue_that_rewinds_are_kept() {
    require!(setup: SetupFlags::NO_SQARRAY | SetupFlags::SQ_REWIND);
    books_are_kept(new().no_sqarray().sq_rewind().build(4).expect("a ring"));
}

#[test]
fn a_polling_thread_that_sleeps_is_woken_by_its_flag_alone() {
    bounded(|| {
        let mut ring = new().sqpoll(1).build(4).expect("an SQPOLL ring");
        let end = Instant::now() + PATIENCE;
        while !ring.status().contains(SqStatus::NEED_WAKEUP) {
            assert!(Instant::now() < end, "the polling thread does not fall asleep");
            std::thread::yield_now();
        }
        push(&mut ring, 1);
        assert_eq!(ring.enter(0, PLAIN, EnterArg::None), Ok(1), "published");
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(ring.submission().len(), 1);
        assert_eq!(ring.enter(0, EnterFlags::SQ_WAKEUP, EnterArg::None), Ok(0), "nothing is new");
        assert_eq!(reap(&mut ring, 1)[0].user_data(), 1);
    });
}
