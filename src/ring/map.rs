//! The memory of a ring: mapped from its descriptor, or provided by the caller.
//!
//! A [`Region`] that this crate maps is not inherited by child processes, and is unmapped when the
//! process that mapped it drops the value. Memory that the caller provides is neither changed nor
//! unmapped.

use core::ffi::c_void;
use core::ptr::NonNull;

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, mmap_anonymous, munmap};

use crate::entry::{CqEntry, SqEntry};
use crate::sys::{IORING_OFF_CQ_RING, IORING_OFF_SQ_RING, IORING_OFF_SQES, SetupFlags};

use super::cq::CqParts;
use super::home::Home;
use super::layout::Layout;
use super::order::{Ours, Theirs};
use super::sq::SqParts;

/// Memory that the caller provides for a ring set up with `IORING_SETUP_NO_MMAP`.
///
/// [`Builder::memory_needed`](crate::Builder::memory_needed) returns the sizes. The two parts must
/// not overlap.
#[doc(alias = "io_uring_queue_init_mem")]
#[derive(Clone, Copy, Debug)]
pub struct RingMemory {
    /// Holds the queues' words, the completion entries and the index array. Page-aligned.
    pub rings: NonNull<[u8]>,
    /// Holds the submission entries. Page-aligned.
    pub sqes: NonNull<[u8]>,
}

// SAFETY: these are addresses; the unsafe function that takes them has the contract for the memory.
unsafe impl Send for RingMemory {}
// SAFETY: as above.
unsafe impl Sync for RingMemory {}

/// The regions of one ring.
#[derive(Debug)]
pub(crate) struct Memory {
    sq: Region,
    /// `None` if the SQ's region also holds the CQ.
    cq: Option<Region>,
    sqes: Region,
    layout: Layout,
}

/// Addresses that are reserved for the regions of a ring.
#[derive(Debug)]
pub(crate) struct Reservation {
    _rings: Region,
    _sqes: Region,
}

/// A range of bytes, unmapped when dropped if this crate mapped it.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    len: usize,
    /// The process that mapped it; `None` for memory that the caller provided.
    home: Option<Home>,
}

// SAFETY: a region belongs to its owner, like a boxed slice; mapped memory is not bound to a
// thread.
unsafe impl Send for Region {}
// SAFETY: a shared reference to a region gives access only to its address.
unsafe impl Sync for Region {}

impl Memory {
    /// Maps the regions of the ring that `fd` refers to.
    pub(crate) fn map(fd: BorrowedFd<'_>, layout: Layout) -> Result<Self, Errno> {
        let map = |len, offset| Region::map(fd, len, offset);
        Ok(Self {
            sq: map(layout.sq_region, IORING_OFF_SQ_RING)?,
            cq: layout.cq_region.map(|len| map(len, IORING_OFF_CQ_RING)).transpose()?,
            sqes: map(layout.sqe_region, IORING_OFF_SQES)?,
            layout,
        })
    }

    /// Reserves addresses for regions of these lengths in bytes.
    pub(crate) fn reserve(rings: usize, sqes: usize) -> Result<Reservation, Errno> {
        Ok(Reservation { _rings: Region::reserve(rings)?, _sqes: Region::reserve(sqes)? })
    }

    /// Uses the caller's memory. Returns `None` if it is too small for `layout`.
    pub(crate) fn provided(memory: RingMemory, layout: Layout) -> Option<Self> {
        if memory.rings.len() < layout.ring_len() || memory.sqes.len() < layout.sqe_region {
            return None;
        }
        let rings = || Region::provided(memory.rings);
        Some(Self {
            sq: rings(),
            cq: layout.cq_region.map(|_| rings()),
            sqes: Region::provided(memory.sqes),
            layout,
        })
    }

    /// Returns the parts of the submission queue, after filling in its index array permanently:
    /// slot `i` holds `i`.
    ///
    /// # Safety
    ///
    /// The regions belong to a ring that was just set up with `setup`, or resized, for entries `S`.
    /// The caller makes only one queue from the parts, and drops it before the memory.
    pub(crate) unsafe fn sq_parts<S: SqEntry>(&self, setup: SetupFlags) -> SqParts<S> {
        let offsets = &self.layout.sq;
        let rewinds = setup.contains(SetupFlags::SQ_REWIND);
        let word = |offset| self.sq.word(offset);
        if let Some(array) = offsets.array {
            for index in 0..offsets.entries {
                // The number of entries is a u32, so it fits a usize.
                let slot = word(array + index as usize * size_of::<u32>());
                // SAFETY: `Layout` checked that the whole array is in the region, and aligned; the
                // kernel reads it only while it is entered.
                unsafe { slot.write(index) };
            }
        }
        // SAFETY: in the region and aligned, as `Layout` checked.
        let head = unsafe { Theirs::new(word(offsets.head).cast()) };
        SqParts {
            head: if rewinds { Theirs::zero() } else { head },
            // SAFETY: in the region and aligned; the kernel only reads the SQ tail.
            tail: unsafe { Ours::new(word(offsets.tail).cast()) },
            // SAFETY: in the region and aligned.
            flags: unsafe { Theirs::new(word(offsets.flags).cast()) },
            // SAFETY: in the region and aligned.
            dropped: unsafe { Theirs::new(word(offsets.dropped).cast()) },
            slots: self.sqes.start.cast(),
            mask: offsets.entries - 1,
            rewinds,
        }
    }

