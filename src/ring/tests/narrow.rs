//! Queues whose entries have one width.

use core::mem::MaybeUninit;
use std::vec::Vec;

use super::{Kernel, SIZE, START, entry, push_many};
use crate::entry::{Cqe, Sqe};
use crate::ring::cq::Cq;
use crate::ring::push_error::PushError;
use crate::sys::{CqFlags, CqeFlags, SqStatus, io_uring_cqe};

#[test]
fn entries_arrive_in_order_across_the_wrap() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    for round in 0..10 {
        push_many(&mut sq, round * 4..round * 4 + 4);
        assert_eq!(sq.publish(), 4);
        assert_eq!(kernel.take_all(), (round * 4..round * 4 + 4).collect::<Vec<_>>());
    }
}

#[test]
fn push_on_a_full_queue_returns_the_entry() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    push_many(&mut sq, 0..4);
    match sq.push(entry(9)) {
        Err(PushError::Full(back)) => assert_eq!(back.user_data(), 9),
        other => panic!("{other:?}"),
    }
    sq.publish();
    assert_eq!(kernel.take(), Some(0));
    sq.push(entry(4)).unwrap();
    assert!(sq.push(entry(9)).is_err());
    sq.publish();
    assert_eq!(kernel.take_all(), [1, 2, 3, 4]);
}

#[test]
fn nothing_is_visible_to_the_kernel_before_publish() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    push_many(&mut sq, 0..3);
    assert_eq!(kernel.take(), None);
    assert_eq!((sq.queued(), sq.unpublished()), (3, 3));
    assert_eq!(sq.publish(), 3);
    assert_eq!((sq.queued(), sq.unpublished()), (3, 0));
    assert_eq!(sq.publish(), 0);
    assert_eq!(kernel.take_all(), [0, 1, 2]);
}

#[test]
fn push_list_queues_all_entries_or_none() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    push_many(&mut sq, 0..2);
    let three = [entry(2), entry(3), entry(4)];
    assert!(matches!(sq.push_list(&three), Err(PushError::Full(()))));
    assert_eq!(sq.queued(), 2);
    assert!(matches!(sq.push_list(&[entry(0); 5]), Err(PushError::TooMany(()))));
    sq.push_list(&three[..2]).unwrap();
    sq.publish();
    assert_eq!(kernel.take_all(), [0, 1, 2, 3]);
}

#[test]
fn push_refuses_an_open_chain() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    for linked in [entry(1).link(), entry(1).hard_link()] {
        assert!(matches!(sq.push(linked), Err(PushError::OpenChain(_))));
        assert!(matches!(sq.push_list(&[entry(0), linked]), Err(PushError::OpenChain(()))));
        let mut cursor = sq.cursor();
        let mut room = sq.reserve(&mut cursor, 2).unwrap();
        assert!(room.put(linked));
        assert!(room.is_open());
        assert!(room.put(entry(2)));
        assert!(!room.is_open());
    }
    assert_eq!(sq.queued(), 0);
    sq.push_list(&[entry(0).link(), entry(1)]).unwrap();
    sq.publish();
    assert_eq!(kernel.take_all(), [0, 1]);
}

#[test]
fn a_forgotten_reservation_queues_nothing() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    let mut cursor = sq.cursor();
    let mut room = sq.reserve(&mut cursor, 3).unwrap();
    assert!(room.put(entry(7)));
    let _ = room;
    sq.push(entry(1)).unwrap();
    sq.publish();
    assert_eq!(kernel.take_all(), [1]);
}

#[test]
fn a_reservation_holds_exactly_the_requested_slots() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    let mut cursor = sq.cursor();
    let mut room = sq.reserve(&mut cursor, 2).unwrap();
    assert_eq!(room.left(), 2);
    assert!(room.put(entry(0)));
    assert!(room.put(entry(1)));
    assert!(!room.put(entry(2)));
    room.commit();
    sq.publish();
    assert_eq!(kernel.take_all(), [0, 1]);
}

#[test]
fn entries_that_the_kernel_has_not_consumed_can_be_taken_back() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    push_many(&mut sq, 0..4);
    sq.publish();
    assert_eq!(kernel.take(), Some(0));
    let back: Vec<_> = core::iter::from_fn(|| sq.pop_back(false)).map(|e| e.user_data()).collect();
    assert_eq!(back, [3, 2, 1]);
    assert_eq!(kernel.take(), None);
    push_many(&mut sq, 5..9);
    sq.publish();
    assert_eq!(kernel.take_all(), [5, 6, 7, 8]);
}

