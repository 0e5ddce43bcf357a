//! Waits whose arguments lie in a region that the ring was told of before it was enabled.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::time::Instant;

use crate::common::memory::Pages;
use crate::common::process::bounded;
use crate::common::{PATIENCE, reap, require};
use crate::op_common::assert_quiet;
use ringbolt::ops::{Nop, Timeout};
use ringbolt::register::{RegisterError, RegisteredWait, WaitRegion};
use ringbolt::sys::{
    EnterFlags, MemRegionFlags, RegionFlags, RegisterOp, SetupFlags, SharedPtr, io_uring_reg_wait,
    io_uring_region_desc,
};
use ringbolt::{Builder, EnterArg, IoUring, LocalIoUring, SigSet, Timespec};
use rustix::io::Errno;
use rustix::param::page_size;

/// Some time, long enough to be measured.
const SPAN: Duration = Duration::from_millis(60);

/// A time that no test waits for.
const HOUR: Timespec = Timespec::new(3600, 0);

fn new() -> Builder<'static> {
    IoUring::builder()
}

/// An enabled ring and its region of as many arguments as a page has room for.
fn ring_of(builder: &Builder) -> (LocalIoUring, WaitRegion) {
    let disabled = builder.build_disabled(8).expect("a ring");
    let region = disabled.registrar().register_wait_region(1).expect("a region");
    (disabled.enable_local().expect("an enabled ring"), region)
}

/// The same promise for a ring with default flags and for one whose thread does deferred work.
fn on_each_kind(test: fn(LocalIoUring, WaitRegion)) {
    for builder in [new(), new().single_issuer().defer_taskrun()] {
        bounded(move || {
            let (ring, region) = ring_of(&builder);
            test(ring, region);
        });
    }
}

fn push_nop(ring: &mut LocalIoUring, user_data: u64) {
    ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
}

/// Pushes an entry that completes after `span`.
fn push_timer(ring: &mut LocalIoUring, span: &Timespec, user_data: u64) {
    // SAFETY: the callers keep the timespec until they have submitted.
    unsafe { ring.submission().push(Timeout::new(span).sqe(user_data)) }.expect("room");
}

/// How long a wait for `want` completions takes, and what it returns.
fn wait(ring: &mut LocalIoUring, want: u32, arg: EnterArg<'_>) -> (Duration, Result<(), Errno>) {
    let start = Instant::now();
    let result = ring.completion().wait_with(want, EnterFlags::empty(), arg);
    (start.elapsed(), result)
}

fn assert_about(span: Duration, expected: Duration) {
    assert!(span >= expected, "{span:?} instead of {expected:?}");
    assert!(span < expected + PATIENCE / 4, "{span:?} instead of {expected:?}");
}

fn timeout(span: impl Into<Timespec>) -> RegisteredWait {
    RegisteredWait { timeout: Some(span.into()), ..RegisteredWait::default() }
}

/// liburing: reg-wait.
#[test]
fn a_registered_wait_ends_when_its_time_is_up() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    on_each_kind(|mut ring, mut region| {
        region.set(0, timeout(SPAN)).expect("a place");
        let arg = region.arg(0).expect("a place");
        for _ in 0..3 {
            let (elapsed, waited) = wait(&mut ring, 1, arg);
            assert_eq!(waited, Err(Errno::TIME));
            assert_about(elapsed, SPAN);
        }
        let error = ring.submit_with(1, EnterFlags::empty(), arg).expect_err("nothing comes");
        assert_eq!((error.errno, error.taken, error.queued), (Errno::TIME, 0, 0));
        assert!(error.is_timeout());
    });
}

