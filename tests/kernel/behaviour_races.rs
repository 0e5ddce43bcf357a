//! Many operations at once: cancelled while they complete, restarted while more data arrives, and
//! counted.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;

use crate::common::process::bounded;
use crate::common::{PATIENCE, reap, require};
use crate::op_common::{
    AS_OF_5_19, assert_quiet, leaked, listener, pipe, reap_sorted, ring, start, start_all,
    unix_pair,
};
use ringbolt::ops::{Accept, AsyncCancel, PollAdd, PollRemove, Read};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::fd::{FromRawFd, OwnedFd};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{CancelFlags, Features, SetupFlags};
use ringbolt::{Builder, Cqe, IoUring};

/// Goal: an operation that is cancelled while it completes does exactly one of the two, and reports
/// which.
/// Method: write to the other end of a pipe at about the time when the cancellation is submitted.
///
/// liburing: cancel-race, io-cancel.
#[test]
fn an_operation_cancelled_while_it_completes_has_one_outcome() {
    bounded(|| {
        let mut ring = ring();
        let (mut read, mut cancelled) = (0, 0);
        for round in 0..400_u32 {
            let (reader, mut writer) = pipe();
            let buf = leaked::<4>();
            let entry = Read::new(&reader, buf.as_mut_ptr(), 4).sqe(1);
            let entry = if round % 2 == 0 { entry } else { entry.force_async() };
            // SAFETY: the buffer stays forever, and the pipe until the completions are there.
            unsafe { start(&mut ring, entry) };
            let told = std::thread::scope(|scope| {
                scope.spawn(|| {
                    (0..round % 40 * 50).for_each(|_| core::hint::spin_loop());
                    writer.write_all(b"abcd").expect("room in the pipe");
                });
                let cancel = AsyncCancel::of_user_data(1).sqe(2);
                ring.submission().push_safe(cancel).expect("room");
                assert_eq!(ring.submit(), Ok(1));
                reap_sorted(&mut ring, 2)
            });
            match (told[0].1, told[1].1) {
                // The operation was found in time, or it was too late.
                (Err(Errno::CANCELED | Errno::INTR), Ok(0) | Err(Errno::ALREADY)) => cancelled += 1,
                (Ok(4), Err(Errno::NOENT | Errno::ALREADY)) => {
                    assert_eq!(&*buf, b"abcd");
                    read += 1;
                }
                _ => panic!("{told:?} in round {round}"),
            }
            assert_quiet(&mut ring);
        }
        println!("{read} were read, {cancelled} were cancelled");
        assert_eq!(read + cancelled, 400);
    });
}

/// Goal: a multishot accept that ends is restarted, and no connection is lost in between.
/// Method: clients connect and disconnect on other threads, and the completion queue is too small.
///
/// liburing: accept-mshot-stress, accept.
#[test]
fn a_multishot_accept_loses_no_connection() {
    const CLIENTS: usize = 4;
    const EACH: usize = 50;
    require!(op: AS_OF_5_19);
    require!(feature: Features::NODROP);
    bounded(|| {
        let mut ring = IoUring::builder().cq_entries(2).build(2).expect("a ring");
        let (listener, address) = listener();
        let accept = Accept::new(&listener).multishot().sqe(1);
        // SAFETY: no memory is used, and the listener stays until the accept is cancelled.
        unsafe { start(&mut ring, accept) };
        let (mut accepted, mut started) = (0, 1);
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(move || {
                    for _ in 0..EACH {
                        drop(TcpStream::connect(address).expect("somebody listens"));
                    }
                });
            }
            while accepted < CLIENTS * EACH {
                let cqe: Cqe = reap(&mut ring, 1)[0];
                let fd = cqe.result().expect("a connection");
                let fd = i32::try_from(fd).expect("a descriptor");
                // SAFETY: the kernel has just made it, and nothing else uses it.
                drop(unsafe { OwnedFd::from_raw_fd(fd) });
                accepted += 1;
                if !cqe.has_more() {
                    started += 1;
                    // SAFETY: as above.
                    unsafe { start(&mut ring, accept) };
                }
            }
        });
        println!("{accepted} connections, started {started} times");
        let cancel = AsyncCancel::of_user_data(1).flags(CancelFlags::ALL).sqe(2);
        ring.submission().push_safe(cancel).expect("room");
        assert_eq!(ring.submit(), Ok(1));
        let told = reap_sorted(&mut ring, 2);
        assert_eq!(told, [(1, Err(Errno::CANCELED)), (2, Ok(1))]);
        assert_quiet(&mut ring);
    });
}

