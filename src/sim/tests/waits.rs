//! Timeouts, and waits in virtual time.
#![forbid(unsafe_code)]

use core::time::Duration;
use std::vec;

use rustix::io::Errno;

use super::{err, nop, push, reap, run, simulated};
use crate::ops::{AsyncCancel, Timeout, TimeoutRemove, TimeoutUpdate};
use crate::sim::Kernel;
use crate::sys::{EnterFlags, TimeoutFlags};
use crate::{EnterArg, IoUring, Sqe, Timespec, WaitArg};

const SECOND: Duration = Duration::from_secs(1);

fn seconds(seconds: i64) -> Timespec {
    Timespec::new(seconds, 0)
}

fn timeout(user_data: u64, timespec: &Timespec) -> Sqe {
    Timeout::new(timespec).sqe(user_data)
}

#[test]
fn a_wait_advances_time_to_the_next_timeout() {
    let (kernel, mut ring) = simulated();
    let (long, short) = (seconds(100), Timespec::new(1, 500));
    push(&mut ring, &[timeout(1, &long), timeout(2, &short)]);
    assert_eq!(ring.submit_and_wait(1), Ok(2));
    assert_eq!(reap(&mut ring), [(2, err(Errno::TIME))]);
    assert_eq!(kernel.now(), Duration::new(1, 500));
    kernel.advance(98 * SECOND);
    assert_eq!(reap(&mut ring), []);
    kernel.advance(SECOND);
    assert_eq!(reap(&mut ring), [(1, err(Errno::TIME))]);
}

#[test]
fn a_timeout_that_fires_ends_every_wait() {
    let (_kernel, mut ring) = simulated();
    let time = seconds(1);
    push(&mut ring, &[timeout(1, &time), timeout(2, &time)]);
    assert_eq!(ring.submit_and_wait(8), Ok(2));
    assert_eq!(reap(&mut ring).len(), 2);
}

#[test]
fn a_timeout_counts_completions() {
    let (kernel, mut ring) = simulated();
    let time = seconds(1);
    push(&mut ring, &[Timeout::new(&time).count(2).sqe(1), nop(2)]);
    assert_eq!(ring.submit(), Ok(2));
    assert_eq!((reap(&mut ring), kernel.in_flight()), (vec![(2, 0)], 1));
    assert_eq!(run(&mut ring, &[nop(3)], 2), [(3, 0), (1, 0)]);
    assert_eq!(kernel.now(), Duration::ZERO);
}

#[test]
fn a_fired_timeout_does_not_count_as_a_completion() {
    let (kernel, mut ring) = simulated();
    let (soon, late) = (seconds(1), seconds(9));
    push(&mut ring, &[Timeout::new(&late).count(1).sqe(1), timeout(2, &soon)]);
    assert_eq!(ring.submit_and_wait(1), Ok(2));
    assert_eq!((reap(&mut ring), kernel.in_flight()), (vec![(2, err(Errno::TIME))], 1));
    // A removed timeout counts.
    let remove = TimeoutRemove::new(3).sqe(4).skip_success().into();
    assert_eq!(
        run(&mut ring, &[timeout(3, &soon), remove], 2),
        [(3, err(Errno::CANCELED)), (1, 0)]
    );
}

#[test]
fn an_absolute_timeout_counts_from_time_zero() {
    let (kernel, mut ring) = simulated();
    kernel.advance(5 * SECOND);
    let at = seconds(7);
    let absolute = Timeout::new(&at).flags(TimeoutFlags::ABS).sqe(1);
    assert_eq!(run(&mut ring, &[absolute], 1), [(1, err(Errno::TIME))]);
    assert_eq!(kernel.now(), 7 * SECOND);
}

#[test]
fn a_timeout_breaks_a_link_unless_it_counts_as_success() {
    let (_kernel, mut ring) = simulated();
    let time = seconds(1);
    let gone = err(Errno::CANCELED);
    let mut results = run(&mut ring, &[timeout(1, &time).link(), nop(2)], 2);
    results.sort_unstable();
    assert_eq!(results, [(1, err(Errno::TIME)), (2, gone)]);
    let success = Timeout::new(&time).flags(TimeoutFlags::ETIME_SUCCESS).sqe(1);
    assert_eq!(run(&mut ring, &[success.link(), nop(2)], 2), [(1, err(Errno::TIME)), (2, 0)]);
}

