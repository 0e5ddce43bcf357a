//! A buffer that is used while its job may be in flight.

use std::fs::File;

use ringbolt::jobs::{Place, SafeRing};
use ringbolt::ops::Read;

fn program(ring: &mut SafeRing, file: File) {
    let mut bytes = [0; 16];
    ring.scope(&mut [Place::new()], |jobs| {
        let _ = jobs.start(&mut bytes, |bytes| Read::lent(&file, bytes).op());
        bytes[0] = 1;
    });
}

fn main() {}
