//! The submission half of a ring, borrowed: [`SubmissionQueue`].
//!
//! Its state is the ring's own, so that a half can be dropped or forgotten at any time:
//! nothing is published by that, lost, or handed over twice.

use core::fmt;
use core::marker::PhantomData;

use rustix::io::Errno;

use crate::enter::enter_arg::{EnterArg, WaitArg};
use crate::enter::submit::Submitter;
use crate::enter::submit_error::SubmitError;
use crate::entry::slot::SqSlots;
use crate::entry::{IntoEntry, OneWidth, SafeSqe, SqEntry, Sqe};
use crate::ops::time::Timespec;
use crate::ring::cursor::Cursor;
use crate::ring::push_error::PushError;
use crate::ring::sq::Sq;
use crate::sys::{EnterFlags, SqStatus};
use crate::uring::thread::{AnyThread, OneThread};

/// The submission queue of a [`LocalIoUring`](crate::LocalIoUring), borrowed.
pub type LocalSubmissionQueue<'r, S = Sqe> = SubmissionQueue<'r, S, OneThread>;

/// Where pushed entries go: the ring's submission queue, borrowed.
///
/// From [`IoUring::submission`](crate::IoUring::submission),
/// [`IoUring::split`](crate::IoUring::split) or an owned half.
pub struct SubmissionQueue<'r, S: SqEntry = Sqe, T = AnyThread> {
    pub(crate) sq: &'r mut Sq<S>,
    /// A copy of the queue's own.
    pub(crate) cursor: Cursor<S>,
    enter: &'r Submitter,
    thread: PhantomData<T>,
}

impl<'r, S: SqEntry, T> SubmissionQueue<'r, S, T> {
    #[inline(always)]
    pub(crate) fn new(sq: &'r mut Sq<S>, enter: &'r Submitter) -> Self {
        Self { cursor: sq.cursor(), sq, enter, thread: PhantomData }
    }

    /// Does what may move the cursor: the copy here follows the queue's own.
    #[inline(always)]
    fn moving<R>(&mut self, work: impl FnOnce(&mut Sq<S>, &Submitter) -> R) -> R {
        let result = work(self.sq, self.enter);
        self.cursor = self.sq.cursor();
        result
    }

