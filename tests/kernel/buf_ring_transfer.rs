//! Data in rings of provided buffers: picked in order, used up, and reclaimed.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write as _;

use crate::buf_common::Buffers;
use crate::common::{TempDir, complete, reap, require};
use crate::op_common::{
    AS_OF_6_0, AS_OF_6_7, assert_quiet, pipe, ring, start, tcp_pair, unix_pair,
};
use ringbolt::ops::{Nop, RawOp, Read, ReadMultishot, Recv};
use ringbolt::rustix::fd::AsFd as _;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{BufRingFlags, Opcode, RegisterOp};
use ringbolt::{Cqe, IoUring};
use rustix::event::{PollFd, PollFlags, poll};

const OWN: BufRingFlags = BufRingFlags::empty();
const INC: BufRingFlags = BufRingFlags::INC;

/// Reads once from a pipe into a buffer of group 1.
fn read_once(ring: &mut IoUring, reader: &File) -> Cqe {
    // SAFETY: the pipe stays until `complete` returns, and the memory of a group forever.
    unsafe { complete(ring, Read::provided(reader, 0, 1).sqe(1)) }
}

/// Goal: positions wrap at 16 bits, and nothing else does.
/// Method: more than 65,536 uses, with two sizes of rings; each buffer is added again immediately.
#[test]
fn buffers_are_recycled_past_the_wrap_of_their_positions() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    for count in [1, 8_u16] {
        let (reader, mut writer) = pipe();
        let mut ring = ring();
        let mut buffers = Buffers::new(&ring, 1, count, 4, OWN);
        for use_number in 0..70_000_u32 {
            writer.write_all(&use_number.to_ne_bytes()).expect("room in the pipe");
            let cqe = read_once(&mut ring, &reader);
            let bid = cqe.buffer_id().expect("a buffer was picked");
            assert_eq!((cqe.result(), u32::from(bid)), (Ok(4), use_number % u32::from(count)));
            assert_eq!(buffers.bytes(bid, 4), use_number.to_ne_bytes());
            assert_eq!(buffers.reclaim(&cqe), Some(bid));
            buffers.give(bid);
        }
        let head = ring.registrar().buffer_ring_head(1);
        assert_eq!(head, Ok(70_000_u32.wrapping_sub(65_536).try_into().expect("16 bits")));
        assert_eq!(head.map(|head| buffers.ring.tail().wrapping_sub(head)), Ok(count));
    }
}

/// Goal: the kernel uses the buffers in order, and reports when there are none.
/// Method: compare with a queue of ids; a pattern determines how many reads and additions
/// alternate.
///
/// liburing: buf-ring-stress.
#[test]
fn a_ring_is_drained_and_refilled() {
    require!(register: RegisterOp::REGISTER_PBUF_RING);
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 32, 4, OWN);
    let (mut given, mut ours) = ((0..32).collect::<VecDeque<u16>>(), Vec::new());
    for round in 0..2_000_u32 {
        for _ in 0..round * 7 % 40 {
            writer.write_all(b"abcd").expect("room in the pipe");
            let cqe = read_once(&mut ring, &reader);
            buffers.reclaim(&cqe);
            let Some(bid) = given.pop_front() else {
                assert_eq!((cqe.result(), cqe.buffer_id()), (Err(Errno::NOBUFS), None));
                // It is still there to be read.
                buffers.give(ours[0]);
                given.push_back(ours.remove(0));
                let cqe = read_once(&mut ring, &reader);
                assert_eq!((cqe.result(), buffers.reclaim(&cqe)), (Ok(4), given.front().copied()));
                ours.extend(given.pop_front());
                continue;
            };
            assert_eq!((cqe.result(), cqe.buffer_id()), (Ok(4), Some(bid)));
            ours.push(bid);
        }
        for _ in 0..(round * 11 % 33).min(u32::try_from(ours.len()).expect("a small number")) {
            // Alternately from one end and the other.
            let bid = if round % 2 == 0 { ours.remove(0) } else { ours.pop().expect("one") };
            buffers.add(bid);
            given.push_back(bid);
        }
        buffers.ring.publish();
    }
}

