//! A ring of provided buffers: entries that this side adds and the kernel consumes.
//!
//! This side keeps its tail, the end of the entries that are filled in, in plain memory until it
//! publishes it. Positions have 16 bits. The shared tail is in the first entry, in bytes that an
//! entry does not use.

use core::mem::offset_of;
use core::ptr::NonNull;

use crate::sys::{SharedPtr, buf_ring_head, io_uring_buf};

use super::atomic::will_write;
use super::order::OursShort;

/// This side of a ring of provided buffers.
#[derive(Debug)]
pub(crate) struct Bufs {
    entries: NonNull<io_uring_buf>,
    shared_tail: OursShort,
    /// The number of entries minus one; the number of entries is a power of two.
    mask: u16,
    /// The position of the next entry to fill in.
    tail: u16,
    /// The tail that was last published.
    published: u16,
    /// Buffers that were added and not reclaimed: at most the capacity.
    out: u16,
}

// SAFETY: the pointers refer to memory that is not bound to a thread, and only this value uses them
// from this side. It is not `Sync`.
unsafe impl Send for Bufs {}

impl Bufs {
    /// Takes over a ring of `count` entries, a power of two up to 32,768, and empties it.
    ///
    /// # Safety
    ///
    /// Until the value is last used, `entries` points to `count` entries that are aligned, valid
    /// for reads and writes, and used only by this value and the kernel. No buffer was added.
    pub(crate) unsafe fn new(entries: NonNull<io_uring_buf>, count: u16) -> Self {
        debug_assert!(count.is_power_of_two());
        let head = entries.cast::<u8>();
        // SAFETY: inside the first entry, which is as long as the head.
        let tail = unsafe { head.add(offset_of!(buf_ring_head, tail)) };
        // SAFETY: the field is aligned in an aligned entry, and valid by the contract; both sides
        // access it atomically, as `add` leaves it alone.
        let shared_tail = unsafe { OursShort::new(tail.cast()) };
        Self::with_tail(entries, count, shared_tail)
    }

    /// The same, with the shared tail at any place.
    pub(super) fn with_tail(
        entries: NonNull<io_uring_buf>,
        count: u16,
        shared_tail: OursShort,
    ) -> Self {
        shared_tail.publish(0);
        Self { entries, shared_tail, mask: count - 1, tail: 0, published: 0, out: 0 }
    }

    /// The number of entries of the ring.
    pub(crate) const fn capacity(&self) -> u16 {
        self.mask + 1
    }

    /// The position of the next entry.
    pub(crate) const fn tail(&self) -> u16 {
        self.tail
    }

    /// Buffers that were added and not reclaimed.
    pub(crate) const fn out(&self) -> u16 {
        self.out
    }

    /// Fills in the next entry. Returns false, and does nothing, if the ring is full.
    #[inline(always)]
    pub(crate) fn add(&mut self, addr: SharedPtr, len: u32, bid: u16) -> bool {
        if self.out > self.mask {
            return false;
        }
        self.fill(addr, len, bid);
        self.out += 1;
        true
    }

    /// Fills in the next entry with a buffer that was added before, used up by the kernel, and not
    /// reclaimed: it still counts.
    #[inline(always)]
    #[cfg(feature = "alloc")]
    pub(crate) fn add_again(&mut self, addr: SharedPtr, len: u32, bid: u16) {
        self.fill(addr, len, bid);
    }

    #[inline(always)]
    fn fill(&mut self, addr: SharedPtr, len: u32, bid: u16) {
        let entry = self.entry(self.tail).as_ptr();
        will_write(entry);
        // Written field by field, because the first entry also holds the tail.
        // SAFETY: a field of an entry of this ring, valid for writes.
        let to = unsafe { &raw mut (*entry).addr };
        // SAFETY: as above; the kernel does not read it before the tail is published (R6).
        unsafe { to.write(addr) };
        // SAFETY: a field of an entry of this ring, valid for writes.
        let to = unsafe { &raw mut (*entry).len };
        // SAFETY: as above.
        unsafe { to.write(len) };
        // SAFETY: a field of an entry of this ring, valid for writes.
        let to = unsafe { &raw mut (*entry).bid };
        // SAFETY: as above.
        unsafe { to.write(bid) };
        self.tail = self.tail.wrapping_add(1);
    }

