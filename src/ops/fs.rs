//! Files by name, and what is done to a file other than reading and writing.

use core::ffi::{CStr, c_char};
use core::marker::PhantomData;

use rustix::fd::{IntoRawFd as _, OwnedFd, RawFd};
use rustix::fs::{Mode, OFlags};

use rustix::io::Errno;

use crate::entry::{Cqe, SafeSqe, Sqe};
use crate::sys::{FsyncFlags, Opcode, SharedPtr};

use super::{
    DestSlot, Fixed, InSlot, IntoFd, IntoTarget, Lent, On, OnFd, Target, add_flags, made, on,
    on_none, op, sqe,
};

/// Opens a file by its path.
///
/// `IORING_OP_OPENAT`, like [`openat(2)`]. Since Linux 5.6. The path must stay until taken.
///
/// # Result
///
/// The new descriptor, which is the caller's to close; or see [`DestSlot`]. Programs that are
/// executed inherit it, unless [`OFlags::CLOEXEC`] is set.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EACCES`, `EPERM`, `EROFS` | not permitted |
/// | `EEXIST` | `O_EXCL`, and it is there |
/// | `EINVAL` | flags that contradict each other, or CLOEXEC with a fixed slot |
/// | `EISDIR`, `ENOTDIR`, `ELOOP` | not the kind of file that was asked for |
/// | `EMFILE`, `ENFILE` | too many open files, or no free slot |
/// | `ENAMETOOLONG`, `ENOENT` | no such name |
/// | `ENXIO` | a fixed slot, and no file table |
///
/// [`openat(2)`]: https://man7.org/linux/man-pages/man2/openat.2.html
#[doc(alias = "IORING_OP_OPENAT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_open", "io_uring_prep_open_direct", "io_uring_prep_openat"))]
#[doc(alias = "io_uring_prep_openat_direct")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct OpenAt<E = Sqe>(Sqe, PhantomData<E>);

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

/// Brings what was written to the device.
///
/// `IORING_OP_FSYNC`, like [`fsync(2)`]. Since Linux 5.1. Writes in flight are not waited for:
/// [link](Sqe::link) or [drain](Sqe::drain).
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
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

impl OpenAt {
    /// Opens the file at the NUL-terminated `path`, from directory `dir` on; rustix's `CWD`
    /// stands for the working directory.
    ///
    /// On 32-bit machines, files beyond 2 GiB need [`OFlags::LARGEFILE`].
    #[inline(always)]
    pub fn new(dir: impl IntoFd, path: *const c_char, flags: OFlags) -> Self {
        Self(open(Target::Fd(dir.into_fd()), path, flags), PhantomData)
    }

    /// Puts the file into the ring's file table instead of making a descriptor. Since Linux
    /// 5.15. `O_CLOEXEC` is refused then.
    #[inline(always)]
    pub const fn fixed(mut self, slot: DestSlot) -> Self {
        self.0.set_file_index(slot.file_index());
        self
    }
}

impl OpenAt {
    /// The descriptor that was opened, from the completion.
    ///
    /// # Errors
    ///
    /// Those of the operation.
    ///
    /// # Safety
    ///
    /// `cqe` is the completion of an `OpenAt` without [`fixed`](Self::fixed), and this is called
    /// once for it.
    #[inline]
    pub unsafe fn opened(cqe: &Cqe) -> Result<OwnedFd, Errno> {
        // SAFETY: the completion of an operation that makes a descriptor, which this returns once.
        unsafe { made::descriptor(cqe) }
    }
}

impl<'a> OpenAt<Lent<'a>> {
    /// Opens the file at `path`, from directory `dir` on, for a job of the
    /// [safe front](crate::jobs). Otherwise as [`new`](OpenAt::new).
    #[inline(always)]
    pub fn lent(dir: impl Into<OnFd<'a>>, path: &'a CStr, flags: OFlags) -> Self {
        Self(open(dir.into().target(), path.as_ptr(), flags), PhantomData)
    }

    /// Puts the file into a free slot of the ring's file table instead of making a descriptor.
    /// Since Linux 5.19. `O_CLOEXEC` is refused then.
    #[inline(always)]
    pub const fn in_slot(mut self) -> OpenAt<InSlot<Lent<'a>>> {
        self.0.set_file_index(DestSlot::Alloc.file_index());
        OpenAt(self.0, PhantomData)
    }
}

impl<E> OpenAt<E> {
    /// The permissions of a file that is created.
    #[inline(always)]
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.0.set_len(mode.bits());
        self
    }
}

/// An entry that opens the file at `path`.
#[inline(always)]
fn open(dir: Target, path: *const c_char, flags: OFlags) -> Sqe {
    let mut sqe = on(Opcode::OPENAT, dir);
    sqe.set_addr(SharedPtr::new(path));
    sqe.set_op_flags(flags.bits());
    sqe
}

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
        // The slot is told where others have their destination, and no descriptor is.
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

sqe!(OpenAt);
sqe!(either: Close, Fsync);
op!(OpenAt: Descriptor, Close: Nothing, Fsync: Nothing);
op!(in a slot: OpenAt);
