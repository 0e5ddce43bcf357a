//! `queue`: filling and reaping over memory. The kernel's side is played through a second view
//! of the ring's memory ([`View`](crate::view::View)), so that nothing is measured but stores of
//! entries, loads of completions, and what stands between.

mod long;
pub mod loops;
pub mod parts;
mod wide;

use core::ptr;

use io_uring::{cqueue, opcode, squeue, types};
use ringbolt::ops::Read;
use ringbolt::sys::{
    CqeFlags, Opcode, SetupFlags, SharedPtr, io_uring_cqe, io_uring_sqe, sqe_addr, sqe_off,
};
use ringbolt::{IoUring, Sqe};
use rustix::stdio::stdin;

use crate::contest::{Case, Contest, Who};
use crate::floor::Floor;
use crate::groups::Digest;

use loops::{Batch, floor_loop, our_loop, params_of, peer_loop};

/// Bytes that the entries ask for, and that the completions tell of.
const LEN: u32 = 64;

/// Holds the group.
pub fn run(contest: &mut Contest) {
    for size in [1, 8, 64, 256, 1024, 4096] {
        if let Some(mut case) = contest.case("queue", "read", size, size) {
            enter_read(&mut case, Batch { size, entries: size.max(256) });
            if size == 256 {
                case.headline();
            }
            contest.hold(case);
        }
    }
    // The size of the ring, and not of the batch: cost must not grow with it.
    for entries in [256, 1024, 4096, 32_768] {
        if let Some(mut case) = contest.case("queue", "ring", entries, 256_u32) {
            enter_read(&mut case, Batch { size: 256, entries });
            contest.hold(case);
        }
    }
    wide::run(contest);
    parts::run(contest);
    long::run(contest);
}

/// Enters the contenders that fill and reap reads.
pub fn enter_read(case: &mut Case<'_>, batch: Batch) {
    let ring = IoUring::new(batch.entries).expect("a ring");
    case.enter(Who::Ringbolt, our_loop(ring, batch, read, completion));
    let ring = Floor::new(batch.entries, SetupFlags::empty()).expect("a ring");
    case.enter(Who::Floor, floor_loop(ring, batch, raw_read, completion, reap_narrow));
    let ring = io_uring::IoUring::new(batch.entries).expect("a ring");
    let params = params_of::<io_uring_sqe, io_uring_cqe>(batch.entries, SetupFlags::empty());
    let taken = |cqe: &cqueue::Entry| (cqe.user_data(), cqe.result());
    case.enter(Who::IoUring, peer_loop(ring, params, batch, peer_read, completion, taken));
}

/// The entry that each contender makes, as ringbolt's users do. It is never submitted, and the
/// buffer is nowhere.
#[inline(always)]
fn read(n: u32) -> Sqe {
    let n = u64::from(n);
    Read::new(stdin(), nowhere(), LEN).offset(n * u64::from(LEN)).sqe(n)
}

#[inline(always)]
fn raw_read(n: u32) -> io_uring_sqe {
    let n = u64::from(n);
    io_uring_sqe {
        opcode: Opcode::READ,
        fd: 0,
        off: sqe_off { off: n * u64::from(LEN) },
        addr: sqe_addr { addr: SharedPtr::from_mut(nowhere()) },
        len: LEN,
        user_data: n,
        ..io_uring_sqe::ZEROED
    }
}

#[inline(always)]
fn peer_read(n: u32) -> squeue::Entry {
    let n = u64::from(n);
    let read = opcode::Read::new(types::Fd(0), nowhere(), LEN);
    read.offset(n * u64::from(LEN)).build().user_data(n)
}

#[inline(always)]
const fn nowhere() -> *mut u8 {
    ptr::without_provenance_mut(4096)
}

/// Takes all completions, of one width each, by hand.
#[inline(always)]
fn reap_narrow(ring: &mut Floor, digest: &mut Digest) {
    ring.reap(|cqe| digest.add(cqe.user_data, cqe.res));
}

/// The completion of an entry with these user data.
const fn completion(user_data: u64) -> io_uring_cqe {
    let flags = CqeFlags::empty();
    // `LEN` is small.
    io_uring_cqe { user_data, res: LEN.cast_signed(), flags, big_cqe: [] }
}
