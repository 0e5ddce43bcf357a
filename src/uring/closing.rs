//! Closing a ring after everything in flight has ended.
#![forbid(unsafe_code)]

use core::fmt;
use core::time::Duration;

use rustix::event::{Timespec as Interval, poll};
use rustix::io::Errno;

use crate::entry::explain::ErrnoText;
use crate::entry::{CqEntry, Cqe, SafeSqe, SqEntry, Sqe};
use crate::ops::AsyncCancel;
use crate::register::CancelWhat;
use crate::uring::IoUring;
use crate::uring::thread::AnyThread;

/// What [`IoUring::close_when_idle`] passes to its callback.
#[derive(Clone, Copy, Debug)]
pub enum Leftover<S: SqEntry = Sqe, C: CqEntry = Cqe> {
    /// An entry that was pushed and not submitted. The memory that it refers to belongs to the
    /// program again.
    Unsent(S),
    /// A completion.
    Completed(C),
}

impl<S: SqEntry, C: CqEntry> Leftover<S, C> {
    /// The `user_data` of the entry or of the completion.
    pub fn user_data(&self) -> u64 {
        match self {
            Self::Unsent(entry) => entry.as_sqe().user_data(),
            Self::Completed(entry) => entry.as_cqe().user_data(),
        }
    }

    /// Whether its operation has ended.
    ///
    /// That is so for an entry that was not submitted, and for a completion without
    /// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE).
    pub fn is_last(&self) -> bool {
        match self {
            Self::Unsent(_) => true,
            Self::Completed(entry) => !entry.as_cqe().has_more(),
        }
    }
}

/// The error of [`IoUring::close_when_idle`]: operations are still in flight, and the ring was not
/// closed.
#[derive(Debug)]
pub struct StillInFlight<S: SqEntry = Sqe, C: CqEntry = Cqe, T = AnyThread> {
    /// The ring. Either continue to wait, or forget it together with the memory of the operations
    /// in flight.
    pub ring: IoUring<S, C, T>,
    /// The number of operations that have not ended.
    pub in_flight: u32,
    /// `ETIME` at the deadline; `ECHILD` or `ESTALE` if the ring cannot be used.
    pub errno: Errno,
}

impl<S: SqEntry, C: CqEntry, T> fmt::Display for StillInFlight<S, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { in_flight, errno, .. } = self;
        let errno = ErrnoText(*errno);
        write!(f, "the ring was not closed: {in_flight} operations are still in flight ({errno})")
    }
}

impl<S: SqEntry, C: CqEntry, T: fmt::Debug> core::error::Error for StillInFlight<S, C, T> {}

/// The first pause between two cancellations, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

/// The `user_data` of cancellations that are submitted as entries.
const CANCELLATION: u64 = u64::MAX;

impl<S: SqEntry, C: CqEntry, T> IoUring<S, C, T> {
    /// Ends all operations in flight, then closes the ring.
    ///
    /// `in_flight` is the number of operations, including pushed ones, whose last completion was
    /// not popped. Do not count entries with [`skip_success`](Sqe::skip_success): they may end
    /// without a completion.
    ///
    /// Entries that were not submitted are taken back. The other operations are cancelled,
    /// repeatedly and with growing pauses, because a cancelled operation may start the next one of
    /// its chain, and a worker may be busy.
    ///
    /// Each entry that was taken back and each completion is passed to `ended`, which returns
    /// whether one of the counted operations has ended with it. [`Leftover::is_last`] is the right
    /// answer unless the ring has entries with `skip_success`. The ring is closed when all counted
    /// operations have ended.
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
    /// Cancelling needs Linux 6.0 (`IORING_REGISTER_SYNC_CANCEL`). On older kernels, and if
    /// restrictions forbid it, this method only waits for operations to end by themselves.
    ///
    /// On a ring with SQPOLL the cancellations are entries ([`AsyncCancel`]) with the `user_data`
    /// [`u64::MAX`], because the worker threads belong to the polling thread. Completions with this
    /// `user_data` are not passed to `ended`, even if they are the program's own.
    ///
    /// # Errors
    ///
    /// [`StillInFlight`] if operations are still in flight after `timeout`; it contains the ring
    /// and their number. For example, a zero-copy send whose peer does not read cannot be cancelled
    /// once its data is queued, and a device may take any time.
    #[doc(alias = "io_uring_queue_exit")]
    #[expect(clippy::result_large_err, reason = "the error returns the ring, without an allocator")]
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

    /// Fails if the ring cannot be used.
    pub(crate) fn usable(&mut self) -> Result<(), Errno> {
        self.look_where_we_are();
        self.enter.usable()
    }

    /// Cancels what is in flight. Errors are ignored: completions show which operations have ended.
    fn cancel_all(&mut self)
    where
        S: From<SafeSqe>,
    {
        if !self.enter.is_polled() {
            let _ = self.registrar().cancel(CancelWhat::any(), Some(Duration::ZERO.into()));
            return;
        }
        // The system call finds only the workers of the calling thread. The workers of this ring
        // were started by the polling thread, so an entry has to cancel: the polling thread
        // executes it.
        let cancel = AsyncCancel::any().sqe(CANCELLATION).skip_success();
        // A full queue contains such an entry already, or a later turn adds one.
        let _ = self.submission().push_safe(cancel);
        let _ = self.submit();
    }

    /// Passes every completion that is ready to `ended`. Returns how many operations ended.
    fn reap(&mut self, ended: &mut impl FnMut(Leftover<S, C>) -> bool) -> u32 {
        let mut count = 0;
        let polled = self.enter.is_polled();
        loop {
            // An error is ignored: a later turn tries again.
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
    pub(crate) fn pause(&mut self, time: Duration) {
        let waited = self.completion().wait_timeout(1, time);
        if !matches!(waited, Ok(()) | Err(Errno::TIME | Errno::INTR)) {
            // The kernel has no timed waits, or the ring cannot wait now.
            let time = Interval::try_from(time).ok();
            let _ = poll(&mut [], time.as_ref());
        }
    }
}

/// The time since an arbitrary moment, from a clock that never goes back.
#[cfg(feature = "std")]
pub(crate) fn now() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// The time since an arbitrary moment, from a clock that never goes back.
#[cfg(not(feature = "std"))]
pub(crate) fn now() -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    Duration::try_from(clock_gettime(ClockId::Monotonic)).unwrap_or_default()
}
