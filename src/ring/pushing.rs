//! Pushing for the tests of the queues, with a new copy of the cursor each time.
#![forbid(unsafe_code)]

use crate::entry::SqEntry;

use super::push_error::PushError;
use super::sq::Sq;

impl<S: SqEntry> Sq<S> {
    /// Copies `entry` into the next slot, or returns it.
    pub(in crate::ring) fn push(&mut self, entry: S) -> Result<(), PushError<S>> {
        let mut cursor = self.cursor();
        let pushed = self.push_at(&mut cursor, entry).map_err(|error| error.map(|()| entry));
        assert_eq!(cursor.next, self.cursor().next, "the copy and the queue differ");
        assert_eq!(cursor.stop, self.cursor().stop, "the copy and the queue differ");
        pushed
    }

    /// Copies all of `entries` into the next slots, or none of them.
    #[cfg(not(loom))]
    pub(in crate::ring) fn push_list(&mut self, entries: &[S]) -> Result<(), PushError<()>> {
        let mut cursor = self.cursor();
        self.push_all(&mut cursor, entries)
    }
}
