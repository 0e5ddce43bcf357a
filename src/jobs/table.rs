//! [`Jobs`]: the ring and its places, from the start of a job to its event.

use core::fmt;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;
use core::time::Duration;

use crate::enter::submit_error::SubmitError;
use crate::entry::{CqEntry, Cqe, OneWidth, SqEntry, Sqe};
use crate::ops::lent::{MultiIn, OpIn, ZeroCopyIn};
use crate::sys::{CqeFlags, SqeFlags};
use crate::uring::thread::OneThread;

use super::key::Key;
use super::owes::Owes;
use super::place::{Place, Source, TAKEN};
use super::refused::{Cause, Refused};
use super::ring::Inner;
use super::user_data::{self, BUFFER, IDLE, MAX_PLACES, MULTI, TURN};

/// No place is shown.
pub(super) const NONE: u32 = u32::MAX;
/// An event is shown whose job goes on, and which may owe something: there is nothing else to drop.
pub(super) const MORE: u32 = u32::MAX - 1;

/// A ring, and the jobs that are in flight on it.
///
/// A job is a value of the program's own type `T` and an operation that borrows from it. The value
/// stays in its *place* until the operation's last completion, and comes back with the
/// [`Event`](super::Event). [The module](super) has the whole picture.
///
/// From [`SafeRing::into_jobs`](super::SafeRing::into_jobs), or lent by
/// [`SafeRing::scope`](super::SafeRing::scope).
///
/// # Dropping
///
/// Dropping cancels everything that is in flight, and waits until it has ended, as long as that
/// takes; then it drops the values. [`shutdown`](Self::shutdown) waits for a limited time. If it
/// cannot be known whether something is still in flight, because the kernel dropped completions or
/// refuses to be entered, the values, the places and the ring are leaked.
///
/// In a child process (`fork(2)`), dropping it leaves everything as it is, starting a job fails
/// with `ECHILD`, and no event comes.
pub struct Jobs<
    'scope,
    'env: 'scope,
    T,
    Th = OneThread,
    S: SqEntry + OneWidth = Sqe,
    C: CqEntry + OneWidth = Cqe,
> {
    pub(super) inner: ManuallyDrop<Inner<Th, S, C>>,
    /// `count` places, which neither move nor are freed while something is in flight.
    places: NonNull<Place<T>>,
    pub(super) count: u32,
    /// The first free place; `NONE` if all are taken.
    free: u32,
    /// How many places are taken.
    pub(super) used: u32,
    /// The place whose event is shown: done, with its value in it.
    pub(super) shown: u32,
    /// How many chains are marked as cancelled.
    pub(super) cancelled: u32,
    /// When they are cancelled again, and the pause after that.
    pub(super) cancel_at: (Duration, Duration),
    /// Whether a quiet chain was ever started.
    pub(super) has_quiet: bool,
    /// What the shown event owns and nobody has taken.
    pub(super) owes: Owes,
    /// Invariant: the jobs of one scope cannot be swapped with those of another.
    brand: Brand<'scope, 'env>,
    values: PhantomData<T>,
}

/// Invariant in both lifetimes.
type Brand<'scope, 'env> = PhantomData<(fn(&'scope ()) -> &'scope (), fn(&'env ()) -> &'env ())>;

/// Jobs that own their values, for a struct or a signature.
pub type OwnedJobs<T, Th = OneThread, S = Sqe, C = Cqe> = Jobs<'static, 'static, T, Th, S, C>;

/// A place with a value, whose operation is being made: shown if the program panics meanwhile.
struct Unlaunched<'s> {
    shown: &'s mut u32,
    index: u32,
}

impl Drop for Unlaunched<'_> {
    fn drop(&mut self) {
        *self.shown = self.index;
    }
}

/// What a completion came to, and for which place.
pub(super) struct Seen<'p, T> {
    pub(super) place: &'p Place<T>,
    pub(super) result: i32,
    pub(super) flags: CqeFlags,
    pub(super) end: End,
}

/// Whether a completion is the last one of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// It is, and owns nothing.
    Bare,
    /// It is, and may own something.
    Owing,
    /// The job goes on.
    More,
}