#[test]
fn a_registered_wait_ends_when_the_completions_come() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    on_each_kind(|mut ring, mut region| {
        region.set(0, timeout(HOUR)).expect("a place");
        // Without a timeout, for as long as it takes.
        region.set(1, RegisteredWait::default()).expect("a place");
        for index in 0..2 {
            let arg = region.arg(index).expect("a place");
            push_nop(&mut ring, 1);
            assert_eq!(ring.submit_with(1, EnterFlags::empty(), arg), Ok(1));
            assert_eq!(reap(&mut ring, 1)[0].user_data(), 1);

            let span = Timespec::from(SPAN);
            push_timer(&mut ring, &span, 2);
            assert_eq!(ring.submit(), Ok(1));
            let (elapsed, waited) = wait(&mut ring, 1, arg);
            assert_eq!(waited, Ok(()));
            assert_about(elapsed, SPAN.mul_f32(0.9));
            let cqe = reap(&mut ring, 1)[0];
            assert_eq!((cqe.user_data(), cqe.result()), (2, Err(Errno::TIME)));
        }
    });
}

#[test]
fn entries_are_submitted_whatever_the_wait_comes_to() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    on_each_kind(|mut ring, mut region| {
        region.set(0, timeout(SPAN)).expect("a place");
        push_nop(&mut ring, 1);
        push_nop(&mut ring, 2);
        let arg = region.arg(0).expect("a place");
        let start = Instant::now();
        assert_eq!(ring.submit_with(3, EnterFlags::empty(), arg), Ok(2));
        assert_about(start.elapsed(), SPAN);
        assert!(ring.submission().is_empty());
        assert_eq!(reap(&mut ring, 2)[1].user_data(), 2);
        assert_quiet(&mut ring);
    });
}

#[test]
fn after_the_least_wait_one_completion_is_enough() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    on_each_kind(|mut ring, mut region| {
        let min_wait_usec = u32::try_from(SPAN.as_micros()).expect("a short time");
        let least = RegisteredWait { min_wait_usec, ..timeout(HOUR) };
        region.set(0, least).expect("a place");
        let arg = region.arg(0).expect("a place");
        push_nop(&mut ring, 1);
        let start = Instant::now();
        assert_eq!(ring.submit_with(2, EnterFlags::empty(), arg), Ok(1));
        assert_about(start.elapsed(), SPAN);
        assert_eq!(reap(&mut ring, 1)[0].user_data(), 1);

        // With all of them there, it does not wait.
        region.set(1, RegisteredWait { min_wait_usec: 3_000_000_000, ..timeout(HOUR) }).expect("");
        let arg = region.arg(1).expect("a place");
        push_nop(&mut ring, 2);
        assert_eq!(ring.submit_with(1, EnterFlags::empty(), arg), Ok(1));
        assert_eq!(reap(&mut ring, 1)[0].user_data(), 2);
    });
}

#[test]
fn each_index_has_an_argument_of_its_own_which_can_be_changed() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    on_each_kind(|mut ring, mut region| {
        let last = region.capacity() - 1;
        // The kernel takes the first one for one that ends with the region: that is left out.
        assert_eq!(region.capacity(), page_size() / size_of::<io_uring_reg_wait>() - 1);
        // All but those that are waited for would take too long.
        (0..=last).for_each(|index| region.set(index, timeout(HOUR)).expect("a place"));
        for index in [0, 1, last / 2, last] {
            region.set(index, timeout(SPAN)).expect("a place");
            let (elapsed, waited) = wait(&mut ring, 1, region.arg(index).expect("a place"));
            assert_eq!(waited, Err(Errno::TIME), "{index}");
            assert_about(elapsed, SPAN);
            region.set(index, timeout(Duration::ZERO)).expect("a place");
            let (elapsed, waited) = wait(&mut ring, 1, region.arg(index).expect("a place"));
            assert_eq!(waited, Err(Errno::TIME), "{index}");
            assert!(elapsed < PATIENCE / 4, "{elapsed:?}");
            region.set(index, timeout(HOUR)).expect("a place");
        }
    });
}

#[test]
fn an_instant_is_waited_for_with_the_flag_for_that() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    require!(enter: EnterFlags::ABS_TIMER);
    on_each_kind(|mut ring, mut region| {
        // Ten seconds after this machine was started, which is long ago.
        region.set(0, timeout(Duration::from_secs(10))).expect("a place");
        let arg = region.arg(0).expect("a place");
        let start = Instant::now();
        let waited = ring.completion().wait_with(1, EnterFlags::ABS_TIMER, arg);
        assert_eq!(waited, Err(Errno::TIME));
        assert!(start.elapsed() < Duration::from_secs(5), "as if it were a span");
    });
}

