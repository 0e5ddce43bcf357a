//! Jobs of a scope that are shut down, so that their places are freed.

use ringbolt::jobs::{Place, SafeRing};

fn program(first: &mut SafeRing, second: &mut SafeRing) {
    first.scope::<(), _>(&mut [Place::new()], |one| {
        let _ = second;
        let _ = one.shutdown(core::time::Duration::ZERO);
    });
}

fn main() {}
