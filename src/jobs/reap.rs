//! Submitting, waiting, and the way from a completion to an [`Event`].
#![forbid(unsafe_code)]

use core::time::Duration;

use rustix::io::Errno;

use crate::enter::submit_error::{Advice, SubmitError};
use crate::entry::{CqEntry, OneWidth, SqEntry};
use crate::ops::time::Timespec;
use crate::sys::CqeFlags;

use super::event::Event;
use super::owes::Owes;
use super::table::{End, Jobs, MORE, Seen};
use super::user_data::{self, BUFFER, Control, MULTI, TURN};

impl<'scope, 'env, T, Th, S, C> Jobs<'scope, 'env, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Returns the next event, if a completion is ready. Makes no system call. In a child process
    /// there is none.
    ///
    /// On a ring that defers work, as [`SafeRing::new`](super::SafeRing::new) makes it, completions
    /// come in when a call enters the kernel: [`submit_and_wait(0)`](Self::submit_and_wait) brings
    /// them in without waiting.
    ///
    /// An event that was neither finished nor restarted is dropped with the next call of any
    /// method: its value, and the buffer or descriptor that it has.
    #[inline(always)]
    #[expect(clippy::should_implement_trait, reason = "an event borrows the jobs")]
    pub fn next(&mut self) -> Option<Event<'_, 'scope, 'env, T, Th, S, C>> {
        self.hide();
        let seen = self.advance()?;
        Some(Event::new(self, seen))
    }

    /// Returns the next event, after submitting and waiting for it if need be. `None` if no job is
    /// in flight, or after [`Waker::wake`](super::Waker::wake).
    ///
    /// A signal does not end the wait: use a [`Waker`](super::Waker), a `signalfd(2)`, or
    /// [`submit_and_wait`](Self::submit_and_wait).
    ///
    /// # Errors
    ///
    /// As [`SubmissionQueue::submit`](crate::SubmissionQueue::submit), except for `EINTR`, and for
    /// `EBUSY` when there are completions.
    #[inline(always)]
    pub fn wait_next(
        &mut self,
    ) -> Result<Option<Event<'_, 'scope, 'env, T, Th, S, C>>, SubmitError> {
        self.hide();
        loop {
            if let Some(seen) = self.advance() {
                return Ok(Some(Event::new(self, seen)));
            }
            if !self.wait_for_some()? {
                return Ok(None);
            }
        }
    }

    /// Submits and waits for a completion. Returns false if there is nothing to wait for.
    #[inline(never)]
    fn wait_for_some(&mut self) -> Result<bool, SubmitError> {
        if self.inner.take_wake() || self.used == 0 && !self.inner.has_waker() {
            return Ok(false);
        }
        match self.submit_and_wait(1) {
            Ok(_) => Ok(true),
            Err(error) if error.errno == Errno::INTR => Ok(true),
            Err(error) if error.advice() == Advice::Reap && self.inner.ring.cq.ready() > 0 => {
                Ok(true)
            }
            Err(error) => Err(error),
        }
    }

    /// Copies out completions until one is an event.
    #[inline(always)]
    fn advance<'p>(&mut self) -> Option<Seen<'p, T>> {
        if !self.inner.is_here() {
            return None;
        }
        let completion = self.inner.ring.cq.take_batched()?;
        let cqe = completion.as_cqe();
        let user_data = cqe.user_data();
        #[expect(clippy::cast_possible_truncation, reason = "the lower half is meant")]
        let index = user_data as u32;
        if index < self.count {
            let place = self.place(index);
            if place.user_data.get() == user_data {
                place.user_data.set(user_data.wrapping_add(TURN));
                self.shown = index;
                return Some(Seen {
                    place,
                    result: cqe.raw_result(),
                    flags: cqe.flags(),
                    end: End::Bare,
                });
            }
        }
        let (result, flags) = (cqe.raw_result(), cqe.flags());
        if flags.contains(CqeFlags::MORE.union(CqeFlags::BUFFER)) {
            let index = user_data::place(user_data);
            if user_data & (MULTI | BUFFER) == MULTI | BUFFER && index < self.count {
                let place = self.place(index);
                if place.user_data.get() == user_data {
                    // What an operation that goes on has most often. Nothing was owed before.
                    let owes = Owes::buffer(place.group.get(), result, flags);
                    core::mem::forget(core::mem::replace(&mut self.owes, owes));
                    self.shown = MORE;
                    return Some(Seen { place, result, flags, end: End::More });
                }
            }
        }
        self.advance_slowly(user_data, result, flags)
    }

    /// What [`advance`](Self::advance) does with a completion that is not that of an operation
    /// alone which makes nothing, and with those after it.
    ///
    /// Cold, so that it does not stand in the way of the other.
    #[cold]
    #[inline(never)]
    fn advance_slowly<'p>(
        &mut self,
        user_data: u64,
        result: i32,
        flags: CqeFlags,
    ) -> Option<Seen<'p, T>> {
        let mut seen = self.settle(user_data, result, flags);
        while seen.is_none() {
            let completion = self.inner.ring.cq.take_batched()?;
            let cqe = completion.as_cqe();
            seen = self.settle(cqe.user_data(), cqe.raw_result(), cqe.flags());
        }
        let seen = seen?;
        self.shown = if seen.end == End::More { MORE } else { seen.place.index() };
        Some(seen)
    }

    /// Notes a completion. Returns the event, if it is one. What the event owns is in
    /// [`Self::owes`], which is empty before.
    pub(super) fn settle<'p>(
        &mut self,
        user_data: u64,
        result: i32,
        flags: CqeFlags,
    ) -> Option<Seen<'p, T>> {
        if let Some(control) = Control::of(user_data) {
            self.settle_control(control, result);
            return None;
        }
        let index = user_data::place(user_data);
        if index >= self.count {
            return None;
        }
        let place = self.place(index);
        let link = user_data::link(user_data);
        if link > 0 {
            return self.settle_link(index, user_data, link - 1, result, flags);
        }
        if place.user_data.get() != user_data {
            return None;
        }
        let is_last = user_data & MULTI == 0 || !flags.contains(CqeFlags::MORE);
        self.owes = Owes::of(user_data, place.group.get(), result, flags);
        if is_last {
            let idle = user_data::plain(user_data).wrapping_add(TURN);
            place.user_data.set(idle);
        }
        let end = if is_last { End::Owing } else { End::More };
        Some(Seen { place, result, flags, end })
    }

    fn settle_control(&mut self, control: Control, result: i32) {
        match control {
            Control::Cancel | Control::Close => {}
            Control::CancelAll => self.inner.note_cancel_all(result),
            Control::Wake => self.inner.note_wake(result),
        }
    }

    /// Hands everything that was started to the kernel: see
    /// [`SubmissionQueue::submit`](crate::SubmissionQueue::submit).
    ///
    /// # Errors
    ///
    /// As [`SubmissionQueue::submit`](crate::SubmissionQueue::submit). What was not taken stays
    /// queued, and is submitted with the next call.
    #[inline(always)]
    pub fn submit(&mut self) -> Result<u32, SubmitError> {
        self.hide();
        self.tend();
        let submitted = self.inner.ring.submit();
        self.look_for_cut();
        submitted
    }

    /// Submits, and waits until `want` completions are there: see
    /// [`SubmissionQueue::submit_and_wait`](crate::SubmissionQueue::submit_and_wait). There may be
    /// fewer events than completions.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit); `EINTR` after a signal.
    #[inline(always)]
    pub fn submit_and_wait(&mut self, want: u32) -> Result<u32, SubmitError> {
        self.hide();
        if self.cancelled > 0 {
            return self.wait_and_cancel(want, None);
        }
        self.tend();
        let submitted = self.inner.ring.submit_and_wait(want);
        self.look_for_cut();
        submitted
    }

    /// Submits, and waits for `want` completions, for at most `timeout`: see
    /// [`submit_and_wait_timeout`](crate::SubmissionQueue::submit_and_wait_timeout) of the queue.
    /// If something was submitted, it returns how much, even if the time is up.
    ///
    /// # Errors
    ///
    /// As [`submit_and_wait`](Self::submit_and_wait); `ETIME` when the time is up and no completion
    /// is there.
    #[inline(always)]
    pub fn submit_and_wait_timeout(
        &mut self,
        want: u32,
        timeout: impl Into<Timespec>,
    ) -> Result<u32, SubmitError> {
        self.hide();
        let timeout = timeout.into();
        if self.cancelled > 0 {
            // The kernel refuses a time that is none.
            if let Ok(timeout) = Duration::try_from(timeout) {
                return self.wait_and_cancel(want, Some(timeout));
            }
        }
        self.tend();
        let submitted = self.inner.ring.submit_and_wait_timeout(want, timeout);
        self.look_for_cut();
        submitted
    }
}
