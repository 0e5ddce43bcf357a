//! `close_when_idle`: everything in flight ends, or the ring comes back at the deadline.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};

use crate::common;
use crate::common::process::{UNLIMITED, bounded, may_lock_any_amount};
use crate::common::{PATIENCE, require};
use crate::op_common::{leaked, pipe, tcp_pair};
use ringbolt::ops::{AsyncCancel, Nop, Read, SendZc, Splice};
use ringbolt::register::CancelWhat;
use ringbolt::sys::{Opcode, RegisterOp, SetupFlags};
use ringbolt::{Builder, IoUring, Leftover, LocalIoUring};
use rustix::io::Errno;

const DEFERRED: SetupFlags = SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN);

/// On a ring of each kind, on a thread that is given up on if it hangs.
fn on_each_kind(test: fn(LocalIoUring)) {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let build = |builder: Builder<'static>| {
        bounded(move || test(builder.build_local(16).expect("a ring")));
    };
    build(IoUring::builder());
    build(IoUring::builder().sqpoll(1));
    require!(setup: DEFERRED.union(SetupFlags::NO_SQARRAY));
    build(IoUring::builder().flags(DEFERRED).no_sqarray());
    bounded(move || test(IoUring::local(16).expect("a ring")));
}

/// Pushes a read that lasts until somebody writes.
fn push_read(ring: &mut LocalIoUring, reader: &File, id: u64) -> *mut [u8; 4] {
    let buf = leaked::<4>();
    // SAFETY: the memory is leaked, and the pipes of these tests outlive their rings.
    unsafe { ring.submission().push(Read::new(reader, buf.as_mut_ptr(), 4).sqe(id)) }
        .expect("room");
    buf
}

/// Goal: what was submitted and what was not is handed over, each once, and then nothing is
/// written any more.
#[test]
fn all_that_was_pushed_is_handed_over_once() {
    on_each_kind(|mut ring| {
        let (reader, mut writer) = pipe();
        let bufs: Vec<_> = (0..6).map(|id| push_read(&mut ring, &reader, id)).collect();
        ring.submit().expect("submitted");
        for id in 6..9 {
            push_read(&mut ring, &reader, id);
        }
        ring.submission().push_safe(Nop::new().sqe(9)).expect("room");
        let (mut ids, mut unsent) = (BTreeSet::new(), 0);
        let closed = ring.close_when_idle(10, PATIENCE, |left| {
            match left {
                Leftover::Unsent(entry) => unsent += u32::from(entry.user_data() >= 6),
                Leftover::Completed(cqe) => assert_eq!(cqe.result(), Err(Errno::CANCELED)),
            }
            assert!(ids.insert(left.user_data()), "{left:?} came twice");
            left.is_last()
        });
        closed.expect("all of it can be cancelled");
        assert_eq!((ids, unsent), ((0..10).collect(), 4));
        writer.write_all(b"late").expect("room in the pipe");
        std::thread::sleep(Duration::from_millis(5));
        for buf in bufs {
            // SAFETY: leaked, and no read is in flight.
            assert_eq!(unsafe { buf.read() }, [b'-'; 4], "a read went on");
        }
    });
}

/// Goal: what is hard-linked behind a cancelled entry begins then, and is cancelled in its turn.
#[test]
fn chains_of_hard_links_end() {
    on_each_kind(|mut ring| {
        let (reader, _writer) = pipe();
        let reads: Vec<_> = (0..5)
            .map(|id| {
                let read = Read::new(&reader, leaked::<4>().as_mut_ptr(), 4).sqe(id);
                if id < 4 { read.hard_link() } else { read }
            })
            .collect();
        // SAFETY: the memory is leaked, and the pipe outlives the ring.
        unsafe { ring.submission().push_all(&reads) }.expect("room");
        ring.submit().expect("submitted");
        let mut ended = 0;
        let closed = ring.close_when_idle(5, PATIENCE, |left| {
            ended += u32::from(left.is_last());
            left.is_last()
        });
        closed.expect("each of them can be cancelled");
        assert_eq!(ended, 5);
    });
}

