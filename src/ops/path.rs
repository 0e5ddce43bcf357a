//! Directories and names.
#![forbid(unsafe_code)]

use core::ffi::{CStr, c_char};
use core::marker::PhantomData;

use rustix::fs::{AtFlags, Mode, RenameFlags};

use crate::entry::Sqe;
use crate::ops::target::fd_bits;
use crate::sys::{Opcode, SharedPtr};

use super::{IntoFd, Lent, OnFd, Target, add_flags, on, op, sqe};

/// Renames a file.
///
/// `IORING_OP_RENAMEAT`, like [`renameat2(2)`]. Since Linux 5.11. The paths must stay until
/// taken.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::RenameAt;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::RENAMEAT) {
/// #     return Ok(());
/// # }
/// # let dir = std::env::temp_dir().join(format!("ringbolt-rename-{}", std::process::id()));
/// # let _ = std::fs::remove_dir_all(&dir);
/// # std::fs::create_dir(&dir)?;
/// # let dir_path = dir.clone();
/// # let dir = std::fs::File::open(&dir)?;
/// # std::fs::write(dir_path.join("from"), "")?;
/// let (from, to) = (c"from", c"to");
/// let entry = RenameAt::new(&dir, from.as_ptr(), &dir, to.as_ptr()).sqe(1);
/// // SAFETY: directory and paths stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// # std::fs::remove_dir_all(dir_path)?;
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
/// `EACCES`, `EEXIST` with [`RenameFlags::NOREPLACE`], `ENOENT`, `ENOTEMPTY`, `EXDEV` across
/// file systems, and the others of renameat2(2).
///
/// [`renameat2(2)`]: https://man7.org/linux/man-pages/man2/rename.2.html
#[doc(alias = "IORING_OP_RENAMEAT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_rename", "io_uring_prep_renameat"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct RenameAt<E = Sqe>(Sqe, PhantomData<E>);

/// Removes a name, or with [`AtFlags::REMOVEDIR`] an empty directory.
///
/// `IORING_OP_UNLINKAT`, like [`unlinkat(2)`]. Since Linux 5.11. The path must stay until taken.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::UnlinkAt;
/// use ringbolt::rustix::fs::AtFlags;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::UNLINKAT) {
/// #     return Ok(());
/// # }
/// # let dir = std::env::temp_dir().join(format!("ringbolt-unlink-{}", std::process::id()));
/// # let _ = std::fs::remove_dir_all(&dir);
/// # std::fs::create_dir(&dir)?;
/// # let dir_path = dir.clone();
/// # let dir = std::fs::File::open(&dir)?;
/// # std::fs::write(dir_path.join("old"), "")?;
/// let entry = UnlinkAt::new(&dir, c"old".as_ptr(), AtFlags::empty()).sqe(1);
/// // SAFETY: the directory stays open until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// # std::fs::remove_dir_all(dir_path)?;
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
/// `EACCES`, `EISDIR`, `ENOENT`, `ENOTDIR`, `ENOTEMPTY`, and the others of unlinkat(2).
///
/// [`unlinkat(2)`]: https://man7.org/linux/man-pages/man2/unlink.2.html
#[doc(alias = "IORING_OP_UNLINKAT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_unlink", "io_uring_prep_unlinkat"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct UnlinkAt<E = Sqe>(Sqe, PhantomData<E>);

/// Makes a directory.
///
/// `IORING_OP_MKDIRAT`, like [`mkdirat(2)`]. Since Linux 5.15. The path must stay until taken.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::MkdirAt;
/// use ringbolt::rustix::fs::Mode;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::MKDIRAT) {
/// #     return Ok(());
/// # }
/// # let dir = std::env::temp_dir().join(format!("ringbolt-mkdir-{}", std::process::id()));
/// # let _ = std::fs::remove_dir_all(&dir);
/// # std::fs::create_dir(&dir)?;
/// # let dir_path = dir.clone();
/// # let dir = std::fs::File::open(&dir)?;
/// let entry = MkdirAt::new(&dir, c"new".as_ptr(), Mode::RWXU).sqe(1);
/// // SAFETY: the directory stays open until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// # assert!(dir_path.join("new").is_dir());
/// # std::fs::remove_dir_all(dir_path)?;
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
/// `EACCES`, `EEXIST`, `ENOENT`, `ENOSPC`, and the others of mkdirat(2).
///
/// [`mkdirat(2)`]: https://man7.org/linux/man-pages/man2/mkdir.2.html
#[doc(alias = "IORING_OP_MKDIRAT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_mkdir", "io_uring_prep_mkdirat"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct MkdirAt<E = Sqe>(Sqe, PhantomData<E>);