#[test]
fn with_a_polling_kernel_published_entries_are_not_taken_back() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    push_many(&mut sq, 0..2);
    sq.publish();
    sq.push(entry(2)).unwrap();
    assert_eq!(sq.pop_back(true).map(|e| e.user_data()), Some(2));
    assert!(sq.pop_back(true).is_none());
    assert_eq!(kernel.take_all(), [0, 1]);
}

#[test]
fn a_rewinding_queue_moves_remaining_entries_to_the_front() {
    let kernel = Kernel::new(0);
    let mut sq = kernel.sq_of(true);
    push_many(&mut sq, 0..4);
    assert!(sq.push(entry(4)).is_err());
    sq.publish();
    assert_eq!(sq.queued(), 4);
    sq.taken(3);
    assert_eq!(sq.queued(), 1);
    assert_eq!(get!(kernel, sqes)[0].user_data(), 3);
    push_many(&mut sq, 5..8);
    sq.publish();
    let seen: Vec<_> = get!(kernel, sqes).iter().map(Sqe::user_data).collect();
    assert_eq!(seen, [3, 5, 6, 7]);
    sq.taken(4);
    assert_eq!((sq.queued(), sq.room()), (0, 4));
}

#[test]
fn the_queue_stays_in_bounds_for_any_head() {
    for head in [0, 1, START - 1, START + 1, START.wrapping_add(SIZE), u32::MAX, 1 << 31] {
        let kernel = Kernel::new(START);
        let mut sq = kernel.sq();
        set!(kernel, sq_head, head);
        for n in 0..100 {
            let _ = sq.push(entry(n));
        }
        let _ = sq.push_list(&[entry(1), entry(2)]);
        let _ = sq.publish();
        for _ in 0..100 {
            let _ = sq.pop_back(false);
        }
    }
}

#[test]
fn flags_and_counts_are_read_unchanged() {
    let kernel = Kernel::new(START);
    let (sq, mut cq) = (kernel.sq(), kernel.cq());
    set!(kernel, sq_flags, 0x8000_0003);
    let status = sq.status(true);
    assert!(status.contains(SqStatus::NEED_WAKEUP | SqStatus::CQ_OVERFLOW));
    assert_eq!(status.bits(), 0x8000_0003);
    set!(kernel, sq_dropped, 5);
    set!(kernel, cq_overflow, 6);
    assert_eq!((sq.dropped(), cq.overflow()), (5, 6));
    assert!(cq.set_flags(CqFlags::EVENTFD_DISABLED));
    assert_eq!(get!(kernel, cq_flags), 1);
    assert_eq!(cq.flags(), CqFlags::EVENTFD_DISABLED);
}

#[test]
fn each_completion_is_popped_once_and_in_order_across_the_wrap() {
    let kernel = Kernel::new(START);
    let mut cq = kernel.cq();
    let mut next = 0;
    for round in 0..10 {
        while kernel.post(round * 4 + u64::from(cq.ready())) {}
        while let Some(cqe) = cq.pop() {
            assert_eq!(cqe.user_data(), next);
            next += 1;
        }
    }
    assert_eq!(next, 40);
}

#[test]
fn each_pop_returns_its_slot_to_the_kernel() {
    let kernel = Kernel::new(START);
    let mut cq = kernel.cq();
    assert!(kernel.post(0) && kernel.post(1) && kernel.post(2) && kernel.post(3));
    assert!(!kernel.post(4));
    assert_eq!(cq.pop().unwrap().user_data(), 0);
    assert_eq!(get!(kernel, cq_head), START + 1);
    assert!(kernel.post(4));
    let rest: Vec<_> = core::iter::from_fn(|| cq.pop()).map(|c| c.user_data()).collect();
    assert_eq!(rest, [1, 2, 3, 4]);
    assert_eq!(get!(kernel, cq_head), START.wrapping_add(5));
}

#[test]
fn an_abandoned_queue_does_not_touch_the_memory() {
    let kernel = Kernel::new(START);
    let (mut sq, mut cq) = (kernel.sq(), kernel.cq());
    push_many(&mut sq, 0..2);
    assert!(kernel.post(7) && kernel.post(8));
    assert_eq!(cq.pop().unwrap().user_data(), 7);
    let slots = get!(kernel, sqes).map(|sqe| sqe.user_data());
    for _ in 0..2 {
        sq.abandon();
        cq.abandon();
        assert!(matches!(sq.push(entry(9)), Err(PushError::Unusable(_))));
        assert!(matches!(sq.push_list(&[entry(9); 3]), Err(PushError::Unusable(()))));
        assert_eq!(sq.push_list(&[]), Ok(()));
        assert_eq!((sq.publish(), sq.queued(), sq.room(), sq.rollback(false)), (0, 0, 0, 0));
        assert!(sq.pop_back(false).is_none() && sq.status(true).is_empty());
        sq.take_unsent(false, |_| unreachable!("nothing is there"));
        assert!(cq.pop().is_none() && cq.peek().is_none() && !cq.set_flags(CqFlags::all()));
        assert_eq!((cq.ready(), cq.overflow()), (0, 0));
    }
    assert_eq!(slots, get!(kernel, sqes).map(|sqe| sqe.user_data()));
    assert_eq!((get!(kernel, sq_tail), get!(kernel, cq_head)), (START, START + 1));
}