#[test]
fn an_index_for_which_there_is_no_room_is_refused() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    let disabled = new().build_disabled(8).expect("a ring");
    let page = page_size() / size_of::<io_uring_reg_wait>();
    let mut region = disabled.registrar().register_wait_region(page).expect("a region");
    let capacity = 2 * page - 1;
    assert_eq!(region.capacity(), capacity, "rounded up to whole pages");
    for index in [capacity, capacity + 1, usize::MAX / 64, usize::MAX] {
        assert_eq!(region.set(index, timeout(HOUR)), Err(Errno::INVAL));
        assert_eq!(region.arg(index).map(|_| ()), Err(Errno::INVAL));
    }
    assert!(region.arg(capacity - 1).is_ok());
}

/// liburing: reg-wait.
#[test]
fn an_offset_that_leads_out_of_the_region_is_the_kernels_to_refuse() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    on_each_kind(|mut ring, mut region| {
        region.set(0, timeout(SPAN)).expect("a place");
        let (len, size) = (page_size(), size_of::<io_uring_reg_wait>());
        let offsets =
            [1, 4, len - size + 8, len - 8, len, 2 * len, usize::MAX - 63, usize::MAX & !7];
        for offset in offsets {
            push_nop(&mut ring, 1);
            let arg = EnterArg::Registered { offset };
            let (elapsed, waited) = wait(&mut ring, 1, arg);
            assert_eq!(waited, Err(Errno::FAULT), "{offset}");
            assert!(elapsed < PATIENCE / 4);
            // The entry is submitted all the same, and the ring works on.
            assert_eq!(ring.submit(), Ok(1));
            assert_eq!(reap(&mut ring, 1)[0].user_data(), 1);
        }
        let (_, waited) = wait(&mut ring, 1, EnterArg::Registered { offset: 0 });
        assert_eq!(waited, Err(Errno::TIME));
    });
}

#[test]
fn without_a_region_there_is_nothing_to_wait_with() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    let mut ring = new().build_local(8).expect("a ring");
    let (_, waited) = wait(&mut ring, 1, EnterArg::Registered { offset: 0 });
    assert_eq!(waited, Err(Errno::FAULT));
}

#[test]
fn a_region_is_registered_once_before_the_ring_is_enabled() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    let disabled = new().build_disabled(8).expect("a ring");
    let refused = |region: Result<WaitRegion, RegisterError>| {
        region.map(|region| region.capacity()).map_err(Errno::from)
    };
    for count in [0, usize::MAX, usize::MAX / 64, usize::MAX / 64 - 1] {
        let region = disabled.registrar().register_wait_region(count);
        assert_eq!(refused(region), Err(Errno::INVAL), "{count}");
    }
    let region = disabled.registrar().register_wait_region(1).expect("a region");
    for _ in 0..2 {
        assert_eq!(refused(disabled.registrar().register_wait_region(1)), Err(Errno::BUSY));
    }
    let mut ring = disabled.enable_local().expect("an enabled ring");
    assert!(refused(ring.registrar().register_wait_region(1)).is_err());
    let (_, waited) = wait(&mut ring, 0, region.arg(0).expect("a place"));
    assert_eq!(waited, Ok(()));

    let ring = new().build_local(8).expect("a ring");
    assert_eq!(refused(ring.registrar().register_wait_region(1)), Err(Errno::INVAL));
}

#[test]
fn a_region_that_was_dropped_is_kept_by_the_kernel() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    on_each_kind(|mut ring, mut region| {
        region.set(3, timeout(SPAN)).expect("a place");
        let arg = region.arg(3).expect("a place");
        drop(region);
        // What else is mapped does not come to lie where the kernel looks.
        let others: Vec<_> = (0..8).map(|_| Pages::new(page_size())).collect();
        let (elapsed, waited) = wait(&mut ring, 1, arg);
        assert_eq!(waited, Err(Errno::TIME));
        assert_about(elapsed, SPAN);
        drop(others);
    });
}

