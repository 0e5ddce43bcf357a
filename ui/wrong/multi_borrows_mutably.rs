//! An operation that completes many times, made from an exclusive borrow.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(jobs: &mut OwnedJobs<Line>, line: Line, multi: for<'a> fn(&'a mut Line) -> ringbolt::ops::Multi<'a>) {
    let _ = jobs.start_multi(line, |line: &mut Line| multi(line));
}

fn main() {}
