//! Jobs of a scope that change places with owned ones.

use ringbolt::jobs::{OwnedJobs, Place, SafeRing};

fn program(first: &mut SafeRing, owned: &mut OwnedJobs<()>) {
    first.scope::<(), _>(&mut [Place::new()], |one| {
        core::mem::swap(one, owned);
    });
}

fn main() {}
