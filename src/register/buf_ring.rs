//! Provided buffers, in a ring that is shared with the kernel.

use core::iter::FusedIterator;
use core::ptr::NonNull;

use rustix::io::Errno;

use crate::enter::call::BufferMemory;
use crate::entry::CqEntry;
use crate::ring::bufs::{Bufs, Shares};
use crate::ring::map::Region;
use crate::sys::{
    BufRingFlags, IORING_OFF_PBUF_RING, IORING_OFF_PBUF_SHIFT, RegisterOp, SharedPtr, io_uring_buf,
    io_uring_buf_reg, io_uring_buf_status,
};

use super::{
    BufferRingFull, BufferRingOptions, RegisterError, Registrar, RingName, UnregisterError,
};

/// The maximum number of buffers in one ring.
pub const MAX_BUFFERS: u16 = 32_768;

/// The last group whose ring can be mapped.
///
/// The offset of a mapping holds the group, and above it the bits that select what is mapped. A
/// larger group number would run into those bits: group 32,768 would be group 0.
const LAST_MAPPED_GROUP: u16 = 2047;

/// A ring of provided buffers: the kernel picks a buffer from it when data arrives.
///
/// [`Registrar::register_buffer_ring`] returns it. [Add](Self::add) buffers, then
/// [publish](Self::publish) them. An entry refers to the ring by its group, and its completions
/// name the buffer that was used. Call [`reclaim`](Self::reclaim) with each of these completions:
/// it returns the buffer once it belongs to the program again. The buffer can then be added again.
///
/// The value owns its registration: no other value has the same group of the same ring.
/// [`Registrar::unregister_buffer_ring`] consumes the value and ends the registration. Dropping the
/// value does not end it: the kernel continues to use the buffers that were published, and the
/// group stays in use until the ring is closed or [`Registrar::unregister_buffer_group`] is called.
///
/// Like an `IoUring`, it belongs to the process that made it, and child processes do not inherit
/// its memory: in a child, [`publish`](Self::publish) publishes nothing and returns 0, and
/// [`bundle`](Self::bundle) is empty.
#[derive(Debug)]
pub struct BufferRing {
    bufs: Bufs,
    group: u16,
    /// The ring with which it is registered.
    ring: RingName,
    /// Unmapped when dropped, if this crate mapped it; the kernel holds its own reference.
    _memory: Memory,
}

/// The memory of a ring of provided buffers.
#[derive(Debug)]
enum Memory {
    /// Mapped by this crate, or provided by the caller.
    Mapped(Region),
    /// Shared with a simulated kernel.
    Lent(BufferMemory),
}

impl Memory {
    fn start(&self) -> NonNull<u8> {
        match self {
            Self::Mapped(region) => region.start(),
            Self::Lent(memory) => memory.start(),
        }
    }
}

/// A buffer ring was not made.
fn refused(errno: Errno) -> RegisterError {
    RegisterError { op: RegisterOp::REGISTER_PBUF_RING, errno }
}

