//! The slot of the next entry of a submission queue.

use core::ptr::NonNull;

use crate::entry::SqEntry;

use super::atomic::will_write;

/// The slot of the next entry: all that a push reads.
///
/// It holds addresses, so that a push is one comparison, the stores to the slot, and one addition.
/// A borrower of the queue works on a copy, which can stay in registers, whatever is stored to
/// slots. The queue's own `next` is updated with each push. In a loop without system calls each of
/// the two, addresses and the copy, saves 5 % of the time.
#[derive(Debug)]
pub(crate) struct Cursor<S: SqEntry> {
    /// The slot of the next entry, unless it equals `stop`.
    pub(super) next: NonNull<S::Slot>,
    /// The first slot after `next` that is not known to be free, or the end of the slots.
    pub(super) stop: NonNull<S::Slot>,
}

impl<S: SqEntry> Clone for Cursor<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: SqEntry> Copy for Cursor<S> {}

impl<S: SqEntry> Cursor<S> {
    /// The number of consecutive slots from `next` on that are known to be free.
    #[inline(always)]
    pub(super) fn left(&self) -> usize {
        (self.stop.addr().get() - self.next.addr().get()) / size_of::<S::Slot>()
    }

    /// Copies `entry` into the next slots.
    ///
    /// # Safety
    ///
    /// The slots that the entry takes are left before `stop`.
    #[inline(always)]
    pub(super) unsafe fn put(&mut self, entry: S) {
        will_write(self.next.as_ptr());
        let slots = entry.slots() as usize;
        // SAFETY:
        // 1. Valid for writes: they are before `stop`, so they are slots of the queue.
        // 2. Nothing reads them: they are before the limit, so the kernel's head is beyond their
        //    earlier entries (R2), and they are not published.
        unsafe { entry.store(self.next.as_ptr()) };
        // SAFETY: the result is at most `stop`, which is at most the end of the slots.
        self.next = unsafe { self.next.add(slots) };
    }
}

// SAFETY: it holds only two addresses; memory is used through a queue, which decides which thread
// may.
unsafe impl<S: SqEntry> Send for Cursor<S> {}
