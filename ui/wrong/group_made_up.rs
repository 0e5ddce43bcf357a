//! A group of buffers that the safe front does not own.

use ringbolt::ops::Group;

fn program() -> Group {
    Group::new(0)
}

fn main() {}
