//! epoll sets, for programs that have one and a ring.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use rustix::event::epoll::Event;

use crate::entry::Sqe;
use crate::ops::target::fd_bits;
use crate::sys::{Opcode, SharedPtr};

use super::{IntoFd, IntoTarget, Lent, On, OnFd, Target, on, op, sqe};

/// Changes what an epoll set waits for.
///
/// `IORING_OP_EPOLL_CTL`, like [`epoll_ctl(2)`]. Since Linux 5.6. The event must stay until
/// taken.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::EpollCtl;
/// use ringbolt::rustix::event::epoll::{CreateFlags, Event, EventData, EventFlags, create};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::EPOLL_CTL) {
/// #     return Ok(());
/// # }
/// let set = create(CreateFlags::CLOEXEC)?;
/// let (reader, _writer) = ringbolt::rustix::pipe::pipe()?;
/// let event = Event { flags: EventFlags::IN, data: EventData::new_u64(7) };
/// let entry = EpollCtl::add(&set, &reader, &event).sqe(1);
/// // SAFETY: all three stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// # Ok(())
/// # }
/// ```
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
pub struct EpollCtl<E = Sqe>(Sqe, PhantomData<E>);

/// Waits for events of an epoll set.
///
/// `IORING_OP_EPOLL_WAIT`, like [`epoll_wait(2)`] without a timeout. Since Linux 6.15. The place
/// for events must stay, and not be touched, until the completion has been popped.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::EpollWait;
/// use ringbolt::rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::EPOLL_WAIT) {
/// #     return Ok(());
/// # }
/// let set = epoll::create(CreateFlags::CLOEXEC)?;
/// let (_reader, writer) = ringbolt::rustix::pipe::pipe()?;
/// epoll::add(&set, &writer, EventData::new_u64(7), EventFlags::OUT)?;
/// let nothing = Event { flags: EventFlags::empty(), data: EventData::new_u64(0) };
/// let mut events = [nothing; 4];
/// let entry = EpollWait::new(&set, events.as_mut_ptr(), 4).sqe(1);
/// // SAFETY: set and events stay until the completion is popped.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(1));
/// # let data = events[0].data;
/// assert_eq!(data.u64(), 7);
/// # Ok(())
/// # }
/// ```
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
pub struct EpollWait<E = Sqe>(Sqe, PhantomData<E>);

impl EpollCtl {
    /// Adds `file` to `set`, to wait for the events in `event`. `EPOLL_CTL_ADD`.
    #[inline(always)]
    pub fn add(set: impl IntoFd, file: impl IntoFd, event: *const Event) -> Self {
        Self(change(set, file, ADD, event), PhantomData)
    }

    /// Takes `file` out of `set`. `EPOLL_CTL_DEL`.
    #[inline(always)]
    pub fn delete(set: impl IntoFd, file: impl IntoFd) -> Self {
        Self(change(set, file, DELETE, core::ptr::null()), PhantomData)
    }

    /// Has `set` wait for something else on `file`. `EPOLL_CTL_MOD`.
    #[inline(always)]
    pub fn modify(set: impl IntoFd, file: impl IntoFd, event: *const Event) -> Self {
        Self(change(set, file, MOD, event), PhantomData)
    }
}

impl<'a> EpollCtl<Lent<'a>> {
    /// Adds `file` to `set`, to wait for the events in `event`, for a job of the
    /// [safe front](crate::jobs). `EPOLL_CTL_ADD`.
    #[inline(always)]
    pub fn add_lent(set: impl Into<OnFd<'a>>, file: impl Into<OnFd<'a>>, event: &'a Event) -> Self {
        let (set, file) = (set.into().target(), file.into().target());
        Self(change(set, file, ADD, event), PhantomData)
    }

    /// Takes `file` out of `set`, for a job of the [safe front](crate::jobs). `EPOLL_CTL_DEL`.
    #[inline(always)]
    pub fn delete_lent(set: impl Into<OnFd<'a>>, file: impl Into<OnFd<'a>>) -> Self {
        let (set, file) = (set.into().target(), file.into().target());
        Self(change(set, file, DELETE, core::ptr::null()), PhantomData)
    }

    /// Has `set` wait for something else on `file`, for a job of the [safe front](crate::jobs).
    /// `EPOLL_CTL_MOD`.
    #[inline(always)]
    pub fn modify_lent(
        set: impl Into<OnFd<'a>>,
        file: impl Into<OnFd<'a>>,
        event: &'a Event,
    ) -> Self {
        let (set, file) = (set.into().target(), file.into().target());
        Self(change(set, file, MOD, event), PhantomData)
    }
}

/// `EPOLL_CTL_ADD`.
const ADD: u32 = 1;
/// `EPOLL_CTL_DEL`.
const DELETE: u32 = 2;
/// `EPOLL_CTL_MOD`.
const MOD: u32 = 3;

/// An entry that changes what `set` waits for on `file`.
#[inline(always)]
fn change(set: impl IntoFd, file: impl IntoFd, operation: u32, event: *const Event) -> Sqe {
    let mut sqe = on(Opcode::EPOLL_CTL, Target::Fd(set.into_fd()));
    sqe.set_off(u64::from(fd_bits(file.into_fd())));
    sqe.set_addr(SharedPtr::new(event));
    sqe.set_len(operation);
    sqe
}

impl EpollWait {
    /// Waits for events of `set` and stores up to `count` of them at `events`.
    #[inline(always)]
    pub fn new(set: impl IntoTarget, events: *mut Event, count: u32) -> Self {
        Self(wait(set.into_target(), events, count), PhantomData)
    }
}

impl<'a> EpollWait<Lent<'a>> {
    /// Waits for events of `set` and stores as many of them in `events` as there is room for, for a
    /// job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(set: impl Into<On<'a>>, events: &'a mut [Event]) -> Self {
        // More than the field holds are too many for the kernel in any case.
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        Self(wait(set.into().target(), events.as_mut_ptr(), count), PhantomData)
    }
}

/// An entry that waits for events of `set`.
#[inline(always)]
const fn wait(set: Target, events: *mut Event, count: u32) -> Sqe {
    let mut sqe = on(Opcode::EPOLL_WAIT, set);
    sqe.set_addr(SharedPtr::from_mut(events));
    sqe.set_len(count);
    sqe
}

sqe!(EpollCtl, EpollWait);
op!(EpollCtl: Nothing, EpollWait: Nothing);
