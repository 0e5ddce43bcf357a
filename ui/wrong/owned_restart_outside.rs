//! A buffer outside the value, in a restart.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::Read;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>) {
    let mut bytes = [0; 16];
    let done = jobs.next().unwrap().expect_done();
    let _ = done.restart(|line| Read::lent(&line.from, &mut bytes).op());
}

fn main() {}
