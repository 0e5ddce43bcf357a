//! An operation that borrows from an inner scope, started in the outer one.

use std::fs::File;

use ringbolt::jobs::{Place, SafeRing};
use ringbolt::ops::{OpIn, Read};

fn program(first: &mut SafeRing, second: &mut SafeRing, file: &File) {
    first.scope::<(), _>(&mut [Place::new()], |one| {
        let mut bytes = [0; 16];
        second.scope::<(), _>(&mut [Place::new()], |_| {
            let op: OpIn<'_, '_> = Read::lent(file, &mut bytes).op();
            let _ = one.start((), |_| op);
        });
    });
}

fn main() {}
