//! Operations that go on: reads and receives of one buffer after the other, and of several at
//! once.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::common::{TempDir, complete, reap, require};
use crate::op_common::{assert_quiet, cancel, pipe, provide, ring, start, tcp_pair, unix_pair};
use ringbolt::ops::{Fixed, ProvideBuffers, ReadMultishot, Recv, Send, Target};
use ringbolt::register::{BufferRing, FileSlot};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{BufRingFlags, Features, Opcode};
use ringbolt::{Cqe, IoUring};

const GROUP: u16 = 3;

/// What a completion of a multishot operation tells: the bytes, and whether it goes on.
fn told(cqe: Cqe) -> (Result<u32, Errno>, bool) {
    (cqe.result(), cqe.has_more())
}

/// What a completion put into one of the buffers of `N` bytes of `memory`.
fn filled<const N: usize>(memory: &[u8], cqe: Cqe) -> &[u8] {
    let id = usize::from(cqe.buffer_id().expect("a buffer was picked"));
    let len = usize::try_from(cqe.result().expect("bytes")).expect("a few");
    &memory[id * N..][..len]
}

/// Gives a buffer back that a completion has named.
fn give_back<const N: usize>(ring: &mut IoUring, memory: &'static [u8], cqe: Cqe) {
    let id = cqe.buffer_id().expect("a buffer was picked");
    let len = u32::try_from(N).expect("a small buffer");
    let start = memory[usize::from(id) * N..].as_ptr().cast_mut();
    let provide = ProvideBuffers::new(start, len, 1, GROUP, id).sqe(9);
    // SAFETY: the memory is leaked, and this part of it has come back.
    assert_eq!(unsafe { complete(ring, provide) }.result(), Ok(0));
}

/// Starts to read one buffer after the other.
fn start_reading(ring: &mut IoUring, target: impl Into<Target>) {
    // SAFETY: the caller's file outlives what is in flight; the group's memory is leaked, and
    // read only when it has come back.
    unsafe { start(ring, ReadMultishot::new(target.into(), GROUP).sqe(1)) };
}

fn start_receiving(ring: &mut IoUring, recv: Recv) {
    // SAFETY: the caller's socket outlives what is in flight; the group's memory is leaked, and
    // read only when it has come back.
    unsafe { start(ring, recv.sqe(1)) };
}

/// The next completion, which comes when `bytes` are written.
fn next(ring: &mut IoUring, mut writer: impl std::io::Write, bytes: &[u8]) -> Cqe {
    writer.write_all(bytes).expect("room for a few bytes");
    reap(ring, 1).remove(0)
}

/// liburing: read-mshot.
#[test]
fn a_multishot_read_goes_on_until_there_is_no_buffer() {
    require!(op: Opcode::READ_MULTISHOT);
    let (reader, writer) = pipe();
    let mut ring = ring();
    let memory = provide::<8>(&mut ring, GROUP, 2);
    start_reading(&mut ring, &reader);
    assert_quiet(&mut ring);
    for bytes in [&b"abc"[..], b"12345678"] {
        let cqe = next(&mut ring, &writer, bytes);
        assert!(cqe.has_more(), "{cqe:?}");
        assert_eq!(filled::<8>(memory, cqe), bytes);
    }
    assert_quiet(&mut ring);
    let cqe = next(&mut ring, &writer, b"xyz");
    assert_eq!(told(cqe), (Err(Errno::NOBUFS), false));
    assert_eq!(cqe.buffer_id(), None);
    assert_quiet(&mut ring);
    // What nobody had a buffer for is still there.
    assert_eq!((&reader).read(&mut [0; 8]).ok(), Some(3));
}

