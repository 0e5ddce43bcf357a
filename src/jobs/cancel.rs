//! Cancelling a job by its key, and what is done for the jobs with each submission.
#![forbid(unsafe_code)]

use core::time::Duration;

use rustix::io::Errno;

use crate::enter::submit_error::SubmitError;
use crate::entry::{CqEntry, OneWidth, SqEntry};
use crate::ops::AsyncCancel;
use crate::uring::closing::now;

use super::drain::PAUSES;
use super::key::Key;
use super::place::Place;
use super::refused::Cause;
use super::table::Jobs;
use super::user_data::{self, Control};

impl<T, Th, S, C> Jobs<'_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Cancels a job. Its event still comes: with `ECANCELED`, or with another result if it was too
    /// late. If the key names no job that is in flight, this does nothing.
    ///
    /// The cancellation is submitted with the next call that submits. Of a chain, every operation
    /// is cancelled, again and again until all have completed: what a hard link starts is, too.
    ///
    /// Since Linux 5.5. What a device is carrying out cannot be cancelled, and an operation that a
    /// worker thread is carrying out is interrupted.
    ///
    /// # Errors
    ///
    /// As [`submit`](Self::submit), if the submission queue was full and the kernel takes nothing.
    pub fn cancel(&mut self, key: Key) -> Result<(), SubmitError> {
        self.hide();
        if key.index() >= self.count {
            return Ok(());
        }
        let place = self.place(key.index());
        if !key.names(place) || place.is_idle() {
            return Ok(());
        }
        if place.chain.links.get() == 0 {
            return match self.make_room(1) {
                Err(Cause::Submit(error)) => Err(error),
                _ => {
                    self.push_cancel(place.user_data.get());
                    Ok(())
                }
            };
        }
        if !place.chain.cancelled.replace(true) {
            self.cancelled += 1;
            self.cancel_at = (now().saturating_add(PAUSES.0), PAUSES.0);
        }
        self.cancel_links(place);
        Ok(())
    }

    /// Cancels every link of a chain that has not completed, as far as there is room. What is left
    /// out is cancelled with a later call.
    pub(super) fn cancel_links(&mut self, place: &Place<T>) {
        let missing = place.chain.missing.get();
        for nth in 0..usize::from(place.chain.links.get()) {
            if missing >> nth & 1 == 1 {
                self.push_cancel(user_data::of_link(place.user_data.get(), nth));
            }
        }
    }

    /// Queues the cancellation of what has the user data `target`, if there is room.
    pub(super) fn push_cancel(&mut self, target: u64) {
        let entry = AsyncCancel::of_user_data(target).sqe(Control::Cancel.user_data());
        self.inner.push_control(entry);
    }

    /// What has to be done before each submission: cancelled chains are cancelled again.
    #[inline(always)]
    pub(super) fn tend(&mut self) {
        if self.cancelled > 0 {
            self.cancel_again();
        }
        #[cfg(feature = "alloc")]
        if self.inner.owned.needs_care() {
            self.care();
        }
    }

    /// An entry that has not begun is not found by a cancellation, and what a worker is carrying
    /// out may go on. So it is repeated, with growing pauses: its own completions would end each
    /// wait otherwise.
    #[cold]
    fn cancel_again(&mut self) {
        let (at, pause) = self.cancel_at;
        let now = now();
        if now < at {
            return;
        }
        let pause = pause.saturating_mul(2).min(PAUSES.1);
        self.cancel_at = (now.saturating_add(pause), pause);
        for index in 0..self.count {
            let place = self.place(index);
            if place.chain.cancelled.get() && !place.is_idle() {
                self.cancel_links(place);
            }
        }
    }

    /// Submits and waits for `want` completions, for at most `timeout` if there is one, and cancels
    /// chains again meanwhile.
    #[cold]
    pub(super) fn wait_and_cancel(
        &mut self,
        want: u32,
        timeout: Option<Duration>,
    ) -> Result<u32, SubmitError> {
        let deadline = timeout.map(|timeout| now().saturating_add(timeout));
        let mut taken = 0_u32;
        loop {
            self.tend();
            let pause = self.cancel_at.0.saturating_sub(now()).max(PAUSES.0);
            let left = deadline.map(|deadline| deadline.saturating_sub(now()));
            let waits = left.map_or(pause, |left| pause.min(left));
            let waited = self.inner.ring.submit_and_wait_timeout(want, waits);
            self.look_for_cut();
            match waited {
                Err(error)
                    if error.errno == Errno::TIME && left.is_none_or(|left| left > pause) =>
                {
                    taken += error.taken;
                }
                // Before Linux 5.11 no wait has a limit.
                Err(error) if error.errno == Errno::OPNOTSUPP && timeout.is_none() => {
                    return self.inner.ring.submit_and_wait(want);
                }
                waited => return waited.map(|more| taken + more),
            }
        }
    }
}
