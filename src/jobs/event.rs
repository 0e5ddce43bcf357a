//! [`Event`] and [`Done`]: what a completion came to, with the value of its job.

use core::fmt;
use core::ops::{Deref, DerefMut};

use rustix::fd::OwnedFd;
use rustix::io::Errno;

use crate::entry::errno::errno_of;
use crate::entry::{CqEntry, Cqe, OneWidth, SqEntry, Sqe};
use crate::ops::lent::{MultiIn, OpIn};
use crate::sys::CqeFlags;
use crate::uring::thread::{AnyThread, OneThread};

use super::key::Key;
use super::place::Chain;
use super::refused::Refused;
use super::table::{End, Jobs, Seen};

/// A completion, and the value of its job.
///
/// It derefs to the value. If the job is over, [`done`](Self::done) gives a [`Done`], by which the
/// value can be changed, started again in place, or taken; [`finish`](Self::finish) takes it at
/// once.
///
/// It has no destructor: forgetting it does what dropping it does. What is neither finished nor
/// restarted is dropped by the next call of any method of [`Jobs`].
pub struct Event<
    'j,
    'scope,
    'env,
    T,
    Th = OneThread,
    S: SqEntry + OneWidth = Sqe,
    C: CqEntry + OneWidth = Cqe,
> {
    pub(super) jobs: &'j mut Jobs<'scope, 'env, T, Th, S, C>,
    pub(super) seen: Seen<'j, T>,
}

/// The event of a job that is over: its value can be changed, started again, and taken.
///
/// From [`Event::done`]. Like an [`Event`] it has no destructor.
pub struct Done<
    'j,
    'scope,
    'env,
    T,
    Th = OneThread,
    S: SqEntry + OneWidth = Sqe,
    C: CqEntry + OneWidth = Cqe,
>(Event<'j, 'scope, 'env, T, Th, S, C>);

/// The result of an operation, as [`Cqe::result`](crate::Cqe::result) has it.
#[inline(always)]
pub(super) const fn result(raw: i32) -> Result<u32, Errno> {
    if raw < 0 { Err(errno_of(raw)) } else { Ok(raw.unsigned_abs()) }
}

impl<'j, 'scope, 'env, T, Th, S, C> Event<'j, 'scope, 'env, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    #[inline(always)]
    pub(super) fn new(jobs: &'j mut Jobs<'scope, 'env, T, Th, S, C>, seen: Seen<'j, T>) -> Self {
        Self { jobs, seen }
    }

    /// What the operation returned, or the error that it failed with; of a chain, its last link.
    ///
    /// # Errors
    ///
    /// Those of the operation; `ECANCELED` if it was cancelled.
    #[inline(always)]
    pub fn result(&self) -> Result<u32, Errno> {
        result(self.seen.result)
    }

    /// Whether the operation has ended because the group of provided buffers was empty
    /// (`ENOBUFS`). Start it again when a [`Received`](super::Received) has been dropped.
    #[inline]
    pub fn ran_dry(&self) -> bool {
        self.result() == Err(Errno::NOBUFS)
    }

    /// The flags of the completion.
    #[inline(always)]
    pub fn flags(&self) -> CqeFlags {
        self.seen.flags
    }

    /// Whether the job goes on, and more events of it will come.
    #[inline(always)]
    pub fn has_more(&self) -> bool {
        self.seen.end == End::More
    }

    /// The name of the job.
    #[inline]
    pub fn key(&self) -> Key {
        Key::of(self.seen.place)
    }

    /// Takes the descriptor that the operation made, if it made one. One that is not taken is
    /// closed.
    #[inline]
    pub fn descriptor(&mut self) -> Option<OwnedFd> {
        self.jobs.owes.take_descriptor()
    }

    /// Takes the provided buffer that the completion has, if it has one. One that is not taken goes
    /// back to the kernel.
    ///
    /// Of a bundle, each call takes the next buffer, in the order of the data, until none is left.
    #[cfg(feature = "alloc")]
    #[inline]
    pub fn received(&mut self) -> Option<super::Received> {
        let super::owes::Owes::Buffer(lent) = &self.jobs.owes else { return None };
        let Some(received) = self.jobs.inner.owned.receive_one(lent) else {
            return self.jobs.receive();
        };
        self.jobs.owes = super::owes::Owes::Nothing;
        if self.seen.end == End::More {
            // The next call has nothing to drop.
            self.jobs.shown = super::table::NONE;
        }
        Some(received)
    }

    /// Takes the slot of the file table that the operation filled, if it chose one. One that is not
    /// taken is emptied.
    #[cfg(feature = "alloc")]
    #[inline]
    pub fn slot(&mut self) -> Option<super::Slot> {
        let slot = self.jobs.owes.take_slot()?;
        self.jobs.inner.owned.own(slot)
    }

    /// Takes the value, if the job is over: the place is free.
    #[inline(always)]
    pub fn finish(self) -> Option<T> {
        self.done().map(Done::finish)
    }

    /// The event of a job that is over; `None` if it goes on.
    #[inline(always)]
    pub fn done(self) -> Option<Done<'j, 'scope, 'env, T, Th, S, C>> {
        if self.has_more() { None } else { Some(Done(self)) }
    }

    /// The event of a job that completes once.
    ///
    /// # Panics
    ///
    /// If the job goes on, as one that was started by [`Jobs::start_multi`] may.
    #[inline(always)]
    #[track_caller]
    pub fn expect_done(self) -> Done<'j, 'scope, 'env, T, Th, S, C> {
        // Bare most often, which the next call asks for, too.
        if self.seen.end != End::Bare {
            assert!(!self.has_more(), "the job goes on");
        }
        Done(self)
    }

    /// The same, after what it owns and nobody has taken was given back.
    #[inline(always)]
    fn settled(self) -> Self {
        if self.seen.end != End::Bare {
            self.jobs.settle_debts();
        }
        self
    }
}

