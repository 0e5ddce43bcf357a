//! Chains that fail at submission, that skip completions, or that a drain delays.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::io::Write as _;

use crate::common;
use crate::common::process::bounded;
use crate::common::{complete, require};
use crate::op_common::{
    AS_OF_6_0, AS_OF_6_11, Told, assert_quiet, leaked, pipe, reap_sorted, reap_told, ring, start,
    start_all,
};
use ringbolt::ops::{LinkTimeout, Nop, PollAdd, RawOp, Read, Timeout};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{Features, Opcode, RegisterOp, SetupFlags, SqStatus};
use ringbolt::{IoUring, Sqe, Timespec};

const CANCELED: Result<u32, Errno> = Err(Errno::CANCELED);
const INVALID: Result<u32, Errno> = Err(Errno::INVAL);

fn nop(id: u64) -> Sqe {
    Nop::new().sqe(id).into()
}

/// An entry that the kernel refuses when it is submitted.
fn refused(id: u64) -> Sqe {
    RawOp::new(Opcode::from_raw(255)).sqe(id)
}

/// The ways to link an entry to the next.
const TIES: [fn(Sqe) -> Sqe; 2] = [|sqe| sqe.link(), |sqe| sqe.hard_link()];

/// Goal: every entry of a chain with a refused entry completes, once, and none is executed.
/// Method: each place in chains of each length, with entries before and after.
///
/// liburing: submit-link-fail, drop-submit.
#[test]
fn a_chain_with_a_refused_entry_completes_as_a_whole_and_is_counted() {
    require!(op: AS_OF_6_0);
    for (length, bad) in (1..=5).flat_map(|length| (0..length).map(move |bad| (length, bad))) {
        for (tie, submit_all) in TIES.into_iter().flat_map(|tie| [(tie, false), (tie, true)]) {
            if submit_all && common::lacks_setup(SetupFlags::SUBMIT_ALL).is_some() {
                continue;
            }
            let builder = IoUring::builder();
            let builder = if submit_all { builder.submit_all() } else { builder };
            let mut ring = builder.build(8).expect("a ring");
            let mut entries = vec![nop(100)];
            for place in 0..length {
                let entry = if place == bad { refused(place) } else { nop(place) };
                entries.push(if place + 1 < length { tie(entry) } else { entry });
            }
            entries.push(nop(101));
            // SAFETY: the entries refer to nothing.
            unsafe { ring.submission().push_all(&entries) }.expect("room");
            let total = u32::try_from(length + 2).expect("a few");
            // If the refused entry is the last of the chain, the kernel reads no entry after it.
            let stops = !submit_all && bad + 1 == length;
            let taken = total - u32::from(stops);
            assert_eq!(ring.submit(), Ok(taken), "{bad} of {length}, {submit_all}");
            assert_eq!(ring.submission().len(), u32::from(stops));
            assert_eq!(ring.submit(), Ok(u32::from(stops)));
            let told = reap_sorted(&mut ring, total as usize);
            let chain: Vec<Told> = (0..length)
                .map(|place| (place, if place == bad { INVALID } else { CANCELED }))
                .collect();
            assert_eq!(told[..chain.len()], chain, "{bad} of {length}, {submit_all}");
            assert_eq!(told[chain.len()..], [(100, Ok(0)), (101, Ok(0))]);
            assert_quiet(&mut ring);
        }
    }
}

/// liburing: submit-link-fail.
#[test]
fn a_refused_chain_after_a_drain_still_completes() {
    let mut ring = ring();
    for tie in TIES {
        let entries = [nop(0), tie(nop(1).drain()), tie(refused(2)), nop(3)];
        // SAFETY: the entries refer to nothing.
        unsafe { ring.submission().push_all(&entries) }.expect("room");
        assert_eq!(ring.submit(), Ok(4));
        let told = reap_sorted(&mut ring, 4);
        assert_eq!(told, [(0, Ok(0)), (1, CANCELED), (2, INVALID), (3, CANCELED)]);
        assert_quiet(&mut ring);
    }
}

/// Submits a read of a pipe with a linked timeout; checks their completions.
fn skipping(read_skips: bool, timeout_skips: bool, data: bool, expected: &[Told]) {
    let mut ring = ring();
    let (reader, mut writer) = pipe();
    if data {
        writer.write_all(b"abc").expect("room in the pipe");
    }
    let span = if data { Timespec::new(3600, 0) } else { Timespec::new(0, 20_000_000) };
    let skip = |sqe: Sqe, skips: bool| if skips { sqe.skip_success() } else { sqe };
    let read = Read::new(&reader, leaked::<3>().as_mut_ptr(), 3).sqe(1).link();
    let chain = [skip(read, read_skips), skip(LinkTimeout::new(&span).sqe(2), timeout_skips)];
    // SAFETY: the buffer stays forever, the timespec until the entries are submitted, and the pipe
    // until they have completed or longer.
    unsafe { start_all(&mut ring, &chain) };
    let told = reap_sorted(&mut ring, expected.len());
    assert_eq!(told, expected, "skipped: {read_skips} {timeout_skips}, data: {data}");
    std::thread::sleep(Duration::from_millis(5));
    assert_quiet(&mut ring);
}

