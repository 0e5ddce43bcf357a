//! [`Timespec`]: times in the kernel's format.
#![forbid(unsafe_code)]

use core::num::TryFromIntError;
use core::time::Duration;

use crate::sys::__kernel_timespec;

/// A duration or a point in time in the kernel's format, `struct __kernel_timespec`.
///
/// It consists of seconds and nanoseconds, with the same layout on every architecture.
///
/// Operations take a pointer to it: it must stay at its address until the entry is submitted. Calls
/// that wait take anything that converts to it, a [`Duration`] for example.
#[doc(alias = "__kernel_timespec")]
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
pub struct Timespec(__kernel_timespec);

impl Timespec {
    /// Makes a time of `seconds` and `nanoseconds`.
    ///
    /// With negative values, operations complete with `EINVAL`, and waits end immediately. In a
    /// 32-bit program the kernel instead adds 2^32 to negative nanoseconds.
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

    /// The time as the kernel's struct.
    pub const fn as_raw(&self) -> &__kernel_timespec {
        &self.0
    }
}

impl TryFrom<Timespec> for Duration {
    type Error = TryFromIntError;

    /// The span of time. Fails if one of the fields is negative, or more than a `u32` of
    /// nanoseconds.
    fn try_from(timespec: Timespec) -> Result<Self, TryFromIntError> {
        let seconds = timespec.seconds().try_into()?;
        Ok(Self::new(seconds, timespec.nanoseconds().try_into()?))
    }
}

impl From<Duration> for Timespec {
    /// A duration of more than 2^63 - 1 seconds becomes 2^63 - 1 seconds and keeps its nanoseconds.
    ///
    /// The kernel counts nanoseconds, and reduces times of more than 2^63 - 1 of them, about 292
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