#[test]
fn a_multishot_read_reuses_what_is_given_back_and_starts_again_after_enobufs() {
    require!(op: Opcode::READ_MULTISHOT);
    let (reader, writer) = pipe();
    let mut ring = ring();
    let memory = provide::<8>(&mut ring, GROUP, 2);
    start_reading(&mut ring, &reader);
    let mut last = None;
    for round in 0..100_u8 {
        let cqe = next(&mut ring, &writer, &[round; 5]);
        assert!(cqe.has_more(), "{cqe:?}");
        assert_eq!(filled::<8>(memory, cqe), [round; 5]);
        // One stays behind, so that no round finds it empty.
        if let Some(last) = last.replace(cqe) {
            give_back::<8>(&mut ring, memory, last);
        }
    }
    let used_up = next(&mut ring, &writer, b"x");
    assert!(used_up.has_more());
    assert_eq!(told(next(&mut ring, &writer, b"y")), (Err(Errno::NOBUFS), false));
    give_back::<8>(&mut ring, memory, used_up);
    start_reading(&mut ring, &reader);
    let cqe = reap(&mut ring, 1).remove(0);
    assert_eq!(filled::<8>(memory, cqe), b"y");
}

#[test]
fn a_multishot_read_of_a_slot_empties_the_pipe_and_ends_with_it() {
    require!(op: Opcode::READ_MULTISHOT);
    let (reader, writer) = pipe();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&reader)]).expect("a slot");
    let memory = provide::<3>(&mut ring, GROUP, 4);
    (&writer).write_all(b"abcdefg").expect("room in the pipe");
    start_reading(&mut ring, Fixed(0));
    let cqes = reap(&mut ring, 3);
    assert!(cqes.iter().all(Cqe::has_more), "{cqes:?}");
    let parts: Vec<_> = cqes.iter().map(|cqe| filled::<3>(memory, *cqe)).collect();
    assert_eq!(parts, [&b"abc"[..], b"def", b"g"]);
    drop(writer);
    assert_eq!(told(reap(&mut ring, 1).remove(0)), (Ok(0), false), "the end ends it");
}

#[test]
fn a_multishot_read_can_be_cancelled_and_keeps_no_buffer() {
    require!(op: Opcode::READ_MULTISHOT);
    let (reader, writer) = pipe();
    let mut ring = ring();
    let memory = provide::<8>(&mut ring, GROUP, 1);
    start_reading(&mut ring, &reader);
    assert_quiet(&mut ring);
    cancel(&mut ring, 1, 2);
    let mut both = reap(&mut ring, 2);
    both.sort_by_key(Cqe::user_data);
    assert_eq!(told(both[0]), (Err(Errno::CANCELED), false));
    assert_eq!((both[0].buffer_id(), both[1].result()), (None, Ok(0)));
    start_reading(&mut ring, &reader);
    assert_eq!(filled::<8>(memory, next(&mut ring, &writer, b"abc")), b"abc");
}

#[test]
fn a_multishot_read_that_cannot_be_says_why() {
    require!(op: Opcode::READ_MULTISHOT);
    let dir = TempDir::new();
    let regular = File::open(dir.file("data", b"abcd")).expect("it was just made");
    let (reader, writer) = pipe();
    let mut ring = ring();
    let of = |target: Target| ReadMultishot::new(target, GROUP).sqe(1);
    // Without the flag there is no group to pick from.
    let mut no_group = of(Target::from(&reader));
    no_group.set_flags(ringbolt::sys::SqeFlags::empty());
    // The buffers' lengths are the limit, and there is no other.
    let mut with_len = of(Target::from(&reader));
    with_len.set_len(4);
    let table = [
        (of(Target::from(&regular)), Errno::BADFD),
        (of(Target::from(&writer)), Errno::BADF),
        (of(Target::Fd(-1)), Errno::BADF),
        (with_len, Errno::INVAL),
        (no_group, Errno::INVAL),
    ];
    provide::<8>(&mut ring, GROUP, 1);
    for (entry, errno) in table {
        // SAFETY: the files stay until `complete` returns; the group's memory is leaked.
        let cqe = unsafe { complete(&mut ring, entry) };
        assert_eq!(told(cqe), (Err(errno), false), "{entry:?}");
    }
}

