//! The ring's tables: buffers to pick from, and files by slot, changed in order with the rest.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::fs::File;
use std::io::{Read as _, Write as _};

use crate::common::{TempDir, complete, reap, require};
use crate::op_common;
use crate::op_common::{
    AS_OF_5_19, AS_OF_6_0, AS_OF_6_11, assert_quiet, cancel, complete_safe, owned, pipe, provide,
    reap_told, ring, start, start_all, unix_pair,
};
use ringbolt::ops::{
    FilesUpdate, Fixed, FixedFdInstall, Nop, ProvideBuffers, Read, Recv, RemoveBuffers,
};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fd::AsRawFd as _;
use ringbolt::rustix::io::{Errno, FdFlags, fcntl_getfd};
use ringbolt::sys::{BufRingFlags, CqeFlags, Features, FixedFdFlags, Opcode};
use ringbolt::{Cqe, IoUring, Sqe};

const GROUP: u16 = 0xfffe;

/// What the whole buffer `id` holds that a completion named, of those in `memory`.
fn buffer<const N: usize>(memory: &[u8], cqe: Cqe) -> &[u8] {
    let id = usize::from(cqe.buffer_id().expect("a buffer was picked"));
    &memory[id * N..][..N]
}

/// Reads from a file into a buffer of `GROUP`.
fn read_some(ring: &mut IoUring, file: &File, len: u32, offset: u64) -> Cqe {
    let read = Read::provided(file, len, GROUP).offset(offset).sqe(1);
    // SAFETY: the caller keeps the file; the memory of groups is leaked, and read only when it
    // has come back.
    unsafe { complete(ring, read) }
}

fn file(contents: &[u8]) -> (TempDir, File) {
    let dir = TempDir::new();
    let path = dir.file("data", contents);
    (dir, File::open(path).expect("it was just made"))
}

#[test]
fn reads_pick_buffers_of_their_group_until_there_is_none() {
    require!(op: AS_OF_6_0);
    require!(op: Opcode::PROVIDE_BUFFERS);
    let (_dir, file) = file(b"0123456789abcdef0123");
    let mut ring = ring();
    let memory = provide::<8>(&mut ring, GROUP, 3);
    let table = [(0, 0, 8, b"01234567"), (3, 4, 3, b"456-----"), (100, 18, 2, b"23------")];
    let mut ids = Vec::new();
    for (len, offset, result, contents) in table {
        let cqe = read_some(&mut ring, &file, len, offset);
        assert_eq!(cqe.result(), Ok(result), "{len} bytes from {offset}");
        assert_eq!(buffer::<8>(memory, cqe), contents);
        ids.extend(cqe.buffer_id());
    }
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2], "each was used once");
    let cqe = read_some(&mut ring, &file, 0, 0);
    assert_eq!((cqe.result(), cqe.buffer_id()), (Err(Errno::NOBUFS), None));
}

#[test]
fn a_group_that_was_empty_can_be_filled_again() {
    require!(op: AS_OF_6_0);
    require!(op: Opcode::PROVIDE_BUFFERS);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let memory: &'static mut [u8; 8] = op_common::leaked();
    let start_of = memory.as_mut_ptr();
    for round in 0..50_u8 {
        // Any id will do; the largest tells whether it is cut.
        let id = u16::MAX - u16::from(round);
        let provide = ProvideBuffers::new(start_of, 8, 1, GROUP, id).sqe(1);
        // SAFETY: the memory is leaked, and was read when it had come back.
        assert_eq!(unsafe { complete(&mut ring, provide) }.result(), Ok(0));
        ours.write_all(&[round; 4]).expect("room in the socket");
        // SAFETY: the socket stays until `complete` returns, and the group's memory for ever.
        let cqe = unsafe { complete(&mut ring, Recv::provided(&theirs, GROUP).sqe(2)) };
        assert_eq!((cqe.result(), cqe.buffer_id()), (Ok(4), Some(id)));
        assert!(cqe.flags().contains(CqeFlags::BUFFER));
        // SAFETY: it came back with the completion above: nobody else uses it.
        assert_eq!(unsafe { start_of.cast::<[u8; 4]>().read() }, [round; 4]);
        // SAFETY: as above.
        let cqe = unsafe { complete(&mut ring, Recv::provided(&theirs, GROUP).sqe(3)) };
        assert_eq!((cqe.result(), cqe.buffer_id()), (Err(Errno::NOBUFS), None));
    }
}

