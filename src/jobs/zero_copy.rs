//! Zero-copy sends: jobs whose last completion comes when the peer has the data.

use crate::entry::{CqEntry, OneWidth, SqEntry};
use crate::ops::lent::ZeroCopyIn;

use super::event::{Done, Event};
use super::key::Key;
use super::refused::Refused;
use super::table::Jobs;

impl<T, Th, S, C> Jobs<'static, 'static, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Starts a send that does not copy its data. There are two events: the first one has the
    /// result, and [`has_more`](Event::has_more); the last one comes when the kernel has let go of
    /// the data, and has the value. A send that fails may have the last one alone.
    ///
    /// Only owned jobs can have them. From a peer that does not read, the last completion may never
    /// come, and cancelling does not bring it: dropping the jobs would wait as long. Bound that by
    /// [`shutdown`](Self::shutdown), or end the connection.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    #[inline]
    pub fn start_zc(
        &mut self,
        value: T,
        op: impl for<'a> FnOnce(&'a T) -> ZeroCopyIn<'a, 'static>,
    ) -> Result<Key, Refused<T>> {
        let place = self.take_place(value)?;
        // SAFETY: the place was just filled, and only shared references to the value are made until
        // the job is done.
        let value = unsafe { &*place.value() };
        let op = self.make(place, || op(value));
        self.launch_zc(place, op)
    }
}

impl<T, Th, S, C> Done<'_, 'static, 'static, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Starts the job again in its place, as a send that does not copy its data: as
    /// [`Jobs::start_zc`].
    ///
    /// # Errors
    ///
    /// As [`restart`](Self::restart).
    #[inline]
    pub fn restart_zc(
        self,
        op: impl for<'a> FnOnce(&'a T) -> ZeroCopyIn<'a, 'static>,
    ) -> Result<Key, Refused<T>> {
        let Event { jobs, seen } = self.settled();
        let place = seen.place;
        jobs.ready(place, 1)?;
        // SAFETY: the job is done, and only shared references are made until it is done again.
        let op = op(unsafe { &*place.value() });
        jobs.launch_zc(place, op)
    }
}
