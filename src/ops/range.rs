//! Ranges of a file or of memory: allocating, cutting, synchronising, advising.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use rustix::fs::{Advice as FileAdvice, FallocateFlags};
use rustix::mm::Advice as MemoryAdvice;

use crate::entry::Sqe;
use crate::sys::{Opcode, SharedPtr};

use super::{IntoTarget, Lent, On, Target, on, on_none, op, sqe};

/// Allocates space for a range of a file, or frees it.
///
/// `IORING_OP_FALLOCATE`, like [`fallocate(2)`]. Since Linux 5.6.
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Fallocate;
/// use ringbolt::rustix::fs::FallocateFlags;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FALLOCATE) {
/// #     return Ok(());
/// # }
/// # let path = std::env::temp_dir().join(format!("ringbolt-fallocate-{}", std::process::id()));
/// # let file = std::fs::File::create(&path)?;
/// let entry = Fallocate::new(&file, FallocateFlags::empty(), 0, 4096).sqe(1);
/// // SAFETY: `file` stays open until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// # if cqe.result() != Err(ringbolt::rustix::io::Errno::OPNOTSUPP) {
/// assert_eq!(cqe.result(), Ok(0));
/// assert_eq!(file.metadata()?.len(), 4096);
/// # }
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
/// `EBADF`, `EFBIG`, `EINVAL`, `ENOSPC`, `EOPNOTSUPP` if the file system cannot, and the others
/// of fallocate(2).
///
/// [`fallocate(2)`]: https://man7.org/linux/man-pages/man2/fallocate.2.html
#[doc(alias = "IORING_OP_FALLOCATE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_fallocate")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Fallocate<E = Sqe>(Sqe, PhantomData<E>);

