//! Tags, which report when the kernel has released a file or a buffer; and the range of slots from
//! which the kernel allocates.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;

use crate::common::{TempDir, complete, require};
use crate::op_common::{Told, assert_quiet, leaked, pipe, reap_sorted, reap_told, ring, start};
use ringbolt::IoUring;
use ringbolt::ops::{Close, DestSlot, Fixed, IoVec, OpenAt, Read, ReadFixed};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fs::{CWD, OFlags};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::RegisterOp;

/// The completion of a tag.
const fn tag(tag: u64) -> Told {
    (tag, Ok(0))
}

/// A ring with one end of a pipe in each of three slots; the second slot has no tag.
fn tagged(pipe: &(File, File)) -> IoUring {
    let ring = ring();
    let slots = [FileSlot::from(&pipe.0); 3];
    assert_eq!(ring.registrar().register_files_tagged(&slots, &[10, 0, 30]), Ok(()));
    ring
}

/// liburing: rsrc_tags.
#[test]
fn a_tag_is_posted_when_its_file_is_replaced() {
    require!(register: RegisterOp::REGISTER_FILES2);
    let pipe = pipe();
    let mut ring = tagged(&pipe);
    assert_quiet(&mut ring);
    assert_eq!(ring.registrar().update_files(0, &[FileSlot::EMPTY]), Ok(1));
    assert_eq!(reap_told(&mut ring, 1), [tag(10)]);
    let two = [FileSlot::from(&pipe.1); 2];
    assert_eq!(ring.registrar().update_files(1, &two), Ok(2));
    assert_eq!(reap_told(&mut ring, 1), [tag(30)], "and none for the slot without a tag");
    // The new files have no tags.
    assert_eq!(ring.registrar().unregister_files(), Ok(()));
    assert_quiet(&mut ring);
}

/// liburing: rsrc_tags.
#[test]
fn tags_are_posted_when_the_table_is_dropped() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_FILES2);
    let pipe = pipe();
    let mut ring = tagged(&pipe);
    assert_eq!(ring.registrar().unregister_files(), Ok(()));
    assert_eq!(reap_sorted(&mut ring, 2), [tag(10), tag(30)]);
    assert_quiet(&mut ring);
}

/// liburing: rsrc_tags.
#[test]
fn a_tag_waits_for_the_operation_that_uses_its_file() {
    require!(register: RegisterOp::REGISTER_FILES2);
    let mut pipe = pipe();
    let mut ring = tagged(&pipe);
    let buf = leaked::<8>();
    // SAFETY: the buffer stays forever, and is not touched until the completion is there.
    unsafe { start(&mut ring, Read::new(Fixed(0), buf.as_mut_ptr(), 8).sqe(1)) };
    assert_quiet(&mut ring);
    assert_eq!(ring.registrar().update_files(0, &[FileSlot::EMPTY]), Ok(1));
    assert_quiet(&mut ring);
    std::thread::sleep(core::time::Duration::from_millis(20));
    assert_quiet(&mut ring);
    pipe.1.write_all(b"abc").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 2), [(1, Ok(3)), tag(10)]);
}

#[test]
fn updates_can_set_new_tags() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_FILES_UPDATE2);
    let pipe = pipe();
    let mut ring = tagged(&pipe);
    let slot = FileSlot::from(&pipe.1);
    let update = |first, slots: &[FileSlot<'_>], tags: &[u64]| {
        ring.registrar().update_files_tagged(first, slots, tags)
    };
    assert_eq!(update(0, &[slot, slot], &[11, 21]), Ok(2));
    assert_eq!(update(0, &[slot, FileSlot::SKIP, FileSlot::EMPTY], &[12, 0, 0]), Ok(3));
    assert_eq!(reap_told(&mut ring, 3), [tag(10), tag(11), tag(30)]);
    assert_eq!(ring.registrar().unregister_files(), Ok(()));
    assert_eq!(reap_sorted(&mut ring, 2), [tag(12), tag(21)]);
}

