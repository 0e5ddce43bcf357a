//! Ranges of files and of memory: set aside, cut, synchronised, and advised on.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::time::Duration;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use crate::common::{TempDir, complete, require};
use crate::op_common;
use crate::op_common::{AS_OF_6_11, pipe, ring};
use ringbolt::ops::{Fadvise, Fallocate, Fixed, Ftruncate, Madvise, Read, SyncFileRange, Target};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fs::{Advice as FileAdvice, FallocateFlags};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::mm::{Advice as MemoryAdvice, MapFlags, ProtFlags, mmap_anonymous, munmap};
use ringbolt::rustix::param::page_size;
use ringbolt::sys::{Opcode, RwFlags};
use ringbolt::{IoUring, Sqe};

/// More than 32 bits can hold, by little.
const BEYOND: u64 = (1 << 32) + 4096;

const DONE: Result<u32, Errno> = Ok(0);

/// What an entry comes to that names no memory, or memory that it only gives advice on.
fn result(ring: &mut IoUring, sqe: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller keeps files and memory until this returns.
    unsafe { complete(ring, sqe) }.result()
}

/// A file with `contents`, open for reading and writing.
fn file(contents: &[u8]) -> (TempDir, File) {
    let dir = TempDir::new();
    let path = dir.file("data", contents);
    let file = File::options().read(true).write(true).open(path).expect("it was just made");
    (dir, file)
}

fn len(file: &File) -> u64 {
    file.metadata().expect("it is open").len()
}

/// Bytes of the device that the file takes up.
fn occupied(file: &File) -> u64 {
    file.metadata().expect("it is open").blocks() * 512
}

fn byte(file: &File, offset: u64) -> u8 {
    let mut buf = [0];
    file.read_exact_at(&mut buf, offset).expect("a byte there");
    buf[0]
}

#[test]
fn fallocate_sets_space_aside_and_lengthens_the_file() {
    require!(op: Opcode::FALLOCATE);
    let (_dir, file) = file(b"abc");
    let mut ring = ring();
    let keep = Fallocate::new(&file, FallocateFlags::KEEP_SIZE, 0, 1 << 16);
    assert_eq!(result(&mut ring, keep.sqe(1)), DONE);
    assert_eq!(len(&file), 3);
    assert!(occupied(&file) >= 1 << 16, "{}", occupied(&file));
    let grow = Fallocate::new(&file, FallocateFlags::empty(), 4096, 4096);
    assert_eq!(result(&mut ring, grow.sqe(2)), DONE);
    assert_eq!((len(&file), byte(&file, 0), byte(&file, 8191)), (8192, b'a', 0));
}

#[test]
fn fallocate_takes_offset_and_length_of_64_bits() {
    require!(op: Opcode::FALLOCATE);
    let (_dir, file) = file(b"abc");
    let mut ring = ring();
    let behind = Fallocate::new(&file, FallocateFlags::empty(), BEYOND, 4096);
    assert_eq!(result(&mut ring, behind.sqe(1)), DONE);
    assert_eq!(len(&file), BEYOND + 4096);
    // A hole as long as all but the last byte.
    for offset in [4096, BEYOND - 1, BEYOND] {
        file.write_all_at(b"x", offset).expect("room");
    }
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let punch = Fallocate::new(&file, flags, 0, BEYOND);
    assert_eq!(result(&mut ring, punch.sqe(2)), DONE);
    let left = [0, 4096, BEYOND - 1, BEYOND].map(|offset| byte(&file, offset));
    assert_eq!((left, len(&file)), ([0, 0, 0, b'x'], BEYOND + 4096));
}

