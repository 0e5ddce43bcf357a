//! The completion queue's shared half: slots, head and tail.
//!
//! This side keeps its head, the end of the entries that it has copied out, in plain memory. It
//! publishes the head after each entry that is popped, at the end of a batch, before each system
//! call, and on demand. Dropping or forgetting a value publishes nothing and restores no entry.

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use crate::entry::CqEntry;
use crate::sys::{CqFlags, SetupFlags, SqStatus};

use super::atomic::will_read;
use super::order::{Ours, Theirs};
use super::position::Position;

/// The addresses of the parts of a completion queue.
#[derive(Debug)]
pub(crate) struct CqParts<C: CqEntry> {
    pub(crate) head: Ours,
    pub(crate) tail: Theirs,
    /// Absent before Linux 5.8.
    pub(crate) flags: Option<Ours>,
    pub(crate) overflow: Theirs,
    /// The kernel's flags, a word of the submission queue.
    pub(crate) status: Theirs,
    pub(crate) slots: NonNull<C::Slot>,
    /// The number of slots minus one; the number of slots is a power of two.
    pub(crate) mask: u32,
}

/// The entries known to be ready, with all that is needed to copy them out.
///
/// A borrower of the queue works on a copy, which can stay in registers, whatever is stored
/// elsewhere. The queue's own `head` is updated with each entry.
#[derive(Debug)]
pub(crate) struct Span<C: CqEntry> {
    slots: NonNull<C::Slot>,
    mask: u32,
    /// The next entry to copy out.
    head: Position,
    /// The end of the entries known to be ready: at most `mask + 1` after `head`.
    end: Position,
}

impl<C: CqEntry> Clone for Span<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C: CqEntry> Copy for Span<C> {}

// SAFETY: it holds only an address; memory is read through a queue, which decides which thread may.
unsafe impl<C: CqEntry> Send for Span<C> {}

impl<C: CqEntry> Span<C> {
    /// The number of slots that are left.
    #[inline(always)]
    pub(crate) const fn left(&self) -> u32 {
        self.end.since(self.head)
    }

    /// Returns the entry at the head, and how many slots it takes. The head must not be at the end.
    #[inline(always)]
    fn load(&self) -> (Option<C>, u32) {
        // SAFETY: a slot index is at most `mask`, and there are `mask + 1` slots.
        let slot = unsafe { self.slots.add(self.head.slot(self.mask)) };
        will_read(slot.as_ptr());
        // The limit is the end of the ready entries or the end of the queue, whichever comes first.
        let readable = || self.left().min(self.mask + 1 - (self.head.0 & self.mask));
        // SAFETY:
        // 1. Valid for reads: `Cq::new`'s contract, for slots up to the end of the queue.
        // 2. Not written at the same time: they are before a tail that was observed (R3), and the
        //    kernel reuses them only after a head beyond them is published (R4).
        unsafe { C::load(slot.as_ptr(), readable) }
    }
}

/// Whether the requested entries are ready. [`Cq::slots_for`] returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slots {
    /// They can be popped.
    Filled,
    /// They cannot be popped before this many slots are filled.
    Missing(u32),
}

/// This side of a completion queue.
#[derive(Debug)]
pub(crate) struct Cq<C: CqEntry> {
    parts: CqParts<C>,
    span: Span<C>,
}

// SAFETY: the pointers refer to the ring's memory, which is not bound to a thread, and only this
// queue uses them from this side. It is not `Sync`.
unsafe impl<C: CqEntry> Send for Cq<C> {}

impl<C: CqEntry> Cq<C> {
    /// Takes over a queue.
    ///
    /// # Safety
    ///
    /// Until the value is last used: `parts.slots` points to `parts.mask + 1` slots, a power of
    /// two, that are valid for reads; nothing writes the slots between head and tail; and the words
    /// meet the contracts of their roles.
    pub(crate) unsafe fn new(parts: CqParts<C>) -> Self {
        debug_assert!(parts.mask.wrapping_add(1).is_power_of_two());
        let head = Position(parts.head.get());
        let span = Span { slots: parts.slots, mask: parts.mask, head, end: head };
        Self { span, parts }
    }

    /// Stops using the ring's memory, because it does not belong to this process, or no longer to
    /// the ring. From then on the queue is empty.
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

    /// The number of entries that the queue has room for.
    #[inline(always)]
    pub(crate) const fn capacity(&self) -> u32 {
        self.span.mask + 1
    }

