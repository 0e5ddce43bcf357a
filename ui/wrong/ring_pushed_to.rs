//! An entry of the program's own, on a ring of the safe front.

use ringbolt::jobs::SafeRing;
use ringbolt::ops::Nop;

fn program(ring: &mut SafeRing) {
    let _ = ring.submission().push_safe(Nop::new().sqe(0));
}

fn main() {}
