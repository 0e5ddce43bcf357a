//! What cancelling, closing and the end of a thread end, and what they do not.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::IntoRawFd as _;
use std::sync::mpsc;

use crate::common;
use crate::common::{Lack, reap, require};
use crate::contract_common::device::{ATTEMPTS, Direct, FILLED, LEN, NEEDED, in_flight};
use crate::op_common;
use crate::op_common::{
    AS_OF_6_0, assert_quiet, cancel, complete_safe, leaked, pipe, reap_sorted, reap_told, ring,
    start, start_all, tcp_pair,
};
use ringbolt::ops::{
    Accept, AsyncCancel, Close, Nop, PollAdd, Read, Recv, Shutdown, Splice, Timeout,
};
use ringbolt::register::CancelWhat;
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::net::Shutdown as How;
use ringbolt::sys::{Opcode, RegisterOp, SetupFlags};
use ringbolt::{IoUring, Sqe, Timespec};
use rustix::io::Errno;

const CANCELED: Result<u32, Errno> = Err(Errno::CANCELED);

/// All bytes of a read that a device carries out.
fn whole() -> (u64, Result<u32, Errno>) {
    (1, Ok(u32::try_from(LEN).expect("a small file")))
}

/// Goal: a call that cancels finds nothing of what a device carries out, which goes on.
/// Method: a direct read of which it is known that it had not completed when the call returned.
#[test]
fn a_call_that_cancels_does_not_find_what_a_device_carries_out() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let Some(direct) = Direct::new() else { return Lack::of_machine(NEEDED).skip() };
    for (what, expected) in [
        (CancelWhat::user_data(1), Err(Errno::NOENT)),
        (CancelWhat::any(), Ok(0)),
        (CancelWhat::user_data(1).all(), Ok(0)),
    ] {
        let mut seen = 0;
        for _ in 0..ATTEMPTS {
            let Some(mut ring) = in_flight(&direct) else { continue };
            let cancelled = ring.registrar().cancel(what, Some(Timespec::new(10, 0)));
            seen += usize::from(ring.completion().is_empty());
            assert_eq!(cancelled.map_err(Errno::from), expected, "{what:?}");
            assert_eq!(reap_told(&mut ring, 1), [whole()]);
            assert_eq!(direct.last(), FILLED);
        }
        if seen == 0 {
            return Lack::of_machine(NEEDED).skip();
        }
    }
}

/// The same for an operation that cancels: its completion comes first.
#[test]
fn an_operation_that_cancels_does_not_find_what_a_device_carries_out() {
    require!(op: AS_OF_6_0);
    let Some(direct) = Direct::new() else { return Lack::of_machine(NEEDED).skip() };
    for (entry, expected) in [
        (AsyncCancel::of_user_data(1), Err(Errno::NOENT)),
        (AsyncCancel::any(), Ok(0)),
        (AsyncCancel::of_user_data(1).all(), Ok(0)),
    ] {
        let mut seen = 0;
        for _ in 0..ATTEMPTS {
            let Some(mut ring) = in_flight(&direct) else { continue };
            ring.submission().push_safe(entry.sqe(2)).expect("room");
            assert_eq!(ring.submit(), Ok(1));
            let mut told = reap_told(&mut ring, 2);
            seen += usize::from(told[0].0 == 2);
            told.sort_by_key(|(id, _)| *id);
            assert_eq!(told, [whole(), (2, expected)]);
        }
        if seen == 0 {
            return Lack::of_machine(NEEDED).skip();
        }
    }
}

/// A splice that waits for data is always with a worker.
#[test]
fn what_a_worker_carries_out_is_told_to_stop_and_completes_later() {
    require!(op: Opcode::SPLICE);
    let ((reader, _writer), (_reader, writer)) = (pipe(), pipe());
    let mut ring = ring();
    // SAFETY: the pipes stay until the splice has completed.
    unsafe { start(&mut ring, Splice::new(&reader, &writer, 1).sqe(1)) };
    // Before the worker has begun, it is found in the queue, and ends at once.
    std::thread::sleep(Duration::from_millis(100));
    cancel(&mut ring, 1, 2);
    let told = reap_sorted(&mut ring, 2);
    assert_eq!(told[1], (2, Err(Errno::ALREADY)));
    let interrupted = [Errno::INTR, Errno::from_raw_os_error(512)];
    assert!(told[0].1.is_err_and(|errno| interrupted.contains(&errno)), "{told:?}");
}

