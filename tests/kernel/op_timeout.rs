//! Timeouts: on their own, by count, repeated, removed, and behind another operation.

use core::time::Duration;
use std::io::Write as _;
use std::time::Instant;

use crate::common::{complete, reap, require};
use crate::op_common::{
    AS_OF_5_15, AS_OF_6_0, AS_OF_6_7, assert_quiet, leaked, pipe, reap_sorted, reap_told, ring,
    start, start_all,
};
use ringbolt::ops::{AsyncCancel, LinkTimeout, Nop, Read, Timeout, TimeoutRemove, TimeoutUpdate};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::TimeoutFlags;
use ringbolt::{Cqe, IoUring, Sqe, Timespec};

/// A time that is up before anybody gets impatient, and not at once.
const SHORT: Duration = Duration::from_millis(30);
/// A time that no test waits for.
const LONG: Duration = Duration::from_secs(1000);

/// The two timespecs that outlive every test, for operations that may outlive it.
fn spans() -> (&'static Timespec, &'static Timespec) {
    (Box::leak(Box::new(SHORT.into())), Box::leak(Box::new(LONG.into())))
}

/// What a clock of the kernel's says.
fn now(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: valid for writes during the call.
    assert_eq!(unsafe { libc::clock_gettime(clock, &mut time) }, 0);
    let seconds = u64::try_from(time.tv_sec).expect("a clock that is past its start");
    Duration::new(seconds, u32::try_from(time.tv_nsec).expect("less than a second"))
}

fn push_nops(ring: &mut IoUring, ids: core::ops::Range<u64>) {
    for id in ids {
        ring.submission().push_safe(Nop::new().sqe(id)).expect("room");
    }
    ring.submit().expect("the kernel takes them");
}

/// liburing: timeout.
#[test]
fn a_timeout_is_etime_when_its_time_is_up_and_not_before() {
    let (short, _) = spans();
    let mut ring = ring();
    let start = Instant::now();
    // SAFETY: the timespec stays for ever.
    let cqe = unsafe { complete(&mut ring, Timeout::new(short).sqe(1)) };
    assert_eq!((cqe.user_data(), cqe.result()), (1, Err(Errno::TIME)));
    assert!(start.elapsed() >= SHORT, "{:?}", start.elapsed());
}

#[test]
fn a_timeout_of_0_is_up_at_once_and_one_that_is_no_time_is_einval() {
    require!(op: AS_OF_6_0);
    let mut ring = ring();
    let mut outcome = |timespec| {
        // SAFETY: the timespec stays until `complete` returns.
        unsafe { complete(&mut ring, Timeout::new(&timespec).sqe(1)) }.result()
    };
    assert_eq!(outcome(Timespec::new(0, 0)), Err(Errno::TIME));
    assert_eq!(outcome(Timespec::new(-1, 0)), Err(Errno::INVAL));
    // Of a 32-bit program, the kernel reads but 32 bits, and without a sign.
    if cfg!(target_pointer_width = "64") {
        assert_eq!(outcome(Timespec::new(0, -1)), Err(Errno::INVAL));
    }
    let nowhere = core::ptr::without_provenance(8);
    // SAFETY: there is no memory to keep.
    let cqe = unsafe { complete(&mut ring, Timeout::new(nowhere).sqe(2)) };
    assert_eq!(cqe.result(), Err(Errno::FAULT));
}

/// liburing: timeout.
#[test]
fn a_timeout_ends_when_enough_others_have_completed() {
    let (_, long) = spans();
    let mut ring = ring();
    // SAFETY: the timespec stays for ever.
    unsafe { start(&mut ring, Timeout::new(long).count(3).sqe(9)) };
    push_nops(&mut ring, 1..3);
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Ok(0)), (2, Ok(0))]);
    assert_quiet(&mut ring);
    push_nops(&mut ring, 3..4);
    assert_eq!(reap_sorted(&mut ring, 2), [(3, Ok(0)), (9, Ok(0))]);
}

/// An absolute timeout that may outlive the test.
fn until(instant: Duration) -> Timeout {
    let timespec: &Timespec = Box::leak(Box::new(instant.into()));
    Timeout::new(timespec).flags(TimeoutFlags::ABS)
}

