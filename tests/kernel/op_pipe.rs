//! Pipes: made, spliced, and copied from one into the other.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::time::Duration;
use std::fs::{self, File};
use std::io::{Read as _, Seek as _, Write as _};

use crate::common::{TempDir, complete, require};
use crate::op_common;
use crate::op_common::{
    assert_quiet, cancel, complete_safe, pipe, reap_sorted, reap_told, rest_of, ring, start,
    start_all,
};
use ringbolt::IoUring;
use ringbolt::ops::{DestSlot, Fixed, FixedFdInstall, Pipe, Read, Splice, Target, Tee, Write};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fd::{AsFd, FromRawFd as _, OwnedFd, RawFd};
use ringbolt::rustix::fs::{OFlags, fcntl_getfl};
use ringbolt::rustix::io::{Errno, FdFlags, fcntl_getfd};
use ringbolt::rustix::pipe::{PipeFlags, SpliceFlags};
use ringbolt::sys::{Opcode, SpliceFlags as RingSpliceFlags};

const DIGITS: &[u8] = b"0123456789";

/// What is meant for the kernel itself, and gets out of a splice that is interrupted.
const RESTARTSYS: Errno = Errno::from_raw_os_error(512);

fn splice(ring: &mut IoUring, splice: Splice) -> Result<u32, Errno> {
    // SAFETY: the caller keeps the files until this returns; no memory is named.
    unsafe { complete(ring, splice.sqe(1)) }.result()
}

fn tee(ring: &mut IoUring, tee: Tee) -> Result<u32, Errno> {
    // SAFETY: the caller keeps the files until this returns; no memory is named.
    unsafe { complete(ring, tee.sqe(1)) }.result()
}

/// A file with the ten digits in it, open for reading and writing.
fn digits() -> (TempDir, File) {
    let dir = TempDir::new();
    let path = dir.file("digits", DIGITS);
    let file = File::options().read(true).write(true).open(path).expect("it was just made");
    (dir, file)
}

/// A pipe with `bytes` in it.
fn filled(bytes: &[u8]) -> (File, File) {
    let (reader, mut writer) = pipe();
    writer.write_all(bytes).expect("room in the pipe");
    (reader, writer)
}

/// The next bytes of a pipe that has them.
fn next<const N: usize>(mut reader: &File) -> [u8; N] {
    let mut buf = [0; N];
    reader.read_exact(&mut buf).expect("bytes in the pipe");
    buf
}

#[test]
fn a_splice_moves_what_is_in_a_file_into_a_pipe() {
    require!(op: Opcode::SPLICE);
    let (_dir, mut file) = digits();
    let (reader, writer) = pipe();
    let mut ring = ring();
    // At the file's position, which moves, and at an offset, which leaves it alone.
    assert_eq!(splice(&mut ring, Splice::new(&file, &writer, 4)), Ok(4));
    assert_eq!(&next(&reader), b"0123");
    let at = Splice::new(&file, &writer, 2).input_offset(7);
    assert_eq!(splice(&mut ring, at), Ok(2));
    assert_eq!(&next(&reader), b"78");
    assert_eq!(file.stream_position().ok(), Some(4));
    assert_eq!(splice(&mut ring, at.input_position()), Ok(2));
    assert_eq!(&next(&reader), b"45");
    assert_eq!(file.stream_position().ok(), Some(6));
    assert_eq!(splice(&mut ring, Splice::new(&file, &writer, 100)), Ok(4), "all there is");
    assert_eq!(splice(&mut ring, Splice::new(&file, &writer, 100)), Ok(0), "the end");
    drop(writer);
    assert_eq!(rest_of(reader), b"6789");
}

#[test]
fn a_splice_moves_what_is_in_a_pipe_into_a_file() {
    require!(op: Opcode::SPLICE);
    let (dir, mut file) = digits();
    let (reader, writer) = filled(b"abcdef");
    let mut ring = ring();
    let at = Splice::new(&reader, &file, 2).output_offset(5);
    assert_eq!(splice(&mut ring, at), Ok(2));
    assert_eq!(file.stream_position().ok(), Some(0));
    let at = Splice::new(&reader, &file, 3).output_offset(5).output_position();
    assert_eq!(splice(&mut ring, at), Ok(3));
    assert_eq!(file.stream_position().ok(), Some(3));
    assert_eq!(fs::read(dir.join("digits")).ok().as_deref(), Some(&b"cde34ab789"[..]));
    drop(writer);
    assert_eq!(rest_of(reader), b"f");
    // More than 32 bits of offset.
    let (reader, _writer) = filled(b"x");
    let far = Splice::new(&reader, &file, 1).output_offset(1 << 32);
    assert_eq!(splice(&mut ring, far), Ok(1));
    assert_eq!(file.metadata().expect("it is open").len(), (1 << 32) + 1);
}

