//! Queues whose entries have two widths.

use std::vec::Vec;

use super::{Kernel, SIZE, entry};
use crate::entry::{Cqe, CqeMixed, SqEntry, Sqe128, SqeMixed};
use crate::ring::push_error::PushError;
use crate::sys::{CqeFlags, Opcode, SqeFlags, io_uring_cqe};

type Mixed = Kernel<SqeMixed, CqeMixed>;

fn kernel(start: u32) -> Mixed {
    Mixed::with_slots(start, entry(0), cqe(0, CqeFlags::empty()))
}

fn cqe(user_data: u64, flags: CqeFlags) -> Cqe {
    Cqe::from_raw(io_uring_cqe { user_data, flags, ..io_uring_cqe::ZEROED })
}

fn wide(user_data: u64) -> SqeMixed {
    let mut sqe = entry(user_data);
    sqe.set_opcode(Opcode::NOP128);
    Sqe128 { sqe, payload: [0xa5; 64] }.into()
}

fn narrow(user_data: u64) -> SqeMixed {
    entry(user_data).into()
}

/// Consumes all published entries. Returns the `user_data` of each, negated for wide ones, without
/// padding.
fn take_all(kernel: &Mixed) -> Vec<i64> {
    let (mut head, tail) = (get!(kernel, sq_head), get!(kernel, sq_tail));
    let mut taken = Vec::new();
    while head != tail {
        let slot = (head % SIZE) as usize;
        let sqe = get!(kernel, sqes)[slot];
        let number = i64::try_from(sqe.user_data()).unwrap();
        if sqe.opcode() == Opcode::NOP128 {
            // As in the kernel: the second slot of a wide entry is the next one, and never the
            // first of the queue.
            assert_ne!(slot, SIZE as usize - 1, "a wide entry is split by the queue's end");
            assert_eq!(get!(kernel, sqes)[slot + 1].to_bytes(), [0xa5; 64]);
            taken.push(-number);
            head = head.wrapping_add(2);
        } else {
            if sqe.flags() == SqeFlags::CQE_SKIP_SUCCESS {
                assert_eq!((sqe.opcode(), number), (Opcode::NOP, 0));
            } else {
                taken.push(number);
            }
            head = head.wrapping_add(1);
        }
    }
    set!(kernel, sq_head, head);
    taken
}

/// liburing: sqe-mixed-nop, sqe-mixed-bad-wrap.
#[test]
fn wide_entries_are_not_split_at_any_queue_position() {
    for start in u32::MAX - 7..=u32::MAX {
        let kernel = kernel(start);
        let mut sq = kernel.sq();
        for n in 1..50_i64 {
            sq.push(wide(n.unsigned_abs())).unwrap();
            if n % 3 == 0 {
                let _ = sq.push(narrow(1000 + n.unsigned_abs()));
            }
            sq.publish();
            let taken = take_all(&kernel);
            assert_eq!(taken, [-n, 1000 + n][..taken.len()]);
        }
    }
}

#[test]
fn padding_precedes_a_chain_and_is_never_inside_it() {
    for start in 0..SIZE {
        let kernel = kernel(start);
        let mut sq = kernel.sq();
        let first = *narrow(1).as_sqe();
        match sq.push_list(&[first.link().into(), wide(2)]) {
            Ok(()) => assert_eq!(sq.publish(), if start == SIZE - 2 { 4 } else { 3 }),
            Err(error) => panic!("{error}"),
        }
        assert_eq!(take_all(&kernel), [1, -2]);
    }
}

#[test]
fn push_returns_an_entry_that_does_not_fit_with_its_padding() {
    let kernel = kernel(0);
    let mut sq = kernel.sq();
    (1..4).for_each(|n| sq.push(narrow(n)).unwrap());
    sq.publish();
    // One slot is free, and it is the last.
    assert!(matches!(sq.push(wide(9)), Err(PushError::Full(entry)) if entry.is_wide()));
    assert_eq!(take_all(&kernel), [1, 2, 3]);
    sq.push(wide(9)).unwrap();
    sq.publish();
    assert_eq!(take_all(&kernel), [-9]);
}

#[test]
fn rollback_takes_back_everything_not_consumed() {
    let kernel = kernel(1);
    let mut sq = kernel.sq();
    sq.push(wide(1)).unwrap();
    sq.push(narrow(2)).unwrap();
    sq.publish();
    assert_eq!(sq.rollback(true), 0);
    assert_eq!(sq.rollback(false), 3);
    assert!(take_all(&kernel).is_empty());
}

/// liburing: cq-peek-batch-mixed.
#[test]
fn completions_of_both_widths_are_popped_whole_and_padding_is_skipped() {
    let kernel = kernel(u32::MAX - 4);
    let mut cq = kernel.cq();
    // Slots 3, 0, 1: a narrow one, then a wide one.
    assert!(kernel.post_slot(cqe(1, CqeFlags::empty())));
    assert!(kernel.post_slot(cqe(2, CqeFlags::F_32)));
    assert!(kernel.post_slot(cqe(0xbeef, CqeFlags::SKIP)));
    assert!(matches!(cq.peek(), Some(CqeMixed::Narrow(cqe)) if cqe.user_data() == 1));
    assert!(matches!(cq.pop(), Some(CqeMixed::Narrow(cqe)) if cqe.user_data() == 1));
    match cq.pop() {
        Some(CqeMixed::Wide(wide)) => {
            assert_eq!(wide.cqe.user_data(), 2);
            // The second half is data, whatever it looks like.
            assert_eq!(wide.extra[0], 0xbeef);
        }
        other => panic!("{other:?}"),
    }
    cq.publish();
    // Slots 2, 3: a narrow one, and padding because a wide one does not fit; then slots 0, 1.
    assert!(kernel.post_slot(cqe(3, CqeFlags::empty())));
    assert!(kernel.post_slot(cqe(0, CqeFlags::SKIP)));
    assert!(cq.pop().is_some());
    assert!(cq.peek().is_none() && cq.pop().is_none());
    // The slot of the padding is returned with the others.
    assert_eq!(get!(kernel, cq_head), get!(kernel, cq_tail));
    assert!(kernel.post_slot(cqe(4, CqeFlags::F_32)));
    assert!(kernel.post_slot(cqe(0, CqeFlags::empty())));
    assert!(matches!(cq.peek(), Some(CqeMixed::Wide(wide)) if wide.cqe.user_data() == 4));
    assert!(matches!(cq.pop(), Some(CqeMixed::Wide(_))));
    assert!(cq.pop().is_none());
}

#[test]
fn reading_an_incomplete_wide_completion_stays_within_the_queue() {
    // A wide completion in the last slot, where no kernel puts one, and only half of it published.
    for start in [u32::MAX, 0] {
        let kernel = kernel(start);
        let mut cq = kernel.cq();
        assert!(kernel.post_slot(cqe(5, CqeFlags::F_32)));
        assert!(matches!(cq.pop(), Some(CqeMixed::Narrow(cqe)) if cqe.user_data() == 5));
        assert!(cq.pop().is_none());
    }
}