#[test]
fn an_absolute_timeout_is_up_at_its_instant() {
    let mut ring = ring();
    let soon = now(libc::CLOCK_MONOTONIC) + SHORT;
    for instant in [Duration::ZERO, soon] {
        // SAFETY: the timespec stays for ever.
        let cqe = unsafe { complete(&mut ring, until(instant).sqe(1)) };
        assert_eq!(cqe.result(), Err(Errno::TIME), "{instant:?}");
        assert!(now(libc::CLOCK_MONOTONIC) >= instant, "{instant:?}");
    }
    // SAFETY: the timespec stays for ever.
    unsafe { start(&mut ring, until(soon + LONG).sqe(2)) };
    assert_quiet(&mut ring);
    ring.submission().push_safe(TimeoutRemove::new(2).sqe(3)).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap_sorted(&mut ring, 2), [(2, Err(Errno::CANCELED)), (3, Ok(0))]);
}

/// liburing: timeout.
#[test]
fn another_clock_is_another_instant() {
    require!(op: AS_OF_5_15);
    let mut ring = ring();
    // A minute ago by the wall clock: long ahead by those that count from the machine's start.
    let absolute = until(now(libc::CLOCK_REALTIME) - Duration::from_secs(60));
    // SAFETY: the timespec stays for ever.
    let cqe = unsafe { complete(&mut ring, absolute.flags(TimeoutFlags::REALTIME).sqe(1)) };
    assert_eq!(cqe.result(), Err(Errno::TIME));
    for (id, flags) in [(2, TimeoutFlags::empty()), (3, TimeoutFlags::BOOTTIME)] {
        // SAFETY: as above.
        unsafe { start(&mut ring, absolute.flags(flags).sqe(id)) };
    }
    assert_quiet(&mut ring);
    let both = TimeoutFlags::BOOTTIME | TimeoutFlags::REALTIME;
    // SAFETY: as above.
    let cqe = unsafe { complete(&mut ring, absolute.flags(both).sqe(4)) };
    assert_eq!(cqe.result(), Err(Errno::INVAL), "one clock");
}

/// liburing: timeout.
#[test]
fn a_multishot_timeout_fires_as_often_as_told() {
    require!(op: AS_OF_6_7);
    let (short, _) = spans();
    let mut ring = ring();
    let timeout = Timeout::new(short).count(3).flags(TimeoutFlags::MULTISHOT).sqe(1);
    let begin = Instant::now();
    // SAFETY: the timespec stays for ever.
    unsafe { start(&mut ring, timeout) };
    let told: Vec<_> =
        reap(&mut ring, 3).iter().map(|cqe: &Cqe| (cqe.result(), cqe.has_more())).collect();
    let time = Err(Errno::TIME);
    assert_eq!(told, [(time, true), (time, true), (time, false)]);
    assert!(begin.elapsed() >= 3 * SHORT, "{:?}", begin.elapsed());
    assert_quiet(&mut ring);
}

/// liburing: timeout.
#[test]
fn a_timeout_that_is_removed_is_ecanceled() {
    let (_, long) = spans();
    let mut ring = ring();
    for id in [1, 2] {
        // SAFETY: the timespec stays for ever.
        unsafe { start(&mut ring, Timeout::new(long).sqe(id)) };
    }
    ring.submission().push_safe(TimeoutRemove::new(2).sqe(3)).expect("room");
    ring.submission().push_safe(TimeoutRemove::new(2).sqe(4)).expect("room");
    assert_eq!(ring.submit(), Ok(2));
    let told = reap_sorted(&mut ring, 3);
    assert_eq!(told, [(2, Err(Errno::CANCELED)), (3, Ok(0)), (4, Err(Errno::NOENT))]);
    ring.submission().push_safe(AsyncCancel::of_user_data(1).sqe(5)).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Err(Errno::CANCELED)), (5, Ok(0))]);
}

