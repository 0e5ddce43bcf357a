//! Processes that fork, that end, and that may lock little memory, while operations are in flight.
//!
//! Each test runs in a separate process, in which nothing else runs, so that it may fork.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::time::Instant;

use crate::common::process::{Copy, UNLIMITED, in_child, limit, may_lock_any_amount, refuse_call};
use crate::common::{PATIENCE, TempDir, complete, reap, require};
use crate::fault_common::{Ledger, take};
use crate::op_common::{
    AS_OF_6_11, assert_quiet, complete_safe, leaked, listener, pipe, reap_sorted, start_all,
};
use ringbolt::ops::{
    Accept, FutexWait, IoVec, Nop, PollAdd, Read, ReadFixed, Timeout, Write, WriteFixed,
};
use ringbolt::register::BufferRingOptions;
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
use ringbolt::sys::{Futex2Flags, Opcode, SetupFlags, TimeoutFlags};
use ringbolt::{Builder, IoUring, LocalIoUring, Sqe, Timespec};
use rustix::io::Errno;

const DEFERRED: SetupFlags = SetupFlags::SINGLE_ISSUER.union(SetupFlags::DEFER_TASKRUN);

/// A builder of each kind of ring.
fn builders() -> [Builder<'static>; 3] {
    let new = IoUring::builder;
    [new(), new().flags(DEFERRED), new().sqpoll(1)]
}

/// Maps `len` bytes of memory forever: never in huge pages, which would be counted as a whole.
fn pages(len: usize) -> *mut u8 {
    let (access, null) = (ProtFlags::READ | ProtFlags::WRITE, core::ptr::null_mut());
    // SAFETY: the kernel chooses the address.
    let start = unsafe { mmap_anonymous(null, len, access, MapFlags::PRIVATE) }.expect("memory");
    // A kernel without huge pages does not know the advice.
    // SAFETY: the memory that was just mapped, and advice that changes nothing of what is in it.
    let _ = unsafe { madvise(start, len, Advice::LinuxNoHugepage) };
    start.cast()
}

/// Goal: operations in flight during a fork write to the parent's memory, and only there.
/// Method: reads into registered and other memory, a child that exists until they have completed,
/// and writes to the same pages in between, which make the kernel copy them.
#[test]
fn operations_in_flight_write_to_the_parents_memory_after_a_fork() {
    const READS: usize = 8;
    const PART: usize = 512;
    require!(setup: DEFERRED);
    in_child("operations_in_flight_write_to_the_parents_memory_after_a_fork", || {
        for builder in builders() {
            let mut ring = builder.build_local(16).expect("a ring");
            let (memory, (reader, mut writer)) = (pages(READS * PART), pipe());
            let registered = [IoVec::new(memory, READS / 2 * PART)];
            // SAFETY: the memory is mapped forever.
            unsafe { ring.registrar().register_buffers(&registered) }.expect("a buffer");
            for round in 0..10_u8 {
                let entry = |place| {
                    let start = memory.wrapping_add(place * PART);
                    let id = place as u64;
                    if place < READS / 2 {
                        ReadFixed::new(&reader, start, 4, 0).sqe(id)
                    } else {
                        Read::new(&reader, start, 4).sqe(id)
                    }
                };
                let reads: Vec<Sqe> = (0..READS).map(entry).collect();
                // SAFETY: the memory is mapped forever; the pipe stays until all is read.
                unsafe { ring.submission().push_all(&reads) }.expect("room");
                ring.submit().expect("submitted");
                let (mut gate, key) = pipe();
                let copy = Copy::run(|| {
                    // The child closes its own writing end first, otherwise the pipe would never
                    // end.
                    // SAFETY: this copy's own descriptor, which nothing uses any more.
                    unsafe { libc::close(std::os::fd::AsRawFd::as_raw_fd(&key)) };
                    i32::try_from(gate.read(&mut [0]).expect("an end")).expect("0") + 7
                });
                for place in 0..READS {
                    // SAFETY: mapped memory beside that which is read to.
                    unsafe { memory.wrapping_add(place * PART + 4).write(round) };
                }
                for _ in 0..READS {
                    writer.write_all(&[round + 1; 4]).expect("room in the pipe");
                }
                let told = reap_sorted(&mut ring, READS);
                let expected: Vec<_> = (0..READS as u64).map(|place| (place, Ok(4))).collect();
                assert_eq!(told, expected);
                for place in 0..READS {
                    let bytes = memory.wrapping_add(place * PART).cast::<[u8; 5]>();
                    // SAFETY: mapped memory, which no operation uses any more.
                    let bytes = unsafe { bytes.read() };
                    let new = round + 1;
                    assert_eq!(bytes, [new, new, new, new, round], "{place}");
                }
                drop(key);
                assert_eq!(copy.exit_code(), 7);
                assert_quiet(&mut ring);
            }
        }
    });
}

