//! Continuous signals while a ring waits: interrupted waits are reported, and no operation is lost
//! or repeated.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::sync::atomic::{AtomicU64, Ordering};
use std::fs::File;
use std::io::Write as _;

use crate::common::require;
use crate::fault_common::{Deadline, Ledger, on_each_kind, take};
use crate::op_common;
use crate::op_common::{AS_OF_6_11, assert_quiet, pipe};
use ringbolt::ops::{Nop, Read, Timeout};
use ringbolt::sys::{Features, SetupFlags};
use ringbolt::{Advice, Builder, Cqe, LocalIoUring, Sqe, SubmitError, Timespec};
use rustix::io::Errno;

/// The minimum number of operations of each test.
const COUNT: usize = 8_000;

/// The number of operations in flight at the same time: as many as the ring has entries.
const BATCH: usize = 16;

/// Nanoseconds between signals: enough for progress on a busy machine.
const PACE: libc::c_long = 50_000;

static CAUGHT: AtomicU64 = AtomicU64::new(0);

extern "C" fn catch(_: libc::c_int) {
    CAUGHT.fetch_add(1, Ordering::Relaxed);
}

/// A timer that sends signals to the thread that made it, as long as the value exists.
struct Fire(libc::timer_t);

impl Fire {
    /// The signal that it sends, which nothing else uses.
    fn signal() -> libc::c_int {
        libc::SIGRTMIN() + 3
    }

    fn every(nanoseconds: libc::c_long) -> Self {
        // SAFETY: all zeros are a valid value; the handler restarts nothing, and blocks nothing.
        let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
        let handler: extern "C" fn(libc::c_int) = catch;
        action.sa_sigaction = handler as libc::sighandler_t;
        let null = core::ptr::null_mut();
        // SAFETY: the handler does nothing but add to an atomic number.
        assert_eq!(unsafe { libc::sigaction(Self::signal(), &raw const action, null) }, 0);

        // SAFETY: all zeros are a valid value.
        let mut event: libc::sigevent = unsafe { core::mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = Self::signal();
        // SAFETY: the call has no precondition.
        event.sigev_notify_thread_id = unsafe { libc::gettid() };
        let mut timer = core::ptr::null_mut();
        // SAFETY: an event to be read, and a timer to be written.
        let made =
            unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) };
        assert_eq!(made, 0, "{}", std::io::Error::last_os_error());
        let span = libc::timespec { tv_sec: 0, tv_nsec: nanoseconds };
        let spec = libc::itimerspec { it_interval: span, it_value: span };
        // SAFETY: a timer that was just made, and a time to be read.
        let set = unsafe { libc::timer_settime(timer, 0, &raw const spec, core::ptr::null_mut()) };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
        Self(timer)
    }
}

impl Drop for Fire {
    fn drop(&mut self) {
        // SAFETY: made by `every`, and deleted once.
        unsafe { libc::timer_delete(self.0) };
    }
}

/// Checks the result of a NOP that a worker has to execute.
///
/// The kernel creates the first worker on the submitting thread, as `clone(2)` does, and that fails
/// while a signal is pending. It tries a few times, and then cancels the operations that wait for a
/// worker.
fn by_worker(cqe: &Cqe) {
    assert!(matches!(cqe.result(), Ok(0) | Err(Errno::CANCELED)), "{cqe:?}");
}

/// Operations that do not complete immediately, and what they read.
struct Work {
    ring: LocalIoUring,
    ledger: Ledger,
    pipe: (File, File),
    /// A byte for each read; leaked, so that it stays valid for reads in flight.
    bytes: &'static mut [u8; BATCH],
    /// How many bytes were written to the pipe, and how many were read from it.
    moved: (usize, usize),
    span: &'static Timespec,
}

impl Work {
    fn new(builder: &Builder) -> Self {
        Self {
            ring: builder.build_local(16).expect("a ring"),
            ledger: Ledger::new(0),
            pipe: pipe(),
            bytes: op_common::leaked(),
            moved: (0, 0),
            span: Box::leak(Box::new(Timespec::new(0, 60_000))),
        }
    }

    /// Pushes a batch of operations that end by a worker, by a clock, and by data.
    fn push(&mut self) {
        for place in 0..BATCH {
            let id = self.ledger.open();
            let entry: Sqe = match place % 4 {
                0 => Nop::new().sqe(id).into(),
                1 => Sqe::from(Nop::new().sqe(id)).force_async(),
                2 => Timeout::new(self.span).sqe(id),
                _ => Read::new(&self.pipe.0, &raw mut self.bytes[place], 1).sqe(id),
            };
            // SAFETY: the byte and the span are leaked; the pipe stays until all has completed.
            unsafe { self.ring.submission().push(entry) }.expect("room");
        }
    }

    /// Writes as many bytes as are to be read.
    fn feed(&mut self) {
        self.pipe.1.write_all(&[1; BATCH / 4]).expect("room in the pipe");
        self.moved.0 += BATCH / 4;
    }

