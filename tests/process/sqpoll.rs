//! Rings with a polling thread: entries are consumed without system calls while it is awake, and
//! are never left in the queue when it sleeps.

use crate::op_common::AS_OF_6_11;
use core::time::Duration;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::common::process::{bounded, in_child, refuse_call};
use crate::common::{PATIENCE, reap, require};
use ringbolt::ops::Nop;
use ringbolt::sys::SqStatus;
use ringbolt::{IoUring, PushError, Timespec};
use rustix::io::Errno;

/// An idle time for which a polling thread stays awake during a whole test.
const AWAKE: u32 = 60_000;

/// Each polling thread keeps a CPU busy, so the tests run one at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn polled(entries: u32, idle_ms: u32) -> IoUring {
    IoUring::builder().sqpoll(idle_ms).build(entries).expect("an SQPOLL ring")
}

fn push(ring: &mut IoUring, user_data: u64) {
    ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
}

/// Repeats `is_so` until it returns true or a time limit has passed, without entering the kernel.
fn until(ring: &mut IoUring, what: &str, mut is_so: impl FnMut(&mut IoUring) -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so(ring) {
        assert!(Instant::now() < end, "timed out waiting for {what}");
        std::thread::yield_now();
    }
}

/// Waits for the next completion without entering the kernel.
fn comes(ring: &mut IoUring, user_data: u64) {
    until(ring, "a completion", |ring| !ring.completion().is_empty());
    assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(user_data));
}

fn sleeps(ring: &mut IoUring) -> bool {
    ring.submission().status().contains(SqStatus::NEED_WAKEUP)
}

/// Goal: while the thread is awake, no system call is made.
/// Method: a filter under which every call fails. The polling thread makes none.
#[test]
fn an_awake_thread_consumes_entries_without_a_system_call() {
    in_child("an_awake_thread_consumes_entries_without_a_system_call", || {
        let mut ring = polled(8, AWAKE);
        // The first entry is not consumed before the thread has started.
        push(&mut ring, 0);
        ring.submit().expect("submitted");
        comes(&mut ring, 0);
        refuse_call(libc::SYS_io_uring_enter, Errno::NOSYS);
        for first in (0..400).step_by(4) {
            (first..first + 4).for_each(|user_data| push(&mut ring, user_data));
            assert_eq!(ring.submit(), Ok(4));
            (first..first + 4).for_each(|user_data| comes(&mut ring, user_data));
            push(&mut ring, 1000 + first);
            assert_eq!(ring.submission().flush(), 1);
            assert_eq!(ring.submission().flush(), 0);
            comes(&mut ring, 1000 + first);
            until(&mut ring, "an empty queue", |ring| ring.submission().is_empty());
        }
        assert_eq!(ring.wait(1), Err(Errno::NOSYS), "the filter is active");
    });
}

/// liburing: sqpoll-sleep.
#[test]
fn the_thread_falls_asleep_after_the_idle_time() {
    let _alone = alone();
    bounded(|| {
        // 50 and 400 can be distinguished only if the unit is milliseconds, not seconds or
        // microseconds.
        for (idle_ms, more_than) in [(50, 25), (400, 300)] {
            let mut ring = polled(4, idle_ms);
            push(&mut ring, 1);
            ring.submit().expect("submitted");
            comes(&mut ring, 1);
            let start = Instant::now();
            until(&mut ring, "a thread that sleeps", sleeps);
            let idle = start.elapsed();
            assert!(idle > Duration::from_millis(more_than), "{idle:?} for {idle_ms} ms");
            assert!(idle < Duration::from_millis(more_than) + PATIENCE / 4, "{idle:?}");
        }
    });
}

#[test]
fn a_sleeping_thread_is_woken_by_submit() {
    let _alone = alone();
    bounded(|| {
        let mut ring = polled(4, 1);
        for user_data in 0..50 {
            until(&mut ring, "a thread that sleeps", sleeps);
            push(&mut ring, user_data);
            assert_eq!(ring.submit(), Ok(1));
            comes(&mut ring, user_data);
        }
    });
}

/// liburing: d77a67ed5f27.
#[test]
fn a_sleeping_thread_is_woken_by_submit_and_wait() {
    let _alone = alone();
    bounded(|| {
        let mut ring = polled(4, 1);
        let hour = Timespec::new(3600, 0);
        for user_data in 0..50 {
            until(&mut ring, "a thread that sleeps", sleeps);
            push(&mut ring, user_data);
            if user_data % 2 == 0 {
                assert_eq!(ring.submit_and_wait(1), Ok(1));
            } else {
                assert_eq!(ring.submit_and_wait_timeout(1, hour), Ok(1));
            }
            assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(user_data));
        }
    });
}

#[test]
fn a_sleeping_thread_consumes_flushed_entries_only_after_it_is_woken() {
    let _alone = alone();
    bounded(|| {
        let mut ring = polled(4, 1);
        until(&mut ring, "a thread that sleeps", sleeps);
        push(&mut ring, 1);
        assert_eq!(ring.submission().flush(), 1);
        std::thread::sleep(Duration::from_millis(20));
        assert!(sleeps(&mut ring));
        assert_eq!((ring.submission().len(), ring.completion().len()), (1, 0));
        // The entry was published before, but the thread must still be woken for it.
        assert_eq!(ring.submit(), Ok(0));
        comes(&mut ring, 1);
    });
}