/// Goal: a zero-copy send to a peer that does not read is reported at the deadline, and the ring
/// that comes back can be closed when the peer has read.
#[test]
fn the_deadline_ends_the_wait_for_a_peer_that_does_not_read() {
    // What a zero-copy send pins is counted, too.
    require!(machine: may_lock_any_amount(), UNLIMITED);
    require!(op: Opcode::SEND_ZC);
    on_each_kind(|mut ring| {
        let (socket, mut peer) = tcp_pair();
        let len = 8 << 20;
        let data = vec![7_u8; 8 << 20].leak();
        // SAFETY: the memory is leaked, and the socket outlives the ring.
        unsafe { ring.submission().push(SendZc::new(&socket, data.as_ptr(), len).sqe(1)) }
            .expect("room");
        let mut sent = 0;
        let mut last = 0;
        let mut note = |left: Leftover| {
            if let Leftover::Completed(cqe) = left {
                if !cqe.is_notification() {
                    sent = cqe.result().unwrap_or(0);
                }
            }
            last += u32::from(left.is_last());
            left.is_last()
        };
        // A whole send goes to a worker or waits for room; what is queued then stays.
        ring.submit_and_wait(1).expect("submitted");
        let deadline = Duration::from_millis(200);
        let started = std::time::Instant::now();
        let error = ring.close_when_idle(1, deadline, &mut note).expect_err("the peer is deaf");
        assert!(started.elapsed() >= deadline);
        assert_eq!((error.in_flight, error.errno), (1, Errno::TIME));
        assert!(error.to_string().contains("1 operation"), "{error}");
        let reading = std::thread::spawn(move || {
            let mut count = 0;
            let mut buf = vec![0; 1 << 20];
            while let Ok(len @ 1..) = peer.read(&mut buf) {
                count += len;
            }
            count
        });
        error.ring.close_when_idle(1, PATIENCE, &mut note).expect("the peer reads");
        drop(socket);
        let received = reading.join().expect("no panic");
        assert_eq!(u32::try_from(received), Ok(sent));
        assert_eq!(last, 1);
    });
}

/// Goal: what a worker thread carries out ends.
#[test]
fn what_is_with_a_worker_ends() {
    on_each_kind(|mut ring| {
        let (reader, _writer) = pipe();
        let (_other, to) = pipe();
        for id in 0..3 {
            // SAFETY: no memory is named, and the pipes outlive the ring.
            unsafe { ring.submission().push(Splice::new(&reader, &to, 4).sqe(id)) }.expect("room");
        }
        ring.submit().expect("submitted");
        std::thread::sleep(Duration::from_millis(20));
        ring.close_when_idle(3, PATIENCE, |left| left.is_last()).expect("workers are interrupted");
    });
}

/// `Registrar::cancel` finds the workers of the thread that calls it; an entry finds all of them.
#[test]
fn workers_of_a_polling_thread_are_found_by_an_entry_alone() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    let mut ring = IoUring::builder().sqpoll(1).build(8).expect("a ring");
    let ((reader, _writer), (_other, to)) = (pipe(), pipe());
    // SAFETY: no memory is named, and the pipes outlive the ring.
    unsafe { ring.submission().push(Splice::new(&reader, &to, 4).sqe(1)) }.expect("room");
    ring.submit().expect("submitted");
    std::thread::sleep(Duration::from_millis(20));
    let cancelled = ring.registrar().cancel(CancelWhat::user_data(1), Some(Duration::ZERO.into()));
    assert_eq!(cancelled.map_err(|error| error.errno), Err(Errno::NOENT));
    let entry = AsyncCancel::of_user_data(1).sqe(2);
    ring.submission().push_safe(entry).expect("room");
    ring.submit().expect("submitted");
    let mut ids: Vec<_> = common::reap(&mut ring, 2).iter().map(|cqe| cqe.user_data()).collect();
    ids.sort_unstable();
    assert_eq!(ids, [1, 2]);
}

#[test]
fn a_ring_with_nothing_in_flight_is_closed_at_once() {
    on_each_kind(|ring| {
        let closed = ring.close_when_idle(0, Duration::ZERO, |_| unreachable!("nothing is there"));
        closed.expect("nothing is there");
    });
}
