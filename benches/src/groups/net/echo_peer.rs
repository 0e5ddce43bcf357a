//! The echo server by the io-uring crate.

use core::cell::Cell;
use core::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::{BufRingEntry, Fixed};
use io_uring::{cqueue, opcode, squeue};
use rustix::fd::{AsRawFd, OwnedFd};

use super::echo::Desk;
use super::messages::failed;
use super::{FAILED, GROUP, LEN, Message, reply_flags, room, wait_theirs};
use crate::groups::scratch::{Pages, peer};

/// A ring of provided buffers, which the crate leaves to its users.
struct Buffers {
    memory: Pages,
    room: &'static [Cell<Message>],
    tail: u16,
}

impl Buffers {
    /// Registers one of `count` buffers, a power of two.
    fn new(ring: &io_uring::IoUring, count: u16) -> Self {
        let len = usize::from(count) * size_of::<BufRingEntry>();
        let memory = Pages::new(len);
        let start = memory.at(0, len).addr() as u64;
        // SAFETY: the memory is aligned to a page and long enough. It is unmapped with this
        // value; the kernel holds on to the pages.
        unsafe { ring.submitter().register_buf_ring_with_flags(start, count, GROUP, 0) }
            .expect("a ring");
        let mut buffers = Self { memory, room: room(usize::from(count)), tail: 0 };
        for id in 0..count {
            buffers.add(id);
        }
        buffers.publish();
        buffers
    }

    #[inline(always)]
    fn add(&mut self, id: u16) {
        let message = self.room.get(usize::from(id)).expect("one of them").as_ptr();
        // As many as there are buffers, a power of two.
        let slot = usize::from(self.tail) & (self.room.len() - 1);
        let size = size_of::<BufRingEntry>();
        let entry = self.memory.at(slot * size, size).cast::<BufRingEntry>();
        // SAFETY: aligned, initialised, and not read by the kernel before it is published.
        let entry = unsafe { &mut *entry };
        entry.set_addr(message.addr() as u64);
        entry.set_len(LEN);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    #[inline(always)]
    fn publish(&self) {
        let first = self.memory.at(0, size_of::<BufRingEntry>()).cast::<BufRingEntry>();
        // SAFETY: the first entry of the ring.
        let tail = unsafe { BufRingEntry::tail(first) };
        // SAFETY: aligned, and valid as long as the memory; both sides access it atomically.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

/// As ringbolt's server of the same name.
pub(super) fn multishot(connections: Vec<OwnedFd>, desk: Desk) {
    let count = u32::try_from(connections.len()).expect("a few hundred");
    let mut ring = peer(2 * count);
    let files: Vec<_> = connections.iter().map(AsRawFd::as_raw_fd).collect();
    ring.submitter().register_files(&files).expect("a file table");
    drop(connections);
    let entries = u16::try_from((2 * count).next_power_of_two()).expect("a few hundred");
    let mut buffers = Buffers::new(&ring, entries);
    for index in 0..count {
        let receive = opcode::RecvMulti::new(Fixed(index), GROUP).build();
        // SAFETY: the socket is in the table; the buffers are there for ever.
        unsafe { ring.submission().push(&receive.user_data(u64::from(index))) }.expect("room");
    }
    ring.submit().expect("receives that wait");

    let mut spent: Vec<u16> = Vec::with_capacity(usize::from(entries));
    let (mut submitter, mut submission, mut completion) = ring.split();
    // The index is this value's, and not the ring's.
    submitter.register_ring_fd().expect("an index");
    desk.attend(|messages| {
        let mut left = messages;
        while left > 0 {
            submission.sync();
            wait_theirs(&submitter, 1);
            for id in spent.drain(..) {
                buffers.add(id);
            }
            buffers.publish();
            submission.sync();
            completion.sync();
            for cqe in &mut completion {
                let (id, reply) = reply(&cqe, buffers.room);
                // SAFETY: the socket is in the table; the buffer stays, and is provided again
                // when the reply has been submitted, which is to say sent.
                unsafe { submission.push(&reply) }.expect("room");
                spent.push(id);
                left -= 1;
            }
            completion.sync();
        }
        submission.sync();
        submitter.submit().expect("the last replies");
    });
    submitter.unregister_ring_fd().expect("the index");
}

/// The buffer that a completion has filled, and the entry that sends it back.
#[inline(always)]
fn reply(cqe: &cqueue::Entry, room: &[Cell<Message>]) -> (u16, squeue::Entry) {
    let (index, len) = match (u32::try_from(cqe.user_data()), u32::try_from(cqe.result())) {
        (Ok(index), Ok(len)) if len > 0 => (index, len),
        _ => failed(cqe.result()),
    };
    let id = cqueue::buffer_select(cqe.flags()).filter(|_| cqueue::more(cqe.flags()));
    let Some(id) = id else { failed(cqe.result()) };
    let message = room.get(usize::from(id)).expect("one of them").as_ptr();
    let flags = reply_flags().bits().cast_signed();
    let send = opcode::Send::new(Fixed(index), message.cast(), len).flags(flags).build();
    (id, send.user_data(FAILED).flags(squeue::Flags::SKIP_SUCCESS))
}
