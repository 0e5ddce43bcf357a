//! The memory of a ring: mapped from its descriptor, or the caller's.
//!
//! A [`Region`] that is mapped here is kept out of child processes, and unmapped when dropped by
//! the process that mapped it; a caller's is left alone.

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
/// [`Builder::memory_needed`](crate::Builder::memory_needed) returns the sizes. The two parts do
/// not overlap.
#[doc(alias = "io_uring_queue_init_mem")]
#[derive(Clone, Copy, Debug)]
pub struct RingMemory {
    /// Holds the queues' words, the completion entries and the index array. Page-aligned.
    pub rings: NonNull<[u8]>,
    /// Holds the submission entries. Page-aligned.
    pub sqes: NonNull<[u8]>,
}

// SAFETY: these are addresses; who may use what is there, and when, is the contract of the
// unsafe function that takes them.
unsafe impl Send for RingMemory {}
// SAFETY: as above.
unsafe impl Sync for RingMemory {}

/// The regions of one ring.
#[derive(Debug)]
pub(crate) struct Memory {
    sq: Region,
    /// `None` where the SQ's region holds the CQ too.
    cq: Option<Region>,
    sqes: Region,
    layout: Layout,
}

/// Addresses that are kept free for the regions of a ring.
#[derive(Debug)]
pub(crate) struct Reservation {
    _rings: Region,
    _sqes: Region,
}

/// A range of bytes, unmapped when dropped if it was mapped here.
#[derive(Debug)]
pub(crate) struct Region {
    start: NonNull<u8>,
    len: usize,
    /// The process that mapped it; `None` for memory of the caller's.
    home: Option<Home>,
}

// SAFETY: a region is its owner's, like a boxed slice; mapped memory has no thread.
unsafe impl Send for Region {}
// SAFETY: a shared region gives out nothing but its address.
unsafe impl Sync for Region {}

impl Memory {
    /// Maps the regions of the ring behind `fd`.
    pub(crate) fn map(fd: BorrowedFd<'_>, layout: Layout) -> Result<Self, Errno> {
        let map = |len, offset| Region::map(fd, len, offset);
        Ok(Self {
            sq: map(layout.sq_region, IORING_OFF_SQ_RING)?,
            cq: layout.cq_region.map(|len| map(len, IORING_OFF_CQ_RING)).transpose()?,
            sqes: map(layout.sqe_region, IORING_OFF_SQES)?,
            layout,
        })
    }

    /// Keeps addresses free for regions of these many bytes.
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

    /// The submission queue's pieces, its index array filled in for good: slot `i` holds `i`.
    ///
    /// # Safety
    ///
    /// The regions belong to a ring that was just set up with `setup`, or resized, for entries
    /// `S`; the caller makes one queue of the parts, and drops it before the memory.
    pub(crate) unsafe fn sq_parts<S: SqEntry>(&self, setup: SetupFlags) -> SqParts<S> {
        let offsets = &self.layout.sq;
        let rewinds = setup.contains(SetupFlags::SQ_REWIND);
        let word = |offset| self.sq.word(offset);
        if let Some(array) = offsets.array {
            for index in 0..offsets.entries {
                // The number of entries is a u32, and so fits.
                let slot = word(array + index as usize * size_of::<u32>());
                // SAFETY: `Layout` checked that the whole array lies in the region, aligned;
                // the kernel reads it only while it is entered.
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

    /// The completion queue's pieces.
    ///
    /// # Safety
    ///
    /// The regions belong to a ring that was just set up, or resized, for entries `C`; the
    /// caller makes one queue of the parts, and drops it before the memory.
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
    /// Memory of the caller's, which is left alone when the value is dropped.
    pub(crate) const fn provided(memory: NonNull<[u8]>) -> Self {
        Self { start: memory.cast(), len: memory.len(), home: None }
    }

    /// Memory of `len` bytes, all zero, that belongs to nobody else.
    pub(crate) fn anonymous(len: usize) -> Result<Self, Errno> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        Self::new(len, |null| {
            // SAFETY: the kernel chooses the address, so no memory that is in use is replaced.
            unsafe { mmap_anonymous(null, len, protection, MapFlags::PRIVATE) }
        })
    }

    /// Addresses for `len` bytes, with no memory there.
    fn reserve(len: usize) -> Result<Self, Errno> {
        // Shared, as what comes to lie there: private ones are merged with their neighbours, and
        // would keep no place in the number of mappings that a process may have.
        let flags = MapFlags::SHARED | MapFlags::NORESERVE;
        Self::new(len, |null| {
            // SAFETY: the kernel chooses the address, so no memory that is in use is replaced.
            unsafe { mmap_anonymous(null, len, ProtFlags::empty(), flags) }
        })
    }

    /// Memory of `len` bytes that the kernel shares at `offset` of `fd`.
    pub(crate) fn map(fd: BorrowedFd<'_>, len: usize, offset: u64) -> Result<Self, Errno> {
        let flags = MapFlags::SHARED | MapFlags::POPULATE;
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        Self::new(len, |null| {
            // SAFETY: the kernel chooses the address, so no memory that is in use is replaced;
            // that the other side writes there is what the queues are made for.
            unsafe { mmap(null, len, protection, flags, fd, offset) }
        })
    }

    /// Takes what `map` maps for an address of null, and keeps it out of child processes.
    fn new(
        len: usize,
        map: impl FnOnce(*mut c_void) -> Result<*mut c_void, Errno>,
    ) -> Result<Self, Errno> {
        let home = Some(Home::this_process()?);
        let start = map(core::ptr::null_mut())?;
        let region = Self { start: NonNull::new(start.cast()).ok_or(Errno::NOMEM)?, len, home };
        // SAFETY: the range was just mapped, whole, and DONTFORK changes no byte of it.
        unsafe { madvise(start, len, Advice::LinuxDontFork) }?;
        Ok(region)
    }

    /// Where it starts.
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The process that mapped it. Memory of the caller's is at home wherever it is used.
    pub(crate) fn is_here(&self) -> bool {
        self.home.is_none_or(Home::is_here)
    }

    /// The address `offset` bytes in; an offset that leads out is a bug of this crate.
    fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset <= self.len);
        // SAFETY: not behind the end of the region, checked on the line above.
        unsafe { self.start.add(offset) }
    }

    fn word(&self, offset: usize) -> NonNull<u32> {
        self.at(offset).cast()
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // In another process the addresses are not this region's.
        if self.home.is_some_and(Home::is_here) {
            // SAFETY: mapped by `new` with this length, by this process; queues that point here are
            // gone, by the contract of `sq_parts` and `cq_parts`.
            let unmapped = unsafe { munmap(self.start.as_ptr().cast(), self.len) };
            // It fails only where it would have to cut a mapping in two, and the process has as
            // many as it may have. The memory then stays mapped, and nobody uses it.
            let _ = unmapped;
        }
    }
}
