//! A ring belongs to the process that made it: what a child can do with what it inherits.
//!
//! Each test runs in a process of its own, in which nothing else is done: it may fork.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd;

use crate::common::process::{Copy, in_child};
use crate::common::{complete, require};
use crate::op_common::{complete_safe, leaked, pipe};
use ringbolt::ops::{Nop, Read};
use ringbolt::register::{BufferRingOptions, CancelWhat, RegisteredWait};
use ringbolt::sys::{BufRingFlags, RegisterOp, SetupFlags};
use ringbolt::{Builder, IoUring, LocalIoUring, PushError, ResizeError, Timespec};
use rustix::io::Errno;

const DEFERRED: SetupFlags = SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN);

/// A builder of each kind of ring.
fn builders() -> [Builder<'static>; 4] {
    let new = IoUring::builder;
    let deferred = || new().flags(DEFERRED).no_sqarray();
    [new(), new().sqpoll(1), deferred(), deferred().register_ring_fd()]
}

fn works(ring: &mut LocalIoUring) {
    assert_eq!(complete_safe(ring, Nop::new().sqe(7)).result(), Ok(0));
}

/// The mappings of this process: start, end, and what is mapped there.
fn mappings() -> String {
    let mut text = String::new();
    let mut file = File::open("/proc/self/maps").expect("the list of mappings");
    file.read_to_string(&mut text).expect("text");
    text.lines().filter(|line| line.contains("io_uring")).collect()
}

/// Goal: every use of an inherited ring is refused, with an error that says so.
/// Method: each call of the interface, in a child, while an entry is queued and one in flight.
#[test]
fn every_use_of_an_inherited_ring_is_refused() {
    require!(setup: DEFERRED.union(SetupFlags::NO_SQARRAY));
    in_child("every_use_of_an_inherited_ring_is_refused", || {
        for builder in builders() {
            let mut ring = builder.build_local(4).expect("a ring");
            let (reader, writer) = pipe();
            let read = Read::new(&reader, leaked::<4>().as_mut_ptr(), 4).sqe(1);
            // SAFETY: the buffer is leaked, and the pipe outlives the ring's use of it.
            unsafe { ring.submission().push(read) }.expect("room");
            ring.submit().expect("submitted");
            ring.submission().push_safe(Nop::new().sqe(2)).expect("room");
            let code = Copy::run(|| {
                refuses_everything(&mut ring);
                0
            });
            assert_eq!(code.exit_code(), 0, "{builder:?}");
            ring.submit_and_wait(1).expect("the queued entry");
            assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(2));
            drop(writer);
            ring.wait(1).expect("the read");
            assert_eq!(ring.completion().pop().map(|cqe| cqe.result()), Some(Ok(0)));
        }
    });
}

fn refuses_everything(ring: &mut LocalIoUring) {
    let refused = Err(Errno::CHILD);
    let second = Timespec::new(1, 0);
    let mut submission = ring.submission();
    let nop = || Nop::new().sqe(9);
    assert!(matches!(submission.push_safe(nop()), Err(PushError::Unusable(_))));
    assert!(matches!(submission.reserve(1), Err(PushError::Unusable(()))));
    // SAFETY: a NOP names nothing.
    let pushed = unsafe { submission.push_all(&[nop().into()]) };
    assert_eq!(pushed, Err(PushError::Unusable(())));
    assert_eq!((submission.len(), submission.room(), submission.flush()), (0, 0, 0));
    assert!(submission.pop_back().is_none() && submission.status().is_empty());
    assert_eq!(submission.submit().map_err(|error| error.errno), Err(Errno::CHILD));
    assert_eq!(submission.wait_for_room(), refused);
    let errors = [
        ring.submit(),
        ring.submit_and_wait(0),
        ring.submit_and_wait(1),
        ring.submit_and_wait_timeout(1, second),
        ring.wait_for(1).map(|()| 0),
    ];
    for error in errors {
        let error = error.expect_err("it is the parent's");
        assert_eq!((error.errno, error.taken, error.queued), (Errno::CHILD, 0, 0));
        assert!(error.to_string().contains("process"), "{error}");
    }
    assert_eq!((ring.wait(1), ring.get_events()), (refused, refused));
    let mut completion = ring.completion();
    assert!(completion.pop().is_none() && completion.peek().is_none());
    assert_eq!((completion.len(), completion.drain().count()), (0, 0));
    assert_eq!(completion.wait_timeout(1, second), refused);
    assert_eq!(completion.set_eventfd_disabled(true), refused);
    assert_eq!(ring.register_ring_fd(), refused);
    let registrar = ring.registrar();
    assert_eq!(registrar.register_files_sparse(1).map_err(Errno::from), refused);
    assert_eq!(registrar.unregister_buffers().map_err(Errno::from), refused);
    assert_eq!(registrar.cancel(CancelWhat::any(), None).map(|_| ()).map_err(Errno::from), refused);
    let buffers = registrar.register_buffer_ring(1, 1, BufferRingOptions::default());
    assert_eq!(buffers.map(|_| ()).map_err(Errno::from), refused);
    assert_eq!(ring.resize(64, None), Err(ResizeError::Unusable(Errno::CHILD)));
}

