//! Why a job was not started: [`Refused`], which has the value, and its [`Cause`].
#![forbid(unsafe_code)]

use core::fmt;

use crate::enter::submit_error::SubmitError;

/// A job that was not started, and its value. Nothing of it is in flight.
///
/// It is no [`Error`](core::error::Error) itself, since an error that contains a value of the
/// program would have to live as long as errors do. The `?` operator makes a [`Cause`], a
/// `std::io::Error` or a boxed error of it, and **drops the value**.
#[derive(Debug)]
pub struct Refused<T> {
    /// The value.
    pub value: T,
    /// Why it was not started.
    pub cause: Cause,
}

/// Why a job was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// Every place is taken: take events first, by [`Jobs::wait_next`](super::Jobs::wait_next).
    NoPlace,
    /// The submission queue was full, and the kernel did not take what it holds.
    Submit(SubmitError),
    /// A chain has more links than the submission queue has slots.
    TooLong,
    /// A link of a quiet chain is one whose completion is needed: it is hard-linked, makes a
    /// descriptor, takes a provided buffer, or is a link timeout at the end.
    NotQuiet,
    /// A link of a chain takes a provided buffer, of which only a job of its own can tell which.
    BufferInChain,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlace => f.write_str("every place is taken: take events first"),
            Self::Submit(error) => error.fmt(f),
            Self::TooLong => {
                f.write_str("the chain has more links than the submission queue has slots")
            }
            Self::NotQuiet => f.write_str(
                "a quiet chain cannot have hard links, descriptors, provided buffers, or a link \
                 timeout at its end",
            ),
            Self::BufferInChain => f.write_str("a link of a chain cannot take a provided buffer"),
        }
    }
}

impl core::error::Error for Cause {}

/// A program has one type of error for starting and for waiting.
impl From<SubmitError> for Cause {
    fn from(error: SubmitError) -> Self {
        Self::Submit(error)
    }
}

impl<T> From<Refused<T>> for Cause {
    /// Drops the value.
    fn from(refused: Refused<T>) -> Self {
        refused.cause
    }
}

#[cfg(feature = "std")]
impl From<Cause> for std::io::Error {
    /// The errno of the kernel; `EAGAIN` if every place is taken, and `EINVAL` for a chain that
    /// cannot be.
    fn from(cause: Cause) -> Self {
        use rustix::io::Errno;

        match cause {
            Cause::Submit(error) => error.into(),
            Cause::NoPlace => Errno::AGAIN.into(),
            Cause::TooLong | Cause::NotQuiet | Cause::BufferInChain => Errno::INVAL.into(),
        }
    }
}

#[cfg(feature = "std")]
impl<T> From<Refused<T>> for std::io::Error {
    /// Drops the value. Otherwise as for [`Cause`].
    fn from(refused: Refused<T>) -> Self {
        refused.cause.into()
    }
}

#[cfg(feature = "alloc")]
impl<T> From<Refused<T>> for alloc::boxed::Box<dyn core::error::Error> {
    /// Drops the value.
    fn from(refused: Refused<T>) -> Self {
        refused.cause.into()
    }
}

#[cfg(feature = "alloc")]
impl<T> From<Refused<T>> for alloc::boxed::Box<dyn core::error::Error + Send + Sync> {
    /// Drops the value.
    fn from(refused: Refused<T>) -> Self {
        refused.cause.into()
    }
}
