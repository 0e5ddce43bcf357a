//! Why a push failed.
#![forbid(unsafe_code)]

use core::fmt;

/// Why a push failed, with the entries that were not queued.
///
/// None of the entries was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushError<E> {
    /// The queue is full. It has room again after the kernel has consumed queued entries.
    Full(E),
    /// The last entry is linked to a next one that was not pushed with it. An open link would apply
    /// to whatever entry is pushed next, or would end at a submit.
    OpenChain(E),
    /// There are more entries than the queue has slots: they can never be queued together.
    TooMany(E),
    /// The ring cannot be used: a parent process made it, or a failed
    /// [`resize`](crate::IoUring::resize) made it unusable.
    Unusable(E),
}

impl<E> PushError<E> {
    /// Returns the entries that were not queued.
    pub fn into_entries(self) -> E {
        match self {
            Self::Full(entries)
            | Self::OpenChain(entries)
            | Self::TooMany(entries)
            | Self::Unusable(entries) => entries,
        }
    }

    /// The same error with other contents.
    pub(crate) fn map<F>(self, f: impl FnOnce(E) -> F) -> PushError<F> {
        match self {
            Self::Full(e) => PushError::Full(f(e)),
            Self::OpenChain(e) => PushError::OpenChain(f(e)),
            Self::TooMany(e) => PushError::TooMany(f(e)),
            Self::Unusable(e) => PushError::Unusable(f(e)),
        }
    }
}

impl<E> fmt::Display for PushError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the submission queue is full: submit, then push again",
            Self::OpenChain(_) => {
                "the last entry is linked to an entry that was not pushed with it: push the \
                 whole chain at once, its last entry without a link"
            }
            Self::TooMany(_) => "more entries were pushed at once than the queue has slots",
            Self::Unusable(_) => {
                "the ring cannot be used here: the process that made it has forked, or a resize \
                 made it unusable; make a new ring"
            }
        })
    }
}

impl<E: fmt::Debug> core::error::Error for PushError<E> {}
