//! Messages from ring to ring: completions and files.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::fs::File;

use crate::common::{TempDir, complete, reap, require};
use crate::op_common;
use crate::op_common::{
    AS_OF_6_0, AS_OF_6_7, assert_quiet, pipe, reap_sorted, reap_told, ring, start,
};
use ringbolt::ops::{DestSlot, Fixed, MsgRing, MsgRingFd, Nop, Read, Target};
use ringbolt::register::FileSlot;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{CqeFlags, MsgRingFlags, Opcode};
use ringbolt::{Cqe, Cqe32, IoUring, Sqe};

const DONE: Result<u32, Errno> = Ok(0);

/// What sending comes to.
fn result(ring: &mut IoUring, sqe: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller keeps the other ring until this returns; no memory is named.
    unsafe { complete(ring, sqe) }.result()
}

/// liburing: msg-ring.
#[test]
fn a_message_is_a_completion_on_the_other_ring() {
    require!(op: Opcode::MSG_RING);
    let (mut from, mut to) = (ring(), ring());
    for (value, user_data) in [(0, 1), (i32::MAX, u64::MAX), (-5, 1 << 40), (7, 0)] {
        let sent = result(&mut from, MsgRing::new(&to, value, user_data).sqe(9));
        assert_eq!(sent, DONE);
        let cqe = reap(&mut to, 1).remove(0);
        assert_eq!((cqe.raw_result(), cqe.user_data()), (value, user_data));
        assert!(cqe.flags().is_empty(), "{cqe:?}");
    }
    assert_quiet(&mut from);
    assert_quiet(&mut to);
}

/// liburing: msg-ring.
#[test]
fn a_ring_sends_to_itself() {
    require!(op: Opcode::MSG_RING);
    let mut ring = ring();
    let entry = MsgRing::new(&ring, 5, 1).sqe(2);
    // SAFETY: the ring stays; no memory is named.
    unsafe { start(&mut ring, entry) };
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Ok(5)), (2, DONE)]);
    assert_quiet(&mut ring);
}

#[test]
fn a_message_wakes_a_thread_that_waits() {
    require!(op: Opcode::MSG_RING);
    let (mut from, mut to) = (ring(), ring());
    let entry = MsgRing::new(&to, 1, 2).sqe(3);
    let waiting = std::thread::spawn(move || {
        let told = reap_told(&mut to, 1);
        (to, told)
    });
    // SAFETY: the other ring is not closed before its thread has ended, which the message
    // brings about; no memory is named.
    assert_eq!(unsafe { complete(&mut from, entry) }.result(), DONE);
    let (_to, told) = waiting.join().expect("it was woken");
    assert_eq!(told, [(2, Ok(1))]);
}

#[test]
fn a_ring_that_defers_its_work_gets_messages_when_it_waits() {
    require!(op: AS_OF_6_7);
    let builder = IoUring::builder().single_issuer().defer_taskrun();
    let mut to = builder.build_local(8).expect("a ring");
    let mut from = ring();
    // SAFETY: the other ring stays; no memory is named.
    unsafe { start(&mut from, MsgRing::new(&to, 5, 6).sqe(7)) };
    assert_eq!(reap_told(&mut to, 1), [(6, Ok(5))]);
    assert_eq!(reap_told(&mut from, 1), [(7, DONE)]);
}

#[test]
fn a_message_carries_flags() {
    require!(op: AS_OF_6_7);
    let (mut from, mut to) = (ring(), ring());
    let flags = CqeFlags::MORE | CqeFlags::BUFFER | CqeFlags::from_bits_retain(0x1234 << 16);
    let message = MsgRing::new(&to, 5, 6).cqe_flags(flags);
    assert_eq!(result(&mut from, message.sqe(7)), DONE);
    let cqe = reap(&mut to, 1).remove(0);
    assert_eq!((cqe.flags(), cqe.has_more(), cqe.buffer_id()), (flags, true, Some(0x1234)));
}

