//! A value that is changed while its job may go on.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>) {
    let mut event = jobs.next().unwrap();
    event.bytes[0] = 1;
}

fn main() {}
