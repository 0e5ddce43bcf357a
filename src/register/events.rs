//! An eventfd that is signalled on completions, and completions posted to a ring from outside.

use rustix::fd::{AsFd, AsRawFd};

use crate::entry::Sqe;
use crate::ops::MsgRing;
use crate::sys::RegisterOp;

use super::{RegisterError, Registrar, register};

/// Posts a completion to a ring, without needing a ring to send from.
/// `IORING_REGISTER_SEND_MSG_RING`, since Linux 6.13.
///
/// ```
/// use ringbolt::{IoUring, ops::MsgRing, register::send_message, rustix::io::Errno};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// // SAFETY: the completion is known to be a message.
/// match unsafe { send_message(MsgRing::new(&ring, 5, 99)) } {
///     Err(error) if error.errno == Errno::INVAL => return Ok(()), // Before Linux 6.13.
///     result => result?,
/// }
/// let message = ring.completion().pop().ok_or("no message")?;
/// assert_eq!((message.user_data(), message.result()), (99, Ok(5)));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As for [`MsgRing`] with a descriptor; also `EINVAL` for a fixed slot, and before Linux 6.13.
///
/// # Safety
///
/// The code that reaps the receiving ring must recognise the completion as a message. It must not
/// mistake it for the completion of an operation, and so conclude that the operation no longer uses
/// its memory.
#[doc(alias("io_uring_register_sync_msg", "IORING_REGISTER_SEND_MSG_RING"))]
pub unsafe fn send_message(message: MsgRing) -> Result<(), RegisterError> {
    let op = RegisterOp::REGISTER_SEND_MSG_RING;
    let mut sqe: Sqe = message.sqe(0);
    let arg = core::ptr::from_mut(sqe.as_raw_mut()).cast();
    // SAFETY: one entry, which the kernel only reads, during the call; it names no memory.
    unsafe { register(-1, op, arg, 1) }.map_err(|errno| RegisterError { op, errno })?;
    Ok(())
}

impl Registrar<'_> {
    /// Registers an eventfd to which the kernel adds 1 when completions are posted.
    /// `IORING_REGISTER_EVENTFD`, since Linux 5.2.
    ///
    /// Completions that are posted together, by one submission for example, add 1 in total.
    ///
    /// The kernel holds its own reference to the file.
    /// [`set_eventfd_disabled`](crate::CompletionQueue::set_eventfd_disabled) turns notifications
    /// off and on without a system call.
    ///
    /// On a ring with DEFER_TASKRUN, such as one from [`IoUring::local`](crate::IoUring::local),
    /// the eventfd is signalled when there is work that will post completions: there may be nothing
    /// to pop yet. It is signalled once, and not again before that work has run. So each time the
    /// eventfd is readable, call [`get_events`](crate::CompletionQueue::get_events), then pop until
    /// the queue is empty. Otherwise no further completion is ever signalled. The signal may come
    /// some milliseconds after the work is there, which was seen on Linux 6.12 and from 7.1 on:
    /// wait for it, and do not read the eventfd once.
    ///
    /// **On Linux 6.12.118, which Debian 13 has, only the first work after the registration is
    /// signalled** on a ring with DEFER_TASKRUN: a loop that waits for the eventfd waits for ever.
    /// Other point releases may do the same. Where a loop waits for an eventfd, either use a ring
    /// without DEFER_TASKRUN, which is signalled there each time, or bound each wait by a timeout.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::Nop};
    /// use ringbolt::rustix::{event::{EventfdFlags, eventfd}, io::read};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ring = IoUring::new(8)?;
    /// let fd = eventfd(0, EventfdFlags::CLOEXEC)?;
    /// ring.registrar().register_eventfd(&fd)?;
    /// ring.submission().push_safe(Nop::new().sqe(1))?;
    /// ring.submit()?;
    /// let mut count = [0; 8];
    /// read(&fd, &mut count)?;
    /// assert_eq!(u64::from_ne_bytes(count), 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` if `eventfd` is not an eventfd, `EBUSY` if one is registered already.
    #[doc(alias("io_uring_register_eventfd", "IORING_REGISTER_EVENTFD"))]
    pub fn register_eventfd(&self, eventfd: impl AsFd) -> Result<(), RegisterError> {
        self.eventfd(RegisterOp::REGISTER_EVENTFD, eventfd)
    }

    /// Registers an eventfd that is signalled only for completions that worker threads post.
    /// `IORING_REGISTER_EVENTFD_ASYNC`, since Linux 5.6.
    ///
    /// It is not signalled for operations that the submitting thread itself completes: neither
    /// immediately, during the submission, nor later, when a poll or a read that waited for data
    /// becomes ready.
    ///
    /// ```
    /// use ringbolt::IoUring;
    /// use ringbolt::rustix::event::{EventfdFlags, eventfd};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let fd = eventfd(0, EventfdFlags::CLOEXEC)?;
    /// ring.registrar().register_eventfd_async(&fd)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`register_eventfd`](Self::register_eventfd).
    #[doc(alias("io_uring_register_eventfd_async", "IORING_REGISTER_EVENTFD_ASYNC"))]
    pub fn register_eventfd_async(&self, eventfd: impl AsFd) -> Result<(), RegisterError> {
        self.eventfd(RegisterOp::REGISTER_EVENTFD_ASYNC, eventfd)
    }

    /// Stops signalling the eventfd. `IORING_UNREGISTER_EVENTFD`, since Linux 5.2.
    ///
    /// ```
    /// use ringbolt::IoUring;
    /// use ringbolt::rustix::event::{EventfdFlags, eventfd};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().register_eventfd(eventfd(0, EventfdFlags::CLOEXEC)?)?;
    /// ring.registrar().unregister_eventfd()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `ENXIO` if no eventfd is registered.
    #[doc(alias("io_uring_unregister_eventfd", "IORING_UNREGISTER_EVENTFD"))]
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