impl<'j, 'scope, 'env, T, Th, S, C> Done<'j, 'scope, 'env, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// See [`Event::result`].
    ///
    /// # Errors
    ///
    /// As [`Event::result`].
    #[inline(always)]
    pub fn result(&self) -> Result<u32, Errno> {
        self.0.result()
    }

    /// See [`Event::flags`].
    #[inline(always)]
    pub fn flags(&self) -> CqeFlags {
        self.0.flags()
    }

    /// See [`Event::ran_dry`].
    #[inline]
    pub fn ran_dry(&self) -> bool {
        self.0.ran_dry()
    }

    /// See [`Event::key`].
    #[inline]
    pub fn key(&self) -> Key {
        self.0.key()
    }

    /// See [`Event::descriptor`].
    #[inline]
    pub fn descriptor(&mut self) -> Option<OwnedFd> {
        self.0.descriptor()
    }

    /// See [`Event::received`].
    #[cfg(feature = "alloc")]
    #[inline]
    pub fn received(&mut self) -> Option<super::Received> {
        self.0.received()
    }

    /// See [`Event::slot`].
    #[cfg(feature = "alloc")]
    #[inline]
    pub fn slot(&mut self) -> Option<super::Slot> {
        self.0.slot()
    }

    /// What is noted about the links of the job, if it is a chain.
    pub(super) fn chain(&self) -> &Chain {
        &self.0.seen.place.chain
    }

    /// The event, after what it owns and nobody has taken was given back. The value is still shown.
    #[inline(always)]
    pub(super) fn settled(self) -> Event<'j, 'scope, 'env, T, Th, S, C> {
        self.0.settled()
    }

    /// Takes the value: the place is free.
    #[inline(always)]
    pub fn finish(self) -> T {
        let Event { jobs, seen } = self.settled();
        let value = jobs.take_value(seen.place);
        // Last, so that the compiler knows it when the next job is started.
        jobs.shown = super::table::NONE;
        value
    }

    /// Starts the job again in its place, which is the cheapest way: as [`Jobs::start`], except
    /// that the value is not moved.
    ///
    /// What the event owns and nobody has taken is given back first.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the value, if the queue is full and the kernel takes nothing. The job is
    /// over then.
    #[inline(always)]
    pub fn restart(
        self,
        op: impl for<'a> FnOnce(&'a mut T) -> OpIn<'a, 'scope>,
    ) -> Result<Key, Refused<T>> {
        let Event { jobs, seen } = self.settled();
        let place = seen.place;
        jobs.ready(place, 1)?;
        // SAFETY: the job is done, so nothing is in flight from its place, and the value is still
        // there: the event was shown, and has been consumed.
        let op = op(unsafe { &mut *place.value() });
        jobs.launch(place, op)
    }

    /// Starts the job again in its place with an operation that may complete more often: as
    /// [`Jobs::start_multi`].
    ///
    /// # Errors
    ///
    /// As [`restart`](Self::restart).
    #[inline]
    pub fn restart_multi(
        self,
        op: impl for<'a> FnOnce(&'a T) -> MultiIn<'a, 'scope>,
    ) -> Result<Key, Refused<T>> {
        let Event { jobs, seen } = self.settled();
        let place = seen.place;
        jobs.ready(place, 1)?;
        // SAFETY: as in `restart`; and only shared references are made until the job is done.
        let op = op(unsafe { &*place.value() });
        jobs.launch_multi(place, op)
    }
}

impl<'scope, T, Th, S, C> Jobs<'scope, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// What [`Event::received`] does for bundles, and for pieces of buffers.
    #[cfg(feature = "alloc")]
    #[cold]
    #[inline(never)]
    fn receive(&mut self) -> Option<super::Received> {
        let mut lent = self.owes.take_buffer();
        let received = self.inner.owned.receive(&mut lent);
        if let Some(rest) = lent {
            self.owes = super::owes::Owes::Buffer(rest);
        }
        received
    }
}

// SAFETY: it is an exclusive borrow of jobs that can be sent, and the address of one of their
// places, which is reached through that borrow alone.
unsafe impl<T: Send, S, C> Send for Event<'_, 'static, 'static, T, AnyThread, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
}

impl<T, Th, S, C> Deref for Event<'_, '_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        let place = self.seen.place;
        // SAFETY: an event is that of a job whose value is in its place. Either the job is done,
        // and nothing is in flight; or its operation borrows the value shared (`start_multi`), and
        // so does this.
        unsafe { &*place.value() }
    }
}

impl<T, Th, S, C> Deref for Done<'_, '_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T, Th, S, C> DerefMut for Done<'_, '_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        let place = self.0.seen.place;
        // SAFETY: the job is done, so nothing is in flight from its place, and the borrow of `self`
        // is the only way to the value.
        unsafe { &mut *place.value() }
    }
}

impl<T: fmt::Debug, Th, S, C> fmt::Debug for Event<'_, '_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("value", &**self)
            .field("result", &self.result())
            .field("flags", &self.flags())
            .field("has_more", &self.has_more())
            .finish_non_exhaustive()
    }
}

impl<T: fmt::Debug, Th, S, C> fmt::Debug for Done<'_, '_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
