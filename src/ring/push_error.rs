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
    /// to whatever entry is pushed next, or would end at a submit. Push the chain at once, or its
    /// entries one by one with [`push_chained`](crate::SubmissionQueue::push_chained).
    OpenChain(E),
    /// A chain is open in the queue, and any other entry would become a part of it. Add to it with
    /// [`push_chained`](crate::SubmissionQueue::push_chained), end it with
    /// [`close_chain`](crate::SubmissionQueue::close_chain), or take it back with
    /// [`pop_back`](crate::SubmissionQueue::pop_back).
    InChain(E),
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
            | Self::InChain(entries)
            | Self::TooMany(entries)
            | Self::Unusable(entries) => entries,
        }
    }

    /// The same error with other contents.
    pub(crate) fn map<F>(self, f: impl FnOnce(E) -> F) -> PushError<F> {
        match self {
            Self::Full(e) => PushError::Full(f(e)),
            Self::OpenChain(e) => PushError::OpenChain(f(e)),
            Self::InChain(e) => PushError::InChain(f(e)),
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
                "the last entry is linked to an entry that was not pushed with it: push the whole \
                 chain at once with `push_all` or `reserve`, or one by one with `push_chained`"
            }
            Self::InChain(_) => {
                "a chain is open in the submission queue: add to it with `push_chained`, end it \
                 with `close_chain`, or take it back with `pop_back`"
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

#[cfg(feature = "std")]
impl<E> From<PushError<E>> for std::io::Error {
    /// Keeps the text. There is no errno: the kernel was not asked. The kind is `WouldBlock` for
    /// [`Full`](PushError::Full), `InvalidInput` for [`OpenChain`](PushError::OpenChain) and
    /// [`TooMany`](PushError::TooMany), `Other` for [`Unusable`](PushError::Unusable).
    ///
    /// The entries are lost: take them by [`into_entries`](PushError::into_entries) instead where
    /// they are needed.
    fn from(error: PushError<E>) -> Self {
        let kind = match error {
            PushError::Full(_) => std::io::ErrorKind::WouldBlock,
            PushError::OpenChain(_) | PushError::InChain(_) | PushError::TooMany(_) => {
                std::io::ErrorKind::InvalidInput
            }
            PushError::Unusable(_) => std::io::ErrorKind::Other,
        };
        Self::new(kind, error.map(drop))
    }
}

#[cfg(all(test, feature = "std"))]
mod tests {
    use std::io::{Error, ErrorKind};
    use std::string::ToString;

    use super::PushError;

    #[test]
    fn an_io_error_has_the_text_and_a_kind() {
        // The entry need not be one that can be sent to another thread.
        let entry = std::rc::Rc::new(());
        for (error, kind) in [
            (PushError::Full(entry.clone()), ErrorKind::WouldBlock),
            (PushError::OpenChain(entry.clone()), ErrorKind::InvalidInput),
            (PushError::TooMany(entry.clone()), ErrorKind::InvalidInput),
            (PushError::Unusable(entry), ErrorKind::Other),
        ] {
            let text = error.to_string();
            let error = Error::from(error);
            assert_eq!((error.kind(), error.to_string()), (kind, text));
            assert_eq!(error.raw_os_error(), None);
        }
    }
}