/// Goal: each of a thousand polls ends once, with its own number.
/// Method: rounds in which some end by an event, some are removed, and some continue.
///
/// liburing: poll-many, poll.
#[test]
fn each_of_many_polls_ends_once() {
    const POLLS: u64 = 300;
    require!(feature: Features::NODROP);
    bounded(|| {
        let mut ring = IoUring::builder().cq_entries(64).build(64).expect("a ring");
        let mut pipes: Vec<_> = (0..POLLS).map(|_| pipe()).collect();
        for round in 0..3 {
            for (id, (reader, _)) in (0..).zip(&pipes) {
                // SAFETY: no memory is used, and the pipes stay to the end.
                unsafe { start(&mut ring, PollAdd::new(reader, EventFlags::IN).sqe(id)) };
            }
            assert_quiet(&mut ring);
            let mut expected = BTreeMap::new();
            for (id, (_, writer)) in (0_u64..).zip(&mut pipes) {
                if id % 3 == round {
                    ring.submission().push_safe(PollRemove::new(id).sqe(1000 + id)).expect("room");
                    assert_eq!(ring.submit(), Ok(1));
                    expected.insert(id, Err(Errno::CANCELED));
                    expected.insert(1000 + id, Ok(0));
                } else {
                    writer.write_all(b"x").expect("room in the pipe");
                    expected.insert(id, Ok(EventFlags::IN.bits()));
                }
            }
            let told: BTreeMap<_, _> = reap_sorted(&mut ring, expected.len()).into_iter().collect();
            assert_eq!(told, expected);
            assert_quiet(&mut ring);
            for (reader, _) in &pipes {
                let mut byte = [0];
                let poll = rustix::event::PollFd::new(reader, rustix::event::PollFlags::IN);
                let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
                if rustix::event::poll(&mut [poll], Some(&now)) == Ok(1) {
                    assert_eq!(rustix::io::read(reader, &mut byte), Ok(1));
                }
            }
        }
    });
}

/// Goal: a multishot poll marks the last of its completions, even if they overflow.
/// Method: more events than the queue holds, without popping in between.
///
/// liburing: poll-mshot-overflow.
#[test]
fn a_multishot_poll_that_overflows_keeps_its_order_and_reports_its_end() {
    require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
    require!(feature: Features::NODROP);
    bounded(|| {
        for builder in [IoUring::builder(), IoUring::builder().single_issuer().defer_taskrun()] {
            overflowing_poll(&builder);
        }
    });
}

fn overflowing_poll(builder: &Builder) {
    let mut ring = builder.clone().cq_entries(2).build_local(2).expect("a ring");
    let (mut near, far) = unix_pair();
    let poll = |id| PollAdd::new(&far, EventFlags::IN).multishot().sqe(id);
    // SAFETY: no memory is used, and the socket stays to the end.
    unsafe { start(&mut ring, poll(0)) };
    let mut last = 0;
    for _ in 0..10 {
        near.write_all(b"x").expect("room in the socket");
        ring.get_events().expect("what is due comes in");
    }
    let end = std::time::Instant::now() + PATIENCE;
    let mut seen = Vec::new();
    // Until it has ended, or no more completions arrive.
    while std::time::Instant::now() < end {
        let there: Vec<_> = ring.completion().drain().collect();
        if there.is_empty() {
            break;
        }
        seen.extend(there);
        ring.get_events().expect("what has overflown comes in");
    }
    assert!(!seen.is_empty());
    for (place, cqe) in seen.iter().enumerate() {
        assert_eq!((cqe.user_data(), cqe.result()), (0, Ok(EventFlags::IN.bits())));
        // Only the last of them may lack the flag, which means that no more will follow.
        assert!(cqe.has_more() || place + 1 == seen.len(), "{seen:?}");
    }
    if seen.last().is_some_and(|cqe| !cqe.has_more()) {
        last = 1;
        // SAFETY: as above.
        unsafe { start_all(&mut ring, &[poll(last)]) };
        // The socket is still readable.
        assert_eq!(reap(&mut ring, 1)[0].user_data(), last);
    }
    ring.submission().push_safe(PollRemove::new(last).sqe(9)).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    let told = reap_sorted(&mut ring, 2);
    assert_eq!(told, [(last, Err(Errno::CANCELED)), (9, Ok(0))]);
    assert_quiet(&mut ring);
    assert_eq!(ring.completion().overflow(), 0);
}
