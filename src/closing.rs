//! Closing a ring after everything in flight has ended.
#![forbid(unsafe_code)]

use core::fmt;
use core::time::Duration;

use rustix::event::{Timespec as Interval, poll};
use rustix::io::Errno;

use crate::entry::{CqEntry, Cqe, SafeSqe, SqEntry, Sqe};
use crate::ops::AsyncCancel;
use crate::register::CancelWhat;
use crate::thread::AnyThread;
use crate::uring::IoUring;

/// What [`IoUring::close_when_idle`] hands over.
#[derive(Clone, Copy, Debug)]
pub enum Leftover<S: SqEntry = Sqe, C: CqEntry = Cqe> {
    /// An entry that was pushed and that the kernel has not seen. What it names is the program's
    /// again.
    Unsent(S),
    /// A completion.
    Completed(C),
}

impl<S: SqEntry, C: CqEntry> Leftover<S, C> {
    /// The `user_data` of the entry, or of the operation that has completed.
    pub fn user_data(&self) -> u64 {
        match self {
            Self::Unsent(entry) => entry.as_sqe().user_data(),
            Self::Completed(entry) => entry.as_cqe().user_data(),
        }
    }

    /// Whether its operation has ended: an entry that was not sent, or a completion without
    /// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE).
    pub fn is_last(&self) -> bool {
        match self {
            Self::Unsent(_) => true,
            Self::Completed(entry) => !entry.as_cqe().has_more(),
        }
    }
}

/// A ring was not closed, since operations are still in flight. From
/// [`IoUring::close_when_idle`].
#[derive(Debug)]
pub struct StillInFlight<S: SqEntry = Sqe, C: CqEntry = Cqe, T = AnyThread> {
    /// The ring: wait on, or forget it together with what is in flight.
    pub ring: IoUring<S, C, T>,
    /// How many operations have not ended.
    pub in_flight: u32,
    /// `ETIME` at the deadline; `ECHILD` or `ESTALE` if the ring cannot be used.
    pub errno: Errno,
}

impl<S: SqEntry, C: CqEntry, T> fmt::Display for StillInFlight<S, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_flight, errno, .. } = self;
        write!(f, "the ring was not closed: {in_flight} operations are still in flight ({errno})")
    }
}

impl<S: SqEntry, C: CqEntry, T: fmt::Debug> core::error::Error for StillInFlight<S, C, T> {}

/// The first pause between two cancellations, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// The `user_data` of the cancellations that are entries.
const CANCELLATION: u64 = u64::MAX;

