//! The queues with the kernel: full, overflown, wrapped, and counted.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::mem::MaybeUninit;
use std::io::Write as _;

use crate::common;
use crate::common::process::bounded;
use crate::common::{complete, reap, require};
use crate::op_common::{AS_OF_6_11, assert_quiet, leaked, pipe, reap_sorted, reap_told};
use ringbolt::ops::{Nop, PollAdd, Read};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::sys::{EnterFlags, Features, SetupFlags, SqStatus};
use ringbolt::{Builder, CqEntry, Cqe, EnterArg, IoUring, PushError, SqEntry, Sqe, Timespec};

fn new() -> Builder<'static> {
    IoUring::builder()
}

fn push<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>, user_data: u64) {
    let nop = Sqe::from(Nop::new().sqe(user_data));
    // SAFETY: a NOP names nothing.
    unsafe { ring.submission().push(nop) }.expect("room");
}

/// Submits NOPs with `user_data` from `first` on, as many as the queue holds.
fn fill<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>, first: u64) -> u64 {
    let count = ring.submission().room();
    let next = first + u64::from(count);
    (first..next).for_each(|user_data| push(ring, user_data));
    assert_eq!(ring.submit(), Ok(count));
    next
}

/// The completions that are ready, in order, without a system call.
fn there<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>) -> Vec<u64> {
    ring.completion().drain().map(|cqe| cqe.as_cqe().user_data()).collect()
}

fn has_overflown<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>) -> bool {
    ring.submission().status().contains(SqStatus::CQ_OVERFLOW)
}

/// Ways to get overflown completions into the queue.
const WAYS: u32 = 5;

fn bring_in<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>, way: u32) {
    match way {
        0 => assert_eq!(ring.get_events(), Ok(())),
        1 => assert_eq!(ring.submit(), Ok(0)),
        2 => assert_eq!(ring.submit_and_wait(1), Ok(0)),
        3 => assert_eq!(ring.completion().wait_timeout(1, Timespec::new(3600, 0)), Ok(())),
        _ => assert_eq!(ring.submit_with(0, EnterFlags::GETEVENTS, EnterArg::None), Ok(0)),
    }
}

/// Goal: no completion is lost or out of order, however many overflow.
/// Method: increasing numbers of them, fetched by each way in turn.
fn overflow<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>) {
    let capacity = usize::try_from(ring.completion().capacity()).expect("a small number");
    let (mut next, mut seen) = (0, 0);
    for rounds in 1..20 {
        (0..rounds).for_each(|_| next = fill(ring, next));
        let mut left = usize::try_from(next - seen).expect("a small number");
        assert_eq!(ring.completion().len() as usize, left.min(capacity));
        assert_eq!(has_overflown(ring), left > capacity);
        while left > 0 {
            let batch = there(ring);
            let until = seen + batch.len() as u64;
            assert_eq!(batch, (seen..until).collect::<Vec<_>>());
            assert_eq!(batch.len(), left.min(capacity), "a full queue each time");
            (seen, left) = (until, left - batch.len());
            // Popping again returns nothing: more completions need a system call.
            assert_eq!((there(ring), ring.completion().peek().is_none()), (vec![], true));
            if left > 0 {
                assert!(has_overflown(ring));
                bring_in(ring, rounds % WAYS);
            }
        }
        assert!(!has_overflown(ring));
        assert_quiet(ring);
    }
    assert_eq!(ring.completion().overflow(), 0, "kept, and not dropped");
}

/// liburing: cq-full, cq-overflow.
#[test]
fn overflown_completions_are_kept_in_order_and_posted_by_every_call() {
    require!(feature: Features::NODROP);
    bounded(|| overflow(&mut new().build(4).expect("a ring")));
    bounded(|| overflow(&mut new().cq_entries(1).build(1).expect("a ring")));
    bounded(|| overflow(&mut new().cq_entries(4).build(4).expect("a ring")));
}

/// liburing: cq-overflow.
#[test]
fn wide_and_deferring_rings_keep_overflown_completions() {
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    require!(setup: flags);
    require!(setup: SetupFlags::CQE32);
    bounded(|| overflow(&mut new().cqe32().build(4).expect("a ring")));
    bounded(move || overflow(&mut new().flags(flags).build_local(4).expect("a ring")));
    bounded(move || overflow(&mut new().flags(flags).cqe32().build_local(4).expect("a ring")));
}

