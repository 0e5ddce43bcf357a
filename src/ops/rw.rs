//! Reading and writing.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use crate::entry::Sqe;
use crate::sys::{
    Opcode, RwAttrFlags, RwFlags, SharedPtr, io_uring_attr_pi, sqe_attr, sqe_file, sqe_tail,
    sqe_write_stream,
};

use super::{Bytes, IntoTarget, IoVec, Lent, On, Span, Target, add_flags, on, op, sqe};

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
/// | `EPIPE` | nobody reads at the other end; SIGPIPE is raised too, as by write(2) |
///
/// [`write(2)`]: https://man7.org/linux/man-pages/man2/write.2.html
/// [`pwrite(2)`]: https://man7.org/linux/man-pages/man2/pwrite.2.html
#[doc(alias = "IORING_OP_WRITE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_write")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Write<E = Sqe>(Sqe, PhantomData<E>);

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
/// As [`Read`]; `EINVAL` for more than 1024 vectors or lengths that overflow.
///
/// [`readv(2)`]: https://man7.org/linux/man-pages/man2/readv.2.html
/// [`preadv2(2)`]: https://man7.org/linux/man-pages/man2/preadv2.2.html
#[doc(alias = "IORING_OP_READV")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_readv", "io_uring_prep_readv2"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Readv(Sqe);

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
/// As [`Write`]; `EINVAL` for more than 1024 vectors or lengths that overflow.
///
/// [`writev(2)`]: https://man7.org/linux/man-pages/man2/writev.2.html
/// [`pwritev2(2)`]: https://man7.org/linux/man-pages/man2/pwritev2.2.html
#[doc(alias = "IORING_OP_WRITEV")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_writev", "io_uring_prep_writev2"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Writev(Sqe);

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
/// As [`Read`]; `EFAULT` if there is no such buffer or the range leads out of it.
///
/// [`pread(2)`]: https://man7.org/linux/man-pages/man2/pread.2.html
#[doc(alias = "IORING_OP_READ_FIXED")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_read_fixed")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct ReadFixed(Sqe);

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
/// As [`Write`]; `EFAULT` if there is no such buffer or the range leads out of it.
///
/// [`pwrite(2)`]: https://man7.org/linux/man-pages/man2/pwrite.2.html
#[doc(alias = "IORING_OP_WRITE_FIXED")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_write_fixed")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct WriteFixed(Sqe);

/// Reads into several buffers that all lie in one registered buffer.
///
/// `IORING_OP_READV_FIXED`. Since Linux 6.15. As [`Readv`] and [`ReadFixed`] together: what
/// either says must stay, must stay here.
///
/// # Result
///
/// Bytes read in all; 0 at the end of the file.
///
/// # Errors
///
/// As [`Readv`] and [`ReadFixed`]; `EFAULT` also for a vector of no bytes.
#[doc(alias = "IORING_OP_READV_FIXED")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_readv_fixed")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct ReadvFixed(Sqe);

/// Writes from several buffers that all lie in one registered buffer.
///
/// `IORING_OP_WRITEV_FIXED`. Since Linux 6.15. As [`Writev`] and [`WriteFixed`] together: what
/// either says must stay, must stay here.
///
/// # Result
///
/// Bytes written in all.
///
/// # Errors
///
/// As [`Writev`] and [`WriteFixed`]; `EFAULT` also for a vector of no bytes.
#[doc(alias = "IORING_OP_WRITEV_FIXED")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_writev_fixed")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct WritevFixed(Sqe);

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

/// Without an offset given, the file position is used and moved, as read(2) and write(2) do.
const CURRENT_POSITION: u64 = u64::MAX;

#[inline(always)]
fn transfer(opcode: Opcode, target: Target, addr: SharedPtr, len: u32) -> Sqe {
    let mut sqe = on(opcode, target);
    sqe.set_addr(addr);
    sqe.set_len(len);
    sqe.set_off(CURRENT_POSITION);
    sqe
}

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
    /// stands for the buffer's own length. Since Linux 5.7.
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

impl Readv {
    /// Reads from `target` into the `count` buffers of `vectors`.
    ///
    /// This uses the file position and moves it, as `read(2)` does, unless
    /// [`offset`](Self::offset) gives another place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, vectors: *const IoVec, count: u32) -> Self {
        Self(transfer(Opcode::READV, target.into_target(), SharedPtr::new(vectors), count))
    }
}

impl Writev {
    /// Writes to `target` from the `count` buffers of `vectors`.
    ///
    /// This uses the file position and moves it, as `write(2)` does, unless
    /// [`offset`](Self::offset) gives another place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, vectors: *const IoVec, count: u32) -> Self {
        Self(transfer(Opcode::WRITEV, target.into_target(), SharedPtr::new(vectors), count))
    }
}

impl ReadFixed {
    /// Reads from `target` up to `len` bytes into `buf`, inside registered buffer `buf_index`.
    /// This uses the file position and moves it, unless [`offset`](Self::offset) gives another
    /// place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, buf: *mut u8, len: u32, buf_index: u16) -> Self {
        let buf = SharedPtr::from_mut(buf);
        let mut sqe = transfer(Opcode::READ_FIXED, target.into_target(), buf, len);
        sqe.set_buf_index(buf_index);
        Self(sqe)
    }
}

