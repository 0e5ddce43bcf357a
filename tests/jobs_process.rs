//! The safe front where a process ends or splits: forks, aborts, and rings that fail.
//!
//! Each test runs in a process of its own, in which nothing else is done: it may fork.
#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

mod common;
mod op_common;

use core::cell::Cell;
use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::panic::{catch_unwind, resume_unwind};
use std::rc::Rc;

use common::process::{Copy, in_child, refuse_call};
use op_common::pipe;
use ringbolt::jobs::{Cause, OwnedJobs, Place, SafeRing};
use ringbolt::ops::{Nop, Op, OpenAt, Read};
use ringbolt::rustix::fs::{CWD, OFlags};
use ringbolt::rustix::io::Errno;

struct Line {
    from: Option<File>,
    bytes: [u8; 8],
    dropped: Rc<Cell<usize>>,
}

impl Line {
    fn op(&mut self) -> Op<'_> {
        match &self.from {
            Some(from) => Read::lent(from, &mut self.bytes).op(),
            None => OpenAt::lent(CWD, c"Cargo.toml", OFlags::RDONLY).op(),
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.dropped.set(self.dropped.get() + 1);
    }
}

/// Jobs with a read from a pipe in flight, the other end, and how many values were dropped.
fn reading(entries: u32) -> (OwnedJobs<Line>, File, Rc<Cell<usize>>) {
    let (from, into) = pipe();
    let mut jobs: OwnedJobs<Line> = SafeRing::new(entries).expect("a ring").into_jobs(4);
    let dropped = Rc::default();
    let line = Line { from: Some(from), bytes: [0; 8], dropped: Rc::clone(&dropped) };
    assert!(jobs.start(line, Line::op).is_ok() && jobs.submit().is_ok());
    (jobs, into, dropped)
}

fn opening(dropped: &Rc<Cell<usize>>) -> Line {
    Line { from: None, bytes: [0; 8], dropped: Rc::clone(dropped) }
}

/// How many descriptors this process has open.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a list of descriptors").count()
}

/// Goal: a child that drops jobs, or shuts them down, drops no value and leaves the ring alone.
#[test]
fn a_child_leaves_inherited_jobs_alone() {
    in_child("a_child_leaves_inherited_jobs_alone", || {
        let (jobs, mut into, dropped) = reading(4);
        let mut jobs = Some(jobs);
        for shut_down in [false, true] {
            let child = Copy::run(|| {
                let jobs = jobs.take().expect("inherited");
                if shut_down {
                    assert!(jobs.shutdown(Duration::from_secs(1)).is_ok());
                } else {
                    drop(jobs);
                }
                i32::try_from(dropped.get()).expect("few")
            });
            assert_eq!(child.exit_code(), 0, "values dropped in the child");
        }
        // What was taken was the child's copy.
        let jobs = jobs.as_mut().expect("the parent's");
        into.write_all(b"alive").expect("room in the pipe");
        let event = jobs.wait_next().expect("no error").expect("a job");
        assert_eq!((event.result(), &event.bytes[..5]), (Ok(5), &b"alive"[..]));
    });
}

/// Goal: a child that uses inherited jobs is refused, and gets its values back.
#[test]
fn a_child_cannot_use_inherited_jobs() {
    in_child("a_child_cannot_use_inherited_jobs", || {
        let (mut jobs, mut into, dropped) = reading(4);
        let child = Copy::run(|| {
            let refused = [
                jobs.submit(),
                jobs.submit_and_wait(1),
                jobs.submit_and_wait_timeout(1, Duration::from_secs(1)),
            ];
            let is_child = |result: Result<u32, ringbolt::SubmitError>| {
                result.err().map(|error| error.errno) == Some(Errno::CHILD)
            };
            i32::from(!refused.into_iter().all(is_child))
        });
        assert_eq!(child.exit_code(), 0);
        let touches: [fn(&mut OwnedJobs<Line>, Line); 4] = [
            |jobs, line| {
                let refused = jobs.start(line, Line::op).expect_err("another process's ring");
                let Cause::Submit(error) = refused.cause else { panic!("{:?}", refused.cause) };
                assert_eq!(error.errno, Errno::CHILD);
            },
            |jobs, line| assert!(jobs.start_chain(line, |line| [line.op()]).is_err()),
            |jobs, _| assert!(jobs.next().is_none()),
            |jobs, _| assert!(jobs.wait_next().is_err()),
        ];
        for touch in touches {
            let child = Copy::run(|| {
                touch(&mut jobs, opening(&dropped));
                0
            });
            assert_eq!(child.exit_code(), 0);
        }
        into.write_all(b"alive").expect("room in the pipe");
        let event = jobs.wait_next().expect("no error").expect("a job");
        assert_eq!(event.result(), Ok(5));
    });
}

