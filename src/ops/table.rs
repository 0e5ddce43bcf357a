//! The ring's own tables: provided buffers and fixed files, changed in order with other entries.

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::entry::{Cqe, SafeSqe, Sqe};
use crate::sys::{FixedFdFlags, IORING_FILE_INDEX_ALLOC, Opcode, SharedPtr};

use crate::ops::target::FileSlot;

use super::lent::Makes;
use super::{Fixed, OpIn, Target, add_flags, made, on, on_none, sqe};

/// Adds buffers that the kernel can pick from, the older way.
///
/// `IORING_OP_PROVIDE_BUFFERS`. Since Linux 5.7. Buffer rings are faster, since 5.19.
///
/// The memory of a buffer must stay, and not be touched, beyond the completion: until a completion
/// has named the buffer by [`Cqe::buffer_id`](crate::Cqe::buffer_id), or [`RemoveBuffers`] has
/// removed all of the group.
///
/// Closing the ring does not end this: an operation in flight that has picked a buffer writes to it
/// after closing has returned, for as long as it takes. Close the ring when no operation that picks
/// from the group is in flight any more; then the memory is the program's again.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::{ProvideBuffers, RemoveBuffers};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::PROVIDE_BUFFERS) {
/// #     return Ok(());
/// # }
/// let mut memory = vec![0; 4 * 256];
/// let entry = ProvideBuffers::new(memory.as_mut_ptr(), 256, 4, 7, 0).sqe(1);
/// // SAFETY: `memory` stays until the buffers have been removed.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
///
/// ring.submission().push_safe(RemoveBuffers::new(4, 7).sqe(2))?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(4));
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// 0 or, before Linux 5.8, the number of buffers.
///
/// # Errors
///
/// `E2BIG` for no buffers, `EFAULT`, `EINVAL` for ids beyond 65,535 or if the group is a buffer
/// ring, `ENOMEM`, `EOVERFLOW`.
#[doc(alias = "IORING_OP_PROVIDE_BUFFERS")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_provide_buffers")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct ProvideBuffers(Sqe);

/// Removes buffers that [`ProvideBuffers`] added.
///
/// `IORING_OP_REMOVE_BUFFERS`. Since Linux 5.7. Names no memory: it is pushed safely. Buffers that
/// operations in flight have picked are not in the group any more, and are not removed.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::RemoveBuffers;
/// use ringbolt::rustix::io::Errno;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::REMOVE_BUFFERS) {
/// #     return Ok(());
/// # }
/// let entry = RemoveBuffers::new(4, 7).sqe(1);
/// ring.submission().push_safe(entry)?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Err(Errno::NOENT)); // There is no group 7.
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// The number of buffers removed, which is at most the number in the group.
///
/// # Errors
///
/// `EINVAL` if the group is a buffer ring, `ENOENT` if there is no such group.
#[doc(alias = "IORING_OP_REMOVE_BUFFERS")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_remove_buffers")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct RemoveBuffers(Sqe);

/// Changes slots of the ring's file table.
///
/// `IORING_OP_FILES_UPDATE`. Since Linux 5.6. The array must stay, and not be touched, until the
/// completion has been popped; the descriptors must be open until then.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::{Fixed, FilesUpdate};
/// use ringbolt::register::FileSlot;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FILES_UPDATE) {
/// #     return Ok(());
/// # }
/// ring.registrar().register_files(&[FileSlot::EMPTY; 2])?;
/// let file = std::fs::File::open("Cargo.toml")?;
/// let slots = [FileSlot::from(&file)];
/// let entry = FilesUpdate::new(Fixed(1), slots.as_ptr(), 1).sqe(1);
/// // SAFETY: array and file stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(1));
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// The number of slots changed.
///
/// # Errors
///
/// As [`Registrar::update_files`](crate::register::Registrar::update_files).
#[doc(alias = "IORING_OP_FILES_UPDATE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_files_update")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct FilesUpdate(Sqe);