/// Goal: later completions, from task work, are kept as well.
/// Method: polls that all end together, more of them than completions fit.
fn polls_overflow<T>(ring: &mut IoUring<Sqe, Cqe, T>) {
    let mut pipes: Vec<_> = (0..32).map(|_| pipe()).collect();
    for (id, (reader, _)) in (0..).zip(&pipes) {
        // SAFETY: the pipes stay until all completions have come.
        let pushed =
            unsafe { ring.submission().push(PollAdd::new(reader, EventFlags::IN).sqe(id)) };
        pushed.expect("room");
        assert_eq!(ring.submit(), Ok(1));
    }
    assert_quiet(ring);
    for (_, writer) in &mut pipes {
        writer.write_all(b"x").expect("room in the pipe");
    }
    let told = reap_sorted(ring, pipes.len());
    let ids: Vec<_> = told.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids, (0..32).collect::<Vec<_>>());
    assert!(told.iter().all(|(_, events)| *events == Ok(EventFlags::IN.bits())), "{told:?}");
    assert_quiet(ring);
    assert_eq!(ring.completion().overflow(), 0);
}

/// liburing: cq-overflow, poll-many.
#[test]
fn later_completions_overflow_without_a_loss() {
    require!(feature: Features::NODROP);
    bounded(|| polls_overflow(&mut new().cq_entries(2).build(2).expect("a ring")));
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    require!(setup: flags);
    bounded(move || {
        polls_overflow(&mut new().flags(flags).cq_entries(2).build_local(2).expect("a ring"));
    });
}

/// liburing: cq-peek-batch.
#[test]
fn a_batch_pops_all_that_fit_in_order_across_the_wrap() {
    let mut ring = new().build(4).expect("a ring");
    let mut out = [MaybeUninit::<Cqe>::uninit(); 8];
    assert_eq!(ring.completion().pop_into(&mut out), 0);
    let (mut next, mut seen) = (0, 0);
    // Three more entries are queued than are popped, so that the queue is at each position, full
    // and not full.
    for (pushed, places) in [(4, 4), (4, 3), (3, 8), (4, 0), (1, 2), (4, 1)].repeat(20) {
        (next..next + pushed).for_each(|user_data| push(&mut ring, user_data));
        next += pushed;
        ring.submit().expect("submitted");
        assert_eq!(u64::from(ring.completion().len()), next - seen);
        let fits = usize::try_from(next - seen).expect("a small number").min(places);
        assert_eq!(ring.completion().pop_into(&mut out[..places]), fits);
        for cqe in &out[..fits] {
            // SAFETY: the returned number of places is initialised.
            let cqe = unsafe { cqe.assume_init() };
            assert_eq!(cqe.user_data(), seen);
            seen += 1;
        }
        while next - seen > 4 {
            assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(seen));
            seen += 1;
        }
    }
    assert!(!has_overflown(&mut ring));
}

/// Goal: popping counts immediately on this side, and for the kernel when the head is published.
/// Method: submit through a half, which does not publish the head, and check what overflows.
///
/// liburing: cq-ready.
#[test]
fn popped_completions_free_their_slots_when_the_head_is_published() {
    for told in [true, false] {
        let mut ring = new().cq_entries(4).build(4).expect("a ring");
        assert_eq!((fill(&mut ring, 0), ring.completion().len()), (4, 4));
        for left in (1..4).rev() {
            // An iteration that ends early keeps the slots.
            assert!(ring.completion().drain().next().is_some());
            assert_eq!(ring.completion().len(), left);
        }
        assert_eq!(ring.completion().peek().map(|cqe| cqe.user_data()), Some(3));
        assert_eq!(ring.completion().len(), 1, "peeking consumes nothing");
        if told {
            ring.completion().sync();
        }
        (4..7).for_each(|user_data| push(&mut ring, user_data));
        assert_eq!(ring.submission().submit(), Ok(3));
        assert_eq!(has_overflown(&mut ring), !told);
        assert_eq!(ring.completion().len(), if told { 4 } else { 1 });
        let ids: Vec<_> = reap(&mut ring, 4).iter().map(Cqe::user_data).collect();
        assert_eq!((ids, ring.completion().len()), (vec![3, 4, 5, 6], 0));
        assert_quiet(&mut ring);
    }
}

/// liburing: sq-space_left, sq-full.
#[test]
fn queued_and_free_slots_add_up_to_the_capacity() {
    let mut ring = new().build(8).expect("a ring");
    for round in 0..40_u32 {
        let before = round % 8;
        for queued in 0..8 {
            let submission = ring.submission();
            assert_eq!((submission.len(), submission.room()), (queued, 8 - queued));
            assert_eq!((submission.is_empty(), submission.is_full()), (queued == 0, false));
            push(&mut ring, u64::from(queued));
            // Publishing entries does not submit them.
            if queued == before {
                ring.submission().flush();
            }
        }
        assert!(ring.submission().is_full());
        let refused = ring.submission().push_safe(Nop::new().sqe(9));
        assert!(matches!(refused, Err(PushError::Full(_))), "{refused:?}");
        assert_eq!(ring.submit(), Ok(8));
        let submission = ring.submission();
        assert_eq!((submission.len(), submission.room()), (0, 8));
        assert_eq!(there(&mut ring), (0..8).collect::<Vec<_>>());
        // One slot later each time.
        push(&mut ring, 0);
        assert_eq!((ring.submission().len(), ring.submission().room()), (1, 7));
        assert_eq!(ring.submit_and_wait(1), Ok(1));
        assert_eq!(there(&mut ring), [0]);
    }
}

