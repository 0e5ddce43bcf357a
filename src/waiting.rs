//! A wait that returns when completions can be popped, or says why not.
#![forbid(unsafe_code)]

use rustix::io::Errno;

use crate::entry::{CqEntry, SqEntry};
use crate::ring::cq::Slots;
use crate::submit_error::SubmitError;
use crate::uring::IoUring;

impl<S: SqEntry, C: CqEntry, T> IoUring<S, C, T> {
    /// Submits, then waits until `want` completions can be popped.
    ///
    /// Where [`submit_and_wait`](Self::submit_and_wait) returns `Ok` after any wait of a call that
    /// submitted something, this returns `Ok` only if the completions are there: `want` of them, or
    /// as many as the queue has slots for.
    ///
    /// ```
    /// use ringbolt::{Advice, IoUring, ops::Nop};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ring = IoUring::new(8)?;
    /// ring.submission().push_safe(Nop::new().sqe(1))?;
    /// while let Err(error) = ring.wait_for(1) {
    ///     // A signal: this program has no reason to stop.
    ///     if error.advice() != Advice::Retry {
    ///         return Err(error.into());
    ///     }
    /// }
    /// assert!(ring.completion().pop().is_some());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`submit_and_wait`](Self::submit_and_wait). `EINTR` also when entries were submitted and
    /// a signal, or the completion of a [`Timeout`](crate::ops::Timeout), ended the wait. What is
    /// in flight stays in flight: call again, or keep what it uses.
    #[inline]
    pub fn wait_for(&mut self, want: u32) -> Result<(), SubmitError> {
        loop {
            let slots = match self.cq.slots_for(want) {
                Slots::Filled => 0,
                Slots::Missing(slots) => slots,
            };
            let taken = self.submit_and_wait(slots)?;
            if self.cq.slots_for(want) == Slots::Filled {
                return Ok(());
            }
            let queued = self.sq.queued();
            // The kernel does not wait where it stopped at an entry that it refuses.
            if queued == 0 || self.enter.is_polled() {
                return Err(SubmitError { errno: Errno::INTR, taken, queued });
            }
        }
    }
}
