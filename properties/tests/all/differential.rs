//! A ring does to a file what `pread(2)` and `pwrite(2)` do.
//!
//! Any script of reads and writes, in chains and out of them, is performed by a ring on one file,
//! and by one system call after the other on its twin. `RINGBOLT_CASES` is for how many scripts
//! to each kind of ring.

use crate::differential_common::memory::{Files, Memory};
use crate::differential_common::performer::{Kind, perform};
use crate::differential_common::plan::Plan;
use crate::differential_common::script::Script;
use proptest::prelude::*;

use crate::common::require;
use crate::trial;
use ringbolt::sys::{Features, SetupFlags};

/// Performs a script twice, and compares all that can be seen of it.
fn compare(kind: Kind, script: &Script) {
    let places = Plan::places(script);
    let [mut ours, mut twin] = [(); 2].map(|()| Files::new(script.file_len, script.position));
    let [mut memory, mut twin_memory] = [(); 2].map(|()| Memory::new(places));
    let plan = Plan::of(script, &twin, &mut twin_memory);

    let mut told = perform(kind, script, &plan, &ours, &mut memory);
    told.sort_by_key(|(user_data, _)| *user_data);
    assert_eq!(told, plan.told(), "what completions tell, once each");
    // SAFETY: everything has completed, or `told` were another.
    let bytes = unsafe { memory.bytes() };
    // SAFETY: system calls have returned.
    let twin_bytes = unsafe { twin_memory.bytes() };
    assert!(bytes == twin_bytes, "the memory of operations differs in {:?}", {
        let mut pairs = bytes.iter().zip(twin_bytes);
        pairs.position(|(one, other)| one != other)
    });
    let ((contents, positions), (twin_contents, twin_positions)) = (ours.state(), twin.state());
    assert_eq!(contents.len(), twin_contents.len(), "the files' lengths");
    assert!(contents == twin_contents, "the files' contents");
    assert_eq!(positions, twin_positions, "where the files' positions stand");
    // SAFETY: as above, and unregistered.
    unsafe { memory.free() };
    // SAFETY: as above; it never was registered.
    unsafe { twin_memory.free() };
}

/// Performs as many scripts as are asked for, or `usual`.
fn compare_many(kind: Kind, usual: u32) {
    let cases = trial::cases(usual);
    let config = ProptestConfig { cases, max_shrink_time: 60_000, ..ProptestConfig::default() };
    trial::on_any(config, &Script::any(), Script::to_string, |script| compare(kind, script));
}

/// Goal: a ring with default flags reads and writes like system calls, and loses nothing.
/// Method: any script, by a ring and by system calls, on twin files.
#[test]
fn a_ring_does_to_a_file_what_system_calls_do() {
    require!(feature: Features::CQE_SKIP);
    compare_many(Kind::Default, 600);
}

/// Goal: the same for the ring that a thread should use for its own work.
/// Method: as above.
#[test]
fn a_local_ring_does_to_a_file_what_system_calls_do() {
    require!(feature: Features::CQE_SKIP);
    compare_many(Kind::Local, 600);
}

/// Goal: the same where a thread of the kernel's takes the entries.
/// Method: as above.
#[test]
fn a_polled_ring_does_to_a_file_what_system_calls_do() {
    require!(feature: Features::CQE_SKIP);
    require!(setup: SetupFlags::SQPOLL);
    compare_many(Kind::Polled, 150);
}
