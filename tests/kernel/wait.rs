//! Waiting: for as many completions as asked for, for as long as allowed, and not past a signal
//! that is let through.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::sync::atomic::Ordering;
use core::time::Duration;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Instant;

use crate::common::process::bounded;
use crate::common::signal::{CAUGHT, signal, under_fire};
use crate::common::timing::{assert_about, on_each_kind, timed};
use crate::common::{PATIENCE, reap, require};
use ringbolt::ops::{Nop, PollAdd, Timeout};
use ringbolt::sys::{EnterFlags, Features};
use ringbolt::{Advice, Builder, Cqe, EnterArg, IoUring, SigSet, Sqe, Timespec, WaitArg};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

/// Some time, long enough to be measured.
const SPAN: Duration = Duration::from_millis(60);

fn new() -> Builder<'static> {
    IoUring::builder()
}

fn push_nop<T>(ring: &mut IoUring<Sqe, Cqe, T>, user_data: u64) {
    ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
}

/// Pushes an entry that completes after `span`.
fn push_timer<T>(ring: &mut IoUring<Sqe, Cqe, T>, span: &Timespec, user_data: u64) {
    // SAFETY: the callers keep the timespec until they have submitted.
    unsafe { ring.submission().push(Timeout::new(span).sqe(user_data)) }.expect("room");
}

/// liburing: b5837bd5311d.
#[test]
fn submit_and_wait_returns_when_as_many_as_asked_for_are_there() {
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let span = Timespec::from(SPAN);
        // The timer comes last: it ends each wait, one for more too.
        for want in 1..=3 {
            push_nop(&mut ring, 1);
            push_nop(&mut ring, 2);
            push_timer(&mut ring, &span, 3);
            let (elapsed, taken) = timed(|| ring.submit_and_wait(want));
            assert_eq!(taken, Ok(3));
            assert!(ring.completion().len() >= want);
            if want == 3 {
                assert_about(elapsed, SPAN);
            }
            reap(&mut ring, 3);
        }
        assert!(ring.completion().is_empty());
    });
}

#[test]
fn waiting_for_none_does_not_wait() {
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        assert_eq!(ring.submit_and_wait(0), Ok(0));
        assert_eq!(ring.wait(0), Ok(()));
        let hour = Timespec::new(3600, 0);
        assert_eq!(ring.completion().wait_timeout(0, hour), Ok(()));
        push_nop(&mut ring, 1);
        assert_eq!(ring.submit_and_wait_timeout(0, hour), Ok(1));
        // What is there already need not be waited for.
        assert_eq!(ring.submit_and_wait_timeout(1, hour), Ok(0));
        assert_eq!(ring.wait(1), Ok(()));
        assert_eq!(reap(&mut ring, 1)[0].user_data(), 1);
    });
}

#[test]
fn wait_submits_nothing() {
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let span = Timespec::from(SPAN);
        push_timer(&mut ring, &span, 1);
        assert_eq!(ring.submit(), Ok(1));
        push_nop(&mut ring, 2);
        ring.submission().flush();
        let (elapsed, waited) = timed(|| ring.wait(1));
        assert_eq!(waited, Ok(()));
        assert_about(elapsed, SPAN.mul_f32(0.9));
        assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(1));
        assert!(ring.completion().is_empty());
        assert_eq!(ring.submission().len(), 1);
        assert_eq!(ring.submit(), Ok(1));
        assert_eq!(reap(&mut ring, 1)[0].user_data(), 2);
    });
}

/// liburing: 7ad0e4b2f83c, timeout-new.
#[test]
fn a_timed_wait_ends_when_the_time_is_up() {
    require!(feature: Features::EXT_ARG);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let span = Timespec::from(SPAN);
        let (elapsed, waited) = timed(|| ring.submit_and_wait_timeout(1, span));
        let error = waited.expect_err("nothing comes");
        assert_eq!((error.errno, error.taken, error.queued), (Errno::TIME, 0, 0));
        assert!(error.is_timeout());
        assert_eq!(error.advice(), Advice::Retry);
        assert_about(elapsed, SPAN);
        let (elapsed, waited) = timed(|| ring.completion().wait_timeout(1, span));
        assert_eq!(waited, Err(Errno::TIME));
        assert_about(elapsed, SPAN);
    });
}

/// liburing: submit-and-wait.
#[test]
fn a_timed_wait_that_submitted_tells_of_the_entries() {
    require!(feature: Features::EXT_ARG);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        push_nop(&mut ring, 1);
        push_nop(&mut ring, 2);
        let wait = || ring.submit_and_wait_timeout(3, Timespec::from(SPAN));
        let (elapsed, taken) = timed(wait);
        assert_eq!(taken, Ok(2));
        assert_about(elapsed, SPAN);
        assert!(ring.submission().is_empty());
        assert_eq!(reap(&mut ring, 2)[1].user_data(), 2);
    });
}

