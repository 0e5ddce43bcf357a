//! Waits that follow each other, that share a ring, and that use either clock.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use crate::common::process::bounded;
use crate::common::timing::{assert_about, on_each_kind, timed};
use crate::common::{PATIENCE, TempDir, require};
use crate::op_common::{assert_quiet, pipe, reap_sorted, reap_told};
use ringbolt::ops::{Nop, PollAdd, Write};
use ringbolt::register::Clock;
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::sys::{self, EnterFlags, Features, RegisterOp, SharedPtr, io_uring_getevents_arg};
use ringbolt::{Cqe, EnterArg, IoUring, Sqe, Timespec, WaitArg};
use rustix::fd::AsRawFd;
use rustix::io::Errno;

/// A duration that is long enough to be measured.
const SPAN: Duration = Duration::from_millis(50);

/// A duration that no test waits for.
const HOUR: Timespec = Timespec::new(3600, 0);

fn push_nop<T>(ring: &mut IoUring<Sqe, Cqe, T>, user_data: u64) {
    ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
}

/// Goal: a wait that times out does not affect the next one.
/// Method: waits of all kinds in turn, some of which time out.
///
/// liburing: 7ad0e4b2f83c, submit-and-wait.
#[test]
fn a_timed_wait_does_not_affect_later_waits() {
    require!(feature: Features::EXT_ARG);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let span = Timespec::from(SPAN);
        for id in 0..5 {
            let (elapsed, waited) = timed(|| ring.completion().wait_timeout(1, span));
            assert_eq!(waited, Err(Errno::TIME));
            assert_about(elapsed, SPAN);
            assert!(ring.completion().is_empty(), "no completion tells of the time");
            push_nop(&mut ring, id);
            assert_eq!(ring.submit_and_wait(1), Ok(1));
            assert_eq!(ring.wait(1), Ok(()));
            assert_eq!(ring.completion().wait_timeout(1, HOUR), Ok(()));
            assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(id));

            push_nop(&mut ring, id + 100);
            let (elapsed, taken) = timed(|| ring.submit_and_wait_timeout(2, span));
            assert_eq!(taken, Ok(1), "the entry, though not both completions");
            assert_about(elapsed, SPAN);
            assert_eq!(ring.submit_and_wait_timeout(1, HOUR), Ok(0), "it is there");
            let (elapsed, waited) = timed(|| ring.submit_and_wait_timeout(2, span));
            assert_eq!(waited, Ok(0), "the time is up, and yet something is there");
            assert_about(elapsed, SPAN);
            assert_eq!(reap_told(&mut ring, 1), [(id + 100, Ok(0))]);
            assert_quiet(&mut ring);
        }
    });
}

/// liburing: b5837bd5311d.
#[test]
fn a_wait_returns_after_exactly_the_requested_completions() {
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        for want in 1..=6_u32 {
            let mut pipes: Vec<_> = (0..6).map(|_| pipe()).collect();
            start_polls(&mut ring, &pipes);
            let there = std::thread::scope(|scope| {
                let writer = scope.spawn(|| {
                    for (_, writer) in pipes.iter_mut().take(want as usize) {
                        std::thread::sleep(Duration::from_millis(5));
                        writer.write_all(b"x").expect("room in the pipe");
                    }
                });
                assert_eq!(ring.submit_and_wait(want), Ok(0));
                let there = ring.completion().len();
                writer.join().expect("no panic");
                there
            });
            assert_eq!(there, want, "no fewer, and there were no more");
            for (_, writer) in &mut pipes[want as usize..] {
                writer.write_all(b"x").expect("room in the pipe");
            }
            reap_sorted(&mut ring, 6);
        }
    });
}

/// Waits for each pipe to be readable.
fn start_polls<T>(ring: &mut IoUring<Sqe, Cqe, T>, pipes: &[(File, File)]) {
    for (id, (reader, _)) in (0..).zip(pipes) {
        let poll = PollAdd::new(reader, EventFlags::IN).sqe(id);
        // SAFETY: the kernel holds on to the file; its number is looked up at submission.
        unsafe { ring.submission().push(poll) }.expect("room");
    }
    assert_eq!(ring.submit().map(usize::try_from), Ok(Ok(pipes.len())));
}

