//! Ending owned jobs in a limited time: [`Jobs::shutdown`].

use core::fmt;
use core::mem::ManuallyDrop;
use core::time::Duration;

use rustix::io::Errno;

use crate::entry::{CqEntry, Cqe, OneWidth, SqEntry, Sqe};
use crate::uring::thread::OneThread;

use super::OwnedJobs;
use super::drain::Undrained;
use super::key::Key;
use super::ring::SafeRing;
use super::table::Jobs;
use super::user_data::MULTI;

impl<T: 'static, Th, S, C> OwnedJobs<T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Cancels everything that is in flight, waits for at most `timeout` until it has ended, drops
    /// the values, and returns the ring.
    ///
    /// # Errors
    ///
    /// [`StillRunning`] if operations are still in flight: a device may take any time, and a
    /// zero-copy send ends when the peer has read.
    #[expect(clippy::result_large_err, reason = "once for a ring; a box could not be had")]
    pub fn shutdown(mut self, timeout: Duration) -> Stopped<T, Th, S, C> {
        let is_here = self.inner.is_here();
        if is_here {
            if let Err(undrained) = self.drain(Some(timeout)) {
                let errno = match undrained {
                    Undrained::Late => Errno::TIME,
                    Undrained::Unknown(errno) => errno,
                };
                return Err(StillRunning { jobs: ManuallyDrop::new(self), errno });
            }
        }
        let mut jobs = ManuallyDrop::new(self);
        jobs.inner.end_scope();
        // SAFETY: `jobs` is not dropped, and `end_places` does not use the ring.
        let inner = unsafe { ManuallyDrop::take(&mut jobs.inner) };
        let ring = SafeRing::from_inner(inner);
        if is_here {
            jobs.end_places();
        }
        Ok(ring)
    }
}

/// The ring, when nothing is in flight any more.
pub type Stopped<T, Th = OneThread, S = Sqe, C = Cqe> =
    Result<SafeRing<Th, S, C>, StillRunning<T, Th, S, C>>;

/// The error of [`Jobs::shutdown`]: operations are still in flight.
///
/// Wait once more, by [`wait`](Self::wait). Dropping it **leaks** the values, which the kernel may
/// still use, and the ring.
pub struct StillRunning<
    T: 'static,
    Th = OneThread,
    S: SqEntry + OneWidth = Sqe,
    C: CqEntry + OneWidth = Cqe,
> {
    jobs: ManuallyDrop<OwnedJobs<T, Th, S, C>>,
    errno: Errno,
}

impl<T: 'static, Th, S, C> StillRunning<T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// `ETIME` if the time was up. Any other errno says that it cannot be known what is still in
    /// flight, and waiting will not help.
    pub fn errno(&self) -> Errno {
        self.errno
    }

    /// The names of the jobs in flight.
    pub fn keys(&self) -> impl Iterator<Item = Key> + '_ {
        let jobs: &OwnedJobs<T, Th, S, C> = &self.jobs;
        (0..jobs.count)
            .filter(|index| !jobs.place(*index).is_idle())
            .map(|index| Key::of(jobs.place(index)))
    }

    /// The value of a job in flight that borrows it shared, as one by
    /// [`start_multi`](Jobs::start_multi) does. The kernel may write to that of any other.
    pub fn value(&self, key: Key) -> Option<&T> {
        if key.index() >= self.jobs.count {
            return None;
        }
        let place = self.jobs.place(key.index());
        let is_shared = place.user_data.get() & MULTI != 0 && !place.is_idle();
        if !is_shared || !key.names(place) {
            return None;
        }
        // SAFETY: the job is in flight, so its value is in its place, and only shared references to
        // it are made until the job is done; `self` is borrowed meanwhile.
        Some(unsafe { &*place.value() })
    }

    /// Waits once more, as [`Jobs::shutdown`] does.
    ///
    /// # Errors
    ///
    /// As [`Jobs::shutdown`].
    #[expect(clippy::result_large_err, reason = "once for a ring; a box could not be had")]
    pub fn wait(self, timeout: Duration) -> Result<SafeRing<Th, S, C>, Self> {
        ManuallyDrop::into_inner(self.jobs).shutdown(timeout)
    }
}

impl<T, Th, S, C> fmt::Debug for StillRunning<T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StillRunning")
            .field("in_flight", &self.keys().count())
            .field("errno", &self.errno)
            .finish_non_exhaustive()
    }
}

impl<T, Th, S, C> fmt::Display for StillRunning<T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let errno = crate::entry::explain::ErrnoText(self.errno);
        write!(f, "{} jobs are still in flight ({errno})", self.keys().count())
    }
}

impl<T, Th, S, C> core::error::Error for StillRunning<T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
}

impl<T, Th, S, C> Jobs<'_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Drops the values of owned jobs that have been drained, and frees their places. In a process
    /// that did not make the ring, does neither.
    pub(super) fn end_places(&mut self) {
        let _free = Free { start: self.places(), len: self.count };
        self.drop_values();
    }

    /// Ends owned jobs: values, places, ring. In a process that did not make the ring, only the
    /// descriptor is released.
    pub(super) fn end(&mut self) {
        let is_here = self.inner.is_here();
        self.inner.end_scope();
        // SAFETY: this is the destructor, or the value is not dropped; nothing uses the ring after.
        let inner = unsafe { ManuallyDrop::take(&mut self.inner) };
        drop(inner);
        if is_here {
            self.end_places();
        }
    }
}

/// Frees the places of owned jobs, even if a value's destructor panics.
struct Free<T> {
    start: core::ptr::NonNull<super::place::Place<T>>,
    len: u32,
}

impl<T> Drop for Free<T> {
    fn drop(&mut self) {
        #[cfg(feature = "alloc")]
        {
            let slice = core::ptr::NonNull::slice_from_raw_parts(self.start, self.len as usize);
            // SAFETY: `SafeRing::into_jobs` leaked a box of exactly these places; nothing is in
            // flight from them, and nobody else frees them.
            drop(unsafe { alloc::boxed::Box::from_raw(slice.as_ptr()) });
        }
        // Without an allocator all jobs are those of a scope, whose places are borrowed.
        #[cfg(not(feature = "alloc"))]
        let _ = (self.start, self.len);
    }
}
