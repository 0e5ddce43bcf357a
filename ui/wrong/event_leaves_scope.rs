//! An event that leaves its scope.

use std::fs::File;

use ringbolt::jobs::{Place, SafeRing};
use ringbolt::ops::Read;

fn program(ring: &mut SafeRing, file: File) {
    let mut bytes = [0; 16];
    let _ = ring.scope(&mut [Place::new()], |jobs| {
        let _ = jobs.start(&mut bytes, |bytes| Read::lent(&file, bytes).op());
        jobs.next()
    });
}

fn main() {}
