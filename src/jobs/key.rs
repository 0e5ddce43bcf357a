//! [`Key`]: the name of a job.
#![forbid(unsafe_code)]

use super::place::Place;

/// The name of a job, from its start until it is finished. A restart keeps it.
///
/// The key of a job that is finished names nothing, until 2^32 other jobs have had its place. It
/// means nothing to other [`Jobs`](super::Jobs), where it may name another job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    job: u32,
}

impl Key {
    /// The name of the job in `place`.
    #[inline(always)]
    pub(super) fn of<T>(place: &Place<T>) -> Self {
        Self { index: place.index(), job: place.job.get() }
    }

    /// The number of the place.
    pub(super) const fn index(self) -> u32 {
        self.index
    }

    /// Whether this names the job in `place`, which is that of the key.
    pub(super) fn names<T>(self, place: &Place<T>) -> bool {
        place.job.get() == self.job
    }
}