/// Goal: forking while a ring is busy neither loses nor repeats operations.
/// Method: a fork between any two steps of pushing, submitting and reaping.
#[test]
fn a_process_may_fork_between_any_two_steps() {
    require!(setup: DEFERRED);
    in_child("a_process_may_fork_between_any_two_steps", || {
        for builder in builders() {
            let mut ring = builder.cq_entries(8).build_local(8).expect("a ring");
            let mut ledger = Ledger::new(0);
            for _ in 0..8 {
                for by_worker in [false, true, false, true] {
                    let entry = Sqe::from(Nop::new().sqe(ledger.open()));
                    let entry = if by_worker { entry.force_async() } else { entry };
                    // SAFETY: the entry refers to nothing.
                    unsafe { ring.submission().push(entry) }.expect("room");
                }
                assert_eq!(Copy::run(|| 7).exit_code(), 7);
                ring.submit().expect("submitted");
                assert_eq!(Copy::run(|| 7).exit_code(), 7);
                take(&mut ring, &mut ledger);
                assert_eq!(Copy::run(|| 7).exit_code(), 7);
                let left = ledger.left();
                reap(&mut ring, left).iter().for_each(|cqe| ledger.note(cqe.user_data()));
            }
            assert_quiet(&mut ring);
        }
    });
}

/// Writes a file through the ring, waiting for each part.
fn write_file(ring: &mut LocalIoUring, file: &File, parts: u8) {
    let bytes = leaked::<100>();
    for part in 0..parts {
        bytes.fill(part);
        let write = Write::new(file, bytes.as_ptr(), 100).offset(100 * u64::from(part));
        // SAFETY: the bytes are leaked, and not touched before this returns; the file is open.
        assert_eq!(unsafe { complete(ring, write.sqe(0)) }.result(), Ok(100));
    }
}

