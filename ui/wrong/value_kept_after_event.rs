//! A reference to the value, after the next event was asked for.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>) {
    let event = jobs.next().unwrap();
    let bytes = &event.bytes;
    let _ = jobs.next();
    assert_eq!(bytes[0], 0);
}

fn main() {}
