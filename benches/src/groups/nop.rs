//! `nop`: the cheapest operation there is, submitted and reaped in batches. What is left is the
//! binding's own cost and the system call.

use core::time::Duration;

use io_uring::{Submitter, opcode};
use ringbolt::ops::Nop;
use ringbolt::sys::{Opcode, SetupFlags, io_uring_cqe, io_uring_sqe};
use ringbolt::{IoUring, OneThread, Sqe, SubmissionQueue};

use crate::contest::{Case, Contest, Who};
use crate::floor::Floor;
use crate::groups::{Digest, SQPOLL_IDLE_MS};

/// How the ring is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The variant of the case.
    pub name: &'static str,
    flags: SetupFlags,
    is_registered: bool,
}

const DEFERRED: SetupFlags = SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN);
const NO_ARRAY: SetupFlags = DEFERRED.union(SetupFlags::NO_SQARRAY);

/// Each with what the one before it has, but for SQPOLL.
pub const SETUPS: [Setup; 5] = [
    Setup { name: "default", flags: SetupFlags::empty(), is_registered: false },
    Setup { name: "deferred", flags: DEFERRED, is_registered: false },
    Setup { name: "no-array", flags: NO_ARRAY, is_registered: false },
    LOCAL,
    Setup { name: "sqpoll", flags: SetupFlags::SQPOLL, is_registered: false },
];

/// What `IoUring::local` gives a thread.
pub const LOCAL: Setup = Setup { name: "local", flags: NO_ARRAY, is_registered: true };

/// Slots of a ring: for the largest batch. The end of the queue comes as often for each of them.
const ENTRIES: u32 = 256;

/// Entries to a batch.
pub const BATCHES: [u32; 4] = [1, 8, 32, 256];

/// Holds the group.
pub fn run(contest: &mut Contest) {
    for setup in SETUPS {
        for batch in BATCHES {
            if let Some(mut case) = contest.case("nop", setup.name, batch, batch) {
                enter(&mut case, setup, batch);
                if setup == LOCAL && [1, 32].contains(&batch) {
                    case.headline();
                }
                contest.hold(case);
            }
        }
    }
}

/// Enters the contenders that submit and reap `batch` entries at a time.
///
/// An SQPOLL thread may give a slot back after the completion of its entry: such queues have room
/// for two batches, so that nobody waits for slots of the one before.
pub fn enter(case: &mut Case<'_>, setup: Setup, batch: u32) {
    let entries = ENTRIES;
    if setup.flags.contains(SetupFlags::SQPOLL) {
        // Pollers that others left behind go to sleep first.
        case.settle(Duration::from_millis(2 * u64::from(SQPOLL_IDLE_MS)));
        enter_ours_polled(case, batch, 2 * entries);
        enter_floor_polled(case, batch, 2 * entries);
        enter_peer_polled(case, batch, 2 * entries);
    } else {
        enter_ours(case, setup, batch, |queue, want| {
            queue.submit_and_wait(want).expect("completions");
        });
        enter_floor(case, setup, batch, |floor, want| {
            floor.enter(want, want).expect("completions");
        });
        enter_peer(case, setup, batch, |submitter, want| {
            submitter.submit_and_wait(want).expect("completions");
        });
    }
}

/// The queue that a batch is pushed to.
pub(super) type Queue<'r> = SubmissionQueue<'r, Sqe, OneThread>;

/// Enters ringbolt, with `wait` to submit a batch and wait for it.
pub(super) fn enter_ours(
    case: &mut Case<'_>,
    setup: Setup,
    batch: u32,
    wait: impl Fn(&mut Queue<'_>, u32) + 'static,
) {
    let mut builder = IoUring::builder().flags(setup.flags);
    if setup.is_registered {
        builder = builder.register_ring_fd();
    }
    let mut ours = builder.build_local(ENTRIES).expect("a ring");
    case.enter(Who::Ringbolt, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            // Loaded once for a batch, as where the floor is passed it.
            let want = batch;
            let mut submission = ours.submission();
            for n in 0..want {
                submission.push_safe(Nop::new().sqe(u64::from(n))).expect("room");
            }
            wait(&mut submission, want);
            for cqe in ours.completion().drain() {
                digest.add(cqe.user_data(), cqe.raw_result());
            }
        }
        digest.check(turns, batch);
    });
}

