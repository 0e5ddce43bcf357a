//! Reads and writes do what `pread(2)`, `readv(2)` and their kind do.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;

use crate::common::{TempDir, complete, require};
use crate::op_common::{
    AS_OF_6_11, assert_quiet, leaked, pipe, raises_sigpipe, reap_sorted, reap_told, ring, start,
};
use ringbolt::Sqe;
use ringbolt::ops::{
    AsyncCancel, Fixed, IoVec, Read, ReadFixed, Readv, Target, Write, WriteFixed, Writev,
};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fs::OFlags;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{RegisterOp, RwFlags};

const DIGITS: &[u8] = b"0123456789";

/// A file with the ten digits in it, open for reading and writing.
fn digits() -> (TempDir, File) {
    let dir = TempDir::new();
    let path = dir.file("digits", DIGITS);
    let file = OpenOptions::new().read(true).write(true).open(path).expect("it was just made");
    (dir, file)
}

/// What is in the file now, from its start.
fn contents(mut file: &File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.rewind().expect("a file that seeks");
    file.read_to_end(&mut bytes).expect("a file that can be read");
    bytes
}

#[test]
fn a_read_at_an_offset_leaves_the_position_alone() {
    let (_dir, mut file) = digits();
    let mut buf = [b'-'; 6];
    let read = Read::new(&file, buf.as_mut_ptr(), 4).offset(3).sqe(1);
    // SAFETY: `file` and `buf` stay until `complete` returns.
    let cqe = unsafe { complete(&mut ring(), read) };
    assert_eq!((cqe.user_data(), cqe.result()), (1, Ok(4)));
    assert_eq!(&buf, b"3456--", "`len` bytes, and none behind them");
    assert_eq!(file.stream_position().expect("a file that seeks"), 0);
}

#[test]
fn a_write_at_an_offset_changes_those_bytes_alone() {
    let (_dir, mut file) = digits();
    let write = Write::new(&file, b"abcdef".as_ptr(), 3).offset(5).sqe(1);
    // SAFETY: `file` stays until `complete` returns, and the bytes for ever.
    let cqe = unsafe { complete(&mut ring(), write) };
    assert_eq!(cqe.result(), Ok(3));
    assert_eq!(file.stream_position().expect("a file that seeks"), 0);
    assert_eq!(contents(&file), b"01234abc89");
}

#[test]
fn without_an_offset_the_position_is_used_and_moved() {
    let (_dir, mut file) = digits();
    let mut ring = ring();
    let mut buf = [0; 4];
    let read = Read::new(&file, buf.as_mut_ptr(), 4).sqe(1);
    // SAFETY: `file` and `buf` stay until `complete` returns.
    let first = unsafe { complete(&mut ring, read) };
    assert_eq!((first.result(), &buf), (Ok(4), b"0123"));
    let write = Write::new(&file, b"ab".as_ptr(), 2).sqe(2);
    // SAFETY: `file` stays until `complete` returns, and the bytes for ever.
    let second = unsafe { complete(&mut ring, write) };
    assert_eq!(second.result(), Ok(2));
    assert_eq!(file.stream_position().expect("a file that seeks"), 6);
    assert_eq!(contents(&file), b"0123ab6789");
}

#[test]
fn a_read_is_short_at_the_end_and_0_behind_it() {
    let (_dir, file) = digits();
    let mut ring = ring();
    for (offset, bytes) in [(8, 2), (9, 1), (10, 0), (1 << 40, 0)] {
        let mut buf = [b'-'; 4];
        let read = Read::new(&file, buf.as_mut_ptr(), 4).offset(offset).sqe(1);
        // SAFETY: `file` and `buf` stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring, read) };
        assert_eq!(cqe.result(), Ok(bytes), "at {offset}");
        assert_eq!(buf.iter().filter(|byte| **byte != b'-').count(), bytes as usize);
    }
}

#[test]
fn a_write_behind_the_end_leaves_zeros_between() {
    let (_dir, file) = digits();
    let write = Write::new(&file, b"x".as_ptr(), 1).offset(12).sqe(1);
    // SAFETY: `file` stays until `complete` returns, and the byte for ever.
    let cqe = unsafe { complete(&mut ring(), write) };
    assert_eq!(cqe.result(), Ok(1));
    assert_eq!(contents(&file), b"0123456789\0\0x");
}

