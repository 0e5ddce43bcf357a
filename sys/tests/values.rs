//! What the values are in memory, and how they print. Nothing here asks the kernel, so that all of
//! it runs under Miri, for any target.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use ringbolt_sys::{
    CqeFlags, KernelVersion, Opcode, RegisterOp, SetupFlags, SharedPtr, SpliceFlags, SqeFlags,
    io_uring_buf, io_uring_buf_ring, io_uring_cqe, io_uring_params, io_uring_restriction,
    io_uring_sqe, restriction_arg, sqe_addr, sqe_addr3, sqe_file, sqe_off, sqe_op_flags,
    sqe_optval, sqe_poll_events, sqe_tail, sqe_write_stream,
};

/// The 8 bytes of a pointer field, as the kernel sees them.
fn bytes_of(ptr: SharedPtr) -> [u8; 8] {
    let sqe = io_uring_sqe { addr: sqe_addr { addr: ptr }, ..io_uring_sqe::ZEROED };
    sqe.as_bytes()[16..24].try_into().unwrap()
}

#[test]
fn shared_ptr_is_a_u64_in_memory_in_the_byte_order_of_the_target() {
    let value = 5_u32;
    let ptr = &raw const value;
    assert_eq!(bytes_of(SharedPtr::new(ptr)), (ptr.addr() as u64).to_ne_bytes());
    assert_eq!(bytes_of(SharedPtr::NULL), [0; 8]);
    assert_eq!(size_of::<SharedPtr>(), 8);
    assert_eq!(align_of::<SharedPtr>(), align_of::<u64>());
}

#[test]
fn shared_ptr_keeps_all_64_bits_of_a_number() {
    for number in [0, 1, u64::MAX, u64::MAX - 1, 1 << 32, 0x8000_0000, 0x0123_4567_89ab_cdef] {
        let shared = SharedPtr::without_provenance(number);
        assert_eq!(shared.addr(), number);
        assert_eq!(bytes_of(shared), number.to_ne_bytes());
        assert_eq!(shared, SharedPtr::without_provenance(number));
    }
    assert_ne!(SharedPtr::without_provenance(1 << 32), SharedPtr::NULL);
}

#[test]
fn shared_ptr_can_be_read_and_written_through_after_a_trip_through_an_entry() {
    let mut value = 5_u32;
    let sqe = io_uring_sqe {
        addr: sqe_addr { addr: SharedPtr::from_mut(&raw mut value) },
        ..io_uring_sqe::ZEROED
    };
    let copy = sqe;
    // SAFETY: every byte is initialised, and every bit pattern is a `SharedPtr`.
    let shared = unsafe { copy.addr.addr };
    // SAFETY: the pointer to `value`, which nothing else uses.
    unsafe { shared.as_ptr().cast::<u32>().write(6) };
    assert_eq!(value, 6);
}

#[test]
fn shared_ptr_prints_as_an_address() {
    assert_eq!(format!("{:?}", SharedPtr::without_provenance(0x7f00_1234)), "0x7f001234");
    assert_eq!(format!("{:?}", SharedPtr::default()), "0x0");
}

#[test]
fn codes_print_their_name_or_their_number() {
    assert_eq!(format!("{:?} {:?}", Opcode::READ, Opcode::from_raw(200)), "READ Opcode(200)");
    assert_eq!(format!("{:?}", RegisterOp::REGISTER_BUFFERS), "REGISTER_BUFFERS");
    assert_eq!(format!("{:?}", RegisterOp::from_raw(1 << 20)), "RegisterOp(1048576)");
    assert_eq!(Opcode::from_raw(200).name(), None);
    assert_eq!(Opcode::from_raw(200).since(), None);
    assert_eq!(Opcode::from_raw(200).as_raw(), 200);
}

#[test]
fn codes_are_displayed_by_their_name_or_their_number() {
    assert_eq!(Opcode::READ_FIXED.to_string(), "READ_FIXED");
    assert_eq!(Opcode::from_raw(200).to_string(), "200");
    assert_eq!(format!("{:>6}|{:<4}|", Opcode::NOP, Opcode::from_raw(250)), "   NOP|250 |");
}

#[test]
fn a_buffer_id_is_in_the_upper_half_of_the_flags() {
    let flags = |bits| CqeFlags::from_bits_retain(bits);
    assert_eq!(flags(0xabcd_0003).buffer_id(), Some(0xabcd));
    assert_eq!(flags(0x0001).buffer_id(), Some(0));
    assert_eq!(flags(0xabcd_0002).buffer_id(), None);
}

#[test]
fn codes_are_listed_in_the_order_of_the_kernel_without_holes() {
    for (index, (name, opcode)) in Opcode::ALL.iter().enumerate() {
        assert_eq!(usize::from(opcode.as_raw()), index, "{name}");
    }
    for (index, (name, op)) in RegisterOp::ALL.iter().enumerate() {
        assert_eq!(op.as_raw() as usize, index, "{name}");
    }
    assert_eq!((Opcode::ALL.len(), RegisterOp::ALL.len()), (65, 38));
}

#[test]
fn flags_keep_and_print_the_bits_without_a_name() {
    let flags = SetupFlags::from_bits_truncate(1 << 31) | SetupFlags::IOPOLL;
    assert_eq!(flags.bits(), 1 << 31 | 1);
    assert_eq!(format!("{flags:?}"), "SetupFlags(IOPOLL | 0x80000000)");
    // SPLICE_F_MOVE, which is not io_uring's.
    assert_eq!(SpliceFlags::from_bits(1).map(|flags| flags.bits()), Some(1));
    assert_eq!(SqeFlags::default(), SqeFlags::empty());
    assert!(CqeFlags::from_bits_retain(7 << 16 | 1).contains(CqeFlags::BUFFER));
}

