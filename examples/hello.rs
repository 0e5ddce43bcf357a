//! Writes "hello" to standard output through a ring.
#![forbid(unsafe_code)]

use std::io::{self, Stdout};

use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::Write;

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut jobs: OwnedJobs<Stdout> = SafeRing::new(8)?.into_jobs(1);
    // Statics outlive every job. Other bytes would be a field of the value, like the descriptor.
    jobs.start(io::stdout(), |stdout| Write::lent(stdout, b"hello\n").op())?;
    let written = jobs.wait_next()?.ok_or("no event")?.result()?;
    if written < 6 {
        return Err("standard output is full".into());
    }
    Ok(())
}