#[test]
fn no_slot_leads_to_a_ring() {
    require!(op: AS_OF_6_0);
    let (mut from, to) = (ring(), ring());
    // A ring cannot be in a table, so that no slot can lead to one.
    let slot = [FileSlot::from(&to)];
    assert_eq!(from.registrar().register_files(&slot).map_err(Errno::from), Err(Errno::BADF));
    let dir = TempDir::new();
    let file = File::open(dir.file("data", b"1")).expect("it was just made");
    from.registrar().register_files(&[FileSlot::from(&file)]).expect("a slot");
    let entry = MsgRing::new(Fixed(0), 1, 2).sqe(3);
    assert_eq!(result(&mut from, entry), Err(Errno::BADFD));
}

#[test]
fn what_is_no_ring_or_a_disabled_one_is_ebadfd() {
    require!(op: Opcode::MSG_RING);
    let (reader, _writer) = pipe();
    let disabled = IoUring::builder().build_disabled(8).expect("a ring");
    let mut ring = ring();
    let table = [
        (MsgRing::new(&reader, 1, 2), Errno::BADFD),
        (MsgRing::new(&disabled, 1, 2), Errno::BADFD),
        (MsgRing::new(Target::Fd(-1), 1, 2), Errno::BADF),
    ];
    for (message, errno) in table {
        assert_eq!(result(&mut ring, message.sqe(1)), Err(errno), "{message:?}");
    }
    let unknown = MsgRing::new(&ring, 1, 2).flags(MsgRingFlags::from_bits_retain(1 << 9));
    assert_eq!(result(&mut ring, unknown.sqe(1)), Err(Errno::INVAL));
    let skip = MsgRing::new(&ring, 1, 2).flags(MsgRingFlags::CQE_SKIP);
    assert_eq!(result(&mut ring, skip.sqe(1)), Err(Errno::INVAL), "there would be nothing");
}

/// liburing: msg-ring-overflow.
#[test]
fn messages_to_a_full_queue_are_kept() {
    require!(op: Opcode::MSG_RING);
    let (mut from, mut to) = (ring(), IoUring::new(1).expect("a ring"));
    let room = u64::from(to.completion().capacity());
    for id in 0..room + 3 {
        assert_eq!(result(&mut from, MsgRing::new(&to, 0, id).sqe(9)), DONE);
    }
    let all: Vec<_> = (0..room + 3).map(|id| (id, DONE)).collect();
    assert_eq!(reap_told(&mut to, all.len()), all);
    assert_quiet(&mut to);
}

#[test]
fn a_wide_ring_gets_messages_with_nothing_in_their_second_half() {
    require!(op: AS_OF_6_0);
    let mut from = ring();
    let mut to = IoUring::builder().cqe32().build(8).expect("a ring");
    assert_eq!(result(&mut from, MsgRing::new(&to, 5, 6).sqe(7)), DONE);
    let wide: Cqe32 = reap(&mut to, 1).remove(0);
    assert_eq!((wide.cqe.result(), wide.cqe.user_data(), wide.extra), (Ok(5), 6, [0, 0]));
}

/// Two rings with four slots each, and a file that holds `1` in slot 2 of the first.
fn with_tables() -> (TempDir, IoUring, IoUring) {
    let dir = TempDir::new();
    let file = File::open(dir.file("data", b"1")).expect("it was just made");
    let (from, to) = (ring(), ring());
    let slots = [FileSlot::EMPTY, FileSlot::EMPTY, FileSlot::from(&file), FileSlot::EMPTY];
    from.registrar().register_files(&slots).expect("four slots");
    to.registrar().register_files(&[FileSlot::EMPTY; 4]).expect("four slots");
    (dir, from, to)
}