/// Makes a descriptor of a fixed slot, which stays.
///
/// `IORING_OP_FIXED_FD_INSTALL`. Since Linux 6.8. Names no memory and no descriptor: it is pushed
/// safely.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::{Fixed, FixedFdInstall};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FIXED_FD_INSTALL) {
/// #     return Ok(());
/// # }
/// let file = std::fs::File::open("Cargo.toml")?;
/// ring.registrar().register_files(&[(&file).into()])?;
/// let entry = FixedFdInstall::new(Fixed(0)).sqe(1);
/// ring.submission().push_safe(entry)?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// // SAFETY: the completion of the operation, once.
/// let again = unsafe { FixedFdInstall::installed(&cqe) }?;
/// # let _ = again;
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// The new descriptor, which is the caller's to close. Programs that are executed do not inherit
/// it, unless [`FixedFdFlags::NO_CLOEXEC`] is set.
///
/// # Errors
///
/// `EBADF` if the slot is empty, `EMFILE`, `ENFILE`; `EPERM` with a personality.
#[doc(alias = "IORING_OP_FIXED_FD_INSTALL")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_fixed_fd_install")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct FixedFdInstall(Sqe);

impl ProvideBuffers {
    /// Adds `count` buffers of `len` bytes each, which follow each other from `start` on, to
    /// `group`, with ids from `first_id` on.
    #[inline(always)]
    pub const fn new(start: *mut u8, len: u32, count: u16, group: u16, first_id: u16) -> Self {
        let mut sqe = on(Opcode::PROVIDE_BUFFERS, Target::Fd(count as i32));
        sqe.set_addr(SharedPtr::from_mut(start));
        sqe.set_len(len);
        sqe.set_off(first_id as u64);
        sqe.set_buf_index(group);
        Self(sqe)
    }
}

impl RemoveBuffers {
    /// Takes up to `count` buffers out of `group`.
    #[inline(always)]
    pub const fn new(count: u16, group: u16) -> Self {
        let mut sqe = on(Opcode::REMOVE_BUFFERS, Target::Fd(count as i32));
        sqe.set_buf_index(group);
        Self(sqe)
    }
}

impl FilesUpdate {
    /// Replaces the slots from `first` on by the `count` at `slots`.
    #[inline(always)]
    pub const fn new(first: Fixed, slots: *const FileSlot<'_>, count: u32) -> Self {
        let mut sqe = on_none(Opcode::FILES_UPDATE);
        sqe.set_addr(SharedPtr::new(slots));
        sqe.set_len(count);
        sqe.set_off(first.0 as u64);
        Self(sqe)
    }

    /// Puts each of the `count` descriptors at `fds` into a free slot, whose number replaces it
    /// there. `IORING_FILE_INDEX_ALLOC`, since Linux 5.19.
    #[inline(always)]
    #[doc(alias = "IORING_FILE_INDEX_ALLOC")]
    pub const fn alloc(fds: *mut i32, count: u32) -> Self {
        let mut sqe = on_none(Opcode::FILES_UPDATE);
        sqe.set_addr(SharedPtr::from_mut(fds));
        sqe.set_len(count);
        sqe.set_off(IORING_FILE_INDEX_ALLOC as u64);
        Self(sqe)
    }
}

impl FixedFdInstall {
    /// Makes a descriptor of `slot`.
    #[inline(always)]
    pub const fn new(slot: Fixed) -> Self {
        Self(on(Opcode::FIXED_FD_INSTALL, Target::Fixed(slot)))
    }

    /// Adds `IORING_FIXED_FD_` flags.
    #[inline(always)]
    #[doc(alias = "IORING_FIXED_FD_NO_CLOEXEC")]
    pub const fn flags(mut self, flags: FixedFdFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

impl FixedFdInstall {
    /// The descriptor that was made, from the completion.
    ///
    /// # Errors
    ///
    /// Those of the operation.
    ///
    /// # Safety
    ///
    /// `cqe` is the completion of a `FixedFdInstall`, and this is called once for it.
    #[inline]
    pub unsafe fn installed(cqe: &Cqe) -> Result<OwnedFd, Errno> {
        // SAFETY: the completion of an operation that makes a descriptor, which this returns once.
        unsafe { made::descriptor(cqe) }
    }

    /// The entry, for a job of the [safe front](crate::jobs), whose event has the descriptor.
    #[inline(always)]
    pub const fn op<'a, 's: 'a>(self) -> OpIn<'a, 's> {
        OpIn::new(self.0, Makes::Descriptor)
    }
}

sqe!(ProvideBuffers, FilesUpdate);
sqe!(RemoveBuffers, FixedFdInstall => SafeSqe, SafeSqe::new);