#[test]
fn fallocate_says_why_it_cannot() {
    require!(op: Opcode::FALLOCATE);
    let (dir, file) = file(b"abc");
    let read_only = File::open(dir.join("data")).expect("it was just made");
    let (_reader, writer) = pipe();
    let mut ring = ring();
    let (none, punch) = (FallocateFlags::empty(), FallocateFlags::PUNCH_HOLE);
    let table = [
        (Fallocate::new(&file, none, 0, 0), Errno::INVAL),
        (Fallocate::new(&file, none, u64::MAX, 1), Errno::INVAL),
        (Fallocate::new(&file, none, i64::MAX.unsigned_abs(), 1), Errno::FBIG),
        (Fallocate::new(&file, punch, 0, 1), Errno::OPNOTSUPP),
        (Fallocate::new(&read_only, none, 0, 1), Errno::BADF),
        (Fallocate::new(&writer, none, 0, 1), Errno::SPIPE),
        (Fallocate::new(Target::Fd(-1), none, 0, 1), Errno::BADF),
        (Fallocate::new(Target::Fixed(Fixed(0)), none, 0, 1), Errno::BADF),
    ];
    for (op, errno) in table {
        assert_eq!(result(&mut ring, op.sqe(1)), Err(errno), "{op:?}");
    }
    assert_eq!(len(&file), 3);
}

#[test]
fn ftruncate_shortens_and_lengthens() {
    require!(op: Opcode::FTRUNCATE);
    let (_dir, file) = file(b"0123456789");
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&file)]).expect("a slot");
    for (target, length) in [
        (Target::from(&file), 4),
        (Target::from(Fixed(0)), 8),
        (Target::from(&file), BEYOND),
        (Target::from(&file), 0),
    ] {
        assert_eq!(result(&mut ring, Ftruncate::new(target, length).sqe(1)), DONE);
        assert_eq!(len(&file), length);
        if length > 4 {
            assert_eq!((byte(&file, 3), byte(&file, 4)), (b'3', 0));
        }
    }
}

#[test]
fn ftruncate_says_why_it_cannot() {
    require!(op: Opcode::FTRUNCATE);
    let (dir, file) = file(b"abc");
    let read_only = File::open(dir.join("data")).expect("it was just made");
    let (_reader, writer) = pipe();
    let mut ring = ring();
    let table = [
        (Ftruncate::new(&file, u64::MAX), Errno::INVAL),
        (Ftruncate::new(&file, i64::MAX.unsigned_abs()), Errno::FBIG),
        (Ftruncate::new(&read_only, 1), Errno::INVAL),
        (Ftruncate::new(&writer, 1), Errno::INVAL),
        (Ftruncate::new(Target::Fd(-1), 1), Errno::BADF),
    ];
    for (op, errno) in table {
        assert_eq!(result(&mut ring, op.sqe(1)), Err(errno), "{op:?}");
    }
    assert_eq!(len(&file), 3);
}

#[test]
fn sync_file_range_takes_ranges_and_flags_and_refuses_the_rest() {
    require!(op: Opcode::SYNC_FILE_RANGE);
    let (_dir, file) = file(&[1; 10_000]);
    let (reader, _writer) = pipe();
    let mut ring = ring();
    let all = 1 | 2 | 4;
    let table = [
        (SyncFileRange::new(&file, 0, 0, all), DONE),
        (SyncFileRange::new(&file, 4096, 4096, 2), DONE),
        (SyncFileRange::new(&file, BEYOND, 4096, all), DONE),
        (SyncFileRange::new(&file, 0, 0, 8), Err(Errno::INVAL)),
        (SyncFileRange::new(&file, 1 << 63, 1, all), Err(Errno::INVAL)),
        (SyncFileRange::new(&reader, 0, 0, all), Err(Errno::SPIPE)),
        (SyncFileRange::new(Target::Fd(-1), 0, 0, all), Err(Errno::BADF)),
    ];
    for (op, told) in table {
        assert_eq!(result(&mut ring, op.sqe(1)), told, "{op:?}");
    }
}

/// Whether reading the byte at `offset` would not have to wait for the device.
fn is_cached(ring: &mut IoUring, file: &File, offset: u64) -> bool {
    let mut buf = [0];
    let read = Read::new(file, buf.as_mut_ptr(), 1).offset(offset).flags(RwFlags::NOWAIT);
    match result(ring, read.sqe(1)) {
        Ok(1) => true,
        Err(Errno::AGAIN) => false,
        other => panic!("a read that does not wait: {other:?}"),
    }
}

