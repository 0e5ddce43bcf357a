//! Reading and writing in several buffers at once.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use crate::entry::Sqe;
use crate::sys::{Opcode, SharedPtr};

use super::transfer::{in_buffer, protection, transfer, transfer_options, write_options};
use super::{FixedPieces, FixedSpans, IntoTarget, IoVec, Lent, On, Pieces, Spans, op, sqe};

/// Reads into several buffers, filling one after the other.
///
/// `IORING_OP_READV`, like [`readv(2)`], or [`preadv2(2)`] with an [`offset`](Self::offset)
/// and [`flags`](Self::flags). Since Linux 5.1.
///
/// The buffers must stay, and not be touched, until the completion has been popped; the
/// vectors must stay until taken.
///
/// # Result
///
/// Bytes read in all; 0 at the end of the file.
///
/// # Errors
///
/// As [`Read`](super::Read); `EINVAL` for more than 1024 vectors or lengths that overflow.
///
/// [`readv(2)`]: https://man7.org/linux/man-pages/man2/readv.2.html
/// [`preadv2(2)`]: https://man7.org/linux/man-pages/man2/preadv2.2.html
#[doc(alias = "IORING_OP_READV")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_readv", "io_uring_prep_readv2"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Readv<E = Sqe>(Sqe, PhantomData<E>);

/// Writes from several buffers, one after the other.
///
/// `IORING_OP_WRITEV`, like [`writev(2)`], or [`pwritev2(2)`] with an
/// [`offset`](Self::offset) and [`flags`](Self::flags). Since Linux 5.1.
///
/// The buffers must stay, and not be changed, until the completion has been popped; the
/// vectors must stay until taken.
///
/// # Result
///
/// Bytes written in all.
///
/// # Errors
///
/// As [`Write`](super::Write); `EINVAL` for more than 1024 vectors or lengths that overflow.
///
/// [`writev(2)`]: https://man7.org/linux/man-pages/man2/writev.2.html
/// [`pwritev2(2)`]: https://man7.org/linux/man-pages/man2/pwritev2.2.html
#[doc(alias = "IORING_OP_WRITEV")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_writev", "io_uring_prep_writev2"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Writev<E = Sqe>(Sqe, PhantomData<E>);

/// Reads into several buffers that all lie in one registered buffer.
///
/// `IORING_OP_READV_FIXED`. Since Linux 6.15. As [`Readv`] and [`ReadFixed`](super::ReadFixed)
/// together: what either says must stay, must stay here.
///
/// # Result
///
/// Bytes read in all; 0 at the end of the file.
///
/// # Errors
///
/// As [`Readv`] and [`ReadFixed`](super::ReadFixed); `EFAULT` also for a vector of no bytes.
#[doc(alias = "IORING_OP_READV_FIXED")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_readv_fixed")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct ReadvFixed<E = Sqe>(Sqe, PhantomData<E>);

/// Writes from several buffers that all lie in one registered buffer.
///
/// `IORING_OP_WRITEV_FIXED`. Since Linux 6.15. As [`Writev`] and [`WriteFixed`](super::WriteFixed)
/// together: what either says must stay, must stay here.
///
/// # Result
///
/// Bytes written in all.
///
/// # Errors
///
/// As [`Writev`] and [`WriteFixed`](super::WriteFixed); `EFAULT` also for a vector of no bytes.
#[doc(alias = "IORING_OP_WRITEV_FIXED")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_writev_fixed")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct WritevFixed<E = Sqe>(Sqe, PhantomData<E>);

impl Readv {
    /// Reads from `target` into the `count` buffers of `vectors`.
    ///
    /// This uses the file position and moves it, as `read(2)` does, unless
    /// [`offset`](Self::offset) gives another place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, vectors: *const IoVec, count: u32) -> Self {
        let vectors = SharedPtr::new(vectors);
        Self(transfer(Opcode::READV, target.into_target(), vectors, count), PhantomData)
    }
}