/// Goal: a child that unwinds through a scope does not wait for, or take, what the parent's is.
#[test]
fn a_child_unwinds_through_a_scope() {
    in_child("a_child_unwinds_through_a_scope", || {
        let (from, mut into) = pipe();
        let mut ring = SafeRing::new(4).expect("a ring");
        let mut bytes = [0; 8];
        let parent = std::process::id();
        let left = catch_unwind(AssertUnwindSafe(|| {
            ring.scope(&mut [Place::new()], |jobs| {
                let started = jobs.start(&mut bytes, |bytes| Read::lent(&from, bytes).op());
                assert!(started.is_ok() && jobs.submit().is_ok());
                let child = Copy::fork();
                if std::process::id() != parent {
                    resume_unwind(Box::new(()));
                }
                assert_eq!(child.exit_code(), 7);
                into.write_all(b"alive").expect("room in the pipe");
                let event = jobs.wait_next().expect("no error").expect("a job");
                assert_eq!(event.result(), Ok(5));
            });
        }));
        if std::process::id() != parent {
            Copy::exit(7);
        }
        assert!(left.is_ok());
        assert_eq!(&bytes[..5], b"alive");
    });
}

/// Has the kernel refuse this thread to enter rings.
fn refuse_to_enter(errno: Errno) {
    refuse_call(libc::SYS_io_uring_enter, errno);
}

/// Sends what is said about errors where nothing can be written.
fn fill_standard_error() {
    let full = File::options().write(true).open("/dev/full").expect("a device");
    // SAFETY: standard error is nobody's in particular.
    let number = unsafe { libc::dup2(full.as_raw_fd(), 2) };
    assert_eq!(number, 2);
}

/// Goal: a scope that cannot be drained aborts the process, though nobody hears why, and no
/// code of the program runs.
#[test]
fn a_scope_that_cannot_be_drained_aborts() {
    in_child("a_scope_that_cannot_be_drained_aborts", || {
        let (from, _into) = pipe();
        for errno in [Errno::BADR, Errno::BADFD, Errno::PERM] {
            for panics in [false, true] {
                let child = Copy::run(|| {
                    let mut ring = SafeRing::new(4).expect("a ring");
                    let mut bytes = [0; 8];
                    fill_standard_error();
                    let _ = catch_unwind(AssertUnwindSafe(|| {
                        ring.scope(&mut [Place::new()], |jobs| {
                            let read =
                                jobs.start(&mut bytes, |bytes| Read::lent(&from, bytes).op());
                            assert!(read.is_ok() && jobs.submit().is_ok());
                            refuse_to_enter(errno);
                            if panics {
                                resume_unwind(Box::new(()));
                            }
                        });
                    }));
                    // The scope has ended under the kernel's pen.
                    9
                });
                let status = child.status();
                assert!(libc::WIFSIGNALED(status), "{errno:?}: status {status:#x}");
                assert_eq!(libc::WTERMSIG(status), libc::SIGABRT);
            }
        }
    });
}

/// Goal: owned jobs that cannot be drained leak their values, and say so if they are asked.
#[test]
fn owned_jobs_that_cannot_be_drained_leak() {
    in_child("owned_jobs_that_cannot_be_drained_leak", || {
        let (jobs, _into, dropped) = reading(4);
        let (other, _into, others) = reading(4);
        refuse_to_enter(Errno::BADFD);
        drop(jobs);
        assert_eq!(dropped.get(), 0, "the kernel may be writing to it");
        let still = other.shutdown(Duration::from_secs(5)).expect_err("it cannot be known");
        assert_eq!((still.errno(), still.keys().count()), (Errno::BADFD, 1));
        assert!(still.wait(Duration::from_secs(5)).is_err(), "as before");
        assert_eq!(others.get(), 0);
    });
}