/// Goal: a process ends immediately, with its own exit code, whatever is in flight; completed
/// operations have taken effect.
/// Method: waits of every kind that nothing ends, after writing a file.
#[test]
fn a_process_ends_immediately_whatever_is_in_flight() {
    require!(op: Opcode::FUTEX_WAIT);
    require!(setup: DEFERRED);
    in_child("a_process_ends_immediately_whatever_is_in_flight", || {
        for (builder, drops) in builders().iter().flat_map(|b| [(b, false), (b, true)]) {
            let dir = TempDir::new();
            let path = dir.file("data", b"");
            let start = Instant::now();
            let copy = Copy::run(|| {
                let mut ring = builder.build_local(16).expect("a ring");
                let file = File::create(&path).expect("a file");
                write_file(&mut ring, &file, 20);
                let ((reader, _writer), (listener, _)) = (pipe(), listener());
                let (bytes, word): (_, &'static u32) = (leaked::<4>(), Box::leak(Box::new(5)));
                let hour: &'static Timespec = Box::leak(Box::new(Timespec::new(3600, 0)));
                let entries = [
                    Read::new(&reader, bytes.as_mut_ptr(), 4).sqe(1),
                    Read::new(&reader, bytes.as_mut_ptr(), 4).sqe(2).force_async(),
                    PollAdd::new(&reader, EventFlags::IN).multishot().sqe(3),
                    Accept::new(&listener).sqe(4),
                    Accept::new(&listener).multishot().sqe(5),
                    Timeout::new(hour).sqe(6),
                    Timeout::new(hour).flags(TimeoutFlags::MULTISHOT).sqe(7),
                    FutexWait::new(word, 5, Futex2Flags::SIZE_U32).sqe(8),
                    Read::new(&reader, bytes.as_mut_ptr(), 4).sqe(9).link(),
                    Nop::new().sqe(10).into(),
                    Sqe::from(Nop::new().sqe(11)).drain(),
                ];
                // SAFETY: the memory is leaked. The descriptors stay as long as the process, or
                // what is in flight acts on nothing of anybody's.
                unsafe { start_all(&mut ring, &entries) };
                if !drops {
                    core::mem::forget((ring, reader, listener));
                }
                42
            });
            assert_eq!(copy.exit_code(), 42);
            let elapsed = start.elapsed();
            assert!(elapsed < PATIENCE / 2, "it took {elapsed:?} to end");
            let written = std::fs::read(&path).expect("the file");
            let expected: Vec<u8> = (0..20).flat_map(|part| [part; 100]).collect();
            assert!(written == expected, "{} bytes", written.len());
        }
    });
}

/// How many bytes of memory may be locked.
const LIMIT: usize = 1 << 20;

/// Changes this process to a user that may lock no more than that, and has not locked any memory.
fn become_somebody_who_may_lock_little() {
    limit(libc::RLIMIT_MEMLOCK, LIMIT as libc::rlim_t);
    // Locked memory is counted for each user, and other tests use the same user.
    let user = 100_000 + std::process::id();
    // SAFETY: numbers only.
    let changed = unsafe { libc::setresuid(user, user, user) };
    // SAFETY: the call has no precondition.
    assert!(changed == 0 || unsafe { libc::geteuid() } != 0);
}

/// Uses a registered buffer both ways.
fn uses_buffer(ring: &mut IoUring, memory: *mut u8) {
    let (mut reader, writer) = pipe();
    // SAFETY: mapped memory that no operation uses.
    unsafe { memory.cast::<[u8; 4]>().write(*b"abcd") };
    let write = WriteFixed::new(&writer, memory, 4, 0).sqe(1);
    // SAFETY: the memory is mapped forever, and the pipe stays until this has returned.
    assert_eq!(unsafe { complete(ring, write) }.result(), Ok(4));
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes).expect("four bytes");
    assert_eq!(&bytes, b"abcd");
}

/// Goal: a table that is refused for lack of lockable memory is refused completely, and locks
/// nothing.
/// Method: repeatedly register a table that is too large, and each time one that just fits.
#[test]
fn tables_refused_for_lack_of_lockable_memory_lock_nothing() {
    in_child("tables_refused_for_lack_of_lockable_memory_lock_nothing", || {
        become_somebody_who_may_lock_little();
        let memory = pages(4 * LIMIT);
        let mut ring = IoUring::new(4).expect("a ring");
        // Older kernels also count the ring itself, which has a few pages.
        let (fits, too_much) = (LIMIT / 8 * 7, LIMIT / 4 * 5);
        for round in 0..100 {
            // All buffers except the last would fit.
            let table = [
                IoVec::new(memory, LIMIT / 2),
                IoVec::new(memory.wrapping_add(LIMIT), LIMIT / 4),
                IoVec::new(memory.wrapping_add(2 * LIMIT), LIMIT / 2),
            ];
            for refused in [&table[..], &[IoVec::new(memory, too_much)]] {
                // SAFETY: the memory is mapped forever.
                let registered = unsafe { ring.registrar().register_buffers(refused) };
                assert_eq!(registered.map_err(Errno::from), Err(Errno::NOMEM), "in round {round}");
                assert_eq!(complete_safe(&mut ring, Nop::new().sqe(7)).result(), Ok(0));
                assert_eq!(
                    ring.registrar().unregister_buffers().map_err(Errno::from),
                    Err(Errno::NXIO)
                );
            }
            let whole = [IoVec::new(memory, fits)];
            // SAFETY: as above.
            let registered = unsafe { ring.registrar().register_buffers(&whole) };
            assert_eq!(registered, Ok(()), "in round {round}");
            uses_buffer(&mut ring, memory);
            assert_eq!(ring.registrar().unregister_buffers(), Ok(()));
        }
    });
}

