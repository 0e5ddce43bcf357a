//! How entries lie in the slots of a queue.
//!
//! An entry takes one slot, but for the wide ones of a mixed queue, which take two next to
//! each other and are never split by the end of the queue.

use core::fmt;
use core::mem::MaybeUninit;

use super::{Cqe, Cqe32, CqeMixed, Sqe, Sqe128, SqeMixed};
use crate::sys::CqeFlags;

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
    /// From `first` on, `readable` slots, at least one, are valid for reads. No more are read,
    /// whatever the entry says.
    unsafe fn load(first: *const Self::Slot, readable: u32) -> (Option<Self>, u32);
}

/// Eight bytes of an entry: a number, an address that stays one, or parts of several.
type Word = MaybeUninit<u64>;

impl SqSlots for Sqe {
    type Slot = Self;

    #[inline(always)]
    fn slots(&self) -> u32 {
        1
    }

    #[inline(always)]
    unsafe fn store(self, first: *mut Self) {
        // Word by word: so an entry that is made and pushed is never whole but in its slot. Copied
        // whole, it is put together on the stack first.
        let from = (&raw const self).cast::<Word>();
        let to = first.cast::<Word>();
        for n in 0..size_of::<Self>() / size_of::<Word>() {
            // SAFETY: a word of `self`.
            let from = unsafe { from.add(n) };
            // SAFETY: inside `self`, aligned to 8 bytes; any bytes are a word.
            let word = unsafe { from.read() };
            // SAFETY: a word of the slot, which is as long.
            let to = unsafe { to.add(n) };
            // SAFETY: one slot is valid for writes, by the contract.
            unsafe { to.write(word) };
        }
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
        // SAFETY: one slot is valid for writes, by the contract.
        unsafe { first.write(self) }
    }
}

impl SqSlots for SqeMixed {
    type Slot = Sqe;

    #[inline(always)]
    fn slots(&self) -> u32 {
        match self {
            Self::Narrow(_) => 1,
            Self::Wide(_) => 2,
        }
    }

    #[inline(always)]
    unsafe fn store(self, first: *mut Sqe) {
        match self {
            // SAFETY: one slot is valid for writes, by the contract.
            Self::Narrow(sqe) => unsafe { sqe.store(first) },
            // SAFETY: two slots of 64 bytes are, and both types are aligned alike.
            Self::Wide(wide) => unsafe { first.cast::<Sqe128>().write(wide) },
        }
    }
}

impl CqSlots for Cqe {
    type Slot = Self;

    #[inline(always)]
    unsafe fn load(first: *const Self, _readable: u32) -> (Option<Self>, u32) {
        // SAFETY: one slot is valid for reads, by the contract; any bytes are an entry.
        (Some(unsafe { first.read() }), 1)
    }
}

impl CqSlots for Cqe32 {
    type Slot = Self;

    #[inline(always)]
    unsafe fn load(first: *const Self, _readable: u32) -> (Option<Self>, u32) {
        // SAFETY: one slot is valid for reads, by the contract; any bytes are an entry.
        (Some(unsafe { first.read() }), 1)
    }
}

impl CqSlots for CqeMixed {
    type Slot = Cqe;

    #[inline(always)]
    unsafe fn load(first: *const Cqe, readable: u32) -> (Option<Self>, u32) {
        // SAFETY: one slot is valid for reads, by the contract; any bytes are an entry.
        let cqe = unsafe { first.read() };
        if cqe.flags().contains(CqeFlags::SKIP) {
            return (None, 1);
        }
        if cqe.flags().contains(CqeFlags::F_32) && readable >= 2 {
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
