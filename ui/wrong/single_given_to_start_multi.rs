//! An operation that completes once, started as one that completes many times.

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::Nop;

fn program(jobs: &mut OwnedJobs<()>) {
    let _ = jobs.start_multi((), |_| Nop::new().op());
}

fn main() {}
