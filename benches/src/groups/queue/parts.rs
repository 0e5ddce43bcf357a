//! The parts of the hot path by themselves: pushing by kind of entry, popping, draining, the
//! decision whether to enter the kernel, adding to a buffer ring.

use core::hint::black_box;
use core::mem::offset_of;
use core::ptr;
use core::sync::atomic::{AtomicU16, Ordering, fence};
use core::time::Duration;
use std::thread;
use std::time::Instant;

use ringbolt::ops::{Nop, Send};
use ringbolt::register::BufferRingOptions;
use ringbolt::sys::{
    CqeFlags, Opcode, SetupFlags, SharedPtr, SqStatus, SqeFlags, buf_ring_head, io_uring_buf,
    io_uring_cqe, io_uring_sqe, sqe_addr,
};
use ringbolt::{Cqe, IoUring, Sqe, SubmissionQueue};
use rustix::stdio::stdin;

use crate::contest::{Case, Contest, Who};
use crate::floor::Floor;
use crate::groups::{Digest, SQPOLL_IDLE_MS};
use crate::view::View;

use super::loops::Batch;
use super::{LEN, completion, nowhere, raw_read, read};

const BATCH: Batch = Batch { size: 256, entries: 256 };

/// Entries of a chain.
const LINKED: u32 = 4;

/// A part, by itself.
#[derive(Clone, Copy, Debug)]
pub struct Part {
    /// The variant of the case.
    pub name: &'static str,
    enter: fn(&mut Case<'_>),
}

/// All of them. One turn of each is so many operations: [`Part::OPERATIONS`].
pub const PARTS: [Part; 10] = [
    Part { name: "push-nop", enter: |case| push(case, nop, raw_nop) },
    Part { name: "push-read", enter: |case| push(case, read, raw_read) },
    Part { name: "push-send", enter: |case| push(case, send, raw_send) },
    Part { name: "push-chain", enter: |case| push_chains(case, reserve_chain) },
    Part { name: "push-all", enter: |case| push_chains(case, push_chain) },
    Part { name: "pop", enter: |case| reap(case, true) },
    Part { name: "drain", enter: |case| reap(case, false) },
    Part { name: "decide", enter: |case| decide(case, SetupFlags::empty()) },
    Part { name: "decide-sqpoll", enter: |case| decide(case, SetupFlags::SQPOLL) },
    Part { name: "add-buffer", enter: add_buffers },
];

impl Part {
    /// Operations of a turn.
    pub const OPERATIONS: u32 = BATCH.size;

