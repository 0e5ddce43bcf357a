//! What is done to an open file other than reading and writing.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use rustix::fd::{IntoRawFd as _, OwnedFd, RawFd};

use crate::entry::{SafeSqe, Sqe};
use crate::sys::{FsyncFlags, Opcode};

use super::{DestSlot, Fixed, IntoTarget, Lent, On, Target, add_flags, on, on_none, op, sqe};

/// Closes a descriptor, or empties a fixed slot.
///
/// `IORING_OP_CLOSE`, like [`close(2)`]. Since Linux 5.6; of a fixed slot since 5.15.
///
/// The descriptor is given up when the entry is pushed: `file.into_raw_fd()` is the way to
/// name it.
///
/// Operations in flight on the file go on, and keep it open: a socket stays connected, and its
/// peer is not informed, until they have ended. Cancel them first, by
/// [`AsyncCancel::of_file`](super::AsyncCancel::of_file) with `all`, or use
/// [`Shutdown`](super::Shutdown).
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Close;
/// use std::os::fd::IntoRawFd;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// let file = std::fs::File::open("Cargo.toml")?;
/// let entry = Close::new(file.into_raw_fd()).sqe(1);
/// // SAFETY: nobody else owns the descriptor.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// `EBADF` if it is not open, or the descriptor of a ring, or a slot that is empty; `EINVAL` if
/// there is no such slot, `ENXIO` if there is no file table.
///
/// [`close(2)`]: https://man7.org/linux/man-pages/man2/close.2.html
#[doc(alias = "IORING_OP_CLOSE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_close", "io_uring_prep_close_direct"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Close<E = Sqe>(Sqe, PhantomData<E>);

/// Writes to the device what was written to a file.
///
/// `IORING_OP_FSYNC`, like [`fsync(2)`]. Since Linux 5.1. It does not wait for writes in
/// flight: [link](Sqe::link) or [drain](Sqe::drain) it.
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Fsync;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # let path = std::env::temp_dir().join(format!("ringbolt-fsync-{}", std::process::id()));
/// let file = std::fs::File::create(&path)?;
/// let entry = Fsync::new(&file).data_only().sqe(1);
/// // SAFETY: `file` stays open until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// # std::fs::remove_file(path)?;
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// `EBADF` if not open, `EINVAL` if the file cannot be synchronised, `EIO`, `ENOSPC` and
/// `EDQUOT` if what was written cannot be kept.
///
/// [`fsync(2)`]: https://man7.org/linux/man-pages/man2/fsync.2.html
#[doc(alias = "IORING_OP_FSYNC")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_fsync")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Fsync<E = Sqe>(Sqe, PhantomData<E>);

impl Close {
    /// Closes descriptor `fd`.
    #[inline(always)]
    pub const fn new(fd: RawFd) -> Self {
        Self(on(Opcode::CLOSE, Target::Fd(fd)), PhantomData)
    }

    /// Closes `target`, whichever it is: as [`new`](Self::new) or as [`fixed`](Self::fixed).
    #[inline(always)]
    pub const fn of(target: Target) -> Self {
        match target {
            Target::Fd(fd) => Self::new(fd),
            Target::Fixed(slot) => Self(Self::fixed(slot).0, PhantomData),
        }
    }

    /// Empties fixed slot `slot`. Names no descriptor: it is pushed safely.
    #[inline(always)]
    pub const fn fixed(slot: Fixed) -> Close<SafeSqe> {
        // The slot is in the field where others have their destination, and there is no descriptor.
        let mut sqe = on_none(Opcode::CLOSE);
        sqe.set_fd(0);
        sqe.set_file_index(DestSlot::At(slot).file_index());
        Close(sqe, PhantomData)
    }
}

impl<'a> Close<Lent<'a>> {
    /// Closes the descriptor in `file`, for a job of the [safe front](crate::jobs). It is taken out
    /// of `file`, and belongs to the entry from then on. If there is none, the result is `EBADF`.
    ///
    /// What the entry does not close stays open until the process ends. This is so if it is not
    /// started, or cancelled before it begins, or linked after an entry that failed: the result is
    /// `ECANCELED`. An error does not give the descriptor back, since some file systems report one
    /// for a descriptor that they have closed, with an errno of their choice. Where this matters,
    /// start the close by itself, or drop the descriptor instead.
    ///
    /// The [safe front](crate::jobs) closes a slot when its owner is dropped: there is no form of
    /// this for slots.
    #[inline(always)]
    pub fn lent(file: &'a mut Option<OwnedFd>) -> Self {
        // -1 is nobody's descriptor: the kernel answers `EBADF`.
        let fd = file.take().map_or(-1, OwnedFd::into_raw_fd);
        Self(on(Opcode::CLOSE, Target::Fd(fd)), PhantomData)
    }
}

impl Fsync {
    /// Synchronises all of `file`.
    #[inline(always)]
    pub fn new<F: IntoTarget>(file: F) -> Fsync<F::Entry> {
        Fsync(on(Opcode::FSYNC, file.into_target()), PhantomData)
    }
}

impl<'a> Fsync<Lent<'a>> {
    /// Synchronises all of `file`, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(file: impl Into<On<'a>>) -> Self {
        Self(on(Opcode::FSYNC, file.into().target()), PhantomData)
    }
}

impl<E> Fsync<E> {
    /// Leaves metadata out that is not needed to read the data, as `fdatasync(2)` does.
    /// `IORING_FSYNC_DATASYNC`, since Linux 5.1.
    #[inline(always)]
    #[doc(alias = "IORING_FSYNC_DATASYNC")]
    pub const fn data_only(self) -> Self {
        self.flags(FsyncFlags::DATASYNC)
    }

    /// Adds `IORING_FSYNC_` flags.
    #[inline(always)]
    pub const fn flags(mut self, flags: FsyncFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }

    /// Only `len` bytes from `offset` on; a `len` of 0 stands for up to the end.
    #[inline(always)]
    pub const fn range(mut self, offset: u64, len: u32) -> Self {
        self.0.set_off(offset);
        self.0.set_len(len);
        self
    }
}

sqe!(either: Close, Fsync);
op!(Close: Nothing, Fsync: Nothing);