/// Waits for 8 completions, or for one after `least`. Returns the elapsed time, the result, and the
/// number of completions. One pipe becomes readable after each of `spans`.
fn gathered<T, const N: usize>(
    ring: &mut IoUring<Sqe, Cqe, T>,
    spans: [Duration; N],
    least: Duration,
    most: Timespec,
) -> (Duration, Result<(), Errno>, u32) {
    let mut pipes = [(); N].map(|()| pipe());
    start_polls(ring, &pipes);
    let least = u32::try_from(least.as_micros()).expect("a short time");
    let wait = WaitArg { timeout: Some(&most), min_wait_usec: least, sigmask: None };
    let start = Instant::now();
    let told = std::thread::scope(|scope| {
        scope.spawn(|| {
            for (span, (_, writer)) in spans.iter().zip(&mut pipes) {
                std::thread::sleep(span.saturating_sub(start.elapsed()));
                writer.write_all(b"x").expect("room in the pipe");
            }
        });
        let waited = ring.completion().wait_with(8, EnterFlags::empty(), EnterArg::Wait(wait));
        (start.elapsed(), waited, ring.completion().len())
    });
    reap_sorted(ring, N);
    assert_quiet(ring);
    told
}

/// liburing: min-timeout-wait, min-timeout.
#[test]
fn a_minimum_wait_collects_completions_and_then_returns_after_one() {
    require!(feature: Features::MIN_TIMEOUT);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(16).expect("a ring");
        // One completion is ready before, and one arrives during the minimum wait.
        let (elapsed, waited, there) =
            gathered(&mut ring, [Duration::ZERO, SPAN / 2], 6 * SPAN, HOUR);
        assert_eq!((waited, there), (Ok(()), 2));
        assert_about(elapsed, 6 * SPAN);
        // No completion arrives during the minimum wait: the first one after it is enough.
        let (elapsed, waited, there) = gathered(&mut ring, [2 * SPAN, 8 * SPAN], SPAN, HOUR);
        assert_eq!((waited, there), (Ok(()), 1));
        assert_about(elapsed, 2 * SPAN);
        // No completion arrives until the timeout.
        let (elapsed, waited, there) = gathered(&mut ring, [], SPAN, Timespec::from(2 * SPAN));
        assert_eq!((waited, there), (Err(Errno::TIME), 0));
        assert_about(elapsed, 2 * SPAN);
        // All completions are ready: the wait ends immediately.
        let (elapsed, waited, there) = gathered(&mut ring, [Duration::ZERO; 8], PATIENCE, HOUR);
        assert_eq!((waited, there), (Ok(()), 8));
        assert!(elapsed < PATIENCE / 2, "{elapsed:?}");
    });
}

/// Waits for one completion for `span`, on the ring of `fd`, from any thread.
fn raw_wait(fd: i32, span: Duration) -> Result<u32, Errno> {
    let span = Timespec::from(span);
    let wait = io_uring_getevents_arg {
        ts: SharedPtr::new(span.as_raw()),
        ..io_uring_getevents_arg::ZEROED
    };
    let (flags, size) = (EnterFlags::GETEVENTS | EnterFlags::EXT_ARG, size_of_val(&wait));
    // SAFETY: nothing is submitted, and the argument is valid during the call.
    let waited = unsafe { sys::io_uring_enter(fd, 0, 1, flags, (&raw const wait).cast(), size) };
    waited.map_err(Errno::from_raw_os_error)
}

/// liburing: timeout-new.
#[test]
fn each_of_many_threads_waits_for_its_own_time() {
    require!(feature: Features::EXT_ARG);
    bounded(|| {
        let mut ring = IoUring::new(8).expect("a ring");
        let fd = ring.as_raw_fd();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (1..=8)
                .map(|number| {
                    scope.spawn(move || {
                        for _ in 0..3 {
                            let (elapsed, waited) = timed(|| raw_wait(fd, number * SPAN / 4));
                            assert_eq!(waited, Err(Errno::TIME));
                            assert_about(elapsed, number * SPAN / 4);
                        }
                    })
                })
                .collect();
            let (elapsed, waited) = timed(|| ring.completion().wait_timeout(1, SPAN));
            assert_eq!(waited, Err(Errno::TIME));
            assert_about(elapsed, SPAN);
            threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        });
        // The timeouts used no entries: nothing was submitted, and nothing completes.
        assert_quiet(&mut ring);
    });
}