    /// Records that a completion has named a buffer that is used up.
    #[inline(always)]
    pub(crate) fn reclaim(&mut self) {
        self.out = self.out.saturating_sub(1);
    }

    /// Publishes the entries that were added. Returns how many are new to the kernel.
    #[inline(always)]
    pub(crate) fn publish(&mut self) -> u16 {
        let fresh = self.tail.wrapping_sub(self.published);
        self.published = self.tail;
        self.shared_tail.publish(self.tail);
        fresh
    }

    /// The buffers from `first` on, each with its share of `bytes`. Empty if the kernel has no
    /// buffer with that id.
    pub(crate) fn bundle(&mut self, first: u16, bytes: u32) -> Shares<'_> {
        match self.find(first) {
            Some(position) => Shares { position, left: bytes, bufs: self },
            None => self.nothing(),
        }
    }

    /// No buffers.
    pub(crate) fn nothing(&mut self) -> Shares<'_> {
        Shares { position: 0, left: 0, bufs: self }
    }

    /// The position of the last published entry with buffer `bid` that was not reclaimed.
    ///
    /// It is the last one because a buffer may have been added again although its completion was
    /// not reported: then it is no longer at its earlier position.
    fn find(&self, bid: u16) -> Option<u16> {
        let hidden = self.tail.wrapping_sub(self.published);
        let mut places = 1..=self.out.saturating_sub(hidden);
        let place = places.find(|n| self.id(self.published.wrapping_sub(*n)) == bid)?;
        Some(self.published.wrapping_sub(place))
    }

    /// The buffer of the entry after that of `bid`, if that was published. Every entry has been
    /// filled in, and no buffer is in two.
    #[cfg(feature = "alloc")]
    pub(crate) fn id_after(&self, bid: u16) -> Option<u16> {
        let mut places = 1..=self.capacity();
        let place = places.find(|n| self.id(self.published.wrapping_sub(*n)) == bid)?;
        let next = self.published.wrapping_sub(place).wrapping_add(1);
        if next == self.published { None } else { Some(self.id(next)) }
    }

    /// The buffer of the entry at `position`.
    fn id(&self, position: u16) -> u16 {
        let entry = self.entry(position).as_ptr();
        // SAFETY: a field of an entry of this ring.
        let bid = unsafe { &raw const (*entry).bid };
        // SAFETY: valid for reads; the kernel does not write it.
        unsafe { bid.read() }
    }

    /// The length in the entry at `position`, in bytes. The kernel reduces it when it uses a part
    /// of the buffer.
    fn len(&self, position: u16) -> u32 {
        let entry = self.entry(position).as_ptr();
        // SAFETY: a field of an entry of this ring.
        let len = unsafe { &raw const (*entry).len };
        // SAFETY: valid for reads, and every bit pattern is a number.
        unsafe { len.read_volatile() }
    }

    #[inline(always)]
    fn entry(&self, position: u16) -> NonNull<io_uring_buf> {
        // SAFETY: an index is at most `mask`, and `new` was given `mask + 1` entries.
        unsafe { self.entries.add(usize::from(position & self.mask)) }
    }

    /// Starts at `position` instead of 0, such as just before positions wrap.
    #[cfg(all(not(loom), test))]
    pub(crate) fn starting_at(self, position: u16) -> Self {
        self.shared_tail.publish(position);
        Self { tail: position, published: position, ..self }
    }
}

/// Buffers that the kernel consumed together, each with the number of its bytes that are used.
/// [`Bufs::bundle`] returns it.
#[derive(Debug)]
pub(crate) struct Shares<'r> {
    bufs: &'r mut Bufs,
    position: u16,
    left: u32,
}

impl Iterator for Shares<'_> {
    type Item = (u16, u32);

    fn next(&mut self) -> Option<(u16, u32)> {
        // It ends at the last published entry, whatever the lengths are.
        if self.left == 0 || self.position == self.bufs.published {
            return None;
        }
        let (bid, len) = (self.bufs.id(self.position), self.bufs.len(self.position));
        let used = len.min(self.left);
        self.left -= used;
        self.position = self.position.wrapping_add(1);
        self.bufs.reclaim();
        Some((bid, used))
    }
}
