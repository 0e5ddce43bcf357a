//! Taking entries back that the kernel cannot have yet.

use crate::entry::slot::SqSlots;
use crate::entry::{OneWidth, SqEntry, Sqe};

use super::{Sq, filler};

impl<S: SqEntry> Sq<S> {
    /// Takes back the entry pushed last, if the kernel cannot have it yet.
    ///
    /// If the queue is `polled` that is one not published; otherwise one that no submit has
    /// handed over.
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
        // SAFETY: a slot of ours, valid for reads; any bytes are an entry.
        Some(unsafe { self.cursor.next.read() })
    }

    /// Takes all entries back that the kernel cannot have yet. Returns how many slots.
    pub(crate) fn rollback(&mut self, polled: bool) -> u32 {
        let chained = self.drop_chain();
        let ours = self.ours(polled);
        self.take_back(ours);
        ours + chained
    }

    /// Takes all entries back that the kernel cannot have yet, and hands each to `each`, in order.
    pub(crate) fn take_unsent(&mut self, polled: bool, mut each: impl FnMut(S)) {
        let ours = self.ours(polled);
        let mut at = self.tail().back(ours);
        let mut left = ours + self.drop_chain();
        self.take_back(ours);
        while left > 0 {
            let here = at.slot(self.parts.mask);
            let in_row = left.min(self.capacity() - (at.0 & self.parts.mask));
            // SAFETY: slots of ours from here to the end of the queue, or to the last entry; the
            // kernel has not been shown them, or does not look before it is entered.
            let (entry, slots) = unsafe { S::load(self.slot(at), in_row) };
            let is_filler = here == self.parts.mask as usize && is_filler(entry.as_sqe());
            if !is_filler {
                each(entry);
            }
            at = at.advance(slots);
            left -= slots;
        }
    }

    /// The slots that are pushed and that the kernel cannot have yet.
    fn ours(&self, polled: bool) -> u32 {
        let ours = if polled { self.unpublished() } else { self.queued() };
        // More than there are slots is what a head says that is not one.
        if ours > self.capacity() { 0 } else { ours }
    }

    fn take_back(&mut self, slots: u32) {
        let hidden = self.unpublished();
        let tail = self.tail().back(slots);
        // A head that went backwards gives back more than was known to be taken: the limit goes
        // with the tail, so that no more slots are free than there are.
        let free = self.limit.since(tail).min(self.capacity());
        self.go_on_from(tail, tail.advance(free));
        if slots > hidden {
            // Without SQPOLL the kernel looks only when it is entered: show less again.
            self.publish();
        }
    }
}

/// Whether `entry` is padding. An entry of the program's that is like it posts nothing, either.
fn is_filler(entry: &Sqe) -> bool {
    entry.to_bytes() == filler().to_bytes()
}