#[test]
fn receives_that_wait_share_the_last_buffer_until_there_is_data() {
    require!(op: AS_OF_6_11);
    require!(op: Opcode::PROVIDE_BUFFERS);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let memory = provide::<8>(&mut ring, GROUP, 1);
    for id in 1..=2 {
        // SAFETY: the socket stays, and the group's memory for ever.
        unsafe { start(&mut ring, Recv::provided(&theirs, GROUP).sqe(id)) };
    }
    assert_quiet(&mut ring);
    ours.write_all(b"abc").expect("room in the socket");
    let cqe = reap(&mut ring, 1).remove(0);
    assert_eq!(cqe.result(), Ok(3), "one buffer is enough until then");
    assert_eq!(buffer::<8>(memory, cqe), b"abc-----");
    let other = 3 - cqe.user_data();
    ours.write_all(b"def").expect("room in the socket");
    assert_eq!(reap_told(&mut ring, 1), [(other, Err(Errno::NOBUFS))]);
}

#[test]
fn a_buffer_that_a_cancelled_read_held_comes_back_with_its_completion() {
    require!(op: AS_OF_6_0);
    // Goal: no buffer is lost. Method: a read that waits may hold one, or not; together with
    // those that can still be removed there are as many as there were.
    require!(op: Opcode::PROVIDE_BUFFERS);
    let (reader, _writer) = pipe();
    let mut ring = ring();
    provide::<8>(&mut ring, GROUP, 3);
    // SAFETY: the pipe stays, and the group's memory for ever.
    unsafe { start(&mut ring, Read::provided(&reader, 0, GROUP).sqe(1)) };
    assert_quiet(&mut ring);
    cancel(&mut ring, 1, 2);
    let mut both = reap(&mut ring, 2);
    both.sort_by_key(Cqe::user_data);
    assert_eq!([both[0].result(), both[1].result()], [Err(Errno::CANCELED), Ok(0)]);
    let held = u32::from(both[0].buffer_id().is_some());
    let remove = RemoveBuffers::new(9, GROUP).sqe(3);
    assert_eq!(complete_safe(&mut ring, remove).result(), Ok(3 - held));
}

#[test]
fn groups_are_apart_and_buffers_are_taken_back_by_number() {
    require!(op: AS_OF_6_11);
    require!(op: Opcode::PROVIDE_BUFFERS);
    let (_dir, file) = file(b"abcd");
    let mut ring = ring();
    provide::<8>(&mut ring, GROUP, 5);
    provide::<8>(&mut ring, 0, 5);
    let mut remove =
        |count, group| complete_safe(&mut ring, RemoveBuffers::new(count, group).sqe(1)).result();
    assert_eq!(remove(2, GROUP), Ok(2));
    assert_eq!(remove(u16::MAX, GROUP), Ok(3), "as many as there are");
    assert_eq!(remove(1, 7), Err(Errno::NOENT), "no such group");
    assert_eq!(remove(0, 0), Err(Errno::INVAL), "none");
    assert_eq!(read_some(&mut ring, &file, 0, 0).result(), Err(Errno::NOBUFS));
    // SAFETY: the file stays, and the group's memory for ever.
    let cqe = unsafe { complete(&mut ring, Read::provided(&file, 0, 0).sqe(1)) };
    assert_eq!(cqe.result(), Ok(4), "the other group has its own");
}

