//! The same with rings.
//!
//! What gives what, in throughput with 32 channels, and with 1000 where that differs (Linux 6.18,
//! Zen 5, each against the set-up below in the same run):
//!
//! | set-up | pipes | socket pairs |
//! |---|---|---|
//! | fixed files instead of descriptors | +18 % | +7 % |
//! | send and receive entries instead of write and read ones | | +25 % |
//! | each write next to its read instead of all writes first | 0 | +4 %, 1000: +13 % |
//! | reads first, which then have to wait | -35 % | -28 %; with POLL_FIRST -21 % |
//! | multishot receives into provided buffers | -15 % | -15 % |
//! | fixed buffers | -1 % | -22 % |
//! | all 1000 in one batch instead of 128 | -5 % | -7 % |
//!
//! Nothing beyond noise, 1 to 2 %: sends and reads that post no completion (sends post none all
//! the same: there is less to reap), DEFER_TASKRUN instead of COOP_TASKRUN or default flags, no
//! SUBMIT_ALL, NO_IOWAIT, submitting without waiting, `RWF_NOWAIT` or `MSG_DONTWAIT`, files that
//! do not block, the ring in a huge page, batches of 16 to 256, several rounds in a batch.
//! Multishot receives do want DEFER_TASKRUN: 5 % with pipes, 2 % with socket pairs.
//!
//! With 16 messages for each socket pair at once, a vectored send does 9.6 times as much as 16
//! sends, a bundle from a ring of provided buffers 9.0 times, and so does `writev(2)` with epoll.
//! A bundle received into buffers of one message each loses 25 % to one receive of all 16.
//!
//! Where the time goes, by samples: with pipes each entry takes 170 ns in the code of io_uring, of
//! which a NOP takes 74, and a system call 125 ns, all that it does before the pipe included. Were
//! a read as cheap as a NOP, pipes would be at 1.4 of epoll, and socket pairs, whose time goes to
//! their buffers, at 1.26. A likely cause, not measured by itself: every return within this kernel
//! is a slow one (Safe RET, against SRSO), and an entry passes through some 18 functions of
//! io_uring, a system call through 7 before it is at the pipe.
//!
//! Socket pairs have two speeds, by chance, for a slice or a run. The kernel charges memory to the
//! control group by pages: if what is left of a page is less than a message needs, each message
//! takes a page and gives it back, which costs 0.35 µs. Epoll, with all messages under way at
//! once, always pays some of it; the others all of it or nothing.
#![allow(clippy::indexing_slicing, reason = "a wrong index is to end the benchmark")]

use core::cell::Cell;

use io_uring::{opcode, squeue, types};
use ringbolt::IoUring;
use ringbolt::ops::Fixed;
use ringbolt::register::{FileSlot, register};
use ringbolt::sys::{
    BufRingFlags, Opcode, RegisterOp, SharedPtr, SqeFlags, io_uring_cqe, io_uring_sqe, sqe_addr,
    sqe_off,
};
use rustix::fd::{AsFd, AsRawFd, RawFd};
use rustix::io::Errno;

use super::messages::{Channels, Kind, Numbers, failed, slots};
use super::{FAILED, GROUP, LEN, Message, patiently, provide, room, wait_ours, wait_theirs};
use crate::contest::{Case, Who};
use crate::groups::scratch::{floor, peer};

/// How many channels are served at once.
const BATCH: u32 = 128;

/// The parts of `count` channels that are served together: the first and how many.
fn batches(count: u32) -> impl Iterator<Item = (u32, u32)> {
    (0..count).step_by(BATCH as usize).map(move |first| (first, BATCH.min(count - first)))
}

/// Writes next to reads, which complete while they are submitted.
pub(super) fn enter_ours(case: &mut Case<'_>, channels: Channels) -> Result<(), Errno> {
    let (kind, count, mut ring) = ours(&channels)?;
    let (outgoing, incoming) = (room(BATCH as usize), room(BATCH as usize));
    case.enter(Who::Ringbolt, move |turns| {
        let mut numbers = Numbers::default();
        for _ in 0..turns {
            for (first, batch) in batches(count) {
                let mut submission = ring.submission();
                for (n, (out, into)) in (0..batch).zip(outgoing.iter().zip(incoming)) {
                    out.set(numbers.next());
                    let (receiver, sender) = slots(first + n, count);
                    let send = kind.send_entry(Fixed(sender), out.as_ptr());
                    let receive = kind.receive_entry(Fixed(receiver), into.as_ptr(), u64::from(n));
                    // SAFETY: the file is in the table; the memory stays, and is not written
                    // before the message has been received, which is to say that it was sent.
                    unsafe { submission.push(send) }.expect("room");
                    // SAFETY: the file is in the table; the memory stays, and is not touched
                    // before the entry has completed.
                    unsafe { submission.push(receive) }.expect("room");
                }
                let mut left = batch;
                while left > 0 {
                    wait_ours(&mut ring, left);
                    for cqe in ring.completion().drain() {
                        numbers.complete(cqe.raw_result(), incoming, cqe.user_data());
                        left -= 1;
                    }
                }
            }
        }
        numbers.check(turns * u64::from(count));
    });
    Ok(())
}

