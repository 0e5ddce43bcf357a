//! Memory for rings set up with `IORING_SETUP_NO_MMAP`.

use core::ptr::NonNull;

use ringbolt::{Builder, CqEntry, MemoryNeeded, RingMemory, SqEntry};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use rustix::param::page_size;

/// Memory that ends where a page begins which nobody may touch, and which cannot be pinned.
///
/// The kernel writes to a ring's memory for a while after the ring is closed. It keeps the
/// pages until then, so that giving them back, unlike using them again, is sound.
pub(crate) struct Pages {
    pub(crate) start: NonNull<u8>,
    len: usize,
}

impl Pages {
    pub(crate) fn new(len: usize) -> Self {
        Self::mapped(len, page_size(), MapFlags::PRIVATE).expect("memory")
    }

    pub(crate) fn mapped(len: usize, guard: usize, flags: MapFlags) -> Result<Self, Errno> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: the kernel chooses the address.
        let start = unsafe { mmap_anonymous(core::ptr::null_mut(), len + guard, access, flags) }?;
        // SAFETY: the mapping is longer than `len`.
        let end = unsafe { start.byte_add(len) };
        // SAFETY: the rest of the mapping, of which nobody knows.
        unsafe { mprotect(end, guard, MprotectFlags::empty()) }?;
        // What is here before a ring is, is no excuse for a ring that does not work.
        let start = NonNull::new(start.cast::<u8>()).expect("an address");
        // SAFETY: the first `len` bytes are mapped for writing.
        unsafe { start.write_bytes(0xa5, len) };
        Ok(Self { start, len: len + guard })
    }

    /// The first `len` bytes.
    pub(crate) fn bytes(&self, len: usize) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start, len)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped by `mapped`, whole; no ring is open in it.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
        assert_eq!(unmapped, Ok(()));
    }
}

/// Memory for one ring.
pub(crate) struct Provided {
    pub(crate) rings: Pages,
    pub(crate) sqes: Pages,
    pub(crate) memory: RingMemory,
}

impl Provided {
    /// As much as `needed`, to the byte.
    pub(crate) fn new(needed: MemoryNeeded) -> Self {
        let (rings, sqes) = (Pages::new(needed.rings), Pages::new(needed.sqes));
        let memory = RingMemory { rings: rings.bytes(needed.rings), sqes: sqes.bytes(needed.sqes) };
        Self { rings, sqes, memory }
    }

    pub(crate) fn for_ring<S: SqEntry, C: CqEntry>(builder: &Builder<S, C>, entries: u32) -> Self {
        Self::new(builder.memory_needed(entries).expect("a size that a ring can have"))
    }

    /// The builder, with this memory for its ring.
    ///
    /// # Safety
    ///
    /// One ring is built of it, which `self` outlives.
    pub(crate) unsafe fn give<'fd, S: SqEntry, C: CqEntry>(
        &self,
        builder: Builder<'fd, S, C>,
    ) -> Builder<'fd, S, C> {
        // SAFETY: mapped for reads and writes while `self` is; the rest is the caller's.
        unsafe { builder.memory(self.memory) }
    }
}
