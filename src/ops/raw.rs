//! Operations that do nothing, and operations that this crate does not know.
#![forbid(unsafe_code)]

use crate::entry::{SafeSqe, Sqe, Sqe128};
use crate::sys::{NopFlags, Opcode};

use super::lent::Makes;
use super::{IntoTarget, OpIn, Target, add_flags, on, on_none, sqe};

/// Does nothing, and completes.
///
/// `IORING_OP_NOP`. Since Linux 5.1. Names no memory: it is pushed safely.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::Nop;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// let entry = Nop::new().sqe(7);
/// ring.submission().push_safe(entry)?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!((cqe.user_data(), cqe.result()), (7, Ok(0)));
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// 0, or the value given to [`inject_result`](Self::inject_result).
#[doc(alias = "IORING_OP_NOP")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_nop")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Nop(Sqe);

/// Does nothing, with an entry of 128 bytes on a ring with mixed ones.
///
/// `IORING_OP_NOP128`. Since Linux 6.19. As [`Nop`] otherwise.
///
/// ```
/// use ringbolt::ops::Nop128;
///
/// let entry = Nop128::new().sqe(7);
/// assert_eq!(entry.sqe.user_data(), 7);
/// ```
#[doc(alias = "IORING_OP_NOP128")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_nop128")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Nop128(Sqe);

/// Any operation, field by field.
///
/// For operations that this crate has no type for yet. Fields that are not set are 0. The kernel's
/// documentation of the operation describes what they mean, and what must stay until when:
/// [`io_uring_enter(2)`].
///
/// ```
/// use ringbolt::ops::{RawOp, Read, Target};
/// use ringbolt::sys::{Opcode, SharedPtr};
///
/// let mut buf = [0; 64];
/// let file = Target::Fd(7);
/// let raw = RawOp::new(Opcode::READ).target(file).fields(|sqe| {
///     sqe.set_addr(SharedPtr::from_mut(buf.as_mut_ptr()));
///     sqe.set_len(64);
///     sqe.set_off(5);
/// });
/// assert_eq!(raw.sqe(1), Read::new(file, buf.as_mut_ptr(), 64).offset(5).sqe(1));
/// ```
///
/// [`io_uring_enter(2)`]: https://man7.org/linux/man-pages/man2/io_uring_enter.2.html
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_rw")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct RawOp(Sqe);

impl Nop {
    /// Does nothing.
    #[inline(always)]
    #[expect(clippy::new_without_default, reason = "no operation has a default")]
    pub const fn new() -> Self {
        Self(on_none(Opcode::NOP))
    }

    /// Looks up a file, and releases it again. `IORING_NOP_FILE`, since Linux 6.13.
    #[inline(always)]
    #[doc(alias("IORING_NOP_FILE", "IORING_NOP_FIXED_FILE"))]
    pub fn file(mut self, file: impl IntoTarget) -> Self {
        let mut flags = NopFlags::FILE;
        let target = file.into_target();
        let on_file = on(Opcode::NOP, target);
        self.0.set_fd(on_file.fd());
        if matches!(target, Target::Fixed(_)) {
            flags |= NopFlags::FIXED_FILE;
        }
        self.flags(flags)
    }

    /// Looks up registered buffer `buf_index`, and releases it again.
    /// `IORING_NOP_FIXED_BUFFER`, since Linux 6.13.
    #[inline(always)]
    #[doc(alias = "IORING_NOP_FIXED_BUFFER")]
    pub const fn fixed_buffer(mut self, buf_index: u16) -> Self {
        self.0.set_buf_index(buf_index);
        self.flags(NopFlags::FIXED_BUFFER)
    }

    /// Completes by way of task work. `IORING_NOP_TW`, since Linux 6.17.
    #[inline(always)]
    #[doc(alias = "IORING_NOP_TW")]
    pub const fn task_work(self) -> Self {
        self.flags(NopFlags::TW)
    }

    /// Completes with 32 bytes, whose second half is `extra`. `IORING_NOP_CQE32`, since Linux
    /// 6.18.
    #[inline(always)]
    #[doc(alias = "IORING_NOP_CQE32")]
    pub const fn cqe32(mut self, extra: [u64; 2]) -> Self {
        let [first, second] = extra;
        self.0.set_off(first);
        self.0.set_addr_raw(second);
        self.flags(NopFlags::CQE32)
    }

    /// Adds `IORING_NOP_` flags.
    #[inline(always)]
    pub const fn flags(mut self, flags: NopFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }

    /// Completes with `result`, an errno if negative: for tests.
    /// `IORING_NOP_INJECT_RESULT`, since Linux 6.10.
    #[inline(always)]
    #[doc(alias = "IORING_NOP_INJECT_RESULT")]
    pub const fn inject_result(mut self, result: i32) -> Self {
        // The field is unsigned, the result is not: the bits are the same.
        self.0.set_len(u32::from_ne_bytes(result.to_ne_bytes()));
        self.flags(NopFlags::INJECT_RESULT)
    }
}

impl Nop {
    /// The entry, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub const fn op<'a, 's: 'a>(self) -> OpIn<'a, 's> {
        OpIn::new(self.0, Makes::Nothing)
    }
}

impl Nop128 {
    /// Does nothing.
    #[inline(always)]
    #[expect(clippy::new_without_default, reason = "no operation has a default")]
    pub const fn new() -> Self {
        Self(on_none(Opcode::NOP128))
    }

    /// The entry, with the `user_data` of its completion.
    #[must_use = "an entry does nothing before it is pushed"]
    #[inline(always)]
    pub const fn sqe(self, user_data: u64) -> Sqe128 {
        Sqe128 { sqe: self.0.with_user_data(user_data), payload: [0; 64] }
    }
}

impl RawOp {
    /// The operation `opcode`, on no file and with no argument.
    #[inline(always)]
    pub const fn new(opcode: Opcode) -> Self {
        Self(Sqe::new(opcode))
    }

    /// Acts on `target`.
    #[inline(always)]
    pub fn target(mut self, target: impl IntoTarget) -> Self {
        let flags = self.0.flags();
        let on_target = on(self.0.opcode(), target.into_target());
        self.0.set_fd(on_target.fd());
        self.0.set_flags(flags.union(on_target.flags()));
        self
    }

    /// Sets fields by the methods of [`Sqe`]: all of them but `user_data`, which
    /// [`sqe`](Self::sqe) sets.
    #[inline(always)]
    pub fn fields(mut self, set: impl FnOnce(&mut Sqe)) -> Self {
        set(&mut self.0);
        self
    }
}

sqe!(Nop => SafeSqe, SafeSqe::new);
sqe!(RawOp);
