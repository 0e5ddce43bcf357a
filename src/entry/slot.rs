//! How entries lie in the slots of a queue.
//!
//! An entry takes one slot, but for the wide ones of a mixed queue, which take two next to
//! each other and are never split by the end of the queue.

use core::fmt;
use core::mem::{MaybeUninit, offset_of};

use super::{Cqe, Cqe32, CqeMixed, SqEntry, Sqe, Sqe128, SqeMixed};
use crate::sys::{CqeFlags, io_uring_sqe};

/// A kind of submission entry, as it lies in slots.
pub trait SqSlots: Sized {
    /// What the submission queue is an array of.
    type Slot: Copy + fmt::Debug;

    /// How many slots this entry takes.
    fn slots(&self) -> u32;

    /// Copies this entry into its slots.
    ///
    /// # Safety
    ///
    /// From `first` on, as many slots as the entry takes are valid for writes.
    unsafe fn store(self, first: *mut Self::Slot);

    /// Copies the entry out that starts at `first`. Returns it, and how many slots it takes: at
    /// most `readable`.
    ///
    /// # Safety
    ///
    /// From `first` on, `readable` slots, at least one, are valid for reads.
    unsafe fn load(first: *const Self::Slot, readable: u32) -> (Self, u32);
}

/// A kind of completion entry, as it lies in slots.
pub trait CqSlots: Sized {
    /// What the completion queue is an array of.
    type Slot: Copy + fmt::Debug;

    /// Copies the entry out that starts at `first`, and says how many slots it takes: `None`
    /// for one that only fills slots.
    ///
    /// # Safety
    ///
    /// From `first` on, as many slots as `readable` says, at least one, are valid for reads. No
    /// more are read, whatever the entry says; it is asked only when the entry says two.
    unsafe fn load(first: *const Self::Slot, readable: impl FnOnce() -> u32)
    -> (Option<Self>, u32);
}

/// Eight bytes of an entry: a number, an address that stays one, or parts of several.
type Word = MaybeUninit<u64>;

/// Where in an entry two words are that hold no address, in words: the user data, and what next to
/// no operation uses.
const PAIR: usize = offset_of!(io_uring_sqe, user_data) / size_of::<Word>();

/// Stores two words behind each other: by one instruction where there is one that the compiler does
/// not find. A push takes as long as its stores.
///
/// # Safety
///
/// Both words are valid for writes from `to` on, and aligned to 8 bytes.
#[inline(always)]
unsafe fn store_pair([low, high]: [u64; 2], to: *mut Word) {
    #[cfg(all(target_arch = "x86_64", target_feature = "sse2"))]
    {
        use core::arch::x86_64::{_mm_set_epi64x, _mm_storeu_si128};
        #[allow(unused_unsafe, reason = "safe since Rust 1.87")]
        // SAFETY: it needs SSE2, which the target has.
        let pair = unsafe { _mm_set_epi64x(high as i64, low as i64) };
        // SAFETY: 16 bytes are valid for writes, by the contract; they need not be aligned.
        unsafe { _mm_storeu_si128(to.cast(), pair) };
    }
    #[cfg(not(all(target_arch = "x86_64", target_feature = "sse2")))]
    {
        // SAFETY: 16 bytes are valid for writes, and aligned for words, by the contract.
        unsafe { to.cast::<[u64; 2]>().write([low, high]) };
    }
}

impl SqSlots for Sqe {
    type Slot = Self;

    #[inline(always)]
    fn slots(&self) -> u32 {
        1
    }

    #[inline(always)]
    unsafe fn store(self, first: *mut Self) {
        // Word by word: so an entry that is made and pushed is never whole but in its slot. Copied
        // whole, it is put together on the stack first. From the last to the first: then the
        // compiler forms the address of the next slot where it needs this one no more.
        let from = (&raw const self).cast::<Word>();
        let to = first.cast::<Word>();
        for n in (0..size_of::<Self>() / size_of::<Word>()).rev() {
            // SAFETY: a word of `self`.
            let from = unsafe { from.add(n) };
            // SAFETY: a word of the slot, which is as long.
            let to = unsafe { to.add(n) };
            if n == PAIR {
                // SAFETY: this word and the next one are inside `self`, aligned to 8 bytes; no byte
                // of an entry is uninitialised (`io_uring_sqe::as_bytes`).
                let pair = unsafe { from.cast::<[u64; 2]>().read() };
                // SAFETY: one slot is valid for writes, by the contract, and aligned as `self`.
                unsafe { store_pair(pair, to) };
            } else if n != PAIR + 1 {
                // SAFETY: inside `self`, aligned to 8 bytes; any bytes are a word.
                let word = unsafe { from.read() };
                // SAFETY: one slot is valid for writes, by the contract, and aligned as `self`.
                unsafe { to.write(word) };
            }
        }
    }

