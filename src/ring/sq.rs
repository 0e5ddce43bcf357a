//! The submission queue's shared half: slots, tail and head.
//!
//! The tail that this side fills up to lives here, in plain memory; the kernel sees it when
//! [`Sq::publish`] stores it, and only then. An entry is copied into its slot when pushed.

use core::ptr::NonNull;

use crate::entry::slot::SqSlots;
use crate::entry::{OneWidth, SqEntry, Sqe};
use crate::sys::{Opcode, SqStatus};

use super::atomic::will_write;
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

/// Where the next entry goes: all that a push looks at.
///
/// Addresses, so that a push is one comparison, the stores to the slot, and one addition. A
/// borrower of the queue works on a copy, which stays in registers whatever is stored to slots;
/// the queue's own `next` follows with each push.
#[derive(Debug)]
pub(crate) struct Cursor<S: SqEntry> {
    /// The slot of the next entry, if it is not `stop`.
    next: NonNull<S::Slot>,
    /// The first slot from there on that is not known to be free, or the end of the slots.
    stop: NonNull<S::Slot>,
}

impl<S: SqEntry> Clone for Cursor<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: SqEntry> Copy for Cursor<S> {}

impl<S: SqEntry> Cursor<S> {
    /// Slots that are known to be free and lie behind each other.
    #[inline(always)]
    fn left(&self) -> usize {
        (self.stop.addr().get() - self.next.addr().get()) / size_of::<S::Slot>()
    }

    /// Copies `entry` into the next slot.
    ///
    /// # Safety
    ///
    /// The next slot is not `stop`, and the entry takes one slot.
    #[inline(always)]
    unsafe fn put(&mut self, entry: S) {
        will_write(self.next.as_ptr());
        // SAFETY:
        // 1. Valid for writes: before `stop`, so one of the slots.
        // 2. Nobody reads it: before the limit, so the kernel's head has gone past the entry that
        //    was here (R2), and not published.
        unsafe { entry.store(self.next.as_ptr()) };
        // SAFETY: at most `stop`, which is at most the end of the slots.
        self.next = unsafe { self.next.add(1) };
    }
}

// SAFETY: two addresses; what is there is used through a queue, which says who may.
unsafe impl<S: SqEntry> Send for Cursor<S> {}

