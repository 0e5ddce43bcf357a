//! Pushing after one look at the cursor, for those who look before they make the entry.

use crate::entry::{OneWidth, SqEntry};
use crate::ring::push_error::PushError;

use super::Sq;

impl<S: SqEntry + OneWidth> Sq<S> {
    /// Whether the next slot is known to be free. No other thread can change the answer: the cursor
    /// belongs to this side, and only [`Self::find_room`] moves its end.
    #[inline(always)]
    pub(crate) fn is_ready(&self) -> bool {
        self.cursor.next != self.cursor.stop
    }

    /// Looks at the kernel's head until `count` slots are known to be free.
    pub(crate) fn find_room(&mut self, count: usize) -> Result<(), PushError<()>> {
        self.make_room(count)
    }

    /// Copies `entry` into the next slot.
    ///
    /// # Safety
    ///
    /// [`is_ready`](Self::is_ready) returned true, and nothing was pushed since.
    #[inline(always)]
    pub(crate) unsafe fn push_known(&mut self, entry: S) {
        // SAFETY: the next slot is not `stop`, by the contract, and the entry takes one.
        unsafe { self.cursor.put(entry) };
    }
}