/// liburing: read-write.
#[test]
fn several_buffers_are_filled_and_written_in_order() {
    let (_dir, file) = digits();
    let mut ring = ring();
    let (mut a, mut b, mut c) = ([0_u8; 3], [0_u8; 1], [b'-'; 4]);
    let vectors = [&mut a[..], &mut b[..], &mut [], &mut c[..]].map(IoVec::from);
    let read = Readv::new(&file, vectors.as_ptr(), 4).offset(3).sqe(1);
    // SAFETY: the file, the vectors and their buffers stay until `complete` returns.
    let cqe = unsafe { complete(&mut ring, read) };
    assert_eq!((cqe.result(), &a, &b, &c), (Ok(7), b"345", b"6", b"789-"));

    let vectors = [IoVec::from(&b"AB"[..]), IoVec::EMPTY, IoVec::from(&b"CDE"[..])];
    let write = Writev::new(&file, vectors.as_ptr(), 3).offset(1).sqe(2);
    // SAFETY: the file and the vectors stay until `complete` returns, and the bytes for ever.
    let cqe = unsafe { complete(&mut ring, write) };
    assert_eq!(cqe.result(), Ok(5));
    assert_eq!(contents(&file), b"0ABCDE6789");
}

#[test]
fn more_than_1024_vectors_are_refused() {
    let (_dir, file) = digits();
    let vectors = [IoVec::EMPTY; 1025];
    for (count, result) in [(1024, Ok(0)), (1025, Err(Errno::INVAL))] {
        let read = Readv::new(&file, vectors.as_ptr(), count).offset(0).sqe(1);
        // SAFETY: the file and the vectors stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring(), read) };
        assert_eq!(cqe.result(), result, "{count} vectors");
    }
}

#[test]
fn rwf_flags_reach_the_kernel() {
    let (_dir, file) = digits();
    let mut ring = ring();
    let vectors = [IoVec::from(&b"x"[..])];
    let mut writev = |flags| {
        let write = Writev::new(&file, vectors.as_ptr(), 1).offset(0).flags(flags).sqe(1);
        // SAFETY: the file and the vector stay until `complete` returns, and the byte for ever.
        unsafe { complete(&mut ring, write) }.result()
    };
    assert_eq!(writev(RwFlags::DSYNC), Ok(1));
    assert_eq!(contents(&file), b"x123456789");
    assert_eq!(writev(RwFlags::APPEND), Ok(1));
    assert_eq!(contents(&file), b"x123456789x", "at the end, whatever the offset");
    let unknown = writev(RwFlags::from_bits_retain(1 << 31));
    assert!(matches!(unknown, Err(Errno::OPNOTSUPP | Errno::INVAL)), "{unknown:?}");
}

#[test]
fn nowait_is_eagain_where_others_wait() {
    require!(op: AS_OF_6_11);
    let (reader, _writer) = pipe();
    let mut buf = [0; 1];
    let read = Read::new(&reader, buf.as_mut_ptr(), 1).flags(RwFlags::NOWAIT).sqe(1);
    // SAFETY: `reader` and `buf` stay until `complete` returns.
    let cqe = unsafe { complete(&mut ring(), read) };
    assert_eq!(cqe.result(), Err(Errno::AGAIN));
}

/// liburing: read-write.
#[test]
fn a_registered_buffer_is_read_into_and_written_from() {
    let (_dir, file) = digits();
    let mut ring = ring();
    let buf = leaked::<16>();
    // SAFETY: the memory is leaked: it stays mapped. Only the entries below use it.
    unsafe { ring.registrar().register_buffers(&[IoVec::EMPTY, IoVec::from(&mut buf[..])]) }
        .expect("two buffers, one of them empty");

    let inside = buf[4..].as_mut_ptr();
    let read = ReadFixed::new(&file, inside, 3, 1).offset(7).sqe(1);
    // SAFETY: the file stays until `complete` returns, and the buffer for ever.
    let cqe = unsafe { complete(&mut ring, read) };
    assert_eq!((cqe.result(), &buf[..8]), (Ok(3), &b"----789-"[..]));

    let write = WriteFixed::new(&file, buf[3..].as_ptr(), 4, 1).offset(0).sqe(2);
    // SAFETY: the file stays until `complete` returns, and the buffer for ever.
    let cqe = unsafe { complete(&mut ring, write) };
    assert_eq!(cqe.result(), Ok(4));
    assert_eq!(contents(&file), b"-789456789");
}

