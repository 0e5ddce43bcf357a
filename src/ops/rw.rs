//! Reading and writing.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use crate::entry::Sqe;
use crate::sys::{Opcode, SharedPtr};

use super::transfer::{protection, transfer, transfer_options, write_options};
use super::{Bytes, Group, InGroup, IntoTarget, Lent, On, Span, multi, op, sqe};

/// Reads up to `len` bytes into `buf`.
///
/// `IORING_OP_READ`, like [`read(2)`], or [`pread(2)`] with an [`offset`](Self::offset). Since
/// Linux 5.6.
///
/// `buf` must stay, and not be touched, until the completion has been popped.
///
/// Into a [`provided`](Read::provided) buffer, from a [`Fixed`](super::Fixed) slot, it is pushed
/// safely.
///
/// # Result
///
/// Bytes read, at most `len`; 0 at the end of the file.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EAGAIN` | the file is non-blocking and has no data |
/// | `EBADF` | not open for reading, or an empty fixed slot |
/// | `ECANCELED` | cancelled, or linked after an entry that failed |
/// | `EFAULT` | `buf` is outside the address space |
/// | `EINVAL` | O_DIRECT, and something is not aligned |
/// | `EIO` | the device failed |
/// | `EISDIR` | a directory |
/// | `ENOBUFS` | a [`buffer_group`](Sqe::buffer_group) was named and has no buffer |
///
/// [`read(2)`]: https://man7.org/linux/man-pages/man2/read.2.html
/// [`pread(2)`]: https://man7.org/linux/man-pages/man2/pread.2.html
#[doc(alias = "IORING_OP_READ")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_read")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Read<E = Sqe>(Sqe, PhantomData<E>);

/// Writes up to `len` bytes from `buf`.
///
/// `IORING_OP_WRITE`, like [`write(2)`], or [`pwrite(2)`] with an [`offset`](Self::offset).
/// Since Linux 5.6.
///
/// `buf` must stay, and not be changed, until the completion has been popped.
///
/// # Result
///
/// Bytes written, at most `len`.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EAGAIN` | the file is non-blocking and takes no data now |
/// | `EBADF` | not open for writing, or an empty fixed slot |
/// | `ECANCELED` | cancelled, or linked after an entry that failed |
/// | `EDQUOT`, `ENOSPC` | no quota, no space |
/// | `EFAULT` | `buf` is outside the address space |
/// | `EFBIG` | beyond the size that a file can have |
/// | `EINVAL` | O_DIRECT, and something is not aligned |
/// | `EIO` | the device failed |
/// | `EPIPE` | nobody reads at the other end. On Linux 6.12 and later, SIGPIPE is raised, too |
///
/// [`write(2)`]: https://man7.org/linux/man-pages/man2/write.2.html
/// [`pwrite(2)`]: https://man7.org/linux/man-pages/man2/pwrite.2.html
#[doc(alias = "IORING_OP_WRITE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_write")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Write<E = Sqe>(Sqe, PhantomData<E>);

/// Reads whenever there is data, into provided buffers.
///
/// `IORING_OP_READ_MULTISHOT`. Since Linux 6.7. For files that can be polled, such as pipes;
/// regular files are refused. Each completion but the last has
/// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE), and names its buffer by
/// [`Cqe::buffer_id`](crate::Cqe::buffer_id).
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
///
/// # Result
///
/// Bytes read, once for each completion; 0 at the end of the file, which ends it.
///
/// # Errors
///
/// As [`Read`]; `EBADFD` if the file cannot be polled; `ENOBUFS` ends it when the group has no
/// buffer left: provide some, and submit it again. It also ends when a completion finds the
/// completion queue full: the completion then comes in late, with its data and without `MORE`.
#[doc(alias = "IORING_OP_READ_MULTISHOT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_read_multishot")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct ReadMultishot<E = Sqe>(Sqe, PhantomData<E>);

impl Read {
    /// Reads from `target` up to `len` bytes into `buf`.
    ///
    /// This uses the file position and moves it, as `read(2)` does, unless
    /// [`offset`](Self::offset) gives another place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, buf: *mut u8, len: u32) -> Self {
        let buf = SharedPtr::from_mut(buf);
        Self(transfer(Opcode::READ, target.into_target(), buf, len), PhantomData)
    }

    /// Reads from `target` up to `len` bytes into a buffer that the kernel picks from those
    /// provided as `group`; [`Cqe::buffer_id`](crate::Cqe::buffer_id) returns which. `len` of 0
    /// stands for the buffer's own length since Linux 6.0; before, nothing is read. Since Linux
    /// 5.7.
    ///
    /// A read that waits for data may hold a buffer meanwhile. If it fails or is cancelled then,
    /// its completion names the buffer all the same, which is the program's again.
    #[inline(always)]
    pub fn provided<F: IntoTarget>(target: F, len: u32, group: u16) -> Read<F::Entry> {
        let sqe = transfer(Opcode::READ, target.into_target(), SharedPtr::NULL, len);
        Read(sqe.buffer_group(group), PhantomData)
    }
}