#[test]
fn a_splice_goes_from_pipe_to_pipe_and_takes_slots_on_both_sides() {
    require!(op: Opcode::SPLICE);
    let (from, _writer) = filled(b"abcdef");
    let (reader, to) = pipe();
    let mut ring = ring();
    let slots = [FileSlot::EMPTY, FileSlot::from(&from), FileSlot::from(&to)];
    ring.registrar().register_files(&slots).expect("three slots");
    let table = [
        Splice::new(&from, &to, 1),
        Splice::new(Fixed(1), &to, 1),
        Splice::new(&from, Fixed(2), 1),
        Splice::new(Target::Fixed(Fixed(1)), Fixed(2), 1),
        // The flags do not undo what the slot set.
        Splice::new(Target::Fixed(Fixed(1)), Fixed(2), 1)
            .flags(SpliceFlags::NONBLOCK | SpliceFlags::MOVE),
    ];
    for (op, expected) in table.into_iter().zip(b"abcde") {
        assert_eq!(splice(&mut ring, op), Ok(1), "{op:?}");
        assert_eq!(next(&reader), [*expected], "{op:?}");
    }
    assert_eq!(splice(&mut ring, Splice::new(Fixed(0), &to, 1)), Err(Errno::BADF), "empty");
    assert_eq!(splice(&mut ring, Splice::new(Fixed(3), &to, 1)), Err(Errno::BADF), "none");
}

#[test]
fn a_splice_says_why_it_cannot() {
    require!(op: Opcode::SPLICE);
    let (_dir, file) = digits();
    let (empty, writer) = pipe();
    let (full, _full_writer) = filled(b"x");
    let mut ring = ring();
    let unknown = SpliceFlags::from_bits_retain(1 << 20);
    let table = [
        (Splice::new(&file, &file, 1), Errno::INVAL),
        (Splice::new(&full, &writer, 1).input_offset(0), Errno::SPIPE),
        (Splice::new(&file, &writer, 1).output_offset(0), Errno::SPIPE),
        (Splice::new(&empty, &writer, 1), Errno::INVAL),
        (Splice::new(&full, &writer, 1).flags(unknown), Errno::INVAL),
        (Splice::new(&writer, &file, 1), Errno::BADF),
        (Splice::new(Target::Fd(-1), &writer, 1), Errno::BADF),
        (Splice::new(&full, Target::Fd(-1), 1), Errno::BADF),
        (Splice::new(&empty, &file, 1).flags(SpliceFlags::NONBLOCK), Errno::AGAIN),
    ];
    for (op, errno) in table {
        assert_eq!(splice(&mut ring, op), Err(errno), "{op:?}");
    }
    assert_eq!(&next(&full), b"x", "nothing was taken");
}

#[test]
fn a_splice_waits_for_data_and_can_be_cancelled() {
    require!(op: Opcode::SPLICE);
    let (from, mut writer) = pipe();
    let (reader, to) = pipe();
    let mut ring = ring();
    // SAFETY: the pipes stay; no memory is named.
    unsafe { start(&mut ring, Splice::new(&from, &to, 8).sqe(1)) };
    assert_quiet(&mut ring);
    writer.write_all(b"abc").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(3))]);
    assert_eq!(&next(&reader), b"abc");

    // SAFETY: the pipes stay; no memory is named.
    unsafe { start(&mut ring, Splice::new(&from, &to, 8).sqe(2)) };
    // Whether a worker had come to the pipe decides what both are told; both end either way.
    std::thread::sleep(Duration::from_millis(5));
    assert_quiet(&mut ring);
    cancel(&mut ring, 2, 3);
    let told = reap_sorted(&mut ring, 2);
    let [(2, Err(ended)), (3, answer)] = told[..] else {
        panic!("{told:?}");
    };
    match answer {
        Ok(0) | Err(Errno::ALREADY) => {
            assert!([Errno::CANCELED, Errno::INTR, RESTARTSYS].contains(&ended), "{ended:?}");
        }
        // The worker was woken for the cancellation, and had left before it was looked for.
        Err(Errno::NOENT) => assert_eq!(ended, RESTARTSYS),
        _ => panic!("{told:?}"),
    }
    assert_quiet(&mut ring);
}

