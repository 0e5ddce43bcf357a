//! Timeouts.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use crate::entry::{SafeSqe, Sqe};
use crate::sys::{Opcode, SharedPtr, TimeoutFlags};

use crate::ops::time::Timespec;

use super::{Lent, add_flags, multi, on_none, op, sqe};

/// Completes when some time has gone by, or when enough other operations have completed.
///
/// `IORING_OP_TIMEOUT`. Since Linux 5.4. The time is `CLOCK_MONOTONIC`'s unless a flag says
/// otherwise. The [`Timespec`] must stay until taken.
///
/// # Result
///
/// 0 if [`count`](Self::count) completions came first.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `ECANCELED` | removed or cancelled |
/// | `EFAULT` | the timespec is outside the address space |
/// | `EINVAL` | an invalid time, or flags that contradict each other |
/// | `ETIME` | the time has gone by: not a failure, see [`TimeoutFlags::ETIME_SUCCESS`] |
#[doc(alias = "IORING_OP_TIMEOUT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_timeout")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Timeout<E = Sqe>(Sqe, PhantomData<E>);

/// Cancels the entry before it in a chain if that has not completed in time.
///
/// `IORING_OP_LINK_TIMEOUT`. Since Linux 5.5. The entry before it is
/// [linked](Sqe::link) to this one. The [`Timespec`] must stay until taken.
///
/// # Result
///
/// Both complete: the entry with what it came to, or with `ECANCELED` (`EINTR` if it was
/// carried out by a worker); this one with an error either way.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EALREADY` | the time was up, and the entry is completing, or with a worker |
/// | `ECANCELED` | the entry completed in time |
/// | `EINVAL` | an invalid time, or no entry before this one |
/// | `ENOENT` | the time was up, and there was nothing to cancel: see below |
/// | `ETIME` | the time was up, and the entry was cancelled, or had just completed |
///
/// This completion ends nothing but the timeout. After `ENOENT`, `EALREADY` and `ETIME` alike, the
/// entry before it may still be in flight, and what it names must stay until its own completion:
/// `ENOENT` comes also for a read or write that a device is carrying out, which cannot be
/// cancelled and goes on. If that entry is [skipped on success](Sqe::skip_success), no completion
/// reports its end: link a further entry after the timeout, which starts only then.
#[doc(alias = "IORING_OP_LINK_TIMEOUT")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_link_timeout")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct LinkTimeout<E = Sqe>(Sqe, PhantomData<E>);

/// Removes a [`Timeout`], by its `user_data`.
///
/// `IORING_OP_TIMEOUT_REMOVE`. Since Linux 5.5. Names no memory: it is pushed safely. The
/// timeout completes with `ECANCELED`.
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// `ENOENT` if there is no such timeout, `EALREADY` if it is completing.
#[doc(alias = "IORING_OP_TIMEOUT_REMOVE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_timeout_remove")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct TimeoutRemove(Sqe);

/// Gives a [`Timeout`] or a [`LinkTimeout`] in flight another time, by its `user_data`.
///
/// `IORING_OP_TIMEOUT_REMOVE` with `IORING_TIMEOUT_UPDATE` or `IORING_LINK_TIMEOUT_UPDATE`. Since
/// Linux 5.11, of link timeouts since 5.15. The [`Timespec`] must stay until taken.
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// `ENOENT` if there is no such timeout, `EALREADY` if it is completing, `EINVAL` for an
/// invalid time.
#[doc(alias = "IORING_OP_TIMEOUT_REMOVE")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_timeout_update")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct TimeoutUpdate(Sqe);

#[inline(always)]
const fn timed(opcode: Opcode, timespec: *const Timespec) -> Sqe {
    let mut sqe = on_none(opcode);
    sqe.set_addr(SharedPtr::new(timespec));
    // One timespec; the kernel insists.
    sqe.set_len(1);
    sqe
}

impl Timeout {
    /// Completes when the time at `timespec` has gone by.
    #[inline(always)]
    pub const fn new(timespec: *const Timespec) -> Self {
        Self(timed(Opcode::TIMEOUT, timespec), PhantomData)
    }
}

/// The entry completes once.
#[inline(always)]
const fn once(mut sqe: Sqe) -> Sqe {
    sqe.set_op_flags(sqe.op_flags() & !TimeoutFlags::MULTISHOT.bits());
    sqe
}

/// The entry goes on after the first completion.
#[inline(always)]
const fn go_on(mut sqe: Sqe) -> Sqe {
    add_flags(&mut sqe, TimeoutFlags::MULTISHOT.bits());
    sqe
}

