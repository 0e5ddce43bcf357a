//! The rules of [`crate::ring::order`], one test each, with the kernel's side on another thread.
//!
//! The kernel's side is written in the simplest way: it accesses words with the orderings that the
//! kernel uses, and entries plainly. Miri reports a broken rule as a data race, on any machine. A
//! broken R5 also shows without Miri on any machine with a store buffer.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicU16, AtomicU32, Ordering, fence};
use std::boxed::Box;
use std::thread;

use super::{Kernel, START, entry};
use crate::entry::Sqe;
use crate::ring::bufs::Bufs;
use crate::sys::{SharedPtr, SqStatus, io_uring_buf, io_uring_cqe};

/// How many entries are transferred.
const ENTRIES: u64 = if cfg!(miri) { 24 } else { 100_000 };

/// Memory that two threads share.
#[derive(Clone, Copy)]
struct Shared<T>(NonNull<T>);

// SAFETY: it holds only an address; each test documents which thread uses the memory, and when.
unsafe impl<T> Send for Shared<T> {}

impl<T> Shared<T> {
    /// The address, for the thread that it was sent to.
    fn get(self) -> NonNull<T> {
        self.0
    }
}

/// A word of the shared memory, as the kernel's side uses it.
fn word<'m>(field: Shared<u32>) -> &'m AtomicU32 {
    // SAFETY: a field of a `Kernel`, which outlives the threads of its test; both sides use it
    // atomically.
    unsafe { AtomicU32::from_ptr(field.get().as_ptr()) }
}

#[test]
fn r1_and_r2_entries_are_whole_when_seen_and_read_before_they_are_replaced() {
    let kernel: Kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    let (head, tail) = (Shared(at!(kernel, sq_head)), Shared(at!(kernel, sq_tail)));
    let slots = Shared(at!(kernel, sqes));
    thread::scope(|scope| {
        scope.spawn(move || {
            let (head, tail, slots) = (word(head), word(tail), slots.get());
            let mut at = START;
            for expected in 0..ENTRIES {
                while tail.load(Ordering::Acquire) == at {
                    thread::yield_now();
                }
                // SAFETY: one of the slots, by the mask.
                let slot = unsafe { slots.cast::<Sqe>().add((at & 3) as usize) };
                // SAFETY: published, and not returned yet.
                let sqe = unsafe { slot.read() };
                assert_eq!(sqe.user_data(), expected);
                at = at.wrapping_add(1);
                head.store(at, Ordering::Release);
            }
        });
        for number in 0..ENTRIES {
            while sq.push(entry(number)).is_err() {
                thread::yield_now();
            }
            sq.publish();
        }
    });
}

#[test]
fn r3_and_r4_completions_are_whole_when_seen_and_read_before_they_are_replaced() {
    let kernel: Kernel = Kernel::new(START);
    let mut cq = kernel.cq();
    let (head, tail) = (Shared(at!(kernel, cq_head)), Shared(at!(kernel, cq_tail)));
    let slots = Shared(at!(kernel, cqes));
    thread::scope(|scope| {
        scope.spawn(move || {
            let (head, tail, slots) = (word(head), word(tail), slots.get());
            let mut at = START;
            for user_data in 0..ENTRIES {
                while at.wrapping_sub(head.load(Ordering::Acquire)) == 4 {
                    thread::yield_now();
                }
                let cqe = io_uring_cqe { user_data, ..io_uring_cqe::ZEROED };
                // SAFETY: one of the slots, by the mask.
                let slot = unsafe { slots.cast::<io_uring_cqe>().add((at & 3) as usize) };
                // SAFETY: returned, and not published yet.
                unsafe { slot.write(cqe) };
                at = at.wrapping_add(1);
                tail.store(at, Ordering::Release);
            }
        });
        for expected in 0..ENTRIES {
            let cqe = loop {
                if let Some(cqe) = cq.pop() {
                    break cqe;
                }
                thread::yield_now();
            };
            assert_eq!(cqe.user_data(), expected);
        }
    });
}