impl Registrar<'_> {
    /// Makes a ring for `entries` provided buffers, and registers it as the group `group`.
    /// `IORING_REGISTER_PBUF_RING`, since Linux 5.19.
    ///
    /// With [`BufRingFlags::MMAP`] the kernel provides the memory of the ring itself, for groups up
    /// to 2047, since Linux 6.4.
    ///
    /// With [`BufRingFlags::INC`] the kernel uses up a buffer piece by piece, since Linux 6.12:
    /// after a completion that has [`CqeFlags::BUF_MORE`](crate::sys::CqeFlags::BUF_MORE), the next
    /// data follows in the same buffer. A read from a regular file uses up as many bytes as it asks
    /// for, even if it gets fewer: the next data then follows after all the bytes that it asked
    /// for.
    ///
    /// With `INC`, data is cut at the end of a buffer: the rest of a stream goes into the next
    /// buffer, but **the rest of a datagram is lost**. [`Recv`](crate::ops::Recv) does not report
    /// the loss: its result is the number of bytes stored. [`RecvMsg`](crate::ops::RecvMsg) sets
    /// `MSG_TRUNC` in the flags of the message.
    ///
    /// To prevent the loss, set [`min_left`](BufferRingOptions::min_left) to the length of the
    /// longest datagram that may arrive. For a multishot `RecvMsg`, set it to the sum of 16 bytes,
    /// the room for the address, the room for control messages, and the longest datagram. The
    /// kernel then stops using a buffer when fewer bytes than that are left, so no datagram is cut,
    /// provided that each buffer is at least that long.
    ///
    /// ```
    /// use ringbolt::{IoUring, register::BufferRingOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let buffers = ring.registrar().register_buffer_ring(7, 4, BufferRingOptions::default())?;
    /// assert_eq!((buffers.group(), buffers.capacity()), (7, 4));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EEXIST` | the group exists |
    /// | `EINVAL` | `entries` is not a power of two up to [`MAX_BUFFERS`] |
    /// | `EINVAL` | flags or a `min_left` that this kernel does not support |
    /// | `EINVAL` | `MMAP` for a group beyond 2047 |
    /// | `ENOMEM` | out of memory |
    #[doc(alias("io_uring_setup_buf_ring", "io_uring_register_buf_ring"))]
    #[doc(alias = "IORING_REGISTER_PBUF_RING")]
    pub fn register_buffer_ring(
        &self,
        group: u16,
        entries: u16,
        options: impl Into<BufferRingOptions>,
    ) -> Result<BufferRing, RegisterError> {
        let options = options.into();
        if !entries.is_power_of_two() {
            return Err(refused(Errno::INVAL));
        }
        let len = usize::from(entries) * size_of::<io_uring_buf>();
        let memory = if options.flags.contains(BufRingFlags::MMAP) {
            if group > LAST_MAPPED_GROUP {
                return Err(refused(Errno::INVAL));
            }
            self.register_buffers_at(SharedPtr::NULL, group, entries, options)?;
            let offset = IORING_OFF_PBUF_RING | (u64::from(group) << IORING_OFF_PBUF_SHIFT);
            let mapped = self.map(len, offset).inspect_err(|_| {
                // SAFETY: the group was registered above, and no value owns it.
                let _ = unsafe { self.unregister_buffer_group(group) };
            });
            Memory::Mapped(mapped.map_err(refused)?)
        } else {
            let memory = self.buffer_memory(len).map_err(refused)?;
            let start = SharedPtr::from_mut(memory.start().as_ptr());
            self.register_buffers_at(start, group, entries, options)?;
            memory
        };
        // SAFETY: the memory has room for `entries` entries, page-aligned, and stays mapped as
        // long as the value that it is stored in.
        let bufs = unsafe { Bufs::new(memory.start().cast(), entries) };
        Ok(BufferRing { bufs, group, ring: self.name(), _memory: memory })
    }

    /// Registers a ring of provided buffers in `memory` that the caller provides, such as huge
    /// pages. `IORING_REGISTER_PBUF_RING`, since Linux 5.19.
    ///
    /// [`BufRingFlags::MMAP`] is ignored. For everything else see
    /// [`register_buffer_ring`](Self::register_buffer_ring).
    ///
    /// # Errors
    ///
    /// As for [`register_buffer_ring`](Self::register_buffer_ring); also `EINVAL` if the memory is
    /// not aligned to a page or is too short for `entries` of 16 bytes.
    ///
    /// # Safety
    ///
    /// Until the group has been unregistered and the value has been dropped, `memory` is valid for
    /// reads and writes, and nothing else uses it.
    #[doc(alias("io_uring_register_buf_ring", "IORING_REGISTER_PBUF_RING"))]
    pub unsafe fn register_buffer_ring_in(
        &self,
        memory: NonNull<[u8]>,
        group: u16,
        entries: u16,
        options: impl Into<BufferRingOptions>,
    ) -> Result<BufferRing, RegisterError> {
        let mut options = options.into();
        options.flags.remove(BufRingFlags::MMAP);
        let len = usize::from(entries) * size_of::<io_uring_buf>();
        let aligned = memory.cast::<u8>().addr().get() % align_of::<io_uring_buf>() == 0;
        if !entries.is_power_of_two() || memory.len() < len || !aligned {
            return Err(refused(Errno::INVAL));
        }
        let start = SharedPtr::from_mut(memory.cast::<u8>().as_ptr());
        self.register_buffers_at(start, group, entries, options)?;
        // SAFETY: long enough and aligned, as checked above; the caller keeps it.
        let bufs = unsafe { Bufs::new(memory.cast(), entries) };
        Ok(BufferRing {
            bufs,
            group,
            ring: self.name(),
            _memory: Memory::Mapped(Region::provided(memory)),
        })
    }

    /// Ends the registration of a ring of provided buffers. `IORING_UNREGISTER_PBUF_RING`, since
    /// Linux 5.19.
    ///
    /// Afterwards its buffers belong to the program again, except those that operations in flight
    /// have picked: the completions of these operations still name them.
    ///
    /// ```
    /// use ringbolt::{IoUring, register::BufferRingOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let buffers = ring.registrar().register_buffer_ring(7, 4, BufferRingOptions::default())?;
    /// ring.registrar().unregister_buffer_ring(buffers)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`UnregisterError`], which contains the buffer ring.
    #[doc(alias("io_uring_free_buf_ring", "io_uring_unregister_buf_ring"))]
    pub fn unregister_buffer_ring(&self, buffers: BufferRing) -> Result<(), UnregisterError> {
        if buffers.ring != self.name() {
            return Err(UnregisterError { buffers, errno: Errno::INVAL });
        }
        // SAFETY: the value that owns the group is here, and is dropped with it.
        match unsafe { self.unregister_buffer_group(buffers.group) } {
            Ok(()) => Ok(()),
            Err(error) => Err(UnregisterError { buffers, errno: error.errno }),
        }
    }

    /// Ends the registration of a group whose [`BufferRing`] was dropped.
    /// `IORING_UNREGISTER_PBUF_RING`, since Linux 5.19.
    ///
    /// ```
    /// use ringbolt::{IoUring, register::BufferRingOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let buffers = ring.registrar().register_buffer_ring(7, 4, BufferRingOptions::default())?;
    /// drop(buffers);
    /// // SAFETY: its value was dropped on the line above.
    /// unsafe { ring.registrar().unregister_buffer_group(7) }?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` if the group is not a buffer ring, `ENOENT` if the group does not exist.
    ///
    /// # Safety
    ///
    /// The [`BufferRing`] of this group was dropped, or the group was registered by other code that
    /// permits this call. Otherwise the group could be registered again while the value is alive,
    /// and two values would hand out the buffers of one group.
    #[doc(alias("io_uring_unregister_buf_ring", "IORING_UNREGISTER_PBUF_RING"))]
    pub unsafe fn unregister_buffer_group(&self, group: u16) -> Result<(), RegisterError> {
        let mut reg = io_uring_buf_reg { bgid: group, ..io_uring_buf_reg::ZEROED };
        let arg = (&raw mut reg).cast();
        // SAFETY: one struct, which the kernel only reads, during the call.
        unsafe { self.ask(RegisterOp::UNREGISTER_PBUF_RING, arg, 1) }?;
        Ok(())
    }

    /// Returns how many buffers the kernel has ever consumed from a ring, modulo 65,536.
    /// `IORING_REGISTER_PBUF_STATUS`, since Linux 6.8.
    ///
    /// ```
    /// use ringbolt::{IoUring, register::BufferRingOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let buffers = ring.registrar().register_buffer_ring(7, 4, BufferRingOptions::default())?;
    /// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FTRUNCATE) {
    /// #     return Ok(()); // A kernel that may lack it.
    /// # }
    /// assert_eq!(ring.registrar().buffer_ring_head(7)?, 0);
    /// # drop(buffers);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` if the group is not a buffer ring, or before Linux 6.8; `ENOENT` if the group does
    /// not exist.
    #[doc(alias("io_uring_buf_ring_head", "io_uring_buf_ring_available"))]
    #[doc(alias = "IORING_REGISTER_PBUF_STATUS")]
    pub fn buffer_ring_head(&self, group: u16) -> Result<u16, RegisterError> {
        let mut status =
            io_uring_buf_status { buf_group: u32::from(group), ..io_uring_buf_status::ZEROED };
        let arg = (&raw mut status).cast();
        // SAFETY: one struct, valid for reads and writes during the call.
        unsafe { self.ask(RegisterOp::REGISTER_PBUF_STATUS, arg, 1) }?;
        let [low, high, _, _] = status.head.to_le_bytes();
        Ok(u16::from_le_bytes([low, high]))
    }

    /// Allocates memory for a ring of provided buffers.
    fn buffer_memory(&self, len: usize) -> Result<Memory, Errno> {
        if self.is_simulated() {
            // A simulated kernel cannot pin pages: it shares the allocation.
            return BufferMemory::new(len).map(Memory::Lent);
        }
        Region::anonymous(len).map(Memory::Mapped)
    }

    fn register_buffers_at(
        &self,
        ring_addr: SharedPtr,
        group: u16,
        entries: u16,
        options: BufferRingOptions,
    ) -> Result<(), RegisterError> {
        let mut reg = io_uring_buf_reg {
            ring_addr,
            ring_entries: u32::from(entries),
            bgid: group,
            flags: options.flags,
            min_left: options.min_left,
            ..io_uring_buf_reg::ZEROED
        };
        let arg = (&raw mut reg).cast();
        // SAFETY: one struct, which the kernel only reads, during the call. The memory that it
        // refers to, if any, has room for the entries; the kernel pins it.
        unsafe { self.ask(RegisterOp::REGISTER_PBUF_RING, arg, 1) }?;
        Ok(())
    }
}

