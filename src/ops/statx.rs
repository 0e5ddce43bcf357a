//! What is known about a file.

use core::ffi::{CStr, c_char};
use core::marker::PhantomData;

use rustix::fs::{AtFlags, Statx as StatxBuf, StatxFlags};

use crate::entry::Sqe;
use crate::sys::{Opcode, SharedPtr};

use super::{IntoFd, Lent, OnFd, Target, on, op, sqe};

/// Returns information about the file at a path.
///
/// `IORING_OP_STATX`, like [`statx(2)`]. Since Linux 5.6. The path must stay until taken; the
/// buffer must stay, and not be touched, until the completion has been popped.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Statx;
/// use ringbolt::rustix::fs::{AtFlags, CWD, StatxFlags};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// let (path, mut info) = (c"Cargo.toml", Statx::ZEROED);
/// let (flags, mask) = (AtFlags::empty(), StatxFlags::SIZE);
/// let entry = Statx::new(CWD, path.as_ptr(), flags, mask, &mut info).sqe(1);
/// // SAFETY: path and buffer stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// assert_eq!(info.stx_size, std::fs::metadata("Cargo.toml")?.len());
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
/// `EACCES`, `ELOOP`, `ENAMETOOLONG`, `ENOENT`, `ENOTDIR` about the path, `EFAULT` about the
/// buffer, `EINVAL` for unknown flags.
///
/// [`statx(2)`]: https://man7.org/linux/man-pages/man2/statx.2.html
#[doc(alias = "IORING_OP_STATX")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_statx")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Statx<E = Sqe>(Sqe, PhantomData<E>);

impl Statx {
    /// Stores into `buf` what `mask` asks for about the file at the NUL-terminated `path`,
    /// from directory `dir` on.
    #[inline(always)]
    pub fn new(
        dir: impl IntoFd,
        path: *const c_char,
        flags: AtFlags,
        mask: StatxFlags,
        buf: *mut StatxBuf,
    ) -> Self {
        Self(stat(Target::Fd(dir.into_fd()), path, flags, mask, buf), PhantomData)
    }
}

impl<'a> Statx<Lent<'a>> {
    /// Stores into `buf` what `mask` asks for about the file at `path`, from directory `dir` on,
    /// for a job of the [safe front](crate::jobs). [`Statx::ZEROED`] is a value to begin with.
    #[inline(always)]
    pub fn lent(
        dir: impl Into<OnFd<'a>>,
        path: &'a CStr,
        flags: AtFlags,
        mask: StatxFlags,
        buf: &'a mut StatxBuf,
    ) -> Self {
        Self(stat(dir.into().target(), path.as_ptr(), flags, mask, buf), PhantomData)
    }
}

impl Statx {
    /// A buffer in which everything is 0.
    // SAFETY:
    // 1. `struct statx` is numbers and room for more of them, and rustix's type has its layout:
    //    the size is compared below.
    // 2. All zeros are a valid value of a number, and of the flags, which are numbers.
    pub const ZEROED: StatxBuf = unsafe { core::mem::zeroed() };
}

/// The kernel writes this many bytes, and no field of rustix's type lies beyond.
const _: () = assert!(size_of::<StatxBuf>() == 256);

/// An entry that asks about the file at `path`.
#[inline(always)]
fn stat(
    dir: Target,
    path: *const c_char,
    flags: AtFlags,
    mask: StatxFlags,
    buf: *mut StatxBuf,
) -> Sqe {
    let mut sqe = on(Opcode::STATX, dir);
    sqe.set_addr(SharedPtr::new(path));
    sqe.set_addr2(SharedPtr::from_mut(buf));
    sqe.set_len(mask.bits());
    sqe.set_op_flags(flags.bits());
    sqe
}

sqe!(Statx);
op!(Statx: Nothing);
