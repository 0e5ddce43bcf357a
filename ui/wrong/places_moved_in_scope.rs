//! Places that are moved while jobs have them.

use std::fs::File;

use ringbolt::jobs::{Place, SafeRing};
use ringbolt::ops::Read;

fn program(ring: &mut SafeRing, file: File) {
    let mut bytes = [0; 16];
    let mut places = [Place::new()];
    ring.scope(&mut places, |jobs| {
        let _ = jobs.start(&mut bytes, |bytes| Read::lent(&file, bytes).op());
        drop(places);
    });
}

fn main() {}