#[test]
fn a_slot_without_a_file_has_no_tag() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_FILES_UPDATE2);
    let pipe = pipe();
    let mut ring = ring();
    let registrar = ring.registrar();
    let (file, empty) = (FileSlot::from(&pipe.0), FileSlot::EMPTY);
    assert_eq!(
        registrar.register_files_tagged(&[file, empty], &[1, 2]).map_err(Errno::from),
        Err(Errno::INVAL)
    );
    // The whole table is registered, or nothing, and then no tag is posted.
    assert_eq!(registrar.unregister_files().map_err(Errno::from), Err(Errno::NXIO));
    assert_quiet(&mut ring);
    let registrar = ring.registrar();
    assert_eq!(registrar.register_files_tagged(&[file, empty], &[1, 0]), Ok(()));
    for (slot, new) in [(FileSlot::EMPTY, 3), (FileSlot::SKIP, 5)] {
        assert_eq!(
            registrar.update_files_tagged(0, &[slot], &[new]).map_err(Errno::from),
            Err(Errno::INVAL)
        );
        assert_eq!(registrar.update_files_tagged(0, &[file, slot], &[new, 9]), Ok(1));
    }
    assert_eq!(reap_told(&mut ring, 2), [tag(1), tag(3)]);
    assert_eq!(ring.registrar().unregister_files(), Ok(()));
    assert_eq!(reap_told(&mut ring, 1), [tag(5)]);
    assert_quiet(&mut ring);
}