#[test]
fn buffers_that_cannot_be_provided_say_why() {
    require!(op: AS_OF_6_0);
    require!(op: Opcode::PROVIDE_BUFFERS);
    let mut ring = ring();
    let memory = op_common::leaked::<64>().as_mut_ptr();
    let nowhere = core::ptr::without_provenance_mut(usize::MAX - 100);
    let table = [
        (ProvideBuffers::new(memory, 8, 0, GROUP, 0), Errno::TOOBIG),
        (ProvideBuffers::new(memory, 8, 2, GROUP, u16::MAX), Errno::INVAL),
        (ProvideBuffers::new(nowhere, 8, 1, GROUP, 0), Errno::FAULT),
        (ProvideBuffers::new(nowhere, 64, 8, GROUP, 0), Errno::OVERFLOW),
    ];
    // No address of a 32-bit program is too high for a 64-bit kernel.
    let cases = if cfg!(target_pointer_width = "64") { 4 } else { 2 };
    for (provide, errno) in table.into_iter().take(cases) {
        // SAFETY: what is leaked may be used for ever; the rest is no memory.
        let cqe = unsafe { complete(&mut ring, provide.sqe(1)) };
        assert_eq!(cqe.result(), Err(errno), "{provide:?}");
    }
}

#[test]
fn a_group_that_is_a_buffer_ring_is_left_alone() {
    require!(op: AS_OF_5_19);
    let mut ring = ring();
    let group = ring.registrar().register_buffer_ring(GROUP, 8, BufRingFlags::empty());
    let _group = group.expect("a buffer ring");
    let memory = op_common::leaked::<8>().as_mut_ptr();
    let entries: [Sqe; 2] = [
        ProvideBuffers::new(memory, 8, 1, GROUP, 0).sqe(1),
        RemoveBuffers::new(1, GROUP).sqe(2).into(),
    ];
    for entry in entries {
        // SAFETY: the memory is leaked.
        let cqe = unsafe { complete(&mut ring, entry) };
        assert_eq!(cqe.result(), Err(Errno::INVAL), "{entry:?}");
    }
}

#[test]
fn provided_buffers_come_in_order_with_the_read_that_needs_them() {
    require!(op: AS_OF_6_0);
    require!(op: Opcode::PROVIDE_BUFFERS);
    let (_dir, file) = file(b"abcdefgh");
    let mut ring = ring();
    let memory: &'static mut [u8; 8] = op_common::leaked();
    let provide = ProvideBuffers::new(memory.as_mut_ptr(), 8, 1, GROUP, 0).sqe(1).link();
    let read = Read::provided(&file, 0, GROUP).offset(0).sqe(2).link();
    let gone = Read::provided(&file, 0, GROUP).offset(0).sqe(3).link();
    let chain = [provide, read, gone, Nop::new().sqe(4).into()];
    // SAFETY: the memory is leaked, and read below when it has come back; the file stays.
    unsafe { start_all(&mut ring, &chain) };
    let told = reap_told(&mut ring, 4);
    let expected = [(1, Ok(0)), (2, Ok(8)), (3, Err(Errno::NOBUFS)), (4, Err(Errno::CANCELED))];
    assert_eq!(told, expected);
    assert_eq!(memory, b"abcdefgh");
}

/// Three files that tell themselves apart: each holds its own number.
fn files() -> (TempDir, [File; 3]) {
    let dir = TempDir::new();
    let open =
        |byte: u8| File::open(dir.file(&byte.to_string(), &[byte; 1])).expect("it was just made");
    let files = [b'0', b'1', b'2'].map(open);
    (dir, files)
}

/// What is behind the slots of a table of four: the number of each file, or nothing.
fn slots(ring: &mut IoUring) -> [Option<u8>; 4] {
    [0, 1, 2, 3].map(|slot| {
        let mut buf = [0_u8];
        let read = Read::new(Fixed(slot), buf.as_mut_ptr(), 1).offset(0).sqe(1);
        // SAFETY: `buf` stays until `complete` returns.
        match unsafe { complete(ring, read) }.result() {
            Ok(1) => Some(buf[0]),
            Err(Errno::BADF) => None,
            other => panic!("slot {slot}: {other:?}"),
        }
    })
}

