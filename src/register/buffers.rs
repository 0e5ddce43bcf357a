//! Registered ("fixed") buffers: memory that is pinned once and referred to by index.

use rustix::fd::{AsFd, AsRawFd};

use crate::sys::{
    CloneBuffersFlags, RegisterOp, SharedPtr, io_uring_clone_buffers, io_uring_rsrc_register,
    io_uring_rsrc_update2,
};

use crate::ops::target::{IoVec, fd_bits};

use super::{RegisterError, Registrar, count, tags_for};

/// Which buffers of the other ring to share, for [`Registrar::clone_buffers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloneRange {
    /// The index of the first buffer in the other ring's table.
    pub from: u32,
    /// The index that this buffer gets in this ring's table.
    pub to: u32,
    /// How many buffers. 0 means all of them, with unchanged indexes: `from` and `to` must then be
    /// 0.
    pub count: u32,
}

impl Registrar<'_> {
    /// Pins `buffers` and makes them the table of fixed buffers. `IORING_REGISTER_BUFFERS`,
    /// since Linux 5.1; with empty slots ([`IoVec::EMPTY`]) since 5.13.
    ///
    /// A fixed read or write then refers to a buffer by its index in `buffers`, and can use any
    /// range inside it. There can be at most 16,384 buffers of at most 1 GiB each; they count
    /// towards RLIMIT_MEMLOCK.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::IoVec};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let mut memory = vec![0; 4096];
    /// let buffers = [IoVec::from(&mut memory[..])];
    /// // SAFETY: no entry uses the buffer, and the memory stays until it is unregistered.
    /// unsafe { ring.registrar().register_buffers(&buffers) }?;
    /// // Reads and writes with index 0 ...
    /// ring.registrar().unregister_buffers()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EBUSY` | a table is registered already |
    /// | `EFAULT` | a range is not mapped, is longer than 1 GiB, or is null with a length |
    /// | `EFAULT` | memory that cannot be written to, even for buffers that are only read |
    /// | `EFAULT` | a shared mapping of a file on a disk, or memory of a device; see below |
    /// | `EINVAL` | no buffers, or too many |
    /// | `ENOMEM` | more locked memory than RLIMIT_MEMLOCK allows, or out of memory |
    /// | `EOPNOTSUPP` | before Linux 6.5, a mapping of a file on a disk |
    ///
    /// The kernel pins memory for writing and for a long time. That works for anonymous memory,
    /// private or shared, for a memfd, for files in tmpfs and hugetlbfs, and for a private mapping
    /// of a file that may be written to. It does not work for a `static` that is not `mut`, for a
    /// read-only mapping, or for a shared mapping of a file on a disk, because the kernel could not
    /// track which of its pages become dirty.
    ///
    /// # Safety
    ///
    /// The memory of each buffer is valid for reads and writes, stays mapped to the same pages, and
    /// is accessed by the program only as the contract of the entries that use it allows. This
    /// holds until the buffer has been unregistered or replaced and no entry in flight uses it.
    #[doc(alias("io_uring_register_buffers", "IORING_REGISTER_BUFFERS"))]
    pub unsafe fn register_buffers(&self, buffers: &[IoVec]) -> Result<(), RegisterError> {
        let op = RegisterOp::REGISTER_BUFFERS;
        let arg = buffers.as_ptr().cast_mut().cast();
        // SAFETY: as many vectors as said, which the kernel only reads, during the call; what
        // they point to is kept by the caller.
        unsafe { self.ask(op, arg, count(op, buffers)?) }?;
        Ok(())
    }

    /// Makes a table of fixed buffers whose slots have tags. `IORING_REGISTER_BUFFERS2`, since
    /// Linux 5.13.
    ///
    /// [`register_files_tagged`](Self::register_files_tagged) explains tags.
    ///
    /// The completion with a tag means that this ring has released the buffer. Rings that share the
    /// buffer by [`clone_buffers`](Self::clone_buffers) may still use it.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::IoVec};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ring = IoUring::new(8)?;
    /// let mut memory = vec![0; 4096];
    /// let buffers = [IoVec::from(&mut memory[..])];
    /// // SAFETY: no entry uses the buffer, and the memory stays until it is unregistered.
    /// unsafe { ring.registrar().register_buffers_tagged(&buffers, &[77]) }?;
    /// ring.registrar().unregister_buffers()?;
    /// while ring.wait_for(1).is_err() {}
    /// let cqe = ring.completion().pop().ok_or("no completion")?;
    /// assert_eq!(cqe.user_data(), 77); // The buffer was released.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`register_buffers`](Self::register_buffers); also `EINVAL` if the numbers of tags
    /// and buffers differ, or if an empty slot has a tag.
    ///
    /// # Safety
    ///
    /// As for [`register_buffers`](Self::register_buffers).
    #[doc(alias("io_uring_register_buffers_tags", "IORING_REGISTER_BUFFERS2"))]
    pub unsafe fn register_buffers_tagged(
        &self,
        buffers: &[IoVec],
        tags: &[u64],
    ) -> Result<(), RegisterError> {
        let op = RegisterOp::REGISTER_BUFFERS2;
        let (data, tags) = (SharedPtr::new(buffers.as_ptr()), tags_for(op, buffers, tags)?);
        let nr = count(op, buffers)?;
        let table = io_uring_rsrc_register { nr, data, tags, ..io_uring_rsrc_register::ZEROED };
        // SAFETY: the count is that of the vectors and tags, which are only read, during the call.
        // The caller keeps what the vectors point to.
        unsafe { self.make_table(op, table) }
    }

    /// Shares the fixed buffers of another ring. `IORING_REGISTER_CLONE_BUFFERS`, since Linux
    /// 6.12; a range of them since 6.13.
    ///
    /// Slots of this ring's table outside the range stay as they are. If the range reaches beyond
    /// the end of this table, the table grows.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::IoVec, register::CloneRange, sys::CloneBuffersFlags};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (ring, other) = (IoUring::new(8)?, IoUring::new(8)?);
    /// let mut memory = vec![0; 4096];
    /// let buffers = [IoVec::from(&mut memory[..])];
    /// // SAFETY: no entry uses the buffer, and the memory stays until both rings are closed.
    /// unsafe { other.registrar().register_buffers(&buffers) }?;
    /// # if !other.registrar().probe()?.supports(ringbolt::sys::Opcode::EPOLL_WAIT) {
    /// #     return Ok(()); // A kernel that may lack it.
    /// # }
    /// let (all, flags) = (CloneRange::default(), CloneBuffersFlags::empty());
    /// // SAFETY: as above.
    /// unsafe { ring.registrar().clone_buffers(&other, all, flags) }?;
    /// # ring.registrar().unregister_buffers()?;
    /// # other.registrar().unregister_buffers()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EBADF` | the descriptor is not open |
    /// | `EBUSY` | this ring has a table already, without [`CloneBuffersFlags::DST_REPLACE`] |
    /// | `EINVAL` | more buffers than the other ring has, or beyond 16,384 slots in this ring |
    /// | `EINVAL` | the other ring belongs to another user |
    /// | `ENXIO` | the other ring has no buffers |
    /// | `EOPNOTSUPP` | the descriptor is not a ring |
    /// | `EOVERFLOW` | the range exceeds the other ring's table |
    ///
    /// # Safety
    ///
    /// The contract of [`register_buffers`](Self::register_buffers) for those buffers holds until
    /// both rings have released them.
    #[doc(alias("io_uring_clone_buffers", "io_uring_clone_buffers_offset"))]
    #[doc(alias("IORING_REGISTER_CLONE_BUFFERS", "__io_uring_clone_buffers"))]
    #[doc(alias = "__io_uring_clone_buffers_offset")]
    pub unsafe fn clone_buffers(
        &self,
        source: impl AsFd,
        range: CloneRange,
        flags: CloneBuffersFlags,
    ) -> Result<(), RegisterError> {
        let mut clone = io_uring_clone_buffers {
            src_fd: fd_bits(source.as_fd().as_raw_fd()),
            flags,
            src_off: range.from,
            dst_off: range.to,
            nr: range.count,
            ..io_uring_clone_buffers::ZEROED
        };
        let arg = (&raw mut clone).cast();
        // SAFETY: one struct, which the kernel only reads, during the call.
        unsafe { self.ask(RegisterOp::REGISTER_CLONE_BUFFERS, arg, 1) }?;
        Ok(())
    }

    /// Makes a table of `slots` empty slots for buffers. `IORING_REGISTER_BUFFERS2` with
    /// `IORING_RSRC_REGISTER_SPARSE`, since Linux 5.19.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().register_buffers_sparse(64)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EBUSY` if a table is registered already, `EINVAL` for 0 or more than 16,384 slots.
    #[doc(alias("io_uring_register_buffers_sparse", "IORING_REGISTER_BUFFERS2"))]
    pub fn register_buffers_sparse(&self, slots: u32) -> Result<(), RegisterError> {
        self.register_sparse(RegisterOp::REGISTER_BUFFERS2, slots)
    }

    /// Replaces the buffers from index `first` on with `buffers`. `IORING_REGISTER_BUFFERS_UPDATE`,
    /// since Linux 5.13.
    ///
    /// Returns how many were replaced: fewer than requested if one of them failed. Entries in
    /// flight continue to use the memory that was registered when they started.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::IoVec};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().register_buffers_sparse(2)?;
    /// let mut memory = vec![0; 4096];
    /// let buffers = [IoVec::from(&mut memory[..])];
    /// // SAFETY: no entry uses the buffer, and the memory stays until it is unregistered.
    /// let replaced = unsafe { ring.registrar().update_buffers(1, &buffers) }?;
    /// assert_eq!(replaced, 1);
    /// ring.registrar().unregister_buffers()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` if the range exceeds the table, `ENXIO` if there is no table; otherwise as for
    /// [`register_buffers`](Self::register_buffers).
    ///
    /// # Safety
    ///
    /// As for [`register_buffers`](Self::register_buffers).
    #[doc(alias("io_uring_register_buffers_update_tag", "IORING_REGISTER_BUFFERS_UPDATE"))]
    pub unsafe fn update_buffers(
        &self,
        first: u32,
        buffers: &[IoVec],
    ) -> Result<u32, RegisterError> {
        // SAFETY: the caller's promise, passed on; null stands for no tags.
        unsafe { self.replace_buffers(first, buffers, SharedPtr::NULL) }
    }

    /// Replaces buffers and their tags. `IORING_REGISTER_BUFFERS_UPDATE`, since Linux 5.13.
    ///
    /// Returns how many were replaced.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::IoVec};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().register_buffers_sparse(2)?;
    /// let mut memory = vec![0; 4096];
    /// let buffers = [IoVec::from(&mut memory[..])];
    /// // SAFETY: no entry uses the buffer, and the memory stays until it is unregistered.
    /// let replaced = unsafe { ring.registrar().update_buffers_tagged(1, &buffers, &[77]) }?;
    /// assert_eq!(replaced, 1);
    /// ring.registrar().unregister_buffers()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`update_buffers`](Self::update_buffers); also `EINVAL` if the numbers of tags and
    /// buffers differ.
    ///
    /// # Safety
    ///
    /// As for [`register_buffers`](Self::register_buffers).
    #[doc(alias("io_uring_register_buffers_update_tag", "IORING_REGISTER_BUFFERS_UPDATE"))]
    pub unsafe fn update_buffers_tagged(
        &self,
        first: u32,
        buffers: &[IoVec],
        tags: &[u64],
    ) -> Result<u32, RegisterError> {
        let tags = tags_for(RegisterOp::REGISTER_BUFFERS_UPDATE, buffers, tags)?;
        // SAFETY: the caller keeps this contract; there is a tag for each buffer.
        unsafe { self.replace_buffers(first, buffers, tags) }
    }

    /// Drops the table of fixed buffers and unpins them. `IORING_UNREGISTER_BUFFERS`, since Linux
    /// 5.1.
    ///
    /// Buffers that entries in flight use stay pinned, and the contract of these entries still
    /// applies.
    ///
    /// Before Linux 6.13 the call waits until no entry in flight uses a buffer of the table. If the
    /// calling thread is the one that would let such an entry end, for example by writing to the
    /// pipe that it reads from, the call never returns: cancel these entries first.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().register_buffers_sparse(2)?;
    /// ring.registrar().unregister_buffers()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `ENXIO` if there is no table.
    #[doc(alias("io_uring_unregister_buffers", "IORING_UNREGISTER_BUFFERS"))]
    pub fn unregister_buffers(&self) -> Result<(), RegisterError> {
        // SAFETY: the operation takes no argument.
        unsafe { self.ask(RegisterOp::UNREGISTER_BUFFERS, core::ptr::null_mut(), 0) }?;
        Ok(())
    }

    /// # Safety
    ///
    /// As for [`register_buffers`](Self::register_buffers); `tags` is null, or points to a tag for
    /// each of `buffers`.
    unsafe fn replace_buffers(
        &self,
        first: u32,
        buffers: &[IoVec],
        tags: SharedPtr,
    ) -> Result<u32, RegisterError> {
        let op = RegisterOp::REGISTER_BUFFERS_UPDATE;
        let (data, nr) = (SharedPtr::new(buffers.as_ptr()), count(op, buffers)?);
        let update = io_uring_rsrc_update2 { offset: first, resv: 0, data, tags, nr, resv2: 0 };
        // SAFETY: the count is that of the vectors and tags, which are only read, during the call.
        // The caller keeps what the vectors point to.
        unsafe { self.update_table(op, update) }
    }
}