#[test]
fn the_numbers_of_tags_and_slots_must_be_equal() {
    require!(register: RegisterOp::REGISTER_FILES_UPDATE2);
    let pipe = pipe();
    let ring = ring();
    let registrar = ring.registrar();
    let slots = [FileSlot::from(&pipe.0); 2];
    for tags in [&[][..], &[1], &[1, 2, 3]] {
        assert_eq!(
            registrar.register_files_tagged(&slots, tags).map_err(Errno::from),
            Err(Errno::INVAL)
        );
        // SAFETY: there is no memory.
        let buffers = unsafe { registrar.register_buffers_tagged(&[IoVec::EMPTY; 2], tags) };
        assert_eq!(buffers.map_err(Errno::from), Err(Errno::INVAL));
    }
    assert_eq!(registrar.unregister_files().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(registrar.unregister_buffers().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(
        registrar.update_files_tagged(0, &slots, &[1, 2]).map_err(Errno::from),
        Err(Errno::NXIO)
    );
    assert_eq!(registrar.register_files_tagged(&slots, &[1, 2]), Ok(()));
    assert_eq!(
        registrar.register_files_tagged(&slots, &[1, 2]).map_err(Errno::from),
        Err(Errno::BUSY)
    );
    assert_eq!(
        registrar.update_files_tagged(0, &slots, &[1]).map_err(Errno::from),
        Err(Errno::INVAL)
    );
    assert_eq!(
        registrar.update_files_tagged(1, &slots, &[1, 2]).map_err(Errno::from),
        Err(Errno::INVAL)
    );
    assert_eq!(
        registrar.update_files_tagged(0, &[], &[]).map_err(Errno::from),
        Err(Errno::INVAL),
        "none"
    );
    assert_eq!(
        registrar.register_files_tagged(&[], &[]).map_err(Errno::from),
        Err(Errno::INVAL),
        "none"
    );
}

/// A ring with two buffers that are leaked and tagged 10 and 20, around an empty slot.
fn with_buffers() -> (IoUring, [&'static mut [u8; 8]; 2]) {
    let ring = ring();
    let buffers = [leaked::<8>(), leaked::<8>()];
    let [one, two] = buffers.each_ref().map(|buf| IoVec::from(&buf[..]));
    let registrar = ring.registrar();
    // SAFETY: the memory stays forever.
    let result =
        unsafe { registrar.register_buffers_tagged(&[one, IoVec::EMPTY, two], &[10, 0, 20]) };
    assert_eq!(result, Ok(()));
    (ring, buffers)
}

#[test]
fn tagged_buffers_work_like_untagged_ones() {
    require!(register: RegisterOp::REGISTER_BUFFERS2);
    let (mut ring, [one, two]) = with_buffers();
    let dir = TempDir::new();
    let file = File::open(dir.file("data", b"0123456789")).expect("it was just made");
    for (buf, index) in [(one, 0), (two, 2)] {
        let read = ReadFixed::new(&file, buf.as_mut_ptr(), 4, index).offset(3).sqe(1);
        // SAFETY: the file stays until `complete` returns; the memory is leaked.
        assert_eq!(unsafe { complete(&mut ring, read) }.result(), Ok(4));
        assert_eq!(buf, b"3456----");
    }
    assert_quiet(&mut ring);
}

/// liburing: rsrc_tags.
#[test]
fn a_tag_is_posted_when_its_buffer_is_replaced_or_the_table_dropped() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_BUFFERS2);
    let (mut ring, _) = with_buffers();
    // SAFETY: there is no memory.
    let update = unsafe { ring.registrar().update_buffers(0, &[IoVec::EMPTY; 2]) };
    assert_eq!(update, Ok(2));
    assert_eq!(reap_told(&mut ring, 1), [tag(10)]);
    assert_quiet(&mut ring);
    assert_eq!(ring.registrar().unregister_buffers(), Ok(()));
    assert_eq!(reap_told(&mut ring, 1), [tag(20)]);
    assert_quiet(&mut ring);
}

#[test]
fn a_buffer_that_replaces_another_has_its_own_tag() {
    require!(register: RegisterOp::REGISTER_BUFFERS2);
    let (mut ring, _) = with_buffers();
    let new = [IoVec::from(&leaked::<8>()[..])];
    let update = |ring: &IoUring, tags: &[u64]| {
        // SAFETY: the memory stays forever.
        unsafe { ring.registrar().update_buffers_tagged(0, &new, tags) }
    };
    assert_eq!(update(&ring, &[]).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(update(&ring, &[30]), Ok(1));
    assert_eq!(reap_told(&mut ring, 1), [tag(10)]);
    assert_eq!(update(&ring, &[40]), Ok(1));
    assert_eq!(reap_told(&mut ring, 1), [tag(30)]);
    assert_quiet(&mut ring);
}

/// liburing: rsrc_tags.
#[test]
fn a_tag_waits_for_the_operation_that_uses_its_buffer() {
    require!(register: RegisterOp::REGISTER_BUFFERS2);
    let (reader, mut writer) = pipe();
    let (mut ring, [buf, _]) = with_buffers();
    // SAFETY: the memory is leaked, and not touched until the completion is there.
    unsafe { start(&mut ring, ReadFixed::new(&reader, buf.as_mut_ptr(), 8, 0).sqe(1)) };
    assert_quiet(&mut ring);
    // SAFETY: there is no memory.
    assert_eq!(unsafe { ring.registrar().update_buffers(0, &[IoVec::EMPTY]) }, Ok(1));
    assert_quiet(&mut ring);
    std::thread::sleep(core::time::Duration::from_millis(20));
    assert_quiet(&mut ring);
    writer.write_all(b"abc").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 2), [(1, Ok(3)), tag(10)]);
    assert_eq!(buf, b"abc-----");
}

