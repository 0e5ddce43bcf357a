//! The memory of a ring: its words, accessed atomically alone, and its slots.
//!
//! Everything is where a real kernel does not put it, as far as the ABI leaves that open.

use core::alloc::Layout;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU32, Ordering};
use std::alloc::{alloc_zeroed, dealloc};

use rustix::io::Errno;

use crate::ring::map::RingMemory;
use crate::sys::{
    SetupFlags, io_cqring_offsets, io_sqring_offsets, io_uring_cqe, io_uring_params, io_uring_sqe,
};

use super::Word;

const PAGE: usize = 4096;

/// A program that was told other sizes than the ring's finds memory for them up to here.
const MOST_TOLD: u64 = 64 * 1024;

/// The alignment of what the program gets of a region.
const LINE: usize = 64;

const CQ_OVERFLOW: u32 = 0;
const CQ_FLAGS: u32 = 4;
const SQ_DROPPED: u32 = 8;
const SQ_FLAGS: u32 = 12;
const CQ_TAIL: u32 = 64;
const SQ_TAIL: u32 = 128;
const CQ_HEAD: u32 = 192;
const SQ_HEAD: u32 = 256;
const CQ_ENTRIES: u32 = 320;
const CQ_MASK: u32 = 324;
const SQ_ENTRIES: u32 = 328;
const SQ_MASK: u32 = 332;
const ARRAY: u32 = 384;

/// The memory of one ring, and where things are in it.
pub(super) struct Memory {
    rings: Region,
    sqes: Region,
    pub(super) sq_entries: u32,
    pub(super) cq_entries: u32,
    /// Where the index array is, if there is one.
    array: Option<u32>,
    cqes: u32,
    /// Bytes of a slot.
    sqe_size: u32,
    cqe_size: u32,
}

/// Page-aligned memory, zero to start with, and not a byte longer than it has to be: whoever goes
/// beyond leaves it, which tools that check memory see.
pub(super) struct Region {
    start: NonNull<u8>,
    layout: Layout,
    /// Bytes at the start that the program does not get.
    hidden: usize,
}

// SAFETY: a region is its owner's, like a boxed slice; who shares it is the program that the ring
// belongs to, by the rules of the rings.
unsafe impl Send for Region {}
// SAFETY: a shared region gives out nothing but its address.
unsafe impl Sync for Region {}

impl Region {
    pub(super) fn new(len: u32) -> Result<Self, Errno> {
        let len = usize::try_from(len).map_err(|_| Errno::NOMEM)?;
        Self::for_both(len, len)
    }

    /// `own` bytes for this side, and `told` for the program, which end where the memory does.
    fn for_both(own: usize, told: usize) -> Result<Self, Errno> {
        let hidden = own.saturating_sub(told).next_multiple_of(LINE);
        let layout = Layout::from_size_align(hidden + told, PAGE).map_err(|_| Errno::NOMEM)?;
        // SAFETY: the size is not zero: neither `own` is, nor a multiple of a line above it.
        let start = unsafe { alloc_zeroed(layout) };
        Ok(Self { start: NonNull::new(start).ok_or(Errno::NOMEM)?, layout, hidden })
    }

    /// Gives the program as much as it was told, if that is not too much. Nobody uses it yet.
    fn fit(&mut self, told: u64) -> Result<(), Errno> {
        let own = self.layout.size();
        let Some(told) = usize::try_from(told).ok().filter(|told| *told as u64 <= MOST_TOLD) else {
            return Ok(());
        };
        if told == own {
            return Ok(());
        }
        let other = Self::for_both(own, told)?;
        // SAFETY: two regions, of `own` bytes at the least.
        unsafe { core::ptr::copy_nonoverlapping(self.start.as_ptr(), other.start.as_ptr(), own) };
        *self = other;
        Ok(())
    }

    /// The address `offset` bytes in, with `len` bytes behind it.
    fn at(&self, offset: u32, len: u32) -> *mut u8 {
        let end = u64::from(offset) + u64::from(len);
        assert!(end <= self.layout.size() as u64, "the simulated kernel left its ring");
        // SAFETY: inside the region, checked on the line above.
        unsafe { self.start.as_ptr().add(offset as usize) }
    }

