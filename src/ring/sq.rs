//! The submission queue's shared half: slots, tail and head.
//!
//! This side keeps its tail, the end of the entries that are filled in, in plain memory. The kernel
//! sees it only after [`Sq::publish`] has stored it. This side also keeps the tail that it last
//! published: it never reads its own word back from shared memory. An entry is copied into its slot
//! when it is pushed.

mod back;
mod chain;
mod ready;

use core::ptr::NonNull;

use crate::entry::{SqEntry, Sqe};
use crate::sys::{Opcode, SqStatus};

use super::cursor::Cursor;
use super::order::{Ours, Theirs, publish_before_peek};
use super::position::Position;
use super::push_error::PushError;

/// The addresses of the parts of a submission queue.
#[derive(Debug)]
pub(crate) struct SqParts<S: SqEntry> {
    pub(crate) head: Theirs,
    pub(crate) tail: Ours,
    pub(crate) flags: Theirs,
    pub(crate) dropped: Theirs,
    pub(crate) slots: NonNull<S::Slot>,
    /// The number of slots minus one; the number of slots is a power of two.
    pub(crate) mask: u32,
    /// With SQ_REWIND the kernel starts at slot 0 in each submission, and does not change its head.
    /// `head` is then a word that stays 0.
    pub(crate) rewinds: bool,
}

/// This side of a submission queue.
#[derive(Debug)]
pub(crate) struct Sq<S: SqEntry> {
    parts: SqParts<S>,
    cursor: Cursor<S>,
    /// The slot at which the cursor was last set, and its position. The cursor moves on from there
    /// within one lap, so the distance between the two is how far the tail is after `started_at`.
    start: NonNull<S::Slot>,
    started_at: Position,
    /// The first position that is not known to be free: at most `mask + 1` after the tail.
    limit: Position,
    /// The tail that was last published.
    shown: Position,
    /// The number of entries of the open chain, in the slots after the tail: see [`chain`].
    chained: u32,
    /// Whether the queue no longer uses the ring's memory: see [`Sq::abandon`].
    abandoned: bool,
}

// SAFETY: the pointers refer to the ring's memory, which is not bound to a thread, and only this
// queue uses them from this side. It is not `Sync`.
unsafe impl<S: SqEntry> Send for Sq<S> {}

impl<S: SqEntry> Sq<S> {
    /// Takes over a queue, starting at the current values of its words.
    ///
    /// # Safety
    ///
    /// Until the value is last used: `parts.slots` points to `parts.mask + 1` slots, a power of
    /// two, that are valid for reads and writes; nothing else writes them; and the words meet the
    /// contracts of their roles.
    pub(crate) unsafe fn new(parts: SqParts<S>) -> Self {
        debug_assert!(parts.mask.wrapping_add(1).is_power_of_two());
        let tail = Position(parts.tail.get());
        let cursor = Cursor { next: parts.slots, stop: parts.slots };
        let mut sq = Self {
            start: parts.slots,
            parts,
            cursor,
            started_at: tail,
            limit: tail,
            shown: tail,
            chained: 0,
            abandoned: false,
        };
        // The first push determines how much room there is.
        sq.go_on_from(tail, tail);
        sq
    }

