//! Far more completions than there is room for, and rings that are resized in between.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use crate::common::process::bounded;
use crate::common::{reap, require};
use crate::fault_common::{Deadline, Ledger, on_each_kind, take};
use crate::op_common::{AS_OF_5_19, assert_quiet};
use ringbolt::ops::Nop;
use ringbolt::sys::{Features, RegisterOp, SetupFlags, SqStatus};
use ringbolt::{Advice, LocalIoUring, PushError, ResizeError, Sqe};
use rustix::io::Errno;

/// The number of completions that overflow.
const COUNT: u64 = 100_000;

/// The number of slots of the completion queue.
const TINY: u32 = 4;

fn has_overflown(ring: &mut LocalIoUring) -> bool {
    ring.submission().status().contains(SqStatus::CQ_OVERFLOW)
}

/// Pops completions, which must be in the order of their entries.
fn take_in_order(ring: &mut LocalIoUring, next: &mut u64, at_most: usize) {
    for _ in 0..at_most {
        let Some(cqe) = ring.completion().pop() else { return };
        assert_eq!((cqe.user_data(), cqe.result()), (*next, Ok(0)));
        *next += 1;
    }
}

/// Pushes an entry. If there is no room, submits the earlier ones first.
///
/// A kernel that cannot keep more overflown completions reports it and submits nothing: then some
/// completions are popped.
fn push(ring: &mut LocalIoUring, id: u64, next: &mut u64, busy: &mut u32) {
    let deadline = Deadline::new();
    let mut entry = Nop::new().sqe(id);
    while let Err(PushError::Full(back)) = ring.submission().push_safe(entry) {
        deadline.check("room");
        match ring.submit() {
            Ok(_) => ring.submission().wait_for_room().expect("room"),
            Err(error) => {
                assert_eq!((error.errno, error.advice()), (Errno::BUSY, Advice::Reap));
                assert_eq!((error.taken, error.queued), (0, ring.submission().len()));
                take_in_order(ring, next, 1);
                *busy += 1;
            }
        }
        entry = back;
    }
}

/// Goal: a hundred thousand completions that overflow a queue of four all arrive, once and in
/// order.
/// Method: submit all entries without popping; then pop repeatedly, and check the flag that shows
/// that there are more.
#[test]
fn a_hundred_thousand_completions_overflow_a_tiny_queue_without_a_loss() {
    // On Linux 5.10 and 5.15 later completions overtake those that have overflowed.
    require!(op: AS_OF_5_19);
    require!(feature: Features::NODROP);
    on_each_kind(|builder| {
        let mut ring = builder.cq_entries(TINY).build_local(TINY).expect("a ring");
        let (mut next, mut busy) = (0, 0);
        for id in 0..COUNT {
            push(&mut ring, id, &mut next, &mut busy);
        }
        let deadline = Deadline::new();
        while !ring.submission().is_empty() {
            deadline.check("an empty queue");
            ring.submit().expect("submitted");
            std::thread::yield_now();
        }
        // All entries have completed, so the flag is exact.
        assert!(has_overflown(&mut ring));
        assert_eq!(ring.completion().len(), TINY);
        let mut calls = 0;
        while next < COUNT {
            deadline.check("completions");
            take_in_order(&mut ring, &mut next, usize::MAX);
            assert_eq!(has_overflown(&mut ring), next < COUNT, "{next} of {COUNT}");
            ring.get_events().expect("the overflown come in");
            calls += 1;
        }
        assert!(!has_overflown(&mut ring));
        assert!(calls >= COUNT / u64::from(TINY) - u64::from(busy), "four at a time");
        assert_eq!(ring.completion().overflow(), 0, "kept, and not dropped");
        assert_eq!(ring.submission().dropped(), 0);
        assert_quiet(&mut ring);
        println!("{calls} calls, busy {busy} times");
    });
}