impl<'a> Timeout<Lent<'a>> {
    /// Completes when `time` has gone by, for a job of the [safe front](crate::jobs):
    /// [`op`](Self::op) completes once, [`multi`](Self::multi) again and again, since Linux 6.4.
    ///
    /// ```
    /// use core::time::Duration;
    /// use ringbolt::Timespec;
    /// use ringbolt::jobs::SafeRing;
    /// use ringbolt::ops::Timeout;
    /// use ringbolt::rustix::io::Errno;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut jobs = SafeRing::new(8)?.into_jobs(1);
    /// let time = Timespec::from(Duration::from_millis(2));
    /// jobs.start(time, |time| Timeout::lent(time).op())?;
    /// assert_eq!(jobs.wait_next()?.ok_or("no event")?.result(), Err(Errno::TIME));
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub const fn lent(time: &'a Timespec) -> Self {
        Self(timed(Opcode::TIMEOUT, time), PhantomData)
    }
}

impl<E> Timeout<E> {
    /// Completes when `count` other operations submitted after it have, too; 0 for never. With
    /// [`TimeoutFlags::MULTISHOT`], how often to fire; 0 for without end. A multishot timeout also
    /// ends when a completion finds the completion queue full: that one is without
    /// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE).
    #[inline(always)]
    pub const fn count(mut self, count: u32) -> Self {
        self.0.set_off(count as u64);
        self
    }

    /// Adds `IORING_TIMEOUT_` flags: an instant instead of a span, another clock, and so on.
    #[inline(always)]
    pub const fn flags(mut self, flags: TimeoutFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

impl LinkTimeout {
    /// Gives the entry before it the time at `timespec`.
    #[inline(always)]
    pub const fn new(timespec: *const Timespec) -> Self {
        Self(timed(Opcode::LINK_TIMEOUT, timespec), PhantomData)
    }
}

impl<'a> LinkTimeout<Lent<'a>> {
    /// Gives the entry before it `time`, for a chain of the [safe front](crate::jobs).
    ///
    /// ```
    /// use core::time::Duration;
    /// use ringbolt::Timespec;
    /// use ringbolt::jobs::SafeRing;
    /// use ringbolt::ops::{LinkTimeout, Read};
    /// use ringbolt::rustix::io::Errno;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (reader, _writer) = std::io::pipe()?;
    /// let patience = Timespec::from(Duration::from_millis(2));
    /// let mut jobs = SafeRing::new(8)?.into_jobs(1);
    /// jobs.start_chain((reader, [0; 80], patience), |(reader, buf, patience)| {
    ///     [Read::lent(&*reader, buf).op(), LinkTimeout::lent(patience).op()]
    /// })?;
    /// let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
    /// assert_eq!((done.result_of(0), done.result_of(1)), (Err(Errno::CANCELED),
    /// Err(Errno::TIME)));
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub const fn lent(time: &'a Timespec) -> Self {
        Self(timed(Opcode::LINK_TIMEOUT, time), PhantomData)
    }
}

impl<E> LinkTimeout<E> {
    /// Adds `IORING_TIMEOUT_` flags: an instant instead of a span, another clock.
    #[inline(always)]
    pub const fn flags(mut self, flags: TimeoutFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

impl TimeoutRemove {
    /// Removes the timeout that was submitted with `user_data`.
    #[inline(always)]
    pub const fn new(user_data: u64) -> Self {
        let mut sqe = on_none(Opcode::TIMEOUT_REMOVE);
        sqe.set_addr_raw(user_data);
        Self(sqe)
    }
}

impl TimeoutUpdate {
    /// Gives the timeout that was submitted with `user_data` the time at `timespec`.
    #[inline(always)]
    pub const fn new(user_data: u64, timespec: *const Timespec) -> Self {
        Self::either(user_data, timespec, TimeoutFlags::UPDATE)
    }

    /// The same for a link timeout.
    #[inline(always)]
    pub const fn link(user_data: u64, timespec: *const Timespec) -> Self {
        Self::either(user_data, timespec, TimeoutFlags::LINK_TIMEOUT_UPDATE)
    }

    #[inline(always)]
    const fn either(user_data: u64, timespec: *const Timespec, which: TimeoutFlags) -> Self {
        let mut sqe = on_none(Opcode::TIMEOUT_REMOVE);
        sqe.set_addr_raw(user_data);
        sqe.set_addr2(SharedPtr::new(timespec));
        Self(sqe).flags(which.union(TimeoutFlags::UPDATE))
    }

    /// Adds `IORING_TIMEOUT_` flags: an instant instead of a span, another clock.
    #[inline(always)]
    pub const fn flags(mut self, flags: TimeoutFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

sqe!(Timeout, LinkTimeout, TimeoutUpdate);
op!(impl Timeout, Lent<'a>, Nothing, once);
op!(LinkTimeout: Nothing);
multi!(Timeout<Lent<'a>>: Nothing, go_on);
sqe!(TimeoutRemove => SafeSqe, SafeSqe::new);