#[test]
fn a_timed_wait_ends_early_when_the_completions_come() {
    require!(feature: Features::EXT_ARG);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let span = Timespec::from(SPAN);
        push_timer(&mut ring, &span, 1);
        let (elapsed, taken) = timed(|| ring.submit_and_wait_timeout(1, Timespec::new(3600, 0)));
        assert_eq!(taken, Ok(1));
        assert_about(elapsed, SPAN);
        assert_eq!(ring.completion().len(), 1);
    });
}

#[test]
fn a_timed_wait_for_no_time_is_up_at_once() {
    require!(feature: Features::EXT_ARG);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        for span in [(0, 0), (0, 1), (-1, 0), (0, -1), (i64::MIN, 0)] {
            let span = Timespec::new(span.0, span.1);
            let (elapsed, waited) = timed(|| ring.submit_and_wait_timeout(1, span));
            assert!(waited.expect_err("nothing comes").is_timeout(), "{span:?}");
            assert!(elapsed < PATIENCE / 4, "{span:?}");
        }
    });
}

/// A wait that may take for ever is not over at once, as it would be if its end wrapped.
#[test]
fn a_duration_can_be_waited_for_however_long_it_is() {
    require!(feature: Features::EXT_ARG);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let (elapsed, waited) = timed(|| ring.submit_and_wait_timeout(1, SPAN));
        assert!(waited.expect_err("nothing comes").is_timeout());
        assert_about(elapsed, SPAN);
        let years = |years: u64| Duration::from_secs(years * 31_556_952);
        for long in [Duration::MAX, years(293), years(292), years(100)] {
            let span = Timespec::from(SPAN);
            push_timer(&mut ring, &span, 1);
            let (elapsed, taken) = timed(|| ring.submit_and_wait_timeout(1, long));
            assert_eq!(taken, Ok(1));
            assert_about(elapsed, SPAN);
            push_timer(&mut ring, &span, 2);
            assert_eq!(ring.submit(), Ok(1));
            let (elapsed, waited) = timed(|| ring.completion().wait_timeout(2, long));
            assert_eq!(waited, Ok(()));
            assert_about(elapsed, SPAN.mul_f32(0.9));
            reap(&mut ring, 2);
        }
    });
}

/// A timeout that completes ends each wait on its ring, whatever that waits for.
#[test]
fn the_completion_of_a_timeout_ends_a_wait_for_more() {
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let span = Timespec::from(SPAN);
        push_timer(&mut ring, &span, 1);
        let (elapsed, taken) = timed(|| ring.submit_and_wait(4));
        assert_eq!(taken, Ok(1));
        assert_about(elapsed, SPAN);
        assert_eq!(reap(&mut ring, 1)[0].result(), Err(Errno::TIME));
    });
}

/// liburing: min-timeout.
#[test]
fn after_the_least_wait_one_completion_is_enough() {
    require!(feature: Features::MIN_TIMEOUT);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let usec = u32::try_from(SPAN.as_micros()).expect("a short time");
        push_nop(&mut ring, 1);
        let hour = Timespec::new(3600, 0);
        let (elapsed, taken) = timed(|| ring.submit_and_wait_min_timeout(8, hour, usec));
        assert_eq!(taken, Ok(1));
        assert_about(elapsed, SPAN);
        assert_eq!(reap(&mut ring, 1)[0].user_data(), 1);
    });
}

/// liburing: min-timeout.
#[test]
fn during_the_least_wait_completions_are_gathered() {
    require!(feature: Features::MIN_TIMEOUT);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let usec = u32::try_from(2 * SPAN.as_micros()).expect("a short time");
        let hour = Timespec::new(3600, 0);
        let spans = [SPAN / 4, SPAN / 2, SPAN];
        with_sockets_ready_after(spans, |sockets| {
            push_polls(&mut ring, sockets);
            let (elapsed, taken) = timed(|| ring.submit_and_wait_min_timeout(8, hour, usec));
            assert_eq!(taken, Ok(3));
            assert_about(elapsed, 2 * SPAN);
            assert_eq!(ring.completion().len(), 3);
        });
        reap(&mut ring, 3);
        // As many as asked for are enough at any time.
        with_sockets_ready_after(spans, |sockets| {
            push_polls(&mut ring, sockets);
            let (elapsed, taken) = timed(|| ring.submit_and_wait_min_timeout(2, hour, u32::MAX));
            assert_eq!(taken, Ok(3));
            assert!(elapsed < PATIENCE / 4);
            assert!(ring.completion().len() >= 2);
        });
    });
}

