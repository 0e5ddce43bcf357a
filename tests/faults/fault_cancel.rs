//! Cancelling everything in flight: each of hundreds of operations completes once.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;

use crate::common::require;
use crate::fault_common::{Deadline, Ledger, on_each_kind, take};
use crate::op_common;
use crate::op_common::{AS_OF_6_0, assert_quiet, listener, pipe, unix_pair};
use ringbolt::ops::{Accept, AsyncCancel, LinkTimeout, PollAdd, Read, Recv, Timeout};
use ringbolt::register::CancelWhat;
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::sys::{Features, RegisterOp};
use ringbolt::{Builder, Cqe, LocalIoUring, Sqe, Timespec};
use rustix::io::Errno;

/// The number of operations in flight of each kind, except those that block a worker each.
const EACH: usize = 64;

/// The files that operations wait for, and the memory that they use, which is leaked.
struct Waits {
    pipe: (File, File),
    sockets: (UnixStream, UnixStream),
    listener: TcpListener,
    bytes: *mut u8,
    hour: &'static Timespec,
}

impl Waits {
    fn new() -> Self {
        let bytes: &'static mut [u8; 4] = op_common::leaked();
        Self {
            pipe: pipe(),
            sockets: unix_pair(),
            listener: listener().0,
            bytes: bytes.as_mut_ptr(),
            hour: Box::leak(Box::new(Timespec::new(3600, 0))),
        }
    }

    /// Entries that wait forever: one, or two that are linked.
    fn entries(&self, kind: usize, ledger: &mut Ledger) -> Vec<Sqe> {
        let reader = &self.pipe.0;
        let mut id = || ledger.open();
        match kind {
            0 => vec![Read::new(reader, self.bytes, 1).sqe(id())],
            1 => vec![PollAdd::new(reader, EventFlags::IN).sqe(id())],
            2 => vec![PollAdd::new(&self.sockets.0, EventFlags::IN).multishot().sqe(id())],
            3 => vec![Recv::new(&self.sockets.0, self.bytes, 1).sqe(id())],
            4 => vec![Accept::new(&self.listener).sqe(id())],
            5 => vec![Accept::new(&self.listener).multishot().sqe(id())],
            6 => vec![Timeout::new(self.hour).sqe(id())],
            7 => vec![
                Read::new(reader, self.bytes, 1).sqe(id()).link(),
                LinkTimeout::new(self.hour).sqe(id()),
            ],
            _ => vec![
                Read::new(reader, self.bytes, 1).sqe(id()).link(),
                Read::new(reader, self.bytes, 1).sqe(id()),
            ],
        }
    }
}

/// A ring with hundreds of operations in flight that all wait; some of them in workers.
fn waiting(builder: &Builder, waits: &Waits) -> (LocalIoUring, Ledger) {
    let mut ring = builder.build_local(64).expect("a ring");
    let mut ledger = Ledger::new(0);
    let mut push = |entries: &[Sqe]| {
        let deadline = Deadline::new();
        // SAFETY: the memory is leaked; what is waited for is the caller's, who keeps it until all
        // has completed.
        while unsafe { ring.submission().push_all(entries) }.is_err() {
            deadline.check("room");
            ring.submit().expect("submitted");
        }
    };
    for kind in (0..EACH).flat_map(|_| 0..9) {
        push(&waits.entries(kind, &mut ledger));
    }
    for _ in 0..8 {
        push(&[waits.entries(0, &mut ledger)[0].force_async()]);
    }
    ring.submit().expect("submitted");
    settle(&mut ring);
    assert_quiet(&mut ring);
    (ring, ledger)
}

/// Waits until the kernel has consumed every entry.
fn settle(ring: &mut LocalIoUring) {
    let deadline = Deadline::new();
    while !ring.submission().is_empty() {
        deadline.check("an empty queue");
        ring.submit().expect("submitted");
        std::thread::yield_now();
    }
}

/// Checks the result of an operation that waited forever.
fn is_cancelled(cqe: &Cqe) {
    let ended = matches!(cqe.result(), Err(Errno::CANCELED | Errno::INTR));
    assert!(ended && !cqe.has_more(), "{cqe:?}");
}

/// Crosses off all completions except that of `cancel`, and returns whether that was among them.
fn cross_off(ring: &mut LocalIoUring, ledger: &mut Ledger, cancel: u64) -> Option<Cqe> {
    let mut told = None;
    while let Some(cqe) = ring.completion().pop() {
        if cqe.user_data() == cancel {
            assert!(told.replace(cqe).is_none(), "{cqe:?} twice");
        } else {
            is_cancelled(&cqe);
            ledger.note(cqe.user_data());
        }
    }
    told
}

/// Gets completions, and waits for some of them.
fn bring_in(ring: &mut LocalIoUring) {
    match ring.completion().wait_timeout(1, Timespec::new(0, 10_000_000)) {
        Ok(()) | Err(Errno::TIME | Errno::INTR) => {}
        Err(errno) => panic!("waiting: {errno}"),
    }
}

