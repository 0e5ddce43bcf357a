//! [`Pool`]: the provided buffers of a ring's jobs, by the model.

use ringbolt::jobs::Received;
use ringbolt::ops::Group;

/// The length of a provided buffer.
pub(crate) const BUFFER: u32 = 8;

/// A group, and the buffers of it that the program has.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    pub(crate) group: Option<Group>,
    pub(crate) count: usize,
    /// The group of jobs that are over.
    pub(crate) stale: Option<Group>,
    /// Buffers, and what is in them.
    held: Vec<(Received, Vec<u8>)>,
    /// Buffers of groups that are gone.
    old: Vec<(Received, Vec<u8>)>,
}

impl Pool {
    /// The program takes a buffer with these bytes.
    pub(crate) fn take(&mut self, received: Received, bytes: &[u8]) {
        assert_eq!(&received[..], bytes, "a buffer has other bytes");
        self.held.push((received, bytes.to_vec()));
        self.check();
        assert!(self.held.len() <= self.count, "more buffers than there are");
    }

    /// Drops one of the buffers that the program has.
    pub(crate) fn give_back(&mut self, nth: u8) {
        if !self.held.is_empty() {
            self.held.swap_remove(usize::from(nth) % self.held.len());
        } else if !self.old.is_empty() {
            self.old.swap_remove(usize::from(nth) % self.old.len());
        }
    }

    /// Drops all buffers of the group.
    pub(crate) fn give_all_back(&mut self) {
        self.check();
        self.held.clear();
    }

    /// The jobs are over, and the group with them.
    pub(crate) fn end(&mut self) {
        self.check();
        self.stale = self.group.take();
        self.old.append(&mut self.held);
    }

    /// Fails unless each buffer has what was in it, and belongs to one.
    pub(crate) fn check(&self) {
        let all = || self.held.iter().chain(&self.old);
        for (received, bytes) in all() {
            assert_eq!(received[..], bytes[..], "a buffer was written to");
        }
        let mut ranges: Vec<_> = all().map(|(received, _)| received.as_ptr_range()).collect();
        ranges.sort_by_key(|range| range.start);
        for pair in ranges.windows(2) {
            assert!(pair[0].end <= pair[1].start, "a buffer belongs to two");
        }
    }
}
