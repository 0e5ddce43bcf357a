//! Reads and writes.
#![forbid(unsafe_code)]

use std::vec;

use rustix::io::Errno;

use super::{err, read, run, simulated};
use crate::ops::{Fixed, IoVec, Read, Readv, Target, Write, Writev};
use crate::sim::MAX_FILE;
use crate::sys::RwFlags;

#[test]
fn a_read_is_short_at_the_end_and_empty_beyond_it() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), b"hello".to_vec());
    let mut buf = [0; 8];
    assert_eq!(run(&mut ring, &[read(1, &raw mut buf)], 1), [(1, 5)]);
    assert_eq!(&buf[..5], b"hello");
    let behind = Read::new(Fixed(0), buf.as_mut_ptr(), 8).offset(5).sqe(2);
    assert_eq!(run(&mut ring, &[behind], 1), [(2, 0)]);
    let far = Read::new(Fixed(0), buf.as_mut_ptr(), 8).offset(1 << 40).sqe(3);
    assert_eq!(run(&mut ring, &[far], 1), [(3, 0)]);
    let negative = Read::new(Fixed(0), buf.as_mut_ptr(), 8).offset(1 << 63).sqe(4);
    assert_eq!(run(&mut ring, &[negative], 1), [(4, err(Errno::INVAL))]);
}

#[test]
fn a_transfer_without_an_offset_moves_the_position() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), b"hello".to_vec());
    let mut buf = [0; 3];
    let here = Read::new(Fixed(0), buf.as_mut_ptr(), 3).sqe(1);
    assert_eq!(run(&mut ring, &[here], 1), [(1, 3)]);
    assert_eq!(run(&mut ring, &[here], 1), [(1, 2)]);
    assert_eq!(&buf, b"lol");
    assert_eq!(run(&mut ring, &[here], 1), [(1, 0)]);
}

#[test]
fn a_write_extends_the_file() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Target::Fd(5), b"ab".to_vec());
    let write = Write::new(Target::Fd(5), b"xyz".as_ptr(), 3);
    assert_eq!(run(&mut ring, &[write.offset(4).sqe(1)], 1), [(1, 3)]);
    assert_eq!(kernel.file(Target::Fd(5)).unwrap(), b"ab\0\0xyz");
    let append = write.flags(RwFlags::APPEND).offset(0);
    assert_eq!(run(&mut ring, &[append.sqe(1)], 1), [(1, 3)]);
    assert_eq!(kernel.file(Target::Fd(5)).unwrap(), b"ab\0\0xyzxyz");
    assert_eq!(run(&mut ring, &[write.offset(MAX_FILE as u64).sqe(1)], 1), [(1, err(Errno::FBIG))]);
    let fixed = Fixed(5);
    assert_eq!(kernel.file(fixed), None);
}

#[test]
fn vectors_are_used_in_order_and_may_be_freed_after_submission() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), b"abcdef".to_vec());
    kernel.set_pace(crate::sim::Pace::Held);
    let (mut one, mut two) = ([0; 2], [0; 8]);
    let vectors = vec![IoVec::from(&mut one[..]), IoVec::EMPTY, IoVec::from(&mut two[..])];
    let readv = Readv::new(Fixed(0), vectors.as_ptr(), 3).offset(1).sqe(1);
    super::push(&mut ring, &[readv]);
    assert_eq!(ring.submit(), Ok(1));
    drop(vectors);
    kernel.complete(0);
    assert_eq!(super::reap(&mut ring), [(1, 5)]);
    assert_eq!((&one, &two[..3]), (b"bc", &b"def"[..]));
    kernel.set_pace(crate::sim::Pace::Inline);
    let vectors = [IoVec::from(&b"12"[..]), IoVec::from(&b"34"[..])];
    let writev = Writev::new(Fixed(0), vectors.as_ptr(), 2).offset(4).sqe(2);
    assert_eq!(run(&mut ring, &[writev], 1), [(2, 4)]);
    assert_eq!(kernel.file(Fixed(0)).unwrap(), b"abcd1234");
}

#[test]
fn invalid_transfers_are_refused() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), b"abcdef".to_vec());
    let mut buf = [0; 4];
    let null = core::ptr::null_mut();
    let table = [
        (Read::new(Fixed(1), buf.as_mut_ptr(), 4).offset(0).sqe(1), err(Errno::BADF)),
        (Read::new(Target::Fd(0), buf.as_mut_ptr(), 4).offset(0).sqe(1), err(Errno::BADF)),
        (Read::new(Fixed(0), null, 4).offset(0).sqe(1), err(Errno::FAULT)),
        (Read::new(Fixed(0), null, 0).offset(0).sqe(1), 0),
        (Write::new(Fixed(0), null, 4).offset(0).sqe(1), err(Errno::FAULT)),
        (Readv::new(Fixed(0), core::ptr::null(), 1).offset(0).sqe(1), err(Errno::FAULT)),
        (Readv::new(Fixed(0), core::ptr::null(), 1025).offset(0).sqe(1), err(Errno::INVAL)),
        (Write::new(Fixed(0), null, 4).offset(0).sqe(1).buffer_group(0), err(Errno::OPNOTSUPP)),
    ];
    for (sqe, result) in table {
        assert_eq!(run(&mut ring, &[sqe], 1), [(1, result)], "{sqe:?}");
    }
}

#[test]
fn a_transfer_can_be_made_short_or_fail() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), b"abcdef".to_vec());
    kernel.shorten_next_transfer(2);
    kernel.fail_next_transfer(Errno::IO);
    let mut buf = [0; 4];
    let entries = [read(1, &raw mut buf); 3];
    assert_eq!(run(&mut ring, &entries, 3), [(1, 2), (1, err(Errno::IO)), (1, 4)]);
}
