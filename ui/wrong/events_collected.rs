//! Events that are kept.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>) {
    let mut all = Vec::new();
    while let Some(event) = jobs.next() {
        all.push(event);
    }
}

fn main() {}
