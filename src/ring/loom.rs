//! The rules of [`super::order`] under loom: one test each, on the real queues.
//!
//! Loom runs every interleaving of two threads, with every value that a load may return. The
//! kernel's side is written in the simplest way, with the orderings that the kernel uses. A queue
//! reads and writes entries plainly: loom reports two such accesses that no rule orders, see
//! [`super::atomic`].
//!
//! The name of each test begins with its rule; `ci/weaken.sh` weakens each ordering in turn and
//! checks that the tests of its rules fail.

use core::ptr::NonNull;
use core::sync::atomic::Ordering;
use std::boxed::Box;
use std::vec::Vec;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU16, AtomicU32, fence};
use loom::thread;

use super::atomic::{looms::watch, will_read, will_write};
use super::bufs::Bufs;
use super::cq::{Cq, CqParts};
use super::order::{Ours, OursShort, Theirs};
use super::sq::{Sq, SqParts};
use crate::entry::{Cqe, Sqe};
use crate::sys::{Opcode, SharedPtr, SqStatus, io_uring_buf, io_uring_cqe};

/// Just below the wrap.
const START: u32 = u32::MAX - 1;

/// Slots of a queue: so few that they are reused soon.
const SLOTS: u32 = 2;

/// A number of entries that all fit into slots that were free from the start.
const FITTING: u32 = SLOTS;

/// A number of entries that requires one slot to be reused.
const REUSING: u32 = SLOTS + 1;

/// The words of one queue, and its entries.
struct Shared<E> {
    head: AtomicU32,
    tail: AtomicU32,
    flags: AtomicU32,
    other: AtomicU32,
    slots: NonNull<E>,
}

// SAFETY: both sides use the entries in turns, which is what the tests check: each access is
// reported to loom, and loom fails a test in which two accesses are not ordered.
unsafe impl<E> Send for Shared<E> {}
// SAFETY: as above.
unsafe impl<E> Sync for Shared<E> {}

impl<E: Copy> Shared<E> {
    fn new(entry: E) -> Arc<Self> {
        let slots: Box<[E]> = Box::new([entry; SLOTS as usize]);
        let slots: NonNull<E> = NonNull::from(Box::leak(slots)).cast();
        watch(slots.as_ptr(), SLOTS as usize);
        let word = |value| AtomicU32::new(value);
        Arc::new(Self {
            head: word(START),
            tail: word(START),
            flags: word(0),
            other: word(0),
            slots,
        })
    }

    fn slot(&self, at: u32) -> *mut E {
        // SAFETY: one of the slots, by the remainder.
        unsafe { self.slots.add((at % SLOTS) as usize) }.as_ptr()
    }
}

impl<E> Drop for Shared<E> {
    fn drop(&mut self) {
        let slots = NonNull::slice_from_raw_parts(self.slots, SLOTS as usize);
        // SAFETY: leaked from a box in `new`; neither side uses it any more.
        drop(unsafe { Box::from_raw(slots.as_ptr()) });
    }
}

fn sq(shared: &Shared<Sqe>) -> Sq<Sqe> {
    let parts = SqParts {
        head: theirs(&shared.head),
        tail: ours(&shared.tail),
        flags: theirs(&shared.flags),
        dropped: theirs(&shared.other),
        slots: shared.slots,
        mask: SLOTS - 1,
        rewinds: false,
    };
    // SAFETY: the parts are fields of `Shared`, and outlive the queue.
    unsafe { Sq::new(parts) }
}

fn cq(shared: &Shared<Cqe>) -> Cq<Cqe> {
    let parts = CqParts {
        head: ours(&shared.head),
        tail: theirs(&shared.tail),
        flags: None,
        overflow: theirs(&shared.other),
        status: theirs(&shared.other),
        slots: shared.slots,
        mask: SLOTS - 1,
    };
    // SAFETY: the parts are fields of `Shared`, and outlive the queue.
    unsafe { Cq::new(parts) }
}

fn ours(word: &AtomicU32) -> Ours {
    // SAFETY: a field of `Shared`, which outlives the queues of a test.
    unsafe { Ours::new(NonNull::from(word)) }
}

fn theirs(word: &AtomicU32) -> Theirs {
    // SAFETY: a field of `Shared`, which outlives the queues of a test.
    unsafe { Theirs::new(NonNull::from(word)) }
}

fn entry(user_data: u32) -> Sqe {
    Sqe::new(Opcode::NOP).with_user_data(u64::from(user_data))
}

/// The kernel consumes an entry once the tail covers it, and then frees the slot.
fn take(shared: &Shared<Sqe>, count: u32) -> Vec<u64> {
    let taken = (0..count).map(|number| {
        let at = START.wrapping_add(number);
        while shared.tail.load(Ordering::Acquire) == at {
            thread::yield_now();
        }
        let slot = shared.slot(at);
        will_read(slot);
        // SAFETY: a slot, valid for reads.
        let sqe = unsafe { slot.read() };
        shared.head.store(at.wrapping_add(1), Ordering::Release);
        sqe.user_data()
    });
    taken.collect()
}

