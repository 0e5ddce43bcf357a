//! Provided buffers, as a ring that is shared with the kernel.

use core::fmt;
use core::iter::FusedIterator;
use core::ptr::NonNull;

use rustix::io::Errno;

use crate::completion::CompletionQueue;
use crate::entry::CqEntry;
use crate::explain::ErrnoText;
use crate::ring::bufs::{Bufs, Shares};
use crate::ring::map::Region;
#[cfg(feature = "sim")]
use crate::sim;
use crate::sys::{
    BufRingFlags, IORING_OFF_PBUF_RING, IORING_OFF_PBUF_SHIFT, RegisterOp, SharedPtr, io_uring_buf,
    io_uring_buf_reg, io_uring_buf_status,
};

use super::{RegisterError, Registrar, RingName};

/// The most buffers that a ring can hold.
pub const MAX_BUFFERS: u16 = 32_768;

/// The last group whose ring can be mapped. Where its number would go on in the offset of a
/// mapping, there are the bits that say what is to be mapped: group 32,768 would be group 0.
const LAST_MAPPED_GROUP: u16 = 2047;

/// A ring of provided buffers: memory that the kernel picks from when data is there.
///
/// From [`Registrar::register_buffer_ring`]. Buffers are [added](Self::add) and then
/// [published](Self::publish). An entry names the ring by its group, and its completions name the
/// buffer that was used. [`reclaim`](Self::reclaim) is called with each of them and returns the
/// buffer when it is the program's again; it can then be added again.
///
/// The value owns its registration: no other value has the same group of the same ring.
/// [`Registrar::unregister_buffer_ring`] takes it back and ends the registration. Dropping the
/// value does not: the kernel goes on to use the buffers that were published, and the group stays
/// taken until the ring is closed or [`Registrar::unregister_buffer_group`] is called.
///
/// Like a ring, it belongs to the process that made it, and its memory is kept out of children: in
/// a child, [`publish`](Self::publish) shows nothing and [`bundle`](Self::bundle) is empty.
#[derive(Debug)]
pub struct BufferRing {
    bufs: Bufs,
    group: u16,
    /// The ring that it is registered with.
    ring: RingName,
    /// Unmapped when dropped, if it was mapped here; the kernel holds its own reference.
    _memory: Memory,
}

/// The memory of a ring of provided buffers.
#[derive(Debug)]
enum Memory {
    /// Mapped here, or the caller's.
    Mapped(Region),
    /// Shared with a simulated kernel.
    #[cfg(feature = "sim")]
    Lent(sim::BufferMemory),
}

impl Memory {
    fn start(&self) -> NonNull<u8> {
        match self {
            Self::Mapped(region) => region.start(),
            #[cfg(feature = "sim")]
            Self::Lent(memory) => memory.start(),
        }
    }
}

/// A buffer was not added: the ring holds as many as it has places for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferRingFull;

impl fmt::Display for BufferRingFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the buffer ring is full: each completion with a buffer is reported by `reclaim` or \
             `bundle` before the buffer is added again",
        )
    }
}

impl core::error::Error for BufferRingFull {}

/// A buffer ring was not unregistered. From [`Registrar::unregister_buffer_ring`].
#[derive(Debug)]
pub struct UnregisterError {
    /// The buffer ring, still registered.
    pub buffers: BufferRing,
    /// Why: `EINVAL` if it is another ring's, `ECHILD` in a process that did not make the ring.
    pub errno: Errno,
}

impl fmt::Display for UnregisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, errno) = (self.buffers.group, ErrnoText(self.errno));
        write!(f, "the buffer ring of group {group} was not unregistered: {errno}")
    }
}

impl core::error::Error for UnregisterError {}

/// How the kernel uses the buffers of a ring; flags alone will do where a ring is registered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BufferRingOptions {
    /// Whose memory the ring lies in, and whether buffers are used up bit by bit.
    pub flags: BufRingFlags,
    /// With [`BufRingFlags::INC`], how many bytes a buffer must have left to be used on: with
    /// fewer it is used up. For datagrams, the longest one with what is stored before it, or what
    /// does not fit is lost: see [`Registrar::register_buffer_ring`]. 0 on kernels that do not know
    /// this, which refuse anything else.
    pub min_left: u32,
}

impl From<BufRingFlags> for BufferRingOptions {
    fn from(flags: BufRingFlags) -> Self {
        Self { flags, min_left: 0 }
    }
}

