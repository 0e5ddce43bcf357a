//! Rings of provided buffers: registered in any memory, dropped, and registered again.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::ptr::NonNull;
use std::fs::File;
use std::io::Write as _;

use crate::buf_common::Buffers;
use crate::common::memory::{Pages, Provided};
use crate::common::{complete, require};
use crate::op_common::{complete_safe, pipe, provide, ring};
use ringbolt::ops::{Read, RemoveBuffers};
use ringbolt::register::{BufferRing, MAX_BUFFERS};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{BufRingFlags, RegisterOp, SetupFlags};
use ringbolt::{CqEntry, IoUring, SqEntry};
use rustix::param::page_size;

const OWN: BufRingFlags = BufRingFlags::empty();
const MMAP: BufRingFlags = BufRingFlags::MMAP;

/// Writes `bytes` into a pipe and reads them into a buffer of `group`. Returns the result, and the
/// id of the buffer.
fn read<S: SqEntry, C: CqEntry, T>(
    ring: &mut IoUring<S, C, T>,
    group: u16,
    bytes: &[u8],
) -> (Result<u32, Errno>, Option<u16>) {
    let (reader, mut writer) = pipe();
    writer.write_all(bytes).expect("room in the pipe");
    // SAFETY: the pipe stays until `complete` returns, and the memory of a group forever.
    let cqe = unsafe { complete(ring, S::from(Read::provided(&reader, 0, group).sqe(1))) };
    (cqe.as_cqe().result(), cqe.as_cqe().buffer_id())
}

/// The same for a group whose completions are passed to its `buffers`.
fn read_into(
    ring: &mut IoUring,
    buffers: &mut Buffers,
    bytes: &[u8],
) -> (Result<u32, Errno>, Option<u16>) {
    let (reader, mut writer) = pipe();
    writer.write_all(bytes).expect("room in the pipe");
    let group = buffers.ring.group();
    // SAFETY: the pipe stays until `complete` returns, and the memory of a group forever.
    let cqe = unsafe { complete(ring, Read::provided(&reader, 0, group).sqe(1)) };
    (cqe.result(), buffers.reclaim(&cqe))
}

/// Unregisters a group that has no owner: its value was dropped, or there never was one.
fn free(ring: &IoUring, group: u16) -> Result<(), Errno> {
    // SAFETY: the tests call this only for such groups.
    unsafe { ring.registrar().unregister_buffer_group(group) }.map_err(Errno::from)
}

/// The result of a read from a group that has no buffers left or does not exist.
const NONE_LEFT: (Result<u32, Errno>, Option<u16>) = (Err(Errno::NOBUFS), None);

/// Goal: a ring works in the given memory.
/// Method: buffers with various ids are used in the order in which they were added, three times
/// around the ring.
fn exercise(ring: &mut IoUring, buffers: BufferRing) {
    let group = buffers.group();
    let mut buffers = Buffers::over(buffers, 8);
    assert_eq!((buffers.ring.capacity(), buffers.ring.tail()), (4, 0));
    assert_eq!(read(ring, group, b"early"), NONE_LEFT);
    for round in 0..3_u16 {
        for bid in [2, 0, 3] {
            buffers.add(bid);
        }
        // Buffers cannot be used before they are published.
        assert_eq!(read(ring, group, b"early"), NONE_LEFT);
        assert_eq!((buffers.ring.publish(), buffers.ring.publish()), (3, 0));
        assert_eq!(buffers.ring.tail(), 3 * round + 3);
        for (bid, bytes) in [(2, b"one"), (0, b"two"), (3, b"six")] {
            assert_eq!(read_into(ring, &mut buffers, bytes), (Ok(3), Some(bid)));
            assert_eq!(buffers.bytes(bid, 3), bytes);
        }
        assert_eq!(read(ring, group, b"late"), NONE_LEFT);
    }
    ring.registrar().unregister_buffer_ring(buffers.ring).expect("it is registered");
    assert_eq!(read(ring, group, b"late"), NONE_LEFT);
}

/// liburing: buf-ring.
#[test]
fn a_buffer_ring_works_in_memory_of_this_crate() {
    require!(register: RegisterOp::REGISTER_PBUF_RING);
    let mut ring = ring();
    for group in [0, 1, 0x7fff, 0xffff] {
        let buffers = ring.registrar().register_buffer_ring(group, 4, OWN).expect("a ring");
        exercise(&mut ring, buffers);
    }
}

