//! Random programs of jobs, beside a model: on the simulated kernel, and on the running one.
//!
//! `RINGBOLT_PROGRAMS` says how many there are of each kind, and `RINGBOLT_SEED` which is the
//! first: a failure reports the seed of its program.
#![cfg(all(feature = "sim", feature = "owned"))]
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

#[path = "checks/mod.rs"]
mod checks;
mod common;

use core::panic::AssertUnwindSafe;
use std::panic::{catch_unwind, resume_unwind};

use checks::jobs::{self, Tally};
use common::process::raise_limit_of_descriptors;
use common::require;
use ringbolt::sys::Opcode;

fn number(name: &str, default: u64) -> u64 {
    let wish = std::env::var(name).ok();
    wish.map_or(default, |wish| wish.parse().expect("a number"))
}

/// Runs the programs of as many seeds, and returns what has happened in them.
fn run(default: u64, play: impl Fn(&[u8]) -> Tally) -> Tally {
    let first = number("RINGBOLT_SEED", 0);
    let mut all = Tally::default();
    for seed in first..first + number("RINGBOLT_PROGRAMS", default) {
        let played = catch_unwind(AssertUnwindSafe(|| play(&jobs::program(seed))));
        match played {
            Ok(tally) => all.add(tally),
            Err(payload) => {
                eprintln!("the program of seed {seed}");
                resume_unwind(payload);
            }
        }
    }
    println!("{all:?}");
    all
}

#[test]
fn programs_get_their_values_back_from_the_simulated_kernel() {
    let leaks = !cfg!(miri);
    let programs = if cfg!(miri) { 12 } else { 3000 };
    let tally = run(programs, |input| jobs::simulated(input, leaks));
    if !cfg!(miri) && number("RINGBOLT_PROGRAMS", programs) >= programs {
        tally.assert_everything_has_happened();
    }
}

#[test]
#[cfg_attr(miri, ignore = "Miri makes no system calls")]
fn programs_get_their_values_back_from_the_running_kernel() {
    // Nops with a result came later than any other thing that is used.
    require!(op: Opcode::BIND);
    // What is forgotten keeps its descriptors.
    raise_limit_of_descriptors();
    run(300, jobs::running);
}