    fn take(&mut self) {
        let first = self.ledger.left();
        for cqe in take(&mut self.ring, &mut self.ledger) {
            match cqe.user_data() % 4 {
                0 => assert_eq!(cqe.result(), Ok(0), "{cqe:?}"),
                1 => by_worker(&cqe),
                2 => assert_eq!(cqe.result(), Err(Errno::TIME), "{cqe:?}"),
                _ => {
                    assert_eq!(cqe.result(), Ok(1), "{cqe:?}");
                    self.moved.1 += 1;
                }
            }
        }
        assert!(self.ledger.left() <= first);
    }

    /// Submits what is pushed and waits for one completion, in one of several ways.
    fn wait(&mut self, way: usize) -> Result<(), SubmitError> {
        let hour = Timespec::new(3600, 0);
        let told = |errno| SubmitError { errno, taken: 0, queued: 0 };
        match way % 4 {
            0 => self.ring.submit_and_wait(1).map(drop),
            1 => self.ring.submit_and_wait_timeout(1, hour).map(drop),
            2 => {
                self.ring.submit()?;
                self.ring.wait(1).map_err(told)
            }
            _ => {
                self.ring.submit()?;
                self.ring.completion().wait_timeout(1, hour).map_err(told)
            }
        }
    }
}

/// Goal: each interrupted wait reports it, and every operation completes once.
/// Method: a timer that fires every few microseconds, during thousands of operations that end by
/// workers, by clocks and by data, and with each way to wait for them.
#[test]
fn no_operation_is_lost_in_a_storm_of_signals() {
    // On Linux 5.10 and 6.1 a signal cancels reads of pipes.
    require!(op: AS_OF_6_11);
    require!(feature: Features::EXT_ARG);
    on_each_kind(|builder| {
        let mut work = Work::new(&builder);
        let fire = Fire::every(PACE);
        let (mut rounds, mut interrupted) = (0, 0);
        // Whether a wait is interrupted depends on the machine: continue until enough were.
        while rounds * BATCH < COUNT || interrupted < 20 {
            let deadline = Deadline::new();
            assert!(rounds < 100 * COUNT / BATCH, "{interrupted} waits were interrupted");
            work.push();
            work.ring.submit().expect("submitted");
            work.feed();
            while work.ledger.left() > 0 {
                deadline.check("completions");
                match work.wait(rounds) {
                    Ok(()) => {}
                    Err(error) => {
                        assert_eq!((error.errno, error.advice()), (Errno::INTR, Advice::Retry));
                        interrupted += 1;
                    }
                }
                work.take();
            }
            rounds += 1;
        }
        drop(fire);
        println!("{rounds} rounds, {interrupted} waits interrupted");
        assert!(CAUGHT.load(Ordering::Relaxed) > 0);
        assert_eq!(work.moved.0, work.moved.1, "as many bytes were read as were written");
        assert_quiet(&mut work.ring);
    });
}

/// Goal: entries that are submitted by a call that is interrupted are submitted once.
/// Method: the waits themselves submit each batch, and signals may interrupt them.
#[test]
fn no_entry_is_submitted_twice_because_a_wait_was_interrupted() {
    // On Linux 5.10 and 6.1 a signal cancels reads of pipes.
    require!(op: AS_OF_6_11);
    on_each_kind(|builder| {
        let mut work = Work::new(&builder);
        let polled = work.ring.setup_flags().contains(SetupFlags::SQPOLL);
        let _fire = Fire::every(PACE);
        for _ in 0..COUNT / BATCH {
            let deadline = Deadline::new();
            work.feed();
            // In flight from the call before, and new.
            let nop = |_| Sqe::from(Nop::new().sqe(work.ledger.open())).force_async();
            let entries: Vec<_> = (0..BATCH / 2).map(nop).collect();
            // SAFETY: the entries refer to nothing.
            unsafe { work.ring.submission().push_all(&entries) }.expect("room");
            let read = Read::new(&work.pipe.0, &raw mut work.bytes[0], 4);
            let id = work.ledger.open();
            // SAFETY: the byte is one of more than four, and leaked; the pipe stays.
            unsafe { work.ring.submission().push(read.sqe(id)) }.expect("room");
            let want = work.ring.submission().len();
            while work.ledger.left() > 0 || !work.ring.submission().is_empty() {
                deadline.check("completions");
                let before = work.ring.submission().len();
                let left = u32::try_from(work.ledger.left()).expect("a few");
                match work.ring.submit_and_wait(want.min(left)) {
                    Ok(taken) => assert!(polled || taken == before, "{taken} of {before}"),
                    Err(error) => {
                        assert_eq!(error.errno, Errno::INTR);
                        // A call that submitted entries does not report that its wait was
                        // interrupted.
                        assert!(polled || (before, error.taken) == (0, 0), "{error:?}");
                    }
                }
                for cqe in take(&mut work.ring, &mut work.ledger) {
                    if cqe.user_data() == id {
                        assert_eq!(cqe.result(), Ok(4), "{cqe:?}");
                    } else {
                        by_worker(&cqe);
                    }
                }
            }
        }
        assert_quiet(&mut work.ring);
    });
}
