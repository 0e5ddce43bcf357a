//! The submission queue's shared half: slots, tail and head.
//!
//! The tail that this side fills up to lives here, in plain memory; the kernel sees it when
//! [`Sq::publish`] stores it, and only then. What was shown is known here, too: a word of this
//! side's is never read back from shared memory. An entry is copied into its slot when pushed.

mod back;
mod chain;

use core::ptr::NonNull;

use crate::entry::{SqEntry, Sqe};
use crate::sys::{Opcode, SqStatus};

use super::cursor::Cursor;
use super::order::{Ours, Theirs, publish_before_peek};
use super::position::Position;
use super::push_error::PushError;

/// Where the pieces of a submission queue are.
#[derive(Debug)]
pub(crate) struct SqParts<S: SqEntry> {
    pub(crate) head: Theirs,
    pub(crate) tail: Ours,
    pub(crate) flags: Theirs,
    pub(crate) dropped: Theirs,
    pub(crate) slots: NonNull<S::Slot>,
    /// Slots less one; the number of slots is a power of two.
    pub(crate) mask: u32,
    /// The kernel counts from slot 0 at each submission, and leaves its head alone:
    /// SQ_REWIND. `head` is then a word that stays 0.
    pub(crate) rewinds: bool,
}

/// This side of a submission queue.
#[derive(Debug)]
pub(crate) struct Sq<S: SqEntry> {
    parts: SqParts<S>,
    cursor: Cursor<S>,
    /// Where the slot of position 0 would be if the slots of this lap followed upon those of all
    /// laps before it: from there to the cursor, in slots, is the position of the next entry.
    origin: u64,
    /// The first position that is not known to be free: at most `entries` past the tail.
    limit: Position,
    /// Up to where the kernel has been shown entries.
    shown: Position,
    /// Entries of the open chain, in the slots from the tail on: see [`chain`].
    chained: u32,
    /// The queue has no memory any more: see [`Sq::abandon`].
    abandoned: bool,
}

// SAFETY: the pointers lead to memory of the ring's that has no thread, and one queue is all
// that uses them from this side. It is not `Sync`.
unsafe impl<S: SqEntry> Send for Sq<S> {}

impl<S: SqEntry> Sq<S> {
    /// Takes over a queue, from where its words stand.
    ///
    /// # Safety
    ///
    /// Until the value is last used, `parts.slots` points to `parts.mask + 1` slots, a power
    /// of two, that are valid for reads and writes and that nobody else writes; the words
    /// meet the contracts of their roles.
    pub(crate) unsafe fn new(parts: SqParts<S>) -> Self {
        debug_assert!(parts.mask.wrapping_add(1).is_power_of_two());
        let tail = Position(parts.tail.get());
        let cursor = Cursor { next: parts.slots, stop: parts.slots };
        let mut sq = Self {
            parts,
            cursor,
            origin: 0,
            limit: tail,
            shown: tail,
            chained: 0,
            abandoned: false,
        };
        // How much room there is, the first push finds out.
        sq.go_on_from(tail, tail);
        sq
    }

    /// Lets go of the ring's memory, which is not this process's, or not the ring's any more.
    ///
    /// From then on the queue is empty and takes nothing; what it publishes nobody sees.
    #[cold]
    pub(crate) fn abandon(&mut self) {
        if self.abandoned {
            return;
        }
        self.abandoned = true;
        self.parts = SqParts {
            head: Theirs::zero(),
            tail: Ours::unread(),
            flags: Theirs::zero(),
            dropped: Theirs::zero(),
            slots: NonNull::dangling(),
            mask: 0,
            rewinds: false,
        };
        self.cursor = Cursor { next: self.parts.slots, stop: self.parts.slots };
        self.origin = self.parts.slots.addr().get() as u64;
        self.limit = Position(0);
        self.shown = Position(0);
        self.chained = 0;
    }

    /// How many entries the queue has room for in all.
    #[inline(always)]
    pub(crate) const fn capacity(&self) -> u32 {
        self.parts.mask + 1
    }

