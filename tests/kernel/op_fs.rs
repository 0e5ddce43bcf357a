//! Opening, closing, synchronising and asking about files.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::mem::MaybeUninit;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;

use crate::common::{TempDir, complete, require};
use crate::op_common::{AS_OF_5_15, AS_OF_5_19, c_path, owned, pipe, rest_of, ring};
use ringbolt::IoUring;
use ringbolt::ops::{Close, DestSlot, Fixed, Fsync, OpenAt, Read, Statx, Target, Write};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fd::{AsRawFd as _, IntoRawFd as _};
use ringbolt::rustix::fs::{AtFlags, CWD, Mode, OFlags, Statx as StatxBuf, StatxFlags};
use ringbolt::rustix::io::Errno;

/// What opening comes to.
fn open(
    ring: &mut IoUring,
    path: &Path,
    with: impl FnOnce(OpenAt) -> OpenAt,
) -> Result<u32, Errno> {
    open_for(ring, path, OFlags::RDONLY, with)
}

fn open_for(
    ring: &mut IoUring,
    path: &Path,
    flags: OFlags,
    with: impl FnOnce(OpenAt) -> OpenAt,
) -> Result<u32, Errno> {
    let path = c_path(path);
    let open = with(OpenAt::new(CWD, path.as_ptr(), flags)).sqe(1);
    // SAFETY: the path stays until `complete` returns.
    unsafe { complete(ring, open) }.result()
}

/// The first four bytes behind a fixed slot.
fn read_slot(ring: &mut IoUring, slot: u32) -> Result<[u8; 4], Errno> {
    let mut buf = [0; 4];
    let read = Read::new(Fixed(slot), buf.as_mut_ptr(), 4).offset(0).sqe(1);
    // SAFETY: `buf` stays until `complete` returns.
    unsafe { complete(ring, read) }.result()?;
    Ok(buf)
}

fn close_slot(ring: &mut IoUring, slot: u32) -> Result<u32, Errno> {
    // SAFETY: the entry names no memory, and a slot of this test's own.
    unsafe { complete(ring, Close::fixed(Fixed(slot)).sqe(1)) }.result()
}

#[test]
fn a_file_is_opened_and_created_with_its_mode() {
    let dir = TempDir::new();
    let mut ring = ring();
    let mut text = String::new();
    let path = dir.file("there", b"abcd");
    let mut file =
        File::from(owned(open_for(&mut ring, &path, OFlags::RDONLY | OFlags::CLOEXEC, |open| {
            open
        })));
    file.read_to_string(&mut text).expect("text");
    assert_eq!(text, "abcd");

    let path = dir.join("new");
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    // A mode from which no usual umask takes anything.
    let mode = |open: OpenAt| open.mode(Mode::RUSR | Mode::XUSR);
    let _new = owned(open_for(&mut ring, &path, flags, mode));
    let metadata = path.metadata().expect("it was just made");
    assert_eq!((metadata.len(), metadata.permissions().mode() & 0o777), (0, 0o500));
    let again = open_for(&mut ring, &path, flags, mode);
    assert_eq!(again, Err(Errno::EXIST), "O_EXCL, and it is there");
}

#[test]
fn paths_start_at_the_directory_given() {
    let dir = TempDir::new();
    dir.file("name", b"");
    let root = File::open(dir.path()).expect("it is there");
    let mut ring = ring();
    for (name, result) in
        [(c"name", None), (c"other", Some(Errno::NOENT)), (c"name/x", Some(Errno::NOTDIR))]
    {
        let open = OpenAt::new(&root, name.as_ptr(), OFlags::RDONLY | OFlags::CLOEXEC).sqe(1);
        // SAFETY: the path and the directory stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring, open) };
        assert_eq!(cqe.result().err(), result, "{name:?}");
        if result.is_none() {
            drop(owned(cqe.result()));
        }
    }
    // The directory by its number; and a slot, which is none.
    let by_number = Target::Fd(root.as_raw_fd());
    for (dir, result) in [(by_number, None), (Fixed(0).into(), Some(Errno::BADF))] {
        let open = OpenAt::new(dir, c"name".as_ptr(), OFlags::RDONLY | OFlags::CLOEXEC).sqe(1);
        // SAFETY: the path and the directory stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring, open) };
        assert_eq!(cqe.result().err(), result, "{dir:?}");
        if result.is_none() {
            drop(owned(cqe.result()));
        }
    }
}