impl<S: SqEntry, C: CqEntry, T> IoUring<S, C, T> {
    /// Ends everything in flight, then closes the ring.
    ///
    /// `in_flight` is the number of operations, pushed ones included, whose last completion was not
    /// popped. Entries that the kernel has not seen are taken back. The others are cancelled, again
    /// and again with growing pauses, as a cancelled operation may start the next one of its chain
    /// and a worker may be busy. Each entry that was taken back and each completion is handed to
    /// `ended`, which returns whether an operation of those counted has ended with it:
    /// [`Leftover::is_last`] is right unless the ring has entries with
    /// [`skip_success`](Sqe::skip_success), which end without a completion and are not to be
    /// counted. The ring is closed when all have ended.
    ///
    /// ```
    /// use std::time::Duration;
    /// use ringbolt::{IoUring, Leftover, ops::Read};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ring = IoUring::local(8)?;
    /// let (silent, _writer) = ringbolt::rustix::pipe::pipe()?;
    /// let mut buf = vec![0; 64];
    /// // SAFETY: `buf` stays, and is not touched, until the operation has ended.
    /// unsafe { ring.submission().push(Read::new(&silent, buf.as_mut_ptr(), 64).sqe(1)) }?;
    /// ring.submit()?;
    /// if let Err(error) = ring.close_when_idle(1, Duration::from_secs(5), |left| left.is_last()) {
    ///     // The kernel may still write to `buf`: it is never freed.
    ///     std::mem::forget((buf, error.ring));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Cancelling needs Linux 6.0 (`IORING_REGISTER_SYNC_CANCEL`). On older kernels, and where
    /// restrictions forbid it, this waits for what ends by itself.
    ///
    /// On a ring with SQPOLL the cancellations are entries ([`AsyncCancel`]) with the `user_data`
    /// [`u64::MAX`], as the worker threads belong to the polling thread. They are not handed to
    /// `ended`, and neither is a completion of the program's own that has this `user_data`.
    ///
    /// # Errors
    ///
    /// [`StillInFlight`] when `timeout` is over and operations are still out, with the ring and
    /// their number. A zero-copy send whose peer does not read, for example, cannot be cancelled
    /// once its data is queued, and a device may take any time.
    #[doc(alias = "io_uring_queue_exit")]
    #[expect(
        clippy::result_large_err,
        reason = "the ring comes back, and there is nothing to box it"
    )]
    pub fn close_when_idle(
        mut self,
        mut in_flight: u32,
        timeout: Duration,
        mut ended: impl FnMut(Leftover<S, C>) -> bool,
    ) -> Result<(), StillInFlight<S, C, T>>
    where
        S: From<SafeSqe>,
    {
        let deadline = now().saturating_add(timeout);
        let (mut pause, longest) = PAUSES;
        if let Err(errno) = self.usable() {
            return Err(StillInFlight { ring: self, in_flight, errno });
        }
        let polled = self.enter.is_polled();
        self.sq.take_unsent(polled, |entry| {
            in_flight = in_flight.saturating_sub(u32::from(ended(Leftover::Unsent(entry))));
        });
        loop {
            in_flight = in_flight.saturating_sub(self.reap(&mut ended));
            if in_flight == 0 {
                return Ok(());
            }
            let left = deadline.saturating_sub(now());
            if left.is_zero() {
                return Err(StillInFlight { ring: self, in_flight, errno: Errno::TIME });
            }
            self.cancel_all();
            if self.completion().is_empty() {
                self.pause(pause.min(left));
            }
            pause = pause.saturating_mul(2).min(longest);
        }
    }

    /// Fails where the ring cannot be used.
    pub(crate) fn usable(&mut self) -> Result<(), Errno> {
        self.look_where_we_are();
        self.enter.usable()
    }

    /// Cancels what is in flight. Whatever comes of it, what has ended is seen by its completion.
    fn cancel_all(&mut self)
    where
        S: From<SafeSqe>,
    {
        if !self.enter.is_polled() {
            let _ = self.registrar().cancel(CancelWhat::any(), Some(Duration::ZERO.into()));
            return;
        }
        // The call finds the workers of the thread that calls. Those of this ring were started by
        // the polling thread, which carries out entries.
        let cancel = AsyncCancel::any().sqe(CANCELLATION).skip_success();
        // A queue that is full has such an entry in it already, or gets one with a later turn.
        let _ = self.submission().push_safe(cancel);
        let _ = self.submit();
    }

    /// Hands over every completion that is there. Returns how many operations ended.
    fn reap(&mut self, ended: &mut impl FnMut(Leftover<S, C>) -> bool) -> u32 {
        let mut count = 0;
        let polled = self.enter.is_polled();
        loop {
            // What cannot be brought in now is brought in by a later turn.
            let _ = self.get_events();
            let mut completion = self.completion();
            if completion.is_empty() {
                return count;
            }
            for cqe in completion.drain() {
                if polled && cqe.as_cqe().user_data() == CANCELLATION {
                    continue;
                }
                count += u32::from(ended(Leftover::Completed(cqe)));
            }
        }
    }

    /// Waits for a completion, or for `time`.
    fn pause(&mut self, time: Duration) {
        let waited = self.completion().wait_timeout(1, time.into());
        if !matches!(waited, Ok(()) | Err(Errno::TIME | Errno::INTR)) {
            // A kernel without timed waits, or a ring that cannot wait now.
            let time = Interval::try_from(time).ok();
            let _ = poll(&mut [], time.as_ref());
        }
    }
}

/// The time since some moment, of a clock that only goes forward.
#[cfg(feature = "std")]
fn now() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The time since some moment, of a clock that only goes forward.
#[cfg(not(feature = "std"))]
fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}
