//! Registered ("fixed") buffers: memory that is pinned once, and named by index.

use rustix::fd::{AsFd, AsRawFd};

use crate::sys::{
    CloneBuffersFlags, RegisterOp, SharedPtr, io_uring_clone_buffers, io_uring_rsrc_register,
    io_uring_rsrc_update2,
};

use crate::target::{IoVec, fd_bits};

use super::{RegisterError, Registrar, count, tags_for};

/// Which buffers of another ring to share, for [`Registrar::clone_buffers`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CloneRange {
    /// The index of the first there.
    pub from: u32,
    /// The index that it gets here.
    pub to: u32,
    /// How many; 0 for all, which then go where they are there: `from` and `to` are 0.
    pub count: u32,
}

impl Registrar<'_> {
    /// Pins `buffers` and makes them the table of fixed buffers. `IORING_REGISTER_BUFFERS`,
    /// since Linux 5.1; with empty slots ([`IoVec::EMPTY`]) since 5.13.
    ///
    /// A fixed read or write then names a buffer by its index in `buffers`, and any range
    /// inside it. At most 16,384 buffers of at most 1 GiB; they count towards RLIMIT_MEMLOCK.
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EBUSY` | there is a table already |
    /// | `EFAULT` | a range is not mapped, or is longer than 1 GiB; null with a length |
    /// | `EFAULT` | memory that cannot be written to, even for buffers that are only read |
    /// | `EFAULT` | a shared mapping of a file on a disk, or memory of a device; see below |
    /// | `EINVAL` | no buffer at all, or too many |
    /// | `ENOMEM` | more locked memory than RLIMIT_MEMLOCK allows, or no memory |
    /// | `EOPNOTSUPP` | before Linux 6.5, a mapping of a file on a disk |
    ///
    /// The kernel pins memory for writing and for a long time. That works for anonymous memory,
    /// private or shared, for a memfd, for files in tmpfs and hugetlbfs, and for a private mapping
    /// of a file that may be written to. It does not for a `static` that is not `mut`, for
    /// a read-only mapping, nor for a shared mapping of a file on a disk, as the kernel could not
    /// track which of its pages become dirty.
    ///
    /// # Safety
    ///
    /// Until the buffer has been unregistered or replaced, and no entry in flight uses it:
    /// its memory is valid for reads and writes, stays mapped to the same pages, and is
    /// accessed by the program only as the contract of the entries that use it allows.
    pub unsafe fn register_buffers(&self, buffers: &[IoVec]) -> Result<(), RegisterError> {
        let op = RegisterOp::REGISTER_BUFFERS;
        let arg = buffers.as_ptr().cast_mut().cast();
        // SAFETY: as many vectors as said, which the kernel only reads, during the call; what
        // they point to is kept by the caller.
        unsafe { self.ask(op, arg, count(op, buffers)?) }?;
        Ok(())
    }

    /// Makes a table of fixed buffers whose slots have tags. `IORING_REGISTER_BUFFERS2`, since
    /// Linux 5.13; see
    /// [`register_files_tagged`](Self::register_files_tagged) for what a tag does.
    ///
    /// A tag tells of this ring alone: those that share the buffer, by
    /// [`clone_buffers`](Self::clone_buffers), may use it still.
    ///
    /// # Errors
    ///
    /// As [`register_buffers`](Self::register_buffers); `EINVAL` if there are not as many tags as
    /// buffers, or an empty slot has one.
    ///
    /// # Safety
    ///
    /// As for [`register_buffers`](Self::register_buffers).
    pub unsafe fn register_buffers_tagged(
        &self,
        buffers: &[IoVec],
        tags: &[u64],
    ) -> Result<(), RegisterError> {
        let op = RegisterOp::REGISTER_BUFFERS2;
        let (data, tags) = (SharedPtr::new(buffers.as_ptr()), tags_for(op, buffers, tags)?);
        let nr = count(op, buffers)?;
        let table = io_uring_rsrc_register { nr, data, tags, ..io_uring_rsrc_register::ZEROED };
        // SAFETY: as many vectors and tags as it says, only read, and during the call. What the
        // vectors point to is kept by the caller.
        unsafe { self.make_table(op, table) }
    }

    /// Shares the fixed buffers of another ring. `IORING_REGISTER_CLONE_BUFFERS`, since Linux
    /// 6.12; a range of them since 6.13.
    ///
    /// Slots here that are not in the range stay as they are; those beyond the end of the table
    /// are added to it.
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EBADF` | the descriptor is not open |
    /// | `EBUSY` | there is a table already, and [`CloneBuffersFlags::DST_REPLACE`] is not set |
    /// | `EINVAL` | more than there are there, or beyond 16,384 slots here; another user's ring |
    /// | `ENXIO` | the other ring has no buffers |
    /// | `EOPNOTSUPP` | it is no ring |
    /// | `EOVERFLOW` | the range leads out of the table there |
    ///
    /// # Safety
    ///
    /// The contract of [`register_buffers`](Self::register_buffers) for those buffers holds until
    /// both rings have let go of them.
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
    /// # Errors
    ///
    /// `EBUSY` if there is a table already, `EINVAL` for none or more than 16,384 slots.
    pub fn register_buffers_sparse(&self, slots: u32) -> Result<(), RegisterError> {
        self.register_sparse(RegisterOp::REGISTER_BUFFERS2, slots)
    }

    /// Replaces the buffers from index `first` on by `buffers`.
    /// `IORING_REGISTER_BUFFERS_UPDATE`, since Linux 5.13.
    ///
    /// Returns how many were updated: fewer than asked for if one of them failed. Entries in
    /// flight keep using the memory that was there when they started.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the range leads out of the table, `ENXIO` if there is no table; otherwise
    /// as [`register_buffers`](Self::register_buffers).
    ///
    /// # Safety
    ///
    /// As for [`register_buffers`](Self::register_buffers).
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
    /// Returns how many were updated.
    ///
    /// # Errors
    ///
    /// As [`update_buffers`](Self::update_buffers); `EINVAL` if there are not as many tags as
    /// buffers.
    ///
    /// # Safety
    ///
    /// As for [`register_buffers`](Self::register_buffers).
    pub unsafe fn update_buffers_tagged(
        &self,
        first: u32,
        buffers: &[IoVec],
        tags: &[u64],
    ) -> Result<u32, RegisterError> {
        let tags = tags_for(RegisterOp::REGISTER_BUFFERS_UPDATE, buffers, tags)?;
        // SAFETY: the caller's promise, passed on; there is a tag for each buffer.
        unsafe { self.replace_buffers(first, buffers, tags) }
    }

    /// Drops the table of fixed buffers, and unpins them. `IORING_UNREGISTER_BUFFERS`, since
    /// Linux 5.1.
    ///
    /// Entries in flight keep their buffers pinned, and their contract.
    ///
    /// # Errors
    ///
    /// `ENXIO` if there is no table.
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
        // SAFETY: as many vectors and tags as it says, only read, and during the call. What the
        // vectors point to is kept by the caller.
        unsafe { self.update_table(op, update) }
    }
}