/// liburing: timeout-new.
#[test]
fn a_completion_ends_the_waits_of_all_threads() {
    require!(feature: Features::EXT_ARG);
    bounded(|| {
        let mut ring = IoUring::new(8).expect("a ring");
        let fd = ring.as_raw_fd();
        std::thread::scope(|scope| {
            let waits: Vec<_> =
                (0..4).map(|_| scope.spawn(move || raw_wait(fd, PATIENCE))).collect();
            std::thread::sleep(SPAN);
            push_nop(&mut ring, 1);
            assert_eq!(ring.submit(), Ok(1));
            for wait in waits {
                assert_eq!(wait.join().expect("no panic"), Ok(0));
            }
        });
        assert_eq!(reap_told(&mut ring, 1), [(1, Ok(0))]);
    });
}

/// The point in time `span` from now, by a clock.
fn instant(clock: Clock, span: Duration) -> Timespec {
    let id = match clock {
        Clock::Monotonic => libc::CLOCK_MONOTONIC,
        Clock::Boottime => libc::CLOCK_BOOTTIME,
    };
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a timespec to be written.
    let result = unsafe { libc::clock_gettime(id, &raw mut now) };
    assert_eq!(result, 0);
    let now = Duration::from_secs(u64::try_from(now.tv_sec).expect("a time"))
        + Duration::from_nanos(u64::try_from(now.tv_nsec).expect("a time"));
    Timespec::from(now + span)
}

/// liburing: wait-timeout.
#[test]
fn waits_use_the_set_clock_for_durations_and_points_in_time() {
    require!(register: RegisterOp::REGISTER_CLOCK);
    require!(enter: EnterFlags::ABS_TIMER);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        for clock in [Clock::Monotonic, Clock::Boottime, Clock::Monotonic] {
            ring.registrar().set_clock(clock).expect("a clock");
            for absolute in [false, true] {
                let time = || if absolute { instant(clock, SPAN) } else { Timespec::from(SPAN) };
                let flags = if absolute { EnterFlags::ABS_TIMER } else { EnterFlags::empty() };
                let mut wait = |want, submit: bool| {
                    let time = time();
                    let wait = WaitArg { timeout: Some(&time), ..WaitArg::default() };
                    if submit {
                        ring.submit_with(want, flags, EnterArg::Wait(wait)).map_err(|e| e.errno)?;
                        return Ok(());
                    }
                    ring.completion().wait_with(want, flags, EnterArg::Wait(wait))
                };
                for (want, submit) in [(1, false), (4, true)] {
                    let (elapsed, waited) = timed(|| wait(want, submit));
                    assert_eq!(waited, Err(Errno::TIME), "{clock:?}, absolute: {absolute}");
                    assert_about(elapsed, SPAN.mul_f32(0.9));
                }
            }
        }
        // A point in time in the past ends the wait immediately, and ready completions are still
        // found.
        let past = instant(Clock::Monotonic, Duration::ZERO);
        let arg = EnterArg::Wait(WaitArg { timeout: Some(&past), ..WaitArg::default() });
        push_nop(&mut ring, 1);
        assert_eq!(ring.submit_with(1, EnterFlags::ABS_TIMER, arg), Ok(1));
        assert_eq!(ring.completion().wait_with(1, EnterFlags::ABS_TIMER, arg), Ok(()));
        assert_eq!(reap_told(&mut ring, 1), [(1, Ok(0))]);
    });
}

/// liburing: 500f9fbadef8.
#[test]
fn a_ring_of_one_entry_writes_a_file_without_hanging() {
    const COUNT: u64 = 500;
    on_each_kind(|builder| {
        let dir = TempDir::new();
        let path = dir.file("blocks", b"");
        let file = File::options().write(true).open(&path).expect("it was just made");
        let mut ring = builder.build_local(1).expect("a ring");
        let mut block = [0_u8; 4096];
        for number in 0..COUNT {
            block[..8].copy_from_slice(&number.to_ne_bytes());
            let write = Write::new(&file, block.as_ptr(), 4096).offset(4096 * number).sqe(number);
            // SAFETY: file and block stay until the completion is popped below.
            unsafe { ring.submission().push(write) }.expect("room");
            assert_eq!(ring.submit_and_wait(1), Ok(1));
            assert_eq!(reap_told(&mut ring, 1), [(number, Ok(4096))]);
        }
        let written = std::fs::read(path).expect("what was written");
        for (number, block) in (0_u64..).zip(written.chunks(4096)) {
            assert_eq!(block[..8], number.to_ne_bytes());
        }
    });
}
