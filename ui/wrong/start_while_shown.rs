//! A start while there is an event.

use std::fs::File;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::{Op, Read};

struct Line {
    from: File,
    bytes: [u8; 16],
}

impl Line {
    fn read(&mut self) -> Op<'_> {
        Read::lent(&self.from, &mut self.bytes).op()
    }
}

fn program(jobs: &mut OwnedJobs<Line>, line: Line) {
    let event = jobs.next().unwrap();
    let _ = jobs.start(line, Line::read);
    let _ = event.result();
}

fn main() {}