#[test]
fn a_slot_without_a_buffer_has_no_tag() {
    require!(register: RegisterOp::REGISTER_BUFFERS2);
    let mut ring = ring();
    let here = IoVec::from(&leaked::<8>()[..]);
    let register = |tags: &[u64]| {
        // SAFETY: the memory stays forever.
        unsafe { ring.registrar().register_buffers_tagged(&[here, IoVec::EMPTY], tags) }
    };
    assert_eq!(register(&[1, 2]).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(ring.registrar().unregister_buffers().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(register(&[1, 0]), Ok(()));
    assert_quiet(&mut ring);
}

/// A table of empty slots, and a file to be opened into them.
struct Slots {
    ring: IoUring,
    path: CString,
    _dir: TempDir,
}

impl Slots {
    fn new(slots: u32) -> Self {
        let (ring, dir) = (ring(), TempDir::new());
        ring.registrar().register_files_sparse(slots).expect("empty slots");
        let path = dir.file("data", b"d").into_os_string().into_encoded_bytes();
        Self { ring, path: CString::new(path).expect("a path without NUL"), _dir: dir }
    }

    /// The slot that the kernel chooses.
    fn open(&mut self) -> Result<u32, Errno> {
        self.open_at(DestSlot::Alloc)
    }

    fn open_at(&mut self, slot: DestSlot) -> Result<u32, Errno> {
        let open = OpenAt::new(CWD, self.path.as_ptr(), OFlags::RDONLY).fixed(slot).sqe(1);
        // SAFETY: the path stays until `complete` returns.
        unsafe { complete(&mut self.ring, open) }.result()
    }

    fn close(&mut self, slot: u32) {
        // SAFETY: the entry refers to no memory, and no descriptor.
        let cqe = unsafe { complete(&mut self.ring, Close::fixed(Fixed(slot)).sqe(1)) };
        assert_eq!(cqe.result(), Ok(0));
    }

    fn range(&self, first: u32, len: u32) -> Result<(), Errno> {
        self.ring.registrar().set_file_alloc_range(first, len).map_err(Errno::from)
    }
}

#[test]
fn the_kernel_chooses_only_slots_in_the_range() {
    require!(register: RegisterOp::REGISTER_FILE_ALLOC_RANGE);
    let mut slots = Slots::new(8);
    assert_eq!(slots.open(), Ok(0), "from all slots");
    assert_eq!(slots.range(3, 2), Ok(()));
    assert_eq!([slots.open(), slots.open()], [Ok(3), Ok(4)]);
    assert_eq!(slots.open(), Err(Errno::NFILE));
    slots.close(3);
    assert_eq!(slots.open(), Ok(3));
    // An explicit slot can be outside the range.
    assert_eq!(slots.open_at(DestSlot::At(Fixed(7))), Ok(0));
    assert_eq!(slots.range(6, 2), Ok(()));
    assert_eq!([slots.open(), slots.open()], [Ok(6), Err(Errno::NFILE)]);
    assert_eq!(slots.range(0, 8), Ok(()));
    assert_eq!([slots.open(), slots.open()], [Ok(1), Ok(2)]);
}

/// liburing: file-alloc-range-hint.
#[test]
fn file_alloc_range_hint_stays_in_the_range() {
    // The kernel remembers which slot was freed last, and starts its search there.
    require!(register: RegisterOp::REGISTER_FILE_ALLOC_RANGE);
    let mut slots = Slots::new(8);
    assert_eq!([slots.open(), slots.open()], [Ok(0), Ok(1)]);
    assert_eq!(slots.open_at(DestSlot::At(Fixed(7))), Ok(0));
    assert_eq!(slots.range(4, 2), Ok(()));
    assert_eq!(slots.open(), Ok(4));
    for freed in [0, 7, 1] {
        slots.close(freed);
        assert_eq!(slots.open(), Ok(5), "{freed} was freed");
        assert_eq!(slots.open(), Err(Errno::NFILE));
        slots.close(5);
    }
    let update = slots.ring.registrar().update_files(2, &[FileSlot::EMPTY; 2]);
    assert_eq!(update, Ok(2));
    assert_eq!(slots.open(), Ok(5));
}

#[test]
fn a_range_must_be_inside_the_table() {
    require!(register: RegisterOp::REGISTER_FILE_ALLOC_RANGE);
    let mut slots = Slots::new(4);
    assert_eq!(slots.range(2, 1), Ok(()));
    assert_eq!(slots.range(1, 4), Err(Errno::INVAL));
    assert_eq!(slots.range(5, 0), Err(Errno::INVAL));
    assert_eq!(slots.range(u32::MAX, 1), Err(Errno::OVERFLOW));
    assert_eq!([slots.open(), slots.open()], [Ok(2), Err(Errno::NFILE)], "as it was");
    assert_eq!(slots.range(4, 0), Ok(()));
    assert_eq!(slots.open(), Err(Errno::NFILE), "none at all");
    assert_eq!(slots.ring.registrar().unregister_files(), Ok(()));
    assert_eq!(slots.range(0, 1), Err(Errno::INVAL), "no table");
}