    unsafe fn load(first: *const Self, _: u32) -> (Self, u32) {
        // SAFETY: one slot is valid for reads, by the contract; any bytes are an entry.
        (unsafe { first.read() }, 1)
    }
}

impl SqSlots for Sqe128 {
    type Slot = Self;

    #[inline(always)]
    fn slots(&self) -> u32 {
        1
    }

    #[inline(always)]
    unsafe fn store(self, first: *mut Self) {
        // SAFETY: inside one slot.
        let payload = unsafe { &raw mut (*first).payload };
        // SAFETY: one slot is valid for writes, by the contract.
        unsafe { payload.write(self.payload) };
        // SAFETY: as above; the narrow entry is its first half.
        unsafe { self.sqe.store(first.cast()) };
    }

    unsafe fn load(first: *const Self, _: u32) -> (Self, u32) {
        // SAFETY: one slot is valid for reads, by the contract; any bytes are an entry.
        (unsafe { first.read() }, 1)
    }
}

impl SqSlots for SqeMixed {
    type Slot = Sqe;

    #[inline(always)]
    fn slots(&self) -> u32 {
        if self.is_wide() { 2 } else { 1 }
    }

    #[inline(always)]
    unsafe fn store(self, first: *mut Sqe) {
        if self.is_wide() {
            // SAFETY: two slots of 64 bytes are, and both types are aligned alike.
            unsafe { (*self.as_wide()).store(first.cast()) }
        } else {
            // SAFETY: one slot is valid for writes, by the contract.
            unsafe { (*self.as_sqe()).store(first) }
        }
    }

    unsafe fn load(first: *const Sqe, readable: u32) -> (Self, u32) {
        // SAFETY: one slot is valid for reads, by the contract; any bytes are an entry.
        let narrow = Self::from(unsafe { first.read() });
        if narrow.slots() > 1 && readable > 1 {
            // SAFETY: two slots of 64 bytes are, and both types are aligned alike.
            let wide = unsafe { first.cast::<Sqe128>().read() };
            return (Self::from(wide), 2);
        }
        (narrow, 1)
    }
}

impl CqSlots for Cqe {
    type Slot = Self;

    #[inline(always)]
    unsafe fn load(first: *const Self, _: impl FnOnce() -> u32) -> (Option<Self>, u32) {
        // SAFETY: one slot is valid for reads, by the contract; any bytes are an entry.
        (Some(unsafe { first.read() }), 1)
    }
}

impl CqSlots for Cqe32 {
    type Slot = Self;

    #[inline(always)]
    unsafe fn load(first: *const Self, _: impl FnOnce() -> u32) -> (Option<Self>, u32) {
        // SAFETY: one slot is valid for reads, by the contract; any bytes are an entry.
        (Some(unsafe { first.read() }), 1)
    }
}

impl CqSlots for CqeMixed {
    type Slot = Cqe;

    #[inline(always)]
    unsafe fn load(first: *const Cqe, readable: impl FnOnce() -> u32) -> (Option<Self>, u32) {
        // SAFETY: one slot is valid for reads, by the contract; any bytes are an entry.
        let cqe = unsafe { first.read() };
        if !cqe.flags().intersects(CqeFlags::SKIP.union(CqeFlags::F_32)) {
            return (Some(Self::Narrow(cqe)), 1);
        }
        if cqe.flags().contains(CqeFlags::SKIP) {
            return (None, 1);
        }
        if readable() >= 2 {
            // SAFETY: two slots of 16 bytes are, and both types are aligned alike.
            return (Some(Self::Wide(unsafe { first.cast::<Cqe32>().read() })), 2);
        }
        (Some(Self::Narrow(cqe)), 1)
    }
}

const _: () = {
    assert!(size_of::<Sqe>() == 64 && size_of::<Sqe128>() == 128);
    assert!(size_of::<Cqe>() == 16 && size_of::<Cqe32>() == 32);
    assert!(align_of::<Sqe>() == align_of::<Sqe128>() && align_of::<Sqe>() >= align_of::<u64>());
    assert!(align_of::<Cqe>() == align_of::<Cqe32>());
};
