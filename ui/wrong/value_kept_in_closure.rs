//! A reference to the value, kept after the operation was made.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>, line: Line) {
    let mut kept = None;
    let _ = jobs.start(line, |line| {
        kept = Some(&mut line.bytes);
        ringbolt::ops::Nop::new().op()
    });
    kept.unwrap()[0] = 1;
}

fn main() {}
