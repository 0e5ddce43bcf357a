//! Every entry, byte for byte, against an independent encoder.
//!
//! `data/sqe.tsv` holds the entries that liburing 2.15 makes for a call, as hexadecimal digits,
//! with `user_data` [`TAG`]. Its pointers are numbers such as `0x7f1100001000`; nothing here is
//! handed to a kernel. It was written on a 64-bit little-endian machine, and holds for those.
#![cfg(all(target_endian = "little", target_pointer_width = "64"))]
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use core::num::NonZeroU32;
use std::collections::{BTreeMap, BTreeSet};

use ringbolt::ops::{AsyncCancel, DestSlot, Fixed, OpenAt, RawOp, Socket, Target};
use ringbolt::rustix::fs::{CWD, OFlags};
use ringbolt::rustix::net::{AddressFamily, Protocol, SocketType};
use ringbolt::sys::{CancelFlags, Opcode, SharedPtr, SqeFlags};
use ringbolt::{Sqe, Sqe128};

use crate::sqe_cases;
use crate::sqe_cases::{SEVEN, TAG};

/// Cases that no type makes yet, [`RawOp`] aside.
const NOT_YET: &[&str] = &[];

/// A row of the file.
struct Row {
    case: &'static str,
    call: &'static str,
    bytes: Vec<u8>,
}

fn rows() -> Vec<Row> {
    let text = include_str!("../data/sqe.tsv");
    let row = |line: &'static str| {
        let columns: Vec<_> = line.split('\t').collect();
        let [case, call, hex] = columns[..] else { panic!("not three columns: {line}") };
        let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal digits");
        Row { case, call, bytes: (0..hex.len()).step_by(2).map(byte).collect() }
    };
    text.lines().skip(1).map(row).collect()
}

#[test]
fn every_operation_makes_the_bytes_that_liburing_makes() {
    let mut made = BTreeMap::new();
    for (case, entry) in sqe_cases::all() {
        assert!(made.insert(case, entry).is_none(), "{case}: made twice");
    }
    let not_yet: BTreeSet<_> = NOT_YET.iter().copied().collect();
    assert_eq!(not_yet.len(), NOT_YET.len(), "a name stands twice in NOT_YET");
    let rows = rows();
    assert_eq!(rows.len(), 120);
    let mut known = BTreeSet::new();
    for Row { case, call, bytes } in rows {
        assert!(known.insert(case), "{case}: stands twice in the file");
        let Some(entry) = made.get(case) else {
            assert!(not_yet.contains(case), "{case}: neither made nor in NOT_YET");
            continue;
        };
        assert!(!not_yet.contains(case), "{case}: is made, and can leave NOT_YET");
        assert_eq!(entry.sqe.user_data(), TAG, "{case}");
        let (head, payload) = bytes.split_at(64);
        assert_eq!(hex(&entry.sqe.to_bytes()), hex(head), "{case}: {call}\n{entry:#?}");
        // An entry of 64 bytes has been widened with zeros.
        let expected = if payload.is_empty() { &[0; 64] } else { payload };
        assert_eq!(hex(&entry.payload), hex(expected), "{case}: {call}\n{entry:#?}");
    }
    let ours: BTreeSet<_> = made.keys().copied().chain(not_yet).collect();
    let strange: Vec<_> = ours.difference(&known).collect();
    assert!(strange.is_empty(), "not in the file: {strange:?}");
}

/// Fields side by side, so that a difference can be read off.
fn hex(bytes: &[u8]) -> Vec<String> {
    bytes.chunks(8).map(|word| word.iter().map(|byte| format!("{byte:02x}")).collect()).collect()
}