    /// The entries known to be ready.
    #[inline(always)]
    pub(crate) const fn span(&self) -> Span<C> {
        self.span
    }

    /// Copies out the next entry of `span`, which is a copy of the queue's own.
    #[inline(always)]
    pub(crate) fn pop_at(&mut self, span: &mut Span<C>) -> Option<C> {
        // The head is published after each entry: the kernel counts from the head that it sees, so
        // a wait would otherwise return for entries that were popped already.
        self.next_by(span, Self::pop_known)
    }

    /// Returns the next entry by `known`, which sees only the entries that are known to be ready:
    /// they may be none, or all of them padding. Publishes the head if it has moved.
    #[inline(always)]
    fn next_by(
        &mut self,
        span: &mut Span<C>,
        known: impl Fn(&mut Self, &mut Span<C>) -> Option<C>,
    ) -> Option<C> {
        let before = span.head;
        let mut entry = known(self, span);
        if entry.is_none() {
            self.refresh(span);
            entry = known(self, span);
        }
        if span.head != before {
            self.publish();
        }
        entry
    }

    /// Copies out the next entry, if there is one. Publishes the head only when there is none: for
    /// those who publish it before they wait.
    #[inline(always)]
    pub(crate) fn take_batched(&mut self) -> Option<C> {
        let mut span = self.span;
        let mut entry = self.pop_known(&mut span);
        if entry.is_none() {
            self.refresh(&mut span);
            entry = self.pop_known(&mut span);
            if entry.is_none() {
                self.publish();
            }
        }
        entry
    }

    /// Copies out the next entry of `span` if it is known to be ready.
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

    /// Copies the next entry of `span` without consuming it.
    #[inline(always)]
    pub(crate) fn peek_at(&mut self, span: &mut Span<C>) -> Option<C> {
        self.next_by(span, Self::peek_known)
    }

    /// Copies the next entry without consuming it if it is known to be ready.
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

    /// Copies entries in order until none is left or `out` is full. Returns how many.
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

    /// The number of filled slots.
    #[inline(always)]
    pub(crate) fn ready(&self) -> u32 {
        self.ready_in(&self.span)
    }

    #[inline(always)]
    fn ready_in(&self, span: &Span<C>) -> u32 {
        let ready = self.parts.tail.observe().since(span.head);
        // A tail beyond the number of slots is an error of the other side: limit it.
        ready.min(span.mask + 1)
    }

    /// Loads the tail, to see which entries are ready (R3).
    #[inline(always)]
    pub(crate) fn refresh(&mut self, span: &mut Span<C>) {
        span.end = span.head.advance(self.ready_in(span));
        self.span.end = span.end;
    }

    /// Returns the slots of the entries consumed so far to the kernel (R4).
    #[inline(always)]
    pub(crate) fn publish(&mut self) {
        self.parts.head.publish(self.span.head);
    }

    /// Whether `want` entries can be popped, or the queue is full. If not, how many slots must be
    /// filled before they can be.
    pub(crate) fn slots_for(&mut self, want: u32) -> Slots {
        let mut span = self.span;
        self.refresh(&mut span);
        let (mut entries, filled) = (span.left(), span.left());
        if C::SETUP.contains(SetupFlags::CQE_MIXED) {
            // A wide entry takes two slots, and padding does not count as an entry.
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

    /// The flags that this side sets for the kernel.
    pub(crate) fn flags(&self) -> CqFlags {
        CqFlags::from_bits_retain(self.parts.flags.as_ref().map_or(0, Ours::get))
    }

    /// Sets the flags for the kernel. Returns false if the kernel does not read them.
    pub(crate) fn set_flags(&mut self, flags: CqFlags) -> bool {
        let Some(word) = &self.parts.flags else { return false };
        word.set(flags.bits());
        true
    }
}

#[cfg(test)]
impl<C: CqEntry> Cq<C> {
    /// Copies out the next entry.
    pub(super) fn pop(&mut self) -> Option<C> {
        let mut span = self.span();
        let entry = self.pop_at(&mut span);
        let own = self.span();
        assert_eq!((span.head, span.end), (own.head, own.end), "the copy and the queue differ");
        entry
    }

    /// Copies the next entry without consuming it.
    #[cfg(not(loom))]
    pub(super) fn peek(&mut self) -> Option<C> {
        self.peek_at(&mut self.span())
    }
}