    /// Stops using the ring's memory, because it does not belong to this process, or no longer to
    /// the ring.
    ///
    /// From then on the queue is empty and every push fails; nothing sees what it publishes.
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
        self.start = self.parts.slots;
        self.started_at = Position(0);
        self.limit = Position(0);
        self.shown = Position(0);
        self.chained = 0;
    }

    /// The number of entries that the queue has room for.
    #[inline(always)]
    pub(crate) const fn capacity(&self) -> u32 {
        self.parts.mask + 1
    }

    /// The cursor: the slot of the next entry.
    #[inline(always)]
    pub(crate) const fn cursor(&self) -> Cursor<S> {
        self.cursor
    }

    /// Copies `entry` into the slot at `cursor`, which is a copy of the queue's own.
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

    /// Copies all of `entries` into the next slots, or none of them. `cursor` is a copy of the
    /// queue's own.
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
            // SAFETY: the entries take one slot each, and at least that many slots are left before
            // `stop`.
            unsafe { cursor.put(*entry) };
        }
        self.cursor.next = cursor.next;
        Ok(())
    }

    /// Copies all of `entries` into the next slots, or none of them. The entries may wrap around
    /// the end of the queue, and slots that have become free are used. They must not end with a
    /// link.
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

    /// Returns the padding that must precede `entries` so that the end of the queue splits none of
    /// them.
    ///
    /// One slot of padding is enough: an entry that would have started in the last slot then starts
    /// in the first. The padding goes before all of the entries, because between two linked entries
    /// it would be part of the chain.
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

    /// Reserves `count` slots, or returns why it cannot. `cursor` is a copy of the queue's own.
    #[inline(always)]
    pub(crate) fn reserve<'q>(
        &'q mut self,
        cursor: &'q mut Cursor<S>,
        count: usize,
    ) -> Result<ReservedSlots<'q, S>, PushError<()>> {
        if cursor.left() < count {
            let made = self.make_room(count);
            *cursor = self.cursor;
            made?;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most the number of slots")]
        let left = count as u32;
        Ok(ReservedSlots { at: *cursor, left, open: false, sq: self, cursor })
    }

    /// Ensures that `count` slots from the cursor on are free, counted around the end of the slots.
    /// For that it moves the cursor from the end to the first slot, or loads the kernel's head.
    ///
    /// A borrower must copy the cursor again, whatever this returns. Its copy is not passed to this
    /// function: a value whose address is passed elsewhere cannot stay in registers.
    #[cold]
    fn make_room(&mut self, count: usize) -> Result<(), PushError<()>> {
        if self.abandoned {
            return Err(PushError::Unusable(()));
        }
        if self.chained > 0 {
            return Err(PushError::InChain(()));
        }
        let tail = self.tail();
        // A u32 always fits a usize: the crate compiles only for 32 and 64 bits.
        if self.limit.since(tail) as usize >= count {
            self.go_on_from(tail, self.limit);
        } else if (self.refresh() as usize) < count {
            let never = count > self.capacity() as usize;
            return Err(if never { PushError::TooMany(()) } else { PushError::Full(()) });
        }
        Ok(())
    }

    /// Loads the kernel's head. Returns how many slots are free.
    #[inline(always)]
    fn refresh(&mut self) -> u32 {
        // A head that is more slots behind than the queue has is an error of the other side: the
        // queue then counts as full, so that no slot is overwritten.
        let (tail, room) = (self.tail(), self.free());
        self.go_on_from(tail, tail.advance(room));
        room
    }

    /// Moves the cursor to `tail`; the slots before `limit` are free.
    #[inline(always)]
    fn go_on_from(&mut self, tail: Position, limit: Position) {
        let slot = tail.slot(self.parts.mask);
        // A u32 always fits a usize: the crate compiles only for 32 and 64 bits.
        let free = (limit.since(tail) as usize).min(self.capacity() as usize - slot);
        self.limit = limit;
        // SAFETY: a slot index is at most `mask`, and `new` was given `mask + 1` slots.
        self.cursor.next = unsafe { self.parts.slots.add(slot) };
        // SAFETY: at most the end of the slots, because of the minimum above.
        self.cursor.stop = unsafe { self.cursor.next.add(free) };
        self.start = self.cursor.next;
        self.started_at = tail;
    }

    /// Moves the cursor around the end of the slots, to `next`.
    #[cold]
    fn go_around_to(&mut self, next: NonNull<S::Slot>) {
        let tail = self.tail();
        // The position of the first slot in the next lap.
        let first = tail.back(tail.0 & self.parts.mask).advance(self.capacity());
        self.go_on_from(first.advance(slots_between(self.parts.slots, next)), self.limit);
    }

    /// The position of the next entry.
    #[inline(always)]
    fn tail(&self) -> Position {
        self.started_at.advance(slots_between(self.start, self.cursor.next))
    }

    /// The position up to which the kernel has consumed entries.
    #[inline(always)]
    fn head(&self) -> Position {
        self.parts.head.observe()
    }

    /// The number of slots that are not queued.
    #[inline(always)]
    fn free(&self) -> u32 {
        if self.abandoned { 0 } else { self.capacity().saturating_sub(self.queued()) }
    }

    /// The number of slots that can be filled now.
    pub(crate) fn room(&self) -> u32 {
        self.free().saturating_sub(self.chained)
    }

    /// The number of slots that are pushed and not yet consumed by the kernel.
    #[inline(always)]
    pub(crate) fn queued(&self) -> u32 {
        self.untaken(self.tail())
    }

    /// The number of slots that are pushed and not yet published.
    #[inline(always)]
    pub(crate) fn unpublished(&self) -> u32 {
        self.tail().since(self.shown)
    }

    /// Publishes everything pushed so far. Returns how many slots are new to the kernel.
    #[inline(always)]
    pub(crate) fn publish(&mut self) -> u32 {
        let fresh = self.unpublished();
        self.show();
        fresh
    }

    /// Publishes everything pushed so far. Returns the published tail.
    #[inline(always)]
    pub(crate) fn show(&mut self) -> Position {
        let tail = self.tail();
        // R1.
        self.parts.tail.publish(tail);
        self.shown = tail;
        tail
    }

    /// The number of slots before `tail` that the kernel has not consumed.
    #[inline(always)]
    pub(crate) fn untaken(&self, tail: Position) -> u32 {
        tail.since(self.head())
    }

    /// Records that the kernel consumed `count` slots. In a queue with SQ_REWIND the others are
    /// moved to the front, where the next submission starts.
    #[inline(always)]
    pub(crate) fn taken(&mut self, count: u32) {
        if self.parts.rewinds {
            self.rewind(count);
        }
    }

    #[cold]
    fn rewind(&mut self, count: u32) {
        // The tail counts from 0, unless the other side wrote to it before this side took over the
        // queue.
        let left = self.tail().0.saturating_sub(count).min(self.capacity());
        for slot in 0..left.saturating_add(self.chained).min(self.capacity()) {
            let from = self.slot(Position(slot.saturating_add(count)));
            let to = self.slot(Position(slot));
            // SAFETY: both are slots of this queue, which the kernel does not read between two
            // submits; copying a slot onto itself is allowed.
            unsafe { core::ptr::copy(from, to, 1) };
        }
        self.go_on_from(Position(left), Position(self.capacity()));
        if self.chained > 0 {
            self.cursor.stop = self.cursor.next;
        }
        self.publish();
    }

    /// The kernel's flags; loaded after the last publish (R5) if the queue is `polled`.
    #[inline(always)]
    pub(crate) fn status(&self, polled: bool) -> SqStatus {
        if polled {
            publish_before_peek();
        }
        SqStatus::from_bits_retain(self.parts.flags.peek())
    }

    /// The number of entries that the kernel dropped because an index was invalid.
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