/// Goal: R5: the thread does not fall asleep without seeing an entry that is published at that
/// moment.
/// Method: many entries, each published about when the thread is about to sleep.
#[test]
fn r5_no_entry_is_lost_between_falling_asleep_and_waking() {
    let _alone = alone();
    bounded(|| {
        let mut ring = polled(4, 1);
        let (mut asleep, mut awake) = (0, 0);
        for user_data in 0..400 {
            let start = Instant::now();
            // The thread counts idle time in ticks of a few milliseconds.
            let pause = Duration::from_micros(500 + user_data * 13 % 8000);
            while start.elapsed() < pause && !sleeps(&mut ring) {}
            push(&mut ring, user_data);
            if sleeps(&mut ring) {
                asleep += 1
            } else {
                awake += 1
            }
            assert_eq!(ring.submit(), Ok(1));
            comes(&mut ring, user_data);
        }
        println!("published while the thread slept: {asleep}, while it was awake: {awake}");
        assert!(asleep > 0);
    });
}

#[test]
fn thousands_of_entries_go_through_a_small_ring() {
    const COUNT: u64 = 10_000;
    let _alone = alone();
    bounded(|| {
        let mut ring = polled(4, AWAKE);
        let (mut pushed, mut seen) = (0, 0);
        while seen < COUNT {
            while pushed < COUNT {
                match ring.submission().push_safe(Nop::new().sqe(pushed)) {
                    Ok(()) => pushed += 1,
                    Err(PushError::Full(entry)) => {
                        assert_eq!(entry.as_sqe().user_data(), pushed);
                        break;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
            ring.submit().expect("submitted");
            if pushed < COUNT {
                ring.submission().wait_for_room().expect("room");
                assert!(!ring.submission().is_full());
            }
            for cqe in ring.completion().drain() {
                assert_eq!(cqe.user_data(), seen);
                seen += 1;
            }
        }
        assert!(ring.completion().is_empty());
    });
}

#[test]
fn waiting_for_room_returns_at_once_when_there_is_room() {
    let _alone = alone();
    bounded(|| {
        let mut ring = polled(4, 1);
        until(&mut ring, "a thread that sleeps", sleeps);
        assert_eq!(ring.submission().wait_for_room(), Ok(()));
        push(&mut ring, 1);
        assert_eq!(ring.submission().wait_for_room(), Ok(()));
        assert_eq!(ring.submission().pop_back().map(|sqe| sqe.user_data()), Some(1));
        let mut unpolled = IoUring::new(1).expect("a ring");
        push(&mut unpolled, 1);
        assert_eq!(unpolled.submission().wait_for_room(), Ok(()));
        assert!(unpolled.submission().is_full());
    });
}

/// liburing: sqwait.
#[test]
fn waiting_for_room_makes_room_whatever_the_thread_does() {
    let _alone = alone();
    bounded(|| {
        for flushed in [true, false] {
            let mut ring = polled(2, 1);
            until(&mut ring, "a thread that sleeps", sleeps);
            (0..2).for_each(|user_data| push(&mut ring, user_data));
            assert!(ring.submission().is_full());
            if flushed {
                ring.submission().flush();
            }
            assert_eq!(ring.submission().wait_for_room(), Ok(()));
            assert!(!ring.submission().is_full(), "flushed before: {flushed}");
            ring.submit().expect("submitted");
            reap(&mut ring, 2);
        }
    });
}

#[test]
fn only_unpublished_entries_can_be_taken_back() {
    let _alone = alone();
    bounded(|| {
        let mut ring = polled(4, 1);
        until(&mut ring, "a thread that sleeps", sleeps);
        push(&mut ring, 1);
        ring.submission().flush();
        push(&mut ring, 2);
        push(&mut ring, 3);
        assert_eq!(ring.submission().pop_back().map(|sqe| sqe.user_data()), Some(3));
        assert_eq!(ring.submission().pop_back().map(|sqe| sqe.user_data()), Some(2));
        assert!(ring.submission().pop_back().is_none(), "the thread may have the first one");
        push(&mut ring, 2);
        push(&mut ring, 3);
        assert_eq!(ring.submission().rollback(), 2);
        assert_eq!(ring.submission().rollback(), 0);
        push(&mut ring, 4);
        assert_eq!(ring.submit(), Ok(1));
        comes(&mut ring, 1);
        comes(&mut ring, 4);
    });
}

/// Goal: the polling thread, which reads at any time, sees the whole chain or nothing.
/// Method: chains whose first entry fails, so that a part that was split off would succeed.
#[test]
fn the_polling_thread_never_splits_a_chain() {
    require!(op: AS_OF_6_11);
    let _alone = alone();
    bounded(|| {
        let mut ring = polled(8, AWAKE);
        for _ in 0..500 {
            let fails = Nop::new().inject_result(-5).sqe(0).link().into();
            let chain = [fails, Nop::new().sqe(1).link().into(), Nop::new().sqe(2).into()];
            // SAFETY: a NOP names nothing.
            unsafe { ring.submission().push_all(&chain) }.expect("room");
            push(&mut ring, 3);
            ring.submit().expect("submitted");
            let mut results = [Ok(0); 4];
            for cqe in reap(&mut ring, 4) {
                let place = usize::try_from(cqe.user_data()).expect("a small number");
                *results.get_mut(place).expect("0 to 3") = cqe.result();
            }
            let cancelled = Err(Errno::CANCELED);
            assert_eq!(results, [Err(Errno::IO), cancelled, cancelled, Ok(0)]);
            until(&mut ring, "an empty queue", |ring| ring.submission().is_empty());
        }
    });
}
