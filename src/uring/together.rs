//! Chains and lists: entries that are queued together, from slots that were set aside or one by
//! one.

use crate::entry::{IntoEntry, OneWidth, SqEntry, Sqe};
use crate::ring::push_error::PushError;
use crate::ring::sq::ReservedSlots;
use crate::uring::submission::SubmissionQueue;

impl<S: SqEntry, T> SubmissionQueue<'_, S, T> {
    /// Sets room for `count` entries aside, to be filled in place: no list of them is made, and
    /// where `count` is a constant, next to nothing is checked for each.
    ///
    /// What is put there is queued together by [`Reserved::commit`]; a reservation that is
    /// dropped or forgotten leaves the queue as it was.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`], and [`PushError::TooMany`] for more than
    /// [`capacity`](Self::capacity).
    #[inline]
    pub fn reserve(&mut self, count: usize) -> Result<Reserved<'_, S>, PushError<()>>
    where
        S: OneWidth,
    {
        self.sq.reserve(&mut self.cursor, count).map(|room| Reserved { room })
    }

    /// Adds `entry` to the open chain of the queue, or begins one: for those who link an entry to
    /// whatever comes next.
    ///
    /// An entry with a [link](Sqe::link) leaves the chain open. An entry without one ends the
    /// chain, and so does [`close_chain`](Self::close_chain). Until then the chain lies in its
    /// slots and is not queued: the kernel does not see it, [`len`](Self::len) does not count it,
    /// and submitting submits what was pushed before it. Nothing else can be pushed in the
    /// meantime.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::Nop};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ring = IoUring::new(8)?;
    /// let mut submission = ring.submission();
    /// // SAFETY: a NOP refers to no memory.
    /// unsafe { submission.push_chained(Nop::new().sqe(1).link()) }?;
    /// assert_eq!((submission.chain_len(), submission.len()), (1, 0));
    /// // SAFETY: as above.
    /// unsafe { submission.push_chained(Nop::new().sqe(2)) }?;
    /// assert_eq!((submission.chain_len(), submission.len()), (0, 2));
    /// ring.wait_for(2)?;
    /// assert_eq!(ring.completion().drain().count(), 2);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The entry is returned in the error, and the chain stays as it was.
    ///
    /// - [`PushError::Full`]: submit what was pushed before the chain, then add the entry.
    /// - [`PushError::TooMany`]: the chain fills all slots of the queue.
    /// - [`PushError::Unusable`].
    ///
    /// # Safety
    ///
    /// As for [`push`](Self::push). [`pop_back`](Self::pop_back) and [`rollback`](Self::rollback)
    /// take back entries of the open chain first.
    #[inline]
    pub unsafe fn push_chained(&mut self, entry: impl IntoEntry<S>) -> Result<(), PushError<S>>
    where
        S: OneWidth,
    {
        let entry = entry.into_entry();
        let pushed = self.sq.push_chained(entry);
        self.cursor = self.sq.cursor();
        pushed.map_err(|error| error.map(|()| entry))
    }

    /// Ends the open chain with the entry added last, whose link flag is removed, and queues it.
    /// Returns its number of entries, 0 if no chain is open.
    #[inline]
    pub fn close_chain(&mut self) -> u32
    where
        S: OneWidth,
    {
        let count = self.sq.close_chain();
        self.cursor = self.sq.cursor();
        count
    }

    /// How many entries the open chain has: 0 if none is open.
    #[inline]
    pub fn chain_len(&self) -> u32 {
        self.sq.chained()
    }
}

/// Reserved slots of a submission queue, from [`SubmissionQueue::reserve`].
#[derive(Debug)]
#[must_use = "what is put here is queued by `commit`, and by nothing else"]
pub struct Reserved<'q, S: SqEntry = Sqe> {
    room: ReservedSlots<'q, S>,
}

impl<S: SqEntry> Reserved<'_, S> {
    /// How many more entries fit.
    #[inline]
    pub fn left(&self) -> u32 {
        self.room.left()
    }

    /// Copies `entry` into the next reserved slot.
    ///
    /// # Errors
    ///
    /// [`PushError::Full`] with the entry, when as many have been put as were reserved.
    ///
    /// # Safety
    ///
    /// As for [`SubmissionQueue::push`], if [`commit`](Self::commit) is called.
    #[inline(always)]
    pub unsafe fn put(&mut self, entry: impl IntoEntry<S>) -> Result<(), PushError<S>> {
        let entry = entry.into_entry();
        if self.room.put(entry) { Ok(()) } else { Err(PushError::Full(entry)) }
    }

    /// Queues what has been put; slots that were not used stay free.
    ///
    /// # Errors
    ///
    /// [`PushError::OpenChain`] if the last entry is linked to a next one: nothing is queued.
    #[inline(always)]
    pub fn commit(self) -> Result<(), PushError<()>> {
        if self.room.is_open() {
            return Err(PushError::OpenChain(()));
        }
        self.room.commit();
        Ok(())
    }
}