/// Sets the length of a file.
///
/// `IORING_OP_FTRUNCATE`, like [`ftruncate(2)`]. Since Linux 6.9.
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Ftruncate;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FTRUNCATE) {
/// #     return Ok(());
/// # }
/// # let path = std::env::temp_dir().join(format!("ringbolt-ftruncate-{}", std::process::id()));
/// # let file = std::fs::File::create(&path)?;
/// let entry = Ftruncate::new(&file, 100).sqe(1);
/// // SAFETY: `file` stays open until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// assert_eq!(file.metadata()?.len(), 100);
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
/// `EBADF`, `EFBIG`, `EINVAL` if not open for writing, and the others of ftruncate(2).
///
/// [`ftruncate(2)`]: https://man7.org/linux/man-pages/man2/ftruncate.2.html
#[doc(alias = "IORING_OP_FTRUNCATE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_ftruncate")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Ftruncate<E = Sqe>(Sqe, PhantomData<E>);

/// Starts writing a range of a file to the device, or waits for that.
///
/// `IORING_OP_SYNC_FILE_RANGE`, like [`sync_file_range(2)`]. Since Linux 5.2. It does
/// not write metadata: use [`Fsync`](super::Fsync) for that.
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::SyncFileRange;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::SYNC_FILE_RANGE) {
/// #     return Ok(());
/// # }
/// # let path = std::env::temp_dir().join(format!("ringbolt-sync-{}", std::process::id()));
/// # let file = std::fs::File::create(&path)?;
/// const SYNC_FILE_RANGE_WRITE: u32 = 2;
/// let entry = SyncFileRange::new(&file, 0, 0, SYNC_FILE_RANGE_WRITE).sqe(1);
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
/// `EBADF`, `EINVAL` for unknown flags, `EIO`, `ENOSPC`, `ESPIPE`.
///
/// [`sync_file_range(2)`]: https://man7.org/linux/man-pages/man2/sync_file_range.2.html
#[doc(alias = "IORING_OP_SYNC_FILE_RANGE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_sync_file_range")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct SyncFileRange<E = Sqe>(Sqe, PhantomData<E>);

/// Advises the kernel how a range of a file will be used.
///
/// `IORING_OP_FADVISE`, like [`posix_fadvise(2)`]. Since Linux 5.6.
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Fadvise;
/// use ringbolt::rustix::fs::Advice;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::FADVISE) {
/// #     return Ok(());
/// # }
/// let file = std::fs::File::open("Cargo.toml")?;
/// let entry = Fadvise::new(&file, Advice::WillNeed).sqe(1);
/// // SAFETY: `file` stays open until the completion is popped.
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
/// `EBADF`, `EINVAL` for unknown advice, `ESPIPE` for a pipe.
///
/// [`posix_fadvise(2)`]: https://man7.org/linux/man-pages/man2/posix_fadvise.2.html
#[doc(alias = "IORING_OP_FADVISE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_fadvise", "io_uring_prep_fadvise64"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Fadvise<E = Sqe>(Sqe, PhantomData<E>);

/// Advises the kernel how a range of memory will be used, or changes it.
///
/// `IORING_OP_MADVISE`, like [`madvise(2)`]. Since Linux 5.6.
///
/// Some advice changes the memory: `MADV_DONTNEED` empties it. The range must not be used
/// otherwise until the completion has been popped.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Madvise;
/// use ringbolt::rustix::mm::{Advice, MapFlags, ProtFlags, mmap_anonymous, munmap};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::MADVISE) {
/// #     return Ok(());
/// # }
/// let (len, prot) = (4096, ProtFlags::READ);
/// // SAFETY: new memory, wherever the kernel wants it.
/// let start = unsafe { mmap_anonymous(core::ptr::null_mut(), len, prot, MapFlags::PRIVATE) }?;
/// let entry = Madvise::new(start.cast(), len as u64, Advice::WillNeed).sqe(1);
/// // SAFETY: the memory stays mapped until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// # // SAFETY: it was mapped above, and nothing uses it.
/// # unsafe { munmap(start, len) }?;
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
/// `EINVAL` for unknown advice or an address that is not page-aligned, `ENOMEM` for a range that
/// is not mapped, and the others of madvise(2).
///
/// [`madvise(2)`]: https://man7.org/linux/man-pages/man2/madvise.2.html
#[doc(alias = "IORING_OP_MADVISE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_madvise", "io_uring_prep_madvise64"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Madvise(Sqe);

impl Fallocate {
    /// Acts on `len` bytes of `file` from `offset` on, in the way that `mode` selects.
    #[inline(always)]
    pub fn new<F: IntoTarget>(
        file: F,
        mode: FallocateFlags,
        offset: u64,
        len: u64,
    ) -> Fallocate<F::Entry> {
        Fallocate(allocate(file.into_target(), mode, offset, len), PhantomData)
    }
}

impl<'a> Fallocate<Lent<'a>> {
    /// Acts on `len` bytes of `file` from `offset` on, in the way that `mode` selects, for a job
    /// of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(file: impl Into<On<'a>>, mode: FallocateFlags, offset: u64, len: u64) -> Self {
        Self(allocate(file.into().target(), mode, offset, len), PhantomData)
    }
}

/// An entry that allocates in `file`.
#[inline(always)]
fn allocate(file: Target, mode: FallocateFlags, offset: u64, len: u64) -> Sqe {
    let mut sqe = on(Opcode::FALLOCATE, file);
    sqe.set_off(offset);
    sqe.set_addr_raw(len);
    sqe.set_len(mode.bits());
    sqe
}

impl Ftruncate {
    /// Makes `file` `len` bytes long.
    #[inline(always)]
    pub fn new<F: IntoTarget>(file: F, len: u64) -> Ftruncate<F::Entry> {
        Ftruncate(truncate(file.into_target(), len), PhantomData)
    }
}

impl<'a> Ftruncate<Lent<'a>> {
    /// Makes `file` `len` bytes long, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(file: impl Into<On<'a>>, len: u64) -> Self {
        Self(truncate(file.into().target(), len), PhantomData)
    }
}