impl<'scope, 'env, T, Th, S, C> Jobs<'scope, 'env, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Jobs on `inner`, in the places from `places` on.
    ///
    /// # Safety
    ///
    /// `places` points to `len` places, which nothing else uses until the value has been drained;
    /// they are not freed, and do not move, if that fails.
    ///
    /// # Panics
    ///
    /// If there are more than 2^24 - 2 places.
    pub(super) unsafe fn on(inner: Inner<Th, S, C>, places: NonNull<Place<T>>, len: usize) -> Self {
        let count = u32::try_from(len).unwrap_or(u32::MAX);
        assert!(count <= MAX_PLACES, "more than {MAX_PLACES} places");
        let jobs = Self {
            inner: ManuallyDrop::new(inner),
            places,
            count,
            free: if count == 0 { NONE } else { 0 },
            used: 0,
            shown: NONE,
            cancelled: 0,
            cancel_at: (Duration::ZERO, Duration::ZERO),
            has_quiet: false,
            owes: Owes::Nothing,
            brand: PhantomData,
            values: PhantomData,
        };
        for index in 0..count {
            let place = jobs.place(index);
            // What an earlier scope left there is idle; its generation goes on.
            let generation = place.user_data.get() >> 32 << 32;
            place.user_data.set(generation | IDLE | u64::from(index));
            place.next.set(if index + 1 == count { NONE } else { index + 1 });
        }
        jobs
    }

    /// The places, for whoever frees them.
    pub(super) const fn places(&self) -> NonNull<Place<T>> {
        self.places
    }

    /// The place `index`, which is less than `count`.
    ///
    /// The reference is not bound to `self`: places outlive every use (the contract of
    /// [`Self::on`]), and are only ever looked at through shared references (J6).
    #[inline(always)]
    pub(super) fn place<'p>(&self, index: u32) -> &'p Place<T> {
        debug_assert!(index < self.count);
        // SAFETY: less than `count`, so inside the allocation: callers take `index` from the free
        // list, from `shown`, or from user data that they have compared with `count`.
        let place = unsafe { self.places.add(index as usize) };
        // SAFETY: `on`'s contract: valid, and not used by others; no `&mut Place` is ever made.
        unsafe { place.as_ref() }
    }

    /// Starts a job: `value` goes into a place, and `op` makes the operation, which may borrow from
    /// the value, exclusively, and from whatever outlives the scope.
    ///
    /// The operation is submitted with the next call that submits. If the submission queue is full,
    /// this submits what it holds first.
    ///
    /// `op` is a function, or a closure that is written in the call: for one that was put into a
    /// variable before, the compiler does not find that it takes a value of any lifetime.
    ///
    /// # Errors
    ///
    /// [`Refused`], with the value: if every [place](Self::capacity) is taken, or if the queue is
    /// full and the kernel takes nothing.
    #[inline(always)]
    pub fn start(
        &mut self,
        value: T,
        op: impl for<'a> FnOnce(&'a mut T) -> OpIn<'a, 'scope>,
    ) -> Result<Key, Refused<T>> {
        let place = self.take_place(value)?;
        // SAFETY: the place was just filled, and nothing is in flight from it: nobody else refers
        // to the value.
        let value = unsafe { &mut *place.value() };
        let op = self.make(place, || op(value));
        self.launch(place, op)
    }

    /// Starts a job that may complete more often: as [`start`](Self::start), except that the
    /// operation borrows the value shared, so that it can be looked at with each event.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    #[inline]
    pub fn start_multi(
        &mut self,
        value: T,
        op: impl for<'a> FnOnce(&'a T) -> MultiIn<'a, 'scope>,
    ) -> Result<Key, Refused<T>> {
        let place = self.take_place(value)?;
        // SAFETY: the place was just filled, and only shared references to the value are made until
        // the job is done.
        let value = unsafe { &*place.value() };
        let op = self.make(place, || op(value));
        self.launch_multi(place, op)
    }

    /// Makes the operation of a place with a value. If that panics, the value is what the next call
    /// drops.
    #[inline(always)]
    pub(super) fn make<O>(&mut self, place: &Place<T>, make: impl FnOnce() -> O) -> O {
        let unlaunched = Unlaunched { shown: &mut self.shown, index: place.index() };
        let op = make();
        core::mem::forget(unlaunched);
        op
    }

    /// Puts `value` into a free place, and finds room in the queue: before the operation is
    /// [made](Self::make), since making one may take something out of the value.
    #[inline(always)]
    pub(super) fn take_place<'p>(&mut self, value: T) -> Result<&'p Place<T>, Refused<T>> {
        self.hide();
        let index = self.free;
        if index == NONE {
            return Err(Refused { value, cause: Cause::NoPlace });
        }
        if !self.inner.ring.sq.is_ready() {
            if let Err(cause) = self.make_room(1) {
                return Err(Refused { value, cause });
            }
        }
        let place = self.place(index);
        self.free = place.next.replace(TAKEN);
        self.used += 1;
        // SAFETY: a free place has no value, and nothing is in flight from it.
        unsafe { place.value().write(value) };
        Ok(place)
    }

    /// Puts the operation of a place in flight. There is room in the queue.
    #[inline(always)]
    pub(super) fn launch(
        &mut self,
        place: &Place<T>,
        op: OpIn<'_, 'scope>,
    ) -> Result<Key, Refused<T>> {
        let (mut sqe, makes, _) = op.into_parts();
        let mut user_data = place.user_data.get().wrapping_add(TURN) | user_data::makes(makes);
        if sqe.flags().contains(SqeFlags::BUFFER_SELECT) {
            user_data |= BUFFER;
            place.group.set(Source::of(&mut sqe));
        }
        self.fly(place, user_data, sqe)
    }

    /// The same for an operation that may complete more often.
    #[inline(always)]
    pub(super) fn launch_multi(
        &mut self,
        place: &Place<T>,
        op: MultiIn<'_, 'scope>,
    ) -> Result<Key, Refused<T>> {
        let (mut sqe, makes) = op.into_parts();
        let kinds = MULTI | BUFFER | user_data::makes(makes);
        place.group.set(Source::of(&mut sqe));
        self.fly(place, place.user_data.get().wrapping_add(TURN) | kinds, sqe)
    }

    /// The same for a zero-copy send: its last completion has no MORE, either.
    #[inline(always)]
    pub(super) fn launch_zc(
        &mut self,
        place: &Place<T>,
        op: ZeroCopyIn<'_, 'scope>,
    ) -> Result<Key, Refused<T>> {
        self.fly(place, place.user_data.get().wrapping_add(TURN) | MULTI, op.into_parts())
    }

    #[inline(always)]
    fn fly(&mut self, place: &Place<T>, user_data: u64, sqe: Sqe) -> Result<Key, Refused<T>> {
        // After the closure, which could have forked.
        if !self.inner.is_here() {
            return Err(self.refuse(place, elsewhere()));
        }
        place.user_data.set(user_data);
        // SAFETY: `take_place` and `ready` found room, and the closure that made the entry could
        // not reach the queue. What the entry names is borrowed from the value or outlives the
        // scope (J3); the value stays until the last completion (J2); that is the contract of
        // `SubmissionQueue::push`.
        unsafe { self.inner.ring.sq.push_known(sqe.with_user_data(user_data).into()) };
        // Last, so that the compiler knows it when the next event is asked for.
        self.shown = NONE;
        Ok(Key::of(place))
    }

    /// Finds room in the queue for `count` entries of a place whose job is done.
    #[inline(always)]
    pub(super) fn ready(&mut self, place: &Place<T>, count: usize) -> Result<(), Refused<T>> {
        if count > 1 || !self.inner.ring.sq.is_ready() {
            if let Err(cause) = self.make_room(count) {
                return Err(self.refuse(place, cause));
            }
        }
        Ok(())
    }

    /// Gives back the value of a place whose operation cannot be started: the ring is that of
    /// another process, whose memory is not there, or there is no room.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse(&mut self, place: &Place<T>, cause: Cause) -> Refused<T> {
        self.shown = NONE;
        Refused { value: self.take_value(place), cause }
    }

    /// Finds room for `count` entries, by submitting what the queue holds.
    #[cold]
    pub(super) fn make_room(&mut self, count: usize) -> Result<(), Cause> {
        if !self.inner.is_here() {
            return Err(elsewhere());
        }
        if count > self.inner.ring.sq.capacity() as usize {
            return Err(Cause::TooLong);
        }
        loop {
            if self.inner.ring.sq.find_room(count).is_ok() {
                return Ok(());
            }
            let submitted = self.inner.ring.submit();
            self.look_for_cut();
            submitted.map_err(Cause::Submit)?;
            if self.inner.ring.enter.is_polled() {
                self.wait_for_polling_thread()?;
            } else if self.inner.ring.sq.find_room(count).is_err() {
                // The kernel took fewer entries than there were: an entry of the front's cannot
                // stop it, so it is short of memory.
                let queued = self.inner.ring.sq.queued();
                let errno = rustix::io::Errno::AGAIN;
                return Err(Cause::Submit(SubmitError { errno, taken: 0, queued }));
            }
        }
    }

    /// Waits until the polling thread has taken an entry, if there is no room; otherwise lets it
    /// go on, since a chain needs more.
    fn wait_for_polling_thread(&mut self) -> Result<(), Cause> {
        let ring = &mut self.inner.ring;
        let waited = ring.enter.wait_for_thread(&mut ring.sq);
        match waited {
            // EAGAIN: there was room after all, or a signal is pending.
            Ok(()) | Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => Ok(()),
            Err(errno) => {
                let queued = self.inner.ring.sq.queued();
                Err(Cause::Submit(SubmitError { errno, taken: 0, queued }))
            }
        }
    }

    /// Drops what is shown and was neither finished nor restarted (J7).
    #[inline(always)]
    pub(super) fn hide(&mut self) {
        if self.shown != NONE {
            self.conceal();
        }
    }

    /// What [`hide`](Self::hide) does when there is something to hide.
    #[inline(never)]
    pub(super) fn conceal(&mut self) {
        self.settle_debts();
        let index = core::mem::replace(&mut self.shown, NONE);
        if index != MORE {
            drop(self.take_value(self.place(index)));
        }
    }

    /// Gives back what the shown event owns and nobody has taken.
    #[inline(always)]
    pub(super) fn settle_debts(&mut self) {
        if !matches!(self.owes, Owes::Nothing) {
            self.give_back();
        }
    }

    #[inline(never)]
    fn give_back(&mut self) {
        match core::mem::replace(&mut self.owes, Owes::Nothing) {
            Owes::Chain(index) => self.end_chain(self.place(index)),
            owes => self.inner.give_back(owes),
        }
    }

    /// Takes the value out of a place that is done, and gives the place up.
    #[inline(always)]
    pub(super) fn take_value(&mut self, place: &Place<T>) -> T {
        debug_assert!(place.is_idle());
        // SAFETY: the place is that of a job that is done, so it has a value, and nothing is in
        // flight from it. The place is given up at once, so the value is taken only once.
        let value = unsafe { place.value().read() };
        place.job.set(place.job.get().wrapping_add(1));
        place.next.set(self.free);
        self.free = place.index();
        self.used -= 1;
        value
    }

    /// How many places are taken: jobs in flight, and the event that is shown.
    #[inline]
    pub fn len(&self) -> u32 {
        self.used
    }

    /// Whether no job is in flight, and no event is shown.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// How many places there are: so many jobs can be in flight at once.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.count
    }

    /// How many more jobs can be started.
    #[inline]
    pub fn room(&self) -> u32 {
        self.count - self.used
    }

    /// Whether every place is taken. An event that is shown still has its place.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.used == self.count
    }
}

impl<T, Th, S, C> fmt::Debug for Jobs<'_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jobs")
            .field("len", &self.used)
            .field("capacity", &self.count)
            .finish_non_exhaustive()
    }
}

// SAFETY: the ring can be sent (`Inner`), the values can, and the places are reached through this
// alone.
unsafe impl<T: Send, S, C> Send for Jobs<'static, 'static, T, crate::uring::thread::AnyThread, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
}

/// What a child process is answered that inherited the ring.
pub(super) fn elsewhere() -> Cause {
    Cause::Submit(SubmitError { errno: rustix::io::Errno::CHILD, taken: 0, queued: 0 })
}
