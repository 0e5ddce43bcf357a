//! A ring that is used underneath its jobs.

use std::fs::File;

use ringbolt::jobs::{Place, SafeRing};
use ringbolt::ops::Read;

fn program(ring: &mut SafeRing, file: File) {
    let mut bytes = [0; 16];
    ring.scope(&mut [Place::new()], |jobs| {
        let _ = jobs.start(&mut bytes, |bytes| Read::lent(&file, bytes).op());
        let _ = ring.entries();
    });
}

fn main() {}
