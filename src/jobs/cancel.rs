//! Cancelling a job by its key, and what is done for the jobs with each submission.
#![forbid(unsafe_code)]

use crate::enter::submit_error::SubmitError;
use crate::entry::{CqEntry, OneWidth, SqEntry};
use crate::ops::AsyncCancel;

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

    #[cold]
    fn cancel_again(&mut self) {
        for index in 0..self.count {
            let place = self.place(index);
            if place.chain.cancelled.get() && !place.is_idle() {
                self.cancel_links(place);
            }
        }
    }
}
