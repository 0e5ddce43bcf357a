//! The descriptor of a ring of the safe front.

use std::os::fd::AsFd;

use ringbolt::jobs::SafeRing;

fn program(ring: &SafeRing) {
    let _ = ring.as_fd();
}

fn main() {}
