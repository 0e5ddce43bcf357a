//! The types as memory: what a kernel reads that knows nothing of them. Miri runs these for
//! machines of either byte order and of 32 bits, too.

use std::vec::Vec;

use crate::{Opcode, SharedPtr, io_uring_cqe, io_uring_sqe, sqe_addr, sqe_buf, sqe_file, sqe_off};

#[test]
fn an_entry_has_each_number_in_the_bytes_that_the_kernel_has_it_in() {
    let sqe = io_uring_sqe {
        opcode: Opcode::READ_FIXED,
        ioprio: 0x0203,
        fd: -5,
        off: sqe_off { off: 0x0102_0304_0506_0708 },
        addr: sqe_addr { addr: SharedPtr::without_provenance(0x1112_1314_1516_1718) },
        len: 0x2122_2324,
        user_data: 0x3132_3334_3536_3738,
        buf: sqe_buf { buf_index: 0x4142 },
        personality: 0x5152,
        file: sqe_file { file_index: 0x6162_6364 },
        ..io_uring_sqe::ZEROED
    };
    let mut bytes = Vec::new();
    // `READ_FIXED` and no flags.
    bytes.extend([4, 0]);
    bytes.extend(0x0203_u16.to_ne_bytes());
    bytes.extend((-5_i32).to_ne_bytes());
    bytes.extend(0x0102_0304_0506_0708_u64.to_ne_bytes());
    bytes.extend(0x1112_1314_1516_1718_u64.to_ne_bytes());
    bytes.extend(0x2122_2324_u32.to_ne_bytes());
    bytes.extend(0_u32.to_ne_bytes());
    bytes.extend(0x3132_3334_3536_3738_u64.to_ne_bytes());
    bytes.extend(0x4142_u16.to_ne_bytes());
    bytes.extend(0x5152_u16.to_ne_bytes());
    bytes.extend(0x6162_6364_u32.to_ne_bytes());
    bytes.extend([0; 16]);
    assert_eq!(sqe.as_bytes().as_slice(), bytes);
    assert_eq!(io_uring_sqe::ZEROED.as_bytes(), &[0; 64]);
}

#[test]
fn what_lies_at_an_address_can_be_reached_through_a_copy_of_the_entry() {
    let mut room = [0_u8; 8];
    let addr = SharedPtr::from_mut(room.as_mut_ptr());
    let sqe = io_uring_sqe { addr: sqe_addr { addr }, len: 8, ..io_uring_sqe::ZEROED };
    let mut slot = io_uring_sqe::ZEROED;
    // As a queue does it, whole.
    // SAFETY: both are entries, and no part of one is of the other.
    unsafe { (&raw mut slot).copy_from_nonoverlapping(&raw const sqe, 1) };
    // SAFETY: an address was stored there.
    let addr = unsafe { slot.addr.addr };
    // SAFETY: `room` is 8 bytes long, and not borrowed meanwhile.
    unsafe { addr.as_ptr().cast::<u8>().write_bytes(7, 8) };
    assert_eq!(room, [7; 8]);
}

#[test]
fn an_address_is_a_number_of_64_bits() {
    let here = 0_u32;
    let number = core::ptr::from_ref(&here).addr() as u64;
    assert_eq!(SharedPtr::new(&here).addr(), number);
    // SAFETY: both are 8 bytes long; an address becomes a number.
    let stored: u64 = unsafe { core::mem::transmute_copy(&SharedPtr::without_provenance(number)) };
    assert_eq!(stored, number);
    assert_eq!(size_of::<SharedPtr>(), 8);
    for number in [0, 1, u64::from(u32::MAX), 1 << 32, u64::MAX] {
        assert_eq!(SharedPtr::without_provenance(number).addr(), number);
    }
}

#[test]
fn any_bytes_are_a_completion() {
    let mut bytes = [0_u8; 16];
    for (byte, at) in bytes.iter_mut().zip(0..) {
        *byte = 0xf0 | at;
    }
    // SAFETY: as long, and any bytes are a completion.
    let cqe = unsafe { core::mem::transmute::<[u8; 16], io_uring_cqe>(bytes) };
    assert_eq!(cqe.user_data.to_ne_bytes(), bytes[..8]);
    assert_eq!(cqe.res.to_ne_bytes(), bytes[8..12]);
    assert_eq!(cqe.flags.bits().to_ne_bytes(), bytes[12..]);
}
