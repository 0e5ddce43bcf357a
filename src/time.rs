//! Times as the kernel takes them: [`Timespec`].
#![forbid(unsafe_code)]

use core::time::Duration;

use crate::sys::__kernel_timespec;

/// A time span or an instant as the kernel takes it, `struct __kernel_timespec`: seconds and
/// nanoseconds, the same on every architecture.
///
/// Operations take a pointer to one: it must stay where it is until the entry is submitted. Calls
/// that wait take anything that becomes one, a [`Duration`] for example.
#[doc(alias = "__kernel_timespec")]
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Timespec(__kernel_timespec);

impl Timespec {
    /// `seconds` and `nanoseconds`. Operations with negative ones complete with `EINVAL`; a
    /// wait for such a time is over at once. To a 32-bit program's nanoseconds the kernel adds
    /// 2^32 instead.
    pub const fn new(seconds: i64, nanoseconds: i64) -> Self {
        Self(__kernel_timespec { tv_sec: seconds, tv_nsec: nanoseconds })
    }

    /// The seconds.
    pub const fn seconds(&self) -> i64 {
        self.0.tv_sec
    }

    /// The nanoseconds.
    pub const fn nanoseconds(&self) -> i64 {
        self.0.tv_nsec
    }

    /// The time as the kernel lays it out.
    pub const fn as_raw(&self) -> &__kernel_timespec {
        &self.0
    }
}

impl From<Duration> for Timespec {
    /// A duration of more than 2^63 - 1 seconds becomes 2^63 - 1 seconds and keeps its nanoseconds.
    ///
    /// The kernel counts nanoseconds, and shortens what is longer than 2^63 - 1 of them, about 292
    /// years.
    fn from(duration: Duration) -> Self {
        let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
        Self::new(seconds, i64::from(duration.subsec_nanos()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Timespec};

    #[test]
    fn durations_become_timespecs_without_wrapping() {
        let span = Timespec::from(Duration::new(3, 999_999_999));
        assert_eq!((span.seconds(), span.nanoseconds()), (3, 999_999_999));
        let longest = Timespec::from(Duration::MAX);
        assert_eq!((longest.seconds(), longest.nanoseconds()), (i64::MAX, 999_999_999));
    }
}
