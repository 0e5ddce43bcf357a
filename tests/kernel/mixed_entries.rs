//! Rings with completions of both widths: batches, the end of the queue, overflow.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::mem::MaybeUninit;
use std::fs::File;

use crate::common::{TempDir, complete, reap, require};
use crate::op_common::{assert_quiet, complete_safe, ring};
use ringbolt::ops::{MsgRing, Nop, Read};
use ringbolt::sys::{CqeFlags, SetupFlags, SqStatus};
use ringbolt::{CqEntry, CqeMixed, IoUring, SafeSqe, Sqe};

type Mixed<T = ringbolt::AnyThread> = IoUring<Sqe, CqeMixed, T>;

/// A ring with room for `cq` completions, or half as many wide ones.
fn mixed(cq: u32) -> Mixed {
    IoUring::builder().cqe_mixed().cq_entries(cq).build(cq).expect("a ring")
}

/// The extra words of the wide completion of the nop `id`.
fn extra(id: u64) -> [u64; 2] {
    [id.wrapping_mul(0x9e37_79b9_7f4a_7c15), !id]
}

/// The nop `id`. Its number determines the width of its completion: every third is narrow.
fn nop(id: u64) -> SafeSqe {
    let nop = Nop::new();
    if is_wide(id) { nop.cqe32(extra(id)).sqe(id) } else { nop.sqe(id) }
}

fn is_wide(id: u64) -> bool {
    id % 3 != 0
}

/// The number of slots of the completion of a nop.
fn slots(id: u64) -> u32 {
    if is_wide(id) { 2 } else { 1 }
}

/// Fails the test unless this is the whole completion of the nop `id`.
fn assert_is(cqe: CqeMixed, id: u64) {
    assert_eq!((cqe.as_cqe().user_data(), cqe.as_cqe().result()), (id, Ok(0)), "{cqe:?}");
    assert!(!cqe.as_cqe().is_filler(), "{cqe:?}");
    assert_eq!(cqe.as_cqe().is_wide(), is_wide(id), "{cqe:?}");
    match cqe {
        CqeMixed::Narrow(narrow) => assert!(narrow.flags().is_empty(), "{cqe:?}"),
        CqeMixed::Wide(wide) => {
            assert_eq!(wide.cqe.flags(), CqeFlags::F_32);
            assert_eq!(wide.extra, extra(id));
        }
    }
}

/// Submits the nops of these ids.
fn submit<T>(ring: &mut Mixed<T>, ids: core::ops::Range<u64>) {
    for id in ids.clone() {
        ring.submission().push_safe(nop(id)).expect("the queue has room");
    }
    assert_eq!(ring.submit().map(u64::from), Ok(ids.end - ids.start));
}

#[test]
fn nop32_wide_completions_have_32_bytes_and_narrow_ones_16() {
    require!(setup: SetupFlags::CQE_MIXED);
    let mut ring = mixed(8);
    for id in 0..100 {
        assert_is(complete_safe(&mut ring, nop(id)), id);
        assert_quiet(&mut ring);
    }
}

#[test]
fn queues_of_every_size_wrap_with_batches_of_every_size() {
    // Goal: wide entries are placed at every slot, also near the end with one slot left, where the
    // kernel adds padding. Method: batches of each length, on queues of each size.
    require!(setup: SetupFlags::CQE_MIXED);
    for cq in [2, 4, 8, 32] {
        for batch in 1..=u64::from(cq) / 2 {
            let mut ring = mixed(cq);
            let mut next = 0;
            while next < 12 * u64::from(cq) {
                let ids = next..next + batch;
                next = ids.end;
                submit(&mut ring, ids.clone());
                let cqes = reap(&mut ring, usize::try_from(batch).expect("a few"));
                cqes.into_iter().zip(ids).for_each(|(cqe, id)| assert_is(cqe, id));
                assert_quiet(&mut ring);
            }
        }
    }
}

#[test]
fn cq_peek_batch_mixed_every_way_to_pop_entries_skips_padding() {
    require!(setup: SetupFlags::CQE_MIXED);
    let mut ring = mixed(16);
    let (mut next, mut fillers) = (0_u64, 0);
    for round in 0..300 {
        let ids = next..next + 1 + round % 5;
        next = ids.end;
        submit(&mut ring, ids.clone());
        let taken: u32 = ids.clone().map(slots).sum();
        fillers += ring.completion().len() - taken;
        let count = usize::try_from(ids.end - ids.start).expect("a few");
        let mut completion = ring.completion();
        let cqes: Vec<CqeMixed> = match round % 3 {
            0 => completion.drain().collect(),
            1 => {
                let mut out = [MaybeUninit::uninit(); 8];
                assert_eq!(completion.pop_into(&mut out), count);
                // SAFETY: so many places, from the first, are initialised.
                out[..count].iter().map(|cqe| unsafe { cqe.assume_init() }).collect()
            }
            _ => {
                let first = completion.peek().expect("it is there");
                assert_is(first, ids.start);
                core::iter::from_fn(|| completion.pop()).collect()
            }
        };
        assert_eq!(cqes.len(), count);
        cqes.into_iter().zip(ids).for_each(|(cqe, id)| assert_is(cqe, id));
        assert!(ring.completion().is_empty() && ring.completion().peek().is_none());
    }
    assert!(fillers > 0, "no wide entry ever reached the end of the queue");
}

