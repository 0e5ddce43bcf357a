//! Tests of the simulated kernel, through the rings of the crate.
//!
//! Each guarantee of the module is tested at least once; `real.rs` compares with the running
//! kernel.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

mod buffers;
mod chains;
mod closing;
mod entries;
mod faults;
mod hostile;
mod overflow;
mod pace;
mod real;
mod register;
mod setup;
mod sqpoll;
mod threads;
mod transfers;
mod waits;

use std::vec::Vec;

use rustix::io::Errno;

use crate::ops::{Fixed, Nop, Read};
use crate::sim::Kernel;
use crate::{CqEntry, IoUring, LocalIoUring, SqEntry, Sqe};

/// A kernel, and a ring of 8 entries in it.
fn simulated() -> (Kernel, IoUring) {
    let kernel = Kernel::new();
    let ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    (kernel, ring)
}

/// The same, with a ring that stays on this thread, so that a test may tamper with it.
fn simulated_here() -> (Kernel, LocalIoUring) {
    let kernel = Kernel::new();
    let ring = IoUring::builder().simulated(&kernel).build_local(8).unwrap();
    (kernel, ring)
}

fn nop(user_data: u64) -> Sqe {
    Nop::new().sqe(user_data).into()
}

/// An entry that completes with `errno`.
fn failing(user_data: u64, errno: Errno) -> Sqe {
    Nop::new().inject_result(-errno.raw_os_error()).sqe(user_data).into()
}

/// Pushes all entries, whose memory the callers keep until their completions are reaped.
fn push<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>, entries: &[S]) {
    // SAFETY: what the callers of this keep.
    unsafe { ring.submission().push_all(entries) }.unwrap();
}

/// Pops the completions that are ready: `user_data` and result of each.
fn reap<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>) -> Vec<(u64, i32)> {
    let told = |cqe: C| (cqe.as_cqe().user_data(), cqe.as_cqe().raw_result());
    ring.completion().drain().map(told).collect()
}

/// Pushes, submits and waits for `want` completions; returns all that are ready.
fn run<S: SqEntry, C: CqEntry, T>(
    ring: &mut IoUring<S, C, T>,
    entries: &[S],
    want: u32,
) -> Vec<(u64, i32)> {
    push(ring, entries);
    ring.submit_and_wait(want).unwrap();
    reap(ring)
}

/// A read of the file in slot 0. The caller keeps `buf` until it is complete.
fn read(user_data: u64, buf: *mut [u8]) -> Sqe {
    let len = u32::try_from(buf.len()).unwrap();
    Read::new(Fixed(0), buf.cast(), len).offset(0).sqe(user_data)
}

/// The result for `errno`.
fn err(errno: Errno) -> i32 {
    -errno.raw_os_error()
}
