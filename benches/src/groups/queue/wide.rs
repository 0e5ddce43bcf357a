//! The other kinds of entry: wide, and of both widths.

use io_uring::{cqueue, opcode, squeue, types};
use ringbolt::ops::UringCmd80;
use ringbolt::sys::{Opcode, SetupFlags, io_uring_sqe, sqe_cmd_op, sqe_off, sqe_tail};
use ringbolt::{BuildError, Cqe, Cqe32, IoUring, Sqe, Sqe128, SqeMixed};
use rustix::stdio::stdin;

use crate::contest::{Contest, Who};
use crate::floor::Floor;
use crate::groups::Digest;

use super::loops::{Batch, floor_loop, our_loop, params_of, peer_loop};
use super::{completion, raw_read, read, reap_narrow};

const BATCH: Batch = Batch { size: 256, entries: 256 };

pub(super) fn run(contest: &mut Contest) {
    both_wide(contest);
    mixed_completions(contest);
    mixed_submissions(contest);
}

/// Commands of 128 bytes, completions of 32.
fn both_wide(contest: &mut Contest) {
    let Some(mut case) = contest.case("queue", "wide", BATCH.size, BATCH.size) else { return };
    let flags = SetupFlags::SQE128 | SetupFlags::CQE32;
    let ring = IoUring::builder().sqe128().cqe32().build(BATCH.entries).expect("a ring");
    case.enter(Who::Ringbolt, our_loop(ring, BATCH, command, wide_completion));
    let ring = Floor::<Sqe128, Cqe32>::new(BATCH.entries, flags).expect("a ring");
    let reap = |ring: &mut Floor<Sqe128, Cqe32>, digest: &mut Digest| {
        ring.reap(|cqe| digest.add(cqe.cqe.user_data(), cqe.cqe.raw_result()));
    };
    case.enter(Who::Floor, floor_loop(ring, BATCH, raw_command, wide_completion, reap));
    let builder = io_uring::IoUring::<squeue::Entry128, cqueue::Entry32>::builder();
    let ring = builder.build(BATCH.entries).expect("a ring");
    let params = params_of::<Sqe128, Cqe32>(BATCH.entries, flags);
    let read = |cqe: &cqueue::Entry32| (cqe.user_data(), cqe.result());
    case.enter(Who::IoUring, peer_loop(ring, params, BATCH, peer_command, wide_completion, read));
    contest.hold(case);
}

/// Completions of either width, all of them narrow. The peer has no such ring.
fn mixed_completions(contest: &mut Contest) {
    let Some(mut case) = contest.case("queue", "cqe-mixed", BATCH.size, BATCH.size) else { return };
    match IoUring::builder().cqe_mixed().build(BATCH.entries) {
        Ok(ring) => case.enter(Who::Ringbolt, our_loop(ring, BATCH, read, completion)),
        Err(error) => return skip(contest, "IORING_SETUP_CQE_MIXED (needs 6.18)", &error),
    };
    let ring = Floor::new(BATCH.entries, SetupFlags::CQE_MIXED).expect("a ring");
    let reap = |ring: &mut Floor, digest: &mut Digest| {
        ring.reap_mixed(|cqe| digest.add(cqe.user_data, cqe.res));
    };
    case.enter(Who::Floor, floor_loop(ring, BATCH, raw_read, completion, reap));
    contest.hold(case);
}

/// Submissions of either width, all of them narrow. The peer has no such ring.
fn mixed_submissions(contest: &mut Contest) {
    let Some(mut case) = contest.case("queue", "sqe-mixed", BATCH.size, BATCH.size) else { return };
    match IoUring::builder().sqe_mixed().build(BATCH.entries) {
        Ok(ring) => {
            let entry = |n| SqeMixed::from(read(n));
            case.enter(Who::Ringbolt, our_loop(ring, BATCH, entry, completion));
        }
        Err(error) => return skip(contest, "IORING_SETUP_SQE_MIXED (needs 6.19)", &error),
    }
    let ring = Floor::new(BATCH.entries, SetupFlags::SQE_MIXED).expect("a ring");
    case.enter(Who::Floor, floor_loop(ring, BATCH, raw_read, completion, reap_narrow));
    contest.hold(case);
}

fn skip(contest: &mut Contest, what: &str, error: &BuildError) {
    assert!(matches!(error, BuildError::Invalid { .. }), "{what}: {error}");
    contest.note(format!("skipped: kernel lacks {what}"));
}

/// The payload of the commands.
const PAYLOAD: [u8; 80] = [7; 80];

#[inline(always)]
fn command(n: u32) -> Sqe128 {
    UringCmd80::new(stdin(), 1, PAYLOAD).sqe(u64::from(n))
}

#[inline(always)]
fn raw_command(n: u32) -> Sqe128 {
    let sqe = io_uring_sqe {
        opcode: Opcode::URING_CMD,
        off: sqe_off { cmd: sqe_cmd_op { cmd_op: 1, __pad1: 0 } },
        user_data: u64::from(n),
        tail: sqe_tail { cmd: [7; 16] },
        ..io_uring_sqe::ZEROED
    };
    Sqe128 { sqe: Sqe::from_raw(sqe), payload: [7; 64] }
}

#[inline(always)]
fn peer_command(n: u32) -> squeue::Entry128 {
    let command = opcode::UringCmd80::new(types::Fd(0), 1).cmd(PAYLOAD);
    command.build().user_data(u64::from(n))
}

const fn wide_completion(user_data: u64) -> Cqe32 {
    Cqe32 { cqe: Cqe::from_raw(completion(user_data)), extra: [1, 2] }
}
