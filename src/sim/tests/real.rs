//! The same scripts for the simulated and for the running kernel.
//!
//! Goal: chains, drains, skipped successes and refused entries have the same results in both.
//! Method: NOPs with random flags, in several submissions; the entries consumed and the completions
//! posted are compared. With drains the real kernel uses workers, in any order; without them the
//! order must also be the same.

use std::fs::File;
use std::vec;
use std::vec::Vec;

use rustix::io::Errno;

use super::{nop, push, reap};
use crate::ops::Read;
use crate::sim::Kernel;
use crate::sys::{BufRingFlags, CqeFlags, Opcode, SetupFlags, SqeFlags};
use crate::{IoUring, LocalIoUring, Sqe, Timespec};

/// A generator of pseudo-random numbers: xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The kinds of entries that a script may have.
#[derive(Clone, Copy)]
struct Kinds {
    drains: bool,
    skips: bool,
}

/// The outcome of a script: how many entries each submission consumed, and the completions.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    taken: Vec<u32>,
    cqes: Vec<Vec<(u64, i32)>>,
}

fn entry(random: &mut Random, user_data: u64, kinds: Kinds) -> Sqe {
    let mut sqe = match random.below(8) {
        0 => super::failing(user_data, Errno::IO),
        1 => Sqe::new(Opcode::from_raw(250)).with_user_data(user_data),
        _ => nop(user_data),
    };
    let mut flags = SqeFlags::empty();
    flags.set(SqeFlags::IO_LINK, random.below(3) == 0);
    flags.set(SqeFlags::IO_HARDLINK, random.below(5) == 0);
    flags.set(SqeFlags::IO_DRAIN, kinds.drains && random.below(6) == 0);
    flags.set(SqeFlags::CQE_SKIP_SUCCESS, kinds.skips && random.below(4) == 0);
    sqe.set_flags(flags);
    sqe
}

/// Runs the script with this seed. After each submission, it waits for as many completions as
/// `expected` has, and pops all that are ready then.
fn outcome(mut ring: LocalIoUring, kinds: Kinds, seed: u64, expected: Option<&Outcome>) -> Outcome {
    let mut random = Random(seed);
    let mut outcome = Outcome { taken: Vec::new(), cqes: Vec::new() };
    for submission in 0..4 {
        let count = 1 + random.below(6);
        let entries = (0..count).map(|n| entry(&mut random, submission << 8 | n, kinds));
        let mut entries: Vec<Sqe> = entries.collect();
        if let Some(last) = entries.last_mut() {
            // The queue refuses an open chain.
            let linked = SqeFlags::IO_LINK | SqeFlags::IO_HARDLINK;
            last.set_flags(last.flags().difference(linked));
        }
        ring.submission().rollback();
        push(&mut ring, &entries);
        outcome.taken.push(ring.submit().unwrap());
        let want = expected.and_then(|expected| expected.cqes.get(outcome.cqes.len()));
        let want = want.map_or(0, |cqes| u32::try_from(cqes.len()).unwrap());
        let _ = ring.completion().wait_timeout(want, Timespec::new(1, 0));
        // This also fetches completions that are deferred for a moment.
        for _ in 0..3 {
            ring.get_events().unwrap();
        }
        outcome.cqes.push(reap(&mut ring));
        if kinds.drains {
            outcome.cqes.last_mut().unwrap().sort_unstable();
        }
    }
    outcome
}

#[test]
#[cfg_attr(miri, ignore = "Miri makes no system calls")]
fn chains_complete_as_in_the_running_kernel() {
    let deferred = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    for flags in [SetupFlags::empty(), SetupFlags::SUBMIT_ALL, deferred] {
        let builder = IoUring::builder().flags(flags);
        for seed in 1..1200 {
            let kinds = Kinds { drains: seed % 4 == 0, skips: seed % 3 == 0 };
            let Ok(ring) = builder.build_local(16) else {
                std::eprintln!("skipped: no ring with {flags:?}");
                break;
            };
            let kernel = Kernel::new();
            let simulated = builder.clone().simulated(&kernel).build_local(16).unwrap();
            let simulated = outcome(simulated, kinds, seed, None);
            let real = outcome(ring, kinds, seed, Some(&simulated));
            assert_eq!(simulated, real, "seed {seed}, {flags:?}");
        }
    }
}

/// Reads from a file of 100 bytes into buffers that the kernel picks. Returns results, flags and
/// the contents of the buffers.
fn reads(
    mut ring: LocalIoUring,
    file: &File,
    flags: BufRingFlags,
    seed: u64,
) -> Vec<(u64, i32, CqeFlags)> {
    let mut random = Random(seed);
    let mut memory = vec![0; 64];
    let mut buffers = ring.registrar().register_buffer_ring(1, 4, flags).unwrap();
    let mut told = Vec::new();
    let mut free = [0, 1, 2, 3].to_vec();
    for round in 0..12 {
        let bid = if random.below(3) > 0 { free.pop() } else { None };
        if let Some(bid) = bid {
            let start = memory.as_mut_ptr().wrapping_add(16 * usize::from(bid));
            // SAFETY: the memory stays until the ring is gone, and is looked at between reads.
            let added =
                unsafe { buffers.add(start, u32::try_from(random.below(17)).unwrap(), bid) };
            added.unwrap();
            buffers.publish();
        }
        let len = u32::try_from(random.below(12)).unwrap();
        let read = Read::new(file, core::ptr::null_mut(), len).offset(random.below(104));
        push(&mut ring, &[read.sqe(round).buffer_group(1).link(), nop(100)]);
        ring.submit_and_wait(2).unwrap();
        for cqe in ring.completion().drain() {
            free.extend(buffers.reclaim(&cqe));
            told.push((cqe.user_data(), cqe.raw_result(), cqe.flags()));
        }
    }
    told.push((
        memory.iter().fold(0, |sum, byte| u64::wrapping_mul(sum, 31).wrapping_add((*byte).into())),
        0,
        CqeFlags::empty(),
    ));
    told
}

#[test]
#[cfg_attr(miri, ignore = "Miri makes no system calls")]
fn buffers_are_used_up_as_in_the_running_kernel() {
    let path = std::env::temp_dir().join(std::format!("ringbolt-sim-{}", std::process::id()));
    let contents: Vec<u8> = (1..=100).collect();
    std::fs::write(&path, &contents).unwrap();
    let file = File::open(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    for flags in [BufRingFlags::empty(), BufRingFlags::INC] {
        for seed in 1..400 {
            let Ok(ring) = IoUring::builder().build_local(16) else {
                std::eprintln!("skipped: no ring");
                return;
            };
            if let Err(errno) = ring.registrar().register_buffer_ring(2, 4, flags) {
                std::eprintln!("skipped: no buffer ring with {flags:?}: {errno}");
                break;
            }
            let kernel = Kernel::new();
            kernel.put_file(&file, contents.clone());
            let simulated = IoUring::builder().simulated(&kernel).build_local(16).unwrap();
            let simulated = reads(simulated, &file, flags, seed);
            assert_eq!(simulated, reads(ring, &file, flags, seed), "seed {seed}, {flags:?}");
        }
    }
}
