//! Halves of a ring that the program protects with locks: many threads submit, and some reap.
#![cfg(feature = "owned")]

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};

use crate::common::process::bounded;
use crate::common::{cpus, require};
use crate::fault_common::{Deadline, Ledger};
use ringbolt::ops::Nop;
use ringbolt::sys::SetupFlags;
use ringbolt::{
    Advice, Builder, IoUring, OwnedCompletionQueue, OwnedSubmissionQueue, PushError, Sqe, Timespec,
};
use rustix::io::Errno;

/// The number of operations of each test.
const COUNT: u64 = if cfg!(debug_assertions) { 200_000 } else { 1_000_000 };

/// The number of threads that submit.
const PRODUCERS: u64 = 4;

/// Pushes an entry. If there is no room, submits the earlier ones first.
fn push(half: &mut OwnedSubmissionQueue, entry: Sqe) {
    let (deadline, mut entry) = (Deadline::new(), entry);
    // SAFETY: the entries of these tests name nothing.
    while let Err(PushError::Full(back)) = unsafe { half.queue().push(entry) } {
        deadline.check("room");
        match half.queue().submit() {
            Ok(_) => half.queue().wait_for_room().expect("room"),
            Err(error) => assert_ne!(error.advice(), Advice::Stop, "{error}"),
        }
        entry = back;
    }
}

/// Pushes and submits the entries of one thread: numbers from `first` on, in steps.
///
/// The number of entries in a batch, and the thread that submits them, varies.
fn produce(half: &Mutex<OwnedSubmissionQueue>, first: u64) {
    let mut next = first;
    while next < COUNT {
        let mut half = half.lock().expect("no thread has failed");
        for _ in 0..1 + next % 13 {
            if next >= COUNT {
                break;
            }
            let entry = Sqe::from(Nop::new().sqe(next));
            // Sometimes an entry that completes on a worker thread.
            push(&mut half, if next % 64 == 0 { entry.force_async() } else { entry });
            next += PRODUCERS;
        }
        // The next thread that submits also submits the remaining entries.
        if next % 3 != 0 || next >= COUNT {
            half.queue().submit().expect("submitted");
        }
    }
    half.lock().expect("no thread has failed").queue().submit().expect("submitted");
}

/// The state that the reaping threads share.
struct Reaped {
    half: OwnedCompletionQueue,
    ledger: Ledger,
}

/// Reaps until all operations have completed.
fn consume(reaped: &Mutex<Reaped>, taken: &AtomicU64) {
    let (mut deadline, mut left) = (Deadline::new(), usize::MAX);
    loop {
        let mut reaped = reaped.lock().expect("no thread has failed");
        let Reaped { half, ledger } = &mut *reaped;
        if ledger.left() < left {
            (deadline, left) = (Deadline::new(), ledger.left());
        }
        // Only some of them, so that the next thread that gets the lock continues.
        let mut queue = half.queue();
        for cqe in queue.drain().take(100) {
            assert_eq!(cqe.result(), Ok(0), "{cqe:?}");
            ledger.note(cqe.user_data());
            taken.fetch_add(1, Ordering::Relaxed);
        }
        if ledger.left() == 0 {
            return;
        }
        deadline.check("completions");
        if queue.is_empty() {
            match queue.wait_timeout(1, Timespec::new(0, 1_000_000)) {
                Ok(()) | Err(Errno::TIME | Errno::INTR) => {}
                Err(errno) => panic!("waiting: {errno}"),
            }
        }
    }
}

/// Runs the operations through a ring whose halves are protected by locks.
fn through(builder: &Builder, entries: u32, reapers: usize) {
    let (submission, half) = builder.build(entries).expect("a ring").into_halves();
    let submission = Arc::new(Mutex::new(submission));
    let ledger = Ledger::new(usize::try_from(COUNT).expect("a count that fits"));
    let reaped = Arc::new(Mutex::new(Reaped { half, ledger }));
    let (taken, start) = (Arc::new(AtomicU64::new(0)), Arc::new(Barrier::new(4 + reapers)));
    let mut threads = Vec::new();
    for first in 0..PRODUCERS {
        let (submission, start) = (Arc::clone(&submission), Arc::clone(&start));
        threads.push(std::thread::spawn(move || {
            start.wait();
            produce(&submission, first);
        }));
    }
    for _ in 0..reapers {
        let (reaped, taken, start) = (Arc::clone(&reaped), Arc::clone(&taken), Arc::clone(&start));
        threads.push(std::thread::spawn(move || {
            start.wait();
            consume(&reaped, &taken);
        }));
    }
    for thread in threads {
        thread.join().expect("no thread fails");
    }
    let mut reaped = reaped.lock().expect("no thread has failed");
    assert_eq!((reaped.ledger.left(), taken.load(Ordering::Relaxed)), (0, COUNT));
    let mut queue = reaped.half.queue();
    queue.get_events().expect("nothing to bring in");
    assert!(queue.is_empty());
    assert_eq!(queue.overflow(), 0);
    let mut submission = submission.lock().expect("no thread has failed");
    assert_eq!(submission.queue().dropped(), 0);
}

/// Goal: if many threads submit through one half, each entry completes once.
/// Method: four threads push in turns and submit for each other, and one reaps.
#[test]
fn entries_pushed_by_many_threads_under_a_lock_complete_once() {
    bounded(|| through(&IoUring::builder(), 64, 1));
}

/// Goal: the same with several threads that reap, and a tiny ring whose completions overflow.
/// Method: as above, with two that reap.
#[test]
fn entries_of_many_threads_go_through_a_tiny_ring_to_many_threads() {
    bounded(|| through(&IoUring::builder().cq_entries(4), 4, 2));
}

/// Goal: the same with a polling thread.
/// Method: as above.
#[test]
fn entries_of_many_threads_go_through_a_polled_ring() {
    require!(setup: SetupFlags::SQPOLL);
    require!(machine: cpus() > 1, "a second CPU");
    bounded(|| through(&IoUring::builder().sqpoll(1), 64, 2));
}

/// Goal: dropping a half does not affect submitted entries: they still complete.
/// Method: repeatedly submit, drop the half, and reap on the other thread.
#[test]
fn entries_submitted_by_a_dropped_half_complete_on_the_other() {
    bounded(|| {
        for round in 0..300 {
            let builder = IoUring::builder();
            let builder = if round % 10 == 0 { builder.sqpoll(1) } else { builder };
            let (mut submission, mut completion) = builder.build(8).expect("a ring").into_halves();
            let reaper = std::thread::spawn(move || {
                let (mut ledger, deadline) = (Ledger::new(6), Deadline::new());
                while ledger.left() > 0 {
                    deadline.check("completions");
                    match completion.queue().wait_timeout(1, Timespec::new(1, 0)) {
                        Ok(()) | Err(Errno::TIME | Errno::INTR) => {}
                        Err(errno) => panic!("waiting: {errno}"),
                    }
                    let mut queue = completion.queue();
                    queue.drain().for_each(|cqe| ledger.note(cqe.user_data()));
                }
            });
            for id in 0..6 {
                let entry = Sqe::from(Nop::new().sqe(id));
                push(&mut submission, if id % 2 == 0 { entry.force_async() } else { entry });
            }
            submission.queue().submit().expect("submitted");
            // Pushed, and never submitted: it is dropped with the half.
            push(&mut submission, Nop::new().sqe(1000).into());
            drop(submission);
            reaper.join().expect("the reaper ends");
        }
    });
}