/// Goal: dropping what was inherited releases nothing but the descriptor.
/// Method: the child first makes rings of its own, which take the addresses and the registered
/// indices that the inherited one had in the parent, then drops that, and uses its own.
#[test]
fn dropping_an_inherited_ring_leaves_the_childs_own_rings_alone() {
    require!(setup: DEFERRED.union(SetupFlags::NO_SQARRAY));
    require!(register: RegisterOp::REGISTER_RING_FDS);
    in_child("dropping_an_inherited_ring_leaves_the_childs_own_rings_alone", || {
        for builder in builders() {
            let mut ring = Some(builder.build_local(4).expect("a ring"));
            let code = Copy::run(|| {
                assert_eq!(mappings(), "", "a ring is mapped in the child");
                let mut own: Vec<_> =
                    (0..4).map(|_| builder.build_local(4).expect("a ring")).collect();
                own.iter_mut().for_each(works);
                let before = mappings();
                drop(ring.take());
                assert_eq!(mappings(), before);
                own.iter_mut().for_each(works);
                0
            });
            assert_eq!(code.exit_code(), 0, "{builder:?}");
            works(ring.as_mut().expect("the parent has its own"));
        }
    });
}

/// A child of a child is a process of its own, and so is one that made a ring before.
#[test]
fn each_generation_of_processes_has_its_own_rings() {
    in_child("each_generation_of_processes_has_its_own_rings", || {
        fn generation(number: u32, inherited: &mut Vec<LocalIoUring>) {
            for ring in &mut *inherited {
                assert_eq!(ring.submit().map_err(|error| error.errno), Err(Errno::CHILD));
            }
            // Some make a ring before they fork, and some do not.
            if number % 2 == 0 {
                let mut own = IoUring::local(4).expect("a ring");
                works(&mut own);
                inherited.push(own);
            }
            if number < 6 {
                let code = Copy::run(|| {
                    generation(number + 1, inherited);
                    0
                });
                assert_eq!(code.exit_code(), 0);
            }
            if number % 2 == 0 {
                works(inherited.last_mut().expect("its own"));
            }
        }
        generation(0, &mut Vec::new());
    });
}

#[test]
fn inherited_buffer_rings_and_wait_regions_touch_no_memory_of_the_child() {
    require!(register: RegisterOp::REGISTER_MEM_REGION);
    in_child("inherited_buffer_rings_and_wait_regions_touch_no_memory_of_the_child", || {
        for flags in [BufRingFlags::empty(), BufRingFlags::MMAP] {
            let disabled = IoUring::builder().build_disabled(4).expect("a ring");
            let mut region = disabled.registrar().register_wait_region(1).expect("a region");
            let mut ring = disabled.enable().expect("enabled");
            let registered = ring.registrar().register_buffer_ring(1, 1, flags);
            let mut buffers = Some(registered.expect("a buffer ring"));
            let own = buffers.as_mut().expect("it is there");
            // SAFETY: leaked memory.
            unsafe { own.add(leaked::<4>().as_mut_ptr(), 4, 7) }.expect("room");
            let code = Copy::run(|| {
                let inherited = buffers.as_mut().expect("it is there");
                assert_eq!(inherited.publish(), 0);
                assert_eq!(inherited.bundle(7, 4).next(), None);
                assert_eq!(region.set(0, RegisteredWait::default()), Err(Errno::CHILD));
                let refused = ring.registrar().unregister_buffer_ring(buffers.take().expect("it"));
                let error = refused.expect_err("it is the parent's");
                assert_eq!(error.errno, Errno::CHILD);
                drop((error, region));
                0
            });
            assert_eq!(code.exit_code(), 0);
            let mut buffers = buffers.expect("the parent has its own");
            assert_eq!(buffers.publish(), 1);
            let zero = File::open("/dev/zero").expect("zeros");
            // SAFETY: leaked memory, and the file stays until `complete` returns.
            let cqe = unsafe { complete(&mut ring, Read::provided(&zero, 4, 1).sqe(1)) };
            assert_eq!((cqe.result(), buffers.reclaim(&cqe)), (Ok(4), Some(7)));
            assert!(ring.registrar().unregister_buffer_ring(buffers).is_ok());
        }
    });
}

#[test]
fn closing_when_idle_does_nothing_to_the_parents_operations() {
    in_child("closing_when_idle_does_nothing_to_the_parents_operations", || {
        let mut ring = Some(IoUring::local(4).expect("a ring"));
        let (reader, writer) = pipe();
        let read = Read::new(&reader, leaked::<4>().as_mut_ptr(), 4).sqe(1);
        let own = ring.as_mut().expect("it is there");
        // SAFETY: the buffer is leaked, and the pipe outlives the read.
        unsafe { own.submission().push(read) }.expect("room");
        own.submit().expect("submitted");
        let code = Copy::run(|| {
            let inherited = ring.take().expect("it is there");
            let error = inherited.close_when_idle(1, Duration::from_secs(5), |_| true);
            let error = error.expect_err("it is the parent's");
            assert_eq!((error.errno, error.in_flight), (Errno::CHILD, 1));
            0
        });
        assert_eq!(code.exit_code(), 0);
        let mut own = ring.expect("the parent has its own");
        assert_eq!(own.completion().wait_timeout(1, Timespec::new(0, 1)), Err(Errno::TIME));
        drop(writer);
        own.wait(1).expect("the end of the pipe");
    });
}

/// The descriptor is released, so that the parent's close is the last one.
#[test]
fn dropping_an_inherited_ring_closes_its_descriptor() {
    in_child("dropping_an_inherited_ring_closes_its_descriptor", || {
        let mut ring = Some(IoUring::new(4).expect("a ring"));
        let number = ring.as_ref().map(AsRawFd::as_raw_fd).expect("it is there");
        let code = Copy::run(|| {
            drop(ring.take());
            i32::from(std::fs::read_link(format!("/proc/self/fd/{number}")).is_ok())
        });
        assert_eq!(code.exit_code(), 0);
    });
}