fn update(ring: &mut IoUring, first: u32, slots: &[FileSlot<'_>]) -> Result<u32, Errno> {
    let count = u32::try_from(slots.len()).expect("a few");
    let update = FilesUpdate::new(Fixed(first), slots.as_ptr(), count).sqe(1);
    // SAFETY: the slots, and the files that they borrow, stay until `complete` returns.
    unsafe { complete(ring, update) }.result()
}

/// liburing: file-update.
#[test]
fn an_update_fills_skips_and_empties_slots() {
    require!(op: Opcode::FILES_UPDATE);
    let (_dir, [zero, one, two]) = files();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::EMPTY; 4]).expect("four empty slots");
    let pair = [FileSlot::from(&one), FileSlot::from(&two)];
    assert_eq!(update(&mut ring, 1, &pair), Ok(2));
    assert_eq!(slots(&mut ring), [None, Some(b'1'), Some(b'2'), None]);
    let change = [FileSlot::EMPTY, FileSlot::SKIP, FileSlot::from(&zero)];
    assert_eq!(update(&mut ring, 1, &change), Ok(3));
    assert_eq!(slots(&mut ring), [None, None, Some(b'2'), Some(b'0')]);
    assert_eq!(update(&mut ring, 0, &[FileSlot::from(&zero)]), Ok(1));
    assert_eq!(slots(&mut ring), [Some(b'0'), None, Some(b'2'), Some(b'0')]);
}

#[test]
fn an_update_that_cannot_be_says_why_and_how_far_it_came() {
    require!(op: Opcode::FILES_UPDATE);
    let (_dir, [zero, one, _]) = files();
    let mut ring = ring();
    let slot = [FileSlot::from(&zero)];
    assert_eq!(update(&mut ring, 0, &slot), Err(Errno::NXIO), "no table");
    ring.registrar().register_files(&[FileSlot::EMPTY; 4]).expect("four empty slots");
    assert_eq!(update(&mut ring, 0, &[]), Err(Errno::INVAL));
    assert_eq!(update(&mut ring, 4, &slot), Err(Errno::INVAL), "behind the last slot");
    assert_eq!(update(&mut ring, 3, &[slot[0]; 2]), Err(Errno::INVAL));
    assert_eq!(update(&mut ring, 3, &slot), Ok(1));
    // A ring cannot be in a table; whatever is in front of it has gone in.
    let other = self::ring();
    let change = [FileSlot::from(&one), FileSlot::from(&other), FileSlot::from(&one)];
    assert_eq!(update(&mut ring, 0, &change), Ok(1));
    assert_eq!(slots(&mut ring), [Some(b'1'), None, None, Some(b'0')]);
    assert_eq!(update(&mut ring, 0, &[FileSlot::from(&other)]), Err(Errno::BADF), "not even one");
}

#[test]
fn files_go_into_free_slots_whose_numbers_replace_them() {
    require!(op: AS_OF_5_19);
    let (_dir, [zero, one, two]) = files();
    let mut ring = ring();
    let table = [FileSlot::EMPTY, FileSlot::from(&zero), FileSlot::EMPTY, FileSlot::EMPTY];
    ring.registrar().register_files(&table).expect("four slots");
    let mut fds = [one.as_raw_fd(), two.as_raw_fd()];
    let alloc = FilesUpdate::alloc(fds.as_mut_ptr(), 2).sqe(1);
    // SAFETY: the array and the files stay until `complete` returns.
    assert_eq!(unsafe { complete(&mut ring, alloc) }.result(), Ok(2));
    assert_eq!(fds, [0, 2]);
    assert_eq!(slots(&mut ring), [Some(b'1'), Some(b'0'), Some(b'2'), None]);
    // One more fits, of two.
    let mut fds = [two.as_raw_fd(), one.as_raw_fd()];
    let alloc = FilesUpdate::alloc(fds.as_mut_ptr(), 2).sqe(2);
    // SAFETY: as above.
    assert_eq!(unsafe { complete(&mut ring, alloc) }.result(), Ok(1));
    assert_eq!((fds[0], slots(&mut ring)[3]), (3, Some(b'2')));
    // Its place in the array has the number of the slot by now.
    let mut fds = [two.as_raw_fd(), one.as_raw_fd()];
    let alloc = FilesUpdate::alloc(fds.as_mut_ptr(), 2).sqe(3);
    // SAFETY: as above.
    assert_eq!(unsafe { complete(&mut ring, alloc) }.result(), Err(Errno::NFILE));
}

