//! A ring of provided buffers: entries that this side adds and the kernel takes.
//!
//! The tail up to which entries are filled in lives here, in plain memory, until it is published.
//! Its positions have 16 bits; the shared one lies in the first entry, in bytes that an entry does
//! not use.

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
    /// Entries less one; the number of entries is a power of two.
    mask: u16,
    /// Where the next entry goes.
    tail: u16,
    /// Up to where the kernel has been shown entries.
    published: u16,
    /// Buffers that were added and not reclaimed: at most the capacity.
    out: u16,
}

// SAFETY: the pointers lead to memory that has no thread, and one value is all that uses them from
// this side. It is not `Sync`.
unsafe impl Send for Bufs {}

impl Bufs {
    /// Takes over a ring of `count` entries, a power of two up to 32,768, and empties it.
    ///
    /// # Safety
    ///
    /// Until the value is last used, `entries` points to `count` entries that are valid for reads
    /// and writes, aligned, and that nobody but the kernel uses otherwise. No buffer was added.
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

    /// The same, with the tail wherever it is.
    pub(super) fn with_tail(
        entries: NonNull<io_uring_buf>,
        count: u16,
        shared_tail: OursShort,
    ) -> Self {
        shared_tail.publish(0);
        Self { entries, shared_tail, mask: count - 1, tail: 0, published: 0, out: 0 }
    }

    /// How many entries the ring has.
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

    /// Fills the next entry in. Returns false, and does nothing, if the ring is full.
    #[inline(always)]
    pub(crate) fn add(&mut self, addr: SharedPtr, len: u32, bid: u16) -> bool {
        if self.out > self.mask {
            return false;
        }
        let entry = self.entry(self.tail).as_ptr();
        will_write(entry);
        // Field by field: the first entry holds the tail, too.
        // SAFETY: a field of an entry of ours, valid for writes.
        let to = unsafe { &raw mut (*entry).addr };
        // SAFETY: as above; the kernel does not read it before the tail is published (R6).
        unsafe { to.write(addr) };
        // SAFETY: a field of an entry of ours, valid for writes.
        let to = unsafe { &raw mut (*entry).len };
        // SAFETY: as above.
        unsafe { to.write(len) };
        // SAFETY: a field of an entry of ours, valid for writes.
        let to = unsafe { &raw mut (*entry).bid };
        // SAFETY: as above.
        unsafe { to.write(bid) };
        self.tail = self.tail.wrapping_add(1);
        self.out += 1;
        true
    }

    /// A completion has named a buffer that is used up.
    #[inline(always)]
    pub(crate) fn reclaim(&mut self) {
        self.out = self.out.saturating_sub(1);
    }

    /// Shows the kernel what has been added. Returns how many entries are new to it.
    #[inline(always)]
    pub(crate) fn publish(&mut self) -> u16 {
        let fresh = self.tail.wrapping_sub(self.published);
        self.published = self.tail;
        self.shared_tail.publish(self.tail);
        fresh
    }

    /// The buffers from `first` on, with the shares of `bytes` that are theirs. Empty if the kernel
    /// has no buffer with that id.
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
    /// The last one: a buffer that was added again, although its completion was not reported, is no
    /// longer where it was before.
    fn find(&self, bid: u16) -> Option<u16> {
        let hidden = self.tail.wrapping_sub(self.published);
        let mut places = 1..=self.out.saturating_sub(hidden);
        let place = places.find(|n| self.id(self.published.wrapping_sub(*n)) == bid)?;
        Some(self.published.wrapping_sub(place))
    }

    /// The buffer of the entry at `position`.
    fn id(&self, position: u16) -> u16 {
        let entry = self.entry(position).as_ptr();
        // SAFETY: a field of an entry of ours.
        let bid = unsafe { &raw const (*entry).bid };
        // SAFETY: valid for reads; the kernel does not write it.
        unsafe { bid.read() }
    }

    /// The length of the entry at `position`, in bytes; the kernel shortens that of a buffer of
    /// which it uses a part.
    fn len(&self, position: u16) -> u32 {
        let entry = self.entry(position).as_ptr();
        // SAFETY: a field of an entry of ours.
        let len = unsafe { &raw const (*entry).len };
        // SAFETY: valid for reads; whatever is there is a number.
        unsafe { len.read_volatile() }
    }

    #[inline(always)]
    fn entry(&self, position: u16) -> NonNull<io_uring_buf> {
        // SAFETY: an index is at most `mask`, and `new` was given `mask + 1` entries.
        unsafe { self.entries.add(usize::from(position & self.mask)) }
    }

    /// Goes on from `position` instead of from 0: from where positions wrap, say.
    #[cfg(all(not(loom), test))]
    pub(crate) fn starting_at(self, position: u16) -> Self {
        self.shared_tail.publish(position);
        Self { tail: position, published: position, ..self }
    }
}

/// Buffers that the kernel took together, each with the bytes of it that are used. From
/// [`Bufs::bundle`].
#[derive(Debug)]
pub(crate) struct Shares<'r> {
    bufs: &'r mut Bufs,
    position: u16,
    left: u32,
}

impl Iterator for Shares<'_> {
    type Item = (u16, u32);

    fn next(&mut self) -> Option<(u16, u32)> {
        // Ends with the entries that are published, whatever their lengths are.
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
