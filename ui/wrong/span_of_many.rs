//! A buffer that is read while a span of it is there.

use std::fs::File;

use ringbolt::ops::Read;

struct Line {
    from: File,
    bytes: [u8; 16],
}

fn program(line: &mut Line) {
    let span = ringbolt::ops::Span::from(&mut line.bytes);
    line.bytes[0] = 1;
    let _ = Read::lent(&line.from, span).op();
}

fn main() {}