impl Writev {
    /// Writes to `target` from the `count` buffers of `vectors`.
    ///
    /// This uses the file position and moves it, as `write(2)` does, unless
    /// [`offset`](Self::offset) gives another place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, vectors: *const IoVec, count: u32) -> Self {
        let vectors = SharedPtr::new(vectors);
        Self(transfer(Opcode::WRITEV, target.into_target(), vectors, count), PhantomData)
    }
}

impl ReadvFixed {
    /// Reads from `target` into the `count` buffers of `vectors`, inside registered buffer
    /// `buf_index`. This uses the file position and moves it, unless [`offset`](Self::offset) gives
    /// another place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, vectors: *const IoVec, count: u32, buf_index: u16) -> Self {
        let vectors = SharedPtr::new(vectors);
        let target = target.into_target();
        Self(in_buffer(Opcode::READV_FIXED, target, vectors, count, buf_index), PhantomData)
    }
}

impl WritevFixed {
    /// Writes to `target` from the `count` buffers of `vectors`, inside registered buffer
    /// `buf_index`. This uses the file position and moves it, unless [`offset`](Self::offset) gives
    /// another place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, vectors: *const IoVec, count: u32, buf_index: u16) -> Self {
        let vectors = SharedPtr::new(vectors);
        let target = target.into_target();
        Self(in_buffer(Opcode::WRITEV_FIXED, target, vectors, count, buf_index), PhantomData)
    }
}

impl<'a> Readv<Lent<'a>> {
    /// Reads from `target` into `spans`, for a job of the [safe front](crate::jobs). The file
    /// position is used as by [`new`](Readv::new). [`Vectors`](super::Vectors) has an example.
    #[inline(always)]
    pub fn lent(target: impl Into<On<'a>>, spans: Spans<'a>) -> Self {
        let (target, vectors) = (target.into().target(), SharedPtr::new(spans.start()));
        Self(transfer(Opcode::READV, target, vectors, spans.count()), PhantomData)
    }
}

impl<'a> Writev<Lent<'a>> {
    /// Writes `pieces` to `target`, for a job of the [safe front](crate::jobs). The file position
    /// is used as by [`new`](Writev::new).
    #[inline(always)]
    pub fn lent(target: impl Into<On<'a>>, pieces: impl Into<Pieces<'a>>) -> Self {
        let (target, pieces) = (target.into().target(), pieces.into());
        let vectors = SharedPtr::new(pieces.start());
        Self(transfer(Opcode::WRITEV, target, vectors, pieces.count()), PhantomData)
    }
}

impl<'a> ReadvFixed<Lent<'a>> {
    /// Reads from `target` into `spans`, parts of one registered buffer, for a job of the
    /// [safe front](crate::jobs). The file position is used as by [`new`](ReadvFixed::new).
    #[inline(always)]
    pub fn lent(target: impl Into<On<'a>>, spans: FixedSpans<'a>) -> Self {
        let (target, index, spans) = (target.into().target(), spans.index(), spans.spans());
        let vectors = SharedPtr::new(spans.start());
        let sqe = in_buffer(Opcode::READV_FIXED, target, vectors, spans.count(), index);
        Self(sqe, PhantomData)
    }
}

impl<'a> WritevFixed<Lent<'a>> {
    /// Writes `pieces`, parts of one registered buffer, to `target`, for a job of the
    /// [safe front](crate::jobs). The file position is used as by [`new`](WritevFixed::new).
    #[inline(always)]
    pub fn lent(target: impl Into<On<'a>>, pieces: impl Into<FixedPieces<'a>>) -> Self {
        let (target, fixed) = (target.into().target(), pieces.into());
        let (index, pieces) = (fixed.index(), fixed.pieces());
        let vectors = SharedPtr::new(pieces.start());
        let sqe = in_buffer(Opcode::WRITEV_FIXED, target, vectors, pieces.count(), index);
        Self(sqe, PhantomData)
    }
}

protection!(Readv, Writev, ReadvFixed, WritevFixed);
transfer_options!(Readv<E>, Writev<E>, ReadvFixed<E>, WritevFixed<E>);
write_options!(Writev<E>, WritevFixed<E>);
sqe!(Readv, Writev, ReadvFixed, WritevFixed);
op!(Readv: Nothing, Writev: Nothing, ReadvFixed: Nothing, WritevFixed: Nothing);
