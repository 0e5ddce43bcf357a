//! Scripts of actions on the queues over the simulated kernel: random ones, and seeds.
//!
//! [`trial::cases`] says how many random scripts there are of each kind.

#![cfg(all(feature = "sim", feature = "owned"))]
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use crate::checks::script::action::{Action, NAMES};
use crate::checks::script::config::Config;
use crate::checks::script::{self, Script};
use crate::trial;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::Union;
use proptest::test_runner::RngAlgorithm;
use ringbolt::IoUring;
use ringbolt::ops::Nop;
use ringbolt::sim::Kernel;
use ringbolt::sys::SetupFlags;

/// How often each action comes.
const WEIGHTS: [(&str, u32); 31] = [
    ("push", 16),
    ("call", 16),
    ("pop", 8),
    ("flush", 3),
    ("push_all", 8),
    ("reserve", 4),
    ("pop_back", 3),
    ("rollback", 2),
    ("peek", 3),
    ("drain", 4),
    ("pop_into", 3),
    ("sync", 1),
    ("forget", 1),
    ("cross", 3),
    ("fault", 3),
    ("post", 4),
    ("post_wide", 4),
    ("post_filler", 2),
    ("overflow", 1),
    ("pace", 2),
    ("complete", 3),
    ("poll", 4),
    ("fall_asleep", 3),
    ("wait_for_room", 1),
    ("resize", 2),
    ("into_halves", 1),
    ("add_buffers", 4),
    ("publish_buffers", 4),
    ("bundle", 3),
    ("reclaim", 3),
    ("break_resize", 1),
];

/// How many actions a random script has at the most.
const ACTIONS: usize = if cfg!(miri) { 30 } else { 120 };

/// How many random scripts there are where a test has no reason for another number.
fn cases() -> u32 {
    trial::cases(if cfg!(miri) { 8 } else { 2000 })
}

/// Any action. It shrinks towards those that come first, with small numbers.
fn action() -> impl Strategy<Value = Action> {
    let names = NAMES.map(|name| {
        let weight = WEIGHTS.iter().find(|(other, _)| *other == name);
        (weight.expect("a weight for each action").1, Just(name))
    });
    // Small numbers are what matters, most of the time.
    let squeeze = |byte: u8| if byte < 192 { byte % 8 } else { byte };
    (Union::new_weighted(names.to_vec()), any::<[u64; 5]>()).prop_map(move |(name, words)| {
        let bytes: Vec<u8> =
            words.iter().flat_map(|word| word.to_be_bytes().map(squeeze)).collect();
        script::action(name, &bytes)
    })
}

fn config() -> impl Strategy<Value = Config> {
    vec(any::<u8>(), 16).prop_map(|bytes| script::config(&bytes))
}

fn scripts() -> impl Strategy<Value = Script> {
    (config(), vec(action(), 0..ACTIONS)).prop_map(|(config, actions)| Script { config, actions })
}

/// Runs `test` on so many values of `strategy`, which prints what it fails for.
fn try_out<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(&S::Value)) {
    let config = ProptestConfig {
        cases,
        // The default one takes most of the time under Miri.
        rng_algorithm: if cfg!(miri) { RngAlgorithm::XorShift } else { RngAlgorithm::default() },
        max_shrink_iters: if cfg!(miri) { 50 } else { 20_000 },
        ..ProptestConfig::default()
    };
    trial::on_any(config, strategy, |_| String::new(), test);
}

#[test]
fn the_queues_do_what_the_model_does() {
    try_out(cases(), &scripts(), script::run::run);
}

#[test]
fn any_bytes_are_a_script() {
    let byte = prop_oneof![2 => 0..30_u8, 1 => any::<u8>()];
    let len = if cfg!(miri) { 60 } else { 300 };
    let scripts = vec(byte, 0..len).prop_map(|bytes| Script::from_bytes(&bytes));
    try_out(cases(), &scripts, script::run::run);
}

#[test]
fn a_hostile_other_side_makes_wrong_data_and_nothing_else() {
    let byte = prop_oneof![2 => 0..30_u8, 1 => any::<u8>()];
    let len = if cfg!(miri) { 120 } else { 600 };
    let scripts = vec(byte, 0..len).prop_map(|bytes| script::hostile::Script::from_bytes(&bytes));
    try_out(cases(), &scripts, |script| script.run());
}

#[test]
fn both_forms_of_a_script_say_the_same() {
    try_out(cases() / 4, &scripts(), |script| {
        assert_eq!(Script::from_bytes(&script.to_bytes()), *script);
        assert_eq!(script.to_string().parse().as_ref(), Ok(script));
    });
}

/// `RINGBOLT_SCRIPT=<file>` runs the script in that file, too.
#[test]
fn every_seed_holds() {
    if let Ok(path) = std::env::var("RINGBOLT_SCRIPT") {
        let text = std::fs::read_to_string(&path).expect("a script");
        script::run::run(&text.parse().unwrap_or_else(|error| panic!("{path}: {error}")));
    }
    for (name, script) in script::seeds::scripts() {
        println!("{name}");
        script::run::run(&script);
    }
}

/// Goal: a submission ends, wherever the other side says that the queue starts.
/// Method: a queue of which set-up says that it rewinds, with a tail just below the wrap.
#[test]
fn a_tail_that_is_none_moves_no_more_entries_than_there_are() {
    let kernel = Kernel::new();
    kernel.answer_setup_with(|params| params.flags |= SetupFlags::SQ_REWIND);
    let builder = IoUring::builder().no_sqarray().simulated(&kernel);
    let mut ring = builder.build_local(4).expect("offsets that fit");
    // There seems to be no room.
    assert!(ring.submission().push_safe(Nop::new().sqe(1)).is_err());
    assert!(ring.submit_and_wait(0).is_ok());
    assert!(ring.submission().len() <= 4);
}

#[test]
#[cfg_attr(miri, ignore = "Miri reads no folders")]
fn every_script_in_the_folder_is_a_seed() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/scripts");
    let names = std::fs::read_dir(folder).expect("the folder of scripts").map(|entry| {
        let path = entry.expect("an entry of a folder").path();
        assert_eq!(path.extension().and_then(|extension| extension.to_str()), Some("script"));
        path.file_stem().expect("a name").to_string_lossy().into_owned()
    });
    let names: std::collections::BTreeSet<_> = names.collect();
    let seeds = script::seeds::scripts().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(names, seeds);
}