#[test]
fn a_range_that_leads_out_of_its_registered_buffer_is_efault() {
    let (_dir, file) = digits();
    let mut ring = ring();
    let buf = leaked::<16>();
    // Past the end of what is registered, yet memory that is there.
    let registered = IoVec::from(&mut buf[..8]);
    let start = buf.as_mut_ptr();
    // SAFETY: the memory is leaked: it stays mapped. Only the entries below use it.
    unsafe { ring.registrar().register_buffers(&[registered, IoVec::EMPTY]) }.expect("a buffer");
    let mut outcome = |skip, len, index| {
        let read = ReadFixed::new(&file, start.wrapping_add(skip), len, index).offset(0).sqe(1);
        // SAFETY: the file stays until `complete` returns, and the buffer for ever.
        unsafe { complete(&mut ring, read) }.result()
    };
    assert_eq!(outcome(0, 8, 0), Ok(8), "all of it");
    assert_eq!(outcome(0, 9, 0), Err(Errno::FAULT), "a byte too many");
    assert_eq!(outcome(1, 8, 0), Err(Errno::FAULT), "a byte too late");
    assert_eq!(outcome(usize::MAX, 2, 0), Err(Errno::FAULT), "a byte too early");
    assert_eq!(outcome(0, 1, 1), Err(Errno::FAULT), "an empty slot");
    assert_eq!(outcome(0, 1, 2), Err(Errno::FAULT), "no such slot");
    ring.registrar().unregister_buffers().expect("a table to drop");
    let read = ReadFixed::new(&file, start, 1, 0).offset(0).sqe(1);
    // SAFETY: as above.
    let cqe = unsafe { complete(&mut ring, read) };
    assert_eq!(cqe.result(), Err(Errno::FAULT), "no table");
}

#[test]
fn a_fixed_slot_is_read_and_written_like_its_file() {
    let (_dir, file) = digits();
    let mut ring = ring();
    let slots = [FileSlot::EMPTY, FileSlot::from(&file)];
    ring.registrar().register_files(&slots).expect("two slots");
    let write = Write::new(Fixed(1), b"X".as_ptr(), 1).offset(2).sqe(1);
    // SAFETY: the byte stays for ever, and so does the registered file.
    let cqe = unsafe { complete(&mut ring, write) };
    assert_eq!(cqe.result(), Ok(1));
    let mut buf = [0; 4];
    let read = Read::new(Fixed(1), buf.as_mut_ptr(), 4).offset(0).sqe(2);
    // SAFETY: `buf` stays until `complete` returns, and the registered file for ever.
    let cqe = unsafe { complete(&mut ring, read) };
    assert_eq!((cqe.result(), &buf), (Ok(4), b"01X3"));
}

#[test]
fn what_is_not_open_for_it_is_ebadf() {
    let dir = TempDir::new();
    let path = dir.file("digits", DIGITS);
    let read_only = File::open(&path).expect("it was just made");
    let write_only = OpenOptions::new().write(true).open(&path).expect("it was just made");
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::EMPTY]).expect("one slot");
    let mut buf = [0_u8; 4];
    let ptr = buf.as_mut_ptr();
    let entries = [
        Read::new(&write_only, ptr, 4).sqe(1),
        Write::new(&read_only, ptr, 4).sqe(2),
        Read::new(Fixed(0), ptr, 4).sqe(3),
        Read::new(Fixed(1), ptr, 4).sqe(4),
        Write::new(Target::Fd(i32::MAX), ptr, 4).sqe(5),
        Write::new(Target::Fd(-1), ptr, 4).sqe(6),
    ];
    for entry in entries {
        // SAFETY: the files and `buf` stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring, entry) };
        assert_eq!(cqe.result(), Err(Errno::BADF), "{entry:?}");
    }
    assert_eq!(contents(&read_only), DIGITS);
}

