//! Taking back entries that the kernel cannot have seen yet.

use crate::entry::slot::SqSlots;
use crate::entry::{OneWidth, SqEntry, Sqe};

use super::{Sq, filler};

impl<S: SqEntry> Sq<S> {
    /// Takes back the entry that was pushed last, if the kernel cannot have seen it yet.
    ///
    /// If the queue is `polled`, that is an entry that is not published; otherwise one that was not
    /// submitted.
    pub(crate) fn pop_back(&mut self, polled: bool) -> Option<S>
    where
        S: OneWidth + SqSlots<Slot = S>,
    {
        if self.chained() > 0 {
            return self.pop_chained();
        }
        if self.ours(polled) == 0 {
            return None;
        }
        self.take_back(1);
        // SAFETY: a slot of this queue, valid for reads; every bit pattern is a valid entry.
        Some(unsafe { self.cursor.next.read() })
    }

    /// Takes back all entries that the kernel cannot have seen yet. Returns how many slots.
    pub(crate) fn rollback(&mut self, polled: bool) -> u32 {
        let chained = self.drop_chain();
        let ours = self.ours(polled);
        self.take_back(ours);
        ours + chained
    }

    /// Takes back all entries that the kernel cannot have seen yet, and passes each to `each`, in
    /// order.
    pub(crate) fn take_unsent(&mut self, polled: bool, mut each: impl FnMut(S)) {
        let ours = self.ours(polled);
        let mut at = self.tail().back(ours);
        let mut left = ours + self.drop_chain();
        self.take_back(ours);
        while left > 0 {
            let here = at.slot(self.parts.mask);
            let in_row = left.min(self.capacity() - (at.0 & self.parts.mask));
            // SAFETY: slots of this queue, up to the end of the queue or to the last entry; they
            // are not published, or the kernel does not read them before it is entered.
            let (entry, slots) = unsafe { S::load(self.slot(at), in_row) };
            let is_filler = here == self.parts.mask as usize && is_filler(entry.as_sqe());
            if !is_filler {
                each(entry);
            }
            at = at.advance(slots);
            left -= slots;
        }
    }

    /// The first entry that the kernel has not taken. No polling thread takes any meanwhile.
    #[cold]
    pub(crate) fn first_unsent(&self) -> Option<S> {
        let ours = self.ours(false);
        if ours == 0 {
            return None;
        }
        let at = self.tail().back(ours);
        let in_row = ours.min(self.capacity() - (at.0 & self.parts.mask));
        // SAFETY: slots of this queue, up to the end of the queue or to the last entry; the kernel
        // does not write to them.
        Some(unsafe { S::load(self.slot(at), in_row) }.0)
    }

    /// The number of slots that are pushed and that the kernel cannot have seen yet.
    fn ours(&self, polled: bool) -> u32 {
        let ours = if polled { self.unpublished() } else { self.queued() };
        // More than the queue has slots can only follow from an invalid head.
        if ours > self.capacity() { 0 } else { ours }
    }

    fn take_back(&mut self, slots: u32) {
        let hidden = self.unpublished();
        let tail = self.tail().back(slots);
        // If an invalid head moved backwards, more slots are taken back than the limit allows for.
        // The limit moves with the tail, so that no more slots count as free than there are.
        let free = self.limit.since(tail).min(self.capacity());
        self.go_on_from(tail, tail.advance(free));
        if slots > hidden {
            // Without SQPOLL the kernel reads the tail only when it is entered: publish the smaller
            // tail.
            self.publish();
        }
    }
}

/// Whether `entry` is padding. An identical entry of the program would also post no completion.
fn is_filler(entry: &Sqe) -> bool {
    entry.to_bytes() == filler().to_bytes()
}
