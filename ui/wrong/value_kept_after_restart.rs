//! A reference to the value, after its job was started again.

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

fn program(jobs: &mut OwnedJobs<Line>) {
    let done = jobs.next().unwrap().expect_done();
    let bytes = &done.bytes;
    let _ = done.restart(Line::read);
    assert_eq!(bytes[0], 0);
}

fn main() {}