#[test]
fn memory_that_is_not_there_is_efault_and_a_directory_eisdir() {
    let (dir, file) = digits();
    let mut ring = ring();
    let nowhere = core::ptr::without_provenance_mut(8);
    // SAFETY: the file stays until `complete` returns; there is no memory to keep.
    let cqe = unsafe { complete(&mut ring, Read::new(&file, nowhere, 4).offset(0).sqe(1)) };
    assert_eq!(cqe.result(), Err(Errno::FAULT));
    let dir = File::open(dir.path()).expect("it is there");
    let mut buf = [0_u8; 4];
    let read = Read::new(&dir, buf.as_mut_ptr(), 4).offset(0).sqe(2);
    // SAFETY: the directory and `buf` stay until `complete` returns.
    let cqe = unsafe { complete(&mut ring, read) };
    assert_eq!(cqe.result(), Err(Errno::ISDIR));
}

#[test]
fn an_io_priority_is_checked_by_the_kernel() {
    let (_dir, file) = digits();
    let mut ring = ring();
    let mut buf = [0_u8; 4];
    // Class best-effort, level 4; and a class that there is not.
    for (ioprio, result) in [(2 << 13 | 4, Ok(4)), (7 << 13, Err(Errno::INVAL))] {
        let read = Read::new(&file, buf.as_mut_ptr(), 4).offset(0).ioprio(ioprio).sqe(1);
        // SAFETY: the file and `buf` stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring, read) };
        assert_eq!(cqe.result(), result, "{ioprio:#x}");
    }
}

#[test]
fn a_read_of_a_pipe_waits_for_data_and_ends_with_its_writer() {
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let buf = leaked::<8>();
    let read = Read::new(&reader, buf.as_mut_ptr(), 8).sqe(1);
    // SAFETY: `buf` is leaked, and not touched until the completion is there.
    unsafe { start(&mut ring, read) };
    assert_quiet(&mut ring);
    writer.write_all(b"abc").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(3))]);
    assert_eq!(&buf[..4], b"abc-");

    // SAFETY: as above.
    unsafe { start(&mut ring, read.with_user_data(2)) };
    assert_quiet(&mut ring);
    drop(writer);
    assert_eq!(reap_told(&mut ring, 1), [(2, Ok(0))]);
}

#[test]
fn a_write_to_a_full_pipe_waits_for_room() {
    require!(op: AS_OF_6_11);
    let (mut reader, writer) = pipe();
    let mut ring = ring();
    let chunk = leaked::<4096>();
    let write = |id| Write::new(&writer, chunk.as_ptr(), 4096).sqe(id);
    let mut held = 0;
    loop {
        // SAFETY: the chunk is leaked, and `writer` stays.
        unsafe { start(&mut ring, write(held)) };
        let Some(cqe) = ring.completion().pop() else { break };
        assert_eq!((cqe.user_data(), cqe.result()), (held, Ok(4096)));
        held += 1;
        assert!(held < 10_000, "a pipe without an end");
    }
    assert!(held > 0);
    assert_quiet(&mut ring);
    let mut out = [0; 4096];
    reader.read_exact(&mut out).expect("data in the pipe");
    assert_eq!(reap_told(&mut ring, 1), [(held, Ok(4096))]);
}

#[test]
fn a_waiting_read_can_be_cancelled() {
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let buf = leaked::<8>();
    // SAFETY: `buf` is leaked, and not touched until the completion is there.
    unsafe { start(&mut ring, Read::new(&reader, buf.as_mut_ptr(), 8).sqe(1)) };
    ring.submission().push_safe(AsyncCancel::of_user_data(1).sqe(2)).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Err(Errno::CANCELED)), (2, Ok(0))]);
    // Nobody reads what comes afterwards.
    writer.write_all(b"late").expect("room in the pipe");
    assert_quiet(&mut ring);
    assert_eq!(buf, b"--------");
}

#[test]
fn a_write_that_nobody_reads_is_epipe_and_raises_sigpipe() {
    require!(op: AS_OF_6_11);
    let (reader, writer) = pipe();
    drop(reader);
    let raised = raises_sigpipe(|| {
        let write = Write::new(&writer, b"x".as_ptr(), 1).sqe(1);
        // SAFETY: `writer` stays until `complete` returns, and the byte for ever.
        let cqe = unsafe { complete(&mut ring(), write) };
        assert_eq!(cqe.result(), Err(Errno::PIPE));
    });
    assert!(raised, "the kernel has got kinder: the documentation can say so");
}

