//! Jobs of two scopes that change places.

use ringbolt::jobs::{Place, SafeRing};

fn program(first: &mut SafeRing, second: &mut SafeRing) {
    first.scope::<(), _>(&mut [Place::new()], |one| {
        second.scope::<(), _>(&mut [Place::new()], |two| {
            core::mem::swap(one, two);
        });
    });
}

fn main() {}