#[test]
fn kernel_versions_are_in_order_and_print_as_the_kernel_names_them() {
    assert!(KernelVersion::new(5, 9) < KernelVersion::new(5, 10));
    assert!(KernelVersion::new(5, 19) < KernelVersion::new(6, 0));
    assert_eq!(KernelVersion::new(5, 10).to_string(), "5.10");
}

#[test]
fn an_entry_is_zero_until_a_field_is_written() {
    assert_eq!(io_uring_sqe::ZEROED.as_bytes(), &[0; 64]);
    assert_eq!(io_uring_sqe::default().as_bytes(), &[0; 64]);
    assert_eq!(io_uring_params::ZEROED.flags, SetupFlags::empty());
    assert_eq!(io_uring_cqe::default().user_data, 0);
}

#[test]
fn fields_of_an_entry_are_at_the_kernels_bytes() {
    let sqe = io_uring_sqe {
        opcode: Opcode::READ,
        flags: SqeFlags::IO_LINK,
        ioprio: 0x0203,
        fd: -2,
        off: sqe_off { off: 0x0809_0a0b_0c0d_0e0f },
        addr: sqe_addr { raw: 0x1011_1213_1415_1617 },
        len: 0x1819_1a1b,
        op_flags: sqe_op_flags { poll32_events: 0x1c1d_1e1f },
        user_data: 0x2021_2223_2425_2627,
        buf: ringbolt_sys::sqe_buf { buf_group: 0x2829 },
        personality: 0x2a2b,
        file: sqe_file { file_index: 0x2c2d_2e2f },
        tail: sqe_tail { raw: [0x3031_3233_3435_3637, 0x3839_3a3b_3c3d_3e3f] },
    };
    let mut expected = vec![22, 4];
    expected.extend(0x0203_u16.to_ne_bytes());
    expected.extend((-2_i32).to_ne_bytes());
    expected.extend(0x0809_0a0b_0c0d_0e0f_u64.to_ne_bytes());
    expected.extend(0x1011_1213_1415_1617_u64.to_ne_bytes());
    expected.extend(0x1819_1a1b_u32.to_ne_bytes());
    expected.extend(0x1c1d_1e1f_u32.to_ne_bytes());
    expected.extend(0x2021_2223_2425_2627_u64.to_ne_bytes());
    expected.extend(0x2829_u16.to_ne_bytes());
    expected.extend(0x2a2b_u16.to_ne_bytes());
    expected.extend(0x2c2d_2e2f_u32.to_ne_bytes());
    expected.extend(0x3031_3233_3435_3637_u64.to_ne_bytes());
    expected.extend(0x3839_3a3b_3c3d_3e3f_u64.to_ne_bytes());
    assert_eq!(sqe.as_bytes().as_slice(), expected);
}

/// Miri fails this test if an arm leaves a byte undefined.
#[test]
fn every_arm_leaves_every_byte_of_the_entry_defined() {
    let poll = sqe_poll_events { poll_events: 1, ..sqe_poll_events::ZEROED };
    let stream = sqe_write_stream { write_stream: 2, ..sqe_write_stream::ZEROED };
    let third = sqe_addr3 { addr3: SharedPtr::without_provenance(3), ..sqe_addr3::ZEROED };
    let optval = sqe_optval { optval: SharedPtr::without_provenance(3), ..sqe_optval::ZEROED };
    for tail in [sqe_tail { addr3: third }, sqe_tail { optval }, sqe_tail { cmd: [0; 16] }] {
        let sqe = io_uring_sqe {
            op_flags: sqe_op_flags { poll_events: poll },
            file: sqe_file { write_stream: stream },
            tail,
            ..io_uring_sqe::ZEROED
        };
        let sum: u32 = sqe.as_bytes().iter().map(|byte| u32::from(*byte)).sum();
        assert!(sum >= 3);
        assert!(!format!("{sqe:?}").is_empty());
    }
}

#[test]
fn structures_with_unions_print_the_words() {
    let sqe = io_uring_sqe {
        opcode: Opcode::TIMEOUT,
        off: sqe_off { off: 0x10 },
        tail: sqe_tail { raw: [0x20, 0] },
        ..io_uring_sqe::ZEROED
    };
    let text = format!("{sqe:?}");
    assert!(text.contains("opcode: TIMEOUT, flags: SqeFlags(0x0)"), "{text}");
    assert!(text.contains("off: 0x10"), "{text}");
    assert!(text.contains("0x20"), "{text}");

    let restriction = io_uring_restriction {
        arg: restriction_arg { sqe_op: Opcode::READ },
        ..io_uring_restriction::ZEROED
    };
    assert!(format!("{restriction:?}").contains("arg: 22"));
}

#[test]
fn the_tail_of_a_buffer_ring_is_in_the_first_entry() {
    let entry = io_uring_buf { resv: 0x0102, ..io_uring_buf::ZEROED };
    let ring = io_uring_buf_ring { bufs: [entry] };
    // SAFETY: every byte is initialised, and every bit pattern is valid.
    let head = unsafe { ring.head };
    assert_eq!(head.tail, 0x0102);
}
