//! Chains of operations on the running kernel, and exactly the completions that they owe.
//!
//! An input is a way to set a ring up, and chains of valid entries. Whatever they are linked to,
//! and however they end, each entry is told once, with these exceptions: one that skips success,
//! those behind a failure that skips, multishot operations, and sends without a copy. When all
//! that waits has been cancelled, nothing is left that was not accounted for ([`account`]), and
//! no descriptor either.
//!
//! It needs Linux 6.11. The memory that entries name lives as long as the thread, so that an
//! input that fails leaves nothing for the kernel to write to.

mod account;
mod action;
mod entries;
mod world;

use core::time::Duration;
use std::fs;
use std::time::Instant;

use ringbolt::register::CancelWhat;
use ringbolt::rustix::fd::AsFd;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{Opcode, SetupFlags};
use ringbolt::{Advice, Cqe, HasFd, IoUring, PushError, Sqe, SubmitError, Timespec};

use self::account::Account;
use self::world::World;
use super::Seed;
use super::bytes::Bytes;

/// An operation as young as the youngest thing that is used here.
pub(crate) const NEEDED: Opcode = Opcode::BIND;

/// How long something may take that must happen.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most entries that an input makes: as many as there are places in memory.
const MAX_ENTRIES: usize = 32;

pub(crate) fn check(input: &[u8]) {
    let before = open_descriptors();
    let mut bytes = Bytes::new(input);
    let setup = bytes.u8();
    let builder = IoUring::builder();
    // The smallest completion queue there is overflows soon.
    let builder = if setup & 8 != 0 { builder.cq_entries(8) } else { builder };
    let builder = if setup & 16 != 0 { builder.submit_all() } else { builder };
    let shared = match setup % 8 {
        0..=2 => builder,
        3 => builder.coop_taskrun().taskrun_flag(),
        // A thread of the kernel's costs more than all else.
        4 if setup >> 5 == 0 => builder.sqpoll(1),
        4 => builder.coop_taskrun(),
        _ => {
            let ring = builder.single_issuer().defer_taskrun().build_local(8).expect("a ring");
            run(ring, &mut bytes);
            assert_eq!(open_descriptors(), before, "descriptors");
            return;
        }
    };
    run(shared.build(8).expect("a ring"), &mut bytes);
    assert_eq!(open_descriptors(), before, "descriptors");
}

pub(crate) fn seeds() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for kind in 0..action::KINDS {
        // Three in a row, tied softly, hard, timed, told to skip or to drain, in a worker each.
        for (name, options, ties) in [
            ("soft", 2, 0),
            ("hard", 0, 1),
            ("timed", 2, 0x26),
            ("skips", 3, 16),
            ("drains", 0, 24),
        ] {
            let entry = [kind, ties, 2, 1, 1, 0, 1];
            let input = [vec![kind % 8, options, 2], entry.repeat(3)].concat();
            seeds.push((format!("kind_{kind}_{name}"), input));
        }
    }
    // A generator of Knuth's: enough to have everything meet everything.
    let mut state = 1_u64;
    for number in 0..64 {
        let input = core::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        });
        seeds.push((format!("random_{number}"), input.take(192).collect()));
    }
    seeds
}

/// How many descriptors the process has.
fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("the process's descriptors").count()
}

fn run<T: HasFd>(mut ring: IoUring<Sqe, Cqe, T>, bytes: &mut Bytes<'_>) {
    let mut world = World::new(&ring);
    let is_polled = ring.setup_flags().contains(SetupFlags::SQPOLL);
    let mut account = Account::new(bytes.u8(), is_polled);
    while !bytes.is_empty() && account.len() < MAX_ENTRIES {
        let chain = action::chain(&mut world, &mut account, ring.as_fd(), bytes);
        let now = bytes.below(3) == 0;
        push(&mut ring, &mut account, &chain);
        if now {
            submit(&mut ring, &mut account);
        }
    }
    submit(&mut ring, &mut account);
    if account.waits() {
        // What can end by itself does so. Some waits for what never comes.
        for _ in 0..4 {
            let _ = ring.completion().wait_timeout(1, Timespec::new(0, 200_000));
            take(&mut ring, &mut account);
        }
    }
    finish(&mut ring, &mut account);
    account.close();
}

/// Queues a chain whole, making room if there is none.
fn push<T>(ring: &mut IoUring<Sqe, Cqe, T>, account: &mut Account, chain: &[Sqe]) {
    let end = Instant::now() + PATIENCE;
    loop {
        // SAFETY:
        // 1. The memory that the entries name belongs to the thread, and is never freed nor used
        //    otherwise.
        // 2. The descriptors are open until everything was accounted for, or the check failed.
        match unsafe { ring.submission().push_all(chain) } {
            Ok(()) => return,
            Err(PushError::Full(())) => {
                submit(ring, account);
                ring.submission().wait_for_room().expect("the polling thread makes room");
            }
            Err(error) => panic!("{error}: {chain:#?}"),
        }
        assert!(Instant::now() < end, "there is no room for {chain:#?}");
    }
}

/// Hands everything over, and takes what is there.
fn submit<T>(ring: &mut IoUring<Sqe, Cqe, T>, account: &mut Account) {
    let end = Instant::now() + PATIENCE;
    loop {
        match ring.submit() {
            Ok(_) => {}
            Err(SubmitError { errno: Errno::INTR | Errno::AGAIN, .. }) => {}
            Err(error) => assert_eq!(error.advice(), Advice::Reap, "{error}"),
        }
        take(ring, account);
        // A polling thread takes them when it likes.
        if ring.submission().is_empty() || account.is_polled() {
            return;
        }
        assert!(Instant::now() < end, "{} entries are not taken", ring.submission().len());
    }
}

fn take<T>(ring: &mut IoUring<Sqe, Cqe, T>, account: &mut Account) {
    for cqe in ring.completion().drain() {
        account.tell(cqe);
    }
}

/// Cancels what waits, until each entry was told of that is to be, and looks for more than that.
fn finish<T>(ring: &mut IoUring<Sqe, Cqe, T>, account: &mut Account) {
    let end = Instant::now() + PATIENCE;
    let pause = Timespec::new(0, 1_000_000);
    loop {
        if account.is_polled() && account.misses() && !ring.submission().is_full() {
            // What the workers of a polling thread do is found from there, and not from here.
            if let Some(cancel) = account.cancel() {
                ring.submission().push_safe(cancel).expect("there is room");
            }
        }
        submit(ring, account);
        let waiting = ring.registrar().cancel(CancelWhat::any().all(), Some(pause));
        ring.get_events().expect("completions come in");
        take(ring, account);
        if account.is_settled() && waiting == Ok(0) && ring.submission().is_empty() {
            break;
        }
        assert!(Instant::now() < end, "{waiting:?} and not accounted for: {account:#?}");
        let _ = ring.completion().wait_timeout(1, pause);
    }
    account.expect_all();
    assert_eq!(ring.completion().overflow(), 0, "completions were dropped");
    assert_eq!(ring.submission().dropped(), 0, "entries were dropped");
}
