//! A wait that returns `Ok` only if the completions can be popped.
#![forbid(unsafe_code)]

use rustix::io::Errno;

use crate::enter::submit_error::SubmitError;
use crate::entry::{CqEntry, SqEntry};
use crate::ring::cq::Slots;
use crate::uring::IoUring;

impl<S: SqEntry, C: CqEntry, T> IoUring<S, C, T> {
    /// Submits, then waits until `want` completions can be popped.
    ///
    /// It returns `Ok` only if `want` completions are ready, or as many as the queue has slots for.
    /// [`submit_and_wait`](Self::submit_and_wait), by contrast, returns `Ok` whenever it submitted
    /// something, however the wait ended.
    ///
    /// ```
    /// use ringbolt::{Advice, IoUring, ops::Nop};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ring = IoUring::new(8)?;
    /// ring.submission().push_safe(Nop::new().sqe(1))?;
    /// while let Err(error) = ring.wait_for(1) {
    ///     // A signal interrupted the wait: this program has no reason to stop.
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
    /// As for [`submit_and_wait`](Self::submit_and_wait). Also `EINTR` if entries were submitted
    /// and a signal, or the completion of a [`Timeout`](crate::ops::Timeout), ended the wait.
    /// Operations in flight stay in flight: call again, or keep the memory that they use.
    #[inline]
    #[doc(alias("io_uring_wait_cqe", "io_uring_wait_cqe_nr", "io_uring_wait_cqes"))]
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
            // The kernel does not wait if it stopped at an entry that it refuses: then entries are
            // still queued, and the loop submits them.
            if queued == 0 || self.enter.is_polled() {
                return Err(SubmitError { errno: Errno::INTR, taken, queued });
            }
        }
    }
}