/// A file of 64 KiB whose pages can go, and are there.
fn cached(ring: &mut IoUring) -> (TempDir, File) {
    let (dir, file) = file(b"");
    // One write for each page: what is written together may be kept, and let go, together.
    for _ in 0..0x1_0000 / page_size() {
        (&file).write_all(&vec![7; page_size()]).expect("room");
    }
    file.sync_all().expect("room on the device");
    assert!(is_cached(ring, &file, 0) && is_cached(ring, &file, 0xf000));
    (dir, file)
}

/// Whether a byte is not cached after `advise`. A page that someone else looks at just then stays,
/// as the advice allows: it is given again.
fn goes(ring: &mut IoUring, file: &File, offset: u64, advise: impl Fn(&mut IoUring)) -> bool {
    (0..200).any(|round| {
        if round > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        advise(ring);
        !is_cached(ring, file, offset)
    })
}

/// Whether pages of temporary files go when the system call of old says so. They have no place
/// to go to where files are kept in memory.
fn pages_go(ring: &mut IoUring) -> bool {
    let (_dir, file) = cached(ring);
    goes(ring, &file, 0, |_| {
        let fd = file.as_raw_fd();
        // SAFETY: the descriptor is open; no memory is named.
        let advised = unsafe { libc::posix_fadvise(fd, 0, 0, libc::POSIX_FADV_DONTNEED) };
        assert_eq!(advised, 0);
    })
}

#[test]
fn fadvise_drops_all_of_a_file_or_a_range_of_it_from_the_cache() {
    require!(op: AS_OF_6_11);
    let mut ring = ring();
    require!(machine: pages_go(&mut ring), "a device behind temporary files");
    let dont_need = |file: &File| Fadvise::new(file, FileAdvice::DontNeed);
    let (_dir, whole) = cached(&mut ring);
    for offset in [0, 0xf000] {
        let advise = |ring: &mut _| assert_eq!(result(ring, dont_need(&whole).sqe(1)), DONE);
        assert!(goes(&mut ring, &whole, offset, advise), "{offset}");
    }

    let (_dir, part) = cached(&mut ring);
    let page = u64::try_from(page_size()).expect("a small size");
    let range = || dont_need(&part).range(0x8000, page).sqe(2);
    let advise = |ring: &mut _| assert_eq!(result(ring, range()), DONE);
    advise(&mut ring);
    // First what stays: to look at what is gone brings back what is around it.
    let outside = [0, 0x8000 - page, 0x8000 + page];
    assert_eq!(outside.map(|offset| is_cached(&mut ring, &part, offset)), [true; 3]);
    assert!(goes(&mut ring, &part, 0x8000, advise));

    // Cut to 32 bits, this would be a page.
    let (_dir, long) = cached(&mut ring);
    let beyond = || dont_need(&long).range(0, BEYOND).sqe(3);
    let advise = |ring: &mut _| assert_eq!(result(ring, beyond()), DONE);
    assert!(goes(&mut ring, &long, 0xf000, advise));
}

#[test]
fn fadvise_takes_all_advice_and_refuses_a_pipe() {
    require!(op: Opcode::FADVISE);
    let (_dir, file) = file(&[1; 10_000]);
    let (reader, _writer) = pipe();
    let mut ring = ring();
    use FileAdvice::{DontNeed, NoReuse, Normal, Random, Sequential, WillNeed};
    for advice in [Normal, Random, Sequential, WillNeed, NoReuse, DontNeed] {
        assert_eq!(result(&mut ring, Fadvise::new(&file, advice).sqe(1)), DONE, "{advice:?}");
    }
    let pipe = Fadvise::new(&reader, Normal);
    assert_eq!(result(&mut ring, pipe.sqe(2)), Err(Errno::SPIPE));
    assert_eq!(result(&mut ring, Fadvise::new(Target::Fd(-1), Normal).sqe(3)), Err(Errno::BADF));
}

