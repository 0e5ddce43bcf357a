//! Cancelling operations and waiting until they have ended.

use core::marker::PhantomData;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::sys::{__kernel_timespec, CancelFlags, Opcode, RegisterOp, io_uring_sync_cancel_reg};

use crate::ops::target::Fixed;
use crate::ops::time::Timespec;

use super::{RegisterError, Registrar};

/// Which operations to cancel, for [`Registrar::cancel`].
///
/// It can match in the same ways as [`AsyncCancel`](crate::ops::AsyncCancel). It borrows a file for
/// `'fd`, until the call, so that the descriptor cannot be closed and reused for another file
/// before that:
///
/// ```compile_fail,E0505
/// use ringbolt::register::CancelWhat;
///
/// let ring = ringbolt::IoUring::new(8).unwrap();
/// let file = std::fs::File::open("/dev/null").unwrap();
/// let what = CancelWhat::file(&file);
/// drop(file);
/// ring.registrar().cancel(what, None);
/// ```
#[doc(alias = "io_uring_sync_cancel_reg")]
#[derive(Clone, Copy, Debug)]
pub struct CancelWhat<'fd> {
    key: io_uring_sync_cancel_reg,
    file: PhantomData<BorrowedFd<'fd>>,
}

/// No time limit.
const FOR_EVER: __kernel_timespec = __kernel_timespec { tv_sec: -1, tv_nsec: -1 };

impl<'fd> CancelWhat<'fd> {
    const NOTHING: Self = Self {
        key: io_uring_sync_cancel_reg {
            fd: -1,
            timeout: FOR_EVER,
            ..io_uring_sync_cancel_reg::ZEROED
        },
        file: PhantomData,
    };

    /// Matches the operation that was submitted with `user_data`.
    pub const fn user_data(user_data: u64) -> Self {
        let mut what = Self::NOTHING;
        what.key.addr = user_data;
        what
    }

    /// Matches operations on `file`.
    pub fn file(file: &'fd impl AsFd) -> Self {
        let mut what = Self::NOTHING;
        what.key.fd = file.as_fd().as_raw_fd();
        what.flags(CancelFlags::FD)
    }

    /// Matches operations on a fixed slot.
    pub const fn fixed(slot: Fixed) -> Self {
        let mut what = Self::NOTHING;
        // The field is signed, the slot is not: the bits are the same.
        what.key.fd = i32::from_ne_bytes(slot.0.to_ne_bytes());
        what.flags(CancelFlags::FD.union(CancelFlags::FD_FIXED))
    }

    /// Matches everything in flight that can be cancelled.
    pub const fn any() -> Self {
        Self::NOTHING.flags(CancelFlags::ANY)
    }

    /// Matches only operations with this opcode. Since Linux 6.6.
    ///
    /// `user_data` is then no longer matched unless [`flags`](Self::flags) adds
    /// [`CancelFlags::USERDATA`].
    #[must_use]
    pub const fn opcode(mut self, opcode: Opcode) -> Self {
        self.key.opcode = opcode;
        if self.key.flags.contains(CancelFlags::ANY) {
            // With `ANY` the kernel would ignore the opcode and cancel all operations.
            self.key.flags = self.key.flags.difference(CancelFlags::ANY).union(CancelFlags::ALL);
        }
        self.flags(CancelFlags::OP)
    }

    /// Cancels all operations that match, not only the first.
    #[must_use]
    pub const fn all(self) -> Self {
        self.flags(CancelFlags::ALL)
    }

    /// Adds `IORING_ASYNC_CANCEL_` flags.
    #[must_use]
    pub const fn flags(mut self, flags: CancelFlags) -> Self {
        self.key.flags = self.key.flags.union(flags);
        self
    }
}

impl Registrar<'_> {
    /// Cancels operations in flight, and waits until they have ended.
    /// `IORING_REGISTER_SYNC_CANCEL`, since Linux 6.0.
    ///
    /// It waits at most for `timeout`, or without a limit if that is `None`.
    ///
    /// Returns how many operations were cancelled with [`any`](CancelWhat::any) or
    /// [`all`](CancelWhat::all), otherwise 0. Cancelled operations still post their completions,
    /// with `ECANCELED` or with their result.
    ///
    /// An operation that runs on a worker thread is interrupted. With `any` or `all` it is neither
    /// counted nor waited for. A read or write that a device is executing cannot be cancelled: it
    /// is neither found nor waited for, and continues to its end.
    ///
    /// **Operations may still be in flight after this has returned**, even if it returned `ENOENT`,
    /// or 0 for [`any`](CancelWhat::any). Whatever an operation refers to must stay valid until its
    /// completion has been popped.
    ///
    /// Entries that were pushed and not yet submitted are not found. On a ring with SQPOLL this
    /// includes entries that were published and that the polling thread has not consumed yet. They
    /// start later.
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EBADF` | the fixed slot is empty or does not exist, or the descriptor is not open |
    /// | `EINTR` | a signal arrived during the wait |
    /// | `EINVAL` | a way to match that the kernel does not know |
    /// | `ENOENT` | nothing that can be cancelled matched; never with `any` or `all` |
    /// | `ETIME` | the timeout expired; the operation may still end |
    #[doc(alias("io_uring_register_sync_cancel", "IORING_REGISTER_SYNC_CANCEL"))]
    pub fn cancel(
        &self,
        what: CancelWhat<'_>,
        timeout: Option<Timespec>,
    ) -> Result<u32, RegisterError> {
        let mut what = what.key;
        what.timeout = timeout.map_or(FOR_EVER, |timeout| *timeout.as_raw());
        let arg = (&raw mut what).cast();
        // SAFETY: one struct, which the kernel only reads, during the call.
        unsafe { self.ask(RegisterOp::REGISTER_SYNC_CANCEL, arg, 1) }
    }
}
