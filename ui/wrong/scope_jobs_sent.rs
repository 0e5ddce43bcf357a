//! Jobs of a scope, sent to another thread.

use ringbolt::AnyThread;
use ringbolt::jobs::{Place, SafeRing};

fn program(ring: &mut SafeRing<AnyThread>) {
    ring.scope::<(), _>(&mut [Place::new()], |jobs| {
        std::thread::scope(|threads| {
            threads.spawn(move || jobs.submit());
        });
    });
}

fn main() {}
