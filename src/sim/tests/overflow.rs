//! Completions for which there is no room.

use std::vec::Vec;

use rustix::io::Errno;

use super::{nop, push, reap};
use crate::ops::Nop;
use crate::sim::{self, Kernel, Word};
use crate::sys::{EnterFlags, SqStatus, io_uring_cqe};
use crate::{Advice, CqEntry, CqeMixed, IoUring};

/// A ring with room for two completions.
fn small(kernel: &Kernel) -> IoUring {
    IoUring::builder().simulated(kernel).cq_entries(2).build(2).unwrap()
}

fn submit(ring: &mut IoUring, ids: core::ops::Range<u64>) {
    for id in ids {
        push(ring, &[nop(id)]);
    }
    let count = ring.submission().len();
    assert_eq!(ring.submit(), Ok(count));
}

#[test]
fn overflown_completions_are_kept_in_order() {
    let kernel = Kernel::new();
    let mut ring = small(&kernel);
    submit(&mut ring, 0..2);
    assert_eq!(ring.submission().status(), SqStatus::empty());
    // Submitted without `submit`, which would fetch the overflown completions.
    let none = core::ptr::null();
    for id in 2..7 {
        push(&mut ring, &[nop(id)]);
        ring.submission().flush();
        // SAFETY: no argument; the entries refer to no memory.
        let entered = unsafe { sim::enter(kernel.number(), 1, 0, EnterFlags::empty(), none, 0) };
        assert_eq!(entered, Ok(1));
    }
    assert_eq!(ring.submission().status(), SqStatus::CQ_OVERFLOW);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(reap(&mut ring).into_iter().map(|(id, _)| id));
        assert_eq!(ring.submit(), Ok(0));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6]);
    assert_eq!(ring.submission().status(), SqStatus::empty());
    assert_eq!(ring.completion().overflow(), 0);
}

#[test]
fn no_completion_overtakes_overflown_ones() {
    let kernel = Kernel::new();
    let mut ring = small(&kernel);
    submit(&mut ring, 0..2);
    submit(&mut ring, 2..3);
    assert_eq!(reap(&mut ring), [(0, 0), (1, 0)]);
    let cqe = io_uring_cqe { user_data: 3, ..io_uring_cqe::ZEROED };
    // There is room, and an overflown completion waits for it.
    assert!(!kernel.post(cqe));
    assert_eq!(ring.get_events(), Ok(()));
    assert_eq!(reap(&mut ring), [(2, 0), (3, 0)]);
}

#[test]
fn lost_completions_are_counted_and_reported_once() {
    let kernel = Kernel::new();
    let mut ring = small(&kernel);
    kernel.lose_overflow(true);
    submit(&mut ring, 0..2);
    submit(&mut ring, 2..4);
    assert_eq!(ring.completion().overflow(), 2);
    assert_eq!(ring.submission().status(), SqStatus::empty());
    assert_eq!(reap(&mut ring), [(0, 0), (1, 0)]);
    let error = ring.submit_and_wait(1).unwrap_err();
    assert_eq!((error.errno, error.advice()), (Errno::BADR, Advice::Reap));
    assert_eq!(ring.wait(1), Err(Errno::DEADLK));
}

#[test]
fn a_wide_completion_that_waits_for_room_is_posted_once() {
    // Linux 6.18 counts the last slot twice here.
    let kernel = Kernel::starting_at(3);
    let builder = IoUring::builder().simulated(&kernel).cq_entries(4).cqe_mixed();
    let mut ring = builder.build(4).unwrap();
    let cqe = io_uring_cqe { user_data: 1, ..io_uring_cqe::ZEROED };
    // Slots 3, 0, 1, 2: then the queue is full.
    for _ in 0..4 {
        assert!(kernel.post(cqe));
    }
    assert_eq!(ring.completion().drain().count(), 4);
    for _ in 0..3 {
        assert!(kernel.post(cqe));
    }
    assert!(ring.completion().pop().is_some());
    ring.completion().sync();
    push(&mut ring, &[Nop::new().cqe32([5, 6]).sqe(2).into(), nop(3)]);
    assert_eq!(ring.submit(), Ok(2));
    assert_eq!(ring.submission().status(), SqStatus::CQ_OVERFLOW);
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(ring.completion().drain().map(|cqe| match cqe {
            CqeMixed::Wide(wide) => (wide.cqe.user_data(), wide.extra),
            CqeMixed::Narrow(narrow) => (narrow.as_cqe().user_data(), [0; 2]),
        }));
        assert_eq!(ring.get_events(), Ok(()));
    }
    assert_eq!(seen, [(1, [0; 2]), (1, [0; 2]), (2, [5, 6]), (3, [0; 2])]);
    assert_eq!(kernel.word(Word::SqFlags), 0);
}
