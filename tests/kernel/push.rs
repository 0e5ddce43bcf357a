//! Pushing: what does not fit comes back, chains go in whole, and nothing is lost or doubled
//! however a half is let go of.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use crate::op_common::AS_OF_6_11;
use core::mem::MaybeUninit;

use crate::common::{reap, require};
use ringbolt::ops::{Nop, RawOp};
use ringbolt::sys::{Features, NopFlags, Opcode, SqeFlags};
use ringbolt::{Cqe, IoUring, PushError, SafeSqe, Sqe};
use rustix::io::Errno;

/// Forgets a value, as a program may at any time: what its destructor would do is not done.
fn forget<T>(value: T) {
    core::mem::forget(value);
}

fn ring(entries: u32) -> IoUring {
    IoUring::new(entries).expect("a ring")
}

fn nop(user_data: u64) -> SafeSqe {
    Nop::new().sqe(user_data)
}

/// NOPs with `user_data` from `first` on.
fn nops(first: u64, count: u64) -> Vec<Sqe> {
    (first..first + count).map(|user_data| nop(user_data).into()).collect()
}

fn push(ring: &mut IoUring, user_data: u64) {
    ring.submission().push_safe(nop(user_data)).expect("room");
}

/// Pushes `entries`, which are NOPs all.
fn push_all(ring: &mut IoUring, entries: &[Sqe]) -> Result<(), PushError<()>> {
    assert!(entries.iter().all(|entry| entry.opcode() == Opcode::NOP));
    // SAFETY: a NOP names nothing.
    unsafe { ring.submission().push_all(entries) }
}

/// Submits what is queued, which must be as many as `user_data`, and checks that these
/// complete, in this order, and nothing else.
fn completes(ring: &mut IoUring, user_data: impl IntoIterator<Item = u64>) {
    let expected: Vec<_> = user_data.into_iter().collect();
    assert_eq!(ring.submission().len() as usize, expected.len());
    assert_eq!(ring.submit().map(|taken| taken as usize), Ok(expected.len()));
    let reaped: Vec<_> = reap(ring, expected.len()).iter().map(Cqe::user_data).collect();
    assert_eq!(reaped, expected);
    ring.get_events().expect("nothing overflows");
    assert!(ring.completion().is_empty());
    assert!(ring.submission().is_empty());
}

/// liburing: sq-full.
#[test]
fn push_on_a_full_queue_returns_the_entry() {
    let mut ring = ring(4);
    for user_data in 0..4 {
        assert_eq!(u64::from(ring.submission().len()), user_data);
        assert_eq!(u64::from(ring.submission().room()), 4 - user_data);
        push(&mut ring, user_data);
    }
    assert!(ring.submission().is_full());
    match ring.submission().push_safe(nop(9).force_async()) {
        Err(PushError::Full(entry)) => {
            assert_eq!(entry.as_sqe().user_data(), 9);
            assert_eq!(entry.as_sqe().flags(), SqeFlags::ASYNC);
        }
        other => panic!("{other:?}"),
    }
    // SAFETY: a NOP names nothing.
    let refused = unsafe { ring.submission().push(nop(10)) }.expect_err("the queue is full");
    assert_eq!(refused.to_string(), "the submission queue is full: submit, then push again");
    assert_eq!(refused.into_entries().user_data(), 10);
    completes(&mut ring, 0..4);
}

#[test]
fn push_all_queues_all_entries_or_none() {
    let mut ring = ring(8);
    assert_eq!(push_all(&mut ring, &nops(0, 5)), Ok(()));
    assert_eq!(push_all(&mut ring, &nops(100, 4)), Err(PushError::Full(())));
    assert_eq!(ring.submission().len(), 5);
    assert_eq!(push_all(&mut ring, &nops(200, 9)), Err(PushError::TooMany(())));
    assert_eq!(push_all(&mut ring, &nops(5, 3)), Ok(()));
    assert_eq!(push_all(&mut ring, &[]), Ok(()));
    completes(&mut ring, 0..8);
}

#[test]
fn push_all_goes_on_at_the_first_slot_behind_the_last() {
    let mut ring = ring(8);
    for first in (0..50).map(|round| round * 5) {
        assert_eq!(push_all(&mut ring, &nops(first, 5)), Ok(()));
        completes(&mut ring, first..first + 5);
    }
}

#[test]
fn an_entry_whose_chain_is_open_is_refused() {
    let mut ring = ring(8);
    push(&mut ring, 1);
    for entry in [nop(2).link(), nop(2).hard_link(), nop(2).link().drain()] {
        match ring.submission().push_safe(entry) {
            Err(PushError::OpenChain(back)) => {
                assert_eq!(back.as_sqe().to_bytes(), entry.as_sqe().to_bytes());
            }
            other => panic!("{other:?}"),
        }
        let open = [nop(3).link().into(), entry.into()];
        assert_eq!(push_all(&mut ring, &open), Err(PushError::OpenChain(())));
    }
    push(&mut ring, 4);
    completes(&mut ring, [1, 4]);
}