    /// Enters the contenders.
    pub fn enter(self, case: &mut Case<'_>) {
        (self.enter)(case);
    }
}

pub(super) fn run(contest: &mut Contest) {
    for part in PARTS {
        if let Some(mut case) = contest.case("queue", part.name, BATCH.size, Part::OPERATIONS) {
            part.enter(&mut case);
            contest.hold(case);
        }
    }
}

/// Fills batches, one after the other: by `ours`, and by hand by `floor`.
fn fill(
    case: &mut Case<'_>,
    ours: impl Fn(&mut SubmissionQueue<'_>) + 'static,
    floor: impl Fn(&mut Floor) + 'static,
) {
    let (mut ring, view) = our_ring();
    case.enter(Who::Ringbolt, move |turns| {
        let before = view.published();
        for _ in 0..turns {
            let mut submission = ring.submission();
            ours(&mut submission);
            submission.flush();
            view.take_all();
        }
        BATCH.check(turns, before, view.published());
    });
    let (mut ring, view) = floor_ring();
    case.enter(Who::Floor, move |turns| {
        let before = view.published();
        for _ in 0..turns {
            floor(&mut ring);
            ring.publish();
            view.take_all();
        }
        BATCH.check(turns, before, view.published());
    });
}

fn push(
    case: &mut Case<'_>,
    ours: impl Fn(u32) -> Sqe + 'static,
    raw: impl Fn(u32) -> io_uring_sqe + 'static,
) {
    assert_eq!(ours(7), Sqe::from_raw(raw(7)), "another entry is another task");
    fill(
        case,
        move |submission| {
            for n in 0..BATCH.size {
                // SAFETY: the kernel is not entered, and never sees it.
                unsafe { submission.push(ours(n)) }.expect("room");
            }
        },
        // SAFETY: the queue has room for a batch, and the one before was taken.
        move |ring| unsafe { ring.put(BATCH.size, &raw) },
    );
}

/// Pushes chains, the `n`th by `push`.
fn push_chains(case: &mut Case<'_>, push: impl Fn(&mut SubmissionQueue<'_>, u32) + 'static) {
    fill(
        case,
        move |submission| {
            for n in 0..BATCH.size / LINKED {
                push(submission, n);
            }
        },
        |ring| {
            for n in 0..BATCH.size / LINKED {
                // A constant number of entries, which the compiler writes out.
                let entry = |k: u32| {
                    let linked = k < LINKED - 1;
                    let flags = if linked { SqeFlags::IO_LINK } else { SqeFlags::empty() };
                    io_uring_sqe { flags, ..raw_read(LINKED * n + k) }
                };
                // SAFETY: the queue has room for a batch, and the one before was taken.
                unsafe { ring.put(LINKED, entry) };
            }
        },
    );
}

/// Entry by entry, into the slots.
#[inline(always)]
fn reserve_chain(submission: &mut SubmissionQueue<'_>, n: u32) {
    let mut chain = submission.reserve(LINKED as usize).expect("room");
    for k in 0..LINKED {
        let read = read(LINKED * n + k);
        let read = if k < LINKED - 1 { read.link() } else { read };
        // SAFETY: the kernel is not entered, and never sees it.
        unsafe { chain.put(read) }.expect("room");
    }
    chain.commit().expect("the last entry is not linked");
}

/// As a list, which has to be there first.
#[inline(always)]
fn push_chain(submission: &mut SubmissionQueue<'_>, n: u32) {
    let at = |k: u32| read(LINKED * n + k);
    let chain = [at(0).link(), at(1).link(), at(2).link(), at(3)];
    // SAFETY: the kernel is not entered, and never sees it.
    unsafe { submission.push_all(&chain) }.expect("room");
}

fn reap(case: &mut Case<'_>, one_by_one: bool) {
    let (mut ring, view) = our_ring();
    if one_by_one {
        case.enter(Who::Ringbolt, move |turns| {
            let mut digest = Digest::default();
            for _ in 0..turns {
                view.post(BATCH.size);
                let mut completion = ring.completion();
                while let Some(cqe) = completion.pop() {
                    digest.add(cqe.user_data(), cqe.raw_result());
                }
            }
            digest.check(turns, BATCH.size);
        });
    } else {
        case.enter(Who::Ringbolt, move |turns| {
            let mut digest = Digest::default();
            for _ in 0..turns {
                view.post(BATCH.size);
                for cqe in ring.completion().drain() {
                    digest.add(cqe.user_data(), cqe.raw_result());
                }
            }
            digest.check(turns, BATCH.size);
        });
    }
    let (mut ring, view) = floor_ring();
    case.enter(Who::Floor, move |turns| {
        let mut digest = Digest::default();
        for _ in 0..turns {
            view.post(BATCH.size);
            ring.reap(|cqe| digest.add(cqe.user_data, cqe.res));
        }
        digest.check(turns, BATCH.size);
    });
}

/// Submits where there is nothing to submit and nothing to wake: the kernel is not entered.
///
/// Between two decisions a program does other work, and has the state of its ring in memory.
fn decide(case: &mut Case<'_>, flags: SetupFlags) {
    let polled = flags.contains(SetupFlags::SQPOLL);
    let builder =
        if polled { IoUring::builder().sqpoll(SQPOLL_IDLE_MS) } else { IoUring::builder() };
    let mut ring = builder.build(BATCH.entries).expect("a ring");
    if polled {
        // Asleep it stays, as nothing is submitted: awake it may fall asleep at any time.
        wait_for_sleep(|| ring.submission().status());
    }
    case.enter(Who::Ringbolt, move |turns| {
        for _ in 0..turns * u64::from(BATCH.size) {
            let taken = black_box(&mut ring).submission().submit().expect("nothing to do");
            assert_eq!(black_box(taken), 0);
        }
    });
    let mut ring = Floor::<io_uring_sqe>::new(BATCH.entries, flags).expect("a ring");
    if polled {
        wait_for_sleep(|| ring.status());
    }
    case.enter(Who::Floor, move |turns| {
        for _ in 0..turns * u64::from(BATCH.size) {
            let ring = black_box(&mut ring);
            ring.publish();
            if polled {
                fence(Ordering::SeqCst);
            }
            let reasons = SqStatus::CQ_OVERFLOW | SqStatus::TASKRUN;
            let needed = ring.queued() > 0 || ring.status().intersects(reasons);
            assert!(!black_box(needed));
        }
    });
}

/// Waits until an SQPOLL thread sleeps.
fn wait_for_sleep(mut status: impl FnMut() -> SqStatus) {
    let end = Instant::now() + Duration::from_secs(20);
    while !status().contains(SqStatus::NEED_WAKEUP) {
        assert!(Instant::now() < end, "the polling thread does not fall asleep");
        thread::sleep(Duration::from_millis(1));
    }
}

fn add_buffers(case: &mut Case<'_>) {
    let count = u16::try_from(BATCH.size).expect("few enough");
    let ring = IoUring::new(1).expect("a ring");
    let options = BufferRingOptions::default();
    let mut bufs = ring.registrar().register_buffer_ring(1, count, options).expect("a group");
    // As the kernel names a buffer.
    let flags = CqeFlags::BUFFER;
    let named = Cqe::from_raw(io_uring_cqe { flags, ..io_uring_cqe::ZEROED });
    case.enter(Who::Ringbolt, move |turns| {
        // The group goes with the ring.
        let _ring = &ring;
        for _ in 0..turns {
            for bid in 0..count {
                // SAFETY: nothing on the ring picks a buffer.
                unsafe { bufs.add(nowhere(), LEN, bid) }.expect("room");
            }
            bufs.publish();
            (0..count).for_each(|_| assert!(bufs.reclaim(&named).is_some()));
        }
    });
    case.enter(Who::Floor, raw_buffers(count));
}

/// The same by hand, in memory that no kernel knows of.
fn raw_buffers(count: u16) -> impl FnMut(u64) {
    let empty = io_uring_buf { addr: SharedPtr::NULL, len: 0, bid: 0, resv: 0 };
    let mut entries = vec![empty; usize::from(count)];
    let mut tail = 0_u16;
    move |turns| {
        let first = entries.as_mut_ptr();
        let mut at = tail;
        for _ in 0..turns {
            for bid in 0..count {
                // SAFETY: masked: one of `count` entries.
                let entry = unsafe { first.add(usize::from(at & (count - 1))) };
                // SAFETY: valid for reads and writes, and nobody else has it.
                let entry = unsafe { &mut *entry };
                // The tail shares the first entry: `resv` is left alone.
                entry.addr = SharedPtr::from_mut(nowhere());
                entry.len = LEN;
                entry.bid = bid;
                at = at.wrapping_add(1);
            }
            // SAFETY: inside the first entry.
            let shared = unsafe { first.byte_add(offset_of!(buf_ring_head, tail)) };
            // SAFETY: aligned to 2 bytes, and only used here.
            unsafe { &*shared.cast::<AtomicU16>() }.store(at, Ordering::Release);
        }
        tail = at;
        black_box(&entries);
    }
}

fn our_ring() -> (IoUring, View) {
    let ring = IoUring::new(BATCH.entries).expect("a ring");
    let posted = |n| completion(BATCH.user_data(n));
    let view = View::new(&ring, ring.params(), posted).expect("a view");
    (ring, view)
}

fn floor_ring() -> (Floor, View) {
    let ring = Floor::<io_uring_sqe, io_uring_cqe>::new(BATCH.entries, SetupFlags::empty());
    let ring = ring.expect("a ring");
    let posted = |n| completion(BATCH.user_data(n));
    let view = View::new(&ring, ring.params(), posted).expect("a view");
    (ring, view)
}

#[inline(always)]
fn nop(n: u32) -> Sqe {
    Nop::new().sqe(u64::from(n)).into()
}

#[inline(always)]
fn raw_nop(n: u32) -> io_uring_sqe {
    io_uring_sqe { opcode: Opcode::NOP, fd: -1, user_data: u64::from(n), ..io_uring_sqe::ZEROED }
}

#[inline(always)]
fn send(n: u32) -> Sqe {
    Send::new(stdin(), ptr::without_provenance(4096), LEN).sqe(u64::from(n))
}

#[inline(always)]
fn raw_send(n: u32) -> io_uring_sqe {
    io_uring_sqe {
        opcode: Opcode::SEND,
        addr: sqe_addr { addr: SharedPtr::from_mut(nowhere()) },
        len: LEN,
        user_data: u64::from(n),
        ..io_uring_sqe::ZEROED
    }
}