    /// What the program gets.
    pub(super) fn shared(&self) -> NonNull<[u8]> {
        // SAFETY: inside the region.
        let start = unsafe { self.start.add(self.hidden) };
        NonNull::slice_from_raw_parts(start, self.layout.size() - self.hidden)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the ring is closed, and nobody uses it any more.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

impl Memory {
    /// Memory for a ring, with its positions where they start.
    pub(super) fn new(
        setup: SetupFlags,
        sq_entries: u32,
        cq_entries: u32,
        position: u32,
    ) -> Result<Self, Errno> {
        let sqe_size = if setup.contains(SetupFlags::SQE128) { 128 } else { 64 };
        let cqe_size = if setup.contains(SetupFlags::CQE32) { 32 } else { 16 };
        let array = (!setup.contains(SetupFlags::NO_SQARRAY)).then_some(ARRAY);
        let cqes =
            if array.is_some() { (ARRAY + 4 * sq_entries).next_multiple_of(64) } else { 448 };
        let memory = Self {
            rings: Region::new(cqes + cq_entries * cqe_size)?,
            sqes: Region::new(sq_entries * sqe_size)?,
            sq_entries,
            cq_entries,
            array,
            cqes,
            sqe_size,
            cqe_size,
        };
        for word in [Word::SqHead, Word::SqTail, Word::CqHead, Word::CqTail] {
            memory.store(word, position);
        }
        memory.at(SQ_ENTRIES).store(sq_entries, Ordering::Relaxed);
        memory.at(SQ_MASK).store(sq_entries - 1, Ordering::Relaxed);
        memory.at(CQ_ENTRIES).store(cq_entries, Ordering::Relaxed);
        memory.at(CQ_MASK).store(cq_entries - 1, Ordering::Relaxed);
        Ok(memory)
    }

    /// Fills in what set-up returns about the memory.
    pub(super) fn describe(&self, params: &mut io_uring_params) {
        params.sq_entries = self.sq_entries;
        params.cq_entries = self.cq_entries;
        params.sq_off = io_sqring_offsets {
            head: SQ_HEAD,
            tail: SQ_TAIL,
            ring_mask: SQ_MASK,
            ring_entries: SQ_ENTRIES,
            flags: SQ_FLAGS,
            dropped: SQ_DROPPED,
            array: self.array.unwrap_or(0),
            ..params.sq_off
        };
        params.cq_off = io_cqring_offsets {
            head: CQ_HEAD,
            tail: CQ_TAIL,
            ring_mask: CQ_MASK,
            ring_entries: CQ_ENTRIES,
            overflow: CQ_OVERFLOW,
            cqes: self.cqes,
            flags: CQ_FLAGS,
            ..params.cq_off
        };
    }

    /// Gives the program memory for what it is told, which need not be what there is.
    pub(super) fn fit(&mut self, params: &io_uring_params) -> Result<(), Errno> {
        let end = |offset: u32, count: u32, size: u32| {
            u64::from(offset) + u64::from(count) * u64::from(size)
        };
        let has_array = !params.flags.contains(SetupFlags::NO_SQARRAY);
        let array = if has_array { end(params.sq_off.array, params.sq_entries, 4) } else { 0 };
        let cqes = end(params.cq_off.cqes, params.cq_entries, self.cqe_size);
        self.rings.fit(array.max(cqes))?;
        self.sqes.fit(end(0, params.sq_entries, self.sqe_size))
    }

    /// What the program gets to map.
    pub(super) fn shared(&self) -> RingMemory {
        RingMemory { rings: self.rings.shared(), sqes: self.sqes.shared() }
    }

    /// A word, for those that only look at it.
    pub(super) fn load(&self, word: Word) -> u32 {
        self.word(word).load(Ordering::Acquire)
    }

    /// Changes a word that this side writes, or, for a test, one that it does not.
    pub(super) fn store(&self, word: Word, value: u32) {
        self.word(word).store(value, Ordering::Release);
    }

    /// A shared word.
    pub(super) fn word(&self, word: Word) -> &AtomicU32 {
        self.at(match word {
            Word::SqHead => SQ_HEAD,
            Word::SqTail => SQ_TAIL,
            Word::SqFlags => SQ_FLAGS,
            Word::SqDropped => SQ_DROPPED,
            Word::CqHead => CQ_HEAD,
            Word::CqTail => CQ_TAIL,
            Word::CqFlags => CQ_FLAGS,
            Word::CqOverflow => CQ_OVERFLOW,
        })
    }

    fn at(&self, offset: u32) -> &AtomicU32 {
        let word = self.rings.at(offset, 4).cast();
        // SAFETY:
        // 1. Valid and aligned: inside the region, as `Region::at` checked, which is aligned to a
        //    page; offsets of words are multiples of 4.
        // 2. Accessed atomically alone, by both sides.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// What the index array says for a slot of it; without one, the slot itself.
    pub(super) fn index(&self, slot: u32) -> u32 {
        let Some(array) = self.array else { return slot };
        let index: *const u32 = self.rings.at(array + 4 * (slot % self.sq_entries), 4).cast();
        // SAFETY: inside the region and aligned; the program wrote it before it published the
        // entry.
        unsafe { index.read() }
    }

    /// The entry in a slot, with its addresses as they were pushed.
    pub(super) fn sqe(&self, slot: u32) -> io_uring_sqe {
        let sqe: *const io_uring_sqe = self.sqe_at(slot).cast();
        // SAFETY: a slot of at least 64 bytes, aligned; any bytes are an entry. The program does
        // not write to it: the entry is published, and not taken.
        unsafe { sqe.read() }
    }

    /// The last 64 bytes of an entry of 128, which is in this slot or starts in it.
    pub(super) fn payload(&self, slot: u32) -> [u8; 64] {
        let offset = (slot % self.sq_entries) * self.sqe_size + 64;
        let payload: *const [u8; 64] = self.sqes.at(offset, 64).cast();
        // SAFETY: inside the region, as `Region::at` checked; bytes need no alignment. The program
        // does not write to it, as above.
        unsafe { payload.read() }
    }

    /// Fills a slot of the completion queue, and the 16 bytes after its first ones if `extra` is
    /// there: then they are part of the slot, or of the next one, which is not behind the end.
    pub(super) fn put_cqe(&self, slot: u32, cqe: io_uring_cqe, extra: Option<[u64; 2]>) {
        let len = if extra.is_some() { 32 } else { 16 };
        let place: *mut io_uring_cqe = self.rings.at(self.cqe_offset(slot), len).cast();
        // SAFETY: inside the region and aligned. The program does not look: the slot is free.
        unsafe { place.write(cqe) };
        if let Some(extra) = extra {
            // SAFETY: there are 32 bytes.
            let place = unsafe { place.add(1) };
            // SAFETY: as for the first part.
            unsafe { place.cast::<[u64; 2]>().write(extra) };
        }
    }

    /// Overwrites what the program has of the region of the words and completions.
    pub(super) fn scribble_rings(&self, offset: u32, bytes: &[u8]) {
        let shared = self.rings.shared();
        let offset = offset as usize % shared.len().max(1);
        // SAFETY: inside the region, or at the end of one that has no bytes.
        let place = unsafe { shared.cast::<u8>().add(offset) };
        scribble(place.as_ptr(), bytes, shared.len() - offset);
    }

    pub(super) fn scribble_cqe(&self, slot: u32, bytes: &[u8]) {
        let place = self.rings.at(self.cqe_offset(slot), self.cqe_size);
        scribble(place, bytes, self.cqe_size as usize);
    }

    pub(super) fn scribble_sqe(&self, slot: u32, bytes: &[u8]) {
        scribble(self.sqe_at(slot), bytes, self.sqe_size as usize);
    }

    /// Copies the entry at `position` of each queue from `old`, which has slots of the same size.
    pub(super) fn copy_sqe(&self, old: &Self, position: u32) {
        let (from, to) = (old.sqe_at(position), self.sqe_at(position));
        // SAFETY: two slots of this size, in two regions.
        unsafe { core::ptr::copy_nonoverlapping(from, to, self.sqe_size as usize) }
    }

    pub(super) fn copy_cqe(&self, old: &Self, position: u32) {
        let from = old.rings.at(old.cqe_offset(position), old.cqe_size);
        let to = self.rings.at(self.cqe_offset(position), self.cqe_size);
        // SAFETY: two slots of this size, in two regions.
        unsafe { core::ptr::copy_nonoverlapping(from, to, self.cqe_size as usize) }
    }

    fn sqe_at(&self, slot: u32) -> *mut u8 {
        self.sqes.at((slot % self.sq_entries) * self.sqe_size, self.sqe_size)
    }

    fn cqe_offset(&self, slot: u32) -> u32 {
        self.cqes + (slot % self.cq_entries) * self.cqe_size
    }
}

/// Copies as many of `bytes` as fit into `size` bytes at `place`, which are valid for writes.
fn scribble(place: *mut u8, bytes: &[u8], size: usize) {
    let len = bytes.len().min(size);
    // SAFETY: at most as many bytes as there are on either side, and memory of the ring's is no
    // slice of anybody's.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), place, len) }
}
