//! The completion queue's shared half: slots, head and tail.
//!
//! The head up to which this side has copied entries out lives here, in plain memory. It is
//! published when the entries seen so far are used up, before each system call, and on
//! demand: one store for a batch. Dropping or forgetting a value publishes nothing and
//! brings no entry back.

use core::mem::MaybeUninit;
use core::ptr::NonNull;

use crate::entry::CqEntry;
use crate::sys::CqFlags;

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
    pub(crate) slots: NonNull<C::Slot>,
    /// Slots less one; the number of slots is a power of two.
    pub(crate) mask: u32,
}

/// This side of a completion queue.
#[derive(Debug)]
pub(crate) struct Cq<C: CqEntry> {
    parts: CqParts<C>,
    /// The next entry to copy out.
    head: Position,
    /// The end of what is known to be there: at most `mask + 1` past `head`.
    tail: Position,
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
        Self { head, tail: head, parts }
    }

    /// How many entries the queue has room for in all.
    #[inline(always)]
    pub(crate) const fn capacity(&self) -> u32 {
        self.parts.mask + 1
    }

    /// Copies the next entry out.
    #[inline(always)]
    pub(crate) fn pop(&mut self) -> Option<C> {
        if self.head == self.tail {
            self.publish();
            self.refresh();
        }
        self.pop_known()
    }

    /// Copies the next entry out if it is one that has been seen already.
    #[inline(always)]
    pub(crate) fn pop_known(&mut self) -> Option<C> {
        while self.head != self.tail {
            let (entry, slots) = self.load();
            self.head = self.head.advance(slots);
            if entry.is_some() {
                return entry;
            }
        }
        None
    }

    /// Takes what is there now out of it, up to an end that does not move.
    #[inline(always)]
    pub(crate) fn drain(&mut self) -> Drain<'_, C> {
        let head = self.head;
        let ready = self.ready_from(head);
        self.tail = head.advance(ready);
        let span = Span { slots: self.parts.slots, mask: self.parts.mask, head, end: self.tail };
        Drain { span, cq: self }
    }

    /// Copies the next entry of `span` out; at its end, gives all slots back to the kernel.
    #[inline(always)]
    fn pop_of(&mut self, span: &mut Span<C>) -> Option<C> {
        while span.head != span.end {
            // SAFETY: the slots of the queue, by its contract; its head, and a tail it has had.
            let (entry, slots) = unsafe { load(span.slots, span.mask, span.head, span.end) };
            span.head = span.head.advance(slots);
            self.head = span.head;
            if entry.is_some() {
                return entry;
            }
        }
        // R4.
        self.parts.head.publish(span.head);
        None
    }

    /// Copies the next entry without taking it.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> Option<C> {
        if self.head == self.tail {
            self.refresh();
        }
        while self.head != self.tail {
            let (entry, slots) = self.load();
            if entry.is_some() {
                return entry;
            }
            self.head = self.head.advance(slots);
        }
        None
    }

    /// Copies as many entries as there are and fit, in order. Returns how many.
    pub(crate) fn pop_into(&mut self, out: &mut [MaybeUninit<C>]) -> usize {
        self.refresh();
        let mut count = 0;
        for (place, entry) in out.iter_mut().zip(core::iter::from_fn(|| self.pop_known())) {
            place.write(entry);
            count += 1;
        }
        self.publish();
        count
    }

    /// Entries that wait to be taken.
    #[inline(always)]
    pub(crate) fn ready(&self) -> u32 {
        self.ready_from(self.head)
    }

    #[inline(always)]
    fn ready_from(&self, head: Position) -> u32 {
        let ready = self.parts.tail.observe().since(head);
        // A tail that names more entries than there are slots is the other side's error.
        if ready > self.capacity() { bogus(self.capacity()) } else { ready }
    }

    /// Looks how far the kernel has come (R3). Returns how many entries wait.
    #[inline(always)]
    pub(crate) fn refresh(&mut self) -> u32 {
        let ready = self.ready();
        self.tail = self.head.advance(ready);
        ready
    }

    /// As [`publish`](Self::publish), without a look whether there is anything to give back.
    #[inline(always)]
    pub(crate) fn publish_again(&mut self) {
        self.parts.head.publish(self.head);
    }

    /// Gives the slots of the entries taken so far back to the kernel (R4).
    #[inline(always)]
    pub(crate) fn publish(&mut self) {
        if self.parts.head.get() != self.head.0 {
            self.parts.head.publish(self.head);
        }
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

    /// The entry at the head, which is not at the tail, and how many slots it takes.
    #[inline(always)]
    fn load(&self) -> (Option<C>, u32) {
        // SAFETY: `new`'s contract, for the slots of this queue; its head and tail.
        unsafe { load(self.parts.slots, self.parts.mask, self.head, self.tail) }
    }
}

/// Keeps what does not happen out of the way.
#[cold]
#[inline(never)]
const fn bogus(slots: u32) -> u32 {
    slots
}

/// The entry at `head`, which is not `tail`, and how many slots it takes.
///
/// # Safety
///
/// `slots` are `mask + 1` slots, a power of two, that are valid for reads; between `head` and `tail`
/// nobody writes them.
#[inline(always)]
unsafe fn load<C: CqEntry>(
    slots: NonNull<C::Slot>,
    mask: u32,
    head: Position,
    tail: Position,
) -> (Option<C>, u32) {
    // SAFETY: a slot index is at most `mask`, and there are `mask + 1` slots.
    let slot = unsafe { slots.add(head.slot(mask)) };
    will_read(slot.as_ptr());
    // Up to the end of what is there, and up to the end of the queue.
    let to_end = mask + 1 - (head.0 & mask);
    let readable = tail.since(head).min(to_end);
    // SAFETY:
    // 1. Valid for reads: the contract, for slots up to the end of the queue.
    // 2. Not written at the same time: they are below `tail`, which was observed (R3), and the
    //    kernel reuses them only after a head past them is published (R4).
    unsafe { C::load(slot.as_ptr(), readable) }
}

/// What was there when [`Cq::drain`] was called.
#[derive(Debug)]
pub(crate) struct Drain<'q, C: CqEntry> {
    cq: &'q mut Cq<C>,
    span: Span<C>,
}

/// Entries that are there: copies of what it takes to reach them, which stay in registers whatever
/// is stored elsewhere.
#[derive(Debug)]
struct Span<C: CqEntry> {
    slots: NonNull<C::Slot>,
    mask: u32,
    head: Position,
    end: Position,
}

impl<C: CqEntry> Drain<'_, C> {
    /// Copies the next entry out. The end gives all slots back to the kernel.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<C> {
        self.cq.pop_of(&mut self.span)
    }

    /// Slots that are left.
    pub(crate) const fn left(&self) -> u32 {
        self.span.end.since(self.span.head)
    }
}
