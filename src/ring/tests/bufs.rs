//! Rings of provided buffers over plain memory; the test acts as the kernel.

use core::mem::offset_of;
use core::ptr::NonNull;
use std::boxed::Box;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use super::random::{Random, on_any};
use crate::ring::bufs::Bufs;
use crate::sys::{SharedPtr, buf_ring_head, io_uring_buf};

const COUNT: u16 = 4;

/// Where tests start: positions wrap after three entries.
const START: u16 = u16::MAX - 2;

/// The entries, as the kernel sees them.
struct Shared(NonNull<io_uring_buf>);

impl Shared {
    /// Entries with arbitrary contents.
    fn new() -> Self {
        let garbage = io_uring_buf {
            addr: SharedPtr::without_provenance(0xa5a5),
            len: 0xa5a5_a5a5,
            bid: 0xa5a5,
            resv: 0xa5a5,
        };
        let entries: Box<[io_uring_buf]> = vec![garbage; usize::from(COUNT)].into();
        Self(NonNull::from(Box::leak(entries)).cast())
    }

    fn bufs(&self) -> Bufs {
        // SAFETY: as many entries as `new` made, which outlive this side.
        unsafe { Bufs::new(self.0, COUNT) }
    }

    fn place(&self, index: u16) -> *mut io_uring_buf {
        assert!(index < COUNT);
        // SAFETY: one of the entries that `new` made.
        unsafe { self.0.add(usize::from(index)) }.as_ptr()
    }

    /// The published tail.
    fn tail(&self) -> u16 {
        // SAFETY: inside the first entry.
        let tail = unsafe { self.0.byte_add(offset_of!(buf_ring_head, tail)) };
        // SAFETY: aligned and valid for reads; one thread acts as both sides.
        unsafe { tail.cast().read() }
    }

    /// An entry: address, length and id.
    fn entry(&self, index: u16) -> (u64, u32, u16) {
        // SAFETY: valid for reads; one thread acts as both sides.
        let entry = unsafe { self.place(index).read() };
        (entry.addr.addr(), entry.len, entry.bid)
    }

    /// Changes an entry, which the other side should not do.
    fn spoil(&self, index: u16, len: u32, bid: u16) {
        let place = self.place(index);
        // SAFETY: valid for reads; one thread acts as both sides.
        let entry = unsafe { place.read() };
        // SAFETY: valid for writes; the bytes of the tail stay the same.
        unsafe { place.write(io_uring_buf { len, bid, ..entry }) };
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let entries = NonNull::slice_from_raw_parts(self.0, usize::from(COUNT));
        // SAFETY: leaked from a box in `new`; nothing uses it any more.
        drop(unsafe { Box::from_raw(entries.as_ptr()) });
    }
}

fn add(bufs: &mut Bufs, bid: u16) {
    assert!(bufs.add(SharedPtr::without_provenance(0x1000 + u64::from(bid)), 10, bid));
}

#[test]
fn a_new_ring_is_empty_whatever_its_memory_held() {
    let shared = Shared::new();
    let mut bufs = shared.bufs();
    assert_eq!((shared.tail(), bufs.tail(), bufs.capacity()), (0, 0, COUNT));
    assert_eq!(bufs.bundle(0xa5a5, u32::MAX).next(), None);
    assert_eq!((bufs.publish(), shared.tail()), (0, 0));
}

#[test]
fn nothing_is_visible_before_it_is_published() {
    let shared = Shared::new();
    for start in [0, START, u16::MAX] {
        let mut bufs = shared.bufs().starting_at(start);
        for bid in [7, 8] {
            add(&mut bufs, bid);
            assert_eq!(shared.tail(), start);
            assert_eq!(bufs.bundle(bid, 10).next(), None);
        }
        assert_eq!((bufs.publish(), shared.tail()), (2, start.wrapping_add(2)));
        assert_eq!((bufs.publish(), shared.tail()), (0, start.wrapping_add(2)));
        assert_eq!(bufs.bundle(7, 20).collect::<Vec<_>>(), [(7, 10), (8, 10)]);
    }
}

