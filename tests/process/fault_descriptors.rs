//! Descriptors that are closed while operations use them: before the entry is submitted, and after.
//!
//! Each test runs in a separate process, because the numbers of closed descriptors are reused.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::common::process::in_child;
use crate::common::{TempDir, reap, require};
use crate::fault_common::{Deadline, on_each_kind};
use crate::op_common::{
    assert_quiet, connect, leaked, listener, owned, pipe, reap_sorted, start, start_all, unix_pair,
};
use ringbolt::ops::{Accept, Nop, PollAdd, Read, Recv, Write};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::net::RecvFlags;
use ringbolt::sys::SetupFlags;
use ringbolt::{LocalIoUring, Sqe};
use rustix::fd::AsRawFd;
use rustix::io::Errno;

const BAD: Result<u32, Errno> = Err(Errno::BADF);
const CANCELED: Result<u32, Errno> = Err(Errno::CANCELED);

/// How many descriptors this process has open.
fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("a list of descriptors").count()
}

/// Pushes entries without publishing them.
///
/// # Safety
///
/// As for [`ringbolt::SubmissionQueue::push_all`].
unsafe fn queue(ring: &mut LocalIoUring, entries: &[Sqe]) {
    // SAFETY: the caller's promise, passed on.
    unsafe { ring.submission().push_all(entries) }.expect("room");
}

/// Goal: an entry whose descriptor was closed before the submit fails, and no other entry does.
/// Method: single entries and chains; descriptors are closed while they are queued; all others
/// succeed.
#[test]
fn an_entry_whose_descriptor_is_closed_while_it_is_queued_is_ebadf() {
    in_child("an_entry_whose_descriptor_is_closed_while_it_is_queued_is_ebadf", || {
        on_each_kind(|builder| {
            let mut ring = builder.build_local(16).expect("a ring");
            let before = open_descriptors();
            for _ in 0..100 {
                let (dir, bytes) = (TempDir::new(), leaked::<4>());
                let file = File::open(dir.file("data", b"abcd")).expect("a file");
                let start = bytes.as_mut_ptr();
                let read = |id| Read::new(&file, start, 4).offset(0).sqe(id);
                let write = Write::new(&file, start, 4).offset(0).sqe(5);
                let poll = PollAdd::new(&file, EventFlags::IN).sqe(6);
                let nop = |id| Sqe::from(Nop::new().sqe(id));
                let entries = [
                    nop(0),
                    read(1).link(),
                    nop(2),
                    read(3).hard_link(),
                    nop(4),
                    write,
                    poll,
                    read(7).force_async(),
                    nop(8),
                ];
                // SAFETY: the bytes are leaked; that the descriptor is closed is the point, and no
                // other has its number before all has completed.
                unsafe { queue(&mut ring, &entries) };
                drop(file);
                ring.submit().expect("submitted");
                let told = reap_sorted(&mut ring, entries.len());
                let results = [Ok(0), BAD, CANCELED, BAD, Ok(0), BAD, BAD, BAD, Ok(0)];
                let expected: Vec<_> = (0..).zip(results).collect();
                assert_eq!(told, expected);
                assert_eq!(bytes, b"----");
                assert_quiet(&mut ring);
            }
            assert_eq!(open_descriptors(), before);
        });
    });
}

/// Goal: an entry uses the file that has its descriptor's number when the entry is submitted.
/// Method: close the file, and open another, which gets the lowest free number.
#[test]
fn an_entry_uses_the_file_that_has_the_number_when_it_is_submitted() {
    in_child("an_entry_uses_the_file_that_has_the_number_when_it_is_submitted", || {
        on_each_kind(|builder| {
            let mut ring = builder.build_local(4).expect("a ring");
            let dir = TempDir::new();
            let [one, two] = ["one", "two"].map(|name| dir.file(name, name.as_bytes()));
            for _ in 0..100 {
                let bytes = leaked::<4>();
                let file = File::open(&one).expect("a file");
                let read = Read::new(&file, bytes.as_mut_ptr(), 4).offset(0).sqe(1);
                // SAFETY: the bytes are leaked; that it acts on another file is the point.
                unsafe { queue(&mut ring, &[read]) };
                let number = file.as_raw_fd();
                drop(file);
                let file = File::open(&two).expect("a file");
                assert_eq!(file.as_raw_fd(), number, "the lowest that is free");
                ring.submit().expect("submitted");
                assert_eq!(reap(&mut ring, 1)[0].result(), Ok(3));
                assert_eq!(bytes, b"two-");
            }
        });
    });
}

/// Ends of pipes and sockets whose other ends are held here, and a listener.
struct Ends {
    reader: File,
    writer: File,
    near: std::os::unix::net::UnixStream,
    far: std::os::unix::net::UnixStream,
    listener: TcpListener,
    address: core::net::SocketAddr,
}