/// Pairs of sockets of which the first becomes readable after each of `spans`, for `test`.
fn with_sockets_ready_after<const N: usize>(
    spans: [Duration; N],
    test: impl FnOnce(&[UnixStream; N]),
) {
    let pairs = [(); N].map(|()| UnixStream::pair().expect("two sockets"));
    let near = pairs.each_ref().map(|(near, _)| near.try_clone().expect("a descriptor"));
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for (span, (_, far)) in spans.iter().zip(&pairs) {
                std::thread::sleep(span.saturating_sub(start.elapsed()));
                (&mut &*far).write_all(b"x").expect("room in the socket");
            }
        });
        test(&near);
    });
}

/// Waits for each of `sockets` to be readable; their completions are waited for, too.
fn push_polls<T>(ring: &mut IoUring<Sqe, Cqe, T>, sockets: &[UnixStream]) {
    for (user_data, socket) in (0..).zip(sockets) {
        let poll = PollAdd::new(socket, EventFlags::IN).sqe(user_data);
        // SAFETY: the kernel holds on to the file; its number is looked up at submission.
        unsafe { ring.submission().push(poll) }.expect("room");
    }
}

/// liburing: min-timeout.
#[test]
fn after_the_least_wait_the_first_completion_ends_the_wait() {
    require!(feature: Features::MIN_TIMEOUT);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let span = Timespec::from(2 * SPAN);
        push_timer(&mut ring, &span, 1);
        let hour = Timespec::new(3600, 0);
        let (elapsed, taken) = timed(|| ring.submit_and_wait_min_timeout(8, hour, 1000));
        assert_eq!(taken, Ok(1));
        assert_about(elapsed, 2 * SPAN);
        // And the timeout ends it where none comes.
        let (elapsed, waited) =
            timed(|| ring.submit_and_wait_min_timeout(8, Timespec::from(SPAN), 1000));
        assert_eq!((waited, ring.completion().len()), (Ok(0), 1));
        assert!(elapsed < PATIENCE / 4);
        reap(&mut ring, 1);
        let (elapsed, waited) =
            timed(|| ring.submit_and_wait_min_timeout(8, Timespec::from(SPAN), 1000));
        assert!(waited.expect_err("nothing comes").is_timeout());
        assert_about(elapsed, SPAN);
    });
}

/// liburing: wait-timeout.
#[test]
fn an_instant_can_be_waited_for() {
    require!(enter: EnterFlags::ABS_TIMER);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: a timespec to be written.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
        assert_eq!(result, 0);
        let now = Duration::new(u64::try_from(now.tv_sec).expect("a time"), 0)
            + Duration::from_nanos(u64::try_from(now.tv_nsec).expect("a time"));
        let wait = |ring: &mut IoUring<_, _, _>, at: Duration| {
            let at = Timespec::from(at);
            let arg = EnterArg::Wait(WaitArg { timeout: Some(&at), ..WaitArg::default() });
            timed(|| ring.completion().wait_with(1, EnterFlags::ABS_TIMER, arg))
        };
        let (elapsed, waited) = wait(&mut ring, now + SPAN);
        assert_eq!(waited, Err(Errno::TIME));
        assert_about(elapsed, SPAN.mul_f32(0.5));
        // What has passed already is not waited for, though it is a long span.
        let (elapsed, waited) = wait(&mut ring, now);
        assert_eq!(waited, Err(Errno::TIME));
        assert!(elapsed < PATIENCE / 4);
    });
}

/// liburing: iowait.
#[test]
fn a_wait_can_be_told_not_to_count_as_waiting_for_io() {
    require!(feature: Features::NO_IOWAIT);
    let mut ring = new().build(8).expect("a ring");
    let span = Timespec::from(SPAN);
    let arg = EnterArg::Wait(WaitArg { timeout: Some(&span), ..WaitArg::default() });
    let waited = ring.submit_with(1, EnterFlags::NO_IOWAIT, arg);
    assert!(waited.expect_err("nothing comes").is_timeout());
    push_nop(&mut ring, 1);
    assert_eq!(ring.submit_with(1, EnterFlags::NO_IOWAIT, EnterArg::None), Ok(1));
    assert_eq!(ring.completion().wait_with(1, EnterFlags::NO_IOWAIT, EnterArg::None), Ok(()));
    assert_eq!(reap(&mut ring, 1)[0].user_data(), 1);
}