#[test]
fn entries_are_consecutive_across_the_wrap() {
    let shared = Shared::new();
    let mut bufs = shared.bufs().starting_at(START);
    for bid in 0..20_u16 {
        add(&mut bufs, bid);
        assert_eq!((bufs.publish(), bufs.tail()), (1, START.wrapping_add(bid + 1)));
        assert_eq!(shared.tail(), bufs.tail());
        let index = START.wrapping_add(bid) % COUNT;
        assert_eq!(shared.entry(index), (0x1000 + u64::from(bid), 10, bid));
        assert_eq!(bufs.bundle(bid, 10).collect::<Vec<_>>(), [(bid, 10)]);
    }
}

/// The tail is in the first entry, in bytes that an entry does not use.
#[test]
fn the_first_entry_and_the_tail_do_not_overwrite_each_other() {
    let shared = Shared::new();
    let mut bufs = shared.bufs().starting_at(0xfffc);
    for round in 0..4_u16 {
        let before = shared.tail();
        assert_eq!(before % COUNT, 0, "the next entry is the first");
        assert!(bufs.add(SharedPtr::without_provenance(u64::MAX), u32::MAX, u16::MAX));
        assert_eq!((shared.tail(), shared.entry(0)), (before, (u64::MAX, u32::MAX, u16::MAX)));
        assert!(bufs.add(SharedPtr::NULL, 0, 0));
        add(&mut bufs, 10 + round);
        add(&mut bufs, 20 + round);
        bufs.publish();
        (0..4).for_each(|_| bufs.reclaim());
        assert_eq!(shared.tail(), before.wrapping_add(4));
        assert_eq!(shared.entry(0), (u64::MAX, u32::MAX, u16::MAX));
        assert_eq!(shared.entry(1), (0, 0, 0));
    }
}

#[test]
fn a_bundle_ends_at_its_byte_count_or_at_the_last_entry() {
    let shared = Shared::new();
    let mut bufs = shared.bufs().starting_at(START);
    (0..4).for_each(|bid| add(&mut bufs, bid));
    bufs.publish();
    assert_eq!(bufs.bundle(0, 0).next(), None);
    assert_eq!(bufs.bundle(0, 11).collect::<Vec<_>>(), [(0, 10), (1, 1)]);
    let mut rest = bufs.bundle(2, u32::MAX);
    assert_eq!([rest.next(), rest.next(), rest.next()], [Some((2, 10)), Some((3, 10)), None]);
    assert_eq!(rest.next(), None);
    assert_eq!(bufs.bundle(3, 10).next(), None, "reclaimed already");
}

#[test]
fn a_bundle_contains_only_published_buffers() {
    let shared = Shared::new();
    let mut bufs = shared.bufs().starting_at(START);
    (0..COUNT - 1).for_each(|bid| add(&mut bufs, bid));
    bufs.publish();
    add(&mut bufs, 9);
    assert_eq!(bufs.bundle(9, 100).next(), None);
    let found: Vec<_> = bufs.bundle(0, 100).map(|(bid, _)| bid).collect();
    assert_eq!(found, [0, 1, 2]);
    assert_eq!(bufs.out(), 1);
}

#[test]
fn add_fails_on_a_full_ring_until_a_buffer_is_reclaimed() {
    let shared = Shared::new();
    for start in [0, START, u16::MAX] {
        let mut bufs = shared.bufs().starting_at(start);
        (0..COUNT).for_each(|bid| add(&mut bufs, bid));
        for is_published in [false, true] {
            let before = (bufs.tail(), shared.entry(start % COUNT));
            assert!(!bufs.add(SharedPtr::NULL, 1, 9), "published: {is_published}");
            assert_eq!(
                (bufs.tail(), shared.entry(start % COUNT), bufs.out()),
                (before.0, before.1, 4)
            );
            bufs.publish();
        }
        bufs.reclaim();
        add(&mut bufs, 9);
        assert!(!bufs.add(SharedPtr::NULL, 1, 10));
        assert_eq!(bufs.publish(), 1);
        let found: Vec<_> = bufs.bundle(1, u32::MAX).map(|(bid, _)| bid).collect();
        assert_eq!((found, bufs.out()), (vec![1, 2, 3, 9], 0));
    }
}

/// Goal: a bundle contains no buffer that the program holds, even if plain completions were not
/// reported. Method: buffer 0 was returned and added again; the program holds 1 and 2.
#[test]
fn a_bundle_begins_at_the_latest_entry_of_its_first_buffer() {
    let shared = Shared::new();
    let mut bufs = shared.bufs().starting_at(START);
    [0, 1].iter().for_each(|bid| add(&mut bufs, *bid));
    bufs.publish();
    // As after plain completions that were not reported.
    shared.spoil(START % COUNT, 10, 0xffff);
    add(&mut bufs, 0);
    shared.spoil(START % COUNT, 10, 0);
    add(&mut bufs, 7);
    bufs.publish();
    assert_eq!(bufs.bundle(0, 20).collect::<Vec<_>>(), [(0, 10), (7, 10)]);
}

