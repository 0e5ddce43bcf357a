//! Loops over the completion queue itself take what `drain` takes, and leave what it leaves.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use crate::common::process::{Copy, in_child};
use crate::common::require;
use ringbolt::ops::Nop;
use ringbolt::sys::{SetupFlags, SqStatus};
use ringbolt::{CqEntry, Cqe, IoUring, OneWidth, SqEntry, Sqe};

fn new() -> ringbolt::Builder<'static> {
    IoUring::builder()
}

/// Completes NOPs with these numbers.
fn complete<S: SqEntry, C: CqEntry>(ring: &mut IoUring<S, C>, numbers: core::ops::Range<u64>) {
    let count = u32::try_from(numbers.end - numbers.start).expect("a few");
    for number in numbers {
        // SAFETY: a NOP names nothing.
        unsafe { ring.submission().push(Sqe::from(Nop::new().sqe(number))) }.expect("room");
    }
    assert_eq!(ring.submit(), Ok(count));
}

fn numbers<C: CqEntry>(cqes: impl Iterator<Item = C>) -> Vec<u64> {
    cqes.map(|cqe| cqe.as_cqe().user_data()).collect()
}

/// Each way to take all, in turns, on a queue that runs round many times.
fn each_way_takes_all<C: CqEntry>(mut ring: IoUring<Sqe, C>) {
    for round in (0..60).step_by(3) {
        complete(&mut ring, round..round + 3);
        let taken = match round % 4 {
            0 => numbers(ring.completion().into_iter()),
            1 => numbers((&mut ring.completion()).into_iter()),
            _ => numbers(ring.completion().drain()),
        };
        assert_eq!(taken, [round, round + 1, round + 2]);
        assert!(ring.completion().is_empty());
    }
}

#[test]
fn a_loop_takes_all_completions_in_order() {
    each_way_takes_all(IoUring::new(4).expect("a ring"));
    require!(setup: SetupFlags::CQE32);
    each_way_takes_all(new().cqe32().build(4).expect("a ring"));
    require!(setup: SetupFlags::CQE_MIXED);
    each_way_takes_all(new().cqe_mixed().build(4).expect("a ring"));
}

#[test]
fn a_loop_that_is_left_early_keeps_the_rest() {
    let mut ring = IoUring::new(4).expect("a ring");
    complete(&mut ring, 0..4);
    for cqe in ring.completion() {
        if cqe.user_data() == 1 {
            break;
        }
    }
    let mut completion = ring.completion();
    for cqe in &mut completion {
        if cqe.user_data() == 2 {
            break;
        }
    }
    assert_eq!(completion.len(), 1);
    assert_eq!(numbers(ring.completion().into_iter()), [3]);
    // A loop that takes none takes nothing away.
    complete(&mut ring, 4..5);
    drop(ring.completion().into_iter());
    assert_eq!(ring.completion().len(), 1);
}

#[test]
fn a_loop_may_submit_and_does_not_see_what_comes_meanwhile() {
    let mut ring = IoUring::new(4).expect("a ring");
    complete(&mut ring, 0..2);
    let (mut submission, completion) = ring.split();
    let mut taken = Vec::new();
    for cqe in completion {
        taken.push(cqe.user_data());
        submission.push_safe(Nop::new().sqe(10 + cqe.user_data())).expect("room");
        assert_eq!(submission.submit(), Ok(1));
    }
    assert_eq!(taken, [0, 1]);
    assert_eq!(numbers(ring.completion().into_iter()), [10, 11]);
}

/// How many an iterator says that it has.
fn count<C: CqEntry + OneWidth>(iterator: &impl ExactSizeIterator<Item = C>) -> usize {
    iterator.len()
}

#[test]
fn an_iterator_knows_its_length_and_gives_all_slots_back_at_its_end() {
    let mut ring: IoUring<Sqe, Cqe> = new().cq_entries(4).build(4).expect("a ring");
    for round in 0..20 {
        complete(&mut ring, 4 * round..4 * round + 4);
        assert!(ring.completion().is_full());
        let mut iterator = ring.completion().into_iter();
        for left in (1..=4).rev() {
            assert_eq!(count(&iterator), left);
            assert!(iterator.next().is_some());
        }
        assert_eq!((iterator.next().is_none(), iterator.next().is_none()), (true, true));
        assert!(!ring.completion().is_full());
        // Had a slot not been given back, the next four would overflow.
        assert!(!ring.status().contains(SqStatus::CQ_OVERFLOW));
    }
}

#[test]
fn status_is_read_through_a_shared_reference() {
    let mut ring: IoUring<Sqe, Cqe> = new().cq_entries(4).build(4).expect("a ring");
    complete(&mut ring, 0..4);
    assert_eq!(ring.status(), SqStatus::empty());
    complete(&mut ring, 4..6);
    let shared = &ring;
    assert_eq!(shared.status(), SqStatus::CQ_OVERFLOW);
    assert_eq!(ring.completion().status(), SqStatus::CQ_OVERFLOW);
    assert_eq!(ring.submission().status(), SqStatus::CQ_OVERFLOW);
}

#[test]
fn a_child_process_sees_no_status() {
    in_child("a_child_process_sees_no_status", || {
        let mut ring: IoUring<Sqe, Cqe> = new().cq_entries(4).build(4).expect("a ring");
        complete(&mut ring, 0..4);
        complete(&mut ring, 4..6);
        let child = Copy::run(|| {
            assert_eq!(ring.status(), SqStatus::empty());
            0
        });
        assert_eq!(child.exit_code(), 0);
        assert_eq!(ring.status(), SqStatus::CQ_OVERFLOW);
    });
}