/// liburing: open-close.
#[test]
fn a_file_goes_into_the_slot_that_was_asked_for() {
    require!(op: AS_OF_5_15);
    let dir = TempDir::new();
    let (one, two) = (dir.file("one", b"1111"), dir.file("two", b"2222"));
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::EMPTY; 4]).expect("four empty slots");
    let at = |slot| move |open: OpenAt| open.fixed(DestSlot::At(Fixed(slot)));
    assert_eq!(open(&mut ring, &one, at(2)), Ok(0), "no descriptor is made");
    assert_eq!(read_slot(&mut ring, 2), Ok(*b"1111"));
    assert_eq!(read_slot(&mut ring, 1), Err(Errno::BADF));
    assert_eq!(read_slot(&mut ring, 3), Err(Errno::BADF));
    assert_eq!(open(&mut ring, &two, at(2)), Ok(0), "what was there is closed");
    assert_eq!(read_slot(&mut ring, 2), Ok(*b"2222"));
    // The first slot and the last.
    assert_eq!(open(&mut ring, &one, at(0)), Ok(0));
    assert_eq!(open(&mut ring, &one, at(3)), Ok(0));
    assert_eq!(read_slot(&mut ring, 0), Ok(*b"1111"));
    assert_eq!(open(&mut ring, &one, at(4)), Err(Errno::INVAL), "no such slot");
    assert_eq!(open(&mut ring, &one, at(u32::MAX)), Err(Errno::INVAL), "no such slot");
}

/// liburing: open-direct-pick.
#[test]
fn the_kernel_picks_a_free_slot_and_tells_which() {
    require!(op: AS_OF_5_19);
    let dir = TempDir::new();
    let path = dir.file("one", b"1111");
    let mut ring = ring();
    ring.registrar().register_files_sparse(3).expect("three empty slots");
    let alloc = |open: OpenAt| open.fixed(DestSlot::Alloc);
    let mut slots: Vec<_> =
        (0..3).map(|_| open(&mut ring, &path, alloc).expect("a free slot")).collect();
    slots.sort_unstable();
    assert_eq!(slots, [0, 1, 2]);
    assert_eq!(read_slot(&mut ring, 2), Ok(*b"1111"));
    assert_eq!(open(&mut ring, &path, alloc), Err(Errno::NFILE), "the table is full");
    assert_eq!(close_slot(&mut ring, 1), Ok(0));
    assert_eq!(open(&mut ring, &path, alloc), Ok(1));
}

#[test]
fn a_fixed_slot_takes_no_cloexec_and_needs_a_table() {
    require!(op: AS_OF_5_15);
    let dir = TempDir::new();
    let path = dir.file("one", b"1111");
    let mut ring = ring();
    let at = |open: OpenAt| open.fixed(DestSlot::At(Fixed(0)));
    assert_eq!(open(&mut ring, &path, at), Err(Errno::NXIO), "no table");
    ring.registrar().register_files(&[FileSlot::EMPTY]).expect("an empty slot");
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    assert_eq!(open_for(&mut ring, &path, flags, at), Err(Errno::INVAL));
    assert_eq!(open(&mut ring, &path, at), Ok(0));
}

#[test]
fn close_gives_a_descriptor_up() {
    let (reader, writer) = pipe();
    let mut ring = ring();
    let close = Close::new(writer.into_raw_fd()).sqe(1);
    // SAFETY: the descriptor is this entry's to close.
    let cqe = unsafe { complete(&mut ring, close) };
    assert_eq!(cqe.result(), Ok(0));
    // The only writer is gone: that is the end of the pipe.
    assert_eq!(rest_of(reader), b"");
}

#[test]
fn close_refuses_what_is_not_open_and_the_ring_itself() {
    let mut ring = ring();
    for fd in [i32::MAX, -1, ring.as_raw_fd()] {
        // SAFETY: nobody has the first two open, and rings are refused.
        let cqe = unsafe { complete(&mut ring, Close::new(fd).sqe(1)) };
        assert_eq!(cqe.result(), Err(Errno::BADF), "{fd}");
    }
}

/// liburing: open-close.
#[test]
fn close_empties_a_fixed_slot() {
    require!(op: AS_OF_5_15);
    let (reader, writer) = pipe();
    let mut ring = ring();
    assert_eq!(close_slot(&mut ring, 0), Err(Errno::NXIO), "no table");
    ring.registrar()
        .register_files(&[FileSlot::from(&writer), FileSlot::from(&writer)])
        .expect("two slots");
    drop(writer);
    assert_eq!(close_slot(&mut ring, 0), Ok(0));
    assert_eq!(close_slot(&mut ring, 0), Err(Errno::BADF), "it is empty");
    assert_eq!(close_slot(&mut ring, 2), Err(Errno::INVAL), "no such slot");
    let write = |slot| Write::new(Fixed(slot), b"x".as_ptr(), 1).sqe(1);
    // SAFETY: the byte stays for ever.
    assert_eq!(unsafe { complete(&mut ring, write(0)) }.result(), Err(Errno::BADF));
    // SAFETY: the byte stays for ever.
    assert_eq!(unsafe { complete(&mut ring, write(1)) }.result(), Ok(1));
    assert_eq!(close_slot(&mut ring, 1), Ok(0));
    assert_eq!(rest_of(reader), b"x");
}