#[test]
fn a_tee_leaves_the_data_where_it_is() {
    require!(op: Opcode::TEE);
    let (from, writer) = filled(b"abcdef");
    let (reader, to) = pipe();
    let mut ring = ring();
    let slots = [FileSlot::from(&from), FileSlot::from(&to)];
    ring.registrar().register_files(&slots).expect("two slots");
    assert_eq!(tee(&mut ring, Tee::new(&from, &to, 4)), Ok(4));
    let fixed = Tee::new(Target::Fixed(Fixed(0)), Fixed(1), 100).flags(SpliceFlags::NONBLOCK);
    assert_eq!(tee(&mut ring, fixed), Ok(6));
    assert_eq!(&next(&reader), b"abcdabcdef");
    drop(writer);
    assert_eq!(&next(&from), b"abcdef");
    assert_eq!(tee(&mut ring, Tee::new(&from, &to, 4)), Ok(0), "the end");
}

#[test]
fn a_tee_says_why_it_cannot() {
    require!(op: Opcode::TEE);
    let (_dir, file) = digits();
    let (empty, writer) = pipe();
    let (full, _full_writer) = filled(b"x");
    let mut ring = ring();
    let table = [
        (Tee::new(&file, &writer, 1), Errno::INVAL),
        (Tee::new(&full, &file, 1), Errno::INVAL),
        (Tee::new(&empty, &writer, 1), Errno::INVAL),
        (Tee::new(Target::Fd(-1), &writer, 1), Errno::BADF),
        (Tee::new(Fixed(0), &writer, 1), Errno::BADF),
        (Tee::new(&full, &full, 1), Errno::BADF),
    ];
    for (op, errno) in table {
        assert_eq!(tee(&mut ring, op), Err(errno), "{op:?}");
    }
    let (_reader, to) = pipe();
    let wait = Tee::new(&empty, &to, 1).flags(SpliceFlags::NONBLOCK);
    assert_eq!(tee(&mut ring, wait), Err(Errno::AGAIN));
}

#[test]
fn a_splice_and_a_tee_can_be_chained() {
    require!(op: Opcode::TEE);
    let (_dir, file) = digits();
    let (first, first_in) = pipe();
    let (second, second_in) = pipe();
    let mut ring = ring();
    let fill = Splice::new(&file, &first_in, 10).input_offset(0).sqe(1).link();
    let chain = [fill, Tee::new(&first, &second_in, 10).sqe(2)];
    // SAFETY: the files stay; no memory is named.
    unsafe { start_all(&mut ring, &chain) };
    assert_eq!(reap_told(&mut ring, 2), [(1, Ok(10)), (2, Ok(10))]);
    assert_eq!((&next(&first), &next(&second)), (b"0123456789", b"0123456789"));
}

/// Makes a pipe, and tells what is stored about it.
fn make(ring: &mut IoUring, with: impl FnOnce(Pipe) -> Pipe) -> Result<[RawFd; 2], Errno> {
    let mut ends = [-7; 2];
    // SAFETY: `ends` stays until `complete` returns.
    unsafe { complete(ring, with(Pipe::new(&mut ends)).sqe(1)) }.result()?;
    Ok(ends)
}

/// Writes to a pipe, and reads it at the other end.
fn assert_connected(ring: &mut IoUring, reader: Target, writer: Target) {
    let mut buf = [0_u8; 4];
    let write = Write::new(writer, b"abcd".as_ptr(), 4).sqe(1);
    let read = Read::new(reader, buf.as_mut_ptr(), 4).sqe(2);
    for entry in [write, read] {
        // SAFETY: the caller keeps the pipe, `buf` stays until `complete` returns, and the
        // bytes for ever.
        assert_eq!(unsafe { complete(ring, entry) }.result(), Ok(4), "{entry:?}");
    }
    assert_eq!(&buf, b"abcd");
}

#[test]
fn a_pipe_is_made_with_its_flags() {
    require!(op: Opcode::PIPE);
    let mut ring = ring();
    let fd_flags = |file: &OwnedFd| fcntl_getfd(file).expect("it is open");
    let nonblocking =
        |file: &OwnedFd| fcntl_getfl(file).expect("it is open").contains(OFlags::NONBLOCK);
    for flags in [PipeFlags::empty(), PipeFlags::CLOEXEC | PipeFlags::NONBLOCK] {
        let [reader, writer] =
            make(&mut ring, |pipe| pipe.flags(flags)).expect("a pipe").map(|fd| {
                // SAFETY: the kernel has just made it for this process, and nobody else has it.
                unsafe { OwnedFd::from_raw_fd(fd) }
            });
        assert_connected(&mut ring, Target::from(&reader), Target::from(&writer));
        for end in [&reader, &writer] {
            let cloexec = fd_flags(end).contains(FdFlags::CLOEXEC);
            assert_eq!(cloexec, flags.contains(PipeFlags::CLOEXEC));
            assert_eq!(nonblocking(end), flags.contains(PipeFlags::NONBLOCK));
        }
    }
}