/// Reads once and for all, told of each message by a completion; writes in batches.
pub(super) fn enter_multishot(case: &mut Case<'_>, channels: Channels) -> Result<(), Errno> {
    let (kind, count, mut ring) = ours(&channels)?;
    // A batch is in flight at the most, and each buffer comes back with its completion.
    let (entries, flags) = (count.min(BATCH).next_power_of_two(), BufRingFlags::empty());
    let entries = u16::try_from(entries).map_err(|_| Errno::INVAL)?;
    let mut buffers = ring.registrar().register_buffer_ring(GROUP, entries, flags)?;
    let (outgoing, incoming) = (room(BATCH as usize), room(usize::from(entries)));
    for id in 0..entries {
        // SAFETY: nothing else uses it.
        unsafe { provide(&mut buffers, incoming, id) };
    }
    buffers.publish();
    for index in 0..count {
        let (receiver, _) = slots(index, count);
        let mut submission = ring.submission();
        // SAFETY: the file is in the table; the buffers are there for ever.
        unsafe { submission.push(kind.multishot_entry(Fixed(receiver))) }.expect("room");
        submission.submit().expect("a receive that waits");
    }
    case.enter(Who::Ringbolt, move |turns| {
        let mut numbers = Numbers::default();
        for _ in 0..turns {
            for (first, batch) in batches(count) {
                let mut submission = ring.submission();
                for (n, out) in (0..batch).zip(outgoing) {
                    out.set(numbers.next());
                    let (_, sender) = slots(first + n, count);
                    // SAFETY: as in `enter_ours`.
                    unsafe { submission.push(kind.send_entry(Fixed(sender), out.as_ptr())) }
                        .expect("room");
                }
                let mut left = batch;
                while left > 0 {
                    wait_ours(&mut ring, left);
                    let mut completion = ring.completion();
                    for cqe in completion.drain() {
                        let Some(id) = buffers.reclaim(&cqe).filter(|_| cqe.has_more()) else {
                            failed(cqe.raw_result())
                        };
                        numbers.complete(cqe.raw_result(), incoming, u64::from(id));
                        // SAFETY: the completion has named it, and its message was taken.
                        unsafe { provide(&mut buffers, incoming, id) };
                        left -= 1;
                    }
                    buffers.publish_with(&mut completion);
                }
            }
        }
        numbers.check(turns * u64::from(count));
    });
    Ok(())
}

/// A ring for channels, whose table holds their ends.
fn ours(channels: &Channels) -> Result<(Kind, u32, ringbolt::LocalIoUring), Errno> {
    let ends: Vec<_> = channels.ends().map(FileSlot::from).collect();
    let count = u32::try_from(channels.senders.len()).map_err(|_| Errno::INVAL)?;
    let ring = IoUring::local(2 * count.min(BATCH)).expect("a ring");
    ring.registrar().register_files(&ends)?;
    Ok((channels.kind, count, ring))
}

/// Registers the ends of `channels` with whosoever's ring.
fn register_ends(ring: RawFd, channels: &Channels) -> Result<u32, Errno> {
    let ends = channels.numbers();
    let count = u32::try_from(ends.len()).map_err(|_| Errno::INVAL)?;
    let table = ends.as_ptr().cast_mut().cast();
    // SAFETY: so many descriptors, valid for reads.
    unsafe { register(ring, RegisterOp::REGISTER_FILES, table, count) }?;
    Ok(count / 2)
}

/// As [`enter_ours`], by hand.
pub(super) fn enter_floor(case: &mut Case<'_>, channels: Channels) -> Result<(), Errno> {
    let mut floor = floor(2 * BATCH);
    let (kind, count) = (channels.kind, register_ends(floor.as_fd().as_raw_fd(), &channels)?);
    let (outgoing, incoming) = (room(BATCH as usize), room(BATCH as usize));
    case.enter(Who::Floor, move |turns| {
        let mut numbers = Numbers::default();
        for _ in 0..turns {
            for (first, batch) in batches(count) {
                let entry = |n: u32| {
                    let index = n / 2;
                    let (receiver, sender) = slots(first + index, count);
                    if !n.is_multiple_of(2) {
                        let into = incoming[index as usize].as_ptr();
                        return raw_receive(kind, receiver, into, u64::from(index));
                    }
                    let out = &outgoing[index as usize];
                    out.set(numbers.next());
                    raw_send(kind, sender, out.as_ptr())
                };
                // SAFETY: there is room for a batch, and the one before has completed; memory
                // and files as in `enter_ours`.
                unsafe { floor.fill(2 * batch, entry) };
                let mut left = batch;
                while left > 0 {
                    let queued = floor.queued();
                    patiently(|| floor.enter(queued, left).map_err(Errno::from_raw_os_error));
                    left -= floor.reap(|cqe: &io_uring_cqe| {
                        numbers.complete(cqe.res, incoming, cqe.user_data);
                    });
                }
            }
        }
        numbers.check(turns * u64::from(count));
    });
    Ok(())
}

