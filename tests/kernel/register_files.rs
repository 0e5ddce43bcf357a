//! The file table: making, changing and dropping it, and holding its own references to files.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::time::Duration;
use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;
use std::time::Instant;

use crate::common::{PATIENCE, TempDir, complete, require};
use crate::op_common::{
    AS_OF_5_15, AS_OF_5_19, assert_quiet, leaked, pipe, reap_told, rest_of, ring, start,
};
use ringbolt::IoUring;
use ringbolt::ops::{DestSlot, Fixed, OpenAt, Read};
use ringbolt::register::{FileSlot, register};
use ringbolt::rustix::fd::AsRawFd as _;
use ringbolt::rustix::fs::{CWD, OFlags};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::RegisterOp;

/// Three different files: each contains its own number, four times.
fn files() -> (TempDir, [File; 3]) {
    let dir = TempDir::new();
    let open = |byte: u8| {
        let path = dir.file(&char::from(byte).to_string(), &[byte; 4]);
        File::open(path).expect("it was just made")
    };
    let files = [b'0', b'1', b'2'].map(open);
    (dir, files)
}

/// The number of the file in each of the first slots.
fn slots(ring: &mut IoUring, count: u32) -> Vec<Result<u8, Errno>> {
    let mut read = |slot| {
        let mut buf = [0_u8; 4];
        let read = Read::new(Fixed(slot), buf.as_mut_ptr(), 4).offset(0).sqe(1);
        // SAFETY: `buf` stays until `complete` returns.
        unsafe { complete(ring, read) }.result()?;
        Ok(buf[0])
    };
    (0..count).map(&mut read).collect()
}

const EMPTY: Result<u8, Errno> = Err(Errno::BADF);

/// liburing: file-register.
#[test]
fn a_table_holds_the_given_entries() {
    let (_dir, [zero, one, two]) = files();
    let mut ring = ring();
    let table =
        [FileSlot::from(&two), FileSlot::EMPTY, FileSlot::from(&zero), FileSlot::from(&one)];
    ring.registrar().register_files(&table).expect("four slots");
    assert_eq!(slots(&mut ring, 5), [Ok(b'2'), EMPTY, Ok(b'0'), Ok(b'1'), EMPTY]);
}

#[test]
fn the_files_stay_open_when_their_descriptors_are_closed() {
    let (reader, writer) = pipe();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&reader)]).expect("a slot");
    drop(reader);
    let buf = leaked::<8>();
    // SAFETY: the buffer stays forever, and is not touched until the completion is there.
    unsafe { start(&mut ring, Read::new(Fixed(0), buf.as_mut_ptr(), 8).sqe(1)) };
    assert_quiet(&mut ring);
    (&writer).write_all(b"abc").expect("somebody can still read it");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(3))]);
    assert_eq!(&buf[..4], b"abc-");
}

#[test]
fn a_file_is_released_with_its_slot_and_with_its_table() {
    for update in [true, false] {
        let (reader, writer) = pipe();
        let ring = ring();
        ring.registrar().register_files(&[FileSlot::from(&writer)]).expect("a slot");
        drop(writer);
        if update {
            assert_eq!(ring.registrar().update_files(0, &[FileSlot::EMPTY]), Ok(1));
        } else {
            assert_eq!(ring.registrar().unregister_files(), Ok(()));
        }
        // The last writer is closed, so the pipe ends.
        assert_eq!(rest_of(reader), b"", "by an update: {update}");
    }
}

/// liburing: file-register, file-update.
#[test]
fn a_sparse_table_is_filled_by_updates() {
    require!(op: AS_OF_5_19);
    let (_dir, [zero, one, two]) = files();
    let mut ring = ring();
    ring.registrar().register_files_sparse(4).expect("four empty slots");
    assert_eq!(slots(&mut ring, 4), [EMPTY; 4]);
    let pair = [FileSlot::from(&one), FileSlot::from(&two)];
    assert_eq!(ring.registrar().update_files(2, &pair), Ok(2));
    assert_eq!(slots(&mut ring, 4), [EMPTY, EMPTY, Ok(b'1'), Ok(b'2')]);
    assert_eq!(ring.registrar().update_files(3, &[FileSlot::from(&zero)]), Ok(1));
    assert_eq!(slots(&mut ring, 4), [EMPTY, EMPTY, Ok(b'1'), Ok(b'0')]);
}

/// liburing: file-register, file-update.
#[test]
fn an_update_can_skip_and_empty_slots() {
    let (_dir, [zero, one, two]) = files();
    let mut ring = ring();
    let table = [&zero, &one, &two].map(FileSlot::from);
    ring.registrar().register_files(&table).expect("three slots");
    let change = [FileSlot::EMPTY, FileSlot::SKIP, FileSlot::from(&zero)];
    assert_eq!(ring.registrar().update_files(0, &change), Ok(3));
    assert_eq!(slots(&mut ring, 3), [EMPTY, Ok(b'1'), Ok(b'0')]);
}

#[test]
fn an_update_outside_the_table_is_refused() {
    let (_dir, [zero, one, _]) = files();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&zero); 2]).expect("two slots");
    let pair = [FileSlot::from(&one); 2];
    for first in [1, 2, u32::MAX - 1] {
        let error = ring.registrar().update_files(first, &pair).expect_err("no such slots");
        assert!(matches!(error.errno, Errno::INVAL | Errno::OVERFLOW), "from {first}: {error}");
    }
    assert_eq!(slots(&mut ring, 2), [Ok(b'0'); 2]);
}

