//! epoll sets, for programs that have one and a ring.
#![forbid(unsafe_code)]

use rustix::event::epoll::Event;

use crate::entry::Sqe;
use crate::sys::{Opcode, SharedPtr};
use crate::target::fd_bits;

use super::{IntoFd, IntoTarget, Target, on, sqe};

/// Changes what an epoll set waits for.
///
/// `IORING_OP_EPOLL_CTL`, like [`epoll_ctl(2)`]. Since Linux 5.6. The event must stay until
/// taken.
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// `EBADF`, `EEXIST`, `EINVAL`, `ELOOP`, `ENOENT`, `ENOSPC`, `EPERM` for a file that cannot be
/// waited for.
///
/// [`epoll_ctl(2)`]: https://man7.org/linux/man-pages/man2/epoll_ctl.2.html
#[doc(alias = "IORING_OP_EPOLL_CTL")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_epoll_ctl")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct EpollCtl(Sqe);

/// Waits for events of an epoll set.
///
/// `IORING_OP_EPOLL_WAIT`, like [`epoll_wait(2)`] without a timeout. Since Linux 6.15. The place
/// for events must stay, and not be touched, until the completion has been popped.
///
/// # Result
///
/// How many events were stored.
///
/// # Errors
///
/// `EBADF`, `ECANCELED`, `EINVAL` if it is no epoll set or there is no room for an event.
///
/// [`epoll_wait(2)`]: https://man7.org/linux/man-pages/man2/epoll_wait.2.html
#[doc(alias = "IORING_OP_EPOLL_WAIT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_epoll_wait")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct EpollWait(Sqe);

impl EpollCtl {
    /// Adds `file` to `set`, to wait for what `event` says. `EPOLL_CTL_ADD`.
    #[inline(always)]
    pub fn add(set: impl IntoFd, file: impl IntoFd, event: *const Event) -> Self {
        Self::new(set, file, 1, event)
    }

    /// Takes `file` out of `set`. `EPOLL_CTL_DEL`.
    #[inline(always)]
    pub fn delete(set: impl IntoFd, file: impl IntoFd) -> Self {
        Self::new(set, file, 2, core::ptr::null())
    }

    /// Has `set` wait for something else on `file`. `EPOLL_CTL_MOD`.
    #[inline(always)]
    pub fn modify(set: impl IntoFd, file: impl IntoFd, event: *const Event) -> Self {
        Self::new(set, file, 3, event)
    }

    #[inline(always)]
    fn new(set: impl IntoFd, file: impl IntoFd, operation: u32, event: *const Event) -> Self {
        let mut sqe = on(Opcode::EPOLL_CTL, Target::Fd(set.into_fd()));
        sqe.set_off(u64::from(fd_bits(file.into_fd())));
        sqe.set_addr(SharedPtr::new(event));
        sqe.set_len(operation);
        Self(sqe)
    }
}

impl EpollWait {
    /// Waits for events of `set` and stores up to `count` of them at `events`.
    #[inline(always)]
    pub fn new(set: impl IntoTarget, events: *mut Event, count: u32) -> Self {
        let mut sqe = on(Opcode::EPOLL_WAIT, set.into_target());
        sqe.set_addr(SharedPtr::from_mut(events));
        sqe.set_len(count);
        Self(sqe)
    }
}

sqe!(EpollCtl, EpollWait);
