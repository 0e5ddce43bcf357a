//! A buffer that is lent by a capture, used inside the scope.

use std::fs::File;

use ringbolt::jobs::{Place, SafeRing};
use ringbolt::ops::Read;

fn program(ring: &mut SafeRing, file: File) {
    let mut bytes = [0; 16];
    ring.scope(&mut [Place::new()], |jobs| {
        let _ = jobs.start((), |_| Read::lent(&file, &mut bytes).op());
        bytes[0] = 1;
    });
}

fn main() {}