/// Anonymous memory of `len` bytes, mostly of no pages yet.
struct Mapped {
    start: *mut u8,
    len: usize,
}

impl Mapped {
    fn new(len: usize) -> Self {
        let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
        // SAFETY: the kernel chooses the address.
        let start = unsafe {
            mmap_anonymous(core::ptr::null_mut(), len, access, flags.union(MapFlags::NORESERVE))
        };
        Self { start: start.expect("addresses").cast(), len }
    }

    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset < self.len);
        self.start.wrapping_add(offset)
    }

    fn write(&self, offset: usize) {
        // SAFETY: `at` checked that it is inside the mapping, which nobody else uses.
        unsafe { self.at(offset).write_volatile(b'x') };
    }

    fn read(&self, offset: usize) -> u8 {
        // SAFETY: as for `write`.
        unsafe { self.at(offset).read_volatile() }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, whole; nothing is in flight.
        let unmapped = unsafe { munmap(self.start.cast(), self.len) };
        assert_eq!(unmapped, Ok(()));
    }
}

#[test]
fn madvise_empties_the_pages_of_its_range_and_no_others() {
    require!(op: Opcode::MADVISE);
    let page = page_size();
    let memory = Mapped::new(4 * page);
    (0..4).for_each(|index| memory.write(index * page));
    let len = u64::try_from(2 * page).expect("a small size");
    let empty = Madvise::new(memory.at(page), len, MemoryAdvice::LinuxDontNeed);
    assert_eq!(result(&mut ring(), empty.sqe(1)), DONE);
    let left: Vec<_> = (0..4).map(|index| memory.read(index * page)).collect();
    assert_eq!(left, [b'x', 0, 0, b'x']);
}

#[test]
#[cfg(target_pointer_width = "64")]
fn madvise_takes_a_length_of_more_than_32_bits() {
    require!(op: AS_OF_6_11);
    let page = page_size();
    let beyond = (1 << 32) + page;
    let memory = Mapped::new(beyond + page);
    let at = [0, page, beyond - page, beyond];
    at.iter().for_each(|offset| memory.write(*offset));
    let len = u64::try_from(beyond).expect("64 bits");
    let empty = Madvise::new(memory.at(0), len, MemoryAdvice::LinuxDontNeed);
    assert_eq!(result(&mut ring(), empty.sqe(1)), DONE);
    assert_eq!(at.map(|offset| memory.read(offset)), [0, 0, 0, b'x']);
}

#[test]
fn madvise_says_why_it_cannot() {
    require!(op: Opcode::MADVISE);
    let page = page_size();
    let memory = Mapped::new(page);
    let len = u64::try_from(page).expect("a small size");
    let mut ring = ring();
    let will_need = |start, len| Madvise::new(start, len, MemoryAdvice::WillNeed).sqe(1);
    assert_eq!(result(&mut ring, will_need(memory.at(0), len)), DONE);
    assert_eq!(result(&mut ring, will_need(memory.at(1), len)), Err(Errno::INVAL));
    let nowhere = core::ptr::without_provenance_mut(page);
    assert_eq!(result(&mut ring, will_need(nowhere, len)), Err(Errno::NOMEM));
}

#[test]
fn ranges_can_be_chained_with_what_is_written() {
    require!(op: Opcode::FTRUNCATE);
    let (dir, file) = file(b"");
    (&file).write_all(b"0123456789").expect("room");
    let mut ring = ring();
    let chain = [
        Ftruncate::new(&file, 5).sqe(1).link(),
        Fallocate::new(&file, FallocateFlags::empty(), 0, 8).sqe(2).link(),
        SyncFileRange::new(&file, 0, 0, 7).sqe(3),
    ];
    // SAFETY: the file stays; no memory is named.
    unsafe { op_common::start_all(&mut ring, &chain) };
    assert_eq!(op_common::reap_told(&mut ring, 3), [(1, DONE), (2, DONE), (3, DONE)]);
    assert_eq!(fs::read(dir.join("data")).ok().as_deref(), Some(&b"01234\0\0\0"[..]));
}
