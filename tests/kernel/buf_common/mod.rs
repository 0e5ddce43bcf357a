//! Code that the tests of buffer rings share: a ring of provided buffers, with memory for them.

#![allow(dead_code, reason = "each test file uses a part of it")]

use ringbolt::register::BufferRing;
use ringbolt::sys::BufRingFlags;
use ringbolt::{CqEntry, IoUring, SqEntry};

/// A ring of provided buffers that all have `size` bytes, with memory for each id.
///
/// The memory outlives every test, so that the kernel may keep using it.
pub(crate) struct Buffers {
    pub(crate) ring: BufferRing,
    start: *mut u8,
    size: u32,
}

impl Buffers {
    /// Registers `count` buffers of `size` bytes as `group`, with ids from 0 on, and publishes
    /// them.
    pub(crate) fn new<S: SqEntry, C: CqEntry, T>(
        ring: &IoUring<S, C, T>,
        group: u16,
        count: u16,
        size: u32,
        flags: BufRingFlags,
    ) -> Self {
        let registered = ring.registrar().register_buffer_ring(group, count, flags);
        let mut buffers = Self::over(registered.expect("a ring of buffers"), size);
        (0..count).for_each(|bid| buffers.add(bid));
        assert_eq!(buffers.ring.publish(), count);
        buffers
    }

    /// Makes memory for as many buffers as `ring` has room for, without adding any.
    pub(crate) fn over(ring: BufferRing, size: u32) -> Self {
        let bytes = usize::from(ring.capacity()) * usize::try_from(size).expect("a small buffer");
        let memory: &'static mut [u8] = Box::leak(vec![b'-'; bytes].into());
        Self { ring, start: memory.as_mut_ptr(), size }
    }

    /// Adds the buffer `bid`, without publishing it yet.
    pub(crate) fn add(&mut self, bid: u16) {
        let start = self.at(bid, self.size);
        // SAFETY: leaked memory, a buffer of which is read only after it was returned.
        unsafe { self.ring.add(start, self.size, bid) }.expect("room in the ring");
    }

    /// Records a completion. Returns the buffer that belongs to this side again.
    pub(crate) fn reclaim(&mut self, cqe: &impl CqEntry) -> Option<u16> {
        self.ring.reclaim(cqe)
    }

    /// Adds and publishes the buffer `bid` again.
    pub(crate) fn give(&mut self, bid: u16) {
        self.add(bid);
        assert_eq!(self.ring.publish(), 1);
    }

    /// The first `len` bytes of the buffer `bid`, which the kernel must not be writing.
    pub(crate) fn bytes(&self, bid: u16, len: u32) -> Vec<u8> {
        self.range(bid, 0, len)
    }

    /// The `len` bytes of the buffer `bid` from `from` on.
    pub(crate) fn range(&self, bid: u16, from: u32, len: u32) -> Vec<u8> {
        let start = self.at(bid, from + len);
        // SAFETY: `from` is inside the buffer.
        let start = unsafe { start.add(usize::try_from(from).expect("a small buffer")) };
        let len = usize::try_from(len).expect("a small buffer");
        // SAFETY: `at` checked that the buffer has this many bytes; nothing is writing them.
        unsafe { core::slice::from_raw_parts(start, len) }.to_vec()
    }

    /// Writes `bytes` at the start of the buffer `bid`, to be sent.
    pub(crate) fn fill(&mut self, bid: u16, bytes: &[u8]) {
        let start = self.at(bid, u32::try_from(bytes.len()).expect("a small buffer"));
        // SAFETY: `at` checked that the buffer has this many bytes; it belongs to this side.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), start, bytes.len()) };
    }

    /// Adds the first `len` bytes of the buffer `bid`, without publishing them yet.
    pub(crate) fn add_part(&mut self, bid: u16, len: u32) {
        let start = self.at(bid, len);
        // SAFETY: leaked memory, a buffer of which is read only after it was returned.
        unsafe { self.ring.add(start, len, bid) }.expect("room in the ring");
    }

    /// The address of the buffer `bid`, which must hold at least `len` bytes.
    fn at(&self, bid: u16, len: u32) -> *mut u8 {
        assert!(bid < self.ring.capacity() && len <= self.size, "no such bytes: {bid} {len}");
        let offset = usize::from(bid) * usize::try_from(self.size).expect("a small buffer");
        // SAFETY: there is room for as many buffers as the ring has, checked above.
        unsafe { self.start.add(offset) }
    }
}