/// Enters the floor, with `wait` to submit a batch and wait for it.
pub(super) fn enter_floor(
    case: &mut Case<'_>,
    setup: Setup,
    batch: u32,
    wait: impl Fn(&mut Floor, u32) + 'static,
) {
    let ours = Sqe::from(Nop::new().sqe(7));
    assert_eq!(ours, Sqe::from_raw(nop(7)), "another entry is another task");
    let mut floor = Floor::new(ENTRIES, setup.flags).expect("a ring");
    if setup.is_registered {
        floor.register_ring_fd().expect("an index");
    }
    case.enter(Who::Floor, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            // SAFETY: at most `batch` entries are in the queue, which has room for them; they
            // name nothing.
            unsafe { floor.fill(batch, nop) };
            wait(&mut floor, batch);
            floor.reap(|cqe: &io_uring_cqe| digest.add(cqe.user_data, cqe.res));
        }
        digest.check(turns, batch);
    });
}

/// Enters the `io-uring` crate, with `wait` to submit a batch and wait for it.
pub(super) fn enter_peer(
    case: &mut Case<'_>,
    setup: Setup,
    batch: u32,
    wait: impl Fn(&Submitter<'_>, usize) + 'static,
) {
    let mut peer = peer(setup);
    case.enter(Who::IoUring, move |turns| {
        let (mut submitter, mut submission, mut completion) = peer.split();
        if setup.is_registered {
            // The index is this value's, and not the ring's.
            submitter.register_ring_fd().expect("an index");
        }
        let mut digest = Digest::default();
        for _ in 0..turns {
            for n in 0..batch {
                let nop = opcode::Nop::new().build().user_data(u64::from(n));
                // SAFETY: it names nothing.
                unsafe { submission.push(&nop) }.expect("room");
            }
            submission.sync();
            wait(&submitter, batch as usize);
            completion.sync();
            for cqe in &mut completion {
                digest.add(cqe.user_data(), cqe.result());
            }
            completion.sync();
            submission.sync();
        }
        digest.check(turns, batch);
        if setup.is_registered {
            submitter.unregister_ring_fd().expect("the index");
        }
    });
}

fn enter_ours_polled(case: &mut Case<'_>, batch: u32, entries: u32) {
    let mut ours = IoUring::builder().sqpoll(SQPOLL_IDLE_MS).build_local(entries).expect("a ring");
    case.enter(Who::Ringbolt, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            let mut submission = ours.submission();
            for n in 0..batch {
                submission.push_safe(Nop::new().sqe(u64::from(n))).expect("room");
            }
            submission.submit().expect("a thread that polls");
            let mut left = batch;
            while left > 0 {
                for cqe in ours.completion().drain() {
                    digest.add(cqe.user_data(), cqe.raw_result());
                    left -= 1;
                }
                core::hint::spin_loop();
            }
        }
        digest.check(turns, batch);
    });
}

fn enter_floor_polled(case: &mut Case<'_>, batch: u32, entries: u32) {
    let mut floor = Floor::new(entries, SetupFlags::SQPOLL).expect("a ring");
    case.enter(Who::Floor, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            // SAFETY: there is room for two batches, and the one before has completed; the
            // entries name nothing.
            unsafe { floor.fill(batch, nop) };
            floor.wake();
            let mut left = batch;
            while left > 0 {
                left -= floor.reap(|cqe: &io_uring_cqe| digest.add(cqe.user_data, cqe.res));
                core::hint::spin_loop();
            }
        }
        digest.check(turns, batch);
    });
}

fn enter_peer_polled(case: &mut Case<'_>, batch: u32, entries: u32) {
    let mut builder = io_uring::IoUring::builder();
    builder.setup_sqpoll(SQPOLL_IDLE_MS);
    let mut peer: io_uring::IoUring = builder.build(entries).expect("a ring");
    case.enter(Who::IoUring, move |turns| {
        let (submitter, mut submission, mut completion) = peer.split();
        let mut digest = Digest::default();
        for _ in 0..turns {
            for n in 0..batch {
                let nop = opcode::Nop::new().build().user_data(u64::from(n));
                // SAFETY: it names nothing.
                unsafe { submission.push(&nop) }.expect("room");
            }
            submission.sync();
            submitter.submit().expect("a thread that polls");
            let mut left = batch;
            while left > 0 {
                completion.sync();
                for cqe in &mut completion {
                    digest.add(cqe.user_data(), cqe.result());
                    left -= 1;
                }
                core::hint::spin_loop();
            }
            submission.sync();
        }
        digest.check(turns, batch);
    });
}

#[inline(always)]
fn nop(n: u32) -> io_uring_sqe {
    io_uring_sqe { opcode: Opcode::NOP, fd: -1, user_data: u64::from(n), ..io_uring_sqe::ZEROED }
}

fn peer(setup: Setup) -> io_uring::IoUring {
    let mut builder = io_uring::IoUring::builder();
    if setup.flags.contains(SetupFlags::DEFER_TASKRUN) {
        builder.setup_single_issuer().setup_defer_taskrun();
    }
    if setup.flags.contains(SetupFlags::NO_SQARRAY) {
        builder.setup_no_sqarray();
    }
    builder.build(ENTRIES).expect("a ring")
}