/// The entry's fields, taken from its bytes by the kernel's offsets and set one by one.
fn decode(bytes: &[u8], as_addresses: bool) -> Sqe {
    let u16_at = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let u32_at = |at: usize| u32::from(u16_at(at)) | u32::from(u16_at(at + 2)) << 16;
    let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
    let pointer = SharedPtr::without_provenance;
    let op = RawOp::new(Opcode::from_raw(bytes[0])).fields(|sqe| {
        sqe.set_ioprio(u16_at(2));
        sqe.set_fd(i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]));
        sqe.set_len(u32_at(24));
        sqe.set_op_flags(u32_at(28));
        sqe.set_buf_index(u16_at(40));
        sqe.set_file_index(u32_at(44));
        sqe.set_tail([u64_at(48), u64_at(56)]);
        if as_addresses {
            sqe.set_addr2(pointer(u64_at(8)));
            sqe.set_addr(pointer(u64_at(16)));
            sqe.set_addr3(pointer(u64_at(48)));
        } else {
            sqe.set_off(u64_at(8));
            sqe.set_addr_raw(u64_at(16));
        }
    });
    op.sqe(u64_at(32)).with_flags(SqeFlags::from_bits_retain(bytes[1])).with_personality(u16_at(42))
}

#[test]
fn raw_op_makes_every_entry_from_its_fields() {
    for Row { case, call, bytes } in rows() {
        let (head, payload) = bytes.split_at(64);
        let sqe = decode(head, false);
        assert_eq!(hex(&sqe.to_bytes()), hex(head), "{case}: {call}");
        // Where there are words behind the third address, they are no address.
        if head[56..] == [0; 8] {
            let sqe = decode(head, true);
            assert_eq!(hex(&sqe.to_bytes()), hex(head), "{case}, as addresses: {call}");
        }
        if !payload.is_empty() {
            let mut wide = Sqe128::from(sqe);
            wide.payload.copy_from_slice(payload);
            assert_eq!(hex(&wide.sqe.to_bytes()), hex(head), "{case}: {call}");
            assert!(format!("{wide:?}").contains("payload"), "{case}: {wide:?}");
        }
    }
}

#[test]
fn raw_op_on_a_fixed_slot_sets_the_flag() {
    let on = |target: Target| RawOp::new(Opcode::READ).target(target).sqe(0);
    let fixed = on(Fixed(7).into());
    assert_eq!((fixed.fd(), fixed.flags()), (7, SqeFlags::FIXED_FILE));
    assert_eq!((on(SEVEN).fd(), on(SEVEN).flags()), (7, SqeFlags::empty()));
}

#[test]
fn a_printed_entry_names_its_opcode() {
    for Row { case, bytes, .. } in rows() {
        let sqe = decode(&bytes, false);
        let name = Opcode::from_raw(bytes[0]).name().expect(case);
        let text = format!("{sqe:?}");
        assert!(text.contains(&format!("opcode: {name},")), "{case}: {text}");
    }
    let unknown = format!("{:?}", Sqe::new(Opcode::from_raw(250)));
    assert!(unknown.contains("opcode: Opcode(250),"), "{unknown}");
}

#[test]
fn the_last_slot_is_told_from_any_slot() {
    let index = |slot| OpenAt::new(CWD, c"x".as_ptr(), OFlags::RDONLY).fixed(slot).sqe(0);
    assert_eq!(index(DestSlot::At(Fixed(0))).file_index(), 1);
    assert_eq!(index(DestSlot::Alloc).file_index(), u32::MAX);
    // There are no such slots: the kernel is to refuse them, not to take them for `Alloc` or
    // for no slot at all.
    for slot in [u32::MAX - 2, u32::MAX - 1, u32::MAX] {
        assert_eq!(index(DestSlot::At(Fixed(slot))).file_index(), u32::MAX - 1);
    }
}

#[test]
fn a_protocol_is_told_by_its_number() {
    let number = NonZeroU32::new(253).expect("not 0");
    let protocol = Protocol::from_raw(number);
    let sqe: Sqe =
        Socket::new(AddressFamily::INET, SocketType::RAW).protocol(protocol).sqe(0).into();
    assert_eq!(sqe.len(), 253);
}

#[test]
fn cancel_flags_add_up() {
    let sqe: Sqe = AsyncCancel::of_fixed(Fixed(7)).all().opcode(Opcode::RECV).sqe(0).into();
    let slot = CancelFlags::FD | CancelFlags::FD_FIXED;
    let flags = slot | CancelFlags::ALL | CancelFlags::OP;
    assert_eq!((sqe.op_flags(), sqe.len()), (flags.bits(), u32::from(Opcode::RECV.as_raw())));
}