#[test]
fn fsync_takes_files_and_ranges_and_refuses_the_rest() {
    let dir = TempDir::new();
    let path = dir.file("data", &[1; 10_000]);
    let file = File::options().write(true).open(path).expect("it was just made");
    let (reader, _writer) = pipe();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&file)]).expect("a slot");
    let table = [
        (Fsync::new(&file), Ok(0)),
        (Fsync::new(&file).data_only(), Ok(0)),
        (Fsync::new(&file).range(4096, 4096), Ok(0)),
        (Fsync::new(&file).range(4096, 0).data_only(), Ok(0)),
        (Fsync::new(Target::Fixed(Fixed(0))), Ok(0)),
        (Fsync::new(&reader), Err(Errno::INVAL)),
        (Fsync::new(Target::Fd(-1)), Err(Errno::BADF)),
        (Fsync::new(Target::Fixed(Fixed(1))), Err(Errno::BADF)),
    ];
    for (fsync, result) in table {
        // SAFETY: the files stay until `complete` returns, and no memory is named.
        let cqe = unsafe { complete(&mut ring, fsync.sqe(1)) };
        assert_eq!(cqe.result(), result, "{fsync:?}");
    }
}

/// What is there under `path`.
fn stat(ring: &mut IoUring, path: &Path, flags: AtFlags) -> Result<StatxBuf, Errno> {
    let path = c_path(path);
    let mut buf = MaybeUninit::<StatxBuf>::uninit();
    let mask = StatxFlags::BASIC_STATS;
    let stat = Statx::new(CWD, path.as_ptr(), flags, mask, buf.as_mut_ptr()).sqe(1);
    // SAFETY: the path and the buffer stay until `complete` returns.
    unsafe { complete(ring, stat) }.result()?;
    // SAFETY: the operation succeeded: the kernel has written all of it.
    Ok(unsafe { buf.assume_init() })
}

#[test]
fn statx_tells_what_stat_tells() {
    let dir = TempDir::new();
    let path = dir.file("data", &[1; 12_345]);
    let mut ring = ring();
    let told = stat(&mut ring, &path, AtFlags::empty()).expect("it is there");
    let metadata = path.metadata().expect("it is there");
    assert_eq!((told.stx_size, told.stx_ino), (12_345, metadata.ino()));
    assert_eq!(u32::from(told.stx_mode), metadata.mode());
    let time = told.stx_mtime;
    assert_eq!((time.tv_sec, i64::from(time.tv_nsec)), (metadata.mtime(), metadata.mtime_nsec()));
    assert!(told.stx_mask & StatxFlags::BASIC_STATS.bits() == StatxFlags::BASIC_STATS.bits());
}

#[test]
fn statx_follows_links_unless_told_not_to() {
    let dir = TempDir::new();
    dir.file("data", b"four");
    let link = dir.join("link");
    symlink("data", &link).expect("a symbolic link");
    let mut ring = ring();
    let kind = |told: Result<StatxBuf, Errno>| u32::from(told.expect("there").stx_mode) & 0o170_000;
    assert_eq!(kind(stat(&mut ring, &link, AtFlags::empty())), 0o100_000);
    assert_eq!(kind(stat(&mut ring, &link, AtFlags::SYMLINK_NOFOLLOW)), 0o120_000);
}

#[test]
fn statx_says_why_it_cannot() {
    let dir = TempDir::new();
    let file = dir.file("data", b"four");
    let mut ring = ring();
    let none = AtFlags::empty();
    assert_eq!(stat(&mut ring, &dir.join("other"), none).err(), Some(Errno::NOENT));
    assert_eq!(stat(&mut ring, &file.join("below"), none).err(), Some(Errno::NOTDIR));
    assert_eq!(stat(&mut ring, Path::new(""), none).err(), Some(Errno::NOENT));
    let unknown = AtFlags::from_bits_retain(1 << 30);
    assert_eq!(stat(&mut ring, &file, unknown).err(), Some(Errno::INVAL));
    let nowhere = core::ptr::without_provenance_mut(8);
    let mask = StatxFlags::BASIC_STATS;
    let stat = Statx::new(CWD, c".".as_ptr(), none, mask, nowhere).sqe(1);
    // SAFETY: the path stays for ever, and there is no buffer to keep.
    assert_eq!(unsafe { complete(&mut ring, stat) }.result(), Err(Errno::FAULT));
}

#[test]
fn statx_of_an_open_file_takes_an_empty_path() {
    let dir = TempDir::new();
    let file = File::open(dir.file("data", b"four")).expect("it was just made");
    let mut ring = ring();
    let mut buf = MaybeUninit::<StatxBuf>::uninit();
    let (flags, mask) = (AtFlags::EMPTY_PATH, StatxFlags::SIZE);
    let stat = Statx::new(&file, c"".as_ptr(), flags, mask, buf.as_mut_ptr()).sqe(1);
    // SAFETY: the file and the buffer stay until `complete` returns, and the path for ever.
    let cqe = unsafe { complete(&mut ring, stat) };
    assert_eq!(cqe.result(), Ok(0));
    // SAFETY: the operation succeeded: the kernel has written all of it.
    assert_eq!(unsafe { buf.assume_init() }.stx_size, 4);
}
