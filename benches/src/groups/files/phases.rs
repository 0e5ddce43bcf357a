//! Phases: all files of a batch are opened, then all are read, then all are closed, with a system
//! call for each phase and no links. No operation waits behind another, and the processor does
//! one thing at a time.
#![allow(clippy::indexing_slicing, reason = "the files of a batch are counted from 0")]

use ringbolt::ops::{Close, DestSlot, FilesUpdate, Fixed, OpenAt, Read, ReadFixed};
use ringbolt::register::FileSlot;
use ringbolt::{Cqe, IoUring, LocalIoUring, Sqe};
use rustix::fd::{IntoRawFd, OwnedFd};

use super::tree::{FLAGS, LEN, Work};
use crate::contest::{Case, Who};

/// Enters ringbolt, on descriptors.
pub(super) fn enter_descriptors<'a>(case: &mut Case<'a>, mut work: Work<'a>) {
    let batch = work.batch();
    let mut ring = IoUring::local(batch.max(8)).expect("a ring");
    let mut files: Vec<Option<OwnedFd>> = (0..batch).map(|_| None).collect();
    case.enter(Who::Ringbolt, move |turns| {
        for _ in 0..turns {
            let open = |work: &mut Work<'_>, _| {
                let dir = work.dir();
                OpenAt::new(dir, work.next().as_ptr(), FLAGS).sqe(0)
            };
            let keep = |_: &mut Work<'_>, n: u32, cqe: Cqe| {
                // SAFETY: the completion of an open, which nobody else looks at.
                files[n as usize] = Some(unsafe { OpenAt::opened(&cqe) }.expect("a file"));
            };
            // SAFETY: names and directory are the work's.
            unsafe { phase(&mut ring, &mut work, batch, open, keep) };
            let read = |work: &mut Work<'_>, n: u32| {
                let file = files[n as usize].as_ref().expect("a file");
                Read::new(file, work.buf(n), LEN).offset(0).sqe(0)
            };
            // SAFETY: the memory is the work's; each file has a part of it to itself.
            unsafe { phase(&mut ring, &mut work, batch, read, found) };
            let close = |_: &mut Work<'_>, n: u32| {
                let file = files[n as usize].take().expect("a file");
                Close::new(file.into_raw_fd()).sqe(0)
            };
            // SAFETY: the descriptors have just been given up.
            unsafe { phase(&mut ring, &mut work, batch, close, succeeded) };
        }
        work.check(turns);
    });
}

/// Enters ringbolt, on fixed slots.
pub(super) fn enter_slots<'a>(case: &mut Case<'a>, mut work: Work<'a>) {
    let mut ring = ring(&work);
    case.enter(Who::Ringbolt, move |turns| {
        for _ in 0..turns {
            open_and_read(&mut ring, &mut work);
            let close = |_: &mut Work<'_>, n| Close::fixed(Fixed(n)).sqe(0).into();
            let batch = work.batch();
            // SAFETY: it names no memory, and slots that nobody uses any more.
            unsafe { phase(&mut ring, &mut work, batch, close, succeeded) };
        }
        work.check(turns);
    });
}

/// Enters ringbolt, on fixed slots that one entry empties.
pub(super) fn enter_emptied<'a>(case: &mut Case<'a>, mut work: Work<'a>) {
    let mut ring = ring(&work);
    let batch = work.batch();
    let none = vec![FileSlot::EMPTY; batch as usize];
    case.enter(Who::Ringbolt, move |turns| {
        for _ in 0..turns {
            open_and_read(&mut ring, &mut work);
            let empty =
                |_: &mut Work<'_>, _| FilesUpdate::new(Fixed(0), none.as_ptr(), batch).sqe(0);
            let all = |_: &mut Work<'_>, _, cqe: Cqe| assert_eq!(cqe.result(), Ok(batch));
            // SAFETY: so many slots are in `none`, which stays; nobody uses those of the ring any
            // more.
            unsafe { phase(&mut ring, &mut work, 1, empty, all) };
        }
        work.check(turns);
    });
}

/// A ring with a slot for each file of a batch, and the work's memory for a fixed buffer.
pub(super) fn ring(work: &Work<'_>) -> LocalIoUring {
    let ring = IoUring::local(3 * work.batch()).expect("a ring");
    ring.registrar().register_files_sparse(work.batch()).expect("a file table");
    // SAFETY: ring and work go into one closure, which leaves nothing in flight.
    unsafe { ring.registrar().register_buffers(&[work.pages().whole()]) }.expect("a fixed buffer");
    ring
}

/// Opens the files of a batch into the slots, and reads them.
#[inline(always)]
fn open_and_read(ring: &mut LocalIoUring, work: &mut Work<'_>) {
    let batch = work.batch();
    let open = |work: &mut Work<'_>, n| {
        let dir = work.dir();
        OpenAt::new(dir, work.next().as_ptr(), FLAGS).fixed(DestSlot::At(Fixed(n))).sqe(0)
    };
    // SAFETY: names and directory are the work's.
    unsafe { phase(ring, work, batch, open, succeeded) };
    let read =
        |work: &mut Work<'_>, n| ReadFixed::new(Fixed(n), work.buf(n), LEN, 0).offset(0).sqe(0);
    // SAFETY: the memory is the work's; each file has a part of it to itself.
    unsafe { phase(ring, work, batch, read, found) };
}

/// Submits `count` entries, and looks at the completion of each.
///
/// # Safety
///
/// As for [`ringbolt::SubmissionQueue::push`], until this returns.
#[inline(always)]
unsafe fn phase<'a>(
    ring: &mut LocalIoUring,
    work: &mut Work<'a>,
    count: u32,
    mut entry: impl FnMut(&mut Work<'a>, u32) -> Sqe,
    mut look: impl FnMut(&mut Work<'a>, u32, Cqe),
) {
    let mut submission = ring.submission();
    for n in 0..count {
        let entry = entry(work, n).with_user_data(u64::from(n));
        // SAFETY: the caller's promise; all have completed below.
        unsafe { submission.push(entry) }.expect("room");
    }
    ring.submit_and_wait(count).expect("completions");
    for cqe in ring.completion().drain() {
        look(work, u32::try_from(cqe.user_data()).unwrap_or(u32::MAX), cqe);
    }
}

#[inline(always)]
fn found(work: &mut Work<'_>, n: u32, cqe: Cqe) {
    work.find(n, cqe.raw_result());
}

#[inline(always)]
fn succeeded(_: &mut Work<'_>, _: u32, cqe: Cqe) {
    assert!(cqe.raw_result() >= 0, "{cqe:?}");
}
