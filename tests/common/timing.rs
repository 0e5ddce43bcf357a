//! How long waits take, on rings of each kind.

use core::time::Duration;
use std::time::Instant;

use ringbolt::sys::SetupFlags;
use ringbolt::{Builder, IoUring};

use super::process::bounded;
use super::{PATIENCE, require};

/// How long `wait` takes, and what it returns.
pub(crate) fn timed<R>(wait: impl FnOnce() -> R) -> (Duration, R) {
    let start = Instant::now();
    let result = wait();
    (start.elapsed(), result)
}

/// About `expected`: not less, and not so much more that it were another reason.
pub(crate) fn assert_about(span: Duration, expected: Duration) {
    assert!(span >= expected, "{span:?} instead of {expected:?}");
    assert!(span < expected + PATIENCE / 4, "{span:?} instead of {expected:?}");
}

/// The same promise for a ring with default flags and for one whose thread does deferred work.
pub(crate) fn on_each_kind(test: fn(Builder)) {
    bounded(move || test(IoUring::builder()));
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    require!(setup: flags);
    bounded(move || test(IoUring::builder().flags(flags)));
}