impl BufferRing {
    /// The group by which entries refer to the ring: see
    /// [`Sqe::buffer_group`](crate::Sqe::buffer_group).
    pub const fn group(&self) -> u16 {
        self.group
    }

    /// How many buffers the ring has room for.
    #[doc(alias = "io_uring_buf_ring_mask")]
    pub const fn capacity(&self) -> u16 {
        self.bufs.capacity()
    }

    /// How many buffers have ever been added, modulo 65,536.
    ///
    /// This value minus [`Registrar::buffer_ring_head`] is the number of buffers that the kernel
    /// has left.
    pub const fn tail(&self) -> u16 {
        self.bufs.tail()
    }

    /// How many buffers were added and not reclaimed.
    ///
    /// These are the buffers that the kernel has, provided that every completion was passed to
    /// [`reclaim`](Self::reclaim) or [`bundle`](Self::bundle).
    #[doc(alias = "io_uring_buf_ring_available")]
    pub const fn len(&self) -> u16 {
        self.bufs.out()
    }

    /// Whether all buffers that were added have been reclaimed.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the buffer with the id `bid`: `len` bytes at `start`.
    ///
    /// The kernel can use it after [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// [`BufferRingFull`] if [`capacity`](Self::capacity) buffers were added and not reclaimed.
    /// With more, the kernel would hand out the newest ones twice.
    ///
    /// # Safety
    ///
    /// - From [`publish`](Self::publish) on, the memory is valid for writes, and the program
    ///   neither reads nor writes it. This ends when a completion has named `bid` and
    ///   [`reclaim`](Self::reclaim) or [`bundle`](Self::bundle) has returned it, or when the group
    ///   was unregistered and no operation in flight has picked the buffer. After the ring is
    ///   closed it ends only when the kernel has released the ring, some time later.
    /// - No other buffer in the ring has the id `bid`.
    /// - Each completion was passed to [`reclaim`](Self::reclaim) or [`bundle`](Self::bundle) at
    ///   most once, and none of them was for a buffer of another group.
    /// - The calling process is the one that registered the ring.
    #[doc(alias = "io_uring_buf_ring_add")]
    #[inline(always)]
    pub unsafe fn add(&mut self, start: *mut u8, len: u32, bid: u16) -> Result<(), BufferRingFull> {
        if self.bufs.add(SharedPtr::from_mut(start), len, bid) {
            Ok(())
        } else {
            Err(BufferRingFull)
        }
    }