/// Whether the file is in this slot.
fn holds_it(ring: &mut IoUring, slot: u32) -> bool {
    let mut buf = [0_u8];
    let read = Read::new(Fixed(slot), buf.as_mut_ptr(), 1).offset(0).sqe(1);
    // SAFETY: `buf` stays until `complete` returns.
    let told = unsafe { complete(ring, read) }.result();
    assert!(matches!(told, Ok(1) | Err(Errno::BADF)), "{told:?}");
    told.is_ok() && &buf == b"1"
}

#[test]
fn a_file_goes_into_the_slot_named_of_the_other_ring() {
    require!(op: AS_OF_6_0);
    let (_dir, mut from, mut to) = with_tables();
    let send = MsgRingFd::new(&to, Fixed(2), DestSlot::At(Fixed(1)), 77).sqe(9);
    assert_eq!(result(&mut from, send), DONE);
    assert_eq!(reap_told(&mut to, 1), [(77, DONE)]);
    assert_eq!([0, 1, 2, 3].map(|slot| holds_it(&mut to, slot)), [false, true, false, false]);
    assert!(holds_it(&mut from, 2), "it stays where it was");
}

#[test]
fn a_file_goes_into_any_free_slot_which_both_are_told() {
    require!(op: AS_OF_6_0);
    let (_dir, mut from, mut to) = with_tables();
    for slot in 0..4 {
        let send = MsgRingFd::new(&to, Fixed(2), DestSlot::Alloc, 77).sqe(9);
        assert_eq!(result(&mut from, send), Ok(slot));
        assert_eq!(reap_told(&mut to, 1), [(77, Ok(slot))]);
        assert!(holds_it(&mut to, slot));
    }
    let send = MsgRingFd::new(&to, Fixed(2), DestSlot::Alloc, 77).sqe(9);
    assert_eq!(result(&mut from, send), Err(Errno::NFILE));
    assert_quiet(&mut to);
}

#[test]
fn a_file_can_be_sent_without_a_word() {
    require!(op: AS_OF_6_0);
    let (_dir, mut from, mut to) = with_tables();
    let send = MsgRingFd::new(&to, Fixed(2), DestSlot::At(Fixed(3)), 77).skip().sqe(9);
    assert_eq!(result(&mut from, send), DONE);
    assert_quiet(&mut to);
    assert!(holds_it(&mut to, 3));
}

#[test]
fn a_file_that_cannot_be_sent_says_why() {
    require!(op: AS_OF_6_0);
    let (_dir, mut from, to) = with_tables();
    let (reader, _writer) = pipe();
    let bare = ring();
    let at = |slot| DestSlot::At(Fixed(slot));
    let table = [
        (MsgRingFd::new(&to, Fixed(0), at(0), 1), Errno::BADF),
        (MsgRingFd::new(&to, Fixed(4), at(0), 1), Errno::BADF),
        (MsgRingFd::new(&to, Fixed(2), at(4), 1), Errno::INVAL),
        (MsgRingFd::new(&from, Fixed(2), at(0), 1), Errno::INVAL),
        (MsgRingFd::new(&bare, Fixed(2), at(0), 1), Errno::NXIO),
        (MsgRingFd::new(&reader, Fixed(2), at(0), 1), Errno::BADFD),
    ];
    for (message, errno) in table {
        assert_eq!(result(&mut from, message.sqe(1)), Err(errno), "{message:?}");
    }
}

#[test]
fn a_message_takes_its_place_in_a_chain() {
    require!(op: Opcode::MSG_RING);
    let (mut from, mut to) = (ring(), ring());
    let nop = Sqe::from(Nop::new().sqe(1)).link();
    let chain = [nop, MsgRing::new(&to, 4, 5).sqe(2).link(), Nop::new().sqe(3).into()];
    // SAFETY: the other ring stays; no memory is named.
    unsafe { op_common::start_all(&mut from, &chain) };
    assert_eq!(reap_told(&mut from, 3), [(1, DONE), (2, DONE), (3, DONE)]);
    let cqe: Cqe = reap(&mut to, 1).remove(0);
    assert_eq!((cqe.user_data(), cqe.result()), (5, Ok(4)));
}
