//! What is wrong with a [`Builder`] by itself, without asking the kernel.
#![forbid(unsafe_code)]

use rustix::param::page_size;

use crate::entry::{CqEntry, SqEntry};
use crate::ring::layout::ring_bytes;
use crate::setup::build_error::{BuildError, Contradiction};
use crate::setup::flags;
use crate::sys::SetupFlags;

use super::{Builder, MAX_CQ_ENTRIES, MAX_ENTRIES};

/// The bytes that a ring in the caller's memory needs, see
/// [`Builder::memory_needed`](crate::Builder::memory_needed).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryNeeded {
    /// For [`RingMemory::rings`](crate::RingMemory::rings), a multiple of the page size.
    pub rings: usize,
    /// For [`RingMemory::sqes`](crate::RingMemory::sqes), a multiple of the page size.
    pub sqes: usize,
}

impl<S: SqEntry, C: CqEntry> Builder<'_, S, C> {
    /// How many bytes [`memory`](Self::memory) must have for a ring of `entries`.
    ///
    /// # Errors
    ///
    /// [`BuildError::Entries`] or [`BuildError::CqEntries`] for sizes that no ring can have.
    #[doc(alias("io_uring_mlock_size", "io_uring_mlock_size_params", "io_uring_memory_size"))]
    #[doc(alias = "io_uring_memory_size_params")]
    pub fn memory_needed(&self, entries: u32) -> Result<MemoryNeeded, BuildError> {
        self.check_sizes(entries)?;
        let sq_entries = entries.min(MAX_ENTRIES).next_power_of_two();
        let cq_entries =
            self.cq_entries.map_or(2 * sq_entries, |n| n.min(MAX_CQ_ENTRIES).next_power_of_two());
        let pages = |len: usize| len.checked_next_multiple_of(page_size());
        let rings = ring_bytes(sq_entries, cq_entries, size_of::<C::Slot>()).and_then(pages);
        // At most 32,768 entries of at most 128 bytes.
        let sqes = pages(sq_entries as usize * size_of::<S::Slot>());
        match (rings, sqes) {
            (Some(rings), Some(sqes)) => Ok(MemoryNeeded { rings, sqes }),
            _ => Err(BuildError::Entries { entries }),
        }
    }

    pub(super) fn refuse_one_thread(&self) -> Result<(), BuildError> {
        let flags = self.flags.intersection(flags::one_thread());
        if self.register_ring_fd || !flags.is_empty() {
            return Err(BuildError::NeedsOneThread { flags });
        }
        Ok(())
    }

    pub(crate) fn check_sizes(&self, entries: u32) -> Result<(), BuildError> {
        let clamp = self.flags.contains(SetupFlags::CLAMP);
        if entries == 0 || (entries > MAX_ENTRIES && !clamp) {
            return Err(BuildError::Entries { entries });
        }
        let Some(cq_entries) = self.cq_entries else { return Ok(()) };
        let rounded = cq_entries.min(MAX_CQ_ENTRIES).next_power_of_two();
        let too_many = cq_entries > MAX_CQ_ENTRIES && !clamp;
        if cq_entries == 0 || too_many || rounded < entries.min(MAX_ENTRIES).next_power_of_two() {
            return Err(BuildError::CqEntries { entries, cq_entries });
        }
        Ok(())
    }

    /// The flags to ask for, if nothing is wrong with them.
    pub(crate) fn check(
        &self,
        entries: u32,
        by_method: SetupFlags,
    ) -> Result<SetupFlags, BuildError> {
        let mut decided = by_method.union(S::SETUP).union(C::SETUP);
        decided.set(SetupFlags::NO_MMAP, self.memory.is_some());
        decided.set(SetupFlags::CQSIZE, self.cq_entries.is_some());
        decided.set(SetupFlags::ATTACH_WQ, self.wq_fd.is_some());
        // These change the type of the ring, or where its memory is: a raw bit cannot.
        let stray = self.flags.intersection(flags::set_by_method()).difference(decided);
        if !stray.is_empty() {
            return Err(BuildError::NeedsMethod { flags: stray });
        }
        let mut named = self.flags.iter_names();
        named.by_ref().for_each(drop);
        let unknown = named.remaining().difference(SetupFlags::from_bits_retain(self.unknown));
        if !unknown.is_empty() {
            return Err(BuildError::UnknownFlags { flags: unknown });
        }
        let flags = self.flags.union(decided);
        Contradiction::find(flags).map_or(Ok(()), |found| Err(BuildError::Contradiction(found)))?;
        self.check_sizes(entries)?;
        if let Some(memory) = self.memory {
            let needed = self.memory_needed(entries)?;
            let aligned = |start: *const u8| start.addr() % page_size() == 0;
            if memory.rings.len() < needed.rings
                || memory.sqes.len() < needed.sqes
                || !aligned(memory.rings.cast().as_ptr())
                || !aligned(memory.sqes.cast().as_ptr())
            {
                return Err(BuildError::Memory { needed });
            }
        }
        Ok(flags)
    }
}
