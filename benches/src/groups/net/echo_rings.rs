//! Echo servers by ringbolt.
//!
//! What gives what, in throughput with 32 connections (Linux 6.18, Zen 5, each against the first
//! server below in the same run; 1 % is within the noise). The server is what is busy: its CPU time
//! goes the same way.
//!
//! | set-up | |
//! |---|---|
//! | default flags | -15 % |
//! | COOP_TASKRUN instead of DEFER_TASKRUN | -1 % |
//! | one receive after the other, with POLL_FIRST | -4 % |
//! | the same without POLL_FIRST | -9 % |
//! | the same with POLL_FIRST and provided buffers | -7 % |
//! | zero-copy sends; from a fixed buffer | -14 %; -12 % |
//! | bundles: received; sent; both | -1 %; -1 %; -2 % |
//! | waits for 16, or for one after 20 µs: `tcp-gather` | 0 to -1 %; p99 0.75 of epoll's |
//! | waits with a timeout; registered ones; NO_IOWAIT | 0 |
//! | replies that post a completion; fixed writes | 0 |
//! | buffers of 256 and of 1024 bytes | 0 |
//!
//! A timeout costs 45 ns a wait, a registered one nothing: a NOP takes 271 ns with a plain wait,
//! 317 with a timeout, 282 with a registered one, and as much with any call that takes flags. Of
//! the 5 µs of a message that does not show; nor does it with a single connection, where each
//! message waits and the noise is 4 %.
//!
//! With 16 messages under way on each connection and buffers that hold them all, the ratio to
//! epoll is 1.02 as well. Bundles into buffers of one message each lose 11 % to that. Messages of
//! 16 KiB go 3.5 times as fast by bundles into buffers of 4 KiB as one buffer at a time, and as
//! fast as into buffers of 16 KiB: bundles are for buffers that are too small.
//!
//! By samples, the network and its locks take three quarters of the server's time, io_uring 8 %;
//! epoll and its system calls 7 %. This server takes 0.97 of the CPU time of epoll's. If io_uring
//! cost nothing, it would be 0.89.

use core::time::Duration;

use ringbolt::ops::{Fixed, Recv, Send};
use ringbolt::register::FileSlot;
use ringbolt::sys::BufRingFlags;
use ringbolt::{Cqe, IoUring, LocalIoUring, Timespec};
use rustix::fd::OwnedFd;
use rustix::net::SendFlags;

use super::echo::Desk;
use super::messages::failed;
use super::{FAILED, GROUP, LEN, Message, patiently, provide, reply_flags, room, wait_ours};

/// A ring for connections, whose table holds them, with room for two entries for each.
fn ring(connections: Vec<OwnedFd>) -> (LocalIoUring, u32) {
    let count = u32::try_from(connections.len()).expect("a few hundred");
    let ring = IoUring::local(2 * count).expect("a ring");
    let slots: Vec<_> = connections.iter().map(FileSlot::from).collect();
    ring.registrar().register_files(&slots).expect("a file table");
    (ring, count)
}

/// The connection that a completion is about, and the bytes that it brings.
#[inline(always)]
fn received(cqe: &Cqe) -> (u32, u32) {
    match (u32::try_from(cqe.user_data()), cqe.result()) {
        (Ok(index), Ok(len)) if len > 0 => (index, len),
        _ => failed(cqe.raw_result()),
    }
}

/// Receives once and for all into provided buffers, and sends from there.
pub(super) fn multishot(connections: Vec<OwnedFd>, desk: Desk) {
    serve(connections, desk, |ring, _| wait_ours(ring, 1));
}

/// The same, but waits until half of the connections have sent something, or for a while: then for
/// one. To wait for one and for a while costs a timer, and gives nothing.
pub(super) fn gathering(connections: Vec<OwnedFd>, desk: Desk) {
    let half = u32::try_from(connections.len().div_ceil(2)).expect("a few hundred");
    let (at_last, while_usec) = (Timespec::from(Duration::from_secs(10)), 20);
    serve(connections, desk, move |ring, left| {
        let want = u32::try_from(left).map_or(half, |left| half.min(left));
        if want == 1 {
            return wait_ours(ring, 1);
        }
        let mut wait = || ring.submit_and_wait_min_timeout(want, at_last, while_usec);
        patiently(|| wait().map_err(|error| error.errno));
    });
}

