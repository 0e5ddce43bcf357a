//! The checks of the fuzz targets, over random bytes, their seeds, and inputs that were found.
//!
//! An input that a fuzz target finds becomes a test by being copied into
//! `tests/data/fuzz/<target>/`. With `RINGBOLT_WRITE_CORPUS=<folder>` set, the seeds are written to
//! `<folder>/<target>/`, for the fuzzer to start from.

#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::checks::{ALL, Check, SIMULATED};
use crate::common;
use crate::common::process::in_child;
use crate::common::require;
use crate::trial;
use proptest::collection::vec;
use proptest::prelude::*;
use ringbolt::sys::Opcode;

fn check(name: &str) -> &'static Check {
    ALL.iter().find(|check| check.name == name).expect("a check of this name")
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The inputs that were found for a check, with their paths.
fn found(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = root().join("tests/data/fuzz").join(name);
    // No input was found for this one yet.
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let read = |path: PathBuf| {
        let input = fs::read(&path).expect("an input");
        (path.display().to_string(), input)
    };
    entries.map(|entry| read(entry.expect("an entry of a folder").path())).collect()
}

/// Runs a check over its seeds, what was found, and `cases` inputs of up to `len` random bytes.
fn run(name: &str, cases: u32, len: usize) {
    let Check { check, seeds, .. } = check(name);
    for (name, input) in seeds().into_iter().chain(found(name)) {
        // Stays in the output, which is shown if the check fails.
        println!("{name}");
        check(&input);
    }
    let config = ProptestConfig {
        cases: if cfg!(miri) { 8 } else { trial::cases(cases) },
        // Inputs that wait in vain do so for seconds.
        max_shrink_time: 20_000,
        ..ProptestConfig::default()
    };
    let byte = prop_oneof![2 => 0..16_u8, 1 => any::<u8>()];
    trial::on_any(config, &vec(byte, 0..len), |input| trial::hex(input), |input| check(input));
}

#[test]
fn no_buffer_makes_a_message_read_beyond_it() {
    run("message", 4096, 256);
}

#[test]
fn entries_are_what_their_operations_were_told() {
    run("encoding", 2048, 256);
}

#[test]
fn every_operation_is_among_those_that_are_encoded() {
    let made: BTreeSet<_> = crate::checks::encoding::opcodes().into_iter().collect();
    let known: BTreeSet<_> = Opcode::ALL.iter().map(|(_, opcode)| opcode.as_raw()).collect();
    assert_eq!(made, known);
}

#[test]
fn every_entry_is_accounted_for_whatever_it_is_linked_to() {
    require!(op: crate::checks::live::NEEDED);
    // By itself: the check counts the descriptors of the process.
    in_child("every_entry_is_accounted_for_whatever_it_is_linked_to", || {
        run("live", 64, 256);
    });
}

#[cfg(all(feature = "sim", feature = "owned"))]
mod simulated {
    use super::run;

    #[test]
    fn the_queues_do_what_the_model_does_for_any_bytes() {
        run("script", 512, 512);
    }

    #[test]
    fn a_hostile_other_side_makes_wrong_data_and_nothing_else() {
        run("hostile", 512, 512);
    }

    #[test]
    fn no_answer_to_set_up_leads_out_of_the_ring() {
        run("setup", 1024, 256);
    }

    #[test]
    fn any_program_of_jobs_gets_its_values_back() {
        run("jobs", 512, 512);
    }

    #[test]
    fn bundles_tell_what_is_published_whatever_the_entries_say() {
        run("buffers", 512, 256);
    }
}

#[test]
fn each_fuzz_target_runs_a_check_and_each_check_has_a_target() {
    let entries = fs::read_dir(root().join("fuzz/fuzz_targets")).expect("the fuzz targets");
    let stem = |path: &Path| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let targets: BTreeSet<_> =
        entries.map(|entry| stem(&entry.expect("an entry of a folder").path())).collect();
    let mut checks: BTreeSet<_> = ALL.iter().map(|check| check.name.to_owned()).collect();
    if cfg!(not(all(feature = "sim", feature = "owned"))) {
        checks.extend(SIMULATED.map(str::to_owned));
    }
    assert_eq!(targets, checks);
}

#[test]
fn seeds_are_written_where_the_fuzzer_looks_for_them() {
    let scratch = common::TempDir::new();
    let wanted = std::env::var_os("RINGBOLT_WRITE_CORPUS").map(PathBuf::from);
    let corpus = wanted.as_deref().unwrap_or(scratch.path());
    for Check { name, seeds, .. } in ALL {
        let folder = corpus.join(name);
        fs::create_dir_all(&folder).expect("room for a folder");
        let inputs: Vec<_> = seeds().into_iter().chain(found(name)).collect();
        assert!(!inputs.is_empty(), "{name} has nothing to start from");
        for (name, input) in inputs {
            let name = Path::new(&name).file_name().expect("a name");
            fs::write(folder.join(name), &input).expect("room for a seed");
            assert_eq!(fs::read(folder.join(name)).expect("it was just written"), input);
        }
    }
}
