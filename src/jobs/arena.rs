//! Registered buffers that a ring owns: [`Jobs::lease`], and [`Lease`], one of them.

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::fmt;
use core::iter::FusedIterator;
use core::ops::{Deref, DerefMut};

use rustix::io::Errno;

use crate::entry::{CqEntry, OneWidth, SqEntry};
use crate::ops::{FixedBytes, FixedSpan, IoVec};
use crate::ring::map::Region;
use crate::uring::thread::OneThread;

use super::table::Jobs;

/// The memory of all leases of a ring. It is unmapped when the ring is gone, and the last lease.
#[derive(Debug)]
pub(super) struct Arena {
    memory: Region,
}

/// What the memory of registered buffers consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pages {
    /// Pages of the usual size.
    #[default]
    Usual,
    /// Huge pages of the default size (2 MiB on x86-64), of which the system has set enough aside
    /// (`/proc/sys/vm/nr_hugepages`). They make it cheaper to register and to use large buffers.
    Huge,
}

impl<T, S, C> Jobs<'_, '_, T, OneThread, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Registers `count` buffers of `size` bytes each, which are all zero, and returns them. The
    /// kernel has pinned their pages, which saves it that work for each operation
    /// ([`ReadFixed`](crate::ops::ReadFixed), for example).
    ///
    /// A [`Lease`] is a field of a value: an operation borrows it from there, as any other buffer.
    /// A ring has one set of them, until it is dropped. Each starts on a page of its own.
    ///
    /// ```
    /// use std::fs::File;
    /// use ringbolt::jobs::{Lease, OwnedJobs, Pages, SafeRing};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut jobs: OwnedJobs<(File, Lease)> = SafeRing::new(8)?.into_jobs(2);
    /// let mut leases = jobs.lease(2, 4096, Pages::Usual)?;
    /// let lease = leases.next().ok_or("two buffers")?;
    /// assert_eq!((lease.len(), leases.len()), (4096, 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EBUSY` | the ring has registered buffers |
    /// | `EINVAL` | no buffers, more than 16,384, or `size` is 0 |
    /// | `EFAULT` | `size` exceeds 1 GiB |
    /// | `ENOMEM` | no memory, no huge pages, or more than `RLIMIT_MEMLOCK` allows to lock |
    /// | `EOVERFLOW` | `count * size` exceeds the address space |
    pub fn lease(&mut self, count: u16, size: usize, pages: Pages) -> Result<Leases, Errno> {
        self.hide();
        if self.inner.owned.arena.is_some() {
            return Err(Errno::BUSY);
        }
        if count == 0 || size == 0 {
            return Err(Errno::INVAL);
        }
        let page = rustix::param::page_size();
        let each = size.checked_next_multiple_of(page).ok_or(Errno::OVERFLOW)?;
        let len = each.checked_mul(usize::from(count)).ok_or(Errno::OVERFLOW)?;
        let memory = match pages {
            Pages::Usual => Region::anonymous(len)?,
            // The kernel rounds the length up when it maps, and not when it unmaps.
            Pages::Huge => {
                Region::huge(len.checked_next_multiple_of(HUGE).ok_or(Errno::OVERFLOW)?)?
            }
        };
        let arena = Arena { memory };
        let mut buffers = Vec::new();
        buffers.try_reserve_exact(usize::from(count)).map_err(|_| Errno::NOMEM)?;
        let start = arena.memory.start().as_ptr();
        let offsets = (0..usize::from(count)).map(|nth| nth * each);
        buffers.extend(offsets.map(|offset| IoVec::new(start.wrapping_add(offset), size)));
        // SAFETY: the memory stays mapped as long as the ring, which shares the arena; entries use
        // it as leases allow: by an exclusive borrow, or by a shared one that only reads.
        unsafe { self.inner.ring.registrar().register_buffers(&buffers) }.map_err(Errno::from)?;
        let arena = Rc::new(arena);
        self.inner.owned.arena = Some(Rc::clone(&arena));
        Ok(Leases { arena, next: 0, count, size, each })
    }
}

/// A multiple of every size of huge pages that systems have by default.
const HUGE: usize = 1 << 21;

/// Registered buffers that nobody has yet: [`Jobs::lease`] returns it.
#[derive(Debug)]
#[must_use = "a buffer that is not taken is of no use"]
pub struct Leases {
    arena: Rc<Arena>,
    next: u16,
    count: u16,
    size: usize,
    /// From the start of one buffer to that of the next, in bytes.
    each: usize,
}

impl Iterator for Leases {
    type Item = Lease;

    fn next(&mut self) -> Option<Lease> {
        if self.next == self.count {
            return None;
        }
        let index = self.next;
        self.next += 1;
        let offset = usize::from(index) * self.each;
        Some(Lease { arena: Rc::clone(&self.arena), index, offset, len: self.size })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.count - self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Leases {}
impl FusedIterator for Leases {}

/// A registered buffer: memory that derefs to bytes, and that operations on registered buffers can
/// borrow.
///
/// It stays on the ring's thread: it is not `Send`. On a ring that has not registered it,
/// operations fail with `EFAULT`. Child processes (`fork(2)`) do not inherit the memory: one that
/// touches it is ended by `SIGSEGV`.
pub struct Lease {
    arena: Rc<Arena>,
    index: u16,
    offset: usize,
    len: usize,
}

impl Lease {
    /// The number of the buffer in the ring's table.
    pub const fn index(&self) -> u16 {
        self.index
    }

    fn start(&self) -> *mut u8 {
        self.arena.memory.start().as_ptr().wrapping_add(self.offset)
    }
}

impl Deref for Lease {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: inside the arena, mapped as long as `self.arena` lives, zeroed at first, and only
        // this lease's: `Leases` gives each index out once. The kernel writes to it only for an
        // operation that has borrowed this lease exclusively.
        unsafe { core::slice::from_raw_parts(self.start(), self.len) }
    }
}

impl DerefMut for Lease {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`, and `self` is borrowed exclusively.
        unsafe { core::slice::from_raw_parts_mut(self.start(), self.len) }
    }
}

impl<'a> From<&'a mut Lease> for FixedSpan<'a> {
    #[inline]
    fn from(lease: &'a mut Lease) -> Self {
        Self::new(lease.index, lease.start(), lease.len)
    }
}

impl<'a> From<&'a Lease> for FixedBytes<'a> {
    #[inline]
    fn from(lease: &'a Lease) -> Self {
        Self::new(lease.index, lease.start(), lease.len)
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for Lease {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("index", &self.index).field("len", &self.len).finish()
    }
}
