//! Rings whose thread runs deferred work: which threads may enter them, and when completions are
//! posted.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use crate::common::process::bounded;
use crate::common::{PATIENCE, require};
use crate::op_common::{
    AS_OF_6_11, COUNTS_AGAIN, assert_quiet, eventfds_count_again, pipe, reap_told, start, start_all,
};
use ringbolt::ops::{Nop, PollAdd, Timeout};
use ringbolt::register::register;
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use ringbolt::sys::{self, EnterFlags, Features, RegisterOp, SetupFlags, SqStatus};
use ringbolt::{IoUring, LocalIoUring, Sqe, Timespec};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;

const DEFER: SetupFlags = SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN);
const SHOWN: SetupFlags = DEFER.union(SetupFlags::TASKRUN_FLAG);

fn deferring(flags: SetupFlags) -> LocalIoUring {
    IoUring::builder().flags(flags).build_local(8).expect("a ring")
}

/// A poll that waits, and how to end it.
fn waiting_poll(ring: &mut LocalIoUring, id: u64) -> (File, File) {
    let (reader, writer) = pipe();
    // SAFETY: no memory is used, and the kernel holds on to the pipe.
    unsafe { start(ring, PollAdd::new(&reader, EventFlags::IN).sqe(id)) };
    (reader, writer)
}

const READABLE: Result<u32, Errno> = Ok(EventFlags::IN.bits());

/// Goal: only its own thread runs deferred work, and only in the kernel.
/// Method: make some pending, and check for its completion after every call that might run it.
///
/// liburing: defer-taskrun.
#[test]
fn deferred_work_runs_only_when_its_thread_asks_for_events() {
    require!(setup: SHOWN);
    bounded(|| {
        for shown in [false, true] {
            let mut ring = deferring(if shown { SHOWN } else { DEFER });
            let (_reader, mut writer) = waiting_poll(&mut ring, 1);
            std::thread::scope(|scope| {
                scope.spawn(|| writer.write_all(b"x").expect("room in the pipe"));
            });
            assert_eq!(ring.submission().status().contains(SqStatus::TASKRUN), shown);
            assert!(ring.completion().is_empty());
            // Entering for another reason does not run it.
            ring.submission().push_safe(Nop::new().sqe(2)).expect("room");
            let submitted = raw_enter(ring.as_raw_fd(), EnterFlags::empty());
            assert_eq!((submitted, ring.completion().len()), (Ok(0), 0));
            assert_eq!(ring.get_events(), Ok(()));
            assert_eq!(ring.completion().pop().map(|cqe| cqe.result()), Some(READABLE));
            assert!(!ring.submission().status().contains(SqStatus::TASKRUN));
            assert_eq!(ring.submit(), Ok(1));
            assert_eq!(reap_told(&mut ring, 1), [(2, Ok(0))]);
        }
    });
}

/// liburing: defer-taskrun, eventfd.
#[test]
fn an_eventfd_is_signalled_once_until_deferred_work_has_run() {
    require!(setup: DEFER);
    require!(repaired: eventfds_count_again(), COUNTS_AGAIN);
    require!(op: AS_OF_6_11);
    bounded(|| {
        let mut ring = deferring(DEFER);
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).expect("one");
        ring.registrar().register_eventfd(&event).expect("an eventfd");
        for _ in 0..3 {
            let mut pipes: Vec<_> = (0..3).map(|id| waiting_poll(&mut ring, id)).collect();
            assert_eq!(told(&event), Err(Errno::AGAIN));
            for (_, writer) in &mut pipes {
                writer.write_all(b"x").expect("room in the pipe");
            }
            // Some kernels signal it later.
            let mut polled = [PollFd::new(&event, PollFlags::IN)];
            let time = PATIENCE.try_into().expect("a short time");
            assert_eq!(poll(&mut polled, Some(&time)), Ok(1));
            assert!(told(&event).is_ok_and(|count| count >= 1));
            assert!(ring.completion().is_empty());
            assert_eq!(reap_told(&mut ring, 3), [0, 1, 2].map(|id| (id, READABLE)));
            let _ = told(&event);
        }
    });
}

/// How much was added to an eventfd since it was last read.
fn told(event: &OwnedFd) -> Result<u64, Errno> {
    let mut count = [0; 8];
    rustix::io::read(event, &mut count).map(|_| u64::from_ne_bytes(count))
}