/// liburing: submit-and-wait.
#[test]
fn waiting_does_not_double_completions() {
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        for user_data in 0..100 {
            push_nop(&mut ring, user_data);
            assert_eq!(ring.submit_and_wait_timeout(1, Timespec::new(3600, 0)), Ok(1));
            assert_eq!(ring.submit_and_wait_timeout(1, Timespec::new(3600, 0)), Ok(0));
            let reaped: Vec<_> = ring.completion().drain().map(|cqe| cqe.user_data()).collect();
            assert_eq!(reaped, [user_data]);
        }
    });
}

fn submit_under<T>(
    ring: &mut IoUring<Sqe, Cqe, T>,
    mask: Option<&SigSet>,
) -> Result<u32, ringbolt::SubmitError> {
    let span = Timespec::from(SPAN);
    let wait = WaitArg { sigmask: mask, timeout: Some(&span), ..WaitArg::default() };
    under_fire(|| ring.submit_with(1, EnterFlags::empty(), EnterArg::Wait(wait)))
}

#[test]
fn a_signal_interrupts_a_wait() {
    require!(feature: Features::EXT_ARG);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let error = under_fire(|| ring.submit_and_wait(1)).expect_err("a signal comes");
        assert_eq!((error.errno, error.taken, error.queued), (Errno::INTR, 0, 0));
        assert_eq!(error.advice(), Advice::Retry);
        assert_eq!(under_fire(|| ring.wait(1)), Err(Errno::INTR));
        let (_, number) = signal();
        let others = SigSet(!(1 << (number - 1)));
        for mask in [None, Some(&others)] {
            let error = submit_under(&mut ring, mask).expect_err("a signal comes");
            assert_eq!(error.errno, Errno::INTR);
        }
        push_nop(&mut ring, 1);
        let taken = under_fire(|| ring.submit_and_wait(2));
        assert_eq!(taken, Ok(1), "the entry was taken, whatever the wait came to");
    });
}

#[test]
fn a_blocked_signal_does_not_interrupt_a_wait() {
    require!(feature: Features::EXT_ARG);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(8).expect("a ring");
        let (mask, _) = signal();
        let (elapsed, waited) = timed(|| submit_under(&mut ring, Some(&mask)));
        assert!(waited.expect_err("nothing comes").is_timeout(), "and not EINTR");
        assert_about(elapsed, SPAN);
        // The older form of the argument, which has no timeout beside it.
        let span = Timespec::from(SPAN);
        push_timer(&mut ring, &span, 1);
        let arg = EnterArg::SigMask(&mask);
        let (elapsed, taken) =
            timed(|| under_fire(|| ring.submit_with(1, EnterFlags::empty(), arg)));
        assert_eq!((taken, ring.completion().len()), (Ok(1), 1));
        assert_about(elapsed, SPAN);
        assert!(CAUGHT.load(Ordering::Relaxed) > 0, "afterwards it came through");
    });
}

/// Goal: the mask replaces the thread's for the wait, at once, as that of `ppoll(2)` does.
/// Method: a signal that is blocked and pending, let through by the wait alone.
#[test]
fn a_signal_that_is_pending_is_let_through_by_the_mask() {
    require!(feature: Features::EXT_ARG);
    bounded(|| {
        let mut ring = new().build(8).expect("a ring");
        let (_, number) = signal();
        block(number);
        let none = SigSet::default();
        let wait = WaitArg { sigmask: Some(&none), ..WaitArg::default() };
        for arg in [EnterArg::SigMask(&none), EnterArg::Wait(wait)] {
            // SAFETY: the call has no precondition.
            let thread = unsafe { libc::pthread_self() };
            // SAFETY: this thread is running.
            unsafe { libc::pthread_kill(thread, number) };
            let span = Timespec::from(SPAN);
            assert_eq!(ring.completion().wait_timeout(1, span), Err(Errno::TIME));
            let waited = ring.completion().wait_with(1, EnterFlags::empty(), arg);
            assert_eq!(waited, Err(Errno::INTR));
        }
    });
}

/// Blocks a signal for this thread.
fn block(number: libc::c_int) {
    // SAFETY: all zeros are a set, which the next call empties properly.
    let mut set: libc::sigset_t = unsafe { core::mem::zeroed() };
    // SAFETY: a set to be written.
    unsafe { libc::sigemptyset(&raw mut set) };
    // SAFETY: a set to be changed.
    unsafe { libc::sigaddset(&raw mut set, number) };
    let null = core::ptr::null_mut();
    // SAFETY: a set to be read.
    let blocked = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, null) };
    assert_eq!(blocked, 0);
}