/// This side of a submission queue.
#[derive(Debug)]
pub(crate) struct Sq<S: SqEntry> {
    parts: SqParts<S>,
    cursor: Cursor<S>,
    /// The position of the first slot, in the lap around the slots that the cursor is in.
    lap: Position,
    /// The first position that is not known to be free: at most `entries` past the tail.
    limit: Position,
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
        let mut sq = Self { parts, cursor, lap: tail, limit: tail };
        // How much room there is, the first push finds out.
        sq.go_on_from(tail, tail);
        sq
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
            *cursor = self.make_room();
            if cursor.next == cursor.stop {
                return Err(PushError::Full(()));
            }
        }
        // SAFETY: the next slot is not `stop`, and the entry takes one.
        unsafe { cursor.put(entry) };
        self.cursor.next = cursor.next;
        Ok(())
    }

    /// Goes over to the first slot behind the last one, or looks how far the kernel has come.
    #[cold]
    fn make_room(&mut self) -> Cursor<S> {
        let tail = self.tail();
        if self.limit == tail {
            self.refresh();
        } else {
            self.go_on_from(tail, self.limit);
        }
        self.cursor
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
        split.then(|| Sqe::new(Opcode::NOP).skip_success().into())
    }

    /// Sets `count` slots aside, or says why it cannot. `cursor` is a copy of the queue's own.
    #[inline(always)]
    pub(crate) fn reserve<'q>(
        &'q mut self,
        cursor: &'q mut Cursor<S>,
        count: usize,
    ) -> Result<Room<'q, S>, PushError<()>> {
        let Some(count) = u32::try_from(count).ok().filter(|count| *count <= self.capacity())
        else {
            return Err(PushError::TooMany(()));
        };
        let tail = self.tail();
        if self.limit.since(tail) < count {
            let room = self.refresh();
            // What was the end of the slots may have become their start, in the next lap.
            *cursor = self.cursor;
            if room < count {
                return Err(PushError::Full(()));
            }
        }
        Ok(Room { at: tail, end: tail.advance(count), open: false, sq: self, cursor })
    }

    /// Looks how far the kernel has come. Returns the room there is now.
    #[inline(always)]
    fn refresh(&mut self) -> u32 {
        // A head that names more entries than there are slots is the other side's error: the
        // queue then looks full, and no slot is overwritten on its word.
        let (tail, room) = (self.tail(), self.room());
        self.go_on_from(tail, tail.advance(room));
        room
    }

    /// Puts the next entry at `tail`; up to `limit` slots are free.
    #[inline(always)]
    fn go_on_from(&mut self, tail: Position, limit: Position) {
        let slot = tail.slot(self.parts.mask);
        // A u32 always fits a usize: the crate is built for 32 and 64 bits only.
        let free = (limit.since(tail) as usize).min(self.capacity() as usize - slot);
        self.lap = tail.back(tail.0 & self.parts.mask);
        self.limit = limit;
        // SAFETY: a slot index is at most `mask`, and `new` was given `mask + 1` slots.
        self.cursor.next = unsafe { self.parts.slots.add(slot) };
        // SAFETY: at most the end of the slots, by the minimum above.
        self.cursor.stop = unsafe { self.cursor.next.add(free) };
    }

    /// The position of the next entry.
    #[inline(always)]
    fn tail(&self) -> Position {
        let bytes = self.cursor.next.addr().get() - self.parts.slots.addr().get();
        // At most `mask + 1`, which is a u32.
        #[expect(clippy::cast_possible_truncation, reason = "there are no more slots than that")]
        let slots = (bytes / size_of::<S::Slot>()) as u32;
        self.lap.advance(slots)
    }

    /// The position up to which the kernel has taken entries.
    #[inline(always)]
    fn head(&self) -> Position {
        self.parts.head.observe()
    }

    /// Entries that can be pushed now.
    pub(crate) fn room(&self) -> u32 {
        self.capacity().saturating_sub(self.queued())
    }

    /// Entries that are pushed and not yet taken by the kernel.
    #[inline(always)]
    pub(crate) fn queued(&self) -> u32 {
        self.tail().since(self.head())
    }

    /// Entries that are pushed and not yet published.
    #[inline(always)]
    pub(crate) fn unpublished(&self) -> u32 {
        self.tail().since(Position(self.parts.tail.get()))
    }

    /// Shows the kernel everything pushed so far. Returns how many entries are new to it.
    #[inline(always)]
    pub(crate) fn publish(&mut self) -> u32 {
        let fresh = self.unpublished();
        // R1.
        self.parts.tail.publish(self.tail());
        fresh
    }

    /// Shows the kernel everything pushed so far. Returns how many entries it has not taken.
    #[inline(always)]
    pub(crate) fn publish_all(&mut self) -> u32 {
        let tail = self.tail();
        // R1.
        self.parts.tail.publish(tail);
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
        for slot in 0..left {
            let from = self.slot(Position(slot.saturating_add(count)));
            let to = self.slot(Position(slot));
            // SAFETY: both are slots of ours, which the kernel does not look at between two
            // submits; copying a slot onto itself is allowed.
            unsafe { core::ptr::copy(from, to, 1) };
        }
        self.go_on_from(Position(left), Position(self.capacity()));
        self.publish();
    }

    /// Takes back the entry pushed last, if the kernel cannot have it yet.
    ///
    /// If the queue is `polled` that is one not published; otherwise one that no submit has
    /// handed over.
    pub(crate) fn pop_back(&mut self, polled: bool) -> Option<S>
    where
        S: OneWidth + SqSlots<Slot = S>,
    {
        if self.ours(polled) == 0 {
            return None;
        }
        self.take_back(1);
        // SAFETY: a slot of ours, valid for reads; any bytes are an entry.
        Some(unsafe { self.cursor.next.read() })
    }

    /// Takes all entries back that the kernel cannot have yet. Returns how many slots.
    pub(crate) fn rollback(&mut self, polled: bool) -> u32 {
        let ours = self.ours(polled);
        self.take_back(ours);
        ours
    }

    /// The slots that are pushed and that the kernel cannot have yet.
    fn ours(&self, polled: bool) -> u32 {
        let ours = if polled { self.unpublished() } else { self.queued() };
        // More than there are slots is what a head says that is not one.
        if ours > self.capacity() { 0 } else { ours }
    }

    fn take_back(&mut self, slots: u32) {
        let hidden = self.unpublished();
        self.go_on_from(self.tail().back(slots), self.limit);
        if slots > hidden {
            // Without SQPOLL the kernel looks only when it is entered: show less again.
            self.publish();
        }
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
    fn store(&mut self, at: Position, entry: S) {
        let slot = self.slot(at);
        will_write(slot);
        // SAFETY:
        // 1. Valid for writes: a slot of ours, and the next one too where the entry takes two,
        //    as `filler` sees to it that it does not start in the last.
        // 2. Nobody reads it: `at` is below `limit`, so the kernel's head has gone past the
        //    entry that was here (R2), and above what is published.
        unsafe { entry.store(slot) }
    }

    #[inline(always)]
    fn slot(&self, at: Position) -> *mut S::Slot {
        // SAFETY: a slot index is at most `mask`, and `new` was given `mask + 1` slots.
        let slot = unsafe { self.parts.slots.add(at.slot(self.parts.mask)) };
        slot.as_ptr()
    }
}