#[test]
fn a_file_updated_into_a_slot_is_there_for_the_next_in_the_chain() {
    require!(feature: Features::LINKED_FILE);
    require!(op: Opcode::FILES_UPDATE);
    let (_dir, [zero, one, _]) = files();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&zero)]).expect("a slot");
    let mut buf = [0_u8];
    let change = [FileSlot::from(&one)];
    let chain = [
        FilesUpdate::new(Fixed(0), change.as_ptr(), 1).sqe(1).link(),
        Read::new(Fixed(0), buf.as_mut_ptr(), 1).offset(0).sqe(2),
    ];
    // SAFETY: the array, the files and `buf` stay until both completions are there.
    unsafe { start_all(&mut ring, &chain) };
    assert_eq!(reap_told(&mut ring, 2), [(1, Ok(1)), (2, Ok(1))]);
    assert_eq!(&buf, b"1");
}

#[test]
fn a_descriptor_is_made_of_a_slot_which_stays() {
    require!(op: Opcode::FIXED_FD_INSTALL);
    let (_dir, [zero, ..]) = files();
    let mut ring = ring();
    let table = [FileSlot::EMPTY, FileSlot::from(&zero), FileSlot::EMPTY, FileSlot::EMPTY];
    ring.registrar().register_files(&table).expect("four slots");
    drop(zero);
    let install = FixedFdInstall::new(Fixed(1));
    let no_cloexec = install.flags(FixedFdFlags::NO_CLOEXEC);
    for (install, flags) in [(install, FdFlags::CLOEXEC), (no_cloexec, FdFlags::empty())] {
        let mut file = File::from(owned(complete_safe(&mut ring, install.sqe(1)).result()));
        assert_eq!(fcntl_getfd(&file), Ok(flags));
        let mut buf = Vec::new();
        let place = file.read_to_end(&mut buf).map(|_| buf);
        // Both share the position of the one file.
        let expected = if flags.is_empty() { &b""[..] } else { b"0" };
        assert_eq!(place.ok().as_deref(), Some(expected));
    }
    assert_eq!(slots(&mut ring)[1], Some(b'0'));
}

#[test]
fn a_slot_of_which_no_descriptor_can_be_made_says_why() {
    require!(op: Opcode::FIXED_FD_INSTALL);
    let (_dir, [zero, ..]) = files();
    let mut ring = ring();
    let mut install = |slot, flags| {
        complete_safe(&mut ring, FixedFdInstall::new(Fixed(slot)).flags(flags).sqe(1)).result()
    };
    let none = FixedFdFlags::empty();
    assert_eq!(install(0, none), Err(Errno::BADF), "no table");
    assert_eq!(install(0, FixedFdFlags::from_bits_retain(1 << 9)), Err(Errno::INVAL));
    ring.registrar().register_files(&[FileSlot::from(&zero), FileSlot::EMPTY]).expect("two slots");
    let mut install = |sqe: Sqe| {
        // SAFETY: the entry names nothing but a slot.
        unsafe { complete(&mut ring, sqe) }.result()
    };
    let of = |slot| Sqe::from(FixedFdInstall::new(Fixed(slot)).sqe(1));
    assert_eq!(install(of(1)), Err(Errno::BADF), "an empty slot");
    assert_eq!(install(of(2)), Err(Errno::BADF), "no such slot");
    // Not a slot but a descriptor: what has one needs none made.
    let mut plain = of(0);
    plain.set_flags(ringbolt::sys::SqeFlags::empty());
    assert_eq!(install(plain), Err(Errno::BADF));
}