#[test]
fn a_timeout_can_be_removed_cancelled_and_changed() {
    let (kernel, mut ring) = simulated();
    let (time, later) = (seconds(1), seconds(3));
    let gone = err(Errno::CANCELED);
    let remove = TimeoutRemove::new(1).sqe(2).into();
    assert_eq!(run(&mut ring, &[timeout(1, &time), remove], 2), [(2, 0), (1, gone)]);
    assert_eq!(run(&mut ring, &[remove], 1), [(2, err(Errno::NOENT))]);
    let cancel = AsyncCancel::of_user_data(1).sqe(2).into();
    assert_eq!(run(&mut ring, &[timeout(1, &time), cancel], 2), [(2, 0), (1, gone)]);
    let update = TimeoutUpdate::new(1, &later).sqe(2);
    assert_eq!(run(&mut ring, &[timeout(1, &time), update], 1), [(2, 0)]);
    assert_eq!(ring.wait(1), Ok(()));
    assert_eq!((reap(&mut ring), kernel.now()), (vec![(1, err(Errno::TIME))], 3 * SECOND));
}

#[test]
fn an_invalid_time_is_refused() {
    let (_kernel, mut ring) = simulated();
    let negative = seconds(-1);
    assert_eq!(run(&mut ring, &[timeout(1, &negative)], 1), [(1, err(Errno::INVAL))]);
    let none = Timeout::new(core::ptr::null()).sqe(1);
    assert_eq!(run(&mut ring, &[none], 1), [(1, err(Errno::FAULT))]);
    let multishot = Timeout::new(&negative).flags(TimeoutFlags::MULTISHOT).sqe(1);
    assert_eq!(run(&mut ring, &[multishot], 1), [(1, err(Errno::INVAL))]);
}

#[test]
fn a_timed_wait_ends_in_virtual_time() {
    let (kernel, mut ring) = simulated();
    let error = ring.submit_and_wait_timeout(1, seconds(2)).unwrap_err();
    assert!(error.is_timeout());
    assert_eq!(kernel.now(), 2 * SECOND);
    // If a completion is ready, the timeout is not an error.
    push(&mut ring, &[nop(1)]);
    assert_eq!(ring.submit_and_wait_timeout(2, seconds(2)), Ok(1));
    assert_eq!((reap(&mut ring), kernel.now()), (vec![(1, 0)], 4 * SECOND));
    let at = seconds(9);
    let wait = WaitArg { timeout: Some(&at), ..WaitArg::default() };
    let absolute = EnterFlags::ABS_TIMER;
    assert!(ring.submit_with(1, absolute, EnterArg::Wait(wait)).unwrap_err().is_timeout());
    assert_eq!(kernel.now(), 9 * SECOND);
}

#[test]
fn earlier_completions_do_not_end_a_wait_for_more() {
    let (kernel, mut ring) = simulated();
    let (first, second) = (seconds(1), seconds(60));
    let success = |time| Timeout::new(time).sqe(1);
    assert_eq!(run(&mut ring, &[nop(9)], 1), [(9, 0)]);
    push(&mut ring, &[nop(1)]);
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(ring.submit_and_wait_min_timeout(2, seconds(5), 2_000_000), Ok(0));
    assert_eq!(kernel.now(), 5 * SECOND);
    // One completion arrives in the first second, which ends the wait.
    push(&mut ring, &[success(&first), success(&second)]);
    assert_eq!(ring.submit_and_wait_min_timeout(4, seconds(50), 2_000_000), Ok(2));
    assert_eq!(kernel.now(), 6 * SECOND);
    reap(&mut ring);
    let error = ring.submit_and_wait_min_timeout(1, seconds(1), 2_000_000).unwrap_err();
    assert_eq!((error.errno, kernel.now()), (Errno::TIME, 7 * SECOND));
}

#[test]
fn after_the_minimum_wait_one_completion_is_enough() {
    let kernel = Kernel::new();
    let mut ring = IoUring::builder().simulated(&kernel).sqpoll(0).build(8).unwrap();
    push(&mut ring, &[nop(1)]);
    assert_eq!(ring.submit_and_wait_min_timeout(2, seconds(5), 2_000_000), Ok(1));
    assert_eq!((reap(&mut ring), kernel.now()), (vec![(1, 0)], 2 * SECOND));
}

#[test]
fn a_wait_that_nothing_can_end_fails_with_edeadlk() {
    let (_kernel, mut ring) = simulated();
    assert_eq!(ring.wait(1), Err(Errno::DEADLK));
    push(&mut ring, &[nop(1)]);
    let error = ring.submit_and_wait(2).unwrap_err();
    assert_eq!((error.errno, error.taken, error.queued), (Errno::DEADLK, 1, 0));
    assert_eq!(reap(&mut ring), [(1, 0)]);
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel).no_sqarray().sq_rewind();
    let mut ring = builder.build(8).unwrap();
    push(&mut ring, &[nop(1)]);
    assert_eq!((ring.submit_and_wait(2), ring.wait(2)), (Ok(1), Err(Errno::DEADLK)));
}
