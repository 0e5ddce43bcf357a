//! What ringbolt does best, done by hand and by the `io-uring` crate.

use io_uring::types::{DestinationSlot, Fd, Fixed};
use io_uring::{CompletionQueue, SubmissionQueue, Submitter, cqueue, opcode, squeue};
use ringbolt::sys::{
    Opcode, SharedPtr, SqeFlags, io_uring_cqe, io_uring_sqe, sqe_addr, sqe_file, sqe_off,
    sqe_op_flags,
};
use rustix::fd::{AsFd, AsRawFd};

use super::tree::{FLAGS, LEN, Work};
use crate::contest::{Case, Who};
use crate::floor::Floor;
use crate::groups::scratch::{floor, peer, register};

/// An empty slot.
const NONE: i32 = -1;

/// A ring of the crate, taken apart.
type Halves<'r> = (Submitter<'r>, SubmissionQueue<'r>, CompletionQueue<'r>);

/// Enters hand-written code.
pub(super) fn enter_floor<'a>(case: &mut Case<'a>, mut work: Work<'a>) {
    let batch = work.batch();
    let none = vec![NONE; batch as usize];
    let mut floor = floor(batch.max(8));
    // SAFETY: ring and work go into the closure below, which leaves nothing in flight.
    unsafe { register(floor.as_fd(), &none, work.pages()) }.expect("tables");
    case.enter(Who::Floor, move |turns| {
        for _ in 0..turns {
            // SAFETY: names and directory are the work's.
            unsafe { phase(&mut floor, &mut work, batch, open, |_, _| ()) };
            let found = |work: &mut Work<'_>, cqe: &io_uring_cqe| {
                work.find(u32::try_from(cqe.user_data).unwrap_or(u32::MAX), cqe.res);
            };
            // SAFETY: the memory is the work's; each file has a part of it to itself.
            unsafe { phase(&mut floor, &mut work, batch, read, found) };
            let empty = |_: &mut Work<'_>, _| io_uring_sqe {
                opcode: Opcode::FILES_UPDATE,
                fd: -1,
                addr: sqe_addr { addr: SharedPtr::new(none.as_ptr()) },
                len: batch,
                ..io_uring_sqe::ZEROED
            };
            // SAFETY: so many slots are in `none`, which stays; nobody uses those of the ring any
            // more.
            unsafe { phase(&mut floor, &mut work, 1, empty, |_, _| ()) };
        }
        work.check(turns);
    });
}

#[inline(always)]
fn open(work: &mut Work<'_>, n: u32) -> io_uring_sqe {
    io_uring_sqe {
        opcode: Opcode::OPENAT,
        fd: work.dir().as_raw_fd(),
        addr: sqe_addr { addr: SharedPtr::new(work.next().as_ptr()) },
        op_flags: sqe_op_flags { raw: FLAGS.bits() },
        file: sqe_file { file_index: n + 1 },
        user_data: u64::from(n),
        ..io_uring_sqe::ZEROED
    }
}

#[inline(always)]
fn read(work: &mut Work<'_>, n: u32) -> io_uring_sqe {
    io_uring_sqe {
        opcode: Opcode::READ_FIXED,
        flags: SqeFlags::FIXED_FILE,
        // A slot of a batch.
        fd: n.cast_signed(),
        off: sqe_off { off: 0 },
        addr: sqe_addr { addr: SharedPtr::from_mut(work.buf(n)) },
        len: LEN,
        user_data: u64::from(n),
        ..io_uring_sqe::ZEROED
    }
}

/// # Safety
///
/// What the entries name stays until this returns.
#[inline(always)]
unsafe fn phase<'a>(
    floor: &mut Floor,
    work: &mut Work<'a>,
    count: u32,
    mut entry: impl FnMut(&mut Work<'a>, u32) -> io_uring_sqe,
    mut look: impl FnMut(&mut Work<'a>, &io_uring_cqe),
) {
    // SAFETY: the queue is empty, and has room for a batch; the rest is the caller's promise.
    unsafe { floor.fill(count, |n| entry(work, n)) };
    floor.enter(count, count).expect("completions");
    floor.reap(|cqe: &io_uring_cqe| {
        assert!(cqe.res >= 0, "an operation has failed");
        look(work, cqe);
    });
}

/// Enters the `io-uring` crate.
pub(super) fn enter_peer<'a>(case: &mut Case<'a>, mut work: Work<'a>) {
    let batch = work.batch();
    let none = vec![NONE; batch as usize];
    let mut peer = peer(batch.max(8));
    // SAFETY: ring and work go into the closure below, which leaves nothing in flight.
    unsafe { register(peer.as_raw_fd(), &none, work.pages()) }.expect("tables");
    let flags = i32::try_from(FLAGS.bits()).expect("flags of open(2)");
    case.enter(Who::IoUring, move |turns| {
        let mut halves = peer.split();
        halves.0.register_ring_fd().expect("an index");
        for _ in 0..turns {
            let open = |work: &mut Work<'_>, n| {
                let slot = DestinationSlot::try_from_slot_target(n).ok();
                let (dir, path) = (Fd(work.dir().as_raw_fd()), work.next().as_ptr());
                opcode::OpenAt::new(dir, path).flags(flags).file_index(slot).build()
            };
            // SAFETY: names and directory are the work's.
            unsafe { peer_phase(&mut halves, &mut work, batch, open, |_, _| ()) };
            let read = |work: &mut Work<'_>, n| {
                opcode::ReadFixed::new(Fixed(n), work.buf(n), LEN, 0).offset(0).build()
            };
            let found = |work: &mut Work<'_>, cqe: &cqueue::Entry| {
                work.find(u32::try_from(cqe.user_data()).unwrap_or(u32::MAX), cqe.result());
            };
            // SAFETY: the memory is the work's; each file has a part of it to itself.
            unsafe { peer_phase(&mut halves, &mut work, batch, read, found) };
            let empty = |_: &mut Work<'_>, _| {
                opcode::FilesUpdate::new(none.as_ptr(), batch).offset(0).build()
            };
            // SAFETY: so many slots are in `none`, which stays; nobody uses those of the ring any
            // more.
            unsafe { peer_phase(&mut halves, &mut work, 1, empty, |_, _| ()) };
        }
        work.check(turns);
        halves.0.unregister_ring_fd().expect("the index");
    });
}

/// # Safety
///
/// What the entries name stays until this returns.
#[inline(always)]
unsafe fn peer_phase<'a>(
    (submitter, submission, completion): &mut Halves<'_>,
    work: &mut Work<'a>,
    count: u32,
    mut entry: impl FnMut(&mut Work<'a>, u32) -> squeue::Entry,
    mut look: impl FnMut(&mut Work<'a>, &cqueue::Entry),
) {
    for n in 0..count {
        let entry = entry(work, n).user_data(u64::from(n));
        // SAFETY: the caller's promise.
        unsafe { submission.push(&entry) }.expect("room");
    }
    submission.sync();
    submitter.submit_and_wait(count as usize).expect("completions");
    completion.sync();
    for cqe in &mut *completion {
        assert!(cqe.result() >= 0, "{cqe:?}");
        look(work, &cqe);
    }
    completion.sync();
    submission.sync();
}