#[test]
fn a_head_that_moves_backwards_never_frees_more_slots_than_exist() {
    for back in 1..=SIZE {
        let kernel = Kernel::new(START);
        let mut sq = kernel.sq();
        push_many(&mut sq, 0..4);
        sq.publish();
        kernel.take_all();
        push_many(&mut sq, 4..6);
        sq.publish();
        kernel.take_all();
        // Loads the kernel's head.
        assert_eq!(sq.push_list(&[entry(0); 5]), Err(PushError::TooMany(())));
        set!(kernel, sq_head, get!(kernel, sq_head).wrapping_sub(back));
        assert_eq!(sq.rollback(false), back);
        let refused = sq.push_list(&[entry(9); SIZE as usize + 1]);
        assert_eq!(refused, Err(PushError::TooMany(())), "{back} back");
        let mut cursor = sq.cursor();
        let room = sq.reserve(&mut cursor, SIZE as usize).map(|room| room.left());
        assert_eq!(room.unwrap_or(0), SIZE, "{back} back");
    }
}

#[test]
fn take_unsent_returns_entries_in_order() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    for (polled, expected) in [(false, &[1, 2, 3][..]), (true, &[2, 3][..])] {
        push_many(&mut sq, 0..2);
        sq.publish();
        assert_eq!(kernel.take(), Some(0));
        push_many(&mut sq, 2..4);
        let mut unsent = Vec::new();
        sq.take_unsent(polled, |entry| unsent.push(entry.user_data()));
        assert_eq!(unsent, expected);
        kernel.take_all();
        assert_eq!((sq.queued(), sq.room()), (0, SIZE));
    }
}

#[test]
fn peek_consumes_nothing() {
    let kernel = Kernel::new(START);
    let mut cq = kernel.cq();
    assert!(cq.peek().is_none());
    kernel.post(8);
    assert_eq!(cq.peek().unwrap().user_data(), 8);
    assert_eq!(cq.peek().unwrap().user_data(), 8);
    assert_eq!(cq.ready(), 1);
    assert_eq!(cq.pop().unwrap().user_data(), 8);
    assert!(cq.pop().is_none());
}

#[test]
fn pop_into_stops_at_the_end_of_the_queue_or_of_the_output() {
    let kernel = Kernel::new(START);
    let mut cq = kernel.cq();
    let mut out = [MaybeUninit::uninit(); 3];
    let mut copied = |cq: &mut Cq<Cqe>| -> Vec<u64> {
        let count = cq.pop_into(&mut cq.span(), &mut out);
        // SAFETY: `pop_into` returns how many places it has written.
        out[..count].iter().map(|cqe| unsafe { cqe.assume_init() }.user_data()).collect()
    };
    assert!(copied(&mut cq).is_empty());
    (0..4).for_each(|n| assert!(kernel.post(n)));
    assert_eq!(copied(&mut cq), [0, 1, 2]);
    assert_eq!(get!(kernel, cq_head), START.wrapping_add(3));
    assert!(kernel.post(4));
    assert_eq!(copied(&mut cq), [3, 4]);
    assert!(copied(&mut cq).is_empty());
}

#[test]
fn any_tail_yields_at_most_one_queue_of_entries() {
    for tail in [0, 1, START - 1, START.wrapping_add(SIZE + 1), u32::MAX, 1 << 31] {
        let kernel = Kernel::new(START);
        let mut cq = kernel.cq();
        set!(kernel, cq_tail, tail);
        assert!(cq.ready() <= SIZE);
        assert!(core::iter::from_fn(|| cq.pop_known(&mut cq.span())).count() <= SIZE as usize);
        let mut span = cq.span();
        cq.refresh(&mut span);
        assert!(core::iter::from_fn(|| cq.pop_known(&mut cq.span())).count() <= SIZE as usize);
    }
}

#[test]
fn buffer_id_is_none_unless_a_buffer_was_used() {
    let cqe = |flags| {
        Cqe::from_raw(io_uring_cqe {
            flags: CqeFlags::from_bits_retain(flags),
            ..io_uring_cqe::ZEROED
        })
    };
    assert_eq!(cqe(0xfffe_0001).buffer_id(), Some(0xfffe));
    assert_eq!(cqe(0xfffe_0002).buffer_id(), None);
    assert!(cqe(2).has_more());
}
