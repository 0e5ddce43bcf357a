//! The completion queue's shared half: slots, head and tail.
//!
//! The head up to which this side has copied entries out lives here, in plain memory. It is
//! published with each entry that is popped, at the end of a batch, before each system call, and on
//! demand. Dropping or forgetting a value publishes nothing and brings no entry back.

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use crate::entry::CqEntry;
use crate::sys::{CqFlags, SetupFlags, SqStatus};

use super::atomic::will_read;
use super::order::{Ours, Theirs};
use super::position::Position;

/// Where the pieces of a completion queue are.
#[derive(Debug)]
pub(crate) struct CqParts<C: CqEntry> {
    pub(crate) head: Ours,
    pub(crate) tail: Theirs,
    /// Absent before Linux 5.8.
    pub(crate) flags: Option<Ours>,
    pub(crate) overflow: Theirs,
    /// The kernel's flags, which lie with the submission queue.
    pub(crate) status: Theirs,
    pub(crate) slots: NonNull<C::Slot>,
    /// Slots less one; the number of slots is a power of two.
    pub(crate) mask: u32,
}

/// What is known to be there: all that it takes to copy entries out.
///
/// A borrower of the queue works on a copy, which stays in registers whatever is stored elsewhere;
/// the queue's own `head` follows with each entry.
#[derive(Debug)]
pub(crate) struct Span<C: CqEntry> {
    slots: NonNull<C::Slot>,
    mask: u32,
    /// The next entry to copy out.
    head: Position,
    /// The end of what is known to be there: at most `mask + 1` past `head`.
    end: Position,
}

impl<C: CqEntry> Clone for Span<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: CqEntry> Copy for Span<C> {}

// SAFETY: an address; what is there is read through a queue, which says who may.
unsafe impl<C: CqEntry> Send for Span<C> {}

impl<C: CqEntry> Span<C> {
    /// Entries that are left, in slots.
    #[inline(always)]
    pub(crate) const fn left(&self) -> u32 {
        self.end.since(self.head)
    }

    /// The entry at the head, which is not at the end, and how many slots it takes.
    #[inline(always)]
    fn load(&self) -> (Option<C>, u32) {
        // SAFETY: a slot index is at most `mask`, and there are `mask + 1` slots.
        let slot = unsafe { self.slots.add(self.head.slot(self.mask)) };
        will_read(slot.as_ptr());
        // Up to the end of what is there, and up to the end of the queue.
        let readable = || self.left().min(self.mask + 1 - (self.head.0 & self.mask));
        // SAFETY:
        // 1. Valid for reads: `Cq::new`'s contract, for slots up to the end of the queue.
        // 2. Not written at the same time: they are below a tail that was observed (R3), and the
        //    kernel reuses them only after a head past them is published (R4).
        unsafe { C::load(slot.as_ptr(), readable) }
    }
}

/// What is there of the entries that somebody waits for, from [`Cq::slots_for`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slots {
    /// They can be popped.
    Filled,
    /// They can be popped when so many slots are filled, or later.
    Missing(u32),
}

/// This side of a completion queue.
#[derive(Debug)]
pub(crate) struct Cq<C: CqEntry> {
    parts: CqParts<C>,
    span: Span<C>,
}

// SAFETY: the pointers lead to memory of the ring's that has no thread, and one queue is all
// that uses them from this side. It is not `Sync`.
unsafe impl<C: CqEntry> Send for Cq<C> {}

impl<C: CqEntry> Cq<C> {
    /// Takes over a queue.
    ///
    /// # Safety
    ///
    /// Until the value is last used, `parts.slots` points to `parts.mask + 1` slots, a power
    /// of two, that are valid for reads; between head and tail nobody writes them; the words
    /// meet the contracts of their roles.
    pub(crate) unsafe fn new(parts: CqParts<C>) -> Self {
        debug_assert!(parts.mask.wrapping_add(1).is_power_of_two());
        let head = Position(parts.head.get());
        let span = Span { slots: parts.slots, mask: parts.mask, head, end: head };
        Self { span, parts }
    }

    /// Lets go of the ring's memory, which is not this process's, or not the ring's any more. From
    /// then on the queue is empty.
    #[cold]
    pub(crate) fn abandon(&mut self) {
        let slots = NonNull::dangling();
        self.parts = CqParts {
            head: Ours::unread(),
            tail: Theirs::zero(),
            flags: None,
            overflow: Theirs::zero(),
            status: Theirs::zero(),
            slots,
            mask: 0,
        };
        self.span = Span { slots, mask: 0, head: Position(0), end: Position(0) };
    }

    /// How many entries the queue has room for in all.
    #[inline(always)]
    pub(crate) const fn capacity(&self) -> u32 {
        self.span.mask + 1
    }

    /// What is known to be there now.
    #[inline(always)]
    pub(crate) const fn span(&self) -> Span<C> {
        self.span
    }