/// Goal: a restart that is refused gives back what its event owns, in all forms.
/// Method: opens, so that descriptors can be counted; a full queue that the kernel takes nothing
/// from. It is empty again when the jobs are dropped: nothing is in flight then.
#[test]
fn a_refused_restart_closes_what_its_event_owns() {
    in_child("a_refused_restart_closes_what_its_event_owns", || {
        let before = open_descriptors();
        for form in 0..4 {
            let child = Copy::run(|| {
                let ring = SafeRing::new(1).expect("a ring");
                let mut jobs: OwnedJobs<Line> = ring.into_jobs(2);
                let dropped = Rc::default();
                let inside = open_descriptors();
                assert!(jobs.start(opening(&dropped), Line::op).is_ok());
                jobs.submit_and_wait(1).expect("the open");
                assert_eq!(open_descriptors(), inside + 1);
                assert!(jobs.start(opening(&dropped), |_| Nop::new().op()).is_ok());
                let done = jobs.next().expect("the open").expect_done();
                assert!(done.result().is_ok());
                refuse_to_enter(Errno::AGAIN);
                let refused = match form {
                    0 => done.restart(Line::op),
                    1 => done.restart_chain(|line| [line.op()]),
                    2 => done.restart_quiet(|line| [line.op()]),
                    _ => {
                        drop(done.finish());
                        assert_eq!(open_descriptors(), inside);
                        jobs.start(opening(&dropped), Line::op)
                    }
                };
                let refused = refused.expect_err("the queue is full");
                assert!(matches!(refused.cause, Cause::Submit(error) if error.queued == 1));
                assert_eq!(open_descriptors(), inside, "in form {form}");
                drop(refused);
                drop(jobs);
                i32::try_from(dropped.get()).expect("few")
            });
            let values = if form == 3 { 3 } else { 2 };
            assert_eq!(child.exit_code(), values, "in form {form}");
        }
        assert_eq!(open_descriptors(), before);
    });
}

/// Goal: what the links of a chain open is taken once, or closed.
#[test]
fn what_a_chain_opens_is_taken_or_closed() {
    in_child("what_a_chain_opens_is_taken_or_closed", || {
        let dropped = Rc::default();
        let mut jobs: OwnedJobs<Line> = SafeRing::new(8).expect("a ring").into_jobs(2);
        let open = || OpenAt::lent(CWD, c"Cargo.toml", OFlags::RDONLY).op();
        let before = open_descriptors();
        for way in 0..6 {
            let started = jobs.start_chain(opening(&dropped), |_| {
                [open(), Nop::new().op(), open().hard_link(), open()]
            });
            assert!(started.is_ok());
            let event = jobs.wait_next().expect("no error").expect("a job");
            let mut done = event.expect_done();
            let kept = match way {
                0 => [None, None],
                1 => [done.descriptor_of(0), done.descriptor_of(0)],
                2 => [done.descriptor_of(2), done.descriptor_of(3)],
                3 => {
                    drop(done.finish());
                    [None, None]
                }
                4 => {
                    assert!(done.restart_chain(|_| [open(), open()]).is_ok());
                    [None, None]
                }
                _ => {
                    let _ = done;
                    [None, None]
                }
            };
            let count = kept.iter().flatten().count();
            assert_eq!(count, [0, 1, 2, 0, 0, 0][way]);
            while jobs.wait_next().expect("no error").is_some() {}
            assert_eq!(open_descriptors(), before + count, "by way {way}");
        }
        let started = jobs.start_chain(opening(&dropped), |_| [open(), open()]);
        assert!(started.is_ok() && jobs.submit_and_wait(2).is_ok());
        assert!(jobs.shutdown(Duration::from_secs(5)).is_ok());
        // The ring is gone, too.
        assert!(open_descriptors() <= before);
        assert_eq!(dropped.get(), 7);
    });
}

/// What a child finds at the addresses of an inherited ring is left alone.
#[test]
fn a_childs_own_ring_is_left_alone() {
    in_child("a_childs_own_ring_is_left_alone", || {
        let (mut jobs, _into, dropped) = reading(4);
        let child = Copy::run(|| {
            // Rings of the same size, which take the addresses that are free.
            let mut own: [OwnedJobs<Line>; 3] =
                [(); 3].map(|()| SafeRing::new(4).expect("a ring").into_jobs(4));
            let started = jobs.start(opening(&dropped), Line::op);
            let is_child =
                |cause| matches!(cause, Cause::Submit(error) if error.errno == Errno::CHILD);
            assert!(started.is_err_and(|refused| is_child(refused.cause)));
            assert!(jobs.next().is_none() && jobs.wait_next().is_err());
            for own in &mut own {
                assert!(own.start(opening(&dropped), |_| Nop::new().op()).is_ok());
                assert_eq!(own.wait_next().expect("no error").expect("a job").result(), Ok(0));
            }
            0
        });
        assert_eq!(child.exit_code(), 0);
    });
}