/// Goal: an entry that cancels everything ends each operation once, and reports how many.
/// Method: hundreds of waits of nine kinds, linked and not, and a queue that is too small.
#[test]
fn an_entry_that_cancels_everything_ends_each_operation_once() {
    const CANCEL: u64 = u64::MAX;
    require!(op: AS_OF_6_0);
    require!(feature: Features::NODROP);
    on_each_kind(|builder| {
        let waits = Waits::new();
        let (mut ring, mut ledger) = waiting(&builder.cq_entries(64), &waits);
        let deadline = Deadline::new();
        let mut calls = 0;
        // An operation that just moves between two lists of the kernel may be missed.
        while ledger.left() > 0 {
            calls += 1;
            ring.submission().push_safe(AsyncCancel::any().all().sqe(CANCEL)).expect("room");
            ring.submit().expect("submitted");
            let mut told = None;
            while told.is_none() {
                deadline.check("the end of a cancellation");
                bring_in(&mut ring);
                told = cross_off(&mut ring, &mut ledger, CANCEL);
            }
            // All operations that were found have completed or will complete; those on workers
            // complete later.
            for _ in 0..1000 {
                if ledger.left() == 0 {
                    break;
                }
                deadline.check("completions");
                ring.get_events().expect("what is due comes in");
                assert!(cross_off(&mut ring, &mut ledger, CANCEL).is_none());
                std::thread::yield_now();
            }
        }
        println!("{calls} cancellations");
        assert_quiet(&mut ring);
        assert_eq!(ring.completion().overflow(), 0);
    });
}

/// Goal: a call that cancels everything ends each operation once.
/// Method: as above, by `io_uring_register(2)`.
#[test]
fn a_call_that_cancels_everything_ends_each_operation_once() {
    require!(register: RegisterOp::REGISTER_SYNC_CANCEL);
    require!(feature: Features::NODROP);
    on_each_kind(|builder| {
        let waits = Waits::new();
        let (mut ring, mut ledger) = waiting(&builder.cq_entries(64), &waits);
        let deadline = Deadline::new();
        while ledger.left() > 0 {
            deadline.check("completions");
            match ring.registrar().cancel(CancelWhat::any(), None).map_err(Errno::from) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => panic!("cancelling: {errno}"),
            }
            while !ring.completion().is_empty() {
                assert!(cross_off(&mut ring, &mut ledger, u64::MAX).is_none());
                ring.get_events().expect("what is due comes in");
            }
            bring_in(&mut ring);
        }
        assert_quiet(&mut ring);
        assert_eq!(ring.completion().overflow(), 0);
    });
}

/// Reads of one byte each, some of them by workers, and the memory for the bytes.
///
/// # Safety
///
/// `reader` stays until all of them have completed.
unsafe fn start_reads(ring: &mut LocalIoUring, reader: &File, count: usize) -> Vec<*mut u8> {
    let bytes: &'static mut [u8] = Box::leak(vec![0; count].into());
    let places: Vec<*mut u8> = bytes.iter_mut().map(|byte| &raw mut *byte).collect();
    for (id, place) in (0..).zip(&places) {
        let read = Read::new(reader, *place, 1).sqe(id);
        let read = if id % 16 == 5 { read.force_async() } else { read };
        // SAFETY: the bytes are leaked; the rest is the caller's promise.
        unsafe { ring.submission().push(read) }.expect("room");
    }
    ring.submit().expect("submitted");
    settle(ring);
    places
}

/// Cancels by calls, until everything has completed.
fn cancel_the_rest(ring: &mut LocalIoUring, ledger: &mut Ledger) -> Vec<Cqe> {
    let (deadline, mut told) = (Deadline::new(), Vec::new());
    while ledger.left() > 0 {
        deadline.check("completions");
        match ring.registrar().cancel(CancelWhat::any(), None).map_err(Errno::from) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => panic!("cancelling: {errno}"),
        }
        bring_in(ring);
        told.extend(take(ring, ledger));
    }
    told
}

/// Goal: a read that is cancelled while its data arrives either reads it or not: no byte is lost or
/// read twice.
/// Method: hundreds of reads, and a thread that writes while they are cancelled. The bytes that the
/// completions report and those that are left in the pipe must be those that were written.
#[test]
fn no_byte_is_lost_if_all_reads_are_cancelled_while_data_arrives() {
    const READS: usize = 200;
    require!(op: AS_OF_6_0);
    on_each_kind(|builder| {
        let mut ring = builder.build_local(256).expect("a ring");
        let (mut in_time, mut late) = (0, 0);
        for round in 0..40 {
            let (mut reader, mut writer) = pipe();
            // SAFETY: the pipe stays until all has completed.
            let places = unsafe { start_reads(&mut ring, &reader, READS) };
            let mut ledger = Ledger::new(READS + 1);
            // Numbers other than 0, each about once.
            let written: Vec<u8> = (1..=250_u8).cycle().take(READS / 2 + round).collect();
            let mut told = std::thread::scope(|scope| {
                scope.spawn(|| {
                    for number in &written {
                        writer.write_all(&[*number]).expect("room in the pipe");
                    }
                });
                let cancel = AsyncCancel::any().all().sqe(READS as u64);
                // Some of the bytes are written before, more of them each time.
                (0..round * 500).for_each(|_| core::hint::spin_loop());
                ring.submission().push_safe(cancel).expect("room");
                ring.submit().expect("submitted");
                take(&mut ring, &mut ledger)
            });
            told.extend(cancel_the_rest(&mut ring, &mut ledger));
            assert_quiet(&mut ring);
            let mut seen: Vec<u8> = Vec::new();
            for cqe in &told {
                let place = usize::try_from(cqe.user_data()).expect("a small number");
                match cqe.result() {
                    _ if place == READS => {}
                    // SAFETY: leaked, and its operation has completed.
                    Ok(1) => seen.push(unsafe { places[place].read() }),
                    Err(Errno::CANCELED | Errno::INTR) => late += 1,
                    _ => panic!("{cqe:?}"),
                }
            }
            in_time += seen.len();
            drop(writer);
            reader.read_to_end(&mut seen).expect("what is left");
            seen.sort_unstable();
            let mut expected = written;
            expected.sort_unstable();
            assert_eq!(seen, expected, "in round {round}");
        }
        println!("{in_time} reads came in time, {late} were cancelled");
    });
}