#[test]
fn a_chain_is_pushed_whole_and_carried_out_in_order() {
    require!(op: AS_OF_6_11);
    require!(feature: Features::LINKED_FILE);
    let mut ring = ring(8);
    let fails: Sqe = Nop::new().inject_result(-5).sqe(11).into();
    let chain = [nop(10).link().into(), fails.link(), nop(12).link().into(), nop(13).into()];
    assert_eq!(push_all(&mut ring, &chain), Ok(()));
    assert_eq!(ring.submit(), Ok(4));
    let results = reap(&mut ring, 4).into_iter().map(|cqe| (cqe.user_data(), cqe.result()));
    let mut results: Vec<_> = results.collect();
    results.sort_by_key(|(user_data, _)| *user_data);
    let cancelled = Err(Errno::CANCELED);
    assert_eq!(results, [(10, Ok(0)), (11, Err(Errno::IO)), (12, cancelled), (13, cancelled)]);
}

#[test]
fn a_reservation_is_queued_by_commit_and_by_nothing_else() {
    let mut ring = ring(4);
    push(&mut ring, 1);
    {
        let mut submission = ring.submission();
        let mut room = submission.reserve(3).expect("room for three");
        assert_eq!(room.left(), 3);
        // SAFETY: a NOP names nothing.
        unsafe { room.put(nop(100)) }.expect("room");
        assert_eq!(room.left(), 2);
    }
    assert_eq!(ring.submission().len(), 1);
    {
        let mut submission = ring.submission();
        let mut room = submission.reserve(2).expect("room for two");
        // SAFETY: a NOP names nothing.
        unsafe { room.put(nop(101)) }.expect("room");
        forget(room);
    }
    assert_eq!(ring.submission().len(), 1);
    {
        let mut submission = ring.submission();
        let mut room = submission.reserve(3).expect("room for three");
        for user_data in [2, 3, 4] {
            // SAFETY: a NOP names nothing.
            unsafe { room.put(nop(user_data)) }.expect("room");
        }
        // SAFETY: a NOP names nothing.
        let refused = unsafe { room.put(nop(5)) }.expect_err("as many as were reserved");
        assert_eq!(refused.into_entries().user_data(), 5);
        assert_eq!(room.commit(), Ok(()));
    }
    completes(&mut ring, [1, 2, 3, 4]);
}

#[test]
fn a_reservation_need_not_be_used_up() {
    let mut ring = ring(4);
    for first in (0..40).step_by(4) {
        let mut submission = ring.submission();
        let mut room = submission.reserve(4).expect("room for four");
        for user_data in first..first + 3 {
            // SAFETY: a NOP names nothing.
            unsafe { room.put(nop(user_data)) }.expect("room");
        }
        assert_eq!(room.commit(), Ok(()));
        push(&mut ring, first + 3);
        completes(&mut ring, first..first + 4);
    }
    assert!(ring.submission().reserve(0).expect("nothing at all").commit().is_ok());
    completes(&mut ring, []);
}

#[test]
fn a_reservation_whose_chain_is_open_queues_nothing() {
    let mut ring = ring(4);
    push(&mut ring, 1);
    let mut submission = ring.submission();
    let mut room = submission.reserve(2).expect("room for two");
    // SAFETY: a NOP names nothing.
    unsafe { room.put(nop(2)) }.expect("room");
    // SAFETY: a NOP names nothing.
    unsafe { room.put(nop(3).link()) }.expect("room");
    assert_eq!(room.commit(), Err(PushError::OpenChain(())));
    assert!(matches!(submission.reserve(4), Err(PushError::Full(()))));
    assert!(matches!(submission.reserve(5), Err(PushError::TooMany(()))));
    completes(&mut ring, [1]);
}

#[test]
fn what_is_pushed_through_a_half_stays_when_the_half_is_gone() {
    let mut ring = ring(8);
    {
        let (mut submission, _completion) = ring.split();
        submission.push_safe(nop(1)).expect("room");
    }
    {
        let (mut submission, completion) = ring.split();
        submission.push_safe(nop(2)).expect("room");
        forget((submission, completion));
    }
    {
        let mut submission = ring.submission();
        submission.push_safe(nop(3)).expect("room");
        assert_eq!(submission.flush(), 3);
        assert_eq!(submission.flush(), 0);
        submission.push_safe(nop(4)).expect("room");
        forget(submission);
    }
    completes(&mut ring, 1..=4);
}

#[test]
fn submitting_through_a_split_half_submits() {
    let mut ring = ring(8);
    let (mut submission, mut completion) = ring.split();
    for round in 0..20 {
        submission.push_safe(nop(round)).expect("room");
        submission.push_safe(nop(round + 100)).expect("room");
        assert_eq!(submission.submit(), Ok(2));
        assert!(submission.is_empty());
        completion.wait(2).expect("two completions");
        let reaped: Vec<_> = completion.drain().map(|cqe| cqe.user_data()).collect();
        assert_eq!(reaped, [round, round + 100]);
    }
}