/// Goal: it never happens that this side misses the sleep of the other while the other misses the
/// entry. Method: both check at the same moment, many times.
#[test]
fn r5_the_polling_thread_never_sleeps_on_an_unseen_entry() {
    const ROUNDS: u32 = if cfg!(miri) { 64 } else { 100_000 };
    let kernel: Kernel = Kernel::new(START);
    let mut sq = kernel.sq();
    let (head, tail) = (Shared(at!(kernel, sq_head)), Shared(at!(kernel, sq_tail)));
    let flags = Shared(at!(kernel, sq_flags));
    let (ours, theirs) = (AtomicU32::new(0), AtomicU32::new(0));
    let missed = AtomicU32::new(0);
    // Both sides wait here for each other.
    let meet = |mine: &AtomicU32, other: &AtomicU32, round: u32| {
        mine.store(round, Ordering::SeqCst);
        let mut spins = 0;
        while other.load(Ordering::SeqCst) < round {
            spins += 1;
            if spins % 256 == 0 || cfg!(miri) {
                thread::yield_now();
            }
            core::hint::spin_loop();
        }
    };
    thread::scope(|scope| {
        let (ours, theirs, missed, meet) = (&ours, &theirs, &missed, &meet);
        scope.spawn(move || {
            let (head, tail, flags) = (word(head), word(tail), word(flags));
            for round in 0..ROUNDS {
                let at = head.load(Ordering::Relaxed);
                meet(theirs, ours, 3 * round + 1);
                // As in the kernel: set the flag, then check the tail once more.
                flags.store(SqStatus::NEED_WAKEUP.bits(), Ordering::Relaxed);
                fence(Ordering::SeqCst);
                let misses = tail.load(Ordering::Acquire) == at;
                missed.store(u32::from(misses), Ordering::SeqCst);
                meet(theirs, ours, 3 * round + 2);
                head.store(tail.load(Ordering::Acquire), Ordering::Release);
                flags.store(0, Ordering::Relaxed);
                meet(theirs, ours, 3 * round + 3);
            }
        });
        for round in 0..ROUNDS {
            assert!(sq.push(entry(0)).is_ok());
            meet(ours, theirs, 3 * round + 1);
            sq.publish();
            let wakes = sq.status(true).contains(SqStatus::NEED_WAKEUP);
            meet(ours, theirs, 3 * round + 2);
            let misses = missed.load(Ordering::SeqCst) == 1;
            // Before the assertion, so that the other side does not wait forever.
            meet(ours, theirs, 3 * round + 3);
            if misses && !wakes {
                // Lets the other side run to its end.
                (round + 1..ROUNDS).for_each(|round| {
                    (1..=3).for_each(|step| meet(ours, theirs, 3 * round + step));
                });
                panic!("round {round}: the entry was not seen, nor that the other side sleeps");
            }
        }
    });
}

#[test]
fn r6_buffers_are_whole_when_seen() {
    const COUNT: u16 = 4;
    let memory = Box::leak(Box::new([io_uring_buf::ZEROED; COUNT as usize]));
    let start: NonNull<io_uring_buf> = NonNull::from(&mut *memory).cast();
    // SAFETY: leaked memory for as many entries, used by this queue and the thread below, until
    // both have ended.
    let mut bufs = unsafe { Bufs::new(start, COUNT) };
    // The tail lies in the last bytes of the first entry.
    // SAFETY: inside the memory.
    let tail = Shared(unsafe { start.cast::<u8>().add(14) }.cast::<u16>());
    let taken = AtomicU32::new(0);
    let start = Shared(start);
    thread::scope(|scope| {
        let taken = &taken;
        scope.spawn(move || {
            // SAFETY: aligned, as a field of an entry; both sides use it atomically.
            let tail = unsafe { AtomicU16::from_ptr(tail.get().as_ptr()) };
            for number in 0..u32::try_from(ENTRIES).unwrap() {
                while u32::from(tail.load(Ordering::Acquire)) == number & 0xffff {
                    thread::yield_now();
                }
                // SAFETY: one of the entries, by the mask.
                let entry = unsafe { start.get().add((number & 3) as usize) }.as_ptr();
                // SAFETY: a field of it, apart from the tail.
                let len = unsafe { &raw const (*entry).len };
                // SAFETY: published, and not reported as consumed yet.
                assert_eq!(unsafe { len.read() }, number);
                taken.store(number + 1, Ordering::Release);
            }
        });
        for number in 0..u32::try_from(ENTRIES).unwrap() {
            // Completions report to the program what was consumed.
            while number - taken.load(Ordering::Acquire) >= u32::from(COUNT) {
                thread::yield_now();
            }
            if bufs.out() == COUNT {
                bufs.reclaim();
            }
            assert!(bufs.add(SharedPtr::NULL, number, u16::try_from(number & 0xffff).unwrap()));
            bufs.publish();
        }
    });
    // SAFETY: leaked above; the queue and the thread no longer use it.
    drop(unsafe { Box::from_raw(start.get().cast::<[io_uring_buf; COUNT as usize]>().as_ptr()) });
}