#[test]
fn entries_that_wait_in_a_chain_are_not_found() {
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let read = Read::new(&reader, leaked::<1>().as_mut_ptr(), 1).sqe(1).link();
    // SAFETY: the memory is leaked, and the pipe stays until the chain has completed.
    unsafe { start_all(&mut ring, &[read, Nop::new().sqe(2).into()]) };
    let found = complete_safe(&mut ring, AsyncCancel::of_user_data(2).sqe(3));
    assert_eq!(found.result(), Err(Errno::NOENT));
    writer.write_all(b"x").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 2), [(1, Ok(1)), (2, Ok(0))]);
}

/// Goal: entries that a polling thread has not taken are not cancelled, and start later.
/// Method: a thread that sleeps is not woken by showing it an entry.
#[test]
fn what_is_published_and_not_taken_is_not_found() {
    require!(setup: SetupFlags::SQPOLL);
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let (reader, mut writer) = pipe();
    let mut ring = IoUring::builder().sqpoll(1).build(8).expect("a ring");
    let memory = leaked::<4>().as_mut_ptr();
    let end = std::time::Instant::now() + common::PATIENCE;
    while !ring.submission().status().contains(ringbolt::sys::SqStatus::NEED_WAKEUP) {
        assert!(std::time::Instant::now() < end, "the thread does not fall asleep");
        std::thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: the memory is leaked, and the pipe stays until the read has completed.
    unsafe { ring.submission().push(Read::new(&reader, memory, 4).sqe(1)) }.expect("room");
    ring.submission().flush();
    let cancel = |what| ring.registrar().cancel(what, Some(Timespec::new(10, 0)));
    assert_eq!(cancel(CancelWhat::user_data(1)).map_err(Errno::from), Err(Errno::NOENT));
    assert_eq!(cancel(CancelWhat::any()), Ok(0));
    ring.submit().expect("woken");
    writer.write_all(b"data").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(4))]);
}

/// Whether the end of a connection has come to the peer within some time.
fn has_ended(mut peer: &TcpStream) -> bool {
    let time = Duration::from_millis(200);
    peer.set_read_timeout(Some(time)).expect("a socket");
    loop {
        match peer.read(&mut [0]) {
            // Work of the ring may interrupt it.
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
            end => return end.is_ok_and(|bytes| bytes == 0),
        }
    }
}

/// Goal: a receive in flight outlives the closing of its socket, and keeps the connection up.
/// Method: both ways to close; the peer looks for the end; then the ways to end the receive.
#[test]
fn closing_a_socket_does_not_end_a_receive_in_flight() {
    for (by_ring, by_peer) in [(false, false), (false, true), (true, false), (true, true)] {
        let (ours, mut theirs) = tcp_pair();
        let mut ring = ring();
        let receive = Recv::new(&ours, leaked::<4>().as_mut_ptr(), 4).sqe(1);
        // SAFETY: the memory is leaked, and the receive keeps the socket by itself.
        unsafe { start(&mut ring, receive) };
        if by_ring {
            let close = Close::new(ours.into_raw_fd()).sqe(2);
            // SAFETY: the descriptor was given up.
            unsafe { start(&mut ring, close) };
            assert_eq!(reap_told(&mut ring, 1), [(2, Ok(0))]);
        } else {
            drop(ours);
        }
        assert!(!has_ended(&theirs), "the peer is informed, {by_ring}");
        assert_quiet(&mut ring);
        if by_peer {
            theirs.write_all(b"data").expect("it is connected");
            assert_eq!(reap_told(&mut ring, 1), [(1, Ok(4))]);
        } else {
            cancel(&mut ring, 1, 3);
            assert_eq!(reap_sorted(&mut ring, 2), [(1, CANCELED), (3, Ok(0))]);
        }
        // The last user of the socket is gone: now it is closed.
        ring.get_events().expect("work is run");
        assert!(has_ended(&theirs), "the connection is still up, {by_ring}");
    }
}