/// liburing: skip-cqe, link-timeout.
#[test]
fn skip_success_applies_separately_to_an_entry_and_its_timeout() {
    require!(feature: Features::CQE_SKIP);
    bounded(|| {
        let late = [(1, CANCELED), (2, Err(Errno::TIME))];
        let in_time = [(1, Ok(3)), (2, CANCELED)];
        skipping(false, false, false, &late);
        // A timeout that skips its completion posts none, whatever its result is.
        skipping(false, true, false, &late[..1]);
        skipping(false, false, true, &in_time);
        skipping(false, true, true, &in_time[..1]);
        skipping(true, false, true, &in_time[1..]);
        skipping(true, true, true, &[]);
    });
}

/// liburing: skip-cqe, defer.
#[test]
fn drains_are_refused_on_a_ring_that_uses_skip_success() {
    require!(feature: Features::CQE_SKIP);
    let mut ring = ring();
    // SAFETY: the entry refers to nothing.
    unsafe { start(&mut ring, nop(1).skip_success()) };
    // SAFETY: the entry refers to nothing.
    unsafe { start(&mut ring, nop(2).drain()) };
    assert_eq!(reap_told(&mut ring, 1), [(2, Err(Errno::OPNOTSUPP))]);
    // SAFETY: the entry refers to nothing.
    assert_eq!(unsafe { complete(&mut ring, nop(3)) }.result(), Ok(0));
}

/// Goal: exactly those entries of a chain complete that do not skip, and the one that fails.
/// Method: each set of entries that skip, with each place that fails, or without a failure.
///
/// liburing: skip-cqe.
#[test]
fn entries_of_a_chain_complete_unless_they_skip_and_succeed() {
    require!(op: AS_OF_6_11);
    require!(feature: Features::CQE_SKIP);
    let mut ring = ring();
    for (skips, fails) in (0..16_u32).flat_map(|skips| (0..=4).map(move |fails| (skips, fails))) {
        let skipped = |place: u64| skips & (1 << place) != 0;
        let mut chain = Vec::new();
        for place in 0..4 {
            let op = Nop::new().inject_result(if place == fails { -5 } else { 0 });
            let mut entry = Sqe::from(op.sqe(place));
            if skipped(place) {
                entry = entry.skip_success();
            }
            chain.push(if place < 3 { entry.link() } else { entry });
        }
        // SAFETY: the entries refer to nothing.
        unsafe { start_all(&mut ring, &chain) };
        let mut expected: Vec<Told> = Vec::new();
        for place in 0..4 {
            if place == fails {
                expected.push((place, Err(Errno::IO)));
            } else if place < fails && !skipped(place) {
                expected.push((place, Ok(0)));
            } else if place > fails && !skipped(fails) {
                // A cancelled entry has failed; after a failing entry that skips, the cancelled
                // ones post nothing.
                expected.push((place, CANCELED));
            }
        }
        let told = reap_sorted(&mut ring, expected.len());
        assert_eq!(told, expected, "skipped {skips:04b}, fails {fails}");
        assert_quiet(&mut ring);
    }
}

/// Goal: links and drains keep their order while completions overflow.
/// Method: a completion queue for two chains, and more chains than that.
///
/// liburing: defer, link.
#[test]
fn chains_and_drains_keep_their_order_while_completions_overflow() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(feature: Features::NODROP);
    bounded(|| {
        for drains in [false, true] {
            let mut ring = IoUring::builder().cq_entries(8).build(8).expect("a ring");
            for _ in 0..20 {
                let mut expected = Vec::new();
                for first in (0..24).step_by(4) {
                    let head = if drains { nop(first).drain() } else { nop(first) };
                    let chain =
                        [head, nop(first + 1).link(), nop(first + 2).link(), nop(first + 3)];
                    // SAFETY: the entries refer to nothing.
                    unsafe { start_all(&mut ring, &chain) };
                    expected.extend((first..first + 4).map(|id| (id, Ok(0))));
                }
                // A drain waits until the earlier completions are in the queue.
                let status = ring.submission().status();
                assert!(drains || status.contains(SqStatus::CQ_OVERFLOW), "{status:?}");
                assert_eq!(reap_told(&mut ring, expected.len()), expected);
                assert_quiet(&mut ring);
                assert_eq!((ring.completion().overflow(), ring.submission().dropped()), (0, 0));
            }
        }
    });
}

/// liburing: defer, timeout.
#[test]
fn entries_delayed_by_a_drain_can_still_be_refused_or_time_out() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    bounded(|| {
        let mut ring = ring();
        let (reader, mut writer) = pipe();
        let soon = Timespec::new(0, 1_000_000);
        let entries = [
            PollAdd::new(&reader, EventFlags::IN).sqe(1),
            nop(2).drain(),
            Timeout::new(&soon).sqe(3),
            refused(4),
        ];
        // SAFETY: the timespec and the pipe stay until all has completed.
        unsafe { start_all(&mut ring, &entries) };
        assert_eq!(reap_told(&mut ring, 1), [(4, INVALID)], "it is refused at once");
        assert_quiet(&mut ring);
        writer.write_all(b"x").expect("room in the pipe");
        let told = reap_told(&mut ring, 3);
        let readable = Ok(EventFlags::IN.bits());
        assert_eq!(told, [(1, readable), (2, Ok(0)), (3, Err(Errno::TIME))]);
        // SAFETY: the entry refers to nothing.
        assert_eq!(unsafe { complete(&mut ring, nop(5)) }.result(), Ok(0));
    });
}