#[test]
fn a_part_of_a_batch_can_be_left_for_later() {
    require!(setup: SetupFlags::CQE_MIXED);
    let mut ring = mixed(16);
    for next in (0..900).step_by(9) {
        submit(&mut ring, next..next + 9);
        let mut completion = ring.completion();
        let first = completion.drain().take(2).collect::<Vec<_>>();
        let mut out = [MaybeUninit::uninit(); 3];
        assert_eq!(completion.pop_into(&mut out), 3);
        // SAFETY: all three are initialised.
        let second = out.map(|cqe| unsafe { cqe.assume_init() });
        let rest = reap(&mut ring, 4);
        let cqes = first.into_iter().chain(second).chain(rest);
        cqes.zip(next..).for_each(|(cqe, id)| assert_is(cqe, id));
    }
}

/// The wide nop number `count`.
fn wide(count: u64) -> u64 {
    3 * count + 1
}

#[test]
fn nop32_overflow_wide_completions_without_room_are_kept_in_order() {
    require!(setup: SetupFlags::CQE_MIXED);
    for cq in [2, 4, 8, 32] {
        // Starting at each position of the queue.
        for before in 0..2 * u64::from(cq) {
            let mut ring = mixed(cq);
            for _ in 0..before {
                assert_is(complete_safe(&mut ring, nop(0)), 0);
            }
            let counts = 0..5 * u64::from(cq);
            for count in counts.clone() {
                submit(&mut ring, wide(count)..wide(count) + 1);
            }
            assert!(ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
            let cqes = reap(&mut ring, usize::try_from(5 * cq).expect("a few"));
            cqes.into_iter().zip(counts).for_each(|(cqe, count)| assert_is(cqe, wide(count)));
            assert_quiet(&mut ring);
            assert_eq!(ring.completion().overflow(), 0, "nothing was dropped");
        }
    }
}

#[test]
fn nop32_overflow_a_wide_completion_does_not_fit_in_one_slot() {
    require!(setup: SetupFlags::CQE_MIXED);
    let mut ring = mixed(4);
    // 1, 1, 1 and then 2 slots, of four.
    submit(&mut ring, 0..1);
    submit(&mut ring, 3..4);
    submit(&mut ring, 6..7);
    submit(&mut ring, 7..8);
    assert!(ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
    for id in [0, 3, 6] {
        assert_is(ring.completion().pop().expect("it is there"), id);
    }
    assert!(ring.completion().pop().is_none(), "only padding is left");
    assert_is(reap(&mut ring, 1).remove(0), 7);
    assert_is(complete_safe(&mut ring, nop(8)), 8);
    assert_quiet(&mut ring);
}

#[test]
fn other_operations_complete_with_16_bytes() {
    require!(setup: SetupFlags::CQE_MIXED);
    let dir = TempDir::new();
    let file = File::open(dir.file("digits", b"0123456789")).expect("it was just made");
    let (mut ring, mut from) = (mixed(4), ring());
    for round in 0..50 {
        let mut buf = [0_u8; 4];
        let read = Read::new(&file, buf.as_mut_ptr(), 4).offset(round % 6).sqe(round);
        // SAFETY: `file` and `buf` stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring, read) };
        let CqeMixed::Narrow(narrow) = cqe else { panic!("{cqe:?}") };
        assert_eq!((narrow.user_data(), narrow.result()), (round, Ok(4)));
        assert_is(complete_safe(&mut ring, nop(1)), 1);

        // SAFETY: the other ring stays; no memory is used.
        let sent = unsafe { complete(&mut from, MsgRing::new(&ring, 0, 3).sqe(1)) };
        assert_eq!(sent.result(), Ok(0));
        assert_is(reap(&mut ring, 1).remove(0), 3);
    }
}

#[test]
fn a_message_can_be_a_wide_completion() {
    require!(setup: SetupFlags::CQE_MIXED);
    let (mut ring, mut from) = (mixed(4), ring());
    for id in 0..20 {
        let message = MsgRing::new(&ring, 5, id).cqe_flags(CqeFlags::F_32).sqe(1);
        // SAFETY: the other ring stays; no memory is used.
        assert_eq!(unsafe { complete(&mut from, message) }.result(), Ok(0));
        let cqe = reap(&mut ring, 1).remove(0);
        let CqeMixed::Wide(wide) = cqe else { panic!("{cqe:?}") };
        assert_eq!((wide.cqe.user_data(), wide.cqe.result(), wide.extra), (id, Ok(5), [0, 0]));
        assert_is(complete_safe(&mut ring, nop(id)), id);
    }
}

#[test]
fn a_mixed_ring_can_have_defer_taskrun_or_sqpoll() {
    require!(setup: SetupFlags::CQE_MIXED);
    let builder = IoUring::builder().cqe_mixed().single_issuer().defer_taskrun();
    let mut local = builder.build_local(8).expect("a ring");
    let mut polled = IoUring::builder().cqe_mixed().sqpoll(10).build(8).expect("a ring");
    for next in (0..120).step_by(4) {
        submit(&mut local, next..next + 4);
        let cqes = reap(&mut local, 4);
        cqes.into_iter().zip(next..).for_each(|(cqe, id)| assert_is(cqe, id));
        submit(&mut polled, next..next + 4);
        let cqes = reap(&mut polled, 4);
        cqes.into_iter().zip(next..).for_each(|(cqe, id)| assert_is(cqe, id));
        polled.submission().wait_for_room().expect("the thread lives");
    }
}
