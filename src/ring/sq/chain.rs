//! An open chain: entries in slots after the tail, which the kernel is not shown.
//!
//! While a chain is open the cursor has no room (`stop` is `next`), so that a push costs nothing
//! more and any other entry is refused where room is made. The tail stays before the chain, so
//! whatever publishes the tail leaves the chain out.

use crate::entry::slot::SqSlots;
use crate::entry::{LINKS, OneWidth, SqEntry, Sqe};
use crate::ring::push_error::PushError;

use super::Sq;

impl<S: SqEntry> Sq<S> {
    /// How many entries the open chain has.
    pub(crate) const fn chained(&self) -> u32 {
        self.chained
    }

    /// Adds an entry to the open chain, or begins one. One that is not linked to a next entry ends
    /// the chain and queues it.
    pub(crate) fn push_chained(&mut self, entry: S) -> Result<(), PushError<()>>
    where
        S: OneWidth,
    {
        if self.abandoned {
            return Err(PushError::Unusable(()));
        }
        if self.room() == 0 {
            let never = self.chained == self.capacity();
            return Err(if never { PushError::TooMany(()) } else { PushError::Full(()) });
        }
        let slot = self.slot(self.tail().advance(self.chained));
        // SAFETY:
        // 1. Valid for writes: one slot of the queue, and the entry takes one.
        // 2. Nobody reads it: there is room after the chain, so the kernel's head has gone past
        //    the entry that was here (R2), and the tail that it knows is before it.
        unsafe { entry.store(slot) };
        self.chained += 1;
        if entry.as_sqe().is_linked() {
            // No room for anything else.
            self.cursor.stop = self.cursor.next;
        } else {
            self.end_chain();
        }
        Ok(())
    }

    /// Ends the open chain with the entry added last, whose link is removed, and queues it. Returns
    /// how many entries it has.
    pub(crate) fn close_chain(&mut self) -> u32
    where
        S: OneWidth,
    {
        let chained = self.chained;
        if chained > 0 {
            // An entry of one width begins with the 64 bytes of an `Sqe`.
            let slot = self.slot(self.tail().advance(chained - 1)).cast::<Sqe>();
            // SAFETY: a slot of ours, valid for reads; any bytes are an entry.
            let mut entry = unsafe { slot.read() };
            entry.set_flags(entry.flags().difference(LINKS));
            // SAFETY: valid for writes, and the kernel has not been shown it.
            unsafe { slot.write(entry) };
            self.end_chain();
        }
        chained
    }

    /// Takes the entry back that was added to the open chain last.
    pub(super) fn pop_chained(&mut self) -> Option<S>
    where
        S: OneWidth + SqSlots<Slot = S>,
    {
        self.chained = self.chained.checked_sub(1)?;
        let slot = self.slot(self.tail().advance(self.chained));
        if self.chained == 0 {
            self.end_chain();
        }
        // SAFETY: a slot of ours, valid for reads; any bytes are an entry.
        Some(unsafe { slot.read() })
    }

    /// Gives the open chain up. Returns how many entries it had.
    pub(super) fn drop_chain(&mut self) -> u32 {
        core::mem::take(&mut self.chained)
    }

    /// Queues the chain.
    fn end_chain(&mut self) {
        let tail = self.tail().advance(core::mem::take(&mut self.chained));
        // How much room there is, the next push finds out.
        self.go_on_from(tail, tail);
    }
}