/// A completion of a multishot receive: its operation, its length, its buffer, and whether there
/// will be more.
fn told(cqe: Cqe) -> (u64, Result<u32, Errno>, Option<u16>, bool) {
    (cqe.user_data(), cqe.result(), cqe.buffer_id(), cqe.has_more())
}

/// Goal: multishot receives share one ring, and each gets its own data.
/// Method: eight sockets, until the buffers are used up, and again after they were added again.
///
/// liburing: buf-ring-mshot.
#[test]
fn several_multishot_receives_share_a_ring() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 16, 8, OWN);
    let mut pairs: Vec<_> = (0..8).map(|_| unix_pair()).collect();
    for round in 0..3_u8 {
        for (id, (_, theirs)) in (0..).zip(&pairs) {
            // SAFETY: the memory of a group stays forever.
            unsafe { start(&mut ring, Recv::provided(theirs, 1).multishot().sqe(id)) };
        }
        for turn in 0..2_u8 {
            for (id, (ours, _)) in (0..).zip(&mut pairs) {
                ours.write_all(&[b'a' + id, turn, round]).expect("room in the socket");
                let cqe = reap(&mut ring, 1)[0];
                let bid = u16::from(turn * 8 + id);
                assert_eq!(told(cqe), (u64::from(id), Ok(3), Some(bid), true));
                assert_eq!(buffers.reclaim(&cqe), Some(bid));
                assert_eq!(buffers.bytes(bid, 3), [b'a' + id, turn, round]);
            }
        }
        // Each of them ends when there is data for it.
        for (id, (ours, _)) in (0..).zip(&mut pairs) {
            ours.write_all(b"late").expect("room in the socket");
            let cqe = reap(&mut ring, 1)[0];
            assert_eq!(told(cqe), (id, Err(Errno::NOBUFS), None, false));
        }
        assert_quiet(&mut ring);
        (0..16).for_each(|bid| buffers.add(bid));
        assert_eq!(buffers.ring.publish(), 16);
        // The data that found no buffer is still in the sockets.
        for (bid, (id, (_, theirs))) in (0..).zip((0..).zip(&pairs)) {
            // SAFETY: the socket stays until `complete` returns, the memory forever.
            let cqe = unsafe { complete(&mut ring, Recv::provided(theirs, 1).sqe(id)) };
            assert_eq!((cqe.result(), buffers.reclaim(&cqe)), (Ok(4), Some(bid)));
            assert_eq!(buffers.bytes(bid, 4), b"late");
        }
        (0..8).for_each(|bid| buffers.add(bid));
        assert_eq!(buffers.ring.publish(), 8);
        // The ring now begins with the other half. After those are used, it begins with the first
        // half again.
        for bid in 8..16 {
            pairs[0].0.write_all(b"turn").expect("room in the socket");
            // SAFETY: as above.
            let cqe = unsafe { complete(&mut ring, Recv::provided(&pairs[0].1, 1).sqe(1)) };
            assert_eq!(buffers.reclaim(&cqe), Some(bid));
            buffers.give(bid);
        }
    }
}

