//! Provided buffers, as a ring that is shared with the kernel.

use core::iter::FusedIterator;
use core::ptr::NonNull;

use rustix::io::Errno;

use crate::completion::CompletionQueue;
use crate::entry::CqEntry;
use crate::ring::bufs::{Bufs, Shares};
use crate::ring::map::Region;
use crate::sys::{
    BufRingFlags, IORING_OFF_PBUF_RING, IORING_OFF_PBUF_SHIFT, RegisterOp, SharedPtr, io_uring_buf,
    io_uring_buf_reg, io_uring_buf_status,
};

use super::Registrar;

/// The most buffers that a ring can hold.
pub const MAX_BUFFERS: u16 = 32_768;

/// The last group whose ring can be mapped. Where its number would go on in the offset of a
/// mapping, there are the bits that say what is to be mapped: group 32,768 would be group 0.
const LAST_MAPPED_GROUP: u16 = 2047;

/// A ring of provided buffers: memory that the kernel picks from when data is there.
///
/// From [`Registrar::register_buffer_ring`]. Buffers are [added](Self::add) and then
/// [published](Self::publish); an entry names the ring by its group, and its completions say by
/// [`Cqe::buffer_id`](crate::Cqe::buffer_id) which buffer was used. That buffer is the program's
/// again, and may be added again.
///
/// Dropping this does not unregister the group: the kernel goes on to use what was published.
#[derive(Debug)]
pub struct BufferRing {
    bufs: Bufs,
    group: u16,
    /// Unmapped when dropped, if it was mapped here; the kernel holds its own reference.
    _memory: Region,
}

/// How the kernel uses the buffers of a ring; flags alone will do where a ring is registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferRingOptions {
    /// Whose memory the ring lies in, and whether buffers are used up bit by bit.
    pub flags: BufRingFlags,
    /// With [`BufRingFlags::INC`], how many bytes a buffer must have left to be used on: with
    /// fewer it is used up. 0 on kernels that do not know this, which refuse anything else.
    pub min_left: u32,
}

impl From<BufRingFlags> for BufferRingOptions {
    fn from(flags: BufRingFlags) -> Self {
        Self { flags, min_left: 0 }
    }
}

