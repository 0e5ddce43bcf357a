//! Descriptors that are handed on as numbers: none becomes that of another file.
//!
//! rustix's `CWD` is a `BorrowedFd` of -100. Each test runs in a process of its own, in which
//! descriptor 100 is one that the call would act on if the sign was lost.

use std::fs::File;

use crate::common::process::in_child;
use crate::common::{complete, require};
use crate::op_common::{AS_OF_5_19, finish, leaked, pipe, reap_told, ring, start};
use ringbolt::ops::{AsyncCancel, EpollCtl, IoVec, Read};
use ringbolt::register::{CancelWhat, CloneRange};
use ringbolt::rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use ringbolt::rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use ringbolt::rustix::fs::CWD;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{CloneBuffersFlags, Opcode, RegisterOp, SetupFlags};
use ringbolt::{BuildError, IoUring};

/// What `CWD` would be without its sign.
const UNSIGNED: i32 = 100;

/// Makes `file` descriptor 100, too, until the value is dropped.
fn as_100(file: impl AsFd) -> OwnedFd {
    // SAFETY: a child process, in which nothing else has this descriptor.
    let number = unsafe { libc::dup2(file.as_fd().as_raw_fd(), UNSIGNED) };
    assert_eq!(number, UNSIGNED);
    // SAFETY: it was just made, and nobody else closes it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

#[test]
fn a_ring_is_not_attached_to_a_descriptor_without_its_sign() {
    require!(setup: SetupFlags::SQPOLL);
    in_child("a_ring_is_not_attached_to_a_descriptor_without_its_sign", || {
        for builder in [IoUring::builder(), IoUring::builder().sqpoll(1000)] {
            let others = builder.build(4).expect("a ring");
            let _held = as_100(&others);
            assert!(builder.clone().attach_wq(&others).build(4).is_ok());
            let attached = builder.attach_wq(&CWD).build(4);
            let closed = BuildError::AttachWq(Errno::NXIO);
            assert_eq!(attached.map(drop), Err(closed), "no such descriptor");
        }
    });
}

#[test]
fn an_epoll_set_does_not_watch_a_descriptor_without_its_sign() {
    require!(op: Opcode::EPOLL_CTL);
    in_child("an_epoll_set_does_not_watch_a_descriptor_without_its_sign", || {
        let (reader, _writer) = pipe();
        let set = epoll::create(CreateFlags::CLOEXEC).expect("an epoll set");
        let event = Event { flags: EventFlags::IN, data: EventData::new_u64(1) };
        let mut ring = ring();
        let mut add = |set: BorrowedFd<'_>, file: BorrowedFd<'_>| {
            let entry = EpollCtl::add(set, file, &event).sqe(1);
            // SAFETY: the event and the files stay until this returns.
            unsafe { complete(&mut ring, entry) }.result()
        };
        let watched = as_100(&reader);
        assert_eq!(add(set.as_fd(), CWD), Err(Errno::BADF));
        drop(watched);
        let _held = as_100(&set);
        assert_eq!(add(CWD, reader.as_fd()), Err(Errno::BADF));
        assert_eq!(add(set.as_fd(), reader.as_fd()), Ok(0), "it was not watched before");
    });
}

#[test]
fn buffers_are_not_cloned_from_a_descriptor_without_its_sign() {
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    in_child("buffers_are_not_cloned_from_a_descriptor_without_its_sign", || {
        let (source, ring) = (ring(), ring());
        let buffer = IoVec::from(&mut leaked::<8>()[..]);
        // SAFETY: the memory stays for ever.
        unsafe { source.registrar().register_buffers(&[buffer]) }.expect("some memory");
        let _held = as_100(&source);
        let clone = |from: BorrowedFd<'_>| {
            let (all, plain) = (CloneRange::default(), CloneBuffersFlags::empty());
            // SAFETY: the memory stays for ever.
            unsafe { ring.registrar().clone_buffers(from, all, plain) }
        };
        assert_eq!(clone(CWD).map_err(Errno::from), Err(Errno::BADF));
        assert_eq!(clone(source.as_fd()), Ok(()), "there was no table before");
    });
}

#[test]
fn nothing_is_cancelled_by_a_descriptor_without_its_sign() {
    require!(op: AS_OF_5_19);
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    in_child("nothing_is_cancelled_by_a_descriptor_without_its_sign", || {
        let mut pipe = pipe();
        let mut ring = ring();
        let duplicate = File::from(as_100(&pipe.0));
        let read = Read::new(&duplicate, leaked::<8>().as_mut_ptr(), 8).sqe(1);
        // SAFETY: the buffer stays for ever, the files until the read has completed.
        unsafe { start(&mut ring, read) };
        // SAFETY: the number is no descriptor, which is the point.
        unsafe { start(&mut ring, AsyncCancel::of_file(CWD).all().sqe(2)) };
        assert_eq!(reap_told(&mut ring, 1), [(2, Err(Errno::BADF))]);
        let cancelled = ring.registrar().cancel(CancelWhat::file(&CWD).all(), None);
        assert_eq!(cancelled.map_err(Errno::from), Err(Errno::BADF));
        finish(&mut ring, &mut pipe, &[1]);
    });
}

/// Goal: a builder that is kept attaches to the ring that it was given, and to no other.
/// Method: the compiler keeps that ring open (see the documentation of `attach_wq`); what is left
/// to check is that a clone, and a builder of other widths, still attach to it.
#[test]
fn a_builder_attaches_to_the_ring_that_it_borrows() {
    let first = IoUring::new(4).expect("a ring");
    let builder = IoUring::builder().attach_wq(&first);
    let (wide, clone) = (builder.clone().cqe32(), builder.clone());
    let number = first.as_raw_fd().unsigned_abs();
    for params in [
        *builder.build(4).expect("a ring").params(),
        *clone.build(4).expect("a ring").params(),
        *wide.build(4).expect("a ring").params(),
    ] {
        assert_eq!((params.wq_fd, params.flags.contains(SetupFlags::ATTACH_WQ)), (number, true));
    }
}
