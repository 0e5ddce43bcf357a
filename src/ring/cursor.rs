//! Where the next entry of a submission queue goes.

use core::ptr::NonNull;

use crate::entry::SqEntry;

use super::atomic::will_write;

/// Where the next entry goes: all that a push looks at.
///
/// Addresses, so that a push is one comparison, the stores to the slot, and one addition. A
/// borrower of the queue works on a copy, which stays in registers whatever is stored to slots;
/// the queue's own `next` follows with each push.
#[derive(Debug)]
pub(crate) struct Cursor<S: SqEntry> {
    /// The slot of the next entry, if it is not `stop`.
    pub(super) next: NonNull<S::Slot>,
    /// The first slot from there on that is not known to be free, or the end of the slots.
    pub(super) stop: NonNull<S::Slot>,
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
    pub(super) fn left(&self) -> usize {
        (self.stop.addr().get() - self.next.addr().get()) / size_of::<S::Slot>()
    }

    /// Copies `entry` into the next slots.
    ///
    /// # Safety
    ///
    /// As many slots as the entry takes are left before `stop`.
    #[inline(always)]
    pub(super) unsafe fn put(&mut self, entry: S) {
        will_write(self.next.as_ptr());
        let slots = entry.slots() as usize;
        // SAFETY:
        // 1. Valid for writes: before `stop`, so slots of the queue.
        // 2. Nobody reads them: before the limit, so the kernel's head has gone past the entries
        //    that were here (R2), and not published.
        unsafe { entry.store(self.next.as_ptr()) };
        // SAFETY: at most `stop`, which is at most the end of the slots.
        self.next = unsafe { self.next.add(slots) };
    }
}

// SAFETY: two addresses; what is there is used through a queue, which says who may.
unsafe impl<S: SqEntry> Send for Cursor<S> {}