#[test]
fn a_multishot_receive_starts_again_after_enobufs_and_loses_nothing() {
    require!(op: Opcode::SEND_ZC);
    let (ours, theirs) = unix_pair();
    let mut ring = ring();
    let memory = provide::<4>(&mut ring, GROUP, 2);
    (&ours).write_all(b"0123456789").expect("room in the socket");
    start_receiving(&mut ring, Recv::provided(&theirs, GROUP).multishot());
    let first = reap(&mut ring, 3);
    let ends: Vec<_> = first.iter().map(|cqe| told(*cqe)).collect();
    assert_eq!(ends, [(Ok(4), true), (Ok(4), true), (Err(Errno::NOBUFS), false)]);
    assert_eq!([filled::<4>(memory, first[0]), filled::<4>(memory, first[1])], [b"0123", b"4567"]);
    for cqe in &first[..2] {
        give_back::<4>(&mut ring, memory, *cqe);
    }
    start_receiving(&mut ring, Recv::provided(&theirs, GROUP).multishot());
    assert_eq!(filled::<4>(memory, reap(&mut ring, 1).remove(0)), b"89");
    drop(ours);
    assert_eq!(told(reap(&mut ring, 1).remove(0)), (Ok(0), false), "the peer is gone");
}

/// A ring of `count` buffers of `N` bytes, and their memory.
fn buffer_ring<const N: usize>(ring: &IoUring, count: u16) -> (BufferRing, &'static [u8]) {
    let flags = BufRingFlags::empty();
    let mut group = ring.registrar().register_buffer_ring(GROUP, count, flags).expect("a group");
    let memory: &'static mut [u8] = Box::leak(vec![b'-'; N * usize::from(count)].into());
    for (id, buffer) in (0..count).zip(memory.chunks_exact_mut(N)) {
        let len = u32::try_from(N).expect("a small buffer");
        // SAFETY: the memory is leaked, and read only when it has come back.
        unsafe { group.add(buffer.as_mut_ptr(), len, id) }.expect("room in the ring");
    }
    assert_eq!(group.publish(), count);
    (group, memory)
}

/// The bytes of a bundle that a completion tells of, one buffer after the other.
fn unbundle<const N: usize>(group: &mut BufferRing, memory: &[u8], cqe: Cqe) -> Vec<Vec<u8>> {
    let first = cqe.buffer_id().expect("a buffer was picked");
    let parts = group.bundle(first, cqe.result().expect("bytes"));
    let take = |(id, len): (u16, u32)| {
        memory[usize::from(id) * N..][..usize::try_from(len).expect("a few")].to_vec()
    };
    parts.map(take).collect()
}

/// Receives bundles until `want` bytes have come: the completions, in their order.
fn receive_bundles(ring: &mut IoUring, stream: &TcpStream, want: u32) -> Vec<Cqe> {
    let mut cqes: Vec<Cqe> = Vec::new();
    let bytes = |cqes: &[Cqe]| cqes.iter().map(|cqe| cqe.result().expect("bytes")).sum::<u32>();
    while bytes(&cqes) < want {
        let recv = Recv::provided(stream, GROUP).bundle().sqe(1);
        // SAFETY: the socket stays until `complete` returns; the group's memory is leaked.
        cqes.push(unsafe { complete(ring, recv) });
    }
    assert_eq!(bytes(&cqes), want);
    cqes
}

#[test]
fn a_bundle_fills_several_buffers_with_one_completion() {
    require!(feature: Features::RECVSEND_BUNDLE);
    let (ours, theirs) = tcp_pair();
    let mut ring = ring();
    let (mut group, memory) = buffer_ring::<4>(&ring, 8);
    (&ours).write_all(b"0123456789").expect("room in the socket");
    assert_eq!(theirs.peek(&mut [0; 16]).ok(), Some(10), "all of it has come");
    let cqes = receive_bundles(&mut ring, &theirs, 10);
    assert!(cqes.len() < 3, "fewer completions than buffers: {cqes:?}");
    assert_eq!(cqes[0].buffer_id(), Some(0));
    let parts = cqes.iter().flat_map(|cqe| unbundle::<4>(&mut group, memory, *cqe));
    assert_eq!(parts.collect::<Vec<_>>(), [&b"0123"[..], b"4567", b"89"]);
    assert_eq!(ring.registrar().buffer_ring_head(GROUP), Ok(3), "as many as were used");
}