/// Goal: when a multishot receive runs out of buffers, no data is lost or repeated.
/// Method: a numbered stream, longer than the buffers, which are added again one by one.
///
/// liburing: recv-mshot-drain, recv-multishot.
#[test]
fn a_multishot_receive_is_resumed_where_it_ended() {
    require!(op: AS_OF_6_0);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 4, 8, OWN);
    let stream: Vec<u8> = (0..=u8::MAX).cycle().take(8_000).collect();
    let (mut sent, mut received, mut ends) = (0, Vec::new(), 0);
    let recv = Recv::provided(&theirs, 1).multishot().sqe(1);
    // SAFETY: the memory of a group stays forever.
    unsafe { start(&mut ring, recv) };
    while received.len() < stream.len() {
        let batch = (sent + 100).min(stream.len());
        ours.write_all(&stream[sent..batch]).expect("room in the socket");
        sent = batch;
        while received.len() < sent {
            let cqe = reap(&mut ring, 1)[0];
            if cqe.has_more() {
                let bid = buffers.reclaim(&cqe).expect("a buffer was picked");
                received.extend(buffers.bytes(bid, cqe.result().expect("some bytes")));
                buffers.add(bid);
                continue;
            }
            assert_eq!((cqe.result(), cqe.buffer_id()), (Err(Errno::NOBUFS), None));
            assert!(buffers.ring.publish() > 0, "it ended although no buffer was used");
            // SAFETY: as above.
            unsafe { start(&mut ring, recv) };
            ends += 1;
        }
        buffers.ring.publish();
    }
    assert_eq!(received, stream);
    assert!(ends > 80, "{ends}");
    drop(ours);
    let cqe = reap(&mut ring, 1)[0];
    assert_eq!((cqe.result(), cqe.has_more()), (Ok(0), false));
}

/// liburing: read-mshot.
#[test]
fn a_multishot_read_continues_until_the_buffers_or_the_file_end() {
    require!(op: AS_OF_6_7);
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 2, 8, OWN);
    let read = ReadMultishot::new(&reader, 1).sqe(1);
    for word in [b"one", b"two"] {
        // SAFETY: the memory of a group stays forever.
        unsafe { start(&mut ring, read) };
        assert_quiet(&mut ring);
        for bid in 0..2 {
            writer.write_all(word).expect("room in the pipe");
            let cqe = reap(&mut ring, 1)[0];
            assert_eq!(told(cqe), (1, Ok(3), Some(bid), true));
            assert_eq!(buffers.reclaim(&cqe), Some(bid));
            assert_eq!(buffers.bytes(bid, 3), word);
        }
        writer.write_all(b"late").expect("room in the pipe");
        assert_eq!(told(reap(&mut ring, 1)[0]), (1, Err(Errno::NOBUFS), None, false));
        (0..2).for_each(|bid| buffers.add(bid));
        assert_eq!(buffers.ring.publish(), 2);
        // The data that found no buffer is there for the next read.
        let cqe = read_once(&mut ring, &reader);
        assert_eq!(told(cqe), (1, Ok(4), Some(0), false));
        assert_eq!(buffers.reclaim(&cqe), Some(0));
        buffers.give(0);
        // The first buffer is the next again.
        writer.write_all(b"turn").expect("room in the pipe");
        let cqe = read_once(&mut ring, &reader);
        assert_eq!(buffers.reclaim(&cqe), Some(1));
        buffers.give(1);
    }
    // SAFETY: as above.
    unsafe { start(&mut ring, read) };
    drop(writer);
    let end = reap(&mut ring, 1)[0];
    assert_eq!((end.result(), end.has_more()), (Ok(0), false));
    assert_quiet(&mut ring);
}

/// liburing: read-mshot.
#[test]
fn an_invalid_multishot_read_is_refused() {
    require!(op: AS_OF_6_7);
    let (reader, mut writer) = pipe();
    writer.write_all(b"abc").expect("room in the pipe");
    let file = File::open("Cargo.toml").expect("the package's own");
    let mut ring = ring();
    let _buffers = Buffers::new(&ring, 1, 4, 8, OWN);
    let without_buffers = RawOp::new(Opcode::READ_MULTISHOT).target(&reader).sqe(3);
    let table = [
        (ReadMultishot::new(&file, 1).sqe(1), Errno::BADFD),
        (ReadMultishot::new(&reader, 2).sqe(2), Errno::NOBUFS),
        (without_buffers, Errno::INVAL),
    ];
    for (entry, errno) in table {
        // SAFETY: the files stay until `complete` returns, and the memory forever.
        let cqe = unsafe { complete(&mut ring, entry) };
        assert_eq!((cqe.result(), cqe.has_more()), (Err(errno), false), "{entry:?}");
    }
}

