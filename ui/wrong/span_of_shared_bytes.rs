//! Memory to write to, from a shared reference.

use ringbolt::ops::Span;

fn program(bytes: &[u8; 16]) {
    let _ = Span::from(bytes);
}

fn main() {}