/// Slots set aside, filled in place and queued together by [`Room::commit`].
#[derive(Debug)]
pub(crate) struct Room<'q, S: SqEntry> {
    sq: &'q mut Sq<S>,
    cursor: &'q mut Cursor<S>,
    at: Position,
    end: Position,
    /// The entry put last is linked to the next one.
    open: bool,
}

impl<S: SqEntry> Room<'_, S> {
    /// How many more entries fit.
    #[inline(always)]
    pub(crate) const fn left(&self) -> u32 {
        self.end.since(self.at)
    }

    /// Copies `entry` into its slots. Returns false, and does nothing, if there is no room.
    ///
    /// An entry that takes two does not start in the queue's last slot: see [`Sq::filler`].
    #[inline(always)]
    pub(crate) fn put(&mut self, entry: S) -> bool {
        if self.left() < entry.slots() {
            return false;
        }
        self.open = entry.as_sqe().is_linked();
        self.sq.store(self.at, entry);
        self.at = self.at.advance(entry.slots());
        true
    }

    /// Whether the entry put last is linked to one that has not come.
    #[inline(always)]
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// Queues what has been put.
    #[inline(always)]
    pub(crate) fn commit(self) {
        self.sq.go_on_from(self.at, self.sq.limit);
        *self.cursor = self.sq.cursor;
    }
}

#[cfg(test)]
impl<S: SqEntry> Sq<S> {
    /// Copies `entry` into the next slot, or gives it back.
    pub(super) fn push(&mut self, entry: S) -> Result<(), PushError<S>> {
        let mut cursor = self.cursor();
        let pushed = self.push_at(&mut cursor, entry).map_err(|error| error.map(|()| entry));
        assert_eq!(cursor.next, self.cursor.next, "a copy is left behind");
        assert_eq!(cursor.stop, self.cursor.stop, "a copy is left behind");
        pushed
    }

    /// Copies all of `entries` into the next slots, or none.
    pub(super) fn push_list(&mut self, entries: &[S]) -> Result<(), PushError<()>> {
        let mut cursor = self.cursor();
        self.push_all(&mut cursor, entries)
    }
}
