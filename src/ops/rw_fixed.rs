//! Reading and writing in registered buffers.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use crate::entry::Sqe;
use crate::sys::{Opcode, SharedPtr};

use super::transfer::{in_buffer, protection, transfer_options, write_options};
use super::{FixedBytes, FixedSpan, IntoTarget, Lent, On, op, sqe};

/// Reads up to `len` bytes into `buf`, which lies in a registered buffer.
///
/// `IORING_OP_READ_FIXED`, like [`pread(2)`] without the cost of pinning memory for each call.
/// Since Linux 5.1.
///
/// `buf` and the `len` bytes from there on lie in buffer `buf_index` of those registered with
/// [`register_buffers`](crate::register::Registrar::register_buffers). They must not be
/// touched until the completion has been popped, nor the memory be unmapped.
///
/// # Result
///
/// Bytes read, at most `len`; 0 at the end of the file.
///
/// # Errors
///
/// As [`Read`](super::Read); `EFAULT` if there is no such buffer or the range leads out of it.
///
/// [`pread(2)`]: https://man7.org/linux/man-pages/man2/pread.2.html
#[doc(alias = "IORING_OP_READ_FIXED")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_read_fixed")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct ReadFixed<E = Sqe>(Sqe, PhantomData<E>);

/// Writes up to `len` bytes from `buf`, which lies in a registered buffer.
///
/// `IORING_OP_WRITE_FIXED`, like [`pwrite(2)`] without the cost of pinning memory for each
/// call. Since Linux 5.1.
///
/// `buf` and the `len` bytes from there on lie in buffer `buf_index` of those registered with
/// [`register_buffers`](crate::register::Registrar::register_buffers). They must not be
/// changed until the completion has been popped, nor the memory be unmapped.
///
/// # Result
///
/// Bytes written, at most `len`.
///
/// # Errors
///
/// As [`Write`](super::Write); `EFAULT` if there is no such buffer or the range leads out of it.
///
/// [`pwrite(2)`]: https://man7.org/linux/man-pages/man2/pwrite.2.html
#[doc(alias = "IORING_OP_WRITE_FIXED")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_write_fixed")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct WriteFixed<E = Sqe>(Sqe, PhantomData<E>);

impl ReadFixed {
    /// Reads from `target` up to `len` bytes into `buf`, inside registered buffer `buf_index`.
    /// This uses the file position and moves it, unless [`offset`](Self::offset) gives another
    /// place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, buf: *mut u8, len: u32, buf_index: u16) -> Self {
        let buf = SharedPtr::from_mut(buf);
        let target = target.into_target();
        Self(in_buffer(Opcode::READ_FIXED, target, buf, len, buf_index), PhantomData)
    }
}

impl WriteFixed {
    /// Writes to `target` up to `len` bytes from `buf`, inside registered buffer `buf_index`.
    /// This uses the file position and moves it, unless [`offset`](Self::offset) gives another
    /// place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, buf: *const u8, len: u32, buf_index: u16) -> Self {
        let buf = SharedPtr::new(buf);
        let target = target.into_target();
        Self(in_buffer(Opcode::WRITE_FIXED, target, buf, len, buf_index), PhantomData)
    }
}

impl<'a> ReadFixed<Lent<'a>> {
    /// Reads from `target` into `buf`, a registered buffer or a part of one, for a job of the
    /// [safe front](crate::jobs). The file position is used as by [`new`](ReadFixed::new).
    ///
    /// ```
    /// use std::fs::File;
    /// use ringbolt::jobs::{Lease, OwnedJobs, Pages, SafeRing};
    /// use ringbolt::ops::ReadFixed;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut jobs: OwnedJobs<(File, Lease)> = SafeRing::new(8)?.into_jobs(1);
    /// let lease = jobs.lease(1, 4096, Pages::Usual)?.next().ok_or("one buffer")?;
    /// jobs.start((File::open("Cargo.toml")?, lease), |(file, lease)| {
    ///     ReadFixed::lent(&*file, lease).offset(0).op()
    /// })?;
    /// let event = jobs.wait_next()?.ok_or("no event")?;
    /// assert!(event.result()? > 0 && event.1.starts_with(b"["));
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn lent(target: impl Into<On<'a>>, buf: impl Into<FixedSpan<'a>>) -> Self {
        let (target, fixed) = (target.into().target(), buf.into());
        let span = fixed.span();
        let buf = SharedPtr::from_mut(span.as_mut_ptr());
        let sqe = in_buffer(Opcode::READ_FIXED, target, buf, span.len_field(), fixed.index());
        Self(sqe, PhantomData)
    }
}

impl<'a> WriteFixed<Lent<'a>> {
    /// Writes `bytes`, a registered buffer or a part of one, to `target`, for a job of the
    /// [safe front](crate::jobs). The file position is used as by [`new`](WriteFixed::new).
    #[inline(always)]
    pub fn lent(target: impl Into<On<'a>>, bytes: impl Into<FixedBytes<'a>>) -> Self {
        let (target, fixed) = (target.into().target(), bytes.into());
        let bytes = fixed.bytes();
        let buf = SharedPtr::new(bytes.as_ptr());
        let sqe = in_buffer(Opcode::WRITE_FIXED, target, buf, bytes.len_field(), fixed.index());
        Self(sqe, PhantomData)
    }
}

protection!(ReadFixed, WriteFixed);
transfer_options!(ReadFixed<E>, WriteFixed<E>);
write_options!(WriteFixed<E>);
sqe!(ReadFixed, WriteFixed);
op!(ReadFixed: Nothing, WriteFixed: Nothing);
