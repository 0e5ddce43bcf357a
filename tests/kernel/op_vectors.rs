//! Several buffers at once: in registered memory, and to a socket.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::fs::File;
use std::io::Read as _;

use crate::common::{TempDir, complete, reap, require};
use crate::op_common::{leaked, reap_told, ring, start, tcp_pair, unix_pair};
use ringbolt::ops::{IoVec, MsgHdr, ReadvFixed, Send, SendMsgZc, WritevFixed};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{Opcode, RegisterOp};
use ringbolt::{IoUring, Sqe};

/// What an entry comes to.
fn result(ring: &mut IoUring, sqe: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller keeps all that the entry names until this returns.
    unsafe { complete(ring, sqe) }.result()
}

/// A ring with 8 KiB of registered memory as buffer 1, and that memory.
fn registered() -> (IoUring, *mut u8) {
    let ring = ring();
    let memory: &'static mut [u8; 8192] = leaked();
    let start = memory.as_mut_ptr();
    let buffers = [IoVec::EMPTY, IoVec::new(start, 8192)];
    // SAFETY: the memory is leaked, and used only where the entries of these tests say.
    unsafe { ring.registrar().register_buffers(&buffers) }.expect("two buffers");
    (ring, start)
}

/// A few bytes of the registered memory.
fn part(start: *mut u8, offset: usize, len: usize) -> IoVec {
    assert!(offset + len <= 8192);
    IoVec::new(start.wrapping_add(offset), len)
}

fn bytes_at(start: *mut u8, offset: usize, len: usize) -> &'static [u8] {
    assert!(offset + len <= 8192);
    // SAFETY: inside the memory that is leaked, and that no entry in flight uses.
    unsafe { core::slice::from_raw_parts(start.wrapping_add(offset), len) }
}

fn fill(start: *mut u8, offset: usize, bytes: &[u8]) {
    assert!(offset + bytes.len() <= 8192);
    // SAFETY: as for `bytes_at`, and nobody holds a slice of it.
    unsafe { start.wrapping_add(offset).copy_from(bytes.as_ptr(), bytes.len()) };
}

fn file(contents: &[u8]) -> (TempDir, File) {
    let dir = TempDir::new();
    let path = dir.file("data", contents);
    let file = File::options().read(true).write(true).open(path).expect("it was just made");
    (dir, file)
}

#[test]
fn vec_regbuf_a_read_is_scattered_over_registered_memory() {
    require!(op: Opcode::READV_FIXED);
    let (_dir, file) = file(b"0123456789");
    let (mut ring, start) = registered();
    let into = [part(start, 5000, 3), part(start, 0, 5)];
    let read = ReadvFixed::new(&file, into.as_ptr(), 2, 1).offset(1).sqe(1);
    assert_eq!(result(&mut ring, read), Ok(8));
    assert_eq!((bytes_at(start, 5000, 4), bytes_at(start, 0, 6)), (&b"123-"[..], &b"45678-"[..]));
}

#[test]
fn vec_regbuf_a_write_is_gathered_from_registered_memory() {
    require!(op: Opcode::WRITEV_FIXED);
    let (dir, file) = file(b"0123456789");
    let (mut ring, start) = registered();
    fill(start, 4094, b"abcd");
    fill(start, 0, b"xyz");
    let from = [part(start, 4094, 4), part(start, 1, 2)];
    let write = WritevFixed::new(&file, from.as_ptr(), 2, 1).offset(2).sqe(1);
    assert_eq!(result(&mut ring, write), Ok(6));
    assert_eq!(std::fs::read(dir.join("data")).ok().as_deref(), Some(&b"01abcdyz89"[..]));
}

#[test]
fn vec_regbuf_what_leads_out_of_the_registered_memory_is_efault() {
    require!(op: Opcode::READV_FIXED);
    let (_dir, file) = file(b"0123456789");
    let (mut ring, start) = registered();
    let other = leaked::<8>().as_mut_ptr();
    let table = [
        ([part(start, 0, 4), IoVec::new(start.wrapping_add(8190), 4)], 1, Errno::FAULT),
        ([part(start, 0, 4), IoVec::new(other, 4)], 1, Errno::FAULT),
        ([part(start, 0, 4), part(start, 4, 0)], 1, Errno::FAULT),
        ([part(start, 0, 4), part(start, 4, 4)], 0, Errno::FAULT),
        ([part(start, 0, 4), part(start, 4, 4)], 2, Errno::FAULT),
    ];
    for (vectors, index, errno) in table {
        let read = ReadvFixed::new(&file, vectors.as_ptr(), 2, index).offset(0).sqe(1);
        assert_eq!(result(&mut ring, read), Err(errno), "{vectors:?} of {index}");
        let write = WritevFixed::new(&file, vectors.as_ptr(), 2, index).offset(0).sqe(1);
        assert_eq!(result(&mut ring, write), Err(errno), "{vectors:?} of {index}");
    }
    let vectors = vec![part(start, 0, 1); 1025];
    let read = ReadvFixed::new(&file, vectors.as_ptr(), 1025, 1).offset(0).sqe(1);
    assert_eq!(result(&mut ring, read), Err(Errno::INVAL));
}

#[test]
fn vec_regbuf_a_zero_copy_message_is_gathered_from_registered_memory() {
    require!(op: Opcode::READV_FIXED);
    let (ours, mut theirs) = tcp_pair();
    let (mut ring, start_of) = registered();
    fill(start_of, 4000, b"hello ");
    fill(start_of, 100, b"world");
    let from = [part(start_of, 4000, 6), part(start_of, 100, 5)];
    let header = MsgHdr { vectors: from.as_ptr(), vector_count: 2, ..MsgHdr::EMPTY };
    let send = SendMsgZc::new(&ours, &header).fixed_buffer(1).sqe(1);
    // SAFETY: header and vectors stay until both completions are there, the memory for ever.
    unsafe { start(&mut ring, send) };
    let mut bytes = [0; 11];
    theirs.read_exact(&mut bytes).expect("what was sent");
    assert_eq!(&bytes, b"hello world");
    let both = reap(&mut ring, 2);
    assert_eq!((both[0].result(), both[0].has_more()), (Ok(11), true));
    assert!(both[1].is_notification() && !both[1].has_more());
}

#[test]
fn a_send_is_gathered_from_vectors() {
    // The flag came with Linux 6.17.
    require!(register: RegisterOp::REGISTER_QUERY);
    let (ours, mut theirs) = unix_pair();
    let mut ring = ring();
    let mut from = [&b"hello "[..], b"", b"world"].map(IoVec::from);
    // SAFETY: the vectors stay until taken, the bytes for ever.
    unsafe { start(&mut ring, Send::vectored(&ours, from.as_ptr(), 3).sqe(1)) };
    from.fill(IoVec::EMPTY);
    assert_eq!(from[0].len, 0);
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(11))]);
    let mut bytes = [0; 11];
    theirs.read_exact(&mut bytes).expect("what was sent");
    assert_eq!(&bytes, b"hello world");
    let nowhere = core::ptr::without_provenance(8);
    let send = Send::vectored(&ours, nowhere, 1).sqe(2);
    assert_eq!(result(&mut ring, send), Err(Errno::FAULT));
}