#[test]
fn a_buffer_ring_works_in_the_kernels_memory() {
    // The flag came with Linux 6.4; only the newer call can be probed for.
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let mut ring = ring();
    for group in [0, 1, 2047] {
        let buffers = ring.registrar().register_buffer_ring(group, 4, MMAP).expect("a ring");
        exercise(&mut ring, buffers);
    }
}

/// The offset of a mapping has no room for a larger group: the memory would be that of another
/// group.
#[test]
fn a_group_beyond_2047_cannot_be_in_the_kernels_memory() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let mut ring = ring();
    let first = ring.registrar().register_buffer_ring(0, 4, MMAP).expect("a ring");
    for group in [2048, 0x7fff, 0x8000, 0x87ff, 0xffff] {
        let refused = ring.registrar().register_buffer_ring(group, 4, MMAP);
        assert_eq!(
            refused.map(|buffers| buffers.group()).map_err(Errno::from),
            Err(Errno::INVAL),
            "{group}"
        );
        assert_eq!(
            ring.registrar().buffer_ring_head(group).map_err(Errno::from),
            Err(Errno::NOENT)
        );
    }
    exercise(&mut ring, first);
}

#[test]
fn a_ring_works_in_the_callers_memory() {
    require!(register: RegisterOp::REGISTER_PBUF_RING);
    let memory = Pages::new(page_size());
    let mut ring = ring();
    for group in [0, 0xffff] {
        // SAFETY: nothing else uses the pages, which stay until the group is gone.
        let buffers =
            unsafe { ring.registrar().register_buffer_ring_in(memory.bytes(64), group, 4, OWN) };
        exercise(&mut ring, buffers.expect("a ring"));
    }
}

#[test]
fn a_ring_in_the_callers_memory_has_its_buffers_in_it() {
    require!(register: RegisterOp::REGISTER_PBUF_RING);
    let memory = Pages::new(page_size());
    let mut ring = ring();
    // The flag, which requests the kernel's memory, is ignored.
    // SAFETY: nothing else uses the pages, which stay until the group is gone.
    let buffers = unsafe { ring.registrar().register_buffer_ring_in(memory.bytes(64), 3, 4, MMAP) };
    let mut buffers = Buffers::over(buffers.expect("a ring"), 8);
    buffers.give(3);
    // SAFETY: the entry was filled in on the lines above, and nothing writes it now.
    let entry = unsafe { memory.start.cast::<[u16; 8]>().read() };
    assert_eq!((entry[6], entry[7]), (3, 1), "the id, followed by the tail: {entry:?}");
    assert_eq!(read(&mut ring, 3, b"abc"), (Ok(3), Some(3)));
    ring.registrar().unregister_buffer_ring(buffers.ring).expect("it is registered");
}

/// liburing: buf-ring.
#[test]
fn memory_that_is_misaligned_or_too_short_is_refused() {
    require!(register: RegisterOp::REGISTER_PBUF_RING);
    let pages = Pages::new(2 * page_size());
    let ring = ring();
    let at = |offset, len| {
        // SAFETY: inside the pages.
        NonNull::slice_from_raw_parts(unsafe { pages.start.add(offset) }, len)
    };
    let table = [
        (at(0, 63), 4, "too short"),
        (at(0, 0), 1, "empty"),
        (at(0, page_size()), 0, "for no buffer"),
        (at(0, page_size()), 3, "not a power of two"),
        (at(8, page_size()), 4, "aligned for no entry"),
        (at(16, page_size()), 4, "aligned for an entry, not to a page"),
    ];
    for (memory, entries, what) in table {
        // SAFETY: nothing else uses the pages, which stay until the end.
        let refused = unsafe { ring.registrar().register_buffer_ring_in(memory, 1, entries, OWN) };
        assert_eq!(
            refused.map(|buffers| buffers.group()).map_err(Errno::from),
            Err(Errno::INVAL),
            "{what}"
        );
    }
    // SAFETY: as above.
    let taken = unsafe { ring.registrar().register_buffer_ring_in(at(0, 64), 1, 4, OWN) };
    ring.registrar().unregister_buffer_ring(taken.expect("a ring")).expect("it is registered");
}