impl Registrar<'_> {
    /// Makes a ring for `entries` provided buffers and registers it as `group`.
    /// `IORING_REGISTER_PBUF_RING`, since Linux 5.19.
    ///
    /// With [`BufRingFlags::MMAP`] the memory of the ring itself is the kernel's, for groups up to
    /// 2047, since Linux 6.4. With [`BufRingFlags::INC`] the kernel uses a buffer up bit by bit,
    /// since Linux 6.12: as long as a completion has
    /// [`CqeFlags::BUF_MORE`](crate::sys::CqeFlags::BUF_MORE), the next data goes behind it into
    /// the same buffer. A read from a regular file uses up as much as it asks for, even if it gets
    /// less: the next data then goes behind that.
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EEXIST` | the group exists |
    /// | `EINVAL` | not a power of two up to [`MAX_BUFFERS`], or flags that this kernel lacks |
    /// | `EINVAL` | `MMAP` for a group beyond 2047 |
    /// | `ENOMEM` | no memory |
    pub fn register_buffer_ring(
        &self,
        group: u16,
        entries: u16,
        options: impl Into<BufferRingOptions>,
    ) -> Result<BufferRing, Errno> {
        let options = options.into();
        if !entries.is_power_of_two() {
            return Err(Errno::INVAL);
        }
        let len = usize::from(entries) * size_of::<io_uring_buf>();
        let memory = if options.flags.contains(BufRingFlags::MMAP) {
            if group > LAST_MAPPED_GROUP {
                return Err(Errno::INVAL);
            }
            self.register_buffers_at(SharedPtr::NULL, group, entries, options)?;
            let offset = IORING_OFF_PBUF_RING | (u64::from(group) << IORING_OFF_PBUF_SHIFT);
            self.map(len, offset).inspect_err(|_| {
                // Nothing was added to it, and nobody has heard of it.
                let _ = self.unregister_buffer_ring(group);
            })?
        } else {
            let memory = Region::anonymous(len)?;
            let start = SharedPtr::from_mut(memory.start().as_ptr());
            self.register_buffers_at(start, group, entries, options)?;
            memory
        };
        // SAFETY: the memory has room for `entries` entries, page-aligned, and stays mapped as
        // long as the value that it is stored in.
        let bufs = unsafe { Bufs::new(memory.start().cast(), entries) };
        Ok(BufferRing { bufs, group, _memory: memory })
    }

    /// The same in `memory` of the caller's: huge pages, say.
    ///
    /// # Errors
    ///
    /// As [`register_buffer_ring`](Self::register_buffer_ring); `EINVAL` also if the memory is not
    /// aligned to a page or too short for `entries` of 16 bytes.
    ///
    /// # Safety
    ///
    /// Until the group has been unregistered and the value was dropped, `memory` is valid for reads
    /// and writes, and nothing else uses it.
    pub unsafe fn register_buffer_ring_in(
        &self,
        memory: NonNull<[u8]>,
        group: u16,
        entries: u16,
        options: impl Into<BufferRingOptions>,
    ) -> Result<BufferRing, Errno> {
        let mut options = options.into();
        options.flags.remove(BufRingFlags::MMAP);
        let len = usize::from(entries) * size_of::<io_uring_buf>();
        let aligned = memory.cast::<u8>().addr().get() % align_of::<io_uring_buf>() == 0;
        if !entries.is_power_of_two() || memory.len() < len || !aligned {
            return Err(Errno::INVAL);
        }
        let start = SharedPtr::from_mut(memory.cast::<u8>().as_ptr());
        self.register_buffers_at(start, group, entries, options)?;
        // SAFETY: long enough and aligned, as checked above; the caller keeps it.
        let bufs = unsafe { Bufs::new(memory.cast(), entries) };
        Ok(BufferRing { bufs, group, _memory: Region::provided(memory) })
    }

    /// Drops a ring of provided buffers. `IORING_UNREGISTER_PBUF_RING`, since Linux 5.19.
    ///
    /// Its buffers are the program's again, but for those that entries in flight have picked.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the group is no ring, `ENOENT` if there is no such group.
    pub fn unregister_buffer_ring(&self, group: u16) -> Result<(), Errno> {
        let mut reg = io_uring_buf_reg { bgid: group, ..io_uring_buf_reg::ZEROED };
        let arg = (&raw mut reg).cast();
        // SAFETY: one struct, which the kernel only reads, during the call.
        unsafe { self.raw(RegisterOp::UNREGISTER_PBUF_RING, arg, 1) }?;
        Ok(())
    }

    /// How many buffers the kernel has ever taken from a ring, modulo 65,536.
    /// `IORING_REGISTER_PBUF_STATUS`, since Linux 6.8.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the group is no ring, or before Linux 6.8; `ENOENT` if there is no such group.
    pub fn buffer_ring_head(&self, group: u16) -> Result<u16, Errno> {
        let mut status =
            io_uring_buf_status { buf_group: u32::from(group), ..io_uring_buf_status::ZEROED };
        let arg = (&raw mut status).cast();
        // SAFETY: one struct, valid for reads and writes during the call.
        unsafe { self.raw(RegisterOp::REGISTER_PBUF_STATUS, arg, 1) }?;
        let [low, high, _, _] = status.head.to_le_bytes();
        Ok(u16::from_le_bytes([low, high]))
    }

    fn register_buffers_at(
        &self,
        ring_addr: SharedPtr,
        group: u16,
        entries: u16,
        options: BufferRingOptions,
    ) -> Result<(), Errno> {
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
        // names, if any, has room for the entries; the kernel pins it.
        unsafe { self.raw(RegisterOp::REGISTER_PBUF_RING, arg, 1) }?;
        Ok(())
    }
}

impl BufferRing {
    /// The group that entries name: see [`Sqe::buffer_group`](crate::Sqe::buffer_group).
    pub const fn group(&self) -> u16 {
        self.group
    }

    /// How many buffers there is room for.
    pub const fn capacity(&self) -> u16 {
        self.bufs.capacity()
    }

    /// How many buffers have ever been added, modulo 65,536.
    ///
    /// Less [`Registrar::buffer_ring_head`], that is how many the kernel has left.
    pub const fn tail(&self) -> u16 {
        self.bufs.tail()
    }

    /// Adds the buffer `bid`: `len` bytes at `start`. The kernel sees it after
    /// [`publish`](Self::publish).
    ///
    /// A ring that holds [`capacity`](Self::capacity) buffers has no room: another one takes the
    /// place of the oldest, which then is lost.
    ///
    /// # Safety
    ///
    /// From [`publish`](Self::publish) on, until a completion has named `bid` and no further one
    /// will, or the group was unregistered and no entry in flight uses it, or the ring is closed
    /// and the kernel has let go of it: the memory is valid for writes, and neither read nor
    /// written by the program.
    #[inline(always)]
    pub unsafe fn add(&mut self, start: *mut u8, len: u32, bid: u16) {
        self.bufs.add(SharedPtr::from_mut(start), len, bid);
    }

    /// Shows the kernel the buffers that were added. Returns how many are new to it.
    #[inline(always)]
    pub fn publish(&mut self) -> u16 {
        self.bufs.publish()
    }

    /// Publishes, and gives the slots of completions taken so far back to the kernel, as after a
    /// batch in which each completion has returned its buffer.
    #[inline(always)]
    pub fn publish_with<C: CqEntry, T>(&mut self, completions: &mut CompletionQueue<'_, C, T>) {
        self.publish();
        completions.sync();
    }

    /// The buffers that a completion of a bundle has filled: from `first` on, which the completion
    /// names, those that were added behind it, `bytes` in all.
    ///
    /// Completions are to be told in the order in which they came. Empty if no buffer `first` is
    /// where the kernel may have taken it from. Not for rings with [`BufRingFlags::INC`].
    pub fn bundle(&mut self, first: u16, bytes: u32) -> Bundle<'_> {
        Bundle(self.bufs.bundle(first, bytes))
    }
}

/// The buffers of a bundle: the id of each and how many bytes of it were filled. From
/// [`BufferRing::bundle`].
#[derive(Debug)]
#[must_use = "buffers count as told of only as far as this is iterated"]
pub struct Bundle<'r>(Shares<'r>);

impl Iterator for Bundle<'_> {
    type Item = (u16, u32);

    fn next(&mut self) -> Option<(u16, u32)> {
        self.0.next()
    }
}

impl FusedIterator for Bundle<'_> {}