#[test]
fn time_that_is_up_breaks_a_chain_unless_it_counts_as_success() {
    require!(op: AS_OF_5_15);
    let mut ring = ring();
    let now: &Timespec = Box::leak(Box::new(Timespec::new(0, 1)));
    let flags = [TimeoutFlags::empty(), TimeoutFlags::ETIME_SUCCESS];
    for (flags, behind) in flags.into_iter().zip([Err(Errno::CANCELED), Ok(0)]) {
        let timeout = Timeout::new(now).flags(flags).sqe(1).link();
        // SAFETY: the timespec stays for ever.
        unsafe { start_all(&mut ring, &[timeout, Nop::new().sqe(2).into()]) };
        assert_eq!(reap_told(&mut ring, 2), [(1, Err(Errno::TIME)), (2, behind)], "{flags:?}");
    }
}

/// A read of a pipe, and the time it has.
fn read_within(reader: &std::fs::File, time: &'static Timespec) -> [Sqe; 2] {
    let read = Read::new(reader, leaked::<8>().as_mut_ptr(), 8).sqe(1).link();
    [read, LinkTimeout::new(time).sqe(2)]
}

/// liburing: link-timeout.
#[test]
fn an_operation_that_is_late_is_cancelled() {
    let (short, _) = spans();
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let begin = Instant::now();
    // SAFETY: buffer and timespec stay for ever, and the pipe until both have completed.
    unsafe { start_all(&mut ring, &read_within(&reader, short)) };
    let told = reap_sorted(&mut ring, 2);
    assert_eq!(told, [(1, Err(Errno::CANCELED)), (2, Err(Errno::TIME))]);
    assert!(begin.elapsed() >= SHORT, "{:?}", begin.elapsed());
    // Nobody reads what comes too late.
    writer.write_all(b"late").expect("room in the pipe");
    assert_quiet(&mut ring);
}

/// liburing: link-timeout.
#[test]
fn an_operation_in_time_cancels_its_timeout() {
    let (_, long) = spans();
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    // SAFETY: buffer and timespec stay for ever, and the pipe until both have completed.
    unsafe { start_all(&mut ring, &read_within(&reader, long)) };
    assert_quiet(&mut ring);
    writer.write_all(b"data").expect("room in the pipe");
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Ok(4)), (2, Err(Errno::CANCELED))]);
    // One that need not wait at all.
    writer.write_all(b"more").expect("room in the pipe");
    // SAFETY: as above.
    unsafe { start_all(&mut ring, &read_within(&reader, long)) };
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Ok(4)), (2, Err(Errno::CANCELED))]);
}

/// liburing: link-timeout.
#[test]
fn a_link_timeout_on_its_own_is_einval() {
    let (short, _) = spans();
    let mut ring = ring();
    // SAFETY: the timespec stays for ever.
    let cqe = unsafe { complete(&mut ring, LinkTimeout::new(short).sqe(1)) };
    assert_eq!(cqe.result(), Err(Errno::INVAL));
}

#[test]
fn a_link_timeout_may_be_absolute() {
    let (reader, _writer) = pipe();
    let mut ring = ring();
    let past: &Timespec = Box::leak(Box::new(Timespec::new(0, 1)));
    let [read, _] = read_within(&reader, past);
    let timeout = LinkTimeout::new(past).flags(TimeoutFlags::ABS).sqe(2);
    // SAFETY: buffer and timespec stay for ever, and the pipe until both have completed.
    unsafe { start_all(&mut ring, &[read, timeout]) };
    let told = reap_sorted(&mut ring, 2);
    assert_eq!(told, [(1, Err(Errno::CANCELED)), (2, Err(Errno::TIME))]);
}

/// Submits a read with a timeout whose time is gone, and overwritten, when this returns.
#[inline(never)]
fn submit_with_a_passing_time(ring: &mut IoUring, read: Sqe, time: Duration) {
    let mut timespec = Timespec::from(time);
    let pair = [read, LinkTimeout::new(&raw const timespec).sqe(2)];
    // SAFETY: the caller keeps what `read` names; the timespec stays until both are taken.
    unsafe { start_all(ring, &pair) };
    // What a kernel that looked again would take for an error, or for an age.
    timespec = Timespec::new(-1, i64::MAX);
    core::hint::black_box(&timespec);
}