#[test]
fn an_update_returns_how_many_slots_it_replaced() {
    let (_dir, [zero, one, two]) = files();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::EMPTY; 3]).expect("three slots");
    // A ring cannot be in a file table; the files before it were stored.
    let other = self::ring();
    let change = [FileSlot::from(&one), FileSlot::from(&other), FileSlot::from(&two)];
    assert_eq!(ring.registrar().update_files(0, &change), Ok(1));
    assert_eq!(slots(&mut ring, 3), [Ok(b'1'), EMPTY, EMPTY]);
    let error = ring.registrar().update_files(0, &[FileSlot::from(&other)]);
    assert_eq!(error.map_err(Errno::from), Err(Errno::BADF), "not even one");
    drop(zero);
}

#[test]
fn registering_a_second_table_is_ebusy_and_dropping_a_missing_one_enxio() {
    let (_dir, [zero, ..]) = files();
    let ring = ring();
    let registrar = ring.registrar();
    let slot = [FileSlot::from(&zero)];
    assert_eq!(registrar.unregister_files().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(registrar.update_files(0, &slot).map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(registrar.register_files(&slot), Ok(()));
    assert_eq!(registrar.register_files(&slot).map_err(Errno::from), Err(Errno::BUSY));
    assert_eq!(registrar.unregister_files(), Ok(()));
    assert_eq!(registrar.unregister_files().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(registrar.register_files(&slot), Ok(()), "and again");
}

/// liburing: file-register.
#[test]
fn an_invalid_table_is_refused_with_its_cause() {
    let ring = ring();
    let registrar = ring.registrar();
    assert_eq!(registrar.register_files(&[]).map_err(Errno::from), Err(Errno::INVAL));
    // The whole table is registered, or nothing: after an invalid file there is no table.
    let other = self::ring();
    let (_dir, [zero, ..]) = files();
    let table = [FileSlot::from(&zero), FileSlot::from(&other)];
    assert_eq!(registrar.register_files(&table).map_err(Errno::from), Err(Errno::BADF));
    assert_eq!(registrar.unregister_files().map_err(Errno::from), Err(Errno::NXIO));
    require!(op: AS_OF_5_19);
    assert_eq!(registrar.register_files_sparse(0).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(registrar.register_files_sparse(u32::MAX).map_err(Errno::from), Err(Errno::MFILE));
    assert_eq!(registrar.register_files_sparse(1), Ok(()));
    assert_eq!(registrar.register_files_sparse(1).map_err(Errno::from), Err(Errno::BUSY));
}

#[test]
fn a_descriptor_that_is_not_open_is_ebadf() {
    // `FileSlot` cannot contain such a descriptor, so this uses the raw call.
    let ring = ring();
    let mut fds = [i32::MAX];
    let arg = fds.as_mut_ptr().cast();
    // SAFETY: one descriptor, which the kernel only reads, during the call.
    let result = unsafe { register(ring.as_raw_fd(), RegisterOp::REGISTER_FILES, arg, 1) };
    assert_eq!(result, Err(Errno::BADF));
}

#[test]
fn an_entry_in_flight_keeps_the_file_that_it_started_with() {
    let ((reader, mut writer), (other, _other_writer)) = (pipe(), pipe());
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&reader)]).expect("a slot");
    let buf = leaked::<8>();
    // SAFETY: the buffer stays forever, and is not touched until the completion is there.
    unsafe { start(&mut ring, Read::new(Fixed(0), buf.as_mut_ptr(), 8).sqe(1)) };
    assert_quiet(&mut ring);
    assert_eq!(ring.registrar().update_files(0, &[FileSlot::from(&other)]), Ok(1));
    drop(reader);
    writer.write_all(b"abc").expect("the entry holds the other end");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(3))]);
    ring.registrar().unregister_files().expect("a table to drop");
}

#[test]
fn a_slot_filled_by_an_operation_can_be_replaced() {
    require!(op: AS_OF_5_15);
    let (dir, [_, _, two]) = files();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::EMPTY]).expect("a slot");
    let path = dir.join("1").into_os_string().into_encoded_bytes();
    let path = CString::new(path).expect("a path without NUL");
    let slot = DestSlot::At(Fixed(0));
    let open = OpenAt::new(CWD, path.as_ptr(), OFlags::RDONLY).fixed(slot).sqe(1);
    // SAFETY: the path stays until `complete` returns.
    assert_eq!(unsafe { complete(&mut ring, open) }.result(), Ok(0));
    assert_eq!(slots(&mut ring, 1), [Ok(b'1')]);
    assert_eq!(ring.registrar().update_files(0, &[FileSlot::from(&two)]), Ok(1));
    assert_eq!(slots(&mut ring, 1), [Ok(b'2')]);
}

#[test]
fn a_closed_ring_releases_its_files() {
    let (reader, mut writer) = pipe();
    let ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&reader)]).expect("a slot");
    drop(reader);
    writer.write_all(b"x").expect("the table holds the other end");
    ring.close();
    // Some time later the pipe has no reader.
    let end = Instant::now() + PATIENCE;
    while writer.write(b"x").is_ok() {
        assert!(Instant::now() < end, "the table is still there");
        std::thread::sleep(Duration::from_millis(1));
    }
}
