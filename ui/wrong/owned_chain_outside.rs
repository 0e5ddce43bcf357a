//! A buffer outside the value, in a chain.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::Read;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>, line: Line) {
    let mut bytes = [0; 16];
    let _ = jobs.start_chain(line, |line| [Read::lent(&line.from, &mut bytes).op()]);
}

fn main() {}