#[test]
fn the_number_of_buffers_must_be_a_power_of_two_up_to_the_maximum() {
    require!(register: RegisterOp::REGISTER_PBUF_RING);
    let ring = ring();
    let register = |entries| {
        let registered = ring.registrar().register_buffer_ring(1, entries, OWN);
        registered.map(|buffers| buffers.capacity())
    };
    for entries in [0, 3, 5, 100, MAX_BUFFERS - 1, MAX_BUFFERS + 1, u16::MAX] {
        assert_eq!(register(entries).map_err(Errno::from), Err(Errno::INVAL), "{entries}");
    }
    for entries in (0..16).map(|bit| 1 << bit) {
        assert_eq!(register(entries), Ok(entries));
        assert_eq!(free(&ring, 1), Ok(()));
    }
}

#[test]
fn flags_that_the_kernel_does_not_know_are_refused() {
    require!(register: RegisterOp::REGISTER_PBUF_RING);
    let ring = ring();
    let unknown = BufRingFlags::from_bits_retain(1 << 15);
    let refused = ring.registrar().register_buffer_ring(1, 4, unknown);
    assert_eq!(refused.map(|buffers| buffers.group()).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(free(&ring, 1), Err(Errno::NOENT));
}

/// liburing: buf-ring.
#[test]
fn registering_a_group_twice_is_eexist() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let mut ring = ring();
    let register = |ring: &IoUring, flags| {
        ring.registrar().register_buffer_ring(1, 4, flags).map(|buffers| buffers.group())
    };
    assert_eq!(register(&ring, OWN), Ok(1));
    for flags in [OWN, MMAP] {
        assert_eq!(register(&ring, flags).map_err(Errno::from), Err(Errno::EXIST));
    }
    assert_eq!(free(&ring, 1), Ok(()));
    assert_eq!(register(&ring, MMAP), Ok(1));
    assert_eq!(register(&ring, OWN).map_err(Errno::from), Err(Errno::EXIST));
    assert_eq!(free(&ring, 1), Ok(()));

    // Buffers that are provided one by one also form a group, which ends with its last buffer.
    provide::<8>(&mut ring, 1, 2);
    assert_eq!(register(&ring, OWN).map_err(Errno::from), Err(Errno::EXIST));
    assert_eq!(complete_safe(&mut ring, RemoveBuffers::new(2, 1).sqe(1)).result(), Ok(2));
    assert_eq!(register(&ring, OWN), Ok(1));
}

#[test]
fn unregistering_or_querying_a_group_that_is_no_ring_fails() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let mut ring = ring();
    assert_eq!(free(&ring, 1), Err(Errno::NOENT));
    assert_eq!(ring.registrar().buffer_ring_head(1).map_err(Errno::from), Err(Errno::NOENT));
    provide::<8>(&mut ring, 1, 2);
    assert_eq!(free(&ring, 1), Err(Errno::INVAL));
    assert_eq!(ring.registrar().buffer_ring_head(1).map_err(Errno::from), Err(Errno::INVAL));
    assert!(matches!(read(&mut ring, 1, b"abc"), (Ok(3), Some(_))));
}

/// liburing: buf-ring.
#[test]
fn a_group_can_be_unregistered_and_registered_again() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let mut ring = ring();
    for round in 0..100_u16 {
        let flags = if round % 2 == 0 { OWN } else { MMAP };
        let buffers = Buffers::new(&ring, 1, 1 << (round % 5), 8, flags);
        assert_eq!(read(&mut ring, 1, b"abc"), (Ok(3), Some(0)));
        assert_eq!(buffers.bytes(0, 3), b"abc");
        ring.registrar().unregister_buffer_ring(buffers.ring).expect("it is registered");
        assert_eq!(free(&ring, 1), Err(Errno::NOENT));
        assert_eq!(read(&mut ring, 1, b"abc"), NONE_LEFT);
    }
}

/// liburing: ringbuf-status.
#[test]
fn the_head_counts_the_buffers_that_were_consumed() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let mut ring = ring();
    for (group, flags) in [(1, OWN), (2, MMAP)] {
        let mut buffers = Buffers::new(&ring, group, 4, 8, flags);
        let left = |ring: &IoUring, buffers: &Buffers| {
            let head = ring.registrar().buffer_ring_head(group).expect("it is a ring");
            (head, buffers.ring.tail().wrapping_sub(head))
        };
        for taken in 0..4 {
            assert_eq!(left(&ring, &buffers), (taken, 4 - taken));
            assert_eq!(buffers.ring.len(), 4 - taken);
            assert_eq!(read_into(&mut ring, &mut buffers, b"abc"), (Ok(3), Some(taken)));
        }
        assert_eq!(read(&mut ring, group, b"abc"), NONE_LEFT);
        assert_eq!(left(&ring, &buffers), (4, 0));
        assert!(buffers.ring.is_empty());
        buffers.give(1);
        assert_eq!(left(&ring, &buffers), (4, 1));
    }
}

