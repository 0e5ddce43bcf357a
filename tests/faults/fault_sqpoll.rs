//! A polling thread that rarely runs: it shares its CPU with busy threads, including the one that
//! submits.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::common::process::bounded;
use crate::common::{reap, require};
use crate::fault_common::{Deadline, Ledger, take};
use crate::op_common::AS_OF_6_11;
use ringbolt::ops::Nop;
use ringbolt::sys::{SetupFlags, SqStatus};
use ringbolt::{IoUring, PushError, Sqe, Timespec};
use rustix::io::Errno;

/// The first CPU on which this thread may run.
fn first_cpu() -> usize {
    // SAFETY: all zeros are an empty set.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: a set to be written, of the given size.
    let got = unsafe { libc::sched_getaffinity(0, size_of_val(&set), &raw mut set) };
    assert_eq!(got, 0, "{}", std::io::Error::last_os_error());
    let has = |cpu: &usize| {
        // SAFETY: a number inside the set.
        unsafe { libc::CPU_ISSET(*cpu, &set) }
    };
    (0..1024).find(has).expect("a CPU")
}

/// Restricts this thread, and those that it starts, to one CPU.
fn pin(cpu: usize) {
    // SAFETY: all zeros are an empty set.
    let mut set: libc::cpu_set_t = unsafe { core::mem::zeroed() };
    // SAFETY: a number inside the set.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: a set to be read, of the given size.
    let done = unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// Runs `test` with a ring whose polling thread shares its CPU with `test` and with a thread that
/// is always busy. One test runs at a time.
fn starved(idle_ms: u32, entries: u32, test: fn(IoUring)) {
    static ONE: Mutex<()> = Mutex::new(());
    let _alone = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    bounded(move || {
        let cpu = first_cpu();
        pin(cpu);
        let cpu = u32::try_from(cpu).expect("a small number");
        let over = AtomicBool::new(false);
        let builder = IoUring::builder().sqpoll(idle_ms).sqpoll_cpu(cpu);
        let ring = builder.build(entries).expect("an SQPOLL ring");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    core::hint::spin_loop();
                }
            });
            let ended = std::panic::catch_unwind(move || test(ring));
            // Otherwise the scope would not end.
            over.store(true, Ordering::Relaxed);
            ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
    });
}

fn sleeps(ring: &mut IoUring) -> bool {
    ring.submission().status().contains(SqStatus::NEED_WAKEUP)
}

/// Goal: a thousand entries are consumed, each once, however rarely the thread runs.
/// Method: a ring of four entries, always full, and waits for room.
#[test]
fn a_starved_thread_consumes_every_entry_once() {
    const COUNT: usize = 1000;
    require!(setup: SetupFlags::SQPOLL);
    starved(1, 4, |mut ring| {
        let mut ledger = Ledger::new(COUNT);
        for id in 0..COUNT as u64 {
            let deadline = Deadline::new();
            let mut entry = Nop::new().sqe(id);
            while let Err(PushError::Full(back)) = ring.submission().push_safe(entry) {
                deadline.check("room");
                ring.submit().expect("submitted");
                ring.submission().wait_for_room().expect("room");
                assert!(!ring.submission().is_full());
                take(&mut ring, &mut ledger);
                entry = back;
            }
        }
        ring.submit().expect("submitted");
        let left = ledger.left();
        reap(&mut ring, left).iter().for_each(|cqe| ledger.note(cqe.user_data()));
        assert!(ring.completion().is_empty());
        assert_eq!(ring.completion().overflow(), 0);
    });
}