/// An entry that makes `file` `len` bytes long.
#[inline(always)]
const fn truncate(file: Target, len: u64) -> Sqe {
    let mut sqe = on(Opcode::FTRUNCATE, file);
    sqe.set_off(len);
    sqe
}

impl SyncFileRange {
    /// Acts on `len` bytes of `file` from `offset` on; 0 stands for up to the end. `flags` are
    /// `SYNC_FILE_RANGE_WAIT_BEFORE` (1), `_WRITE` (2) and `_WAIT_AFTER` (4).
    #[inline(always)]
    pub fn new<F: IntoTarget>(
        file: F,
        offset: u64,
        len: u32,
        flags: u32,
    ) -> SyncFileRange<F::Entry> {
        SyncFileRange(synchronise(file.into_target(), offset, len, flags), PhantomData)
    }
}

impl<'a> SyncFileRange<Lent<'a>> {
    /// Acts on `len` bytes of `file` from `offset` on, for a job of the
    /// [safe front](crate::jobs). Otherwise as [`new`](SyncFileRange::new).
    #[inline(always)]
    pub fn lent(file: impl Into<On<'a>>, offset: u64, len: u32, flags: u32) -> Self {
        Self(synchronise(file.into().target(), offset, len, flags), PhantomData)
    }
}

/// An entry that synchronises a range of `file`.
#[inline(always)]
const fn synchronise(file: Target, offset: u64, len: u32, flags: u32) -> Sqe {
    let mut sqe = on(Opcode::SYNC_FILE_RANGE, file);
    sqe.set_off(offset);
    sqe.set_len(len);
    sqe.set_op_flags(flags);
    sqe
}

impl Fadvise {
    /// Advises on all of `file`.
    #[inline(always)]
    pub fn new<F: IntoTarget>(file: F, advice: FileAdvice) -> Fadvise<F::Entry> {
        Fadvise(advise(file.into_target(), advice), PhantomData)
    }
}

impl<'a> Fadvise<Lent<'a>> {
    /// Advises on all of `file`, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(file: impl Into<On<'a>>, advice: FileAdvice) -> Self {
        Self(advise(file.into().target(), advice), PhantomData)
    }
}

/// An entry that advises on all of `file`.
#[inline(always)]
const fn advise(file: Target, advice: FileAdvice) -> Sqe {
    let mut sqe = on(Opcode::FADVISE, file);
    sqe.set_op_flags(advice as u32);
    sqe
}

impl<E> Fadvise<E> {
    /// Only on `len` bytes from `offset` on; 0 stands for up to the end. More than 32 bits of
    /// length since Linux 6.11; older kernels take that for 0.
    #[inline(always)]
    pub fn range(mut self, offset: u64, len: u64) -> Self {
        self.0.set_off(offset);
        match u32::try_from(len) {
            Ok(len) => self.0.set_len(len),
            Err(_) => self.0.set_addr_raw(len),
        }
        self
    }
}

impl Madvise {
    /// Advises on `len` bytes from `start` on. More than 32 bits of length since Linux 6.11;
    /// older kernels take that for 0.
    #[inline(always)]
    pub fn new(start: *mut u8, len: u64, advice: MemoryAdvice) -> Self {
        let mut sqe = on_none(Opcode::MADVISE);
        sqe.set_addr(SharedPtr::from_mut(start));
        match u32::try_from(len) {
            Ok(len) => sqe.set_len(len),
            Err(_) => sqe.set_off(len),
        }
        sqe.set_op_flags(advice as u32);
        Self(sqe)
    }
}

sqe!(Madvise);
sqe!(either: Fallocate, Ftruncate, SyncFileRange, Fadvise);
op!(Fallocate: Nothing, Ftruncate: Nothing, SyncFileRange: Nothing, Fadvise: Nothing);