/// Goal: an update that stops for lack of lockable memory returns how many slots it replaced, and
/// does not affect later updates.
/// Method: updates whose second buffer never fits, then one that uses all the memory that is left.
#[test]
fn updates_refused_for_lack_of_lockable_memory_lock_nothing() {
    // On Linux 6.1 an update that is refused may keep memory locked.
    require!(op: AS_OF_6_11);
    require!(machine: may_lock_any_amount(), UNLIMITED);
    in_child("updates_refused_for_lack_of_lockable_memory_lock_nothing", || {
        become_somebody_who_may_lock_little();
        let memory = pages(4 * LIMIT);
        let mut ring = IoUring::new(4).expect("a ring");
        ring.registrar().register_buffers_sparse(3).expect("a table");
        let update = |ring: &IoUring, first, buffers: &[IoVec]| {
            // SAFETY: the memory is mapped forever.
            unsafe { ring.registrar().update_buffers(first, buffers) }
        };
        let small = IoVec::new(memory, 1 << 14);
        let too_much = IoVec::new(memory.wrapping_add(LIMIT), 2 * LIMIT);
        let rest = IoVec::new(memory.wrapping_add(LIMIT), LIMIT / 8 * 7);
        for round in 0..100 {
            assert_eq!(update(&ring, 0, &[small, too_much]), Ok(1), "in round {round}");
            assert_eq!(
                update(&ring, 2, &[too_much]).map_err(Errno::from),
                Err(Errno::NOMEM),
                "in round {round}"
            );
            uses_buffer(&mut ring, memory);
            assert_eq!(update(&ring, 2, &[rest]), Ok(1), "in round {round}");
            let empty = [IoVec::EMPTY; 3];
            assert_eq!(update(&ring, 0, &empty), Ok(3));
        }
        ring.registrar().unregister_buffers().expect("a table");
        let whole = [IoVec::new(memory, LIMIT / 8 * 7)];
        // SAFETY: as above.
        let registered = unsafe { ring.registrar().register_buffers(&whole) };
        assert_eq!(registered, Ok(()));
    });
}

/// Goal: dropping a ring does not panic if the kernel refuses to unmap its memory. It does so at
/// the limit of mappings if it would have to split one. Method: a filter that refuses to unmap.
#[test]
fn a_ring_can_be_dropped_if_unmapping_fails() {
    in_child("a_ring_can_be_dropped_if_unmapping_fails", || {
        let dropped = std::thread::spawn(|| {
            let rings = builders().map(|builder| builder.build_local(8).expect("a ring"));
            let options = BufferRingOptions::default();
            let buffers =
                rings[0].registrar().register_buffer_ring(1, 8, options).expect("a group");
            // A filter applies to one thread: this one, which does nothing else.
            refuse_call(libc::SYS_munmap, Errno::NOMEM);
            // SAFETY: no page is unmapped, for it is refused, and so none is used.
            assert_eq!(unsafe { libc::munmap(core::ptr::null_mut(), 4096) }, -1);
            drop(buffers);
            drop(rings);
        });
        assert!(dropped.join().is_ok(), "a panic");
        assert_eq!(
            complete_safe(&mut IoUring::new(8).expect("a ring"), Nop::new().sqe(1)).result(),
            Ok(0)
        );
    });
}
