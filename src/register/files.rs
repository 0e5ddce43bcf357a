//! Registered ("fixed") files: a table of files that entries refer to by slot.

use crate::sys::{
    RegisterOp, SharedPtr, io_uring_file_index_range, io_uring_files_update,
    io_uring_rsrc_register, io_uring_rsrc_update2,
};

use crate::ops::target::FileSlot;

use super::{RegisterError, Registrar, count, tags_for};

impl Registrar<'_> {
    /// Makes a file table from `slots`. `IORING_REGISTER_FILES`, since Linux 5.1; with empty slots
    /// since 5.5.
    ///
    /// The kernel holds its own references to the files: the descriptors may be closed afterwards.
    /// Entries refer to the files by [`Fixed`](crate::ops::Fixed).
    ///
    /// ```
    /// use ringbolt::{IoUring, register::FileSlot};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// let slots = [FileSlot::from(&file), FileSlot::EMPTY];
    /// ring.registrar().register_files(&slots)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EBADF` | a descriptor is not open, or is a ring's |
    /// | `EBUSY` | a table is registered already |
    /// | `EINVAL` | no slots |
    /// | `EMFILE` | more slots than RLIMIT_NOFILE or the kernel's own limit allows |
    #[doc(alias("io_uring_register_files", "IORING_REGISTER_FILES"))]
    pub fn register_files(&self, slots: &[FileSlot<'_>]) -> Result<(), RegisterError> {
        let op = RegisterOp::REGISTER_FILES;
        let arg = slots.as_ptr().cast_mut().cast();
        // SAFETY: as many descriptors as said, which the kernel only reads, during the call.
        unsafe { self.ask(op, arg, count(op, slots)?) }?;
        Ok(())
    }

    /// Makes a file table of `slots` empty slots. `IORING_REGISTER_FILES2` with
    /// `IORING_RSRC_REGISTER_SPARSE`, since Linux 5.19.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().register_files_sparse(64)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`register_files`](Self::register_files).
    #[doc(alias("io_uring_register_files_sparse", "IORING_REGISTER_FILES2"))]
    pub fn register_files_sparse(&self, slots: u32) -> Result<(), RegisterError> {
        self.register_sparse(RegisterOp::REGISTER_FILES2, slots)
    }

    /// Makes a file table whose slots have tags. `IORING_REGISTER_FILES2`, since Linux 5.13
    /// ([`Features::RSRC_TAGS`](crate::sys::Features::RSRC_TAGS)).
    ///
    /// The kernel posts a completion whose `user_data` is the tag of a slot when it has released
    /// the file of that slot: when the file was replaced or the table dropped, and no entry uses
    /// the file any more. A tag of 0 means no tag.
    ///
    /// Do not free memory on a tag alone if the program has to run on older kernels: on 5.10, 6.1
    /// and 6.12, the tags of a table that was dropped were not posted within 20 seconds.
    ///
    /// ```
    /// use ringbolt::{IoUring, register::FileSlot};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ring = IoUring::new(8)?;
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// ring.registrar().register_files_tagged(&[FileSlot::from(&file)], &[77])?;
    /// ring.registrar().unregister_files()?;
    /// while ring.wait_for(1).is_err() {}
    /// let cqe = ring.completion().pop().ok_or("no completion")?;
    /// assert_eq!(cqe.user_data(), 77); // The file was released.
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`register_files`](Self::register_files); also `EINVAL` if the numbers of tags and
    /// slots differ, or if an empty slot has a tag.
    #[doc(alias("io_uring_register_files_tags", "IORING_REGISTER_FILES2"))]
    pub fn register_files_tagged(
        &self,
        slots: &[FileSlot<'_>],
        tags: &[u64],
    ) -> Result<(), RegisterError> {
        let op = RegisterOp::REGISTER_FILES2;
        let (data, tags) = (SharedPtr::new(slots.as_ptr()), tags_for(op, slots, tags)?);
        let nr = count(op, slots)?;
        let table = io_uring_rsrc_register { nr, data, tags, ..io_uring_rsrc_register::ZEROED };
        // SAFETY: as many descriptors and tags as it says, only read, and during the call.
        unsafe { self.make_table(op, table) }
    }

    /// Replaces slots and their tags. `IORING_REGISTER_FILES_UPDATE2`, since Linux 5.13.
    ///
    /// Returns how many were replaced.
    ///
    /// ```
    /// use ringbolt::{IoUring, register::FileSlot};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().register_files_sparse(2)?;
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// let replaced = ring.registrar().update_files_tagged(1, &[FileSlot::from(&file)], &[77])?;
    /// assert_eq!(replaced, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`update_files`](Self::update_files); also `EINVAL` if the numbers of tags and slots
    /// differ, or if a slot that becomes empty or is skipped has a tag.
    #[doc(alias("io_uring_register_files_update_tag", "IORING_REGISTER_FILES_UPDATE2"))]
    pub fn update_files_tagged(
        &self,
        first: u32,
        slots: &[FileSlot<'_>],
        tags: &[u64],
    ) -> Result<u32, RegisterError> {
        let op = RegisterOp::REGISTER_FILES_UPDATE2;
        let (data, tags) = (SharedPtr::new(slots.as_ptr()), tags_for(op, slots, tags)?);
        let nr = count(op, slots)?;
        let update = io_uring_rsrc_update2 { offset: first, resv: 0, data, tags, nr, resv2: 0 };
        // SAFETY: the count is that of the descriptors and tags, which are only read, during the
        // call.
        unsafe { self.update_table(op, update) }
    }

    /// Limits [`DestSlot::Alloc`](crate::ops::DestSlot::Alloc) to the `len` slots from `first` on.
    /// `IORING_REGISTER_FILE_ALLOC_RANGE`, since Linux 6.0.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().register_files_sparse(64)?;
    /// ring.registrar().set_file_alloc_range(32, 32)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` if the range exceeds the table or there is no table, `EOVERFLOW` if the range
    /// wraps.
    #[doc(alias("io_uring_register_file_alloc_range", "IORING_REGISTER_FILE_ALLOC_RANGE"))]
    pub fn set_file_alloc_range(&self, first: u32, len: u32) -> Result<(), RegisterError> {
        let mut range = io_uring_file_index_range { off: first, len, resv: 0 };
        let arg = (&raw mut range).cast();
        // SAFETY: one struct, which the kernel only reads, during the call.
        unsafe { self.ask(RegisterOp::REGISTER_FILE_ALLOC_RANGE, arg, 0) }?;
        Ok(())
    }

    /// Replaces the slots from `first` on with `slots`. `IORING_REGISTER_FILES_UPDATE`, since Linux
    /// 5.5.
    ///
    /// Returns how many were replaced: fewer than requested if one of them failed. Entries in
    /// flight keep the file that the slot held when they started.
    ///
    /// ```
    /// use ringbolt::{IoUring, register::FileSlot};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().register_files(&[FileSlot::EMPTY; 2])?;
    /// let file = std::fs::File::open("Cargo.toml")?;
    /// assert_eq!(ring.registrar().update_files(1, &[FileSlot::from(&file)])?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EBADF` | a descriptor is not open, or is a ring's |
    /// | `EINVAL` | the slots from `first` on exceed the table |
    /// | `ENXIO` | there is no table |
    #[doc(alias("io_uring_register_files_update", "IORING_REGISTER_FILES_UPDATE"))]
    pub fn update_files(&self, first: u32, slots: &[FileSlot<'_>]) -> Result<u32, RegisterError> {
        let op = RegisterOp::REGISTER_FILES_UPDATE;
        let mut update =
            io_uring_files_update { offset: first, resv: 0, fds: SharedPtr::new(slots.as_ptr()) };
        let arg = (&raw mut update).cast();
        // SAFETY: the update points to as many descriptors as said; both are only read, and
        // during the call.
        unsafe { self.ask(op, arg, count(op, slots)?) }
    }

    /// Drops the file table. `IORING_UNREGISTER_FILES`, since Linux 5.1.
    ///
    /// Entries in flight keep their files.
    ///
    /// ```
    /// use ringbolt::{IoUring, register::FileSlot};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().register_files(&[FileSlot::EMPTY; 2])?;
    /// ring.registrar().unregister_files()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `ENXIO` if there is no table.
    #[doc(alias("io_uring_unregister_files", "IORING_UNREGISTER_FILES"))]
    pub fn unregister_files(&self) -> Result<(), RegisterError> {
        // SAFETY: the operation takes no argument.
        unsafe { self.ask(RegisterOp::UNREGISTER_FILES, core::ptr::null_mut(), 0) }?;
        Ok(())
    }
}
