//! A shutdown while there is an event.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(mut jobs: OwnedJobs<Line>) {
    let event = jobs.next().unwrap();
    let _ = jobs.shutdown(core::time::Duration::ZERO);
    let _ = event.result();
}

fn main() {}