    /// Where the next entry goes now.
    #[inline(always)]
    pub(crate) const fn cursor(&self) -> Cursor<S> {
        self.cursor
    }

    /// Copies `entry` into the slot at `cursor`, a copy of the queue's own.
    #[inline(always)]
    pub(crate) fn push_at(
        &mut self,
        cursor: &mut Cursor<S>,
        entry: S,
    ) -> Result<(), PushError<()>> {
        if entry.as_sqe().is_linked() {
            return Err(PushError::OpenChain(()));
        }
        if entry.slots() > 1 {
            return self.push_around(cursor, &[entry]);
        }
        if cursor.next == cursor.stop {
            let made = self.make_room(1);
            *cursor = self.cursor;
            made?;
        }
        // SAFETY: the next slot is not `stop`, and the entry takes one.
        unsafe { cursor.put(entry) };
        self.cursor.next = cursor.next;
        Ok(())
    }

    /// Copies all of `entries` into the next slots, or none. `cursor` is a copy of the queue's own.
    #[inline(always)]
    pub(crate) fn push_all(
        &mut self,
        cursor: &mut Cursor<S>,
        entries: &[S],
    ) -> Result<(), PushError<()>> {
        if entries.last().is_some_and(|last| last.as_sqe().is_linked()) {
            return Err(PushError::OpenChain(()));
        }
        let is_narrow = entries.iter().all(|entry| entry.slots() == 1);
        if !is_narrow || cursor.left() < entries.len() {
            return self.push_around(cursor, entries);
        }
        for entry in entries {
            // SAFETY: as many slots are left before `stop` as there are entries, of one slot each.
            unsafe { cursor.put(*entry) };
        }
        self.cursor.next = cursor.next;
        Ok(())
    }

    /// Copies all of `entries`, which are no open chain, into the next slots, around the end of the
    /// queue and over what may have become free; or none.
    #[inline(never)]
    fn push_around(&mut self, cursor: &mut Cursor<S>, entries: &[S]) -> Result<(), PushError<()>> {
        let filler = self.filler(entries);
        let slots = entries.iter().map(|entry| entry.slots() as usize).sum::<usize>();
        let count = slots.saturating_add(filler.iter().len());
        let mut room = self.reserve(cursor, count)?;
        for entry in filler.iter().chain(entries) {
            room.put(*entry);
        }
        room.commit();
        Ok(())
    }

    /// What has to come before `entries` so that none of them is split by the queue's end.
    ///
    /// One slot does: what would have started in the last slot then starts in the first. It
    /// goes before them all, as between two linked entries it would be part of the chain.
    #[inline(always)]
    fn filler(&self, entries: &[S]) -> Option<S> {
        let mut at = self.tail();
        let split = entries.iter().any(|entry| {
            let starts_last = at.slot(self.parts.mask) == self.parts.mask as usize;
            at = at.advance(entry.slots());
            entry.slots() > 1 && starts_last
        });
        split.then(|| filler().into())
    }

