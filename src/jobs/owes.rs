//! What a completion owns until somebody takes it: [`Owes`].

use rustix::fd::{FromRawFd, OwnedFd};

use crate::sys::CqeFlags;

use super::place::Source;
use super::user_data::{BUFFER, DESCRIPTOR, SLOT};

/// What the shown event owns and nobody has taken.
///
/// It belongs to that completion, and is kept apart from the place: a place that is used again
/// cannot change it.
#[cfg_attr(not(feature = "alloc"), expect(dead_code, reason = "given out by `alloc` alone"))]
#[derive(Debug)]
pub(super) enum Owes {
    /// Nothing.
    Nothing,
    /// A descriptor that the operation made.
    Descriptor(OwnedFd),
    /// A slot of the file table that the operation filled.
    Slot(u32),
    /// A provided buffer.
    Buffer(Lent),
    /// What the links of the chain in this place made.
    Chain(u32),
}

/// A provided buffer, as a completion names it; of a bundle, the first of several.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lent {
    pub(super) from: Source,
    pub(super) id: u16,
    /// How many bytes the kernel wrote.
    pub(super) len: u32,
    pub(super) flags: CqeFlags,
}

impl Owes {
    /// What a completion owns, by its user data and its flags.
    #[inline(always)]
    pub(super) fn of(user_data: u64, from: Source, result: i32, flags: CqeFlags) -> Self {
        if user_data & BUFFER != 0 && flags.contains(CqeFlags::BUFFER) {
            return Self::buffer(from, result, flags);
        }
        if user_data & (DESCRIPTOR | SLOT) == 0 || result < 0 {
            return Self::Nothing;
        }
        if user_data & DESCRIPTOR != 0 {
            // SAFETY: the kernel wrote the number in answer to an operation that makes a descriptor
            // (J8): the bit is in the user data of such operations alone, and no one else posts to
            // the ring (J1). Each completion comes here once.
            return Self::Descriptor(unsafe { OwnedFd::from_raw_fd(result) });
        }
        Self::Slot(result.unsigned_abs())
    }

    /// The buffer that the flags of a completion name.
    #[inline(always)]
    pub(super) fn buffer(from: Source, result: i32, flags: CqeFlags) -> Self {
        let Some(id) = flags.buffer_id() else { return Self::Nothing };
        // A failure may have a buffer, too, and nothing in it.
        let len = u32::try_from(result).unwrap_or(0);
        Self::Buffer(Lent { from, id, len, flags })
    }

    /// The provided buffers that a completion names, if this is one; then nothing is left.
    #[cfg(feature = "alloc")]
    #[inline]
    pub(super) fn take_buffer(&mut self) -> Option<Lent> {
        let Self::Buffer(lent) = *self else { return None };
        *self = Self::Nothing;
        Some(lent)
    }

    /// The slot, if this is one; then nothing is left.
    #[cfg(feature = "alloc")]
    pub(super) fn take_slot(&mut self) -> Option<u32> {
        let Self::Slot(slot) = *self else { return None };
        *self = Self::Nothing;
        Some(slot)
    }

    /// The descriptor, if this is one; then nothing is left.
    pub(super) fn take_descriptor(&mut self) -> Option<OwnedFd> {
        match core::mem::replace(self, Self::Nothing) {
            Self::Descriptor(fd) => Some(fd),
            other => {
                *self = other;
                None
            }
        }
    }
}