#[test]
fn a_bundle_skips_reclaimed_entries_with_the_same_id() {
    let shared = Shared::new();
    let mut bufs = shared.bufs().starting_at(START);
    for _ in 0..5 {
        [1, 2].iter().for_each(|bid| add(&mut bufs, *bid));
        bufs.publish();
        assert_eq!(bufs.bundle(1, 15).collect::<Vec<_>>(), [(1, 10), (2, 5)]);
    }
}

/// Goal: bundles are reported as the kernel consumed them. Method: buffers of any length,
/// consumed in any numbers, are compared with a queue; every fifth completion has a single
/// buffer and is reported as such.
#[test]
fn bundles_are_the_same_as_in_a_model_queue() {
    let step = |random: &mut Random| {
        (random.within(1..=8), random.within(1..=4) as usize, random.below(3))
    };
    let make = |random: &mut Random, longest| {
        let start = u16::MAX - u16::try_from(random.below(12)).unwrap();
        (start, random.list(longest, step))
    };
    let cases = if cfg!(miri) { 8 } else { 1024 };
    on_any(cases, 60, make, |(start, steps)| bundles_are_as_in_a_queue(*start, steps));
}

fn bundles_are_as_in_a_queue(start: u16, steps: &[(u32, usize, u32)]) {
    let shared = Shared::new();
    let mut bufs = shared.bufs().starting_at(start);
    let mut free: VecDeque<u16> = (0..COUNT).collect();
    let mut given: VecDeque<(u16, u32)> = VecDeque::new();
    for (number, &(len, count, short)) in steps.iter().enumerate() {
        while let Some(bid) = free.pop_front() {
            assert!(bufs.add(SharedPtr::NULL, len, bid));
            given.push_back((bid, len));
        }
        bufs.publish();
        let count = if number % 5 == 4 { 1 } else { count.min(given.len()) };
        let mut taken: Vec<_> = given.drain(..count).collect();
        free.extend(taken.iter().map(|(bid, _)| *bid));
        if number % 5 == 4 {
            taken.iter().for_each(|_| bufs.reclaim());
            continue;
        }
        if let Some((_, last)) = taken.last_mut() {
            *last = last.saturating_sub(short).max(1);
        }
        let bytes = taken.iter().map(|(_, len)| len).sum();
        let first = taken.first().map_or(0, |(bid, _)| *bid);
        assert_eq!(bufs.bundle(first, bytes).collect::<Vec<_>>(), taken);
    }
}

/// Whatever the other side writes, each bundle ends, and stays within the ring.
#[test]
fn no_entry_makes_a_bundle_longer_than_the_ring() {
    let make = |random: &mut Random, longest| {
        let small = |random: &mut Random, end| u16::try_from(random.below(end)).unwrap();
        let (start, added, first) = (small(random, 1 << 16), small(random, 9), small(random, 6));
        let spoil =
            |random: &mut Random| (small(random, u32::from(COUNT)), random.any(), small(random, 6));
        (start, added.min(COUNT), random.list(longest, spoil), first, random.any())
    };
    let cases = if cfg!(miri) { 8 } else { 1024 };
    on_any(cases, 8, make, |(start, added, spoilt, first, bytes)| {
        stays_in_the_ring(*start, *added, spoilt, *first, *bytes);
    });
}

fn stays_in_the_ring(start: u16, added: u16, spoilt: &[(u16, u32, u16)], first: u16, bytes: u32) {
    let shared = Shared::new();
    let mut bufs = shared.bufs().starting_at(start);
    (0..added).for_each(|bid| add(&mut bufs, bid));
    bufs.publish();
    for &(index, len, bid) in spoilt {
        shared.spoil(index, if len % 3 == 0 { 0 } else { len }, bid);
    }
    for _ in 0..2 {
        let found: Vec<_> = bufs.bundle(first, bytes).collect();
        assert!(found.len() <= usize::from(added));
        assert!(found.iter().map(|(_, len)| u64::from(*len)).sum::<u64>() <= bytes.into());
    }
    assert_eq!(shared.tail(), start.wrapping_add(added));
}
