//! Rings whose descriptor is registered with their thread: the index is used, and given back.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use crate::common::process::bounded;
use crate::common::{reap, require};
use ringbolt::ops::Nop;
use ringbolt::sys::{RegisterOp, SetupFlags};
use ringbolt::{BuildError, IoUring, LocalIoUring};
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::Errno;

/// Rings that a thread can register.
const SLOTS: usize = 16;

fn registered() -> LocalIoUring {
    let ring = IoUring::builder().register_ring_fd().build_local(4).expect("a registered ring");
    assert!(ring.is_fd_registered());
    ring
}

fn works<T>(ring: &mut IoUring<ringbolt::Sqe, ringbolt::Cqe, T>, user_data: u64) {
    ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
    assert_eq!(ring.submit_and_wait(1), Ok(1));
    assert_eq!(reap(ring, 1)[0].user_data(), user_data);
}

/// Goal: calls name the ring by its index.
/// Method: put another file under the number of its descriptor.
#[test]
fn a_registered_ring_is_entered_by_its_index() {
    require!(register: RegisterOp::REGISTER_RING_FDS);
    let mut ring = registered();
    let mut plain = IoUring::new(4).expect("a ring");
    for (fd, submitted) in [(ring.as_raw_fd(), true), (plain.as_raw_fd(), false)] {
        let kept = fd_of(fd).expect("a second name for the ring");
        let null = std::fs::File::open("/dev/null").expect("a file");
        replace(fd, &null);
        if submitted {
            works(&mut ring, 1);
            ring.wait(0).expect("waiting goes by the index, too");
        } else {
            // The other way round: without the index it would not have worked.
            plain.submission().push_safe(Nop::new().sqe(2)).expect("room");
            let error = plain.submit().expect_err("no ring");
            assert_eq!((error.errno, error.taken, error.queued), (Errno::OPNOTSUPP, 0, 1));
        }
        replace(fd, &kept);
    }
    works(&mut ring, 3);
    assert_eq!(plain.submit(), Ok(1));
}

/// Makes the number `fd` name what `file` names, in one step: it is never free for others.
fn replace(fd: i32, file: impl AsFd) {
    // SAFETY: the number is the caller's ring's, which takes it back before it is dropped.
    let made = unsafe { libc::dup2(file.as_fd().as_raw_fd(), fd) };
    assert_eq!(made, fd, "{}", std::io::Error::last_os_error());
}

fn fd_of(fd: i32) -> Result<rustix::fd::OwnedFd, Errno> {
    // SAFETY: the descriptor of a ring that is open.
    rustix::io::dup(unsafe { rustix::fd::BorrowedFd::borrow_raw(fd) })
}

#[test]
fn rings_made_and_dropped_leave_no_index_behind() {
    require!(register: RegisterOp::REGISTER_RING_FDS);
    for user_data in 0..100 {
        works(&mut registered(), user_data);
    }
    // All the slots of the thread are free.
    let rings: Vec<_> = (0..SLOTS).map(|_| registered()).collect();
    assert_eq!(rings.len(), SLOTS);
}

#[test]
fn local_rings_made_and_dropped_leave_no_index_behind() {
    require!(register: RegisterOp::REGISTER_RING_FDS);
    for user_data in 0..100 {
        let mut ring = IoUring::local(4).expect("a ring");
        assert!(ring.is_fd_registered(), "ring number {user_data}");
        works(&mut ring, user_data);
    }
}

#[test]
fn sixteen_rings_are_registered_side_by_side() {
    require!(register: RegisterOp::REGISTER_RING_FDS);
    let mut rings: Vec<_> = (0..SLOTS).map(|_| registered()).collect();
    for (user_data, ring) in (0..).zip(&mut rings) {
        works(ring, user_data);
    }
    // Each is its own: an index that is freed is that of the ring dropped.
    for left in (0..SLOTS).rev() {
        drop(rings.pop());
        for ring in &mut rings {
            works(ring, 7);
        }
        assert_eq!(rings.len(), left);
    }
}

#[test]
fn a_ring_that_cannot_be_registered_is_closed_and_the_others_stay() {
    require!(register: RegisterOp::REGISTER_RING_FDS);
    let mut rings: Vec<_> = (0..SLOTS).map(|_| registered()).collect();
    let builder = IoUring::builder().register_ring_fd();
    for _ in 0..100 {
        let error = builder.build_local(4).expect_err("no slot is left");
        assert_eq!(error, BuildError::RegisterRingFd(Errno::BUSY));
    }
    for ring in &mut rings {
        works(ring, 1);
    }
}

#[test]
fn a_local_ring_does_without_an_index_when_none_is_left() {
    require!(register: RegisterOp::REGISTER_RING_FDS);
    let rings: Vec<_> = (0..SLOTS).map(|_| registered()).collect();
    let mut ring = IoUring::local(4).expect("a ring all the same");
    assert!(!ring.is_fd_registered());
    works(&mut ring, 1);
    drop(rings);
}

#[test]
fn registering_by_a_registered_ring_works() {
    require!(register: RegisterOp::REGISTER_RING_FDS);
    let ring = registered();
    assert!(ring.registrar().probe().is_ok());
}

#[test]
fn each_thread_has_indices_of_its_own() {
    require!(register: RegisterOp::REGISTER_RING_FDS);
    let rings: Vec<_> = (0..SLOTS).map(|_| registered()).collect();
    bounded(|| {
        let mut rings: Vec<_> = (0..SLOTS).map(|_| registered()).collect();
        for ring in &mut rings {
            works(ring, 2);
        }
    });
    drop(rings);
}

#[test]
fn a_thread_that_ends_takes_the_indices_of_forgotten_rings_along() {
    require!(register: RegisterOp::REGISTER_RING_FDS);
    for _ in 0..4 {
        bounded(|| (0..SLOTS).for_each(|_| core::mem::forget(registered())));
    }
    works(&mut registered(), 1);
}

#[test]
fn a_ring_for_one_submitter_is_registered_too() {
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    require!(setup: flags);
    let builder = IoUring::builder().flags(flags).register_ring_fd();
    let mut ring = builder.build_local(4).expect("a ring");
    assert!(ring.is_fd_registered());
    works(&mut ring, 1);
}