    /// Makes the buffers that were added visible to the kernel. Returns how many are new to it.
    #[doc(alias = "io_uring_buf_ring_advance")]
    #[inline(always)]
    pub fn publish(&mut self) -> u16 {
        if self.ring.is_here() { self.bufs.publish() } else { 0 }
    }

    /// Records a completion. Returns the id of the buffer that belongs to the program again.
    ///
    /// Returns `None` if the completion names no buffer, or if the kernel continues to use the
    /// buffer ([`CqeFlags::BUF_MORE`](crate::sys::CqeFlags::BUF_MORE)).
    ///
    /// Pass each completion of an operation on this group to this method once or, if it is the
    /// completion of a bundle, to [`bundle`](Self::bundle). Otherwise the ring becomes full.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::Read, register::BufferRingOptions};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ring = IoUring::new(8)?;
    /// let options = BufferRingOptions::default();
    /// let Ok(mut buffers) = ring.registrar().register_buffer_ring(0, 1, options) else {
    ///     return Ok(()); // Before Linux 5.19.
    /// };
    /// let memory = vec![0_u8; 64].leak();
    /// // SAFETY: the memory is leaked, and is not touched before the buffer is reclaimed.
    /// unsafe { buffers.add(memory.as_mut_ptr(), 64, 7) }?;
    /// buffers.publish();
    ///
    /// let zero = std::fs::File::open("/dev/zero")?;
    /// // SAFETY: the entry refers to no memory except the buffers of the group.
    /// unsafe { ring.submission().push(Read::provided(&zero, 64, 0).sqe(1)) }?;
    /// ring.wait_for(1)?;
    /// let completion = ring.completion().pop().ok_or("no completion")?;
    /// assert_eq!(buffers.reclaim(&completion), Some(7));
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn reclaim<C: CqEntry>(&mut self, completion: &C) -> Option<u16> {
        let cqe = completion.as_cqe();
        let bid = cqe.buffer_id()?;
        if cqe.has_more_of_buffer() {
            return None;
        }
        self.bufs.reclaim();
        Some(bid)
    }

