//! Which threads may use a ring, and that two may at once.

use core::time::Duration;
use std::time::Instant;

use crate::common::process::bounded;
use crate::common::{PATIENCE, reap, require};
use ringbolt::ops::Nop;
use ringbolt::register::Registrar;
use ringbolt::sys::{self, EnterFlags, SetupFlags};
use ringbolt::{
    BuildError, Builder, CompletionQueue, Cqe, Cqe32, DisabledIoUring, IoUring, LocalIoUring, NoFd,
    OneThread, Sqe, Sqe128, SubmissionQueue, Timespec,
};
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;
use static_assertions::{assert_impl_all, assert_not_impl_any};

assert_impl_all!(IoUring: Send);
assert_impl_all!(IoUring<Sqe128, Cqe32>: Send);
assert_not_impl_any!(IoUring: Sync);
assert_impl_all!(DisabledIoUring: Send);
assert_not_impl_any!(DisabledIoUring: Sync);
// Of use to the thread that made them, and to no other.
assert_not_impl_any!(LocalIoUring: Send, Sync);
assert_not_impl_any!(IoUring<Sqe, Cqe, NoFd>: Send, Sync);
// A half is as free as its ring; two threads cannot have the same one.
assert_impl_all!(SubmissionQueue<'static>: Send);
assert_impl_all!(CompletionQueue<'static>: Send);
assert_not_impl_any!(SubmissionQueue<'static>: Sync);
assert_not_impl_any!(CompletionQueue<'static>: Sync);
assert_not_impl_any!(SubmissionQueue<'static, Sqe, OneThread>: Send, Sync);
assert_not_impl_any!(CompletionQueue<'static, Cqe, OneThread>: Send, Sync);
assert_not_impl_any!(SubmissionQueue<'static, Sqe, NoFd>: Send, Sync);
assert_not_impl_any!(CompletionQueue<'static, Cqe, NoFd>: Send, Sync);
// On another thread an index is another ring's.
assert_not_impl_any!(Registrar<'static>: Send, Sync);
// What describes rings is free.
assert_impl_all!(Builder: Send, Sync);
assert_impl_all!(BuildError: Send, Sync);
assert_impl_all!(Sqe: Send);
assert_impl_all!(Cqe: Send, Sync);

/// Entries of the long runs.
const COUNT: u64 = 1_000_000;

/// Pushes and submits entries with `user_data` from 0 to `count`.
fn produce<T>(mut submission: SubmissionQueue<'_, Sqe, T>, count: u64) {
    for user_data in 0..count {
        let entry = Nop::new().sqe(user_data);
        if let Err(refused) = submission.push_safe(entry) {
            submission.submit().expect("submitted");
            submission.push_safe(refused.into_entries()).expect("the queue is empty");
        }
    }
    submission.submit().expect("submitted");
    assert!(submission.is_empty());
}

/// Waits for `count` completions and checks that each entry has exactly one.
fn consume<T>(mut completion: CompletionQueue<'_, Cqe, T>, count: u64) {
    let end = Instant::now() + PATIENCE;
    let mut seen = vec![false; usize::try_from(count).expect("a count that fits")];
    let mut left = count;
    while left > 0 {
        for cqe in completion.drain() {
            assert_eq!(cqe.result(), Ok(0));
            let place = usize::try_from(cqe.user_data()).expect("what was pushed");
            let seen = seen.get_mut(place).expect("what was pushed");
            assert!(!*seen, "{} completed twice", cqe.user_data());
            *seen = true;
            left -= 1;
        }
        assert!(Instant::now() < end, "{left} of {count} completions are missing");
        match completion.wait_timeout(u32::from(left > 0), Timespec::new(1, 0)) {
            Ok(()) | Err(Errno::TIME) => {}
            Err(errno) => panic!("waiting: {errno}"),
        }
    }
    assert!(completion.is_empty());
    assert_eq!(completion.overflow(), 0);
}

#[test]
fn a_million_entries_go_from_one_thread_to_another() {
    let mut ring = IoUring::new(256).expect("a ring");
    let (submission, completion) = ring.split();
    std::thread::scope(|scope| {
        scope.spawn(|| produce(submission, COUNT));
        consume(completion, COUNT);
    });
    let (submission, completion) = ring.split();
    assert!(submission.is_empty());
    assert!(completion.is_empty());
}

#[test]
fn entries_go_from_one_thread_to_another_through_a_tiny_ring() {
    const COUNT: u64 = 20_000;
    let mut ring = IoUring::builder().cq_entries(1).build(1).expect("a ring");
    let (submission, completion) = ring.split();
    std::thread::scope(|scope| {
        scope.spawn(|| produce(submission, COUNT));
        consume(completion, COUNT);
    });
}

#[test]
fn halves_can_be_split_and_joined_again_and_again() {
    let mut ring = IoUring::new(8).expect("a ring");
    for user_data in 0..200 {
        let (mut submission, mut completion) = ring.split();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                submission.push_safe(Nop::new().sqe(user_data)).expect("room");
                submission.submit().expect("submitted");
            });
            completion.wait_timeout(1, Timespec::from(PATIENCE)).expect("a completion");
        });
        assert_eq!(reap(&mut ring, 1).pop().map(|cqe| cqe.user_data()), Some(user_data));
    }
}

#[cfg(feature = "owned")]
mod owned {
    use super::{COUNT, bounded, consume, produce};
    use crate::common::PATIENCE;
    use ringbolt::ops::Nop;
    use ringbolt::sys::Opcode;
    use ringbolt::{Cqe, Sqe};
    use ringbolt::{IoUring, OneThread, OwnedCompletionQueue, OwnedSubmissionQueue, Timespec};
    use static_assertions::{assert_impl_all, assert_not_impl_any};

    assert_impl_all!(OwnedSubmissionQueue: Send);
    assert_impl_all!(OwnedCompletionQueue: Send);
    assert_not_impl_any!(OwnedSubmissionQueue<Sqe, OneThread>: Send, Sync);
    assert_not_impl_any!(OwnedCompletionQueue<Cqe, OneThread>: Send, Sync);

    #[test]
    fn a_million_entries_go_from_one_owned_half_to_the_other() {
        let (mut submission, mut completion) = IoUring::new(256).expect("a ring").into_halves();
        let producer = std::thread::spawn(move || produce(submission.queue(), COUNT));
        consume(completion.queue(), COUNT);
        producer.join().expect("the producer ends");
    }

    #[test]
    fn either_half_keeps_the_ring_open() {
        bounded(|| {
            let (mut submission, completion) = IoUring::new(8).expect("a ring").into_halves();
            drop(completion);
            submission.queue().push_safe(Nop::new().sqe(1)).expect("room");
            assert_eq!(submission.queue().submit(), Ok(1));
            assert!(submission.registrar().probe().is_ok_and(|probe| probe.supports(Opcode::NOP)));

            let (mut submission, mut completion) = IoUring::new(8).expect("a ring").into_halves();
            submission.queue().push_safe(Nop::new().sqe(2)).expect("room");
            assert_eq!(submission.queue().submit(), Ok(1));
            drop(submission);
            completion.queue().wait_timeout(1, Timespec::from(PATIENCE)).expect("a completion");
            assert_eq!(completion.queue().pop().map(|cqe| cqe.user_data()), Some(2));
        });
    }

    #[test]
    fn what_was_pushed_and_seen_before_is_kept_when_the_ring_is_taken_apart() {
        let mut ring = IoUring::new(8).expect("a ring");
        for user_data in 0..3 {
            ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
        }
        assert_eq!(ring.submit(), Ok(3));
        assert_eq!(ring.completion().drain().next().map(|cqe| cqe.user_data()), Some(0));
        ring.submission().push_safe(Nop::new().sqe(3)).expect("room");
        let (mut submission, mut completion) = ring.into_halves();
        assert_eq!(submission.queue().len(), 1);
        assert_eq!(submission.queue().submit(), Ok(1));
        let rest: Vec<_> = completion.queue().drain().map(|cqe| cqe.user_data()).collect();
        assert_eq!(rest, [1, 2, 3]);
    }
}

#[test]
fn a_ring_sent_to_another_thread_works_there() {
    let mut ring = IoUring::new(8).expect("a ring");
    ring.submission().push_safe(Nop::new().sqe(1)).expect("room");
    let mut ring = bounded(move || {
        ring.submission().push_safe(Nop::new().sqe(2)).expect("room");
        assert_eq!(ring.submit(), Ok(2));
        ring
    });
    let reaped: Vec<_> = reap(&mut ring, 2).iter().map(Cqe::user_data).collect();
    assert_eq!(reaped, [1, 2]);
}

const SINGLE: SetupFlags = SetupFlags::SINGLE_ISSUER;

/// What the kernel says to a thread that enters the ring behind `fd` to submit nothing.
fn enter(fd: i32) -> Result<u32, Errno> {
    let null = core::ptr::null();
    // SAFETY: the callers have queued nothing; there is no argument.
    let entered = unsafe { sys::io_uring_enter(fd, 1, 0, EnterFlags::empty(), null, 0) };
    entered.map_err(Errno::from_raw_os_error)
}

/// liburing: single-issuer.
#[test]
fn a_ring_built_disabled_belongs_to_the_thread_that_enables_it() {
    require!(setup: SINGLE | SetupFlags::R_DISABLED);
    let builder = IoUring::builder().single_issuer();
    let disabled = builder.build_disabled(8).expect("a ring");
    let fd = disabled.as_fd().as_raw_fd();
    assert_eq!(enter(fd), Err(Errno::BADFD), "it is disabled");
    std::thread::scope(|scope| {
        let there = scope.spawn(move || {
            let mut ring = disabled.enable_local().expect("enabled");
            ring.submission().push_safe(Nop::new().sqe(1)).expect("room");
            assert_eq!(ring.submit_and_wait(1), Ok(1));
            assert_eq!(reap(&mut ring, 1).pop().map(|cqe| cqe.user_data()), Some(1));
            // Its maker may not enter it: that is why the ring cannot be sent back.
            let other = std::thread::scope(|scope| {
                scope.spawn(|| enter(fd)).join().expect("the thread returns")
            });
            assert_eq!(other, Err(Errno::EXIST));
            assert_eq!(enter(fd), Ok(0));
        });
        there.join().expect("the thread returns");
    });
}

#[test]
fn a_ring_for_deferred_work_is_enabled_where_it_is_used() {
    let flags = SINGLE | SetupFlags::DEFER_TASKRUN;
    require!(setup: flags | SetupFlags::R_DISABLED);
    let disabled = IoUring::builder().flags(flags).build_disabled(8).expect("a ring");
    assert_eq!(disabled.params().flags, flags | SetupFlags::R_DISABLED);
    bounded(move || {
        let mut ring = disabled.enable_local().expect("enabled");
        for user_data in 0..100 {
            ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
            assert_eq!(ring.submit_and_wait(1), Ok(1));
            assert_eq!(reap(&mut ring, 1).pop().map(|cqe| cqe.user_data()), Some(user_data));
        }
    });
}

#[test]
fn enabling_for_any_thread_a_ring_for_one_is_refused_and_the_ring_comes_back() {
    require!(setup: SINGLE | SetupFlags::R_DISABLED);
    let disabled = IoUring::builder().single_issuer().build_disabled(8).expect("a ring");
    let fd = disabled.as_fd().as_raw_fd();
    let error = disabled.enable().expect_err("it is for one thread");
    assert_eq!(error.cause, BuildError::NeedsOneThread { flags: SINGLE });
    let text = error.to_string();
    assert!(text.starts_with("the ring could not be enabled: "), "{text}");
    assert_eq!(error.ring.as_fd().as_raw_fd(), fd);
    let mut ring = error.ring.enable_local().expect("enabled");
    ring.submission().push_safe(Nop::new().sqe(1)).expect("room");
    assert_eq!(ring.submit_and_wait(1), Ok(1));
}

#[test]
fn a_ring_for_any_thread_is_enabled_for_any_thread() {
    require!(setup: SetupFlags::R_DISABLED);
    let disabled = IoUring::builder().build_disabled(8).expect("a ring");
    let mut ring = bounded(move || disabled.enable().expect("enabled"));
    ring.submission().push_safe(Nop::new().sqe(1)).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap(&mut ring, 1).pop().map(|cqe| cqe.user_data()), Some(1));
}

/// Two threads that wait and submit at once must not wait for each other.
#[test]
fn submitting_goes_on_while_the_other_half_waits() {
    let mut ring = IoUring::new(8).expect("a ring");
    let (mut submission, mut completion) = ring.split();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(move || {
            completion.wait_timeout(1, Timespec::from(PATIENCE)).expect("a completion");
            completion.pop().map(|cqe| cqe.user_data())
        });
        std::thread::sleep(Duration::from_millis(30));
        submission.push_safe(Nop::new().sqe(5)).expect("room");
        assert_eq!(submission.submit(), Ok(1));
        assert_eq!(waiter.join().expect("the thread returns"), Some(5));
    });
}
