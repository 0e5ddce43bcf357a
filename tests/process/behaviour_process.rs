//! Rings in processes that fork, that end, or that execute another program.
//!
//! Each test runs in a separate process, in which nothing else runs, so that it may fork.

use core::time::Duration;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Instant;

use crate::common::process::{Copy, in_child};
use crate::common::{Lack, PATIENCE, require};
use crate::op_common::{assert_quiet, leaked, listener, pipe, reap_told, start, start_all};
use ringbolt::ops::{Accept, Nop, PollAdd, Read};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::sys::{self, EnterFlags, RegisterOp, SetupFlags};
use ringbolt::{BuildError, Builder, Cqe, IoUring, PushError, Sqe};
use rustix::fd::AsRawFd;
use rustix::io::Errno;

fn new() -> Builder<'static> {
    IoUring::builder()
}

fn works<T>(ring: &mut IoUring<Sqe, Cqe, T>, user_data: u64) {
    ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap_told(ring, 1), [(user_data, Ok(0))]);
}

/// A child of this process.
struct Child(Copy);

impl Child {
    /// Runs `body` in a child of this process, which ends immediately when `body` returns.
    fn fork(body: impl FnOnce()) -> Self {
        Self(Copy::run(|| {
            body();
            0
        }))
    }

    fn status(self) -> i32 {
        self.0.status()
    }

    fn succeeds(self) {
        assert_eq!(self.status(), 0);
    }
}

/// liburing: across-fork.
#[test]
fn a_child_that_drops_its_copy_leaves_the_parents_ring_alone() {
    in_child("a_child_that_drops_its_copy_leaves_the_parents_ring_alone", || {
        let registered = new().register_ring_fd();
        for builder in [new(), new().sqpoll(10), registered] {
            let mut ring = Some(builder.build_local(4).expect("a ring"));
            let (reader, mut writer) = pipe();
            let buf = leaked::<4>();
            let read = Read::new(&reader, buf.as_mut_ptr(), 4).sqe(1);
            let parents = ring.as_mut().expect("it is there");
            // SAFETY: the buffer stays forever, and the pipe until the completion is there.
            unsafe { parents.submission().push(read) }.expect("room");
            assert_eq!(parents.submit(), Ok(1));
            Child::fork(|| drop(ring.take())).succeeds();
            let mut ring = ring.expect("the parent has its own");
            writer.write_all(b"abcd").expect("room in the pipe");
            assert_eq!(reap_told(&mut ring, 1), [(1, Ok(4))]);
            works(&mut ring, 2);
        }
    });
}

/// liburing: across-fork, single-issuer.
#[test]
fn a_ring_refuses_a_child_and_still_works_in_the_parent() {
    require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
    require!(register: RegisterOp::REGISTER_RING_FDS);
    in_child("a_ring_refuses_a_child_and_still_works_in_the_parent", || {
        let single = new().single_issuer().defer_taskrun();
        for builder in [new(), new().sqpoll(10), single.clone(), single.register_ring_fd()] {
            let mut ring = builder.build_local(4).expect("a ring");
            works(&mut ring, 1);
            Child::fork(|| {
                let refused = ring.submission().push_safe(Nop::new().sqe(2));
                assert!(matches!(refused, Err(PushError::Unusable(_))), "{refused:?}");
                let error = ring.submit().expect_err("the parent's ring");
                assert_eq!((error.errno, error.taken, error.queued), (Errno::CHILD, 0, 0));
                assert_eq!(ring.wait(1), Err(Errno::CHILD));
                assert_eq!(ring.submission().rollback(), 0);
            })
            .succeeds();
            works(&mut ring, 3);
            assert_quiet(&mut ring);
        }
    });
}