    /// Slots in all: a power of two.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.sq.capacity()
    }

    /// Slots that are filled and that the kernel has not taken: as many as entries were
    /// pushed, except that wide ones of a mixed queue take two.
    #[inline]
    #[doc(alias = "io_uring_sq_ready")]
    pub fn len(&self) -> u32 {
        self.sq.queued()
    }

    /// Whether the kernel has taken everything that was pushed.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many slots are free.
    #[inline]
    #[doc(alias = "io_uring_sq_space_left")]
    pub fn room(&self) -> u32 {
        self.sq.room()
    }

    /// Whether the next push would be refused for lack of room.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.room() == 0
    }

    /// Copies `entry` into the queue. The kernel sees it after [`submit`](Self::submit) or
    /// [`flush`](Self::flush).
    ///
    /// The entry itself may be reused at once. An entry that is linked to the next one is
    /// refused: chains are pushed whole, by [`push_all`](Self::push_all) or
    /// [`reserve`](Self::reserve), or one by one, by [`push_chained`](Self::push_chained).
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] and [`PushError::OpenChain`], with the entry in them.
    ///
    /// # Safety
    ///
    /// From now on until the last completion of `entry` has been popped (the one without
    /// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE)), or longer where the documentation of the
    /// operation says so, or until the entry has come back by [`pop_back`](Self::pop_back) or
    /// [`rollback`](Self::rollback), the caller keeps:
    ///
    /// - every buffer, path, address and structure that `entry` points to valid, and where it
    ///   is, except what the documentation of the operation says may go sooner;
    /// - memory that the kernel writes unread and unwritten by the program, and memory that it
    ///   reads unwritten;
    /// - every descriptor that `entry` names open, or accepts that the operation may act on
    ///   whatever has its number by then.
    ///
    /// "From now on" is meant: with SQPOLL the polling thread takes an entry as soon as it is
    /// shown, and [`flush`](Self::flush) and [`wait_for_room`](Self::wait_for_room) show it as a
    /// submit does.
    ///
    /// Some operations keep memory beyond their completion:
    /// [`ProvideBuffers`](crate::ops::ProvideBuffers), and [`Send`](crate::ops::Send) and
    /// [`SendMsg`](crate::ops::SendMsg) with `MSG_ZEROCOPY`.
    ///
    /// A completion ends the promises of its own entry and of no other:
    ///
    /// - The completion of a [`LinkTimeout`](crate::ops::LinkTimeout) does not end the entry that
    ///   it limits, whatever its result. Neither does that of a cancellation.
    /// - An entry that is [skipped on success](Sqe::skip_success) posts no completion if it
    ///   succeeds. What it names is kept until a later entry of the same chain has completed, one
    ///   that is no `LinkTimeout` and starts only after it. An entry that no such entry follows
    ///   does not end before the ring is closed, and closing does not tell when.
    /// - A completion that comes by [`MsgRing`](crate::ops::MsgRing) is no operation's. An entry
    ///   that posts one on a ring is pushed only if whoever reaps that ring does not take it
    ///   for the end of an operation there.
    ///
    /// Otherwise the kernel reads or writes memory that the program has put to another use.
    /// Dropping the ring does not wait for completions, and ends none of these promises.
    #[inline(always)]
    #[doc(alias("io_uring_get_sqe", "io_uring_get_sqe128"))]
    pub unsafe fn push(&mut self, entry: impl IntoEntry<S>) -> Result<(), PushError<S>> {
        let entry = entry.into_entry();
        match self.sq.push_at(&mut self.cursor, entry) {
            Ok(()) => Ok(()),
            Err(error) => Err(error.map(|()| entry)),
        }
    }

    /// Copies an entry into the queue that names no memory, and no descriptor of the program's.
    ///
    /// [These](crate::ops#what-is-pushed-safely) are operations that name neither, and those on
    /// [`Fixed`](crate::ops::Fixed) slots that name no memory.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push), with the entry in them.
    #[inline(always)]
    pub fn push_safe(&mut self, entry: SafeSqe) -> Result<(), PushError<SafeSqe>>
    where
        S: From<SafeSqe>,
    {
        match self.sq.push_at(&mut self.cursor, entry.into()) {
            Ok(()) => Ok(()),
            Err(error) => Err(error.map(|()| entry)),
        }
    }

    /// Copies all of `entries` into the queue, or none.
    ///
    /// They are handed over together: no other entry comes between, and a chain is not cut, except
    /// on SQPOLL rings that share a polling thread: see [`Sqe::link`]. The last one must not be
    /// linked to a next. For entries that are not a list already, [`reserve`](Self::reserve) is
    /// quicker.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`], [`PushError::OpenChain`], and [`PushError::TooMany`] for more
    /// than [`capacity`](Self::capacity). Nothing is queued then.
    ///
    /// # Safety
    ///
    /// As for [`push`](Self::push), for each of `entries`.
    #[inline(always)]
    pub unsafe fn push_all(&mut self, entries: &[S]) -> Result<(), PushError<()>> {
        self.sq.push_all(&mut self.cursor, entries)
    }

    /// Takes the entry pushed last back, if the kernel cannot have it: with SQPOLL one that
    /// has not been published, otherwise one that the kernel has not taken.
    ///
    /// Called until `None`, it undoes all that a failed submit left queued. Of a chain, take
    /// every entry back: what stays would end with a link.
    pub fn pop_back(&mut self) -> Option<S>
    where
        S: OneWidth + SqSlots<Slot = S>,
    {
        self.moving(|sq, enter| sq.pop_back(enter.is_polled()))
    }

    /// Takes everything back that [`pop_back`](Self::pop_back) would, at once. Returns how
    /// many slots that frees.
    pub fn rollback(&mut self) -> u32 {
        self.moving(|sq, enter| sq.rollback(enter.is_polled()))
    }

    /// Shows the kernel what is pushed, without entering it. Returns how many entries are new
    /// to it.
    ///
    /// An SQPOLL thread takes them from there if it is awake; one that sleeps is woken by
    /// [`submit`](Self::submit), not by this. Without such a thread nothing happens before the
    /// next submit.
    ///
    /// With SQPOLL this hands the entries over: the polling thread may carry them out before any
    /// submit.
    #[inline]
    pub fn flush(&mut self) -> u32 {
        self.sq.publish()
    }

    /// The kernel's flags: `NEED_WAKEUP`, `CQ_OVERFLOW`, `TASKRUN`.
    ///
    /// `TASKRUN` is kept up to date only on a ring set up with
    /// [`Builder::taskrun_flag`](crate::Builder::taskrun_flag).
    #[inline]
    pub fn status(&self) -> SqStatus {
        self.sq.status(self.enter.is_polled())
    }

    /// Entries that the kernel refused to read, modulo 2^32. Always 0: it counts indices out
    /// of range, and the index array is filled in once, rightly.
    pub fn dropped(&self) -> u32 {
        self.sq.dropped()
    }

    /// Hands everything pushed to the kernel. Returns how many entries it took; with SQPOLL,
    /// how many were published.
    ///
    /// Enters the kernel only if there is a reason to: entries, overflown completions, work
    /// that waits to be run, a polling thread that sleeps. The kernel may take fewer entries
    /// than there are, when one is bad and the ring is not set up with
    /// [`Builder::submit_all`](crate::Builder::submit_all).
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EAGAIN` | no memory for requests; try again |
    /// | `EBADFD` | the ring is disabled |
    /// | `EBADR` | completions were dropped, see [`overflow`](crate::CompletionQueue::overflow) |
    /// | `EBUSY` | completions have overflown and cannot be put off further; reap first |
    /// | `ECHILD` | the ring belongs to the process that made it, and this is a child of that |
    /// | `EEXIST` | a ring with SINGLE_ISSUER, and another thread |
    /// | `EINTR` | a signal came while waiting |
    /// | `EOWNERDEAD` | the polling thread has died |
    /// | `EPERM`, `EACCES`, `ENOSYS` | a seccomp filter or a security module refuses the call |
    /// | `ESTALE` | a failed [`resize`](crate::IoUring::resize) made the ring unusable |
    ///
    /// See [`io_uring_enter(2)`].
    ///
    /// [`io_uring_enter(2)`]: https://man7.org/linux/man-pages/man2/io_uring_enter.2.html
    #[inline(always)]
    pub fn submit(&mut self) -> Result<u32, SubmitError> {
        self.moving(|sq, enter| enter.submit(sq))
    }

    /// Like [`submit`](Self::submit), then waits until `want` completions are there.
    ///
    /// This always enters the kernel, even if nothing is queued: with `want` 0 it submits, runs
    /// work that was put off and brings in overflown completions.
    ///
    /// A call that submitted something returns `Ok` however its wait ended, after a signal for
    /// example. [`IoUring::wait_for`](crate::IoUring::wait_for) returns `Ok` only if the
    /// completions are there. The kernel counts completions from the head that it was shown: those
    /// of an iteration that was left early count until [`sync`](crate::CompletionQueue::sync).
    ///
    /// Fewer are there when a [`Timeout`](crate::ops::Timeout) has completed: that ends each
    /// wait on its ring.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit). If entries were submitted, the error of the wait is not
    /// reported.
    #[inline(always)]
    pub fn submit_and_wait(&mut self, want: u32) -> Result<u32, SubmitError> {
        self.moving(|sq, enter| enter.submit_and_wait(sq, want))
    }

    /// Like [`submit_and_wait`](Self::submit_and_wait), for at most `timeout`, a
    /// [`Duration`](core::time::Duration) or a [`Timespec`]. Since Linux 5.11
    /// ([`Features::EXT_ARG`](crate::sys::Features::EXT_ARG)).
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit); `ETIME` when the time was up, no entry was taken and no
    /// completion at all is there (with fewer than asked for this returns well);
    /// `EOPNOTSUPP` where the kernel lacks the feature.
    #[inline(always)]
    pub fn submit_and_wait_timeout(
        &mut self,
        want: u32,
        timeout: impl Into<Timespec>,
    ) -> Result<u32, SubmitError> {
        let timeout = timeout.into();
        let wait = WaitArg { timeout: Some(&timeout), ..WaitArg::default() };
        self.submit_with(want, EnterFlags::GETEVENTS, EnterArg::Wait(wait))
    }

    /// Like [`submit_and_wait_timeout`](Self::submit_and_wait_timeout), but returns
    /// as soon as there is one completion once `min_wait_usec` microseconds have elapsed. Since
    /// Linux 6.12
    /// ([`Features::MIN_TIMEOUT`](crate::sys::Features::MIN_TIMEOUT)).
    ///
    /// # Errors
    ///
    /// As [`submit_and_wait_timeout`](Self::submit_and_wait_timeout).
    #[inline(always)]
    pub fn submit_and_wait_min_timeout(
        &mut self,
        want: u32,
        timeout: impl Into<Timespec>,
        min_wait_usec: u32,
    ) -> Result<u32, SubmitError> {
        let timeout = timeout.into();
        let wait = WaitArg { timeout: Some(&timeout), min_wait_usec, sigmask: None };
        self.submit_with(want, EnterFlags::GETEVENTS, EnterArg::Wait(wait))
    }

    /// Submits and waits with flags and arguments of the caller's choice.
    ///
    /// `flags` are added to those that the call needs anyway. `EXT_ARG`, `EXT_ARG_REG` and
    /// `REGISTERED_RING` follow from `arg` and the ring, and are ignored here.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit); `ETIME` and `EOPNOTSUPP` as for the timed waits.
    #[inline(always)]
    pub fn submit_with(
        &mut self,
        want: u32,
        flags: EnterFlags,
        arg: EnterArg<'_>,
    ) -> Result<u32, SubmitError> {
        self.moving(|sq, enter| enter.submit_with(sq, want, flags, arg))
    }

    /// Hands everything pushed to the kernel, with `flags` and no other ones: `io_uring_enter(2)`
    /// as it is. Returns how many entries it took; with SQPOLL, how many were published.
    ///
    /// [`submit_with`](Self::submit_with) adds flags where there is a reason to, and makes no
    /// system call where there is none. This adds none and always makes one:
    ///
    /// - Without [`GETEVENTS`](EnterFlags::GETEVENTS) the kernel ignores `want`, does not bring in
    ///   overflown completions, and on a ring with DEFER_TASKRUN runs no work that was put off.
    ///   The completions of that work come later, which suits a program that is not ready for
    ///   them. On a ring with IOPOLL none are polled for.
    /// - Without [`SQ_WAKEUP`](EnterFlags::SQ_WAKEUP) a polling thread that sleeps stays asleep.
    ///
    /// `EXT_ARG`, `EXT_ARG_REG` and `REGISTERED_RING` follow from `arg` and the ring, and are
    /// ignored here.
    ///
    /// # Errors
    ///
    /// As [`submit_with`](Self::submit_with).
    #[doc(alias = "io_uring_enter")]
    pub fn enter(
        &mut self,
        want: u32,
        flags: EnterFlags,
        arg: EnterArg<'_>,
    ) -> Result<u32, SubmitError> {
        self.moving(|sq, enter| enter.exactly(sq, want, flags, arg))
    }

    /// Waits until the polling thread has taken an entry, if the queue is full: shows it what
    /// is pushed, and wakes it if it sleeps. Returns at once without SQPOLL. Since Linux 5.10.
    ///
    /// This hands over everything that was pushed, as a submit does.
    ///
    /// With SQPOLL a completion can be there before its entry's slot is free: a program that
    /// finds no room waits for room with this, not for a completion. One slot is enough for it to
    /// return: whoever needs several calls it until [`room`](Self::room) is.
    ///
    /// # Errors
    ///
    /// `EOWNERDEAD` if the polling thread has died; `EINVAL` before Linux 5.10.
    #[doc(alias("io_uring_sqring_wait", "__io_uring_sqring_wait"))]
    pub fn wait_for_room(&mut self) -> Result<(), Errno> {
        self.enter.wait_for_room(self.sq)
    }
}

impl<S: SqEntry, T> fmt::Debug for SubmissionQueue<'_, S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmissionQueue")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("status", &self.status())
            .finish()
    }
}