/// The number of slots from `start` to `end`, which are slots of one queue in this order.
#[inline(always)]
fn slots_between<T>(start: NonNull<T>, end: NonNull<T>) -> u32 {
    let bytes = end.addr().get().wrapping_sub(start.addr().get());
    #[expect(clippy::cast_possible_truncation, reason = "a queue has fewer than 2^32 slots")]
    let slots = (bytes / size_of::<T>()) as u32;
    slots
}

/// Padding before the end of a mixed queue: an entry that does nothing and posts no completion.
fn filler() -> Sqe {
    Sqe::new(Opcode::NOP).skip_success()
}

/// Slots that are reserved, which are filled in place and queued together by
/// [`ReservedSlots::commit`].
#[derive(Debug)]
pub(crate) struct ReservedSlots<'q, S: SqEntry> {
    sq: &'q mut Sq<S>,
    /// The borrower's copy, which like the queue's own cursor stays unchanged until the commit.
    cursor: &'q mut Cursor<S>,
    /// The slot of the next entry; as long as slots are left, it is not `stop`.
    at: Cursor<S>,
    /// The number of reserved slots from there on, counted around the end of the slots.
    left: u32,
    /// Whether the last entry is linked to the next one.
    open: bool,
}

impl<S: SqEntry> ReservedSlots<'_, S> {
    /// The number of reserved slots that are left.
    #[inline(always)]
    pub(crate) const fn left(&self) -> u32 {
        self.left
    }

    /// Copies `entry` into its slots. Returns false, and does nothing, if there is no room.
    ///
    /// An entry that takes two slots never starts in the queue's last slot: see [`Sq::filler`].
    #[inline(always)]
    pub(crate) fn put(&mut self, entry: S) -> bool {
        let slots = entry.slots();
        if self.left < slots {
            return false;
        }
        self.open = entry.as_sqe().is_linked();
        // SAFETY: enough slots are left, and the end of the slots does not split them: no entry of
        // two slots starts in the last one.
        unsafe { self.at.put(entry) };
        self.left -= slots;
        if self.left > 0 && self.at.next == self.at.stop {
            self.go_around();
        }
        true
    }

    /// Moves from the end of the slots to the first one.
    #[cold]
    fn go_around(&mut self) {
        self.at.next = self.sq.parts.slots;
        // SAFETY: at most as many slots are left as the queue has.
        self.at.stop = unsafe { self.at.next.add(self.left as usize) };
    }

    /// Whether the last entry is linked to one that was not put yet.
    #[inline(always)]
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    /// Queues the entries that were put.
    #[inline(always)]
    pub(crate) fn commit(self) {
        if self.at.stop == self.cursor.stop {
            self.sq.cursor.next = self.at.next;
        } else {
            // The entries wrapped around the end of the slots: only then does `stop` differ.
            self.sq.go_around_to(self.at.next);
        }
        *self.cursor = self.sq.cursor;
    }
}