/// Writes until the pipe has no reader.
fn await_end_of(writer: &mut File) {
    let end = Instant::now() + PATIENCE;
    while writer.write_all(b"x").is_ok() {
        assert!(Instant::now() < end, "somebody still reads");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Goal: a process that ends or is killed leaves nothing in flight.
/// Method: reads, polls and accepts that wait, with and without workers; check their other ends.
///
/// liburing: accept, poll, teardowns.
#[test]
fn operations_in_flight_end_with_their_process() {
    in_child("operations_in_flight_end_with_their_process", || {
        for killed in [false, true] {
            for builder in [new(), new().sqpoll(10), new().single_issuer().defer_taskrun()] {
                if let Err(lack @ BuildError::Invalid { .. }) = builder.build_local(8) {
                    Lack::of_kernel(lack, None).skip();
                    continue;
                }
                let (reader, mut writer) = pipe();
                let (mut ready, mut is_ready) = pipe();
                let (listener, address) = listener();
                let child = Child::fork(|| {
                    let mut ring = builder.build_local(8).expect("a ring");
                    let buf = leaked::<4>().as_mut_ptr();
                    let entries = [
                        Read::new(&reader, buf, 4).sqe(1),
                        Read::new(&reader, buf, 4).sqe(2).force_async(),
                        PollAdd::new(&reader, EventFlags::IN).sqe(3),
                        Accept::new(&listener).sqe(4),
                        Accept::new(&listener).multishot().sqe(5),
                    ];
                    // SAFETY: the buffer stays for as long as the process.
                    unsafe { start_all(&mut ring, &entries) };
                    is_ready.write_all(b"x").expect("room in the pipe");
                    if killed {
                        std::thread::sleep(3 * PATIENCE);
                    }
                });
                drop((reader, listener, is_ready));
                ready.read_exact(&mut [0]).expect("a byte of the child's");
                if killed {
                    // SAFETY: a child of this process, which has not been waited for.
                    assert_eq!(unsafe { libc::kill(child.0.id(), libc::SIGKILL) }, 0);
                }
                assert_eq!(child.status(), if killed { libc::SIGKILL } else { 0 });
                await_end_of(&mut writer);
                let end = Instant::now() + PATIENCE;
                // The port is free when no process listens any more.
                while let Err(error) = TcpListener::bind(address) {
                    assert_eq!(error.kind(), ErrorKind::AddrInUse);
                    assert!(Instant::now() < end, "somebody still listens");
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    });
}

/// liburing: poll, teardowns.
#[test]
fn operations_in_flight_end_when_their_process_becomes_another_program() {
    in_child("operations_in_flight_end_when_their_process_becomes_another_program", || {
        for keeps_fd in [false, true] {
            let (reader, mut writer) = pipe();
            let (mut gone, is_there) = pipe();
            let child = Child::fork(|| {
                let mut ring = IoUring::new(8).expect("a ring");
                let buf = leaked::<4>().as_mut_ptr();
                // SAFETY: the buffer stays for as long as the program.
                unsafe { start(&mut ring, Read::new(&reader, buf, 4).sqe(1)) };
                if keeps_fd {
                    let none = rustix::io::FdFlags::empty();
                    rustix::io::fcntl_setfd(&ring, none).expect("a descriptor");
                }
                panic!("{}", Command::new("sleep").arg("100").exec());
            });
            drop((reader, is_there));
            // Executing another program closes the copy of this end.
            assert_eq!(gone.read(&mut [0]).ok(), Some(0));
            await_end_of(&mut writer);
            // SAFETY: a child of this process, which has not been waited for.
            assert_eq!(unsafe { libc::kill(child.0.id(), libc::SIGKILL) }, 0);
            assert_eq!(child.status(), libc::SIGKILL, "it was still there");
        }
    });
}

/// liburing: teardowns.
#[test]
fn many_rings_are_set_up_and_torn_down_in_many_processes() {
    require!(setup: SetupFlags::NO_SQARRAY);
    in_child("many_rings_are_set_up_and_torn_down_in_many_processes", || {
        for _ in 0..10 {
            let children = [(); 4].map(|()| {
                Child::fork(|| {
                    for round in 0..30 {
                        let builders = [new(), new().sqpoll(1), new().no_sqarray()];
                        let builder = builders.get(round % 3).expect("one of three");
                        let mut ring = builder.build(64).expect("a ring");
                        ring.submission().push_safe(Nop::new().sqe(7)).expect("room");
                        ring.submit().expect("submitted");
                        if round % 4 != 0 {
                            assert_eq!(reap_told(&mut ring, 1), [(7, Ok(0))]);
                        }
                        if round % 5 == 0 {
                            // The ring is closed only at the end of the process.
                            core::mem::forget(ring);
                        }
                    }
                })
            });
            children.into_iter().for_each(Child::succeeds);
        }
    });
}

/// Goal: calls after the polling thread's process has ended report it, and do not wait.
/// Method: a grandchild inherits a ring from its parent, which then ends.
///
/// liburing: empty-eownerdead.
#[test]
fn a_ring_whose_polling_thread_has_died_reports_it() {
    in_child("a_ring_whose_polling_thread_has_died_reports_it", || {
        let (mut answer, mut tell) = pipe();
        Child::fork(|| {
            let mut ring = new().sqpoll(10).build(4).expect("an SQPOLL ring");
            works(&mut ring, 1);
            // SAFETY: the call has no precondition.
            let owner = unsafe { libc::getpid() };
            Child::fork(|| {
                let end = Instant::now() + PATIENCE;
                // SAFETY: the call has no precondition.
                while unsafe { libc::getppid() } == owner && Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(1));
                }
                let (fd, null) = (ring.as_raw_fd(), core::ptr::null());
                let none = EnterFlags::empty();
                // SAFETY: nothing is queued, and there is no argument.
                let empty = unsafe { sys::io_uring_enter(fd, 0, 0, none, null, 0) };
                let flags = EnterFlags::GETEVENTS;
                // SAFETY: as above.
                let submitted = unsafe { sys::io_uring_enter(fd, 0, 1, flags, null, 0) };
                let answers = format!("{empty:?} {submitted:?}");
                tell.write_all(answers.as_bytes()).expect("room in the pipe");
            });
        })
        .succeeds();
        drop(tell);
        let mut answers = String::new();
        answer.read_to_string(&mut answers).expect("what the grandchild wrote");
        let dead = Errno::OWNERDEAD;
        let answer: Result<u32, _> = Err(dead.raw_os_error());
        assert_eq!(answers, format!("{answer:?} {answer:?}"));
    });
}

/// liburing: sq-poll-dup, sq-poll-share.
#[test]
fn a_polling_thread_continues_for_an_attached_ring() {
    in_child("a_polling_thread_continues_for_an_attached_ring", || {
        let first = new().sqpoll(10).build(4).expect("an SQPOLL ring");
        let again = rustix::io::dup(&first).expect("a second descriptor");
        let mut second = new().sqpoll(10).attach_wq(&first).build(4).expect("a ring");
        first.close();
        (0..20).for_each(|user_data| works(&mut second, user_data));
        // The second descriptor also refers to the ring, and another ring can attach to it.
        let mut third = new().sqpoll(10).attach_wq(&again).build(4).expect("a ring");
        drop((second, again));
        (0..20).for_each(|user_data| works(&mut third, user_data));
    });
}

/// liburing: shared-wq.
#[test]
fn attaching_to_a_file_that_is_not_a_ring_fails() {
    let (reader, _writer) = pipe();
    let refused = new().attach_wq(&reader).build(4).map(drop);
    assert_eq!(refused.map_err(|error| error.errno()), Err(Some(Errno::INVAL)));
    let first = IoUring::new(4).expect("a ring");
    let mut rings: Vec<_> =
        (0..8).map(|_| new().attach_wq(&first).build(4).expect("a ring")).collect();
    for (user_data, ring) in (0..).zip(&mut rings) {
        ring.submission().push_safe(Nop::new().sqe(user_data).force_async()).expect("room");
        assert_eq!(ring.submit(), Ok(1));
        assert_eq!(reap_told(ring, 1), [(user_data, Ok(0))]);
    }
}
