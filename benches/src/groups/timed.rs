//! Batches of NOPs, as in the group `nop`, with a time limit on each wait. For the count of
//! instructions: in time, the kernel's timer hides what the binding takes.

use core::time::Duration;

use io_uring::{opcode, types};
use ringbolt::ops::Nop;
use ringbolt::sys::{EnterFlags, Opcode, SharedPtr, io_uring_cqe, io_uring_sqe};
use ringbolt::{EnterArg, IoUring, OneThread, Sqe, SubmissionQueue, Timespec, WaitArg};

use crate::contest::{Case, Who};
use crate::floor::Floor;
use crate::groups::Digest;

/// How a wait is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// By the method for it.
    Timeout,
    /// By an argument, with flags of the caller's.
    With,
}

impl Call {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Timeout, Self::With];

    /// The variant of the case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::With => "with",
        }
    }
}

/// Slots of a ring.
const ENTRIES: u32 = 256;

/// Longer than any wait takes.
const LIMIT: Duration = Duration::from_secs(3600);

/// Enters the contenders that submit `batch` entries and wait for them, for an hour at most.
pub fn enter(case: &mut Case<'_>, call: Call, batch: u32) {
    match call {
        Call::Timeout => enter_ours(case, batch, |queue, want| {
            queue.submit_and_wait_timeout(want, LIMIT).expect("completions");
        }),
        Call::With => enter_ours(case, batch, |queue, want| {
            let limit = Timespec::from(LIMIT);
            let wait = EnterArg::Wait(WaitArg { timeout: Some(&limit), ..WaitArg::default() });
            queue.submit_with(want, EnterFlags::empty(), wait).expect("completions");
        }),
    }
    enter_floor(case, batch);
    enter_peer(case, batch);
}

fn enter_ours(case: &mut Case<'_>, batch: u32, wait: impl Fn(&mut Queue<'_>, u32) + 'static) {
    let mut ours = IoUring::builder()
        .single_issuer()
        .defer_taskrun()
        .no_sqarray()
        .register_ring_fd()
        .build_local(ENTRIES)
        .expect("a ring");
    case.enter(Who::Ringbolt, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            let want = batch;
            let mut submission = ours.submission();
            for n in 0..want {
                submission.push_safe(Nop::new().sqe(u64::from(n))).expect("room");
            }
            wait(&mut submission, want);
            for cqe in ours.completion() {
                digest.add(cqe.user_data(), cqe.raw_result());
            }
        }
        digest.check(turns, batch);
    });
}

type Queue<'r> = SubmissionQueue<'r, Sqe, OneThread>;

fn enter_floor(case: &mut Case<'_>, batch: u32) {
    use ringbolt::sys::{SetupFlags, io_uring_getevents_arg};
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN | SetupFlags::NO_SQARRAY;
    let mut floor = Floor::new(ENTRIES, flags).expect("a ring");
    floor.register_ring_fd().expect("an index");
    case.enter(Who::Floor, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            // SAFETY: at most `batch` entries are in the queue, which has room for them; they
            // name nothing.
            unsafe { floor.fill(batch, nop) };
            let limit = Timespec::from(LIMIT);
            let arg = io_uring_getevents_arg {
                ts: SharedPtr::new(&limit),
                ..io_uring_getevents_arg::ZEROED
            };
            floor.enter_with(batch, batch, &arg).expect("completions");
            floor.reap(|cqe: &io_uring_cqe| digest.add(cqe.user_data, cqe.res));
        }
        digest.check(turns, batch);
    });
}

fn enter_peer(case: &mut Case<'_>, batch: u32) {
    let mut builder = io_uring::IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun().setup_no_sqarray();
    let mut peer: io_uring::IoUring = builder.build(ENTRIES).expect("a ring");
    case.enter(Who::IoUring, move |turns| {
        let (mut submitter, mut submission, mut completion) = peer.split();
        // The index is this value's, and not the ring's.
        submitter.register_ring_fd().expect("an index");
        let mut digest = Digest::default();
        for _ in 0..turns {
            for n in 0..batch {
                let nop = opcode::Nop::new().build().user_data(u64::from(n));
                // SAFETY: it names nothing.
                unsafe { submission.push(&nop) }.expect("room");
            }
            submission.sync();
            let limit = types::Timespec::from(LIMIT);
            let args = types::SubmitArgs::new().timespec(&limit);
            submitter.submit_with_args(batch as usize, &args).expect("completions");
            completion.sync();
            for cqe in &mut completion {
                digest.add(cqe.user_data(), cqe.result());
            }
            completion.sync();
            submission.sync();
        }
        digest.check(turns, batch);
        submitter.unregister_ring_fd().expect("the index");
    });
}

#[inline(always)]
fn nop(n: u32) -> io_uring_sqe {
    io_uring_sqe { opcode: Opcode::NOP, fd: -1, user_data: u64::from(n), ..io_uring_sqe::ZEROED }
}
