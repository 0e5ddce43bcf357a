//! Two operations of a chain that write to one buffer, without a span that they share.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::Read;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>, line: Line) {
    let _ = jobs.start_chain(line, |line| {
        [
            Read::lent(&line.from, &mut line.bytes).op(),
            Read::lent(&line.from, &mut line.bytes).op(),
        ]
    });
}

fn main() {}
