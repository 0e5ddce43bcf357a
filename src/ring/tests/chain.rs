//! An open chain: not shown, not lost, and in nobody's way.

use std::vec::Vec;

use super::{Kernel, SIZE, START, entry, push_many};
use crate::ring::push_error::PushError;

#[test]
fn an_open_chain_is_not_shown_before_it_ends() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    for round in 0..10 {
        push_many(&mut sq, 0..1);
        sq.push_chained(entry(1).link()).unwrap();
        sq.push_chained(entry(2).hard_link()).unwrap();
        assert_eq!((sq.queued(), sq.chained(), sq.room()), (1, 2, SIZE - 3));
        assert_eq!(sq.publish(), 1, "round {round}");
        assert_eq!(kernel.take_all(), [0]);
        assert_eq!((sq.queued(), sq.publish()), (0, 0));
        sq.push_chained(entry(3)).unwrap();
        assert_eq!((sq.queued(), sq.chained()), (3, 0));
        assert_eq!(sq.publish(), 3);
        assert_eq!(kernel.take_all(), [1, 2, 3]);
    }
}

#[test]
fn nothing_else_is_pushed_while_a_chain_is_open() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    sq.push_chained(entry(1).link()).unwrap();
    match sq.push(entry(9)) {
        Err(PushError::InChain(back)) => assert_eq!(back.user_data(), 9),
        other => panic!("{other:?}"),
    }
    assert_eq!(sq.push_list(&[entry(8), entry(9)]), Err(PushError::InChain(())));
    sq.publish();
    assert!(matches!(sq.push(entry(9)), Err(PushError::InChain(_))));
    assert_eq!(sq.close_chain(), 1);
    sq.push(entry(2)).unwrap();
    sq.publish();
    assert_eq!(kernel.take_all(), [1, 2]);
}

#[test]
fn an_entry_for_which_there_is_no_room_leaves_the_chain_as_it_was() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    push_many(&mut sq, 0..2);
    sq.push_chained(entry(2).link()).unwrap();
    sq.push_chained(entry(3).link()).unwrap();
    assert_eq!(sq.push_chained(entry(4)), Err(PushError::Full(())));
    sq.publish();
    assert_eq!(kernel.take_all(), [0, 1]);
    sq.push_chained(entry(4).link()).unwrap();
    sq.push_chained(entry(5).link()).unwrap();
    assert_eq!(sq.push_chained(entry(6)), Err(PushError::TooMany(())));
    assert_eq!(sq.close_chain(), 4);
    sq.publish();
    assert_eq!(kernel.take_all(), [2, 3, 4, 5]);
}

#[test]
fn the_link_of_a_chain_that_is_closed_is_removed() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    assert_eq!(sq.close_chain(), 0);
    sq.push_chained(entry(1).link()).unwrap();
    sq.push_chained(entry(2).hard_link()).unwrap();
    assert_eq!(sq.close_chain(), 2);
    let last = sq.pop_back(false).unwrap();
    assert!(!last.is_linked() && last.user_data() == 2);
    assert!(sq.pop_back(false).unwrap().is_linked());
}

#[test]
fn an_open_chain_is_taken_back_from_its_end() {
    let kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    push_many(&mut sq, 0..1);
    for id in 1..4 {
        sq.push_chained(entry(id).link()).unwrap();
    }
    let ids = core::iter::from_fn(|| sq.pop_back(false)).map(|entry| entry.user_data());
    assert_eq!(ids.collect::<Vec<_>>(), [3, 2, 1, 0]);
    assert_eq!((sq.queued(), sq.chained(), sq.room()), (0, 0, SIZE));
    push_many(&mut sq, 0..4);
    sq.publish();
    assert_eq!(kernel.take_all(), [0, 1, 2, 3]);
}

#[test]
fn an_open_chain_is_rolled_back_and_handed_over_with_the_rest() {
    let kernel = Kernel::new(START);
    for polled in [false, true] {
        let mut sq = kernel.sq();
        push_many(&mut sq, 0..2);
        sq.push_chained(entry(2).link()).unwrap();
        assert_eq!(sq.rollback(polled), 3);
        assert_eq!((sq.queued(), sq.chained(), sq.room()), (0, 0, SIZE));
        push_many(&mut sq, 0..1);
        sq.push_chained(entry(1).link()).unwrap();
        sq.push_chained(entry(2).link()).unwrap();
        let mut unsent = Vec::new();
        sq.take_unsent(polled, |entry| unsent.push(entry.user_data()));
        assert_eq!(unsent, [0, 1, 2]);
        push_many(&mut sq, 0..4);
        assert_eq!(sq.room(), 0);
        sq.rollback(polled);
    }
}

#[test]
fn an_open_chain_moves_with_a_queue_that_rewinds() {
    let kernel = Kernel::new(0);
    let mut sq = kernel.sq_of(true);
    push_many(&mut sq, 0..2);
    sq.push_chained(entry(2).link()).unwrap();
    sq.push_chained(entry(3).link()).unwrap();
    sq.publish();
    sq.taken(1);
    assert_eq!((sq.queued(), sq.chained()), (1, 2));
    assert!(sq.push(entry(9)).is_err());
    sq.push_chained(entry(4)).unwrap();
    let ids = core::iter::from_fn(|| sq.pop_back(false)).map(|entry| entry.user_data());
    assert_eq!(ids.collect::<Vec<_>>(), [4, 3, 2, 1]);
}
