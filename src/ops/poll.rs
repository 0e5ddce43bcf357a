//! Waiting for readiness.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use rustix::event::epoll::EventFlags;

use crate::entry::{SafeSqe, Sqe};
use crate::sys::{Opcode, PollFlags};

use super::{IntoTarget, Lent, On, Pushed, Target, multi, on, on_none, op, sqe};

/// Waits until `target` is ready.
///
/// `IORING_OP_POLL_ADD`, like [`poll(2)`] on one descriptor. Since Linux 5.1. The events are
/// those of [`epoll_ctl(2)`], which have the numbers of poll's; beyond 16 bits since Linux 5.9
/// ([`Features::POLL_32BITS`](crate::sys::Features::POLL_32BITS)). Errors and hang-ups are
/// always waited for.
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
///
/// # Result
///
/// The events that are there, as the bits of [`EventFlags`].
///
/// # Errors
///
/// `EBADF` if there is no such file, `ECANCELED` if removed, cancelled or timed out.
///
/// [`poll(2)`]: https://man7.org/linux/man-pages/man2/poll.2.html
/// [`epoll_ctl(2)`]: https://man7.org/linux/man-pages/man2/epoll_ctl.2.html
#[doc(alias = "IORING_OP_POLL_ADD")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_poll_add")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct PollAdd<E = Sqe>(Sqe, PhantomData<E>);

/// Removes a [`PollAdd`], by its `user_data`.
///
/// `IORING_OP_POLL_REMOVE`. Since Linux 5.1. Names no memory: it is pushed safely. The poll
/// completes with `ECANCELED`.
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// `ENOENT` if there is no such poll, `EALREADY` if it is completing.
#[doc(alias = "IORING_OP_POLL_REMOVE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_poll_remove")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct PollRemove(Sqe);

/// Changes a [`PollAdd`] that is in flight, by its `user_data`.
///
/// `IORING_OP_POLL_REMOVE` with `IORING_POLL_UPDATE_` flags. Since Linux 5.13. Names no memory: it
/// is pushed safely.
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// `ENOENT` if there is no such poll, `EALREADY` if it is completing, `EINVAL` if nothing is
/// changed.
#[doc(alias = "IORING_OP_POLL_REMOVE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_poll_update")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct PollUpdate(Sqe);

/// The events where the kernel wants them. It once had 16 bits here, and keeps them where they
/// were: on big-endian machines the halves change places.
#[inline(always)]
const fn poll_events(events: EventFlags) -> u32 {
    if cfg!(target_endian = "big") { events.bits().rotate_left(16) } else { events.bits() }
}

impl PollAdd {
    /// Waits until one of `events` is there.
    #[inline(always)]
    pub fn new<F: IntoTarget>(target: F, events: EventFlags) -> PollAdd<F::Entry> {
        PollAdd(poll(target.into_target(), events), PhantomData)
    }
}

/// An entry that waits until one of `events` is there.
#[inline(always)]
const fn poll(target: Target, events: EventFlags) -> Sqe {
    let mut sqe = on(Opcode::POLL_ADD, target);
    sqe.set_op_flags(poll_events(events));
    sqe
}

/// The entry goes on after the first event.
#[inline(always)]
const fn go_on(mut sqe: Sqe) -> Sqe {
    sqe.set_len(sqe.len() | PollFlags::ADD_MULTI.bits());
    sqe
}

impl<'a> PollAdd<Lent<'a>> {
    /// Waits until one of `events` is there, for a job of the [safe front](crate::jobs):
    /// [`op`](Self::op) waits once, [`multi`](Self::multi) goes on as
    /// [`multishot`](PollAdd::multishot).
    ///
    /// ```
    /// use std::io::Write as _;
    /// use ringbolt::jobs::SafeRing;
    /// use ringbolt::ops::PollAdd;
    /// use ringbolt::rustix::event::epoll::EventFlags;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (reader, mut writer) = std::io::pipe()?;
    /// let mut jobs = SafeRing::new(8)?.into_jobs(1);
    /// jobs.start(reader, |reader| PollAdd::lent(&*reader, EventFlags::IN).op())?;
    /// writer.write_all(b"!")?;
    /// let event = jobs.wait_next()?.ok_or("no event")?;
    /// assert!(EventFlags::from_bits_retain(event.result()?).contains(EventFlags::IN));
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn lent(target: impl Into<On<'a>>, events: EventFlags) -> Self {
        Self(poll(target.into().target(), events), PhantomData)
    }
}

impl<E: Pushed> PollAdd<E> {
    /// Goes on after the first event: each completion but the last has
    /// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE). `IORING_POLL_ADD_MULTI`, since Linux
    /// 5.13.
    ///
    /// It is edge-triggered: a completion comes when something new happens, and none for data that
    /// is left from before. Read until there is nothing more (`EAGAIN`, or less than there was room
    /// for), then wait for the next completion. [`PollFlags::ADD_LEVEL`] does not change that: the
    /// kernel refuses it with `EINVAL`.
    ///
    /// The kernel ends it when a completion finds the completion queue full: the completion then
    /// comes in late, without `MORE`, and the poll has to be submitted again.
    /// [`Sqe::skip_success`] is refused with `EINVAL`.
    #[inline(always)]
    #[doc(alias("io_uring_prep_poll_multishot", "IORING_POLL_ADD_MULTI"))]
    pub const fn multishot(self) -> Self {
        self.flags(PollFlags::ADD_MULTI)
    }

    /// Adds `IORING_POLL_` flags; [`PollFlags::ADD_LEVEL`] is refused with `EINVAL`.
    #[inline(always)]
    pub const fn flags(mut self, flags: PollFlags) -> Self {
        self.0.set_len(self.0.len() | flags.bits());
        self
    }
}

impl PollRemove {
    /// Removes the poll that was submitted with `user_data`.
    #[inline(always)]
    pub const fn new(user_data: u64) -> Self {
        let mut sqe = on_none(Opcode::POLL_REMOVE);
        sqe.set_addr_raw(user_data);
        Self(sqe)
    }
}

impl PollUpdate {
    /// Changes the poll that was submitted with `user_data`.
    #[inline(always)]
    pub const fn new(user_data: u64) -> Self {
        let mut sqe = on_none(Opcode::POLL_REMOVE);
        sqe.set_addr_raw(user_data);
        Self(sqe)
    }

    /// Has it wait for `events` from now on. `IORING_POLL_UPDATE_EVENTS`.
    #[inline(always)]
    pub const fn events(mut self, events: EventFlags) -> Self {
        self.0.set_op_flags(poll_events(events));
        self.flags(PollFlags::UPDATE_EVENTS)
    }

    /// Has it complete with another `user_data` from now on. `IORING_POLL_UPDATE_USER_DATA`.
    #[inline(always)]
    pub const fn user_data(mut self, user_data: u64) -> Self {
        self.0.set_off(user_data);
        self.flags(PollFlags::UPDATE_USER_DATA)
    }

    /// Adds `IORING_POLL_` flags: [`PollFlags::ADD_MULTI`] keeps a multishot one going.
    #[inline(always)]
    pub const fn flags(mut self, flags: PollFlags) -> Self {
        self.0.set_len(self.0.len() | flags.bits());
        self
    }
}

sqe!(either: PollAdd);
op!(PollAdd: Nothing);
multi!(PollAdd<Lent<'a>>: Nothing, go_on);
sqe!(PollRemove, PollUpdate => SafeSqe, SafeSqe::new);
