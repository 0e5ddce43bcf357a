//! The table of registered buffers: making, changing and dropping it, and which memory it accepts.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::fs::File;
use std::io::Write as _;

use crate::common::{TempDir, complete, require};
use crate::op_common::{
    AS_OF_5_15, AS_OF_5_19, assert_quiet, leaked, pipe, reap_told, ring, start,
};
use ringbolt::IoUring;
use ringbolt::ops::{IoVec, ReadFixed, WriteFixed};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::RegisterOp;

/// A file with these bytes in it, open for reading and writing.
fn file(contents: &[u8]) -> (TempDir, File) {
    let dir = TempDir::new();
    let path = dir.file("data", contents);
    let file = File::options().read(true).write(true).open(path).expect("it was just made");
    (dir, file)
}

/// Registers memory that is leaked, so that it stays valid as long as the kernel may use it.
fn register(ring: &IoUring, buffers: &[IoVec]) -> Result<(), Errno> {
    // SAFETY: each caller in this file passes leaked memory, or addresses without memory.
    unsafe { ring.registrar().register_buffers(buffers) }.map_err(Errno::from)
}

/// As [`register`].
fn update(ring: &IoUring, first: u32, buffers: &[IoVec]) -> Result<u32, Errno> {
    // SAFETY: as above.
    unsafe { ring.registrar().update_buffers(first, buffers) }.map_err(Errno::from)
}

/// Reads a byte to `ptr`, in buffer `index`, and returns the result.
fn read_one(ring: &mut IoUring, file: &File, ptr: *mut u8, index: u16) -> Result<u32, Errno> {
    let read = ReadFixed::new(file, ptr, 1, index).offset(0).sqe(1);
    // SAFETY: the file stays until `complete` returns; the memory is leaked.
    unsafe { complete(ring, read) }.result()
}

#[test]
fn a_table_holds_the_given_entries() {
    let (_dir, file) = file(b"0123456789");
    let mut ring = ring();
    let (one, two) = (leaked::<8>(), leaked::<8>());
    let table = [IoVec::from(&mut one[..]), IoVec::EMPTY, IoVec::from(&mut two[..])];
    assert_eq!(register(&ring, &table), Ok(()));
    for (buf, index) in [(&mut *one, 0), (&mut *two, 2)] {
        let read = ReadFixed::new(&file, buf[1..].as_mut_ptr(), 4, index).offset(3).sqe(1);
        // SAFETY: the file stays until `complete` returns; the memory is leaked.
        assert_eq!(unsafe { complete(&mut ring, read) }.result(), Ok(4));
        assert_eq!(buf, b"-3456---");
    }
    // An address in one buffer is not valid for another.
    assert_eq!(read_one(&mut ring, &file, one.as_mut_ptr(), 2), Err(Errno::FAULT));
    assert_eq!(read_one(&mut ring, &file, one.as_mut_ptr(), 1), Err(Errno::FAULT));
    assert_eq!(read_one(&mut ring, &file, one.as_mut_ptr(), 3), Err(Errno::FAULT));
}

#[test]
fn a_sparse_table_is_filled_by_updates() {
    require!(op: AS_OF_5_19);
    let (_dir, file) = file(b"01");
    let mut ring = ring();
    let (one, two) = (leaked::<4>(), leaked::<4>());
    let [first, second] = [&mut one[..], &mut two[..]].map(IoVec::from);
    assert_eq!(ring.registrar().register_buffers_sparse(3), Ok(()));
    let ptr = first.base.cast::<u8>();
    for index in 0..3 {
        assert_eq!(read_one(&mut ring, &file, ptr, index), Err(Errno::FAULT), "{index}");
    }
    assert_eq!(update(&ring, 1, &[first, second]), Ok(2));
    assert_eq!(read_one(&mut ring, &file, ptr, 0), Err(Errno::FAULT));
    assert_eq!(read_one(&mut ring, &file, ptr, 1), Ok(1));
    assert_eq!(read_one(&mut ring, &file, second.base.cast(), 2), Ok(1));
    // Replaced, and emptied.
    assert_eq!(update(&ring, 1, &[second, IoVec::EMPTY]), Ok(2));
    assert_eq!(read_one(&mut ring, &file, ptr, 1), Err(Errno::FAULT));
    assert_eq!(read_one(&mut ring, &file, second.base.cast(), 1), Ok(1));
    assert_eq!(read_one(&mut ring, &file, second.base.cast(), 2), Err(Errno::FAULT));
}

#[test]
fn updating_out_of_range_is_einval_and_without_a_table_enxio() {
    require!(op: AS_OF_5_15);
    let ring = ring();
    let buffer = IoVec::from(&mut leaked::<4>()[..]);
    assert_eq!(update(&ring, 0, &[buffer]), Err(Errno::NXIO));
    assert_eq!(register(&ring, &[buffer, buffer]), Ok(()));
    assert_eq!(update(&ring, 1, &[buffer; 2]), Err(Errno::INVAL));
    assert_eq!(update(&ring, 2, &[buffer]), Err(Errno::INVAL));
    let far = update(&ring, u32::MAX, &[buffer]);
    assert!(matches!(far, Err(Errno::INVAL | Errno::OVERFLOW)), "{far:?}");
    assert_eq!(update(&ring, 0, &[buffer; 2]), Ok(2));
}