#[test]
fn the_kernel_keeps_published_buffers_after_the_value_is_dropped() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let mut ring = ring();
    for (group, flags) in [(1, OWN), (2, MMAP)] {
        let Buffers { ring: buffers, .. } = Buffers::new(&ring, group, 2, 8, flags);
        drop(buffers);
        // New mappings are not placed where the kernel reads the ring.
        let others: Vec<_> = (0..8).map(|_| Pages::new(page_size())).collect();
        assert_eq!(read(&mut ring, group, b"abc"), (Ok(3), Some(0)));
        assert_eq!(read(&mut ring, group, b"abc"), (Ok(3), Some(1)));
        assert_eq!(read(&mut ring, group, b"abc"), NONE_LEFT);
        drop(others);
    }
}

/// liburing: buf-ring-put.
#[test]
fn rings_in_the_kernels_memory_stay_valid_when_their_groups_are_freed() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let ring = ring();
    let make = |group| ring.registrar().register_buffer_ring(group, 16, MMAP).expect("a ring");
    let all: Vec<_> = (0..128).map(|group| Buffers::over(make(group), 8)).collect();
    // The values stay, and buffers are added to them: their memory must still be valid.
    for group in (0..128).rev() {
        assert_eq!(free(&ring, group), Ok(()));
    }
    let fresh: Vec<_> = (0..128).map(|group| Buffers::over(make(group), 8)).collect();
    let mut all: Vec<_> = all.into_iter().chain(fresh).collect();
    all.iter_mut().for_each(|buffers| buffers.give(3));
    ring.close();
    all.iter_mut().for_each(|buffers| buffers.give(5));
}

/// liburing: buf-ring-nommap.
#[test]
fn a_ring_in_the_callers_memory_can_have_a_buffer_ring_in_the_kernels() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    require!(setup: SetupFlags::NO_MMAP);
    let memory = Provided::for_ring(&IoUring::builder(), 8);
    // SAFETY: one ring, which is dropped before the memory.
    let mut ring = unsafe { memory.give(IoUring::builder()) }.build(8).expect("a ring");
    for group in [0, 9] {
        let buffers = ring.registrar().register_buffer_ring(group, 4, MMAP).expect("a ring");
        exercise(&mut ring, buffers);
    }
}

#[test]
fn a_ring_without_a_descriptor_cannot_have_a_buffer_ring_in_the_kernels_memory() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    require!(setup: SetupFlags::NO_MMAP | SetupFlags::REGISTERED_FD_ONLY);
    let memory = Provided::for_ring(&IoUring::builder(), 8);
    // SAFETY: one ring, which is dropped before the memory.
    let builder = unsafe { memory.give(IoUring::builder()) };
    let mut ring = builder.build_without_fd(8).expect("a ring");
    let refused = ring.registrar().register_buffer_ring(1, 4, MMAP);
    assert_eq!(refused.map(|buffers| buffers.group()).map_err(Errno::from), Err(Errno::BADF));
    // The failed registration left no group behind.
    let buffers = Buffers::new(&ring, 1, 4, 8, OWN);
    assert_eq!(read(&mut ring, 1, b"abc"), (Ok(3), Some(0)));
    assert_eq!(buffers.bytes(0, 3), b"abc");
}

/// liburing: ringbuf-read.
#[test]
fn reads_from_files_use_provided_buffers_too() {
    require!(register: RegisterOp::REGISTER_PBUF_RING);
    let mut ring = ring();
    let buffers = Buffers::new(&ring, 1, 4, 16, OWN);
    let file = File::open("Cargo.toml").expect("the package's own");
    let text = std::fs::read("Cargo.toml").expect("the package's own");
    for (bid, from) in [(0, 0), (1, 16), (2, 32), (3, 3)] {
        let read = Read::provided(&file, 0, 1).offset(from).sqe(1);
        // SAFETY: the file stays until `complete` returns, and the memory forever.
        let cqe = unsafe { complete(&mut ring, read) };
        assert_eq!((cqe.result(), cqe.buffer_id()), (Ok(16), Some(bid)));
        let from = usize::try_from(from).expect("a small number");
        assert_eq!(buffers.bytes(bid, 16), &text[from..from + 16]);
    }
}