/// A buffer ring was not made.
fn refused(errno: Errno) -> RegisterError {
    RegisterError { op: RegisterOp::REGISTER_PBUF_RING, errno }
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
    /// With `INC`, data that meets the end of a buffer is cut there: the rest of a stream goes into
    /// the next buffer, but **the rest of a datagram is lost**. [`Recv`](crate::ops::Recv) does not
    /// report that: its result is what was stored. [`RecvMsg`](crate::ops::RecvMsg) sets
    /// `MSG_TRUNC` in the flags of the message. To prevent it, set
    /// [`min_left`](BufferRingOptions::min_left) to the longest datagram that may come; for a
    /// multishot `RecvMsg`, to 16 bytes, the room for the address, the room for control messages,
    /// and the longest datagram together. Buffers are then given up with that much left, and none
    /// is cut, if each is at least that long.
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
    /// Its buffers are the program's again, except those that operations in flight have picked: the
    /// completions of these name them still.
    ///
    /// # Errors
    ///
    /// [`UnregisterError`], with the buffer ring in it.
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
    /// # Errors
    ///
    /// `EINVAL` if the group is not a buffer ring, `ENOENT` if there is no such group.
    ///
    /// # Safety
    ///
    /// The [`BufferRing`] of this group was dropped, or the group was registered by other code that
    /// agrees. Otherwise the group can be registered again while the value is alive, and two values
    /// hand out the buffers of one group.
    pub unsafe fn unregister_buffer_group(&self, group: u16) -> Result<(), RegisterError> {
        let mut reg = io_uring_buf_reg { bgid: group, ..io_uring_buf_reg::ZEROED };
        let arg = (&raw mut reg).cast();
        // SAFETY: one struct, which the kernel only reads, during the call.
        unsafe { self.ask(RegisterOp::UNREGISTER_PBUF_RING, arg, 1) }?;
        Ok(())
    }

    /// How many buffers the kernel has ever taken from a ring, modulo 65,536.
    /// `IORING_REGISTER_PBUF_STATUS`, since Linux 6.8.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the group is no ring, or before Linux 6.8; `ENOENT` if there is no such group.
    pub fn buffer_ring_head(&self, group: u16) -> Result<u16, RegisterError> {
        let mut status =
            io_uring_buf_status { buf_group: u32::from(group), ..io_uring_buf_status::ZEROED };
        let arg = (&raw mut status).cast();
        // SAFETY: one struct, valid for reads and writes during the call.
        unsafe { self.ask(RegisterOp::REGISTER_PBUF_STATUS, arg, 1) }?;
        let [low, high, _, _] = status.head.to_le_bytes();
        Ok(u16::from_le_bytes([low, high]))
    }

    /// Memory that a ring of provided buffers can lie in.
    fn buffer_memory(&self, len: usize) -> Result<Memory, Errno> {
        #[cfg(feature = "sim")]
        if self.is_simulated() {
            // A simulated kernel cannot pin pages: it shares the allocation.
            return sim::BufferMemory::new(len).map(Memory::Lent);
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
        // names, if any, has room for the entries; the kernel pins it.
        unsafe { self.ask(RegisterOp::REGISTER_PBUF_RING, arg, 1) }?;
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

    /// How many buffers the kernel has, as far as completions were reported: those that were added
    /// and not reclaimed.
    pub const fn len(&self) -> u16 {
        self.bufs.out()
    }

    /// Whether all buffers that were added have been reclaimed.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds the buffer `bid`: `len` bytes at `start`. The kernel sees it after
    /// [`publish`](Self::publish).
    ///
    /// # Errors
    ///
    /// [`BufferRingFull`] if [`capacity`](Self::capacity) buffers were added and not reclaimed: the
    /// kernel would hand out the newest ones twice.
    ///
    /// # Safety
    ///
    /// - From [`publish`](Self::publish) on, until a completion has named `bid` and
    ///   [`reclaim`](Self::reclaim) or [`bundle`](Self::bundle) has returned it, or the group was
    ///   unregistered and no operation in flight has picked the buffer: the memory is valid for
    ///   writes, and neither read nor written by the program. Closing the ring ends this only when
    ///   the kernel has let go of it, some time later.
    /// - No other buffer in the ring has the id `bid`.
    /// - Completions were reported truthfully: each one at most once, and none that another group's
    ///   buffer belongs to.
    /// - This is the process that registered the ring.
    #[inline(always)]
    pub unsafe fn add(&mut self, start: *mut u8, len: u32, bid: u16) -> Result<(), BufferRingFull> {
        if self.bufs.add(SharedPtr::from_mut(start), len, bid) {
            Ok(())
        } else {
            Err(BufferRingFull)
        }
    }

    /// Shows the kernel the buffers that were added. Returns how many are new to it.
    #[inline(always)]
    pub fn publish(&mut self) -> u16 {
        if self.ring.is_here() { self.bufs.publish() } else { 0 }
    }

    /// Publishes, and gives the slots of completions taken so far back to the kernel, as after a
    /// batch in which each completion has returned its buffer.
    #[inline(always)]
    pub fn publish_with<C: CqEntry, T>(&mut self, completions: &mut CompletionQueue<'_, C, T>) {
        self.publish();
        completions.sync();
    }

    /// Reports a completion. Returns the buffer that is the program's again by it: the one that it
    /// names, or `None` if it names none or the kernel goes on to use the buffer
    /// ([`CqeFlags::BUF_MORE`](crate::sys::CqeFlags::BUF_MORE)).
    ///
    /// Each completion of an operation on this group is reported once, by this or, for a bundle, by
    /// [`bundle`](Self::bundle). A ring that is not told of its completions becomes full.
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
    /// // SAFETY: the entry names no memory but the buffers of the group.
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

    /// Reports the completion of a bundle. Returns the buffers that it has filled, which are the
    /// program's again: `first`, which the completion names, and those that were added after it,
    /// `bytes` in all.
    ///
    /// This looks for `first` among the buffers that the kernel has. Empty if it is not there. Not
    /// for rings with [`BufRingFlags::INC`].
    pub fn bundle(&mut self, first: u16, bytes: u32) -> Bundle<'_> {
        let is_here = self.ring.is_here();
        Bundle(if is_here { self.bufs.bundle(first, bytes) } else { self.bufs.nothing() })
    }
}

/// The buffers of a bundle: the id of each and how many bytes of it were filled. From
/// [`BufferRing::bundle`].
#[derive(Debug)]
#[must_use = "buffers are reclaimed only as far as this is iterated"]
pub struct Bundle<'r>(Shares<'r>);

impl Iterator for Bundle<'_> {
    type Item = (u16, u32);

    fn next(&mut self) -> Option<(u16, u32)> {
        self.0.next()
    }
}

impl FusedIterator for Bundle<'_> {}