/// liburing: reg-wait.
#[test]
fn a_region_of_the_callers_that_does_not_do_is_refused() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    let pages = Pages::new(page_size());
    let len = u64::try_from(page_size()).expect("a small number");
    let start = SharedPtr::from_mut(pages.start.as_ptr());
    let zeroed = io_uring_region_desc::ZEROED;
    let user = RegionFlags::TYPE_USER;
    let whole = io_uring_region_desc { user_addr: start, size: len, flags: user, ..zeroed };
    let wait = MemRegionFlags::REG_WAIT_ARG;
    let nowhere = SharedPtr::without_provenance(0);
    let unknown = MemRegionFlags::from_bits_retain(1 << 40);
    let table = [
        (io_uring_region_desc { size: 0, ..whole }, wait, Errno::INVAL),
        (io_uring_region_desc { size: len / 2, ..whole }, wait, Errno::INVAL),
        (io_uring_region_desc { flags: RegionFlags::empty(), ..whole }, wait, Errno::FAULT),
        (io_uring_region_desc { user_addr: nowhere, ..whole }, wait, Errno::FAULT),
        (io_uring_region_desc { size: 2 * len, ..whole }, wait, Errno::FAULT),
        (io_uring_region_desc { id: 1, ..whole }, wait, Errno::INVAL),
        (whole, unknown, Errno::INVAL),
    ];
    let disabled = new().build_disabled(8).expect("a ring");
    for (mut region, flags, errno) in table {
        // SAFETY: of the memory named, what is there stays until the end.
        let refused = unsafe { disabled.registrar().register_region(&mut region, flags) };
        assert_eq!(refused.map_err(Errno::from), Err(errno), "{region:?} {flags:?}");
    }
    // SAFETY: the pages stay until the end, when they are unmapped.
    let taken = unsafe { disabled.registrar().register_region(&mut whole.clone(), wait) };
    assert_eq!(taken, Ok(()));
}

/// Does nothing: that is enough for a call to be interrupted.
extern "C" fn catch(_signal: libc::c_int) {}

/// Goal: the mask in the region holds for the wait, and for the wait alone.
/// Method: a signal that is blocked and pending, let through by one argument and not by another.
#[test]
fn a_pending_signal_is_let_through_by_a_registered_mask() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    static NONE: SigSet = SigSet(0);
    static ALL: SigSet = SigSet(u64::MAX);
    on_each_kind(|mut ring, mut region| {
        let handler: extern "C" fn(libc::c_int) = catch;
        // SAFETY: the handler does nothing.
        unsafe { libc::signal(libc::SIGUSR2, handler as libc::sighandler_t) };
        // SAFETY: plain bits, for which zeros are a value.
        let mut set: libc::sigset_t = unsafe { core::mem::zeroed() };
        // SAFETY: initialised above, and valid for writes.
        unsafe { libc::sigaddset(&raw mut set, libc::SIGUSR2) };
        let null = core::ptr::null_mut();
        // SAFETY: a set that is read during the call; this thread is of the test alone.
        let blocked = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, null) };
        assert_eq!(blocked, 0);
        // SAFETY: the signal is blocked, and caught once it is not.
        assert_eq!(unsafe { libc::raise(libc::SIGUSR2) }, 0);

        for (sigmask, errno) in
            [(None, Errno::TIME), (Some(&ALL), Errno::TIME), (Some(&NONE), Errno::INTR)]
        {
            region.set(1, RegisteredWait { sigmask, ..timeout(SPAN) }).expect("a place");
            let (_, waited) = wait(&mut ring, 1, region.arg(1).expect("a place"));
            assert_eq!(waited, Err(errno), "{sigmask:?}");
        }
    });
}

#[test]
fn a_ring_with_a_registered_descriptor_waits_by_the_region_too() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
    let (mut ring, mut region) = ring_of(&new().single_issuer().defer_taskrun());
    ring.register_ring_fd().expect("a free slot");
    region.set(0, timeout(SPAN)).expect("a place");
    let (elapsed, waited) = wait(&mut ring, 1, region.arg(0).expect("a place"));
    assert_eq!(waited, Err(Errno::TIME));
    assert_about(elapsed, SPAN);
}
