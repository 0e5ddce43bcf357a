//! Positions run round the rings: every size, filled to the last slot, many times over.
//!
//! A ring counts its entries modulo 2^32, which no test with a kernel reaches; the tests of the
//! queues themselves start there. Here it is the slots that wrap.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::mem::MaybeUninit;

use crate::common::process::{UNLIMITED, may_lock_any_amount};
use crate::common::require;
use ringbolt::ops::Nop;
use ringbolt::sys::{SetupFlags, SqStatus};
use ringbolt::{Builder, CqEntry, Cqe, IoUring, MAX_ENTRIES, PushError, SqEntry, Sqe};

/// The sizes that a ring can have.
fn sizes() -> impl Iterator<Item = u32> {
    (0..=MAX_ENTRIES.ilog2()).map(|bits| 1 << bits)
}

fn new() -> Builder<'static> {
    IoUring::builder()
}

/// An entry of any width, recognised by `user_data`.
fn nop<S: SqEntry>(user_data: u64) -> S {
    Sqe::from(Nop::new().sqe(user_data)).into()
}

/// Fills the submission queue twice, which fills the completion queue; empties that; and so on.
fn fill_and_empty<S: SqEntry, C: CqEntry>(builder: &Builder<S, C>, entries: u32) {
    let mut ring = builder.build(entries).expect("a size that a ring can have");
    let mut pushed = 0;
    let mut seen = 0;
    for _ in 0..3 {
        for _ in 0..2 {
            for _ in 0..entries {
                // SAFETY: a NOP names nothing.
                unsafe { ring.submission().push(nop::<S>(pushed)) }.expect("room");
                pushed += 1;
            }
            // SAFETY: a NOP names nothing.
            let refused = unsafe { ring.submission().push(nop::<S>(u64::MAX)) };
            assert!(matches!(refused, Err(PushError::Full(_))), "{entries} entries");
            assert_eq!(ring.submit(), Ok(entries));
        }
        assert_eq!(ring.completion().len(), 2 * entries);
        assert!(!ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
        for cqe in ring.completion().drain() {
            assert_eq!((cqe.as_cqe().user_data(), cqe.as_cqe().result()), (seen, Ok(0)));
            seen += 1;
        }
        assert_eq!(seen, pushed);
    }
    assert_eq!(ring.completion().overflow(), 0);
    assert_eq!(ring.submission().dropped(), 0);
}

/// liburing: nop-all-sizes.
#[test]
fn every_size_is_filled_to_the_last_slot_again_and_again() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    sizes().for_each(|entries| fill_and_empty(&new(), entries));
}

#[test]
fn every_size_is_filled_without_an_index_array() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    require!(setup: SetupFlags::NO_SQARRAY);
    sizes().for_each(|entries| fill_and_empty(&new().no_sqarray(), entries));
}

#[test]
fn every_size_of_wide_entries_is_filled() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    require!(setup: SetupFlags::SQE128 | SetupFlags::CQE32);
    sizes().for_each(|entries| fill_and_empty(&new().sqe128().cqe32(), entries));
}

/// Goal: batches that cross the end of the ring at every place.
/// Method: batches whose length has nothing in common with the ring's.
///
/// liburing: cq-peek-batch.
#[test]
fn batches_cross_the_end_of_the_ring_at_every_slot() {
    for entries in sizes().filter(|entries| (4..=1024).contains(entries)) {
        let mut ring = new().build(entries).expect("a size that a ring can have");
        let (mut pushed, mut seen) = (0_u64, 0_u64);
        for round in 0..2 * entries {
            let batch = (entries - 1 - round % 2).min(7);
            let sqes: Vec<Sqe> = (pushed..).take(batch as usize).map(nop).collect();
            pushed += u64::from(batch);
            // SAFETY: a NOP names nothing.
            unsafe { ring.submission().push_all(&sqes) }.expect("room");
            assert_eq!(ring.submit(), Ok(batch));
            let mut out = [MaybeUninit::<Cqe>::uninit(); 5];
            while !ring.completion().is_empty() {
                let count = ring.completion().pop_into(&mut out);
                for cqe in &out[..count] {
                    // SAFETY: as many places as `count` are initialised.
                    let cqe = unsafe { cqe.assume_init() };
                    assert_eq!(cqe.user_data(), seen);
                    seen += 1;
                }
            }
            assert_eq!(seen, pushed);
        }
    }
}

#[test]
fn a_queue_that_is_never_empty_wraps_as_well() {
    for entries in sizes().filter(|entries| *entries <= 1024) {
        let mut ring = new().build(entries).expect("a size that a ring can have");
        let (mut pushed, mut seen) = (0_u64, 0_u64);
        let mut backlog = 0;
        for round in 0..5 * entries {
            // Sometimes one entry more than completions are taken, sometimes one fewer.
            let batch = 1 + round % entries.min(3);
            for _ in 0..batch {
                // SAFETY: a NOP names nothing.
                unsafe { ring.submission().push(nop::<Sqe>(pushed)) }.expect("room");
                pushed += 1;
            }
            assert_eq!(ring.submit(), Ok(batch));
            backlog += batch;
            while backlog > entries {
                let cqe = ring.completion().pop().expect("a completion");
                assert_eq!(cqe.user_data(), seen);
                seen += 1;
                backlog -= 1;
            }
            assert_eq!(ring.completion().len(), backlog);
            assert_eq!(ring.completion().peek().map(|cqe| cqe.user_data()), Some(seen));
        }
    }
}

#[test]
fn a_completion_queue_much_larger_than_the_submission_queue_is_filled() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    let mut ring = new().cq_entries(4096).build(1).expect("a ring");
    for round in 0..3_u64 {
        for user_data in 0..4096 {
            // SAFETY: a NOP names nothing.
            unsafe { ring.submission().push(nop::<Sqe>(round + user_data)) }.expect("room");
            assert_eq!(ring.submit(), Ok(1));
        }
        assert!(!ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
        assert_eq!(ring.completion().len(), 4096);
        for (user_data, cqe) in (round..).zip(ring.completion().drain()) {
            assert_eq!(cqe.user_data(), user_data);
        }
    }
}