impl WriteFixed {
    /// Writes to `target` up to `len` bytes from `buf`, inside registered buffer `buf_index`.
    /// This uses the file position and moves it, unless [`offset`](Self::offset) gives another
    /// place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, buf: *const u8, len: u32, buf_index: u16) -> Self {
        let buf = SharedPtr::new(buf);
        let mut sqe = transfer(Opcode::WRITE_FIXED, target.into_target(), buf, len);
        sqe.set_buf_index(buf_index);
        Self(sqe)
    }
}

impl ReadvFixed {
    /// Reads from `target` into the `count` buffers of `vectors`, inside registered buffer
    /// `buf_index`. This uses the file position and moves it, unless [`offset`](Self::offset) gives
    /// another place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, vectors: *const IoVec, count: u32, buf_index: u16) -> Self {
        let vectors = SharedPtr::new(vectors);
        let mut sqe = transfer(Opcode::READV_FIXED, target.into_target(), vectors, count);
        sqe.set_buf_index(buf_index);
        Self(sqe)
    }
}

impl WritevFixed {
    /// Writes to `target` from the `count` buffers of `vectors`, inside registered buffer
    /// `buf_index`. This uses the file position and moves it, unless [`offset`](Self::offset) gives
    /// another place.
    #[inline(always)]
    pub fn new(target: impl IntoTarget, vectors: *const IoVec, count: u32, buf_index: u16) -> Self {
        let vectors = SharedPtr::new(vectors);
        let mut sqe = transfer(Opcode::WRITEV_FIXED, target.into_target(), vectors, count);
        sqe.set_buf_index(buf_index);
        Self(sqe)
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

/// The options of writes.
macro_rules! write_options {
    ($($op:ident$(<$entry:ident>)?),+) => {$(
        impl$(<$entry>)? $op$(<$entry>)? {
            /// Groups what is written with other data of the same `stream`, on devices that
            /// keep streams apart; 0 for none. Since Linux 6.16.
            #[inline(always)]
            pub const fn stream(mut self, stream: u8) -> Self {
                let write_stream = sqe_write_stream { write_stream: stream, __pad4: [0; 3] };
                self.0.as_raw_mut().file = sqe_file { write_stream };
                self
            }
        }
    )+};
}

/// The options of all transfers.
macro_rules! transfer_options {
    ($($op:ident$(<$entry:ident>)?),+) => {$(
        impl$(<$entry>)? $op$(<$entry>)? {
            /// At `offset` bytes from the start of the file, leaving the file position alone.
            ///
            /// Without this the file position is used and moved
            /// ([`Features::RW_CUR_POS`](crate::sys::Features::RW_CUR_POS), since Linux 5.6);
            /// with several transfers in flight their order is then undefined. Files that
            /// cannot seek pay no attention to it.
            #[inline(always)]
            pub const fn offset(mut self, offset: u64) -> Self {
                self.0.set_off(offset);
                self
            }

            /// Adds `RWF_` flags, as for `preadv2(2)` and `pwritev2(2)`.
            #[inline(always)]
            pub const fn flags(mut self, flags: RwFlags) -> Self {
                add_flags(&mut self.0, flags.bits());
                self
            }

            /// The I/O priority, as for
            /// [`ioprio_set(2)`](https://man7.org/linux/man-pages/man2/ioprio_set.2.html).
            #[inline(always)]
            pub const fn ioprio(mut self, ioprio: u16) -> Self {
                self.0.set_ioprio(ioprio);
                self
            }
        }
    )+};
}

/// The options of transfers that name memory.
macro_rules! protection {
    ($($op:ident),+) => {$(
        impl $op {
            /// Sends protection information along, which the device checks or fills in.
            /// `IORING_RW_ATTR_FLAG_PI`
            /// ([`Features::RW_ATTR`](crate::sys::Features::RW_ATTR), since Linux 6.14).
            ///
            /// The struct must stay until taken; the memory that it names must stay, and not
            /// be touched, until the completion has been popped.
            #[inline(always)]
            pub const fn protection(mut self, information: *const io_uring_attr_pi) -> Self {
                self.0.as_raw_mut().tail = sqe_tail {
                    attr: sqe_attr {
                        attr_ptr: SharedPtr::new(information),
                        attr_type_mask: RwAttrFlags::PI.bits(),
                    },
                };
                self
            }
        }
    )+};
}

protection!(Read, Write, Readv, Writev, ReadFixed, WriteFixed, ReadvFixed, WritevFixed);
transfer_options!(Read<E>, Write<E>, Readv, Writev, ReadFixed, WriteFixed, ReadvFixed, WritevFixed);
write_options!(Write<E>, Writev, WriteFixed, WritevFixed);
sqe!(Write, Readv, Writev, ReadFixed, WriteFixed, ReadvFixed, WritevFixed);
sqe!(either: Read, ReadMultishot);
op!(Read: Nothing, Write: Nothing);
