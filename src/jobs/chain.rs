//! Chains: one job, one value, several operations that are linked, one event.

use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::Errno;

use crate::entry::{CqEntry, OneWidth, SqEntry};
use crate::ops::lent::{Makes, OpIn};
use crate::sys::{CqeFlags, Opcode, SqeFlags};

use super::event::{Done, Event, result};
use super::key::Key;
use super::owes::Owes;
use super::place::{Chain, Place};
use super::refused::{Cause, Refused};
use super::table::{End, Jobs, NONE, Seen, elsewhere};
use super::user_data::{self, MAX_LINKS, TURN};

impl<'scope, T, Th, S, C> Jobs<'scope, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Starts a chain as one job: each operation starts when the one before it has succeeded, and
    /// is cancelled if that fails. There is one event, when all have completed;
    /// [`Done::result_of`] returns what each has come to.
    ///
    /// If the kernel takes the entries in parts, the operations after a part start at once: with a
    /// polling thread (SQPOLL) that serves several rings, which takes 8 entries at a time, or when
    /// the kernel is out of memory (`ENOMEM`). The event comes when all have completed in any case.
    ///
    /// A short read or write counts as a failure. After [`OpIn::hard_link`] the next operation
    /// starts whatever becomes of the one before. Operations of one chain may share the memory that
    /// they borrow: see [`Span`](crate::ops::Span).
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); [`Cause::TooLong`] if the submission queue has fewer slots than
    /// there are links; [`Cause::BufferInChain`].
    #[inline]
    pub fn start_chain<const N: usize>(
        &mut self,
        value: T,
        ops: impl for<'a> FnOnce(&'a mut T) -> [OpIn<'a, 'scope>; N],
    ) -> Result<Key, Refused<T>> {
        self.start_links(value, ops, false)
    }

    /// Starts a chain of which only one completion comes: that of its last operation or, if one
    /// fails, of that one. It is the cheaper form where the results of the others do not matter.
    ///
    /// If the kernel runs out of memory for requests in the middle of the chain, and so takes a
    /// part of it, it cannot be known when that part has ended: the job has no event then, and
    /// keeps its value. Dropping the jobs leaks them, and the end of a scope aborts the process. On
    /// a ring with SQPOLL, where that is no failure, all links post completions.
    ///
    /// # Errors
    ///
    /// As [`start_chain`](Self::start_chain). [`Cause::NotQuiet`] for a link that is
    /// [hard](OpIn::hard_link), since what follows it would post its own completion; that makes
    /// a descriptor, of which nobody would learn; and for a
    /// [`LinkTimeout`](crate::ops::LinkTimeout) at the end, whose completion would come before that
    /// of the operation it limits.
    #[inline]
    pub fn start_quiet<const N: usize>(
        &mut self,
        value: T,
        ops: impl for<'a> FnOnce(&'a mut T) -> [OpIn<'a, 'scope>; N],
    ) -> Result<Key, Refused<T>> {
        self.start_links(value, ops, true)
    }

    fn start_links<const N: usize>(
        &mut self,
        value: T,
        ops: impl for<'a> FnOnce(&'a mut T) -> [OpIn<'a, 'scope>; N],
        quiet: bool,
    ) -> Result<Key, Refused<T>> {
        self.hide();
        // Before the value has a place, so that nothing is half done.
        if let Err(cause) = self.make_room(N) {
            return Err(Refused { value, cause });
        }
        let place = self.take_place(value)?;
        self.launch_links(place, ops, quiet)
    }

    /// Makes the operations of a place and puts them in flight. There is room for them.
    fn launch_links<const N: usize>(
        &mut self,
        place: &Place<T>,
        ops: impl for<'a> FnOnce(&'a mut T) -> [OpIn<'a, 'scope>; N],
        quiet: bool,
    ) -> Result<Key, Refused<T>> {
        const { assert!(N > 0 && N <= MAX_LINKS, "a chain has 1 to 7 links") }
        // SAFETY: nothing is in flight from the place, which has its value; nobody else refers to
        // it.
        let value = unsafe { &mut *place.value() };
        let ops = self.make(place, || ops(value)).map(OpIn::into_parts);
        if let Some(cause) = unfit(&ops.map(|(sqe, makes, hard)| (sqe, makes, hard)), quiet) {
            self.shown = NONE;
            return Err(Refused { value: self.take_value(place), cause });
        }
        // After the closure, which could have forked.
        if !self.inner.is_here() {
            return Err(self.refuse(place, elsewhere()));
        }
        // A polling thread may take a chain in two parts, which nobody would learn of.
        let silent = quiet && !self.inner.ring.enter.is_polled();
        let base = place.user_data.get().wrapping_add(TURN);
        let chain = &place.chain;
        let mut nth = 0;
        let entries = ops.map(|(sqe, makes, hard)| {
            let (this, is_last) = (nth, nth + 1 == N);
            nth += 1;
            if let Some(kind) = chain.makes.get(this) {
                kind.set(makes);
            }
            let flags = match (is_last, hard) {
                (true, _) => SqeFlags::empty(),
                (false, true) => SqeFlags::IO_HARDLINK,
                (false, false) if silent => SqeFlags::IO_LINK | SqeFlags::CQE_SKIP_SUCCESS,
                (false, false) => SqeFlags::IO_LINK,
            };
            S::from(sqe.with_flags(flags).with_user_data(user_data::of_link(base, this)))
        });
        chain.begin(N, silent);
        self.has_quiet |= silent;
        let mut cursor = self.inner.ring.sq.cursor();
        // The contract of `SubmissionQueue::push`, for each entry: what it names is borrowed from
        // the value or outlives the scope (J3); the value stays until all have completed (J2).
        if self.inner.ring.sq.push_all(&mut cursor, &entries).is_err() {
            // There was room, and the last entry is not linked: this is not reached.
            chain.links.set(0);
            self.shown = NONE;
            return Err(Refused { value: self.take_value(place), cause: Cause::TooLong });
        }
        place.user_data.set(base);
        self.shown = NONE;
        Ok(Key::of(place))
    }

    /// To be called after each submission. A kernel that is short of memory stops anywhere, and the
    /// links of a chain that it has taken are a chain of their own. Of a quiet one, nobody learns
    /// when that has ended: its value must stay.
    #[inline(always)]
    pub(super) fn look_for_cut(&mut self) {
        if self.has_quiet && self.inner.ring.sq.queued() > 0 {
            self.note_cut();
        }
    }

    #[cold]
    fn note_cut(&mut self) {
        let first = self.inner.ring.sq.first_unsent();
        let Some(user_data) = first.map(|entry| entry.as_sqe().user_data()) else { return };
        let index = user_data::place(user_data);
        if index >= self.count || user_data::link(user_data) < 2 {
            return;
        }
        let place = self.place(index);
        if place.user_data.get() == user_data::plain(user_data) && place.chain.quiet.get() {
            place.chain.cut.set(true);
        }
    }

    /// How many chains are cut.
    pub(super) fn count_cut(&self) -> usize {
        let places = (0..self.count).map(|index| self.place(index));
        places.filter(|place| !place.is_idle() && place.chain.cut.get()).count()
    }

    /// Notes the completion of link `nth`. Returns the event, if the chain is over.
    pub(super) fn settle_link<'p>(
        &mut self,
        index: u32,
        user_data: u64,
        nth: usize,
        result: i32,
        flags: CqeFlags,
    ) -> Option<Seen<'p, T>> {
        let place = self.place(index);
        if place.user_data.get() != user_data::plain(user_data) {
            return None;
        }
        let chain = &place.chain;
        let is_over = if chain.cut.get() {
            false
        } else if chain.quiet.get() {
            chain.is_ended_by(nth, result);
            true
        } else {
            chain.completes(nth, result)
        };
        if !is_over {
            if chain.cancelled.get() {
                // An entry that had not begun when it was cancelled was not found.
                self.cancel_links(place);
            }
            return None;
        }
        place.user_data.set(user_data::plain(user_data).wrapping_add(TURN));
        let last = usize::from(chain.links.get()).saturating_sub(1);
        let result = if chain.quiet.get() {
            result
        } else {
            chain.results.get(last).map_or(result, core::cell::Cell::get)
        };
        self.owes = Owes::Chain(index);
        Some(Seen { place, result, flags, end: End::Owing })
    }

    /// Closes what the links of a chain that is over have made and nobody has taken.
    #[cold]
    pub(super) fn end_chain(&mut self, place: &Place<T>) {
        let chain = &place.chain;
        for nth in 0..usize::from(chain.links.get()) {
            match chain.take(nth) {
                Some((Makes::Descriptor, fd)) => drop(own(fd)),
                Some((Makes::Slot, slot)) => {
                    self.inner.give_back(Owes::Slot(slot.unsigned_abs()));
                }
                _ => {}
            }
        }
        if chain.cancelled.replace(false) {
            self.cancelled -= 1;
        }
        chain.links.set(0);
    }
}

