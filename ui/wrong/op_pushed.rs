//! An operation of the safe front, on a ring that does not hold what it borrows.

use ringbolt::IoUring;
use ringbolt::ops::Nop;

fn program(ring: &mut IoUring) {
    let _ = ring.submission().push_safe(Nop::new().op());
}

fn main() {}