/// This side pushes entries, and the kernel consumes them.
fn submit(count: u32) {
    let shared = Shared::new(entry(u32::MAX));
    let mut sq = sq(&shared);
    let kernel = thread::spawn({
        let shared = Arc::clone(&shared);
        move || take(&shared, count)
    });
    for number in 0..count {
        while sq.push(entry(number)).is_err() {
            thread::yield_now();
        }
        sq.publish();
    }
    let expected: Vec<u64> = (0..u64::from(count)).collect();
    assert_eq!(kernel.join().unwrap(), expected);
}

/// The kernel posts completions, and this side pops them.
fn reap(count: u32) {
    let shared = Shared::new(Cqe::from_raw(io_uring_cqe::ZEROED));
    let mut cq = cq(&shared);
    let kernel = thread::spawn({
        let shared = Arc::clone(&shared);
        move || (0..count).for_each(|number| post(&shared, number))
    });
    for number in 0..count {
        let cqe = loop {
            if let Some(cqe) = cq.pop() {
                break cqe;
            }
            thread::yield_now();
        };
        assert_eq!(cqe.user_data(), u64::from(number));
    }
    kernel.join().unwrap();
}

/// The kernel posts a completion once the head has freed a slot.
fn post(shared: &Shared<Cqe>, number: u32) {
    let at = START.wrapping_add(number);
    while at.wrapping_sub(shared.head.load(Ordering::Acquire)) == SLOTS {
        thread::yield_now();
    }
    let slot = shared.slot(at);
    will_write(slot);
    let user_data = u64::from(number);
    // SAFETY: a slot, valid for writes.
    unsafe { slot.write(Cqe::from_raw(io_uring_cqe { user_data, ..io_uring_cqe::ZEROED })) };
    shared.tail.store(at.wrapping_add(1), Ordering::Release);
}

#[test]
fn r1_an_entry_is_whole_when_the_sq_tail_covers_it() {
    loom::model(|| submit(FITTING));
}

#[test]
fn r2_a_slot_is_read_before_the_sq_head_frees_it() {
    loom::model(|| submit(REUSING));
}

#[test]
fn r3_a_completion_is_whole_when_the_cq_tail_covers_it() {
    loom::model(|| reap(FITTING));
}

#[test]
fn r4_a_completion_is_read_before_the_cq_head_frees_it() {
    loom::model(|| reap(REUSING));
}

/// Goal: if the polling thread falls asleep without seeing a published entry, this side sees that
/// it sleeps. Method: it falls asleep while this side publishes; at least one side must notice the
/// other.
#[test]
fn r5_the_polling_thread_never_sleeps_on_an_unseen_entry() {
    loom::model(|| {
        let shared = Shared::new(entry(u32::MAX));
        let mut sq = sq(&shared);
        let kernel = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                // As in the kernel: set the flag, then check the tail once more.
                shared.flags.fetch_or(SqStatus::NEED_WAKEUP.bits(), Ordering::Relaxed);
                fence(Ordering::SeqCst);
                shared.tail.load(Ordering::Acquire) != START
            }
        });
        assert!(sq.push(entry(0)).is_ok());
        sq.publish();
        let wakes = sq.status(true).contains(SqStatus::NEED_WAKEUP);
        let sees = kernel.join().unwrap();
        assert!(sees || wakes, "neither the entry nor the flag was seen");
    });
}

#[test]
fn r6_a_buffer_is_whole_when_the_tail_of_its_ring_covers_it() {
    const BUFFERS: u16 = 2;
    loom::model(|| {
        let entries: Box<[io_uring_buf]> = Box::new([io_uring_buf::ZEROED; BUFFERS as usize]);
        let entries: NonNull<io_uring_buf> = NonNull::from(Box::leak(entries)).cast();
        watch(entries.as_ptr(), usize::from(BUFFERS));
        let tail = Arc::new(AtomicU16::new(0));
        // SAFETY: the tail outlives the queue, and only the queue writes it.
        let shared_tail = unsafe { OursShort::new(NonNull::from(&*tail)) };
        let mut bufs = Bufs::with_tail(entries, BUFFERS, shared_tail);
        let start = entries.as_ptr().expose_provenance();
        let kernel = thread::spawn({
            let tail = Arc::clone(&tail);
            move || {
                for number in 0..BUFFERS {
                    while tail.load(Ordering::Acquire) == number {
                        thread::yield_now();
                    }
                    let start = core::ptr::with_exposed_provenance::<io_uring_buf>(start);
                    let entry = start.wrapping_add(usize::from(number));
                    will_read(entry);
                    // SAFETY: one of the entries, valid for reads.
                    assert_eq!(unsafe { entry.read() }.bid, number);
                }
            }
        });
        for bid in 0..BUFFERS {
            assert!(bufs.add(SharedPtr::NULL, 1, bid));
            bufs.publish();
        }
        kernel.join().unwrap();
        let entries = NonNull::slice_from_raw_parts(entries, usize::from(BUFFERS));
        // SAFETY: leaked from a box above; neither side uses it any more.
        drop(unsafe { Box::from_raw(entries.as_ptr()) });
    });
}