/// Serves, and has `wait` submit and wait: it is told how many messages are still to come.
fn serve(
    connections: Vec<OwnedFd>,
    desk: Desk,
    mut wait: impl FnMut(&mut LocalIoUring, u64) + 'static,
) {
    let (mut ring, count) = ring(connections);
    // Half of them hold what is being sent, while the other half is received into.
    let entries = u16::try_from((2 * count).next_power_of_two()).expect("a few hundred");
    let registrar = ring.registrar();
    let mut buffers = registrar
        .register_buffer_ring(GROUP, entries, BufRingFlags::empty())
        .expect("a ring of buffers");
    let room = room(usize::from(entries));
    for id in 0..entries {
        // SAFETY: nothing else uses it.
        unsafe { provide(&mut buffers, room, id) };
    }
    buffers.publish();
    for index in 0..count {
        let receive = Recv::provided(Fixed(index), GROUP).multishot().sqe(u64::from(index));
        // SAFETY: the socket is in the table; the buffers are there for ever.
        unsafe { ring.submission().push(receive) }.expect("room");
    }
    ring.submit().expect("receives that wait");

    let mut spent = Vec::with_capacity(usize::from(entries));
    desk.attend(|messages| {
        let mut left = messages;
        while left > 0 {
            wait(&mut ring, left);
            for id in spent.drain(..) {
                // SAFETY: its reply was submitted: see `reply_flags`.
                unsafe { provide(&mut buffers, room, id) };
            }
            buffers.publish();
            let (mut submission, mut completion) = ring.split();
            for cqe in completion.drain() {
                let (index, len) = received(&cqe);
                let Some(id) = buffers.reclaim(&cqe).filter(|_| cqe.has_more()) else {
                    failed(cqe.raw_result())
                };
                let message = room.get(usize::from(id)).expect("one of them").as_ptr();
                let reply = Send::new(Fixed(index), message.cast(), len).flags(reply_flags());
                // SAFETY: the socket is in the table; the buffer stays, and is provided again
                // when the reply has been submitted, which is to say sent.
                unsafe { submission.push(reply.sqe(FAILED).skip_success()) }.expect("room");
                spent.push(id);
                left -= 1;
            }
        }
        ring.submit().expect("the last replies");
    });
}

/// Receives one message after the other into a buffer of the connection's.
pub(super) fn plain(connections: Vec<OwnedFd>, desk: Desk) {
    let (mut ring, count) = ring(connections);
    let room = room(count as usize);
    let receive = |index: u32, message: *mut Message| {
        // There is nothing yet: the client waits for the reply first.
        Recv::new(Fixed(index), message.cast(), LEN).poll_first().sqe(u64::from(index))
    };
    for (index, message) in (0..).zip(room) {
        // SAFETY: the socket is in the table; the memory is there for ever, and nobody touches
        // it before the message is there.
        unsafe { ring.submission().push(receive(index, message.as_ptr())) }.expect("room");
    }
    ring.submit().expect("receives that wait");

    desk.attend(|messages| {
        let mut left = messages;
        while left > 0 {
            wait_ours(&mut ring, 1);
            let (mut submission, mut completion) = ring.split();
            for cqe in completion.drain() {
                let (index, len) = received(&cqe);
                let message = room.get(index as usize).expect("one of them").as_ptr();
                let reply = Send::new(Fixed(index), message.cast(), len);
                let reply = reply.flags(SendFlags::NOSIGNAL).sqe(FAILED).skip_success();
                // SAFETY: the socket is in the table. The memory stays, and is not written
                // before the next message, which the client sends when it has the reply.
                unsafe { submission.push(reply) }.expect("room");
                // SAFETY: as above.
                unsafe { submission.push(receive(index, message)) }.expect("room");
                left -= 1;
            }
        }
        ring.submit().expect("the last replies");
    });
}