    /// Sets `count` slots aside, or says why it cannot. `cursor` is a copy of the queue's own.
    #[inline(always)]
    pub(crate) fn reserve<'q>(
        &'q mut self,
        cursor: &'q mut Cursor<S>,
        count: usize,
    ) -> Result<Room<'q, S>, PushError<()>> {
        if cursor.left() < count {
            let made = self.make_room(count);
            *cursor = self.cursor;
            made?;
        }
        #[expect(clippy::cast_possible_truncation, reason = "so many slots are there")]
        let left = count as u32;
        Ok(Room { at: *cursor, left, open: false, sq: self, cursor })
    }

    /// Makes sure that `count` slots are free from the cursor on, around the end of the slots:
    /// goes over to the first slot behind the last one, or looks how far the kernel has come.
    ///
    /// A borrower takes its copy of the cursor anew, whatever this returns. It is not passed here:
    /// whose address is known elsewhere stays in no register.
    #[cold]
    fn make_room(&mut self, count: usize) -> Result<(), PushError<()>> {
        if self.abandoned {
            return Err(PushError::Unusable(()));
        }
        if self.chained > 0 {
            return Err(PushError::InChain(()));
        }
        let tail = self.tail();
        // A u32 always fits a usize: the crate is built for 32 and 64 bits only.
        if self.limit.since(tail) as usize >= count {
            self.go_on_from(tail, self.limit);
        } else if (self.refresh() as usize) < count {
            let never = count > self.capacity() as usize;
            return Err(if never { PushError::TooMany(()) } else { PushError::Full(()) });
        }
        Ok(())
    }

    /// Looks how far the kernel has come. Returns the room there is now.
    #[inline(always)]
    fn refresh(&mut self) -> u32 {
        // A head that names more entries than there are slots is the other side's error: the
        // queue then looks full, and no slot is overwritten on its word.
        let (tail, room) = (self.tail(), self.free());
        self.go_on_from(tail, tail.advance(room));
        room
    }

    /// Puts the next entry at `tail`; up to `limit` slots are free.
    #[inline(always)]
    fn go_on_from(&mut self, tail: Position, limit: Position) {
        let slot = tail.slot(self.parts.mask);
        // A u32 always fits a usize: the crate is built for 32 and 64 bits only.
        let free = (limit.since(tail) as usize).min(self.capacity() as usize - slot);
        let lap = tail.back(tail.0 & self.parts.mask);
        let before = u64::from(lap.0) * size_of::<S::Slot>() as u64;
        self.origin = (self.parts.slots.addr().get() as u64).wrapping_sub(before);
        self.limit = limit;
        // SAFETY: a slot index is at most `mask`, and `new` was given `mask + 1` slots.
        self.cursor.next = unsafe { self.parts.slots.add(slot) };
        // SAFETY: at most the end of the slots, by the minimum above.
        self.cursor.stop = unsafe { self.cursor.next.add(free) };
    }

    /// Counts on from the cursor, which has gone around the end of the slots.
    #[cold]
    fn begin_lap(&mut self) {
        self.go_on_from(self.tail().advance(self.capacity()), self.limit);
    }

    /// The position of the next entry.
    #[inline(always)]
    fn tail(&self) -> Position {
        let bytes = (self.cursor.next.addr().get() as u64).wrapping_sub(self.origin);
        #[expect(clippy::cast_possible_truncation, reason = "positions wrap at 2^32")]
        let position = (bytes / size_of::<S::Slot>() as u64) as u32;
        Position(position)
    }

    /// The position up to which the kernel has taken entries.
    #[inline(always)]
    fn head(&self) -> Position {
        self.parts.head.observe()
    }

    /// Slots that are not queued.
    #[inline(always)]
    fn free(&self) -> u32 {
        if self.abandoned { 0 } else { self.capacity().saturating_sub(self.queued()) }
    }

    /// Entries that can be pushed now.
    pub(crate) fn room(&self) -> u32 {
        self.free().saturating_sub(self.chained)
    }

    /// Entries that are pushed and not yet taken by the kernel.
    #[inline(always)]
    pub(crate) fn queued(&self) -> u32 {
        self.untaken(self.tail())
    }

    /// Entries that are pushed and not yet published.
    #[inline(always)]
    pub(crate) fn unpublished(&self) -> u32 {
        self.tail().since(self.shown)
    }

    /// Shows the kernel everything pushed so far. Returns how many entries are new to it.
    #[inline(always)]
    pub(crate) fn publish(&mut self) -> u32 {
        let fresh = self.unpublished();
        self.show();
        fresh
    }

    /// Shows the kernel everything pushed so far. Returns up to where.
    #[inline(always)]
    pub(crate) fn show(&mut self) -> Position {
        let tail = self.tail();
        // R1.
        self.parts.tail.publish(tail);
        self.shown = tail;
        tail
    }

    /// Entries before `tail` that the kernel has not taken.
    #[inline(always)]
    pub(crate) fn untaken(&self, tail: Position) -> u32 {
        tail.since(self.head())
    }

    /// Tells that the kernel took `count` entries of a queue that rewinds: the others move to
    /// the front, where the kernel will look for them.
    #[inline(always)]
    pub(crate) fn taken(&mut self, count: u32) {
        if self.parts.rewinds {
            self.rewind(count);
        }
    }

    #[cold]
    fn rewind(&mut self, count: u32) {
        // The tail counts from 0, unless the other side had written to it before this one took it
        // over.
        let left = self.tail().0.saturating_sub(count).min(self.capacity());
        for slot in 0..left.saturating_add(self.chained).min(self.capacity()) {
            let from = self.slot(Position(slot.saturating_add(count)));
            let to = self.slot(Position(slot));
            // SAFETY: both are slots of ours, which the kernel does not look at between two
            // submits; copying a slot onto itself is allowed.
            unsafe { core::ptr::copy(from, to, 1) };
        }
        self.go_on_from(Position(left), Position(self.capacity()));
        if self.chained > 0 {
            self.cursor.stop = self.cursor.next;
        }
        self.publish();
    }

    /// The kernel's flags, ordered after the last publish (R5) if the queue is `polled`.
    #[inline(always)]
    pub(crate) fn status(&self, polled: bool) -> SqStatus {
        if polled {
            publish_before_peek();
        }
        SqStatus::from_bits_retain(self.parts.flags.peek())
    }

    /// Entries that the kernel dropped because an index was invalid.
    pub(crate) fn dropped(&self) -> u32 {
        self.parts.dropped.peek()
    }

    #[inline(always)]
    fn slot(&self, at: Position) -> *mut S::Slot {
        // SAFETY: a slot index is at most `mask`, and `new` was given `mask + 1` slots.
        let slot = unsafe { self.parts.slots.add(at.slot(self.parts.mask)) };
        slot.as_ptr()
    }
}