/// Goal: submitting continues while completions overflow: nothing is lost or out of order.
/// Method: pop fewer completions than are submitted, at a changing rate.
#[test]
fn entries_submitted_while_completions_overflow_run_once() {
    // On Linux 5.10 and 5.15 later completions overtake those that have overflowed.
    require!(op: AS_OF_5_19);
    require!(feature: Features::NODROP);
    on_each_kind(|builder| {
        let mut ring = builder.cq_entries(TINY).build_local(TINY).expect("a ring");
        let (mut next, mut busy) = (0, 0);
        for id in 0..COUNT {
            push(&mut ring, id, &mut next, &mut busy);
            // Mostly too few, and sometimes all.
            let at_most = if id % 1000 == 999 { usize::MAX } else { usize::from(id % 3 == 0) };
            take_in_order(&mut ring, &mut next, at_most);
        }
        let deadline = Deadline::new();
        while next < COUNT {
            deadline.check("completions");
            ring.submit().expect("submitted");
            take_in_order(&mut ring, &mut next, usize::MAX);
            std::thread::yield_now();
        }
        assert!(!has_overflown(&mut ring));
        assert_eq!(ring.completion().overflow(), 0);
        assert_quiet(&mut ring);
    });
}

/// Pseudo-random numbers, which are the same each time.
struct Numbers(u64);

impl Numbers {
    /// A number below `end`.
    fn below(&mut self, end: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let [high, low, ..] = self.0.to_be_bytes();
        u32::from(u16::from_be_bytes([high, low])) % end
    }
}

/// Goal: a ring that is resized repeatedly, whatever its contents are, loses nothing.
/// Method: bursts that leave entries queued and completions in the queue, some of them overflown,
/// and some from workers still missing; sizes that fit, and some that do not.
#[test]
fn a_ring_resized_between_bursts_loses_nothing() {
    const DEFERRED: SetupFlags = SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN);
    require!(setup: DEFERRED.union(SetupFlags::NO_SQARRAY));
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    bounded(|| {
        let builder = ringbolt::IoUring::builder().flags(DEFERRED).no_sqarray();
        let mut ring = builder.build_local(8).expect("a ring");
        let (mut ledger, mut numbers) = (Ledger::new(0), Numbers(1));
        let (mut resized, mut refused) = (0, 0);
        for _ in 0..2000 {
            for _ in 0..numbers.below(20) {
                if ring.submission().is_full() {
                    ring.submit().expect("submitted");
                }
                let entry = Sqe::from(Nop::new().sqe(ledger.open()));
                let entry = if numbers.below(16) == 0 { entry.force_async() } else { entry };
                // SAFETY: the entry refers to nothing.
                unsafe { ring.submission().push(entry) }.expect("room");
            }
            let some = numbers.below(48);
            let there: Vec<_> =
                core::iter::from_fn(|| ring.completion().pop()).take(some as usize).collect();
            there.iter().for_each(|cqe| ledger.note(cqe.user_data()));
            let before = (ring.submission().capacity(), ring.completion().capacity());
            let (entries, factor) = (1 << numbers.below(9), 1 << numbers.below(3));
            match ring.resize(entries, Some(entries * factor)) {
                Ok(()) => {
                    resized += 1;
                    let now = (ring.submission().capacity(), ring.completion().capacity());
                    assert_eq!(now, (entries, entries * factor));
                }
                Err(ResizeError::TooSmall { .. } | ResizeError::Refused(Errno::OVERFLOW)) => {
                    refused += 1;
                    let now = (ring.submission().capacity(), ring.completion().capacity());
                    assert_eq!(now, before);
                }
                Err(other) => panic!("{other}"),
            }
        }
        ring.submit().expect("submitted");
        take(&mut ring, &mut ledger);
        let left = ledger.left();
        reap(&mut ring, left).iter().for_each(|cqe| ledger.note(cqe.user_data()));
        assert_quiet(&mut ring);
        assert_eq!((ring.completion().overflow(), ring.submission().dropped()), (0, 0));
        println!("resized {resized} times, refused {refused} times");
        assert!(resized > 100 && refused > 100, "{resized} {refused}");
    });
}