#[test]
fn a_bundle_goes_on_with_multishot_until_there_is_no_buffer() {
    require!(feature: Features::RECVSEND_BUNDLE);
    let (ours, theirs) = tcp_pair();
    let mut ring = ring();
    let (mut group, memory) = buffer_ring::<4>(&ring, 8);
    start_receiving(&mut ring, Recv::provided(&theirs, GROUP).bundle().multishot());
    (&ours).write_all(&[b'x'; 40]).expect("room in the socket");
    let mut bytes = Vec::new();
    let mut goes_on = true;
    while goes_on {
        let cqe = reap(&mut ring, 1).remove(0);
        goes_on = cqe.has_more();
        // The one that takes the last buffer may be the last one.
        if cqe.result() != Err(Errno::NOBUFS) {
            bytes.extend(unbundle::<4>(&mut group, memory, cqe).concat());
        }
    }
    assert_eq!(bytes, [b'x'; 32], "all that there was room for");
    assert_eq!(theirs.peek(&mut [0; 16]).ok(), Some(8), "the rest stays");
}

#[test]
fn a_bundle_uses_buffers_provided_in_the_older_way_in_their_order() {
    require!(feature: Features::RECVSEND_BUNDLE);
    let (ours, theirs) = tcp_pair();
    let mut ring = ring();
    let memory = provide::<4>(&mut ring, GROUP, 4);
    (&ours).write_all(b"0123456789").expect("room in the socket");
    assert_eq!(theirs.peek(&mut [0; 16]).ok(), Some(10), "all of it has come");
    let mut next = 0;
    for cqe in receive_bundles(&mut ring, &theirs, 10) {
        assert_eq!(cqe.buffer_id(), Some(next));
        next += u16::try_from(cqe.result().expect("bytes").div_ceil(4)).expect("a few");
    }
    assert_eq!(memory, b"0123456789------");
}

/// Gives the kernel `words` to send, as a ring of buffers.
fn words(ring: &IoUring, words: [&'static [u8]; 4]) -> BufferRing {
    let flags = BufRingFlags::empty();
    let mut group = ring.registrar().register_buffer_ring(GROUP, 4, flags).expect("a group");
    for (id, word) in (0..).zip(words) {
        let len = u32::try_from(word.len()).expect("a short word");
        // SAFETY: constant memory stays for ever, and the kernel only sends it.
        unsafe { group.add(word.as_ptr().cast_mut(), len, id) }.expect("room in the ring");
    }
    group.publish();
    group
}

#[test]
fn a_bundle_is_sent_in_the_order_of_its_buffers() {
    require!(feature: Features::RECVSEND_BUNDLE);
    for len in [0, 7] {
        let (ours, mut theirs) = unix_pair();
        let mut ring = ring();
        let _group = words(&ring, [b"one", b"two", b"three", b"four"]);
        // SAFETY: the socket stays; the group's memory is constant.
        unsafe { start(&mut ring, Send::bundle(&ours, len, GROUP).sqe(1)) };
        let mut told = Vec::new();
        while told.last().is_none_or(Cqe::has_more) {
            told.extend(reap(&mut ring, 1));
        }
        let sent: u32 = told.iter().map(|cqe| cqe.result().expect("bytes")).sum();
        // The limit is one for each completion: the rest goes with the next.
        assert!((sent, told.len() > 1) == (15, len > 0), "{told:?}");
        assert_eq!(told[0].buffer_id(), Some(0));
        assert_eq!(ring.registrar().buffer_ring_head(GROUP), Ok(4));
        // SAFETY: the socket stays until `complete` returns; the group is empty.
        let cqe = unsafe { complete(&mut ring, Send::bundle(&ours, len, GROUP).sqe(1)) };
        assert_eq!(cqe.result(), Err(Errno::NOBUFS));
        drop(ours);
        let mut bytes = Vec::new();
        theirs.read_to_end(&mut bytes).expect("an end");
        assert_eq!(bytes, b"onetwothreefour");
    }
    let (ours, _theirs) = unix_pair();
    // SAFETY: the socket stays until `complete` returns; there is no group.
    let cqe = unsafe { complete(&mut ring(), Send::bundle(&ours, 0, 7).sqe(1)) };
    assert_eq!(cqe.result(), Err(Errno::NOENT), "no such group");
}