#[test]
fn the_timespec_may_go_away_right_after_submit() {
    // Goal: a timespec is needed until taken, no longer. Method: overwrite it after submitting
    // and let its frame go; both a time that comes and one that does not still hold.
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let read = Read::new(&reader, leaked::<8>().as_mut_ptr(), 8).sqe(1).link();
    submit_with_a_passing_time(&mut ring, read, SHORT);
    let told = reap_sorted(&mut ring, 2);
    assert_eq!(told, [(1, Err(Errno::CANCELED)), (2, Err(Errno::TIME))]);

    submit_with_a_passing_time(&mut ring, read, LONG);
    assert_quiet(&mut ring);
    writer.write_all(b"data").expect("room in the pipe");
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Ok(4)), (2, Err(Errno::CANCELED))]);
}

/// Changes a timeout that goes on waiting; what that comes to.
fn update(ring: &mut IoUring, update: TimeoutUpdate) -> Result<u32, Errno> {
    // SAFETY: timespecs of these tests stay for ever, or until taken where that is enough.
    let cqe = unsafe { complete(ring, update.sqe(99)) };
    assert_eq!(cqe.user_data(), 99, "{cqe:?}");
    cqe.result()
}

/// liburing: timeout.
#[test]
fn a_timeout_in_flight_gets_another_time() {
    require!(op: AS_OF_5_15);
    let (short, long) = spans();
    let mut ring = ring();
    // SAFETY: the timespec stays for ever.
    unsafe { start(&mut ring, Timeout::new(long).sqe(1)) };
    let begin = Instant::now();
    assert_eq!(update(&mut ring, TimeoutUpdate::new(1, short)), Ok(0));
    assert_eq!(reap_told(&mut ring, 1), [(1, Err(Errno::TIME))]);
    assert!(begin.elapsed() >= SHORT, "{:?}", begin.elapsed());

    // And a longer one.
    // SAFETY: as above.
    unsafe { start(&mut ring, Timeout::new(short).sqe(2)) };
    assert_eq!(update(&mut ring, TimeoutUpdate::new(2, long)), Ok(0));
    std::thread::sleep(2 * SHORT);
    assert_quiet(&mut ring);
    // An instant that is over.
    let instant = Timespec::from(now(libc::CLOCK_MONOTONIC));
    let over = TimeoutUpdate::new(2, &instant).flags(TimeoutFlags::ABS).sqe(3);
    // SAFETY: the timespec stays until `reap_sorted` returns.
    unsafe { start(&mut ring, over) };
    assert_eq!(reap_sorted(&mut ring, 2), [(2, Err(Errno::TIME)), (3, Ok(0))]);
}

#[test]
fn a_link_timeout_in_flight_gets_another_time() {
    require!(op: AS_OF_5_15);
    let (short, long) = spans();
    let (reader, _writer) = pipe();
    let mut ring = ring();
    // SAFETY: the buffer and the timespec stay for ever, and the pipe.
    unsafe { start_all(&mut ring, &read_within(&reader, long)) };
    assert_quiet(&mut ring);
    assert_eq!(update(&mut ring, TimeoutUpdate::new(2, short)), Err(Errno::NOENT), "another kind");
    assert_eq!(update(&mut ring, TimeoutUpdate::link(2, short)), Ok(0));
    let told = reap_sorted(&mut ring, 2);
    assert_eq!(told, [(1, Err(Errno::CANCELED)), (2, Err(Errno::TIME))]);
}

#[test]
fn an_update_that_cannot_be_says_why() {
    require!(op: AS_OF_5_15);
    let (short, long) = spans();
    let mut ring = ring();
    assert_eq!(update(&mut ring, TimeoutUpdate::new(1, short)), Err(Errno::NOENT));
    assert_eq!(update(&mut ring, TimeoutUpdate::link(1, short)), Err(Errno::NOENT));
    // SAFETY: the timespec stays for ever.
    unsafe { start(&mut ring, Timeout::new(long).sqe(1)) };
    let none = Timespec::new(-1, 0);
    assert_eq!(update(&mut ring, TimeoutUpdate::new(1, &none)), Err(Errno::INVAL));
    let nowhere = core::ptr::without_provenance(8);
    assert_eq!(update(&mut ring, TimeoutUpdate::new(1, nowhere)), Err(Errno::FAULT));
    assert_quiet(&mut ring);
}