    /// Returns the parts of the completion queue.
    ///
    /// # Safety
    ///
    /// The regions belong to a ring that was just set up, or resized, for entries `C`. The caller
    /// makes only one queue from the parts, and drops it before the memory.
    pub(crate) unsafe fn cq_parts<C: CqEntry>(&self) -> CqParts<C> {
        let offsets = &self.layout.cq;
        let region = self.cq.as_ref().unwrap_or(&self.sq);
        CqParts {
            // SAFETY: in the region and aligned, as `Layout` checked; the kernel only reads
            // the CQ head.
            head: unsafe { Ours::new(region.word(offsets.head).cast()) },
            // SAFETY: in the region and aligned.
            tail: unsafe { Theirs::new(region.word(offsets.tail).cast()) },
            // SAFETY: in the region and aligned; the kernel only reads the CQ flags.
            flags: offsets.flags.map(|flags| unsafe { Ours::new(region.word(flags).cast()) }),
            // SAFETY: in the region and aligned.
            overflow: unsafe { Theirs::new(region.word(offsets.overflow).cast()) },
            // SAFETY: in the region of the submission queue, and aligned.
            status: unsafe { Theirs::new(self.sq.word(self.layout.sq.flags).cast()) },
            slots: region.at(offsets.cqes).cast(),
            mask: offsets.entries - 1,
        }
    }
}

impl Region {
    /// Memory that the caller provides, and that is not unmapped when the value is dropped.
    pub(crate) const fn provided(memory: NonNull<[u8]>) -> Self {
        Self { start: memory.cast(), len: memory.len(), home: None }
    }

    /// Maps `len` bytes of private memory, all zero.
    pub(crate) fn anonymous(len: usize) -> Result<Self, Errno> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        Self::new(len, |null| {
            // SAFETY: the kernel chooses the address, so no memory that is in use is replaced.
            unsafe { mmap_anonymous(null, len, protection, MapFlags::PRIVATE) }
        })
    }

    /// The same in huge pages, of which `len` is a multiple, as far as some are set aside.
    #[cfg(feature = "alloc")]
    pub(crate) fn huge(len: usize) -> Result<Self, Errno> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        Self::new(len, |null| {
            // SAFETY: the kernel chooses the address, so no memory that is in use is replaced.
            unsafe { mmap_anonymous(null, len, protection, MapFlags::PRIVATE | MapFlags::HUGETLB) }
        })
    }

    /// Reserves addresses for `len` bytes, without memory.
    fn reserve(len: usize) -> Result<Self, Errno> {
        // The mapping is shared, as the ring's mapping will be. A private one would be merged with
        // its neighbours, and so would not reserve one of the mappings that a process may have.
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        Self::new(len, |null| {
            // SAFETY: the kernel chooses the address, so no memory that is in use is replaced.
            unsafe { mmap_anonymous(null, len, ProtFlags::empty(), flags) }
        })
    }

    /// Maps `len` bytes that the kernel shares at `offset` of `fd`.
    pub(crate) fn map(fd: BorrowedFd<'_>, len: usize, offset: u64) -> Result<Self, Errno> {
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        Self::new(len, |null| {
            // SAFETY: the kernel chooses the address, so no memory that is in use is replaced; the
            // queues take into account that the kernel writes to this memory.
            unsafe { mmap(null, len, protection, flags, fd, offset) }
        })
    }

    /// Calls `map` with a null address, and excludes the new mapping from child processes.
    fn new(
        len: usize,
        map: impl FnOnce(*mut c_void) -> Result<*mut c_void, Errno>,
    ) -> Result<Self, Errno> {
        let home = Some(Home::this_process()?);
        let start = map(core::ptr::null_mut())?;
        let region = Self { start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?, len, home };
        // SAFETY: the whole range was just mapped, and DONTFORK changes no byte of it.
        unsafe { madvise(start, len, Advice::LinuxDontFork) }?;
        Ok(region)
    }

    /// The address of its first byte.
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Whether this process mapped it. Always true for memory that the caller provided.
    pub(crate) fn is_here(&self) -> bool {
        self.home.is_none_or(Home::is_here)
    }

    /// The address `offset` bytes after the start. An offset outside the region is a bug in this
    /// crate.
    fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset <= self.len);
        // SAFETY: not beyond the end of the region, as checked on the line above.
        unsafe { self.start.add(offset) }
    }

    fn word(&self, offset: usize) -> NonNull<u32> {
        self.at(offset).cast()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // In another process the addresses do not belong to this region.
        if self.home.is_some_and(Home::is_here) {
            // SAFETY: mapped by `new` with this length, by this process; the queues that point here
            // were dropped, by the contract of `sq_parts` and `cq_parts`.
            let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
            // It fails only if it would have to split a mapping in two, and the process has as many
            // mappings as it may have. The memory then stays mapped, and nothing uses it.
            let _ = unmapped;
        }
    }
}
