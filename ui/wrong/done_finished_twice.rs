//! A value that is taken twice.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>) {
    let done = jobs.next().unwrap().expect_done();
    let first = done.finish();
    let second = done.finish();
    drop((first, second));
}

fn main() {}
