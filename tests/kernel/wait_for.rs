//! `wait_for`: returns when completions can be popped, or says why not; loops that never wait.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::io::Write as _;
use std::time::Instant;

use crate::common::signal::under_fire;
use crate::common::timing::on_each_kind;
use crate::common::{PATIENCE, require};
use crate::op_common::{AS_OF_6_11, COUNTS_AGAIN, eventfds_count_again, leaked, pipe};
use ringbolt::ops::{Nop, PollAdd, RawOp, Read, Timeout};
use ringbolt::sys::{Opcode, SetupFlags};
use ringbolt::{Advice, Cqe, CqeMixed, IoUring, Sqe, Timespec};
use rustix::event::epoll::EventFlags;
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::AsFd;
use rustix::io::Errno;

const DEFERRED: SetupFlags = SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN);

/// Until something happens beside the test.
const SPAN: Duration = Duration::from_millis(20);

/// Long enough to know that nothing happens.
const QUIET: Duration = Duration::from_millis(100);

fn push_nop<T>(ring: &mut IoUring<Sqe, Cqe, T>, user_data: u64) {
    ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
}

fn push_bad<T>(ring: &mut IoUring<Sqe, Cqe, T>, user_data: u64) {
    let bad = RawOp::new(Opcode::from_raw(u8::MAX)).sqe(user_data);
    // SAFETY: no kernel has this operation, and it names nothing.
    unsafe { ring.submission().push(bad) }.expect("room");
}

/// Whether the descriptor becomes readable within a time in which nothing else happens.
fn is_readable(fd: impl AsFd) -> bool {
    is_readable_within(fd, QUIET)
}

fn is_readable_within(fd: impl AsFd, time: Duration) -> bool {
    let time = time.try_into().expect("a short time");
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&time)) {
            // Work of a ring with default flags interrupts the thread.
            Err(Errno::INTR) => {}
            count => return count == Ok(1),
        }
    }
}

#[test]
fn it_returns_when_all_completions_can_be_popped() {
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let pipes = [pipe(), pipe(), pipe()];
        for ((reader, _), id) in pipes.iter().zip(0..) {
            let read = Read::new(reader, leaked::<4>().as_mut_ptr(), 4).sqe(id);
            // SAFETY: the memory is leaked, and the pipes outlive the reads.
            unsafe { ring.submission().push(read) }.expect("room");
        }
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (_, writer) in &pipes {
                    std::thread::sleep(SPAN);
                    (&*writer).write_all(b"data").expect("room in the pipe");
                }
            });
            while let Err(error) = ring.wait_for(3) {
                assert_eq!((error.advice(), error.queued), (Advice::Retry, 0));
            }
        });
        let results = [(); 3].map(|()| ring.completion().pop().map(|cqe| cqe.result()));
        assert_eq!(results, [Some(Ok(4)); 3]);
    });
}

/// A wait of the call that submitted something returns `Ok` when a signal comes; this does not.
#[test]
fn a_signal_after_the_submission_is_reported() {
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        push_nop(&mut ring, 1);
        let error = under_fire(|| ring.wait_for(2)).expect_err("one of two");
        assert_eq!((error.errno, error.taken, error.queued), (Errno::INTR, 1, 0));
        assert_eq!(error.advice(), Advice::Retry);
        assert_eq!(ring.wait_for(1), Ok(()));
        assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(1));
    });
}

/// The kernel stops at an entry that it refuses, and does not wait.
#[test]
fn entries_behind_one_that_is_refused_are_submitted() {
    require!(op: AS_OF_6_11);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        for round in 0..50 {
            push_nop(&mut ring, 3 * round);
            push_bad(&mut ring, 3 * round + 1);
            push_nop(&mut ring, 3 * round + 2);
            assert_eq!(ring.wait_for(3), Ok(()));
            let all: Vec<_> =
                ring.completion().drain().map(|c| (c.user_data(), c.result())).collect();
            let [a, b, c] = [0, 1, 2].map(|n| 3 * round + n);
            assert_eq!(all, [(a, Ok(0)), (b, Err(Errno::INVAL)), (c, Ok(0))]);
        }
    });
}

#[test]
fn more_than_the_queue_holds_means_a_full_queue() {
    let mut ring = IoUring::builder().cq_entries(8).build(4).expect("a ring");
    for id in 0..8 {
        push_nop(&mut ring, id);
        ring.submit().expect("submitted");
    }
    assert_eq!(ring.wait_for(1000), Ok(()));
    assert_eq!(ring.completion().drain().count(), 8);
}

/// A thread that uses both halves pops one by one and waits by the other half: the kernel has to
/// know what was popped, or it takes it for what is waited for.
#[test]
fn a_wait_by_the_submission_half_is_for_new_completions() {
    let mut ring = IoUring::new(8).expect("a ring");
    let time = Timespec::from(SPAN);
    let (mut submission, mut completion) = ring.split();
    for id in 0..10 {
        submission.push_safe(Nop::new().sqe(id)).expect("room");
        submission.submit_and_wait(1).expect("no signal");
        assert_eq!(completion.pop().map(|cqe| cqe.user_data()), Some(id));
        // SAFETY: the time outlives the call that takes it.
        unsafe { submission.push(Timeout::new(&raw const time).sqe(id + 100)) }.expect("room");
        submission.submit_and_wait(1).expect("no signal");
        assert_eq!(completion.pop().map(|cqe| cqe.user_data()), Some(id + 100));
    }
}