/// The owner of a descriptor that a link has made.
fn own(fd: i32) -> OwnedFd {
    // SAFETY: the kernel wrote the number in answer to an operation that makes a descriptor (J8):
    // `Chain::take` returns it once.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Why these operations cannot be a chain.
fn unfit(ops: &[(crate::entry::Sqe, Makes, bool)], quiet: bool) -> Option<Cause> {
    let takes_buffer =
        |op: &(crate::entry::Sqe, _, _)| op.0.flags().contains(SqeFlags::BUFFER_SELECT);
    if ops.iter().any(takes_buffer) {
        return Some(Cause::BufferInChain);
    }
    let (last, before) = ops.split_last()?;
    let loud = before.iter().any(|(_, makes, hard)| *hard || *makes != Makes::Nothing);
    if quiet && (loud || last.0.opcode() == Opcode::LINK_TIMEOUT) {
        return Some(Cause::NotQuiet);
    }
    None
}

impl Chain {
    /// A chain of `links` operations goes in flight.
    fn begin(&self, links: usize, quiet: bool) {
        #[expect(clippy::cast_possible_truncation, reason = "at most 7 links")]
        let count = links as u8;
        self.links.set(count);
        // A bit for each link.
        self.missing.set((1_u8 << count).wrapping_sub(1));
        self.quiet.set(quiet);
        self.cut.set(false);
        self.cancelled.set(false);
    }

    /// The one completion of a quiet chain has come: those before link `nth` have succeeded, and
    /// those after it were cancelled.
    fn is_ended_by(&self, nth: usize, result: i32) {
        for (other, place) in self.results.iter().enumerate() {
            place.set(if other < nth {
                -Errno::NODATA.raw_os_error()
            } else if other == nth {
                result
            } else {
                -Errno::CANCELED.raw_os_error()
            });
        }
        self.missing.set(0);
    }

    /// What link `nth` made, once.
    fn take(&self, nth: usize) -> Option<(Makes, i32)> {
        let (makes, result) = (self.makes.get(nth)?, self.results.get(nth)?.get());
        match makes.replace(Makes::Nothing) {
            Makes::Nothing => None,
            made if result >= 0 => Some((made, result)),
            _ => None,
        }
    }
}

impl<'scope, T, Th, S, C> Done<'_, 'scope, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// What operation `nth` of the chain, counted from 0, has come to.
    ///
    /// Of an operation alone, `result_of(0)` is its [`result`](Self::result).
    ///
    /// # Errors
    ///
    /// Those of the operation; `ECANCELED` if it was not started, as one before it failed; `EINVAL`
    /// if the chain has no such operation. In a chain started by [`Jobs::start_quiet`], `ENODATA`
    /// for one that succeeded and posted nothing.
    pub fn result_of(&self, nth: usize) -> Result<u32, Errno> {
        let chain = self.chain();
        match chain.links.get() {
            0 if nth == 0 => self.result(),
            links if nth < usize::from(links) => {
                chain.results.get(nth).map_or(Err(Errno::INVAL), |raw| result(raw.get()))
            }
            _ => Err(Errno::INVAL),
        }
    }

    /// Takes the descriptor that operation `nth` of the chain made, if it made one. Those that are
    /// not taken are closed.
    pub fn descriptor_of(&mut self, nth: usize) -> Option<OwnedFd> {
        let chain = self.chain();
        if nth >= usize::from(chain.links.get()) {
            return if nth == 0 { self.descriptor() } else { None };
        }
        if chain.makes.get(nth)?.get() != Makes::Descriptor {
            return None;
        }
        chain.take(nth).map(|(_, fd)| own(fd))
    }

    /// Starts the job again in its place, as a chain: as [`Jobs::start_chain`].
    ///
    /// # Errors
    ///
    /// As [`Jobs::start_chain`], with the value. The job is over then.
    pub fn restart_chain<const N: usize>(
        self,
        ops: impl for<'a> FnOnce(&'a mut T) -> [OpIn<'a, 'scope>; N],
    ) -> Result<Key, Refused<T>> {
        self.restart_links(ops, false)
    }

    /// Starts the job again in its place, as a quiet chain: as [`Jobs::start_quiet`].
    ///
    /// # Errors
    ///
    /// As [`Jobs::start_quiet`], with the value. The job is over then.
    pub fn restart_quiet<const N: usize>(
        self,
        ops: impl for<'a> FnOnce(&'a mut T) -> [OpIn<'a, 'scope>; N],
    ) -> Result<Key, Refused<T>> {
        self.restart_links(ops, true)
    }

    fn restart_links<const N: usize>(
        self,
        ops: impl for<'a> FnOnce(&'a mut T) -> [OpIn<'a, 'scope>; N],
        quiet: bool,
    ) -> Result<Key, Refused<T>> {
        let Event { jobs, seen } = self.settled();
        jobs.ready(seen.place, N)?;
        jobs.launch_links(seen.place, ops, quiet)
    }
}