/// Goal: after submit has returned, the kernel no longer needs the slot, even if the operation
/// waits.
/// Method: a ring of one slot, through which many waiting reads are submitted, each with its own
/// memory.
///
/// liburing: accept-reuse.
#[test]
fn the_slot_of_an_entry_can_be_reused_right_after_submit() {
    require!(feature: Features::SUBMIT_STABLE);
    const READS: u64 = 50;
    let mut ring = new().cq_entries(64).build(1).expect("a ring");
    let mut reads: Vec<_> = (0..READS).map(|_| (pipe(), leaked::<8>())).collect();
    for (id, ((reader, _), buf)) in (0..).zip(&mut reads) {
        let read = Read::new(&*reader, buf.as_mut_ptr(), 8).sqe(id);
        // SAFETY: the buffer stays forever, and the pipe until all completions have come.
        unsafe { ring.submission().push(read) }.expect("the slot is free again");
        assert_eq!(ring.submit(), Ok(1));
    }
    // The slot now contains another entry, which must have no effect.
    push(&mut ring, 1000);
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap_told(&mut ring, 1), [(1000, Ok(0))]);
    assert_quiet(&mut ring);
    for (id, ((_, writer), _)) in (0..READS).rev().zip(reads.iter_mut().rev()) {
        writer.write_all(&id.to_ne_bytes()).expect("room in the pipe");
    }
    let told = reap_sorted(&mut ring, reads.len());
    assert_eq!(told, (0..READS).map(|id| (id, Ok(8))).collect::<Vec<_>>());
    for (id, (_, buf)) in (0_u64..).zip(&reads) {
        assert_eq!(**buf, id.to_ne_bytes());
    }
}

/// Each entry completes with its own number, and an entry that drains completes after the two
/// before it and before the one after it.
fn nops<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>) {
    for user_data in [0, 1, u64::MAX, 0x8000_0000_0000_0001] {
        let nop = Sqe::from(Nop::new().sqe(user_data));
        // SAFETY: a NOP names nothing.
        let cqe = unsafe { complete(ring, nop) };
        assert_eq!((cqe.as_cqe().user_data(), cqe.as_cqe().result()), (user_data, Ok(0)));
    }
    for first in (0..40).step_by(4) {
        for user_data in first..first + 4 {
            let nop = Sqe::from(Nop::new().sqe(user_data));
            let nop = if user_data % 4 == 2 { nop.drain() } else { nop };
            // SAFETY: a NOP names nothing.
            unsafe { ring.submission().push(nop) }.expect("room");
        }
        ring.submit().expect("submitted");
        let mut told = reap_told(ring, 4);
        told[..2].sort_by_key(|(id, _)| *id);
        let expected: Vec<_> = (first..first + 4).map(|id| (id, Ok(0))).collect();
        assert_eq!(told, expected, "{:?}", ring.setup_flags());
        if ring.setup_flags().contains(SetupFlags::SQPOLL) {
            ring.submission().wait_for_room().expect("room");
            while !ring.submission().is_empty() {
                std::thread::yield_now();
            }
        }
    }
    assert_quiet(ring);
}

/// liburing: nop.
#[test]
fn a_nop_completes_in_every_kind_of_ring() {
    require!(op: AS_OF_6_11);
    require!(setup: SetupFlags::SQE128);
    type F = SetupFlags;
    let defer = F::SINGLE_ISSUER | F::DEFER_TASKRUN;
    let kinds = [
        F::empty(),
        F::IOPOLL,
        F::SQPOLL,
        F::SUBMIT_ALL,
        F::COOP_TASKRUN,
        F::COOP_TASKRUN | F::TASKRUN_FLAG,
        F::SINGLE_ISSUER,
        defer,
        defer | F::TASKRUN_FLAG,
        F::NO_SQARRAY,
        F::SQPOLL | F::NO_SQARRAY,
        defer | F::NO_SQARRAY | F::SUBMIT_ALL,
    ];
    for flags in kinds {
        if let Some(lack) = common::lacks_setup(flags) {
            lack.skip();
            continue;
        }
        bounded(move || {
            let builder = new().flags(flags);
            nops(&mut builder.clone().build_local(8).expect("a ring"));
            nops(&mut builder.clone().sqe128().build_local(8).expect("a ring"));
            nops(&mut builder.clone().cqe32().build_local(8).expect("a ring"));
            nops(&mut builder.clone().sqe128().cqe32().build_local(8).expect("a ring"));
            if common::lacks_setup(F::CQE_MIXED).is_none() {
                nops(&mut builder.cqe_mixed().build_local(8).expect("a ring"));
            }
        });
    }
}
