//! An operation that leaves its closure.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::{Op, Read};

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>, line: Line) {
    let mut kept: Option<Op<'_>> = None;
    let _ = jobs.start(line, |line| {
        kept = Some(Read::lent(&line.from, &mut line.bytes).op());
        ringbolt::ops::Nop::new().op()
    });
}

fn main() {}
