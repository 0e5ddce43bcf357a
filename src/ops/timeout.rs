//! Timeouts.
#![forbid(unsafe_code)]

use crate::entry::{SafeSqe, Sqe};
use crate::sys::{Opcode, SharedPtr, TimeoutFlags};

use crate::ops::time::Timespec;

use super::{add_flags, on_none, sqe};

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
pub struct Timeout(Sqe);

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
pub struct LinkTimeout(Sqe);

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
        Self(timed(Opcode::TIMEOUT, timespec))
    }

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
        Self(timed(Opcode::LINK_TIMEOUT, timespec))
    }

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
sqe!(TimeoutRemove => SafeSqe, SafeSqe::new);
