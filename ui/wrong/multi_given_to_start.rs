//! An operation that completes many times, started as one that completes once.

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::Multi;

fn program(jobs: &mut OwnedJobs<()>, multi: for<'a> fn(&'a ()) -> Multi<'a>) {
    let _ = jobs.start((), |value| multi(value));
}

fn main() {}