#[test]
fn rwf_nosignal_spares_the_sigpipe() {
    // Both came with Linux 6.18.
    require!(register: RegisterOp::REGISTER_QUERY);
    let (reader, writer) = pipe();
    drop(reader);
    let raised = raises_sigpipe(|| {
        let write = Write::new(&writer, b"x".as_ptr(), 1).flags(RwFlags::NOSIGNAL).sqe(1);
        // SAFETY: `writer` stays until `complete` returns, and the byte for ever.
        let cqe = unsafe { complete(&mut ring(), write) };
        assert_eq!(cqe.result(), Err(Errno::PIPE));
    });
    assert!(!raised);
}

#[test]
fn a_pipe_pays_no_attention_to_offsets() {
    let (reader, mut writer) = pipe();
    writer.write_all(b"abc").expect("room in the pipe");
    let mut ring = ring();
    for (offset, byte) in [(0, b"a"), (5, b"b"), (0, b"c")] {
        let mut buf = [0_u8; 1];
        let read = Read::new(&reader, buf.as_mut_ptr(), 1).offset(offset).sqe(1);
        // SAFETY: `reader` and `buf` stay until `complete` returns.
        let cqe = unsafe { complete(&mut ring, read) };
        assert_eq!((cqe.result(), &buf), (Ok(1), byte), "at {offset}");
    }
}

#[test]
fn an_empty_buffer_group_is_enobufs() {
    let (_dir, file) = digits();
    // SAFETY: the file stays until `complete` returns, and no memory is named.
    let cqe = unsafe { complete(&mut ring(), Read::provided(&file, 4, 9).offset(0).sqe(1)) };
    assert_eq!((cqe.result(), cqe.buffer_id()), (Err(Errno::NOBUFS), None));
}

/// A block where direct I/O wants it.
#[repr(align(4096))]
struct Aligned([u8; 4096]);

/// liburing: read-write.
#[test]
fn o_direct_works_on_what_is_aligned_and_refuses_the_rest() {
    let dir = TempDir::new();
    let direct = i32::try_from(OFlags::DIRECT.bits()).expect("a small flag");
    let path = dir.file("blocks", &[5; 8192]);
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).custom_flags(direct).open(path);
    require!(machine: opened.is_ok(), "a file system with O_DIRECT");
    let file = opened.expect("it was just asked");
    let mut ring = ring();
    let block = Box::leak(Box::new(Aligned([6; 4096])));
    let ptr = block.0.as_mut_ptr();
    // SAFETY: `file` stays until `complete` returns, and the block for ever.
    let cqe = unsafe { complete(&mut ring, Write::new(&file, ptr, 4096).offset(4096).sqe(1)) };
    assert_eq!(cqe.result(), Ok(4096));
    // SAFETY: as above.
    let cqe = unsafe { complete(&mut ring, Read::new(&file, ptr, 4096).offset(0).sqe(2)) };
    assert_eq!((cqe.result(), block.0), (Ok(4096), [5; 4096]));
    // SAFETY: as above.
    let cqe = unsafe { complete(&mut ring, Read::new(&file, ptr, 4096).offset(4096).sqe(3)) };
    assert_eq!((cqe.result(), block.0), (Ok(4096), [6; 4096]));
    // A file system may do this one through its cache; one that does not refuses it.
    // SAFETY: as above.
    let cqe = unsafe { complete(&mut ring, Read::new(&file, ptr, 512).offset(1).sqe(4)) };
    assert!(matches!(cqe.result(), Ok(512) | Err(Errno::INVAL)), "{cqe:?}");
}

#[test]
fn reads_in_flight_together_each_get_their_own() {
    let (_dir, file) = digits();
    let mut ring = ring();
    let mut bufs = [[0_u8; 2]; 5];
    for (id, buf) in (0..).zip(&mut bufs) {
        let read: Sqe = Read::new(&file, buf.as_mut_ptr(), 2).offset(2 * id).sqe(id).force_async();
        // SAFETY: `file` and `bufs` stay until all completions are there.
        unsafe { ring.submission().push(read) }.expect("room");
    }
    assert_eq!(ring.submit(), Ok(5));
    let told = reap_sorted(&mut ring, 5);
    assert_eq!(told, (0..5).map(|id| (id, Ok(2))).collect::<Vec<_>>());
    assert_eq!(bufs.concat(), DIGITS);
}
