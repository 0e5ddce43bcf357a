//! Rings of provided buffers, from the kernel's side.

use core::mem::offset_of;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, Ordering};

use rustix::io::Errno;

use crate::sys::{
    BufRingFlags, CqeFlags, IORING_CQE_BUFFER_SHIFT, SharedPtr, buf_ring_head, io_uring_buf,
    io_uring_buf_reg,
};

use super::files::Range;
use super::lent::BufferMemory;

/// A ring of provided buffers, in the program's memory or in memory that both sides share.
pub(super) struct Group {
    entries: NonNull<io_uring_buf>,
    /// The memory, if both sides share it: held for the entries.
    lent: Option<BufferMemory>,
    count: u16,
    /// The position up to which buffers are used up.
    pub(super) head: u16,
    /// Whether a buffer is used up piece by piece, and how many bytes it must have left for that.
    incremental: bool,
    min_left: u32,
}

// SAFETY: memory is not bound to a thread; the tail orders the accesses of the program.
unsafe impl Send for Group {}

/// A buffer, or the part of one, that an operation uses.
pub(super) struct Picked {
    pub(super) range: Range,
    /// The flags of its completion.
    pub(super) flags: CqeFlags,
}

/// The maximum number of buffers of a ring.
const MOST: u32 = 32_768;

impl Group {
    /// Takes over a registration.
    ///
    /// # Safety
    ///
    /// Until the value is dropped, the memory that `reg` refers to is valid for reads and writes
    /// and is used only by a program that follows the rules. This does not apply if the memory is a
    /// [`BufferMemory`] or `Err` is returned.
    pub(super) unsafe fn new(reg: &io_uring_buf_reg) -> Result<Self, Errno> {
        let incremental = reg.flags.contains(BufRingFlags::INC);
        let known = reg.flags.difference(BufRingFlags::INC).is_empty();
        if !known || reg.resv != [0; 5] || (reg.min_left > 0 && !incremental) {
            return Err(Errno::INVAL);
        }
        if !reg.ring_entries.is_power_of_two() || reg.ring_entries > MOST {
            return Err(Errno::INVAL);
        }
        let count = u16::try_from(reg.ring_entries).map_err(|_| Errno::INVAL)?;
        let address: *mut u8 = reg.ring_addr.as_ptr().cast();
        let lent = BufferMemory::find(address.addr());
        let len = usize::from(count) * size_of::<io_uring_buf>();
        if lent.as_ref().is_some_and(|lent| lent.len() < len) {
            return Err(Errno::FAULT);
        }
        let start = lent.as_ref().map(BufferMemory::start).or_else(|| NonNull::new(address));
        let entries: NonNull<io_uring_buf> = start.ok_or(Errno::FAULT)?.cast();
        if entries.addr().get() % 4096 != 0 {
            return Err(Errno::INVAL);
        }
        Ok(Self { entries, lent, count, head: 0, incremental, min_left: reg.min_left })
    }

    /// Picks `len` bytes of the next buffer, or all of it if `len` is 0 or more than it has. The
    /// bytes picked count as used, as for a regular file, even if fewer are read.
    pub(super) fn pick(&mut self, len: usize) -> Result<Picked, Errno> {
        if self.tail() == self.head {
            return Err(Errno::NOBUFS);
        }
        let entry = self.entry(self.head);
        // SAFETY: a field of an entry, inside the memory of the ring; here and below.
        let addr = unsafe { &raw mut (*entry).addr };
        // SAFETY: as above.
        let size = unsafe { &raw mut (*entry).len };
        // SAFETY: as above.
        let bid = unsafe { &raw const (*entry).bid };
        // SAFETY: valid for reads. The program does not write to it: it is published.
        let start = unsafe { addr.read() };
        // SAFETY: as above.
        let there = unsafe { size.read() };
        // SAFETY: as above.
        let id = unsafe { bid.read() };
        let there_bytes = there as usize;
        let used = if len == 0 { there_bytes } else { len.min(there_bytes) };
        let mut flags = CqeFlags::BUFFER.bits() | u32::from(id) << IORING_CQE_BUFFER_SHIFT;
        // At most the length of the buffer, which is a u32.
        let left = there - u32::try_from(used).unwrap_or(there);
        // A buffer of length 0 is handled as in the kernel: it stays.
        if self.incremental && ((left > 0 && left >= self.min_left) || used == 0) {
            let behind = start.as_ptr().cast::<u8>().wrapping_add(used);
            // SAFETY: valid for writes, and the kernel may change it as long as it is published.
            unsafe { addr.write(SharedPtr::from_mut(behind)) };
            // SAFETY: as above.
            unsafe { size.write(left) };
            flags |= CqeFlags::BUF_MORE.bits();
        } else {
            if self.incremental {
                // SAFETY: as above.
                unsafe { size.write(0) };
            }
            self.head = self.head.wrapping_add(1);
        }
        let range = Range { start, len: used };
        Ok(Picked { range, flags: CqeFlags::from_bits_retain(flags) })
    }

    /// Whether the memory stays valid without the program.
    pub(super) fn is_lent(&self) -> bool {
        self.lent.is_some()
    }

    /// Uses up buffers without reading them. Returns how many.
    pub(super) fn spend(&mut self, most: u16) -> u16 {
        let count = self.tail().wrapping_sub(self.head).min(most);
        self.head = self.head.wrapping_add(count);
        count
    }

    /// The position up to which the program has added buffers.
    fn tail(&self) -> u16 {
        let first = self.entries.cast::<u8>();
        // SAFETY: inside the first entry, which is as long as the head.
        let tail = unsafe { first.add(offset_of!(buf_ring_head, tail)) };
        // SAFETY: valid, aligned in an entry that is, and accessed atomically by both sides.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast().as_ptr()) };
        tail.load(Ordering::Acquire)
    }

    fn entry(&self, position: u16) -> *mut io_uring_buf {
        let slot = usize::from(position % self.count);
        // SAFETY: below the number of entries, by the line above.
        unsafe { self.entries.as_ptr().add(slot) }
    }
}
