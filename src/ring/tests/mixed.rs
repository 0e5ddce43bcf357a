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

/// The kernel takes all that is published: `user_data` of each entry, wide ones negated, and
/// none for filler.
fn take_all(kernel: &Mixed) -> Vec<i64> {
    let (mut head, tail) = (get!(kernel, sq_head), get!(kernel, sq_tail));
    let mut taken = Vec::new();
    while head != tail {
        let slot = (head % SIZE) as usize;
        let sqe = get!(kernel, sqes)[slot];
        let number = i64::try_from(sqe.user_data()).unwrap();
        if sqe.opcode() == Opcode::NOP128 {
            // As the kernel has it: the second slot is the next one, and not the first.
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
fn wide_entries_are_whole_wherever_the_queue_stands() {
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
fn filler_stands_before_a_chain_and_never_in_it() {
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
fn an_entry_that_finds_no_room_with_its_filler_comes_back() {
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
fn rolling_back_takes_everything_not_taken() {
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
fn completions_of_both_widths_come_whole_and_filler_does_not() {
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
    // Slots 2, 3: narrow, and filler where a wide one does not fit; slots 0, 1.
    assert!(kernel.post_slot(cqe(3, CqeFlags::empty())));
    assert!(kernel.post_slot(cqe(0, CqeFlags::SKIP)));
    assert!(cq.pop().is_some());
    assert!(cq.peek().is_none() && cq.pop().is_none());
    // The filler is given back with the rest.
    assert_eq!(get!(kernel, cq_head), get!(kernel, cq_tail));
    assert!(kernel.post_slot(cqe(4, CqeFlags::F_32)));
    assert!(kernel.post_slot(cqe(0, CqeFlags::empty())));
    assert!(matches!(cq.peek(), Some(CqeMixed::Wide(wide)) if wide.cqe.user_data() == 4));
    assert!(matches!(cq.pop(), Some(CqeMixed::Wide(_))));
    assert!(cq.pop().is_none());
}

#[test]
fn a_wide_completion_that_is_not_there_whole_is_not_read_beyond() {
    // In the last slot, where no kernel puts one; and half of it published.
    for start in [u32::MAX, 0] {
        let kernel = kernel(start);
        let mut cq = kernel.cq();
        assert!(kernel.post_slot(cqe(5, CqeFlags::F_32)));
        assert!(matches!(cq.pop(), Some(CqeMixed::Narrow(cqe)) if cqe.user_data() == 5));
        assert!(cq.pop().is_none());
    }
}
