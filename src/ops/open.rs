//! Opening files by their paths.

use core::ffi::{CStr, c_char};
use core::marker::PhantomData;

use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::entry::{Cqe, Sqe};
use crate::sys::{Opcode, SharedPtr, open_how};

use super::{DestSlot, InSlot, IntoFd, Lent, OnFd, Target, made, on, op, sqe};

/// Opens a file by its path.
///
/// `IORING_OP_OPENAT`, like [`openat(2)`]. Since Linux 5.6. The path must stay until taken.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::OpenAt;
/// use ringbolt::rustix::fs::{CWD, OFlags};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// let path = c"Cargo.toml";
/// let flags = OFlags::RDONLY | OFlags::CLOEXEC;
/// let entry = OpenAt::new(CWD, path.as_ptr(), flags).sqe(1);
/// // SAFETY: the path is a constant.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// // SAFETY: the completion of the open, once.
/// let file = unsafe { OpenAt::opened(&cqe) }?;
/// # let _ = file;
/// # Ok(())
/// # }
/// ```
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
/// | `EEXIST` | `O_EXCL`, and the file exists |
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

/// Opens a file by its path, with the options of a struct.
///
/// `IORING_OP_OPENAT2`, like [`openat2(2)`]. Since Linux 5.6. The path and the struct must stay
/// until taken.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::OpenAt2;
/// use ringbolt::rustix::fs::{CWD, OFlags};
/// use ringbolt::sys::open_how;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// let path = c"Cargo.toml";
/// let flags = u64::from((OFlags::RDONLY | OFlags::CLOEXEC).bits());
/// let how = open_how { flags, mode: 0, resolve: 0 };
/// let entry = OpenAt2::new(CWD, path.as_ptr(), &how).sqe(1);
/// // SAFETY: path and struct stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// // SAFETY: the completion of the open, once.
/// let file = unsafe { OpenAt2::opened(&cqe) }?;
/// # let _ = file;
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// The new descriptor, which is the caller's to close; or see [`DestSlot`]. Programs that are
/// executed inherit it, unless the flags of the struct have `O_CLOEXEC`.
///
/// # Errors
///
/// As [`OpenAt`](super::OpenAt); `E2BIG` for a struct with fields that this kernel lacks,
/// `EAGAIN` if `RESOLVE_CACHED` finds nothing or `RESOLVE_IN_ROOT` lost a race, `EXDEV` if the
/// path leads out of where it may.
///
/// [`openat2(2)`]: https://man7.org/linux/man-pages/man2/openat2.2.html
#[doc(alias = "IORING_OP_OPENAT2")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_openat2", "io_uring_prep_openat2_direct"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct OpenAt2<E = Sqe>(Sqe, PhantomData<E>);

impl OpenAt {
    /// Opens the file at the NUL-terminated `path`, relative to directory `dir`; rustix's
    /// `CWD` is the working directory.
    ///
    /// On 32-bit machines, files beyond 2 GiB need [`OFlags::LARGEFILE`].
    #[inline(always)]
    pub fn new(dir: impl IntoFd, path: *const c_char, flags: OFlags) -> Self {
        Self(open(Target::Fd(dir.into_fd()), path, flags), PhantomData)
    }

    /// Puts the file into the ring's file table instead of making a descriptor. Since Linux
    /// 5.15. `O_CLOEXEC` is refused then. `None` makes a
    /// descriptor.
    #[inline(always)]
    pub fn fixed(mut self, slot: impl Into<Option<DestSlot>>) -> Self {
        self.0.set_file_index(DestSlot::index_of(slot.into()));
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

/// The length by which the kernel recognises the version of `struct open_how`.
const HOW_LEN: u32 = {
    assert!(size_of::<open_how>() == 24);
    24
};

impl OpenAt2 {
    /// Opens the file at the NUL-terminated `path`, relative to directory `dir`, with the options
    /// `how`.
    #[inline(always)]
    pub fn new(dir: impl IntoFd, path: *const c_char, how: *const open_how) -> Self {
        Self(open_as(dir, path, how), PhantomData)
    }

    /// Puts the file into the ring's file table instead of making a descriptor. Since Linux
    /// 5.15. `O_CLOEXEC` is refused then. `None` makes a
    /// descriptor.
    #[inline(always)]
    pub fn fixed(mut self, slot: impl Into<Option<DestSlot>>) -> Self {
        self.0.set_file_index(DestSlot::index_of(slot.into()));
        self
    }
}

impl OpenAt2 {
    /// The descriptor that was opened, from the completion.
    ///
    /// # Errors
    ///
    /// Those of the operation.
    ///
    /// # Safety
    ///
    /// `cqe` is the completion of an `OpenAt2` without [`fixed`](Self::fixed), and this is called
    /// once for it.
    #[inline]
    pub unsafe fn opened(cqe: &Cqe) -> Result<OwnedFd, Errno> {
        // SAFETY: the completion of an operation that makes a descriptor, which this returns once.
        unsafe { made::descriptor(cqe) }
    }
}

impl<'a> OpenAt2<Lent<'a>> {
    /// Opens the file at `path`, relative to directory `dir`, with the options `how`, for a job of
    /// the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(dir: impl Into<OnFd<'a>>, path: &'a CStr, how: &'a open_how) -> Self {
        Self(open_as(dir.into().target(), path.as_ptr(), how), PhantomData)
    }

    /// Puts the file into a free slot of the ring's file table instead of making a descriptor.
    /// Since Linux 5.19. `O_CLOEXEC` is refused then.
    #[inline(always)]
    pub const fn in_slot(mut self) -> OpenAt2<InSlot<Lent<'a>>> {
        self.0.set_file_index(DestSlot::Alloc.file_index());
        OpenAt2(self.0, PhantomData)
    }
}

/// An entry that opens the file at `path` with the options `how`.
#[inline(always)]
fn open_as(dir: impl IntoFd, path: *const c_char, how: *const open_how) -> Sqe {
    let mut sqe = on(Opcode::OPENAT2, Target::Fd(dir.into_fd()));
    sqe.set_addr(SharedPtr::new(path));
    sqe.set_addr2(SharedPtr::new(how));
    sqe.set_len(HOW_LEN);
    sqe
}

sqe!(OpenAt, OpenAt2);
op!(OpenAt: Descriptor, OpenAt2: Descriptor);
op!(in a slot: OpenAt, OpenAt2);