impl Ends {
    fn new() -> Self {
        let ((reader, writer), (near, far)) = (pipe(), unix_pair());
        let (listener, address) = listener();
        Self { reader, writer, near, far, listener, address }
    }
}

/// Goal: an operation in flight keeps its file, even if the descriptor is closed and another file
/// gets its number.
/// Method: waits of each kind; close their descriptors, reuse the numbers, then make them complete.
#[test]
fn an_operation_in_flight_keeps_its_file_when_the_descriptor_is_closed() {
    in_child("an_operation_in_flight_keeps_its_file_when_the_descriptor_is_closed", || {
        on_each_kind(|builder| {
            let mut ring = builder.build_local(8).expect("a ring");
            let polled = ring.setup_flags().contains(SetupFlags::SQPOLL);
            let before = open_descriptors();
            for _ in 0..50 {
                let Ends { reader, mut writer, mut near, far, listener, address } = Ends::new();
                let (read, received) = (leaked::<4>(), leaked::<4>());
                let entries = [
                    Read::new(&reader, read.as_mut_ptr(), 4).sqe(0),
                    PollAdd::new(&far, EventFlags::IN).sqe(1),
                    Recv::new(&far, received.as_mut_ptr(), 4).flags(RecvFlags::WAITALL).sqe(2),
                    Accept::new(&listener).sqe(3),
                ];
                // SAFETY: the bytes are leaked. The descriptors stay until the entries are
                // submitted, and what has their numbers afterwards is this test's own.
                unsafe { start_all(&mut ring, &entries) };
                while polled && !ring.submission().is_empty() {
                    std::thread::yield_now();
                }
                assert_quiet(&mut ring);
                let numbers = [reader.as_raw_fd(), far.as_raw_fd(), listener.as_raw_fd()];
                drop((reader, far, listener));
                let others = [(); 3].map(|()| File::open("/dev/null").expect("a file"));
                assert!(others.iter().all(|file| numbers.contains(&file.as_raw_fd())));

                writer.write_all(b"abcd").expect("room in the pipe");
                near.write_all(b"efgh").expect("room in the socket");
                let client = connect(address);
                let told = reap_sorted(&mut ring, 4);
                assert_eq!(told[..2], [(0, Ok(4)), (1, Ok(EventFlags::IN.bits()))]);
                assert_eq!(told[2], (2, Ok(4)));
                let mut accepted = File::from(owned(told[3].1));
                (&client).write_all(b"i").expect("a peer");
                accepted.read_exact(&mut [0]).expect("a byte");
                assert_eq!((&read[..], &received[..]), (&b"abcd"[..], &b"efgh"[..]));
                assert_quiet(&mut ring);
                drop((client, accepted));
                // The files are released some time after the operations have ended.
                let deadline = Deadline::new();
                while writer.write_all(b"x").is_ok() {
                    deadline.check("the end of a pipe that nobody reads");
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            assert_eq!(open_descriptors(), before);
        });
    });
}

/// Goal: closing both ends of a pipe ends each operation that waits on it, once.
/// Method: reads and polls of a pipe, first without its descriptor, then without a writer.
#[test]
fn operations_in_flight_end_after_both_ends_are_closed() {
    require!(setup: SetupFlags::SQPOLL);
    in_child("operations_in_flight_end_after_both_ends_are_closed", || {
        on_each_kind(|builder| {
            let mut ring = builder.build_local(8).expect("a ring");
            for _ in 0..50 {
                let (reader, writer) = pipe();
                let bytes = leaked::<4>().as_mut_ptr();
                let reads = [0, 1].map(|id| Read::new(&reader, bytes, 4).sqe(id));
                let poll = PollAdd::new(&reader, EventFlags::IN).sqe(2);
                let by_worker = Read::new(&reader, bytes, 4).sqe(3).force_async();
                for entry in reads.into_iter().chain([poll, by_worker]) {
                    // SAFETY: the bytes are leaked; the descriptor stays until the next step.
                    unsafe { start(&mut ring, entry) };
                }
                while !ring.submission().is_empty() {
                    std::thread::yield_now();
                }
                drop(reader);
                drop(writer);
                let told = reap_sorted(&mut ring, 4);
                let hang_up = Ok(EventFlags::HUP.bits());
                assert_eq!(told[..3], [(0, Ok(0)), (1, Ok(0)), (2, hang_up)]);
                // A worker looks up the descriptor before or after it is closed.
                assert!(matches!(told[3], (3, Ok(0) | BAD)), "{told:?}");
                assert_quiet(&mut ring);
            }
        });
    });
}