/// liburing: read-inc-buf-more.
#[test]
fn an_incremental_buffer_is_used_up_piece_by_piece() {
    // The flag came with Linux 6.12; only the newer call can be probed for.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 2, 10, INC);
    for bid in [0, 1, 0] {
        let mut from = 0;
        for (bytes, more) in [(&b"abc"[..], true), (b"d", true), (b"efgh", true), (b"ij", false)] {
            writer.write_all(bytes).expect("room in the pipe");
            let cqe = read_once(&mut ring, &reader);
            let len = cqe.result().expect("some bytes");
            assert_eq!((usize::try_from(len), cqe.buffer_id()), (Ok(bytes.len()), Some(bid)));
            assert_eq!(cqe.has_more_of_buffer(), more, "{cqe:?}");
            assert_eq!(buffers.reclaim(&cqe), (!more).then_some(bid));
            assert_eq!(buffers.range(bid, from, len), bytes);
            from += len;
        }
        assert_eq!((from, buffers.bytes(bid, 10)), (10, b"abcdefghij".to_vec()));
        buffers.give(bid);
    }
}

#[test]
fn an_incremental_buffer_is_never_written_beyond_its_end() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let buffers = Buffers::new(&ring, 1, 2, 10, INC);
    writer.write_all(b"0123456789abcdefghij--").expect("room in the pipe");
    // A read stops at the end of a buffer, even if there is more data.
    let read = |len| Read::provided(&reader, len, 1).sqe(1);
    let table = [(7, 7, 0, 0, true), (7, 3, 0, 7, false), (1, 1, 1, 0, true), (0, 9, 1, 1, false)];
    for (asked, len, bid, from, more) in table {
        // SAFETY: the pipe stays until `complete` returns, and the memory forever.
        let cqe = unsafe { complete(&mut ring, read(asked)) };
        assert_eq!((cqe.result(), cqe.buffer_id()), (Ok(len), Some(bid)));
        assert_eq!(cqe.has_more_of_buffer(), more, "{cqe:?} at {from}");
    }
    assert_eq!(buffers.bytes(0, 10), b"0123456789");
    assert_eq!(buffers.bytes(1, 10), b"abcdefghij");
    let cqe = read_once(&mut ring, &reader);
    assert_eq!((cqe.result(), cqe.has_more_of_buffer()), (Err(Errno::NOBUFS), false));
}

/// liburing: read-inc-file.
#[test]
fn a_file_is_read_piece_by_piece_into_an_incremental_buffer() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    let dir = TempDir::new();
    let text: Vec<u8> = (0..=u8::MAX).cycle().take(4096).collect();
    let file = File::open(dir.file("text", &text)).expect("it was just made");
    let mut ring = ring();
    let buffers = Buffers::new(&ring, 1, 2, 4096, INC);
    let mut from = 0;
    for len in [1, 255, 1000, 2840] {
        let read = Read::provided(&file, len, 1).offset(u64::from(from)).sqe(1);
        // SAFETY: the file stays until `complete` returns, and the memory forever.
        let cqe = unsafe { complete(&mut ring, read) };
        assert_eq!((cqe.result(), cqe.buffer_id()), (Ok(len), Some(0)));
        from += len;
        assert_eq!(cqe.has_more_of_buffer(), from < 4096, "{from}");
    }
    assert_eq!(buffers.bytes(0, 4096), text);
}