/// Goal: no thread waits forever for work that another thread left pending.
/// Method: threads that end with deferred work pending and operations in flight.
///
/// liburing: defer-taskrun.
#[test]
fn a_thread_may_end_with_deferred_work_pending() {
    require!(setup: DEFER);
    for keeps_ring in [false, true] {
        let (mut writer, ring) = bounded(move || {
            let mut ring = deferring(DEFER);
            let (_, mut due) = waiting_poll(&mut ring, 1);
            let (_, writer) = waiting_poll(&mut ring, 2);
            due.write_all(b"x").expect("room in the pipe");
            // A descriptor outlives the thread, and keeps the ring open.
            let fd = rustix::io::dup(&ring).expect("a descriptor");
            (writer, keeps_ring.then_some(fd))
        });
        // The pipe is released with the ring: then it has no reader.
        if let Some(ring) = ring {
            let refused = raw_enter(ring.as_raw_fd(), EnterFlags::GETEVENTS);
            assert_eq!(refused, Err(Errno::EXIST), "it was another thread's");
            drop(ring);
        }
        let end = Instant::now() + PATIENCE;
        while writer.write_all(b"x").is_ok() {
            assert!(Instant::now() < end, "the poll is still there");
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// liburing: defer-taskrun, defer.
#[test]
fn drains_and_links_keep_their_order_with_deferred_work() {
    require!(op: AS_OF_6_11);
    require!(setup: DEFER);
    bounded(|| {
        let mut ring = deferring(DEFER);
        for _ in 0..20 {
            let (reader, mut writer) = pipe();
            let nop = |id| Sqe::from(Nop::new().sqe(id));
            let entries = [
                PollAdd::new(&reader, EventFlags::IN).sqe(1).link(),
                nop(2),
                nop(3).drain(),
                nop(4),
            ];
            // SAFETY: no memory is used, and the pipe stays until the completions are there.
            unsafe { start_all(&mut ring, &entries) };
            assert_quiet(&mut ring);
            writer.write_all(b"x").expect("room in the pipe");
            let nops = [2, 3, 4].map(|id| (id, Ok(0)));
            let told = reap_told(&mut ring, 4);
            assert_eq!((told[0], &told[1..]), ((1, READABLE), &nops[..]));
        }
    });
}

/// Goal: a timed wait runs pending work, and does not sleep while work is pending.
/// Method: work that is pending before the wait begins, more than requested and less.
///
/// liburing: defer-tw-timeout.
#[test]
fn a_timed_wait_runs_pending_deferred_work() {
    require!(setup: DEFER);
    require!(feature: Features::EXT_ARG);
    bounded(|| {
        let span = Duration::from_millis(50);
        let mut ring = deferring(DEFER);
        for (due, want) in [(1, 1), (2, 1), (1, 2), (3, 2)] {
            let mut pipes: Vec<_> = (0..due).map(|id| waiting_poll(&mut ring, id)).collect();
            for (_, writer) in &mut pipes {
                writer.write_all(b"x").expect("room in the pipe");
            }
            // If enough work is pending, the wait ends before its timeout.
            let enough = u64::from(want) <= due;
            let time = if enough { Timespec::new(3600, 0) } else { Timespec::from(span) };
            let start = Instant::now();
            assert_eq!(ring.submit_and_wait_timeout(want, time), Ok(0));
            let elapsed = start.elapsed();
            assert_eq!(u64::from(ring.completion().len()), due, "{due} due, {want} wanted");
            assert!(enough || elapsed >= span, "{elapsed:?}");
            reap_told(&mut ring, pipes.len());
        }
        // A timeout that is due is also deferred work.
        let soon = Timespec::from(span / 5);
        // SAFETY: the timespec stays until the entry is submitted, two lines below.
        unsafe { ring.submission().push(Timeout::new(&soon).sqe(9)) }.expect("room");
        let start = Instant::now();
        assert_eq!(ring.submit_and_wait_timeout(1, Timespec::new(3600, 0)), Ok(1));
        assert!(start.elapsed() < PATIENCE / 2);
        assert_eq!(reap_told(&mut ring, 1), [(9, Err(Errno::TIME))]);
    });
}

/// Enters the ring of `fd` without submitting anything.
fn raw_enter(fd: i32, flags: EnterFlags) -> Result<u32, Errno> {
    // SAFETY: no published entry is to be submitted, and there is no argument.
    let entered = unsafe { sys::io_uring_enter(fd, 1, 0, flags, core::ptr::null(), 0) };
    entered.map_err(Errno::from_raw_os_error)
}

/// Goal: the single submitter is a task, not a process and not the owner of a descriptor.
/// Method: with raw calls, because the types prevent other threads from submitting.
///
/// liburing: single-issuer.
#[test]
fn a_ring_with_single_issuer_refuses_every_other_thread() {
    require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::R_DISABLED);
    bounded(|| {
        let mut ring = IoUring::builder().single_issuer().build_local(8).expect("a ring");
        let fd = ring.as_raw_fd();
        let elsewhere = || {
            let call = move || {
                let (op, null) = (RegisterOp::UNREGISTER_FILES, core::ptr::null_mut());
                // SAFETY: the operation takes no argument.
                let registered = unsafe { register(fd, op, null, 0) };
                (raw_enter(fd, EnterFlags::empty()), registered)
            };
            std::thread::spawn(call).join().expect("no panic")
        };
        assert_eq!(elsewhere(), (Err(Errno::EXIST), Err(Errno::EXIST)));
        ring.submission().push_safe(Nop::new().sqe(1)).expect("room");
        assert_eq!(ring.submit(), Ok(1));
        assert_eq!(elsewhere(), (Err(Errno::EXIST), Err(Errno::EXIST)));
        assert_eq!(reap_told(&mut ring, 1), [(1, Ok(0))]);
        assert_eq!(ring.registrar().unregister_files().map_err(Errno::from), Err(Errno::NXIO));
    });
}