    /// Publishes as [`publish`](Self::publish) does, for callers that know that the calling process
    /// is the one that registered the ring.
    #[inline(always)]
    #[cfg(feature = "alloc")]
    pub(crate) fn publish_here(&mut self) {
        self.bufs.publish();
    }

    /// Adds a buffer again that was used up and not reclaimed: it has counted all the time.
    ///
    /// # Safety
    ///
    /// As for [`add`](Self::add), where its last completion stands for its being reclaimed.
    #[inline(always)]
    #[cfg(feature = "alloc")]
    pub(crate) unsafe fn add_again(&mut self, start: *mut u8, len: u32, bid: u16) {
        self.bufs.add_again(SharedPtr::from_mut(start), len, bid);
    }

    /// The id of the buffer that was added after `bid`, and that the kernel takes after it.
    #[cfg(feature = "alloc")]
    pub(crate) fn id_after(&self, bid: u16) -> Option<u16> {
        self.bufs.id_after(bid)
    }

    /// Records the completion of a bundle. Returns the buffers that it filled, which belong to the
    /// program again.
    ///
    /// These are `first`, which the completion names, and those that were added after it, until
    /// they hold `bytes` bytes in total.
    ///
    /// The result is empty if `first` is not among the buffers that the kernel has. Do not use this
    /// on rings with [`BufRingFlags::INC`].
    pub fn bundle(&mut self, first: u16, bytes: u32) -> Bundle<'_> {
        let is_here = self.ring.is_here();
        Bundle(if is_here { self.bufs.bundle(first, bytes) } else { self.bufs.nothing() })
    }
}

/// Iterates over the buffers of a bundle: the id of each, and how many bytes of it were filled.
///
/// [`BufferRing::bundle`] returns it. A buffer is reclaimed when the iterator returns it.
#[derive(Debug)]
#[must_use = "a buffer is reclaimed only when the iterator returns it"]
pub struct Bundle<'r>(Shares<'r>);

impl Iterator for Bundle<'_> {
    type Item = (u16, u32);

    fn next(&mut self) -> Option<(u16, u32)> {
        self.0.next()
    }
}

impl FusedIterator for Bundle<'_> {}
