//! A cancellation while there is an event.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>) {
    let event = jobs.next().unwrap();
    let key = event.key();
    let _ = jobs.cancel(key);
    let _ = event.result();
}

fn main() {}