impl<'a> Read<Lent<'a>> {
    /// Reads from `target` into `buf`, for a job of the [safe front](crate::jobs). The file
    /// position is used as by [`new`](Read::new).
    #[inline(always)]
    pub fn lent(target: impl Into<On<'a>>, buf: impl Into<Span<'a>>) -> Self {
        let span = buf.into();
        let buf = SharedPtr::from_mut(span.as_mut_ptr());
        Self(transfer(Opcode::READ, target.into().target(), buf, span.len_field()), PhantomData)
    }
}

impl Write {
    /// Writes to `target` up to `len` bytes from `buf`.
    ///
    /// This uses the file position and moves it, as `write(2)` does, unless
    /// [`offset`](Self::offset) gives another place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, buf: *const u8, len: u32) -> Self {
        let buf = SharedPtr::new(buf);
        Self(transfer(Opcode::WRITE, target.into_target(), buf, len), PhantomData)
    }
}

impl<'a> Write<Lent<'a>> {
    /// Writes `bytes` to `target`, for a job of the [safe front](crate::jobs). The file position is
    /// used as by [`new`](Write::new).
    #[inline(always)]
    pub fn lent(target: impl Into<On<'a>>, bytes: impl Into<Bytes<'a>>) -> Self {
        let bytes = bytes.into();
        let buf = SharedPtr::new(bytes.as_ptr());
        let sqe = transfer(Opcode::WRITE, target.into().target(), buf, bytes.len_field());
        Self(sqe, PhantomData)
    }
}

impl ReadMultishot {
    /// Reads from `target` into buffers that the kernel picks from those provided as `group`. Each
    /// read fills as much of its buffer as there is data for.
    #[inline(always)]
    pub fn new<F: IntoTarget>(target: F, group: u16) -> ReadMultishot<F::Entry> {
        let sqe = transfer(Opcode::READ_MULTISHOT, target.into_target(), SharedPtr::NULL, 0);
        ReadMultishot(sqe.buffer_group(group), PhantomData)
    }
}

impl<'a> Read<InGroup<Lent<'a>>> {
    /// Reads from `target` up to `len` bytes into a buffer of `group`, for a job of the
    /// [safe front](crate::jobs): as [`provided`](Read::provided). The event has the buffer:
    /// [`Event::received`](crate::jobs::Event::received).
    #[inline(always)]
    pub fn group(target: impl Into<On<'a>>, len: u32, group: Group) -> Self {
        let sqe = transfer(Opcode::READ, target.into().target(), SharedPtr::NULL, len);
        Self(sqe.buffer_group(group.number()), PhantomData)
    }
}

impl<'a> ReadMultishot<Lent<'a>> {
    /// Reads from `target` into buffers of `group`, for a job of the [safe front](crate::jobs).
    /// Each event has a buffer: [`Event::received`](crate::jobs::Event::received).
    ///
    /// ```
    /// use std::io::Write as _;
    /// use ringbolt::jobs::SafeRing;
    /// use ringbolt::ops::ReadMultishot;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let caps = ringbolt::IoUring::new(8)?.registrar().probe()?;
    /// # if !caps.supports(ringbolt::sys::Opcode::READ_MULTISHOT) { return Ok(()); }
    /// let (reader, mut writer) = std::io::pipe()?;
    /// let mut jobs = SafeRing::new(8)?.into_jobs(1);
    /// let group = jobs.provide(8, 256)?;
    /// jobs.start_multi(reader, |reader| ReadMultishot::lent(reader, group).multi())?;
    /// writer.write_all(b"one")?;
    /// let mut event = jobs.wait_next()?.ok_or("no event")?;
    /// assert!(event.has_more());
    /// assert_eq!(&event.received().ok_or("no buffer")?[..], b"one");
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn lent(target: impl Into<On<'a>>, group: Group) -> Self {
        let target = target.into().target();
        let sqe = transfer(Opcode::READ_MULTISHOT, target, SharedPtr::NULL, 0);
        Self(sqe.buffer_group(group.number()), PhantomData)
    }
}

protection!(Read, Write);
transfer_options!(Read<E>, Write<E>);
write_options!(Write<E>);
sqe!(Write);
sqe!(either: Read, ReadMultishot);
op!(Read: Nothing, Write: Nothing);
op!(InGroup<Lent<'a>>: Read, Nothing);
multi!(ReadMultishot<Lent<'a>>: Nothing, core::convert::identity);