/// An entry that does nothing and posts no completion: padding before the end of a mixed queue.
fn filler() -> Sqe {
    Sqe::new(Opcode::NOP).skip_success()
}

/// Slots set aside, filled in place and queued together by [`Room::commit`].
#[derive(Debug)]
pub(crate) struct Room<'q, S: SqEntry> {
    sq: &'q mut Sq<S>,
    /// The borrower's copy, which like the queue's own stays where it is until the commit.
    cursor: &'q mut Cursor<S>,
    /// Where the next entry goes: not to `stop`, as long as slots are left.
    at: Cursor<S>,
    /// Slots that are set aside from there on, around the end of the slots.
    left: u32,
    /// The entry put last is linked to the next one.
    open: bool,
}

impl<S: SqEntry> Room<'_, S> {
    /// How many more slots there are.
    #[inline(always)]
    pub(crate) const fn left(&self) -> u32 {
        self.left
    }

    /// Copies `entry` into its slots. Returns false, and does nothing, if there is no room.
    ///
    /// An entry that takes two does not start in the queue's last slot: see [`Sq::filler`].
    #[inline(always)]
    pub(crate) fn put(&mut self, entry: S) -> bool {
        let slots = entry.slots();
        if self.left < slots {
            return false;
        }
        self.open = entry.as_sqe().is_linked();
        // SAFETY: as many slots are left, and they are not split by the end of the slots, where the
        // next entry never goes.
        unsafe { self.at.put(entry) };
        self.left -= slots;
        if self.left > 0 && self.at.next == self.at.stop {
            self.go_around();
        }
        true
    }

    /// Goes over from the end of the slots to the first one.
    #[cold]
    fn go_around(&mut self) {
        self.at.next = self.sq.parts.slots;
        // SAFETY: no more are left than there are slots.
        self.at.stop = unsafe { self.at.next.add(self.left as usize) };
    }

    /// Whether the entry put last is linked to one that has not come.
    #[inline(always)]
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// Queues what has been put.
    #[inline(always)]
    pub(crate) fn commit(self) {
        self.sq.cursor.next = self.at.next;
        if self.at.stop != self.cursor.stop {
            // Around the end: fewer slots were left then than there are, so the stop is another.
            self.sq.begin_lap();
        }
        *self.cursor = self.sq.cursor;
    }
}