#[cfg(feature = "owned")]
#[test]
fn a_wait_by_the_owned_submission_half_is_for_new_completions() {
    let time = Timespec::from(SPAN);
    let (mut submission, mut completion) = IoUring::new(8).expect("a ring").into_halves();
    for id in 0..10 {
        let nop = Nop::new().sqe(id);
        submission.queue().push_safe(nop).expect("room");
        submission.queue().submit_and_wait(1).expect("no signal");
        assert_eq!(completion.queue().pop().map(|cqe| cqe.user_data()), Some(id));
        let timeout = Timeout::new(&raw const time).sqe(id + 100);
        // SAFETY: the time outlives the call that takes it.
        unsafe { submission.queue().push(timeout) }.expect("room");
        submission.queue().submit_and_wait(1).expect("no signal");
        assert_eq!(completion.queue().pop().map(|cqe| cqe.user_data()), Some(id + 100));
    }
}

/// Wide completions take two slots, and are one completion.
#[test]
fn completions_of_both_widths_are_waited_for() {
    require!(setup: SetupFlags::CQE_MIXED);
    let builder = IoUring::builder().cqe_mixed().cq_entries(32);
    let mut ring: IoUring<Sqe, CqeMixed> = builder.build(8).expect("a ring");
    for round in 0..100_u64 {
        for id in 0..3 {
            let nop = Nop::new();
            let is_wide = (round + id) % 2 == 0;
            let nop = if is_wide { nop.cqe32([id, round]).sqe(id) } else { nop.sqe(id) };
            ring.submission().push_safe(nop).expect("room");
        }
        assert_eq!(ring.wait_for(3), Ok(()));
        assert!(ring.completion().drain().count() >= 2);
        ring.completion().drain().for_each(drop);
    }
}

/// A loop that never waits: it submits what there is, and pops what has come.
#[test]
fn a_loop_of_submit_and_pop_gets_its_completion() {
    require!(setup: DEFERRED);
    let mut ring = IoUring::local(8).expect("a ring");
    let (reader, mut writer) = pipe();
    let read = Read::new(&reader, leaked::<4>().as_mut_ptr(), 4).sqe(1);
    // SAFETY: the memory is leaked, and the pipe outlives the read.
    unsafe { ring.submission().push(read) }.expect("room");
    ring.submit().expect("submitted");
    assert!(ring.completion().pop().is_none());
    writer.write_all(b"data").expect("room in the pipe");
    // On Linux 6.1 a worker reads from the pipe.
    let end = Instant::now() + PATIENCE;
    let came = core::iter::repeat_with(|| {
        ring.submit().expect("nothing fails");
        ring.completion().pop()
    });
    let came = came.take_while(|_| Instant::now() < end).find_map(|cqe| cqe);
    assert_eq!(came.map(|cqe| cqe.result()), Some(Ok(4)));
}

/// The descriptor of a thread's own ring does not wake a loop, before the thread enters it.
#[test]
fn the_descriptor_of_a_local_ring_is_not_readable_before_its_thread_enters() {
    require!(setup: DEFERRED);
    let mut ring = IoUring::builder().flags(DEFERRED).build_local(8).expect("a ring");
    let (reader, mut writer) = pipe();
    // SAFETY: no memory is named, and the pipe outlives the poll.
    unsafe { ring.submission().push(PollAdd::new(&reader, EventFlags::IN).sqe(1)) }.expect("room");
    ring.submit().expect("submitted");
    writer.write_all(b"x").expect("room in the pipe");
    std::thread::sleep(SPAN);
    assert!(ring.completion().is_empty(), "it is run when the thread enters");
    ring.get_events().expect("what is due comes in");
    assert!(is_readable(&ring), "a completion waits");
    assert!(ring.completion().pop().is_some());
}

/// The eventfd of a thread's own ring counts once for what is put off, then not before that was
/// brought in.
#[test]
fn an_eventfd_of_a_local_ring_counts_again_after_get_events() {
    require!(setup: DEFERRED);
    require!(repaired: eventfds_count_again(), COUNTS_AGAIN);
    let mut ring = IoUring::local(8).expect("a ring");
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd");
    ring.registrar().register_eventfd(&event).expect("registered");
    for round in 0..20_u64 {
        let (reader, mut writer) = pipe();
        let poll = PollAdd::new(&reader, EventFlags::IN).sqe(round);
        // SAFETY: no memory is named, and the pipe outlives the poll.
        unsafe { ring.submission().push(poll) }.expect("room");
        ring.submit().expect("submitted");
        writer.write_all(b"x").expect("room in the pipe");
        assert!(is_readable_within(&event, PATIENCE), "round {round}");
        rustix::io::read(&event, &mut [0; 8]).expect("a count");
        ring.get_events().expect("what is due comes in");
        assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(round));
        // Of what the loop has popped it may be notified; then there is nothing more.
        let _ = rustix::io::read(&event, &mut [0; 8]);
    }
}

/// What completes while notifications are off is not made up for: look once more after turning
/// them on, as `set_eventfd_disabled` says.
#[test]
fn what_completes_while_notifications_are_off_is_found_by_one_more_look() {
    let mut ring = IoUring::new(8).expect("a ring");
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd");
    ring.registrar().register_eventfd(&event).expect("registered");
    let (mut submission, mut completion) = ring.split();
    completion.set_eventfd_disabled(true).expect("the ring is ours");
    submission.push_safe(Nop::new().sqe(1)).expect("room");
    submission.submit().expect("submitted");
    completion.set_eventfd_disabled(false).expect("the ring is ours");
    assert!(!is_readable(&event));
    assert_eq!(completion.pop().map(|cqe| cqe.user_data()), Some(1));
}