/// Whether a slot holds a file.
fn is_filled(ring: &mut IoUring, slot: u32) -> bool {
    let told = complete_safe(ring, FixedFdInstall::new(Fixed(slot)).sqe(1)).result();
    if told == Err(Errno::BADF) {
        return false;
    }
    drop(op_common::owned(told));
    true
}

#[test]
fn a_pipe_fills_the_slot_named_and_the_next() {
    require!(op: Opcode::PIPE);
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::EMPTY; 4]).expect("four empty slots");
    let at = |slot| move |pipe: Pipe| pipe.fixed(DestSlot::At(Fixed(slot)));
    assert_eq!(make(&mut ring, at(1)), Ok([1, 2]));
    assert_connected(&mut ring, Fixed(1).into(), Fixed(2).into());
    assert_eq!([0, 1, 2, 3].map(|slot| is_filled(&mut ring, slot)), [false, true, true, false]);
    assert_eq!(make(&mut ring, at(3)), Err(Errno::INVAL), "there is no next");
    assert!(!is_filled(&mut ring, 3), "the first end does not stay alone");
    assert_eq!(make(&mut ring, at(4)), Err(Errno::INVAL));
}

#[test]
fn a_pipe_takes_any_two_slots_and_tells_which() {
    require!(op: Opcode::PIPE);
    let (_dir, file) = digits();
    let mut ring = ring();
    let slots = [FileSlot::from(&file), FileSlot::EMPTY, FileSlot::from(&file), FileSlot::EMPTY];
    ring.registrar().register_files(&slots).expect("four slots");
    let alloc = |pipe: Pipe| pipe.fixed(DestSlot::Alloc);
    let slots = make(&mut ring, alloc).expect("two free slots");
    let [reader, writer] = slots.map(|slot| Fixed(u32::try_from(slot).expect("a slot")));
    assert_eq!([reader, writer], [Fixed(1), Fixed(3)]);
    assert_connected(&mut ring, reader.into(), writer.into());
    assert_eq!(make(&mut ring, alloc), Err(Errno::NFILE));
}

#[test]
fn a_pipe_that_cannot_be_says_why() {
    require!(op: Opcode::PIPE);
    let mut ring = ring();
    let at = |pipe: Pipe| pipe.fixed(DestSlot::At(Fixed(0)));
    let fixed = |pipe: Pipe| pipe.fixed(DestSlot::Alloc);
    assert_eq!(make(&mut ring, at), Err(Errno::NXIO), "no table");
    assert_eq!(make(&mut ring, fixed), Err(Errno::NFILE), "nor a free slot");
    ring.registrar().register_files(&[FileSlot::EMPTY; 2]).expect("two empty slots");
    let cloexec = |pipe| fixed(pipe).flags(PipeFlags::CLOEXEC);
    assert_eq!(make(&mut ring, cloexec), Err(Errno::INVAL));
    let unknown = PipeFlags::from_bits_retain(1 << 30);
    assert_eq!(make(&mut ring, |pipe| pipe.flags(unknown)), Err(Errno::INVAL));
    let nowhere = core::ptr::without_provenance_mut(8);
    // SAFETY: there is no memory to keep.
    let cqe = unsafe { complete(&mut ring, Pipe::new(nowhere).sqe(1)) };
    assert_eq!(cqe.result(), Err(Errno::FAULT));
}

#[test]
fn the_flag_of_a_fixed_input_is_the_ring_s_own() {
    let (reader, _writer) = pipe();
    let fixed = RingSpliceFlags::FD_IN_FIXED.bits();
    let entry = Splice::new(Fixed(9), &reader, 1).flags(SpliceFlags::MORE).sqe(1);
    assert_eq!((entry.op_flags(), entry.file_index()), (fixed | SpliceFlags::MORE.bits(), 9));
    let entry = Splice::new(reader.as_fd(), Fixed(9), 1).sqe(1);
    assert_eq!((entry.op_flags(), entry.fd()), (0, 9));
}
