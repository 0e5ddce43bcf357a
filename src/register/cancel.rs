//! Cancelling, and waiting until it is done.

use core::marker::PhantomData;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd};

use crate::sys::{__kernel_timespec, CancelFlags, Opcode, RegisterOp, io_uring_sync_cancel_reg};

use crate::target::Fixed;
use crate::time::Timespec;

use super::{RegisterError, Registrar};

/// Which operations to cancel, for [`Registrar::cancel`].
///
/// The ways to match are those of [`AsyncCancel`](crate::ops::AsyncCancel). A file is borrowed for
/// `'fd`, until the call, so that its descriptor cannot become another file's before that:
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

    /// The operation that was submitted with `user_data`.
    pub const fn user_data(user_data: u64) -> Self {
        let mut what = Self::NOTHING;
        what.key.addr = user_data;
        what
    }

    /// An operation on `file`.
    pub fn file(file: &'fd impl AsFd) -> Self {
        let mut what = Self::NOTHING;
        what.key.fd = file.as_fd().as_raw_fd();
        what.flags(CancelFlags::FD)
    }

    /// An operation on a fixed slot.
    pub const fn fixed(slot: Fixed) -> Self {
        let mut what = Self::NOTHING;
        // The field is signed, the slot is not: the bits are the same.
        what.key.fd = i32::from_ne_bytes(slot.0.to_ne_bytes());
        what.flags(CancelFlags::FD.union(CancelFlags::FD_FIXED))
    }

    /// Everything in flight that can be cancelled.
    pub const fn any() -> Self {
        Self::NOTHING.flags(CancelFlags::ANY)
    }

    /// Only operations with this opcode. Since Linux 6.6.
    ///
    /// `user_data` is then no longer matched unless [`flags`](Self::flags) adds
    /// [`CancelFlags::USERDATA`].
    #[must_use]
    pub const fn opcode(mut self, opcode: Opcode) -> Self {
        self.key.opcode = opcode;
        if self.key.flags.contains(CancelFlags::ANY) {
            // The kernel would look at nothing else, and cancel the others, too.
            self.key.flags = self.key.flags.difference(CancelFlags::ANY).union(CancelFlags::ALL);
        }
        self.flags(CancelFlags::OP)
    }

    /// All that match, not only the first.
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
    /// Cancels operations in flight, and waits until they have ended: for `timeout` at the most, or
    /// for as long as it takes. `IORING_REGISTER_SYNC_CANCEL`, since Linux 6.0.
    ///
    /// Returns 0; with [`any`](CancelWhat::any) or [`all`](CancelWhat::all), how many were
    /// cancelled. They complete all the same, with `ECANCELED` or with what they came to.
    ///
    /// What a worker thread carries out is interrupted. With `any` or `all` it is neither counted
    /// nor waited for. A read or write that a device is carrying out cannot be cancelled: it is
    /// neither found nor waited for, and goes on to its end.
    ///
    /// **That this has returned does not mean that nothing is in flight**, not even with `ENOENT`,
    /// and not with 0 for [`any`](CancelWhat::any): what an operation names must stay until its
    /// completion has been popped. Entries that have been pushed and not been taken by the kernel
    /// are not found; on a ring with SQPOLL, those are also the entries that have been published
    /// and that the polling thread has not taken yet. They start later.
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EBADF` | an empty fixed slot, or none; a descriptor that is not open |
    /// | `EINTR` | a signal came while waiting |
    /// | `EINVAL` | a way to match that the kernel does not know |
    /// | `ENOENT` | nothing that could be cancelled matched, with neither `any` nor `all` |
    /// | `ETIME` | the time was up; the operation may end all the same |
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
