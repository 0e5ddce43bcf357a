//! A buffer of the closure.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::Read;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>, line: Line) {
    let _ = jobs.start(line, |line| {
        let mut bytes = vec![0; 16];
        Read::lent(&line.from, &mut bytes).op()
    });
}

fn main() {}