/// A regular file cannot be polled: the kernel picks a part of the buffer before it reads.
///
/// liburing: read-inc-file.
#[test]
fn a_short_read_from_a_file_uses_up_all_the_bytes_it_asked_for() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    let dir = TempDir::new();
    let file = File::open(dir.file("digits", b"0123456789")).expect("it was just made");
    let mut ring = ring();
    let buffers = Buffers::new(&ring, 1, 2, 40, INC);
    let table = [
        // Requested length, offset, result, buffer, position in the buffer, whether the buffer is
        // used further.
        (8, 6, 4, 0, 0, true),
        (8, 10, 0, 0, 8, true),
        (4, 3, 4, 0, 16, true),
        (0, 0, 10, 0, 20, false),
        (40, 9, 1, 1, 0, false),
    ];
    for (asked, offset, got, bid, from, more) in table {
        let read = Read::provided(&file, asked, 1).offset(offset).sqe(1);
        // SAFETY: the file stays until `complete` returns, and the memory forever.
        let cqe = unsafe { complete(&mut ring, read) };
        assert_eq!((cqe.result(), cqe.buffer_id()), (Ok(got), Some(bid)));
        assert_eq!(cqe.has_more_of_buffer(), more, "{cqe:?}");
        let at = usize::try_from(offset).expect("a small number");
        let len = usize::try_from(got).expect("a small number");
        assert_eq!(buffers.range(bid, from, got), b"0123456789"[at..at + len]);
    }
}

/// Goal: the data that several completions store in one buffer has no gaps and no overlaps.
/// Method: a stream in pieces of many sizes, by multishot receives, through two large buffers.
#[test]
fn a_multishot_receive_packs_incremental_buffers() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    let (mut ours, theirs) = tcp_pair();
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 2, 1000, INC);
    let recv = Recv::provided(&theirs, 1).multishot().sqe(1);
    // SAFETY: the memory of a group stays forever.
    unsafe { start(&mut ring, recv) };
    let (mut received, mut sent, mut from) = (Vec::new(), Vec::new(), 0);
    for round in 0..400_u32 {
        let piece: Vec<u8> =
            (0..1 + round * 37 % 90).map(|n| (n + round).to_le_bytes()[0]).collect();
        ours.write_all(&piece).expect("room in the socket");
        sent.extend(piece);
        while received.len() < sent.len() {
            let cqe = reap(&mut ring, 1)[0];
            if !cqe.has_more() && cqe.result() == Err(Errno::NOBUFS) {
                // SAFETY: as above.
                unsafe { start(&mut ring, recv) };
                continue;
            }
            let (bid, len) = (cqe.buffer_id().expect("a buffer"), cqe.result().expect("bytes"));
            received.extend(buffers.range(bid, from, len));
            from += len;
            if let Some(bid) = buffers.reclaim(&cqe) {
                assert_eq!(from, 1000, "a buffer that is released is used up");
                from = 0;
                buffers.give(bid);
            }
        }
    }
    assert_eq!(received, sent);
}

/// Whether the descriptor of the ring is readable, which means that completions are ready.
fn is_readable(ring: &IoUring) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(ring.as_fd(), PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).expect("a descriptor") > 0
}

#[test]
fn publish_with_returns_buffers_and_completion_slots() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let mut ring = ring();
    let buffers = ring.registrar().register_buffer_ring(1, 4, OWN).expect("a ring");
    let mut buffers = Buffers::over(buffers, 8);
    for with_buffer in [true, false] {
        ring.submission().push_safe(Nop::new().sqe(1)).expect("room");
        assert_eq!(ring.submit(), Ok(1));
        // An iteration that ends early has not returned its slots.
        assert!(ring.completion().drain().next().is_some() && is_readable(&ring));
        if with_buffer {
            buffers.add(3);
        }
        buffers.ring.publish_with(&mut ring.completion());
        // Both were published, and the kernel was not entered.
        assert!(!is_readable(&ring));
    }
    let (reader, mut writer) = pipe();
    writer.write_all(b"abc").expect("room in the pipe");
    assert_eq!(read_once(&mut ring, &reader).buffer_id(), Some(3));
}
