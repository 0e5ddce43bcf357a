//! Random programs of jobs, on the simulated kernel and on the running one.
//!
//! An input is a program: rings, scopes and owned jobs on them, operations alone and in chains,
//! events that are taken, dropped, forgotten and started again, cancellations, panics, faults. A
//! model knows what must come: each value comes back once or is dropped once, with its canaries
//! intact and nothing written to it that was not asked for; each job has its event; results are
//! those of the operations. [`program`] makes an input of a seed.

#![forbid(unsafe_code)]
#![allow(clippy::result_large_err, reason = "errors have the values in them")]
#![allow(clippy::forget_non_drop, reason = "what is tested is that it has no destructor")]

pub(crate) mod book;
pub(crate) mod flight;
pub(crate) mod play;
pub(crate) mod pool;
pub(crate) mod start;
pub(crate) mod tally;
pub(crate) mod turn;
pub(crate) mod value;
pub(crate) mod world;

use super::Seed;
use super::bytes::Bytes;
use play::Player;
pub(crate) use tally::Tally;
use world::World;

/// How long a program is, in bytes.
const LEN: usize = if cfg!(miri) { 240 } else { 800 };

/// Runs a program on the simulated kernel.
pub(crate) fn check(input: &[u8]) {
    let _ = simulated(input, false);
}

/// Runs a program on the simulated kernel. With `leaks`, jobs are forgotten, too.
pub(crate) fn simulated(input: &[u8], leaks: bool) -> Tally {
    run(input, &World::simulated(), leaks)
}

/// Runs a program on the running kernel.
pub(crate) fn running(input: &[u8]) -> Tally {
    run(input, &World::running(), true)
}

fn run(input: &[u8], world: &World, leaks: bool) -> Tally {
    let mut tally = Tally::default();
    let mut bytes = Bytes::new(input);
    Player::new(&mut bytes, &mut tally, world.clone(), leaks).play();
    book::check_conclusions();
    tally
}

/// The program of a seed: bytes of SplitMix64, most of them small, as the choices are.
pub(crate) fn program(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = state;
        word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ word >> 31
    };
    let words = LEN / 8 / 2 + usize::try_from(next() % (LEN as u64 / 16)).unwrap_or(0);
    (0..words).flat_map(|_| next().to_le_bytes()).collect()
}

/// Programs to start from.
pub(crate) fn seeds() -> Vec<Seed> {
    (0..16).map(|seed| (format!("seed-{seed}"), program(seed))).collect()
}