/// Goal: waiting for room works without a submit before it, and while the thread sleeps.
/// Method: a full queue of entries that were not published, or that were published to a sleeping
/// thread.
#[test]
fn waiting_for_room_works_even_if_nothing_was_published() {
    require!(setup: SetupFlags::SQPOLL);
    starved(1, 2, |mut ring| {
        let mut ledger = Ledger::new(0);
        for round in 0..100 {
            let deadline = Deadline::new();
            while round % 3 == 0 && !sleeps(&mut ring) {
                deadline.check("a thread that sleeps");
                std::thread::yield_now();
            }
            while !ring.submission().is_full() {
                let entry = Nop::new().sqe(ledger.open());
                ring.submission().push_safe(entry).expect("room");
            }
            if round % 2 == 0 {
                ring.submission().flush();
            }
            ring.submission().wait_for_room().expect("room");
            assert!(!ring.submission().is_full());
            take(&mut ring, &mut ledger);
        }
        ring.submit().expect("submitted");
        let left = ledger.left();
        reap(&mut ring, left).iter().for_each(|cqe| ledger.note(cqe.user_data()));
        assert!(ring.completion().is_empty());
    });
}

/// Goal: R5, on one CPU: the thread never sleeps without seeing an entry, wherever it was
/// interrupted.
/// Method: entries submitted while it sleeps, while it falls asleep, and while it is awake; each
/// must complete without another call.
#[test]
fn r5_a_thread_interrupted_anywhere_never_sleeps_on_an_unseen_entry() {
    require!(setup: SetupFlags::SQPOLL);
    starved(1, 4, |mut ring| {
        let (mut asleep, mut awake) = (0, 0);
        for id in 0..120_u64 {
            let deadline = Deadline::new();
            // From immediately until the thread has fallen asleep.
            for _ in 0..id % 6 * 2 {
                if sleeps(&mut ring) {
                    break;
                }
                std::thread::yield_now();
            }
            ring.submission().push_safe(Nop::new().sqe(id)).expect("room");
            if sleeps(&mut ring) {
                asleep += 1;
            } else {
                awake += 1;
            }
            assert_eq!(ring.submit(), Ok(1));
            while ring.completion().is_empty() {
                deadline.check("a completion without another call");
                std::thread::yield_now();
            }
            assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(id));
        }
        println!("submitted while the thread slept: {asleep}, while it was awake: {awake}");
    });
}

/// Goal: timed waits and chains work correctly if the thread is late.
/// Method: chains that fill the queue, and waits with a timeout of 0 in between.
#[test]
fn a_starved_thread_consumes_whole_chains_while_waits_time_out() {
    // Nops with a result came before it, with Linux 6.10.
    require!(op: AS_OF_6_11);
    const CHAINS: usize = 100;
    require!(setup: SetupFlags::SQPOLL);
    starved(1, 4, |mut ring| {
        let (mut ledger, mut deadline) = (Ledger::new(4 * CHAINS), Deadline::new());
        let mut next = 0;
        let mut chain = || {
            let nop = |sqe: ringbolt::SafeSqe| Sqe::from(sqe);
            let fails = Nop::new().inject_result(-5).sqe(next).link().into();
            next += 4;
            [
                fails,
                nop(Nop::new().sqe(next - 3)).link(),
                nop(Nop::new().sqe(next - 2)).link(),
                nop(Nop::new().sqe(next - 1)),
            ]
        };
        let mut queued = chain();
        let mut left = CHAINS;
        while ledger.left() > 0 {
            deadline.check("completions");
            // SAFETY: the entries refer to nothing.
            if left > 0 && unsafe { ring.submission().push_all(&queued) }.is_ok() {
                left -= 1;
                queued = chain();
                deadline = Deadline::new();
            }
            match ring.submit_and_wait_timeout(1, Timespec::new(0, 1)) {
                Ok(_) => {}
                Err(error) => assert!(matches!(error.errno, Errno::TIME | Errno::INTR), "{error}"),
            }
            for cqe in take(&mut ring, &mut ledger) {
                let first = cqe.user_data() % 4 == 0;
                let result = Err(if first { Errno::IO } else { Errno::CANCELED });
                assert_eq!(cqe.result(), result, "{cqe:?}");
            }
        }
        assert!(ring.completion().is_empty());
    });
}
