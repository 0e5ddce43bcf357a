//! A value that borrows, in owned jobs.

use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::Nop;

fn program(ring: SafeRing) {
    let bytes = [0_u8; 16];
    let mut jobs: OwnedJobs<&[u8]> = ring.into_jobs(1);
    let _ = jobs.start(&bytes, |_| Nop::new().op());
}

fn main() {}
