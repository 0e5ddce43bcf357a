//! Cancelling.
#![forbid(unsafe_code)]

use rustix::fd::{AsFd, AsRawFd};

use crate::entry::{SafeSqe, Sqe};
use crate::sys::{CancelFlags, Opcode};

use super::{Fixed, on_none, sqe};

/// Cancels operations in flight on the same ring.
///
/// `IORING_OP_ASYNC_CANCEL`. Since Linux 5.5, by `user_data`; the rest says its own. Names no
/// memory: it is pushed safely.
///
/// What is cancelled still completes, with `ECANCELED` or with what it came to, and what it
/// uses must stay until then. The two completions come in either order.
///
/// # Result
///
/// 0; with [`all`](Self::all) or [`any`](Self::any), how many were cancelled. Of a wait for a futex
/// or a child, 1.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EALREADY` | it is being carried out, and may or may not stop |
/// | `EINVAL` | an older kernel, and a way to match that it lacks |
/// | `ENOENT` | nothing matched |
#[doc(alias = "IORING_OP_ASYNC_CANCEL")]
#[derive(Clone, Copy, Debug)]
pub struct AsyncCancel(Sqe);

impl AsyncCancel {
    /// Cancels the operation that was submitted with `user_data`.
    #[inline(always)]
    pub const fn of_user_data(user_data: u64) -> Self {
        let mut sqe = on_none(Opcode::ASYNC_CANCEL);
        sqe.set_addr_raw(user_data);
        Self(sqe)
    }

    /// Cancels an operation on `file`. `IORING_ASYNC_CANCEL_FD`, since Linux 5.19.
    #[inline(always)]
    pub fn of_file(file: impl AsFd) -> Self {
        let mut sqe = on_none(Opcode::ASYNC_CANCEL);
        sqe.set_fd(file.as_fd().as_raw_fd());
        Self(sqe).flags(CancelFlags::FD)
    }

    /// Cancels an operation on a fixed slot. `IORING_ASYNC_CANCEL_FD_FIXED`, since Linux 6.0.
    #[inline(always)]
    pub const fn of_fixed(slot: Fixed) -> Self {
        let mut sqe = on_none(Opcode::ASYNC_CANCEL);
        // The field is signed, the slot is not: the bits are the same.
        sqe.set_fd(i32::from_ne_bytes(slot.0.to_ne_bytes()));
        Self(sqe).flags(CancelFlags::FD.union(CancelFlags::FD_FIXED))
    }

    /// Cancels an operation with this opcode. `IORING_ASYNC_CANCEL_OP`, since Linux 6.6.
    #[inline(always)]
    pub const fn of_opcode(opcode: Opcode) -> Self {
        Self(on_none(Opcode::ASYNC_CANCEL)).opcode(opcode)
    }

    /// Cancels everything in flight. `IORING_ASYNC_CANCEL_ANY`, since Linux 5.19.
    #[inline(always)]
    pub const fn any() -> Self {
        Self(on_none(Opcode::ASYNC_CANCEL)).flags(CancelFlags::ANY)
    }

    /// Matches only operations with this opcode. `IORING_ASYNC_CANCEL_OP`, since Linux 6.6.
    ///
    /// `user_data` is then no longer matched unless
    /// [`flags`](Self::flags) adds [`CancelFlags::USERDATA`]. To go by the opcode alone, start
    /// from [`of_user_data`](Self::of_user_data), of any: [`any`](Self::any) does not go with it.
    #[must_use]
    #[inline(always)]
    pub const fn opcode(mut self, opcode: Opcode) -> Self {
        self.0.set_len(opcode.as_raw() as u32);
        self.flags(CancelFlags::OP)
    }

    /// Cancels all that match, not only the first. `IORING_ASYNC_CANCEL_ALL`, since Linux 5.19.
    #[must_use]
    #[inline(always)]
    pub const fn all(self) -> Self {
        self.flags(CancelFlags::ALL)
    }

    /// Adds `IORING_ASYNC_CANCEL_` flags.
    #[must_use]
    #[inline(always)]
    pub const fn flags(mut self, flags: CancelFlags) -> Self {
        self.0.set_op_flags(self.0.op_flags() | flags.bits());
        self
    }
}

sqe!(AsyncCancel => SafeSqe, SafeSqe::new);
