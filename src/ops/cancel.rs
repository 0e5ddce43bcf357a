//! Cancelling.
#![forbid(unsafe_code)]

use crate::entry::{SafeSqe, Sqe};
use crate::sys::{CancelFlags, Opcode};

use super::{Fixed, IntoFd, Target, add_flags, on_none, sqe};

/// Cancels operations in flight on the same ring.
///
/// `IORING_OP_ASYNC_CANCEL`. Since Linux 5.5, by `user_data`; each other way to match says since
/// when. It refers to no memory, and is pushed safely, except [by file](Self::of_file).
///
/// What is cancelled still completes, with `ECANCELED` or with what it came to, and what it
/// uses must stay until then. The two completions come in either order. The completion of the
/// cancellation ends nothing but itself, whatever its result.
///
/// A read or write that a device is carrying out cannot be cancelled: it is not found (`ENOENT`, or
/// 0 with `any` and `all`), and goes on to its end. What a worker thread is carrying out is
/// interrupted (`EALREADY`), and may go on all the same. Entries later in a chain than the one in
/// flight are not found by themselves.
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
/// | `ENOENT` | nothing that could be cancelled matched: it may be in flight nevertheless |
#[doc(alias = "IORING_OP_ASYNC_CANCEL")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_cancel", "io_uring_prep_cancel64"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct AsyncCancel(Sqe);

/// Cancels operations on a file. From [`AsyncCancel::of_file`] and [`AsyncCancel::of_target`].
///
/// The options, results and errors are those of [`AsyncCancel`]; `EBADF` if the descriptor is not
/// open.
///
/// Its entry is pushed by [`push`](crate::SubmissionQueue::push), which is unsafe. The entry holds
/// the number of a descriptor, and the kernel looks the file up when the entry is submitted. So the
/// descriptor must be open, and still the caller's, at that time. If it was closed, its number may
/// have become the descriptor of a file that other code opened, and the kernel would cancel that
/// code's operations. To cancel by file in safe code, use
/// [`CancelWhat::file`](crate::register::CancelWhat::file), which borrows the descriptor.
///
/// ```compile_fail,E0308
/// use ringbolt::{IoUring, ops::AsyncCancel};
///
/// let mut ring = IoUring::new(8).unwrap();
/// let file = std::fs::File::open("/dev/null").unwrap();
/// ring.submission().push_safe(AsyncCancel::of_file(&file).sqe(1)).unwrap();
/// ```
#[doc(alias = "IORING_OP_ASYNC_CANCEL")]
#[doc(alias = "IORING_ASYNC_CANCEL_FD")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_cancel_fd")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct CancelFile(AsyncCancel);

impl AsyncCancel {
    /// Cancels the operation that was submitted with `user_data`.
    #[inline(always)]
    pub const fn of_user_data(user_data: u64) -> Self {
        let mut sqe = on_none(Opcode::ASYNC_CANCEL);
        sqe.set_addr_raw(user_data);
        Self(sqe)
    }

    /// Cancels an operation on `file`. `IORING_ASYNC_CANCEL_FD`, since Linux 5.19.
    ///
    /// Its entry is pushed unsafely: see [`CancelFile`].
    ///
    /// What counts is the open file that the descriptor stands for when the entry is carried out:
    /// operations on a file whose descriptor has been closed are not found any more by it.
    #[inline(always)]
    pub fn of_file(file: impl IntoFd) -> CancelFile {
        Self::of_target(Target::Fd(file.into_fd()))
    }

    /// Cancels an operation on `target`: as [`of_file`](Self::of_file) on a descriptor, as
    /// [`of_fixed`](Self::of_fixed) on a slot.
    #[inline(always)]
    pub const fn of_target(target: Target) -> CancelFile {
        let mut sqe = on_none(Opcode::ASYNC_CANCEL);
        match target {
            Target::Fd(fd) => {
                sqe.set_fd(fd);
                CancelFile(Self(sqe).flags(CancelFlags::FD))
            }
            Target::Fixed(slot) => CancelFile(Self::of_fixed(slot)),
        }
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

    /// Cancels everything in flight that can be cancelled. `IORING_ASYNC_CANCEL_ANY`, since Linux
    /// 5.19.
    #[inline(always)]
    pub const fn any() -> Self {
        Self(on_none(Opcode::ASYNC_CANCEL)).flags(CancelFlags::ANY)
    }

    /// Matches only operations with this opcode. `IORING_ASYNC_CANCEL_OP`, since Linux 6.6.
    ///
    /// `user_data` is then no longer matched unless
    /// [`flags`](Self::flags) adds [`CancelFlags::USERDATA`]. To cancel by opcode alone, use
    /// [`of_opcode`](Self::of_opcode): the kernel refuses it together with [`any`](Self::any).
    #[inline(always)]
    pub const fn opcode(mut self, opcode: Opcode) -> Self {
        self.0.set_len(opcode.as_raw() as u32);
        self.flags(CancelFlags::OP)
    }

    /// Cancels all that match, not only the first. `IORING_ASYNC_CANCEL_ALL`, since Linux 5.19.
    #[inline(always)]
    pub const fn all(self) -> Self {
        self.flags(CancelFlags::ALL)
    }

    /// Adds `IORING_ASYNC_CANCEL_` flags.
    #[inline(always)]
    pub const fn flags(mut self, flags: CancelFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

impl CancelFile {
    /// Matches only operations with this opcode. See [`AsyncCancel::opcode`].
    #[inline(always)]
    pub const fn opcode(self, opcode: Opcode) -> Self {
        Self(self.0.opcode(opcode))
    }

    /// Cancels all that match, not only the first. See [`AsyncCancel::all`].
    #[inline(always)]
    pub const fn all(self) -> Self {
        Self(self.0.all())
    }

    /// Adds `IORING_ASYNC_CANCEL_` flags.
    #[inline(always)]
    pub const fn flags(self, flags: CancelFlags) -> Self {
        Self(self.0.flags(flags))
    }

    /// The entry, with the `user_data` of its completion. See [`CancelFile`] for what must hold
    /// when it is submitted.
    #[must_use = "an entry does nothing before it is pushed"]
    #[inline(always)]
    pub const fn sqe(self, user_data: u64) -> Sqe {
        self.0.0.with_user_data(user_data)
    }
}

sqe!(AsyncCancel => SafeSqe, SafeSqe::new);
