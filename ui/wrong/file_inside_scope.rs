//! A file that does not outlive the scope.

use std::fs::File;

use ringbolt::jobs::{Place, SafeRing};
use ringbolt::ops::Read;

fn program(ring: &mut SafeRing, file: File) {
    let mut bytes = [0; 16];
    ring.scope(&mut [Place::new()], |jobs| {
        let file = file.try_clone().unwrap();
        let _ = jobs.start(&mut bytes, |bytes| Read::lent(&file, bytes).op());
    });
}

fn main() {}