#[test]
fn registering_a_second_table_is_ebusy_and_dropping_a_missing_one_enxio() {
    let ring = ring();
    let buffer = IoVec::from(&mut leaked::<4>()[..]);
    assert_eq!(ring.registrar().unregister_buffers().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(register(&ring, &[buffer]), Ok(()));
    assert_eq!(register(&ring, &[buffer]), Err(Errno::BUSY));
    assert_eq!(ring.registrar().unregister_buffers(), Ok(()));
    assert_eq!(ring.registrar().unregister_buffers().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(register(&ring, &[buffer]), Ok(()), "and again");
}

/// liburing: io_uring_register.
#[test]
fn registering_unmapped_memory_is_efault() {
    let ring = ring();
    let here = IoVec::from(&mut leaked::<4>()[..]);
    let nowhere = IoVec::new(core::ptr::without_provenance_mut(4096), 4096);
    let null = IoVec::new(core::ptr::null_mut(), 1);
    for bad in [nowhere, null] {
        assert_eq!(register(&ring, &[here, bad]), Err(Errno::FAULT), "{bad:?}");
        // The whole table is registered, or nothing.
        assert_eq!(ring.registrar().unregister_buffers().map_err(Errno::from), Err(Errno::NXIO));
    }
    let too_long = IoVec::new(here.base.cast(), (1 << 30) + 1);
    assert_eq!(register(&ring, &[too_long]), Err(Errno::FAULT), "more than 1 GiB");
}

#[test]
fn an_update_returns_how_many_slots_it_replaced() {
    require!(op: AS_OF_5_15);
    let (_dir, file) = file(b"0");
    let mut ring = ring();
    let here = IoVec::from(&mut leaked::<4>()[..]);
    let nowhere = IoVec::new(core::ptr::without_provenance_mut(4096), 4096);
    assert_eq!(register(&ring, &[IoVec::EMPTY; 3]), Ok(()));
    assert_eq!(update(&ring, 0, &[here, nowhere, here]), Ok(1));
    assert_eq!(read_one(&mut ring, &file, here.base.cast(), 0), Ok(1));
    assert_eq!(read_one(&mut ring, &file, here.base.cast(), 2), Err(Errno::FAULT));
    assert_eq!(update(&ring, 0, &[nowhere]), Err(Errno::FAULT), "not even one");
}

#[test]
fn a_table_has_at_least_one_slot_and_at_most_16384() {
    let ring = ring();
    assert_eq!(register(&ring, &[]), Err(Errno::INVAL));
    require!(op: AS_OF_5_19);
    let registrar = ring.registrar();
    assert_eq!(registrar.register_buffers_sparse(0).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(registrar.register_buffers_sparse(16_385).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(registrar.register_buffers_sparse(16_384), Ok(()));
    assert_eq!(registrar.register_buffers_sparse(1).map_err(Errno::from), Err(Errno::BUSY));
}

#[test]
fn an_entry_in_flight_keeps_the_buffer_that_it_started_with() {
    // Before Linux 6.13, which also has this, unregistering waits for the entry.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let buf = leaked::<8>();
    assert_eq!(register(&ring, &[IoVec::from(&mut buf[..])]), Ok(()));
    // SAFETY: the memory is leaked, and not touched until the completion is there.
    unsafe { start(&mut ring, ReadFixed::new(&reader, buf.as_mut_ptr(), 8, 0).sqe(1)) };
    assert_quiet(&mut ring);
    assert_eq!(ring.registrar().unregister_buffers(), Ok(()));
    writer.write_all(b"abc").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(3))]);
    assert_eq!(buf, b"abc-----");
}

#[test]
fn a_buffer_of_many_pages_can_be_used_at_any_place() {
    const LEN: usize = 1 << 20;
    let contents: Vec<u8> = (0..LEN).map(|at| at.to_le_bytes()[1]).collect();
    let (_dir, file) = file(&contents);
    let mut ring = ring();
    let buf: &mut [u8] = Box::leak(vec![0; LEN].into());
    assert_eq!(register(&ring, &[IoVec::from(&mut buf[..])]), Ok(()));
    let all = u32::try_from(LEN).expect("a small buffer");
    let read = ReadFixed::new(&file, buf.as_mut_ptr(), all, 0).offset(0).sqe(1);
    // SAFETY: the file stays until `complete` returns; the memory is leaked.
    assert_eq!(unsafe { complete(&mut ring, read) }.result(), Ok(all));
    assert!(buf == contents);
    // Across the border of two pages, to the file's start.
    let write = WriteFixed::new(&file, buf[4090..].as_ptr(), 12, 0).offset(0).sqe(2);
    // SAFETY: as above.
    assert_eq!(unsafe { complete(&mut ring, write) }.result(), Ok(12));
    let read = ReadFixed::new(&file, buf[8188..].as_mut_ptr(), 12, 0).offset(0).sqe(3);
    // SAFETY: as above.
    assert_eq!(unsafe { complete(&mut ring, read) }.result(), Ok(12));
    assert_eq!(buf[8188..8200], contents[4090..4102]);
    assert_eq!((buf[8187], buf[8200]), (contents[8187], contents[8200]));
}
