//! An operation on another value's buffer.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::Read;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>, line: Line, other: &mut Line) {
    let op = Read::lent(&other.from, &mut other.bytes).op();
    let _ = jobs.start(line, |_| op);
}

fn main() {}