/// Makes a symbolic link.
///
/// `IORING_OP_SYMLINKAT`, like [`symlinkat(2)`]. Since Linux 5.15. The paths must stay until
/// taken.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::SymlinkAt;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::SYMLINKAT) {
/// #     return Ok(());
/// # }
/// # let dir = std::env::temp_dir().join(format!("ringbolt-symlink-{}", std::process::id()));
/// # let _ = std::fs::remove_dir_all(&dir);
/// # std::fs::create_dir(&dir)?;
/// # let dir_path = dir.clone();
/// # let dir = std::fs::File::open(&dir)?;
/// let (target, path) = (c"elsewhere", c"link");
/// let entry = SymlinkAt::new(target.as_ptr(), &dir, path.as_ptr()).sqe(1);
/// // SAFETY: directory and paths stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// # assert_eq!(std::fs::read_link(dir_path.join("link"))?.to_str(), Some("elsewhere"));
/// # std::fs::remove_dir_all(dir_path)?;
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
/// `EACCES`, `EEXIST`, `ENOENT`, and the others of symlinkat(2).
///
/// [`symlinkat(2)`]: https://man7.org/linux/man-pages/man2/symlink.2.html
#[doc(alias = "IORING_OP_SYMLINKAT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_symlink", "io_uring_prep_symlinkat"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct SymlinkAt<E = Sqe>(Sqe, PhantomData<E>);

/// Makes a hard link: a further name of a file.
///
/// `IORING_OP_LINKAT`, like [`linkat(2)`]. Since Linux 5.15. The paths must stay until taken.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::LinkAt;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::LINKAT) {
/// #     return Ok(());
/// # }
/// # let dir = std::env::temp_dir().join(format!("ringbolt-link-{}", std::process::id()));
/// # let _ = std::fs::remove_dir_all(&dir);
/// # std::fs::create_dir(&dir)?;
/// # let dir_path = dir.clone();
/// # let dir = std::fs::File::open(&dir)?;
/// # std::fs::write(dir_path.join("one"), "")?;
/// let (one, other) = (c"one", c"other");
/// let entry = LinkAt::new(&dir, one.as_ptr(), &dir, other.as_ptr()).sqe(1);
/// // SAFETY: directory and paths stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// # std::fs::remove_dir_all(dir_path)?;
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
/// `EACCES`, `EEXIST`, `EMLINK`, `ENOENT`, `EPERM` for a directory, `EXDEV` across file systems,
/// and the others of linkat(2).
///
/// [`linkat(2)`]: https://man7.org/linux/man-pages/man2/link.2.html
#[doc(alias = "IORING_OP_LINKAT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_link", "io_uring_prep_linkat"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct LinkAt<E = Sqe>(Sqe, PhantomData<E>);

/// An entry about the name at `path`, from directory `dir` on.
#[inline(always)]
fn named(opcode: Opcode, dir: impl IntoFd, path: *const c_char) -> Sqe {
    let mut sqe = on(opcode, Target::Fd(dir.into_fd()));
    sqe.set_addr(SharedPtr::new(path));
    sqe
}

/// An entry about two names, the second of which has its directory where the field for a length is.
#[inline(always)]
fn both_named(
    opcode: Opcode,
    from_dir: impl IntoFd,
    from: *const c_char,
    to_dir: impl IntoFd,
    to: *const c_char,
) -> Sqe {
    let mut sqe = named(opcode, from_dir, from);
    sqe.set_addr2(SharedPtr::new(to));
    sqe.set_len(fd_bits(to_dir.into_fd()));
    sqe
}

/// An entry that removes the name at `path`.
#[inline(always)]
fn unlink(dir: impl IntoFd, path: *const c_char, flags: AtFlags) -> Sqe {
    let mut sqe = named(Opcode::UNLINKAT, dir, path);
    sqe.set_op_flags(flags.bits());
    sqe
}

/// An entry that makes a directory at `path`.
#[inline(always)]
fn make_dir(dir: impl IntoFd, path: *const c_char, mode: Mode) -> Sqe {
    let mut sqe = named(Opcode::MKDIRAT, dir, path);
    sqe.set_len(mode.bits());
    sqe
}

/// An entry that makes a link at `path` which leads to `target`.
#[inline(always)]
fn link_to(target: *const c_char, dir: impl IntoFd, path: *const c_char) -> Sqe {
    let mut sqe = named(Opcode::SYMLINKAT, dir, target);
    sqe.set_addr2(SharedPtr::new(path));
    sqe
}

