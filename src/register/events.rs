//! An eventfd that is told of completions, and completions told to a ring from outside.

use rustix::fd::{AsFd, AsRawFd};

use crate::entry::Sqe;
use crate::ops::MsgRing;
use crate::sys::RegisterOp;

use super::{RegisterError, Registrar, register};

/// Posts a completion on a ring without having one. `IORING_REGISTER_SEND_MSG_RING`, since Linux
/// 6.13.
///
/// # Errors
///
/// As [`MsgRing`], for a descriptor: `EINVAL` for a fixed slot, and before Linux 6.13.
///
/// # Safety
///
/// Whoever reaps the ring takes the completion for what it is: not for that of an operation which
/// then seems to have let go of its memory.
pub unsafe fn send_message(message: MsgRing) -> Result<(), RegisterError> {
    let op = RegisterOp::REGISTER_SEND_MSG_RING;
    let mut sqe: Sqe = message.sqe(0);
    let arg = core::ptr::from_mut(sqe.as_raw_mut()).cast();
    // SAFETY: one entry, which the kernel only reads, during the call; it names no memory.
    unsafe { register(-1, op, arg, 1) }.map_err(|errno| RegisterError { op, errno })?;
    Ok(())
}

impl Registrar<'_> {
    /// Adds 1 to `eventfd` when completions have come: once for those that come together, by one
    /// submission say. `IORING_REGISTER_EVENTFD`, since Linux 5.2.
    ///
    /// The kernel keeps the file open by itself. Notifications can be turned off and on without a
    /// system call: [`set_eventfd_disabled`](crate::CompletionQueue::set_eventfd_disabled).
    ///
    /// On a ring with DEFER_TASKRUN, [`IoUring::local`](crate::IoUring::local) say, the eventfd
    /// counts when there is work that will make completions, and there may be nothing to pop yet.
    /// It counts once, and not again before that work has been run: call
    /// [`get_events`](crate::CompletionQueue::get_events) each time the eventfd is readable, then
    /// pop until the queue is empty, or no further completion is ever reported.
    ///
    /// # Errors
    ///
    /// `EINVAL` if it is no eventfd, `EBUSY` if one is registered already.
    pub fn register_eventfd(&self, eventfd: impl AsFd) -> Result<(), RegisterError> {
        self.eventfd(RegisterOp::REGISTER_EVENTFD, eventfd)
    }

    /// The same, but only for completions that worker threads post.
    /// `IORING_REGISTER_EVENTFD_ASYNC`, since Linux 5.6.
    ///
    /// It is not told of what the thread itself completes: neither at once, while it submits, nor
    /// later, when a poll or a read that waited for data has become ready.
    ///
    /// # Errors
    ///
    /// As [`register_eventfd`](Self::register_eventfd).
    pub fn register_eventfd_async(&self, eventfd: impl AsFd) -> Result<(), RegisterError> {
        self.eventfd(RegisterOp::REGISTER_EVENTFD_ASYNC, eventfd)
    }

    /// Tells the eventfd nothing any more. `IORING_UNREGISTER_EVENTFD`, since Linux 5.2.
    ///
    /// # Errors
    ///
    /// `ENXIO` if none is registered.
    pub fn unregister_eventfd(&self) -> Result<(), RegisterError> {
        // SAFETY: the operation takes no argument.
        unsafe { self.ask(RegisterOp::UNREGISTER_EVENTFD, core::ptr::null_mut(), 0) }?;
        Ok(())
    }

    fn eventfd(&self, op: RegisterOp, eventfd: impl AsFd) -> Result<(), RegisterError> {
        let mut fd = eventfd.as_fd().as_raw_fd();
        let arg = (&raw mut fd).cast();
        // SAFETY: one descriptor, which the kernel only reads, during the call.
        unsafe { self.ask(op, arg, 1) }?;
        Ok(())
    }
}