#[test]
fn shutting_a_socket_down_ends_what_is_in_flight_on_it() {
    require!(op: Opcode::SHUTDOWN);
    let (ours, theirs) = tcp_pair();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mut ring = ring();
    let entries = [
        Recv::new(&ours, leaked::<4>().as_mut_ptr(), 4).sqe(1),
        Accept::new(&listener).multishot().sqe(2),
    ];
    // SAFETY: the memory is leaked, and the sockets stay until both have completed.
    unsafe { start_all(&mut ring, &entries) };
    let down = [Shutdown::new(&ours, How::Both).sqe(3), Shutdown::new(&listener, How::Both).sqe(4)];
    // SAFETY: the sockets stay until these have completed.
    unsafe { start_all(&mut ring, &down) };
    let expected = [(1, Ok(0)), (2, Err(Errno::INVAL)), (3, Ok(0)), (4, Ok(0))];
    assert_eq!(reap_sorted(&mut ring, 4), expected);
    assert!(has_ended(&theirs));
}

/// Goal: cancelling by a descriptor finds the file that it stands for at that time.
/// Method: the descriptor is closed, and another file gets its number.
#[test]
fn a_descriptor_that_was_closed_does_not_find_what_is_in_flight_on_it() {
    require!(op: op_common::AS_OF_5_19);
    let (ours, _theirs) = tcp_pair();
    let copy = ours.try_clone().expect("a descriptor");
    let mut ring = ring();
    // SAFETY: the memory is leaked, and the receive keeps the socket by itself.
    unsafe { start(&mut ring, Recv::new(&ours, leaked::<4>().as_mut_ptr(), 4).sqe(1)) };
    drop(ours);
    let (other, _writer) = pipe();
    // SAFETY: no memory is named, and the descriptors stay until these have completed.
    unsafe { start(&mut ring, AsyncCancel::of_file(&other).sqe(2)) };
    assert_eq!(reap_told(&mut ring, 1), [(2, Err(Errno::NOENT))], "another file");
    // Another descriptor of the same open file finds it.
    // SAFETY: as above.
    unsafe { start(&mut ring, AsyncCancel::of_file(&copy).sqe(3)) };
    assert_eq!(reap_sorted(&mut ring, 2), [(1, CANCELED), (3, Ok(0))]);
}

/// Submits `entry` on a thread that ends then, and returns the ring.
fn submitted_by_a_thread_that_ended(mut ring: IoUring, entry: Sqe) -> IoUring {
    let (done, is_done) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        // SAFETY: the callers keep what the entry names until its completion.
        unsafe { ring.submission().push(entry) }.expect("room");
        ring.submit().expect("submitted");
        done.send(ring).expect("somebody waits");
    });
    thread.join().expect("the thread ends");
    is_done.recv().expect("the ring")
}

/// Goal: what a thread has submitted is not carried out after its end, except by SQPOLL.
/// Method: operations that wait. Some end at once, others when there is what they wait for.
#[test]
fn what_waits_for_data_is_cancelled_when_the_thread_that_submitted_it_has_ended() {
    let memory = leaked::<4>().as_mut_ptr();
    for kind in 0..4 {
        let (reader, mut writer) = pipe();
        let entry = match kind {
            0 | 3 => Read::new(&reader, memory, 4).sqe(1),
            1 => Read::new(&reader, memory, 4).sqe(1).force_async(),
            _ => PollAdd::new(&reader, EventFlags::IN).multishot().sqe(1),
        };
        let polled = kind == 3;
        let builder = IoUring::builder();
        let builder = if polled { builder.sqpoll(1) } else { builder };
        let ring = builder.build(8).expect("a ring");
        let mut ring = submitted_by_a_thread_that_ended(ring, entry);
        std::thread::sleep(Duration::from_millis(50));
        // What no worker has begun yet is cancelled with the workers.
        if kind != 1 {
            assert_quiet(&mut ring);
        }
        writer.write_all(b"data").expect("room in the pipe");
        let cqe = reap(&mut ring, 1).remove(0);
        assert!(!cqe.has_more());
        if polled {
            assert_eq!(cqe.result(), Ok(4), "the polling thread has submitted it");
            continue;
        }
        assert_eq!(cqe.result(), CANCELED, "{entry:?}");
        let mut left = [0; 4];
        (&reader).read_exact(&mut left).expect("what was written");
        assert_eq!(&left, b"data", "nothing was read");
    }
}

#[test]
fn a_timeout_fires_though_the_thread_that_submitted_it_has_ended() {
    let soon = Timespec::from(Duration::from_millis(50));
    let ring = submitted_by_a_thread_that_ended(ring(), Timeout::new(&raw const soon).sqe(1));
    let mut ring = ring;
    assert_eq!(reap_told(&mut ring, 1), [(1, Err(Errno::TIME))]);
}
