//! Hosts that say no in the middle of a set-up: the error each time, and nothing left behind, by
//! thousands of set-ups that fail or succeed.

use std::fs::{read_dir, read_to_string};
use std::thread;

use crate::common::process::{address_space, in_child, limit, refuse_call};
use crate::common::require;
use ringbolt::sys::RegisterOp;
use ringbolt::{BuildError, IoUring};
use rustix::io::Errno;

/// Set-ups in a test: fewer where `RINGBOLT_CASES` says that the machine is slow.
fn times() -> usize {
    let cases = std::env::var("RINGBOLT_CASES").ok().and_then(|cases| cases.parse().ok());
    cases.map_or(10_000, |cases: usize| 10_000.min(50 * cases))
}

/// What a process has: descriptors, mappings, and KiB of memory.
fn belongings() -> (usize, usize, usize) {
    let descriptors = read_dir("/proc/self/fd").expect("descriptors").count();
    let mappings = read_to_string("/proc/self/maps").expect("mappings").lines().count();
    let status = read_to_string("/proc/self/status").expect("the kernel tells");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
    (descriptors, mappings, kib.expect("a number"))
}

/// Carries out `set_up` many times, and fails the test if that leaves anything.
#[track_caller]
fn leaves_nothing(set_up: impl Fn()) {
    // What is made once: pages of the allocator, of the stack, of code.
    for _ in 0..10 {
        set_up();
    }
    let before = belongings();
    for _ in 0..times() {
        set_up();
    }
    let after = belongings();
    assert_eq!((after.0, after.1), (before.0, before.1), "descriptors and mappings");
    // A page for each hundred would be more.
    assert!(after.2 <= before.2 + 256, "{} KiB, and before {} KiB", after.2, before.2);
}

/// Why a ring of one thread with a registered descriptor cannot be made.
fn refusal() -> BuildError {
    IoUring::builder().register_ring_fd().build_local(4).map(drop).expect_err("it is refused")
}

#[test]
fn rings_that_are_made_and_dropped_leave_nothing() {
    in_child("rings_that_are_made_and_dropped_leave_nothing", || {
        leaves_nothing(|| drop(IoUring::new(4).expect("a ring")));
        leaves_nothing(|| drop(IoUring::local(4).expect("a ring")));
    });
}

#[test]
fn a_refused_set_up_leaves_nothing() {
    in_child("a_refused_set_up_leaves_nothing", || {
        refuse_call(libc::SYS_io_uring_setup, Errno::PERM);
        leaves_nothing(|| assert_eq!(refusal(), BuildError::NotPermitted));
    });
}

#[test]
fn a_ring_whose_descriptor_cannot_be_registered_leaves_nothing() {
    require!(register: RegisterOp::REGISTER_RING_FDS);
    in_child("a_ring_whose_descriptor_cannot_be_registered_leaves_nothing", || {
        refuse_call(libc::SYS_io_uring_register, Errno::ACCESS);
        leaves_nothing(|| assert_eq!(refusal(), BuildError::RegisterRingFd(Errno::ACCESS)));
    });
}

#[test]
fn a_limit_of_descriptors_leaves_nothing() {
    in_child("a_limit_of_descriptors_leaves_nothing", || {
        limit(libc::RLIMIT_NOFILE, 64);
        let taken: Vec<_> =
            core::iter::from_fn(|| rustix::io::dup(std::io::stdout()).ok()).collect();
        assert!(!taken.is_empty());
        for _ in 0..times() {
            assert_eq!(refusal(), BuildError::TooManyFiles(Errno::MFILE));
        }
        // One is free: no set-up has kept it.
        drop(taken);
        assert!(IoUring::new(4).is_ok());
        assert_eq!(thread::spawn(|| IoUring::new(4).is_ok()).join().ok(), Some(true));
    });
}

#[test]
fn a_limit_of_address_space_leaves_nothing() {
    in_child("a_limit_of_address_space_leaves_nothing", || {
        // Room for one of the two regions of a large ring.
        limit(libc::RLIMIT_AS, address_space() + (1 << 20));
        let refusal = || IoUring::new(32_768).map(drop).expect_err("there is no room");
        leaves_nothing(|| assert_eq!(refusal(), BuildError::Map(Errno::NOMEM)));
    });
}
