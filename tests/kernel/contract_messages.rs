//! Datagrams that do not fit: what is lost, and what says so.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use crate::common::{Lack, complete, reap, require};
use crate::op_common::{assert_quiet, leaked, provide, ring, start, udp};
use ringbolt::ops::{IoVec, MsgHdr, Recv, RecvMsg};
use ringbolt::register::{BufferRing, BufferRingOptions};
use ringbolt::rustix::net::RecvFlags;
use ringbolt::sys::{BufRingFlags, Opcode, RegisterOp};
use ringbolt::{Cqe, IoUring, ReceivedMessage};
use rustix::io::Errno;

/// `MSG_TRUNC`, as the kernel reports it.
const CUT: u32 = 0x20;
const GROUP: u16 = 7;

/// Two sockets that keep datagrams apart, with one of 20 bytes on its way.
fn twenty() -> (UnixDatagram, UnixDatagram) {
    let (ours, theirs) = UnixDatagram::pair().expect("two sockets");
    theirs.send(&[7; 20]).expect("room");
    (ours, theirs)
}

#[test]
fn a_receive_with_trunc_reports_more_than_it_has_stored() {
    let mut ring = ring();
    let room = leaked::<16>();
    for (flags, expected) in [(RecvFlags::empty(), 8), (RecvFlags::TRUNC, 20)] {
        room.fill(b'-');
        let (socket, _theirs) = twenty();
        let receive = Recv::new(&socket, room.as_mut_ptr(), 8).flags(flags).sqe(1);
        // SAFETY: the memory is leaked, and not touched until this returns.
        assert_eq!(unsafe { complete(&mut ring, receive) }.result(), Ok(expected));
        assert_eq!(room, b"\x07\x07\x07\x07\x07\x07\x07\x07--------");
        assert_quiet(&mut ring);
    }
}

#[test]
fn a_provided_buffer_with_trunc_holds_less_than_is_reported() {
    let mut ring = ring();
    provide::<8>(&mut ring, GROUP, 2);
    let (socket, _theirs) = twenty();
    let receive = Recv::provided(&socket, GROUP).flags(RecvFlags::TRUNC).sqe(1);
    // SAFETY: no memory of ours is named but what was provided, for ever.
    assert_eq!(unsafe { complete(&mut ring, receive) }.result(), Ok(20));
}

#[test]
fn the_header_of_a_message_says_that_it_was_cut() {
    let mut ring = ring();
    for (flags, expected) in [(RecvFlags::empty(), 8), (RecvFlags::TRUNC, 20)] {
        let (socket, _theirs) = twenty();
        let vector = IoVec::new(leaked::<8>().as_mut_ptr(), 8);
        let mut header = MsgHdr { vectors: &raw const vector, vector_count: 1, ..MsgHdr::EMPTY };
        let receive = RecvMsg::new(&socket, &raw mut header).flags(flags).sqe(1);
        // SAFETY: the memory is leaked; the header and the vector stay until this returns.
        assert_eq!(unsafe { complete(&mut ring, receive) }.result(), Ok(expected));
        assert_eq!(header.flags & CUT, CUT);
    }
}

/// Four buffers of `len` bytes, used up bit by bit. `None` where the kernel does not do that.
fn bit_by_bit(ring: &IoUring, len: u16, min_left: u32) -> Option<(BufferRing, *mut u8)> {
    let options = BufferRingOptions::from(BufRingFlags::INC).min_left(min_left);
    let made = ring.registrar().register_buffer_ring(GROUP, 4, options);
    if made.as_ref().is_err_and(|error| error.errno == Errno::INVAL) {
        Lack::of_machine(format!("a kernel with min_left {min_left}")).skip();
        return None;
    }
    let (mut buffers, memory) = (made.expect("a group"), leaked::<4096>().as_mut_ptr());
    for id in 0..4_u16 {
        let start = memory.wrapping_add(usize::from(id * len));
        // SAFETY: a part of the memory, which is leaked, of its own for each buffer.
        unsafe { buffers.add(start, u32::from(len), id) }.expect("a place in the ring");
    }
    buffers.publish();
    Some((buffers, memory))
}

/// Goal: a datagram that meets the end of an incremental buffer loses its rest, and nothing says
/// so; with `min_left` none does.
/// Method: datagrams of 20 bytes into buffers of 50.
#[test]
fn a_receive_into_incremental_buffers_cuts_datagrams_unless_enough_must_be_left() {
    require!(register: RegisterOp::REGISTER_PBUF_RING);
    for (min_left, expected) in [(0, [20, 20, 10, 20, 20, 10]), (20, [20; 6])] {
        let mut ring = ring();
        let Some((_buffers, _)) = bit_by_bit(&ring, 50, min_left) else { return };
        for (bytes, expected) in expected.into_iter().zip(1_u64..).map(|(e, n)| (n, e)) {
            let (socket, _theirs) = twenty();
            let receive = Recv::provided(&socket, GROUP).sqe(bytes);
            // SAFETY: no memory of ours is named but what was added, for ever.
            let cqe = unsafe { complete(&mut ring, receive) };
            assert_eq!(cqe.result(), Ok(expected), "min_left {min_left}: {cqe:?}");
        }
    }
}

/// What multishot receives of messages of 20 bytes come to, in incremental buffers.
fn messages(socket: &UdpSocket, min_left: u32) -> Option<Vec<(usize, u32)>> {
    let mut ring = ring();
    let (_buffers, memory) = bit_by_bit(&ring, 256, min_left)?;
    let address = socket.local_addr().expect("it is bound");
    let sender = udp();
    let header = MsgHdr { name_len: 16, ..MsgHdr::EMPTY };
    // SAFETY: the header is read by the submit, and the socket stays longer than the ring.
    unsafe { start(&mut ring, RecvMsg::multishot(socket, &raw const header, GROUP).sqe(1)) };
    let mut used = [0; 4];
    let mut one = |_| {
        sender.send_to(&[7; 20], address).expect("it is sent");
        let cqe: Cqe = reap(&mut ring, 1).remove(0);
        assert!(cqe.has_more(), "{cqe:?}");
        let len = usize::try_from(cqe.result().expect("a message")).expect("few bytes");
        let id = usize::from(cqe.buffer_id().expect("a buffer"));
        let start = memory.wrapping_add(256 * id + used[id]);
        used[id] += len;
        // SAFETY: these bytes of the leaked memory were received, and are not used again.
        let bytes = unsafe { core::slice::from_raw_parts(start, len) };
        let message = ReceivedMessage::parse(bytes, &header).expect("a whole message");
        (message.payload().len(), message.flags() & CUT)
    };
    Some((0..8).map(&mut one).collect())
}

/// Goal: a message that meets the end of an incremental buffer says that it was cut; with
/// `min_left` none is.
/// Method: messages of 52 bytes, of which 32 come before the payload, into buffers of 256.
#[test]
fn messages_in_incremental_buffers_are_cut_and_say_so_unless_enough_must_be_left() {
    require!(op: Opcode::BIND);
    let socket = udp();
    let Some(cut) = messages(&socket, 0) else { return };
    assert_eq!(cut[..4], [(20, 0); 4]);
    assert_eq!(cut[4], (16, CUT), "48 bytes were left");
    assert_eq!(cut[5..], [(20, 0); 3]);
    let Some(whole) = messages(&socket, 52) else { return };
    assert_eq!(whole, [(20, 0); 8]);
}