#[inline(always)]
fn raw_send(kind: Kind, sender: u32, message: *const Message) -> io_uring_sqe {
    let opcode = if kind == Kind::Pipe { Opcode::WRITE } else { Opcode::SEND };
    let flags = SqeFlags::FIXED_FILE.union(SqeFlags::CQE_SKIP_SUCCESS);
    raw(kind, opcode, flags, sender, SharedPtr::new(message), FAILED)
}

#[inline(always)]
fn raw_receive(kind: Kind, receiver: u32, message: *mut Message, place: u64) -> io_uring_sqe {
    let opcode = if kind == Kind::Pipe { Opcode::READ } else { Opcode::RECV };
    raw(kind, opcode, SqeFlags::FIXED_FILE, receiver, SharedPtr::from_mut(message), place)
}

#[inline(always)]
fn raw(
    kind: Kind,
    opcode: Opcode,
    flags: SqeFlags,
    slot: u32,
    addr: SharedPtr,
    user_data: u64,
) -> io_uring_sqe {
    // Pipes have no offset, which is said with -1.
    let off = if kind == Kind::Pipe { u64::MAX } else { 0 };
    io_uring_sqe {
        opcode,
        flags,
        fd: slot.cast_signed(),
        off: sqe_off { off },
        addr: sqe_addr { addr },
        len: LEN,
        user_data,
        ..io_uring_sqe::ZEROED
    }
}

/// As [`enter_ours`], by the io-uring crate.
pub(super) fn enter_peer(case: &mut Case<'_>, channels: Channels) -> Result<(), Errno> {
    let mut ring = peer(2 * BATCH);
    let (kind, count) = (channels.kind, register_ends(ring.as_raw_fd(), &channels)?);
    let (outgoing, incoming) = (room(BATCH as usize), room(BATCH as usize));
    case.enter(Who::IoUring, move |turns| {
        let (mut submitter, mut submission, mut completion) = ring.split();
        // The index is this value's, and not the ring's.
        submitter.register_ring_fd().expect("an index");
        let mut numbers = Numbers::default();
        for _ in 0..turns {
            for (first, batch) in batches(count) {
                for (n, (out, into)) in (0..batch).zip(outgoing.iter().zip(incoming)) {
                    out.set(numbers.next());
                    let (receiver, sender) = slots(first + n, count);
                    let send = peer_send(kind, sender, out);
                    let receive = peer_receive(kind, receiver, into, u64::from(n));
                    // SAFETY: memory and file as in `enter_ours`.
                    unsafe { submission.push(&send) }.expect("room");
                    // SAFETY: as above.
                    unsafe { submission.push(&receive) }.expect("room");
                }
                submission.sync();
                let mut left = batch;
                while left > 0 {
                    wait_theirs(&submitter, left);
                    completion.sync();
                    for cqe in &mut completion {
                        numbers.complete(cqe.result(), incoming, cqe.user_data());
                        left -= 1;
                    }
                    completion.sync();
                }
                submission.sync();
            }
        }
        numbers.check(turns * u64::from(count));
        submitter.unregister_ring_fd().expect("the index");
    });
    Ok(())
}

#[inline(always)]
fn peer_send(kind: Kind, sender: u32, message: &Cell<Message>) -> squeue::Entry {
    let (file, start) = (types::Fixed(sender), message.as_ptr().cast());
    let entry = match kind {
        // Pipes have no offset, which is said with -1.
        Kind::Pipe => opcode::Write::new(file, start, LEN).offset(u64::MAX).build(),
        Kind::Unix => opcode::Send::new(file, start, LEN).build(),
    };
    entry.user_data(FAILED).flags(squeue::Flags::SKIP_SUCCESS)
}

#[inline(always)]
fn peer_receive(kind: Kind, receiver: u32, message: &Cell<Message>, place: u64) -> squeue::Entry {
    let (file, start) = (types::Fixed(receiver), message.as_ptr().cast());
    let entry = match kind {
        Kind::Pipe => opcode::Read::new(file, start, LEN).offset(u64::MAX).build(),
        Kind::Unix => opcode::Recv::new(file, start, LEN).build(),
    };
    entry.user_data(place)
}