#[test]
fn pushing_while_iterating_over_completions_is_fine() {
    let mut ring = ring(4);
    push(&mut ring, 0);
    ring.submit().expect("submitted");
    let (mut submission, mut completion) = ring.split();
    let mut seen = 0;
    for _ in 0..100 {
        for cqe in completion.drain() {
            assert_eq!(cqe.user_data(), seen);
            seen += 1;
            submission.push_safe(nop(seen)).expect("room");
        }
        submission.submit_and_wait(1).expect("submitted");
    }
    assert_eq!(seen, 100);
}

#[test]
fn an_iteration_that_is_left_early_loses_nothing_and_doubles_nothing() {
    let mut ring = ring(8);
    assert_eq!(push_all(&mut ring, &nops(0, 8)), Ok(()));
    assert_eq!(ring.submit(), Ok(8));
    let two: Vec<_> = ring.completion().drain().take(2).map(|cqe| cqe.user_data()).collect();
    assert_eq!(two, [0, 1]);
    {
        let mut completion = ring.completion();
        let mut drain = completion.drain();
        assert_eq!(drain.len(), 6);
        assert_eq!(drain.next().map(|cqe| cqe.user_data()), Some(2));
        forget(drain);
        assert_eq!(completion.peek().map(|cqe| cqe.user_data()), Some(3));
        assert_eq!(completion.pop().map(|cqe| cqe.user_data()), Some(3));
        forget(completion);
    }
    // What was taken is the kernel's to fill again, what was not is not.
    assert_eq!(push_all(&mut ring, &nops(8, 8)), Ok(()));
    assert_eq!(ring.submit(), Ok(8));
    let mut out = [MaybeUninit::uninit(); 3];
    assert_eq!(ring.completion().pop_into(&mut out), 3);
    // SAFETY: as many places as that are initialised.
    let first = out.map(|cqe: MaybeUninit<Cqe>| unsafe { cqe.assume_init() }.user_data());
    assert_eq!(first, [4, 5, 6]);
    let rest: Vec<_> = reap(&mut ring, 9).iter().map(Cqe::user_data).collect();
    assert_eq!(rest, (7..16).collect::<Vec<_>>());
    assert!(ring.completion().is_empty());
}

#[test]
fn draining_ends_although_completions_go_on_coming() {
    let mut ring = ring(4);
    push(&mut ring, 0);
    ring.submit().expect("submitted");
    let (mut submission, mut completion) = ring.split();
    let mut count = 0_u64;
    for cqe in completion.drain() {
        count += 1;
        assert_eq!(cqe.user_data(), 0);
        submission.push_safe(nop(1)).expect("room");
        submission.submit().expect("submitted");
    }
    assert_eq!((count, completion.len()), (1, 1));
}

#[test]
fn entries_are_taken_back_last_first() {
    let mut ring = ring(4);
    for round in 0..10 {
        assert_eq!(push_all(&mut ring, &nops(round, 3)), Ok(()));
        for user_data in [round + 2, round + 1] {
            let back = ring.submission().pop_back().expect("an entry");
            assert_eq!(back.to_bytes(), Sqe::from(nop(user_data)).to_bytes());
        }
        push(&mut ring, 99);
        completes(&mut ring, [round, 99]);
        assert!(ring.submission().pop_back().is_none());
    }
}

#[test]
fn what_was_flushed_can_be_taken_back_without_a_polling_thread() {
    let mut ring = ring(4);
    assert_eq!(push_all(&mut ring, &nops(1, 4)), Ok(()));
    assert_eq!(ring.submission().flush(), 4);
    assert_eq!(ring.submission().pop_back().map(|sqe| sqe.user_data()), Some(4));
    assert_eq!(ring.submission().pop_back().map(|sqe| sqe.user_data()), Some(3));
    push(&mut ring, 5);
    completes(&mut ring, [1, 2, 5]);
}

#[test]
fn rolling_back_takes_everything_back_at_once() {
    let mut ring = ring(4);
    for round in 0..10 {
        assert_eq!(push_all(&mut ring, &nops(0, 3)), Ok(()));
        ring.submission().flush();
        push(&mut ring, 3);
        assert_eq!(ring.submission().rollback(), 4);
        assert_eq!((ring.submission().len(), ring.submission().room()), (0, 4));
        assert_eq!(ring.submission().rollback(), 0);
        completes(&mut ring, []);
        push(&mut ring, round);
        completes(&mut ring, [round]);
    }
}

#[test]
fn entries_can_be_stored_changed_and_pushed_again() {
    require!(op: AS_OF_6_11);
    let flags = NopFlags::INJECT_RESULT.bits();
    let stored = RawOp::new(Opcode::NOP).fields(|sqe| {
        sqe.set_op_flags(flags);
        sqe.set_len(77);
    });
    let stored = stored.sqe(0);
    let mut ring = ring(4);
    for user_data in 1..=20 {
        // SAFETY: a NOP names nothing.
        unsafe { ring.submission().push(stored.with_user_data(user_data)) }.expect("room");
        assert_eq!(ring.submit(), Ok(1));
        let cqe = reap(&mut ring, 1)[0];
        assert_eq!((cqe.user_data(), cqe.result()), (user_data, Ok(77)));
    }
}
