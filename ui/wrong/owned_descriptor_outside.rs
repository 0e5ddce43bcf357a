//! A descriptor outside the value, in owned jobs.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::Read;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>, line: Line) {
    let file = File::open("Cargo.toml").unwrap();
    let _ = jobs.start(line, |line| Read::lent(&file, &mut line.bytes).op());
}

fn main() {}
