//! The memory of a ring: its words, which are accessed only atomically, and its slots.
//!
//! Where the ABI permits it, everything is at a different offset than in a real kernel.

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

/// If the program is given false sizes, its memory fits them up to this length in bytes.
const MOST_TOLD: u64 = 64 * 1024;

/// The alignment of the part of a region that the program gets.
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

/// The memory of one ring, and its layout.
pub(super) struct Memory {
    rings: Region,
    sqes: Region,
    pub(super) sq_entries: u32,
    pub(super) cq_entries: u32,
    /// The offset of the index array, if there is one.
    array: Option<u32>,
    cqes: u32,
    /// The length of a slot in bytes.
    sqe_size: u32,
    cqe_size: u32,
}

/// Page-aligned memory, initially zero, and not a byte longer than necessary, so that tools which
/// check memory report accesses beyond it.
pub(super) struct Region {
    start: NonNull<u8>,
    layout: Layout,
    /// The number of bytes at the start that the program does not get.
    hidden: usize,
}

// SAFETY: a region belongs to its owner, like a boxed slice; only the program of the ring shares
// it, by the rules of the rings.
unsafe impl Send for Region {}
// SAFETY: a shared reference to a region gives access only to its address.
unsafe impl Sync for Region {}

impl Region {
    pub(super) fn new(len: u32) -> Result<Self, Errno> {
        let len = usize::try_from(len).map_err(|_| Errno::NOMEM)?;
        Self::for_both(len, len)
    }

    /// Allocates `own` bytes for this side, and `told` for the program, which end at the end of the
    /// memory.
    fn for_both(own: usize, told: usize) -> Result<Self, Errno> {
        let hidden = own.saturating_sub(told).next_multiple_of(LINE);
        let layout = Layout::from_size_align(hidden + told, PAGE).map_err(|_| Errno::NOMEM)?;
        // SAFETY: the size is not zero, because `own` is not.
        let start = unsafe { alloc_zeroed(layout) };
        Ok(Self { start: NonNull::new(start).ok_or(Errno::NOMEM)?, layout, hidden })
    }

    /// Makes the program's part as long as the false sizes require, unless that is too long.
    /// Nothing uses the memory yet.
    fn fit(&mut self, told: u64) -> Result<(), Errno> {
        let own = self.layout.size();
        let Some(told) = usize::try_from(told).ok().filter(|told| *told as u64 <= MOST_TOLD) else {
            return Ok(());
        };
        if told == own {
            return Ok(());
        }
        let other = Self::for_both(own, told)?;
        // SAFETY: two regions of at least `own` bytes.
        unsafe { core::ptr::copy_nonoverlapping(self.start.as_ptr(), other.start.as_ptr(), own) };
        *self = other;
        Ok(())
    }

    /// The address `offset` bytes after the start, where at least `len` bytes follow.
    fn at(&self, offset: u32, len: u32) -> *mut u8 {
        let end = u64::from(offset) + u64::from(len);
        assert!(end <= self.layout.size() as u64, "the simulated kernel left its ring");
        // SAFETY: inside the region, checked on the line above.
        unsafe { self.start.as_ptr().add(offset as usize) }
    }

    /// The part that the program gets.
    pub(super) fn shared(&self) -> NonNull<[u8]> {
        // SAFETY: inside the region.
        let start = unsafe { self.start.add(self.hidden) };
        NonNull::slice_from_raw_parts(start, self.layout.size() - self.hidden)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the ring is closed, and nothing uses it any more.
        unsafe { dealloc(self.start.as_ptr(), self.layout) }
    }
}

impl Memory {
    /// Makes memory for a ring, with all its positions at `position`.
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

    /// Fills in the values that set-up returns about the memory.
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

    /// Fits the program's memory to the values that it is given, which may be false.
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

    /// The memory that the program gets in place of a mapping.
    pub(super) fn shared(&self) -> RingMemory {
        RingMemory { rings: self.rings.shared(), sqes: self.sqes.shared() }
    }

    /// Loads a word.
    pub(super) fn load(&self, word: Word) -> u32 {
        self.word(word).load(Ordering::Acquire)
    }

    /// Changes a word: one that this side writes or, for a test, any other.
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
        // 2. Both sides access it only atomically.
        unsafe { AtomicU32::from_ptr(word) }
    }

    /// The value of a slot of the index array or, without an array, the slot itself.
    pub(super) fn index(&self, slot: u32) -> u32 {
        let Some(array) = self.array else { return slot };
        let index: *const u32 = self.rings.at(array + 4 * (slot % self.sq_entries), 4).cast();
        // SAFETY: inside the region and aligned; the program wrote it before it published the
        // entry.
        unsafe { index.read() }
    }

    /// The entry in a slot. Its pointers keep the provenance with which they were pushed.
    pub(super) fn sqe(&self, slot: u32) -> io_uring_sqe {
        let sqe: *const io_uring_sqe = self.sqe_at(slot).cast();
        // SAFETY: a slot of at least 64 bytes, aligned; every bit pattern is an entry. The program
        // does not write to it: the entry is published, and not consumed.
        unsafe { sqe.read() }
    }

    /// The last 64 bytes of an entry of 128 bytes that is in this slot or starts in it.
    pub(super) fn payload(&self, slot: u32) -> [u8; 64] {
        let offset = (slot % self.sq_entries) * self.sqe_size + 64;
        let payload: *const [u8; 64] = self.sqes.at(offset, 64).cast();
        // SAFETY: inside the region, as `Region::at` checked; bytes need no alignment. The program
        // does not write to it, as above.
        unsafe { payload.read() }
    }

    /// Fills a slot of the completion queue and, if `extra` is given, the 16 bytes after its first
    /// 16. These are part of the slot or of the next slot, which must be before the end.
    pub(super) fn put_cqe(&self, slot: u32, cqe: io_uring_cqe, extra: Option<[u64; 2]>) {
        let len = if extra.is_some() { 32 } else { 16 };
        let place: *mut io_uring_cqe = self.rings.at(self.cqe_offset(slot), len).cast();
        // SAFETY: inside the region and aligned. The program does not read it: the slot is free.
        unsafe { place.write(cqe) };
        if let Some(extra) = extra {
            // SAFETY: at least 32 bytes are there.
            let place = unsafe { place.add(1) };
            // SAFETY: as for the first part.
            unsafe { place.cast::<[u64; 2]>().write(extra) };
        }
    }

    /// Overwrites the program's part of the region of the words and completions.
    pub(super) fn scribble_rings(&self, offset: u32, bytes: &[u8]) {
        let shared = self.rings.shared();
        let offset = offset as usize % shared.len().max(1);
        // SAFETY: inside the region, or at the end of an empty one.
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
    // SAFETY: at most as many bytes as either side has, and `bytes` cannot overlap the ring's
    // memory, to which no slice refers.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), place, len) }
}
