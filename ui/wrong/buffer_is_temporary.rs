//! A buffer that is gone when the closure returns.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::Read;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>, line: Line) {
    let _ = jobs.start(line, |line| Read::lent(&line.from, &mut [0; 16]).op());
}

fn main() {}