    /// Copies the next entry of `span` out, a copy of the queue's own.
    #[inline(always)]
    pub(crate) fn pop_at(&mut self, span: &mut Span<C>) -> Option<C> {
        let before = span.head;
        // What has been seen already may be padding alone.
        let mut entry = self.pop_known(span);
        if entry.is_none() {
            self.refresh(span);
            entry = self.pop_known(span);
        }
        if span.head != before {
            // With each entry: the kernel counts from the head that it sees, so a wait would
            // return for entries that are popped already.
            self.publish();
        }
        entry
    }

    /// Copies the next entry of `span` out if it is one that has been seen already.
    #[inline(always)]
    pub(crate) fn pop_known(&mut self, span: &mut Span<C>) -> Option<C> {
        while span.head != span.end {
            let (entry, slots) = span.load();
            span.head = span.head.advance(slots);
            self.span.head = span.head;
            if entry.is_some() {
                return entry;
            }
        }
        None
    }

    /// Copies the next entry of `span` without taking it.
    #[inline(always)]
    pub(crate) fn peek_at(&mut self, span: &mut Span<C>) -> Option<C> {
        let before = span.head;
        let mut entry = self.peek_known(span);
        if entry.is_none() {
            self.refresh(span);
            entry = self.peek_known(span);
        }
        if span.head != before {
            // Padding was passed.
            self.publish();
        }
        entry
    }

    /// Copies the next entry without taking it if it is one that has been seen already.
    #[inline(always)]
    fn peek_known(&mut self, span: &mut Span<C>) -> Option<C> {
        while span.head != span.end {
            let (entry, slots) = span.load();
            if entry.is_some() {
                return entry;
            }
            span.head = span.head.advance(slots);
            self.span.head = span.head;
        }
        None
    }

    /// Copies as many entries as there are and fit, in order. Returns how many.
    pub(crate) fn pop_into(&mut self, span: &mut Span<C>, out: &mut [MaybeUninit<C>]) -> usize {
        self.refresh(span);
        let mut count = 0;
        for (place, entry) in out.iter_mut().zip(core::iter::from_fn(|| self.pop_known(span))) {
            place.write(entry);
            count += 1;
        }
        self.publish();
        count
    }

    /// Entries that wait to be taken, in slots.
    #[inline(always)]
    pub(crate) fn ready(&self) -> u32 {
        self.ready_in(&self.span)
    }

    #[inline(always)]
    fn ready_in(&self, span: &Span<C>) -> u32 {
        let ready = self.parts.tail.observe().since(span.head);
        // A tail that names more entries than there are slots is the other side's error.
        ready.min(span.mask + 1)
    }

    /// Looks how far the kernel has come (R3).
    #[inline(always)]
    pub(crate) fn refresh(&mut self, span: &mut Span<C>) {
        span.end = span.head.advance(self.ready_in(span));
        self.span.end = span.end;
    }

    /// Gives the slots of the entries taken so far back to the kernel (R4).
    #[inline(always)]
    pub(crate) fn publish(&mut self) {
        self.parts.head.publish(self.span.head);
    }

    /// Whether `want` entries can be popped, or all that the queue has room for; and how many slots
    /// are to be filled until then.
    pub(crate) fn slots_for(&mut self, want: u32) -> Slots {
        let mut span = self.span;
        self.refresh(&mut span);
        let (mut entries, filled) = (span.left(), span.left());
        if C::SETUP.contains(SetupFlags::CQE_MIXED) {
            // A wide entry takes two slots, and padding is none.
            entries = 0;
            while span.head != span.end {
                let (entry, slots) = span.load();
                span.head = span.head.advance(slots);
                entries += u32::from(entry.is_some());
            }
        }
        if entries >= want || filled == self.capacity() {
            return Slots::Filled;
        }
        Slots::Missing(filled.saturating_add(want - entries).min(self.capacity()))
    }

    /// The kernel's flags.
    pub(crate) fn status(&self) -> SqStatus {
        SqStatus::from_bits_retain(self.parts.status.peek())
    }

    /// Completions that the kernel dropped for lack of room, modulo 2^32.
    pub(crate) fn overflow(&self) -> u32 {
        self.parts.overflow.peek()
    }

    /// The flags that this side sets for the kernel to see.
    pub(crate) fn flags(&self) -> CqFlags {
        CqFlags::from_bits_retain(self.parts.flags.as_ref().map_or(0, Ours::get))
    }

    /// Sets the flags for the kernel to see. Returns false where the kernel does not look.
    pub(crate) fn set_flags(&mut self, flags: CqFlags) -> bool {
        let Some(word) = &self.parts.flags else { return false };
        word.set(flags.bits());
        true
    }
}

#[cfg(test)]
impl<C: CqEntry> Cq<C> {
    /// Copies the next entry out.
    pub(super) fn pop(&mut self) -> Option<C> {
        let mut span = self.span();
        let entry = self.pop_at(&mut span);
        assert_eq!((span.head, span.end), (self.span.head, self.span.end), "a copy is behind");
        entry
    }

    /// Copies the next entry without taking it.
    #[cfg(not(loom))]
    pub(super) fn peek(&mut self) -> Option<C> {
        self.peek_at(&mut self.span())
    }
}