impl RenameAt {
    /// Renames `from`, in directory `from_dir`, to `to`, in directory `to_dir`. Both paths end
    /// with NUL.
    #[inline(always)]
    pub fn new(
        from_dir: impl IntoFd,
        from: *const c_char,
        to_dir: impl IntoFd,
        to: *const c_char,
    ) -> Self {
        Self(both_named(Opcode::RENAMEAT, from_dir, from, to_dir, to), PhantomData)
    }
}

impl<'a> RenameAt<Lent<'a>> {
    /// Renames `from`, in directory `from_dir`, to `to`, in directory `to_dir`, for a job of the
    /// [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(
        from_dir: impl Into<OnFd<'a>>,
        from: &'a CStr,
        to_dir: impl Into<OnFd<'a>>,
        to: &'a CStr,
    ) -> Self {
        let (from_dir, to_dir) = (from_dir.into().target(), to_dir.into().target());
        let (from, to) = (from.as_ptr(), to.as_ptr());
        Self(both_named(Opcode::RENAMEAT, from_dir, from, to_dir, to), PhantomData)
    }
}

impl<E> RenameAt<E> {
    /// Adds `RENAME_` flags.
    #[inline(always)]
    pub const fn flags(mut self, flags: RenameFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

impl UnlinkAt {
    /// Removes the name at the NUL-terminated `path`, from directory `dir` on.
    #[inline(always)]
    pub fn new(dir: impl IntoFd, path: *const c_char, flags: AtFlags) -> Self {
        Self(unlink(dir, path, flags), PhantomData)
    }
}

impl<'a> UnlinkAt<Lent<'a>> {
    /// Removes the name at `path`, from directory `dir` on, for a job of the
    /// [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(dir: impl Into<OnFd<'a>>, path: &'a CStr, flags: AtFlags) -> Self {
        Self(unlink(dir.into().target(), path.as_ptr(), flags), PhantomData)
    }
}

impl MkdirAt {
    /// Makes a directory at the NUL-terminated `path`, from directory `dir` on.
    #[inline(always)]
    pub fn new(dir: impl IntoFd, path: *const c_char, mode: Mode) -> Self {
        Self(make_dir(dir, path, mode), PhantomData)
    }
}

impl<'a> MkdirAt<Lent<'a>> {
    /// Makes a directory at `path`, from directory `dir` on, for a job of the
    /// [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(dir: impl Into<OnFd<'a>>, path: &'a CStr, mode: Mode) -> Self {
        Self(make_dir(dir.into().target(), path.as_ptr(), mode), PhantomData)
    }
}

impl SymlinkAt {
    /// Makes a link at `path`, from directory `dir` on, that leads to `target`. Both paths end
    /// with NUL.
    #[inline(always)]
    pub fn new(target: *const c_char, dir: impl IntoFd, path: *const c_char) -> Self {
        Self(link_to(target, dir, path), PhantomData)
    }
}

impl<'a> SymlinkAt<Lent<'a>> {
    /// Makes a link at `path`, from directory `dir` on, that leads to `target`, for a job of the
    /// [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(target: &'a CStr, dir: impl Into<OnFd<'a>>, path: &'a CStr) -> Self {
        Self(link_to(target.as_ptr(), dir.into().target(), path.as_ptr()), PhantomData)
    }
}

impl LinkAt {
    /// Names the file at `from`, from directory `from_dir` on, also `to`, from directory
    /// `to_dir` on. Both paths end with NUL.
    #[inline(always)]
    pub fn new(
        from_dir: impl IntoFd,
        from: *const c_char,
        to_dir: impl IntoFd,
        to: *const c_char,
    ) -> Self {
        Self(both_named(Opcode::LINKAT, from_dir, from, to_dir, to), PhantomData)
    }
}

impl<'a> LinkAt<Lent<'a>> {
    /// Names the file at `from`, from directory `from_dir` on, also `to`, from directory
    /// `to_dir` on, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(
        from_dir: impl Into<OnFd<'a>>,
        from: &'a CStr,
        to_dir: impl Into<OnFd<'a>>,
        to: &'a CStr,
    ) -> Self {
        let (from_dir, to_dir) = (from_dir.into().target(), to_dir.into().target());
        let (from, to) = (from.as_ptr(), to.as_ptr());
        Self(both_named(Opcode::LINKAT, from_dir, from, to_dir, to), PhantomData)
    }
}

impl<E> LinkAt<E> {
    /// Adds `AT_SYMLINK_FOLLOW`, `AT_EMPTY_PATH`.
    #[inline(always)]
    pub const fn flags(mut self, flags: AtFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

sqe!(RenameAt, UnlinkAt, MkdirAt, SymlinkAt, LinkAt);
op!(RenameAt: Nothing, UnlinkAt: Nothing, MkdirAt: Nothing, SymlinkAt: Nothing, LinkAt: Nothing);
