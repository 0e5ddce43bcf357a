//! Bundles: several buffers of a ring in one completion, each with its own share of the data.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::io::{Read as _, Write as _};

use crate::buf_common::Buffers;
use crate::common::process::bounded;
use crate::common::{complete, reap, require};
use crate::op_common::{assert_quiet, cancel, reap_sorted, ring, start, tcp_pair, unix_pair};
use ringbolt::ops::{Recv, Send};
use ringbolt::rustix::fd::AsFd;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{BufRingFlags, Features, RegisterOp};
use ringbolt::{Cqe, IoUring};

const OWN: BufRingFlags = BufRingFlags::empty();

/// The buffers that a completion names, by id and length.
fn parts(buffers: &mut Buffers, cqe: Cqe) -> Vec<(u16, u32)> {
    let first = cqe.buffer_id().expect("a buffer was picked");
    buffers.ring.bundle(first, cqe.result().expect("some bytes")).collect()
}

fn data(buffers: &Buffers, parts: &[(u16, u32)]) -> Vec<u8> {
    parts.iter().flat_map(|(bid, len)| buffers.bytes(*bid, *len)).collect()
}

/// Receives a bundle, which is the next completion.
fn receive(ring: &mut IoUring, socket: impl AsFd) -> Cqe {
    // SAFETY: the socket stays until `complete` returns, and the memory of a group forever.
    unsafe { complete(ring, Recv::provided(&socket, 1).bundle().sqe(1)) }
}

/// Receives `len` bytes that are ready in the socket. Returns the buffers, and how many of them the
/// first bundle had. The kernel may leave data that fills only a part of a buffer to another
/// bundle.
fn receive_all(
    ring: &mut IoUring,
    buffers: &mut Buffers,
    socket: impl AsFd,
    len: u32,
) -> (Vec<(u16, u32)>, usize) {
    let (mut found, mut first) = (Vec::new(), None);
    while found.iter().map(|(_, len)| len).sum::<u32>() < len {
        let cqe = receive(ring, &socket);
        assert!(!cqe.has_more(), "{cqe:?}");
        found.extend(parts(buffers, cqe));
        first = first.or(Some(found.len()));
    }
    (found, first.unwrap_or(0))
}

/// liburing: recvsend_bundle.
#[test]
fn a_bundle_fills_buffers_one_after_another() {
    // On Linux 6.12 and 6.16 a receive takes one buffer, however much there is.
    require!(register: RegisterOp::REGISTER_QUERY);
    require!(feature: Features::RECVSEND_BUNDLE);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 8, 10, OWN);
    ours.write_all(b"0123456789abcdefghijABCDE").expect("room in the socket");
    let (found, first) = receive_all(&mut ring, &mut buffers, &theirs, 25);
    assert_eq!(found, [(0, 10), (1, 10), (2, 5)]);
    assert!(first >= 2, "{first}");
    assert_eq!(data(&buffers, &found), b"0123456789abcdefghijABCDE");
    assert_eq!(ring.registrar().buffer_ring_head(1), Ok(3));

    // The rest of the last one is not used: the next data goes into the next.
    ours.write_all(b"xyz").expect("room in the socket");
    let (found, _) = receive_all(&mut ring, &mut buffers, &theirs, 3);
    assert_eq!((found.as_slice(), data(&buffers, &found)), (&[(3, 3)][..], b"xyz".to_vec()));
}

#[test]
fn a_bundle_has_its_own_ids_and_lengths() {
    // On Linux 6.12 and 6.16 a receive takes one buffer, however much there is.
    require!(register: RegisterOp::REGISTER_QUERY);
    require!(feature: Features::RECVSEND_BUNDLE);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let registered = ring.registrar().register_buffer_ring(1, 8, OWN).expect("a ring");
    let mut buffers = Buffers::over(registered, 40);
    for round in 0..20 {
        let stream: Vec<u8> = (0..63).map(|n| n + round).collect();
        for (bid, len) in [(7, 1), (2, 20), (5, 3), (0, 40)] {
            buffers.add_part(bid, len);
        }
        assert_eq!(buffers.ring.publish(), 4);
        ours.write_all(&stream).expect("room in the socket");
        let (found, first) = receive_all(&mut ring, &mut buffers, &theirs, 63);
        assert_eq!(found, [(7, 1), (2, 20), (5, 3), (0, 39)], "round {round}");
        assert!(first >= 3, "{first}");
        assert_eq!(data(&buffers, &found), stream);
    }
}

/// Goal: the buffers contain the stream exactly as it was sent.
/// Method: pieces of many sizes, a multishot receive, more uses of buffers than there are
/// positions; sometimes all buffers are used up.
fn exercise(mut ours: impl std::io::Write, theirs: impl AsFd, size: u32, total: usize) {
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 16, size, OWN);
    let recv = Recv::provided(&theirs, 1).bundle().multishot().sqe(1);
    // SAFETY: the memory of a group stays forever.
    unsafe { start(&mut ring, recv) };
    let (mut sent, mut received, mut held) = (Vec::new(), Vec::new(), Vec::new());
    let (mut largest, mut ends) = (0, 0);
    while sent.len() < total {
        let len = 1 + sent.len() * 31 % 97;
        let piece: Vec<u8> = (0..len).map(|n| (sent.len() + n * n).to_le_bytes()[0]).collect();
        ours.write_all(&piece).expect("room in the socket");
        sent.extend(piece);
        while received.len() < sent.len() {
            let cqe = reap(&mut ring, 1)[0];
            if let Ok(bytes) = cqe.result() {
                let found = parts(&mut buffers, cqe);
                assert_eq!(found.iter().map(|(_, len)| len).sum::<u32>(), bytes);
                largest = largest.max(found.len());
                received.extend(data(&buffers, &found));
                held.extend(found);
            }
            // It may end with the last buffer, and not only when there is none.
            if !cqe.has_more() {
                assert!(matches!(cqe.result(), Ok(_) | Err(Errno::NOBUFS)), "{cqe:?}");
                ends += 1;
            }
            if !cqe.has_more() || received.len() % 7 == 0 {
                held.drain(..).for_each(|(bid, _)| buffers.add(bid));
                buffers.ring.publish();
            }
            if !cqe.has_more() {
                // SAFETY: as above.
                unsafe { start(&mut ring, recv) };
            }
        }
        assert!(sent.ends_with(&received[received.len() - len..]));
    }
    assert_eq!(received, sent);
    assert!(largest > 1 && ends > 0, "{largest} {ends}");
}

/// liburing: recv-bundle-short-ooo.
#[test]
fn multishot_bundles_keep_the_order_of_a_stream() {
    // On Linux 6.12 and 6.16 a receive takes one buffer, however much there is.
    require!(register: RegisterOp::REGISTER_QUERY);
    require!(feature: Features::RECVSEND_BUNDLE);
    bounded(|| {
        let (ours, theirs) = unix_pair();
        exercise(ours, theirs, 10, 100_000);
        let (ours, theirs) = tcp_pair();
        exercise(ours, theirs, 10, 100_000);
        let (ours, theirs) = tcp_pair();
        exercise(ours, theirs, 64, 100_000);
    });
}

#[test]
fn bundles_are_found_past_the_wrap_of_positions() {
    // On Linux 6.12 and 6.16 a receive takes one buffer, however much there is.
    require!(register: RegisterOp::REGISTER_QUERY);
    require!(feature: Features::RECVSEND_BUNDLE);
    bounded(|| {
        let (ours, theirs) = unix_pair();
        exercise(ours, theirs, 2, 150_000);
    });
}

/// Goal: a receive with a limit does not change the lengths of buffers.
/// Method: one that waits and is cancelled, and one that ends inside a buffer.
///
/// liburing: recv-bundle-buf-len.
#[test]
fn a_limit_applies_to_one_receive_only() {
    require!(feature: Features::RECVSEND_BUNDLE);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 4, 16, OWN);
    let mut limited = Recv::provided(&theirs, 1).bundle().sqe(1);
    limited.set_len(5);
    // SAFETY: the socket stays until both have completed, and the memory of a group forever.
    unsafe { start(&mut ring, limited) };
    assert_quiet(&mut ring);
    cancel(&mut ring, 1, 2);
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Err(Errno::CANCELED)), (2, Ok(0))]);
    ours.write_all(&[b'x'; 69]).expect("room in the socket");
    // SAFETY: as above.
    let cqe = unsafe { complete(&mut ring, limited) };
    assert_eq!((cqe.result(), cqe.buffer_id()), (Ok(5), Some(0)));
    assert_eq!(parts(&mut buffers, cqe), [(0, 5)]);
    buffers.give(0);
    let (found, _) = receive_all(&mut ring, &mut buffers, &theirs, 64);
    assert_eq!(found, [(1, 16), (2, 16), (3, 16), (0, 16)]);
}

#[test]
fn a_bundle_contains_only_published_buffers() {
    // On Linux 6.12 and 6.16 a receive takes one buffer, however much there is.
    require!(register: RegisterOp::REGISTER_QUERY);
    require!(feature: Features::RECVSEND_BUNDLE);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 4, 4, OWN);
    // No such buffer, then one that has not been published.
    assert_eq!(buffers.ring.bundle(9, 4).next(), None);
    assert_eq!(buffers.ring.bundle(0, 0).next(), None);
    ours.write_all(b"0123456789AB").expect("room in the socket");
    let cqe = receive(&mut ring, &theirs);
    assert_eq!((cqe.result(), cqe.buffer_id()), (Ok(12), Some(0)));
    // The first alone, and the others later.
    assert_eq!(buffers.ring.bundle(0, 12).next(), Some((0, 4)));
    assert_eq!(buffers.ring.bundle(1, 8).collect::<Vec<_>>(), [(1, 4), (2, 4)]);
    // Buffers that were reported are no longer found.
    assert_eq!(buffers.ring.bundle(1, 4).next(), None);
    buffers.add(1);
    assert_eq!(buffers.ring.bundle(1, 4).next(), None, "not published");
    buffers.ring.publish();
    // With more bytes than the buffers have, it ends at the last buffer and does not wrap around.
    let mut all = buffers.ring.bundle(3, u32::MAX);
    assert_eq!(
        [all.next(), all.next(), all.next(), all.next()],
        [Some((3, 4)), Some((1, 4)), None, None]
    );
}

/// Receives up to 4 bytes into one buffer, and reports that.
fn receive_plain(ring: &mut IoUring, buffers: &mut Buffers, socket: impl AsFd) -> u16 {
    // SAFETY: the socket stays until `complete` returns, and the memory of a group forever.
    let cqe = unsafe { complete(ring, Recv::provided(&socket, 1).sqe(1)) };
    buffers.reclaim(&cqe).expect("a buffer was picked")
}

/// Goal: a bundle contains the buffers that the kernel filled, whatever completed before it.
/// Method: more plain completions than the ring has buffers, each reported, then a bundle.
#[test]
fn a_bundle_is_found_after_plain_completions() {
    require!(feature: Features::RECVSEND_BUNDLE);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, 1, 4, 4, OWN);
    for single in 0..11 {
        ours.write_all(b"one").expect("room in the socket");
        assert_eq!(receive_plain(&mut ring, &mut buffers, &theirs), single % 4);
        buffers.give(single % 4);
    }
    ours.write_all(b"0123456789").expect("room in the socket");
    let (found, _) = receive_all(&mut ring, &mut buffers, &theirs, 10);
    assert_eq!(found, [(3, 4), (0, 4), (1, 2)]);
    assert_eq!(data(&buffers, &found), b"0123456789");
}

/// Goal: a bundle contains no buffer that the program holds.
/// Method: the program holds some buffers, so that the ids are no longer consecutive: the old entry
/// of such a buffer is still in the ring, between the old entries of its neighbours.
#[test]
fn a_bundle_skips_buffers_returned_by_plain_completions() {
    require!(feature: Features::RECVSEND_BUNDLE);
    let (mut ours, theirs) = unix_pair();
    let mut ring = ring();
    let registered = ring.registrar().register_buffer_ring(1, 8, OWN).expect("a ring");
    let mut buffers = Buffers::over(registered, 4);
    (0..4).for_each(|bid| buffers.add(bid));
    buffers.ring.publish();
    ours.write_all(b"one").expect("room in the socket");
    assert_eq!(receive_plain(&mut ring, &mut buffers, &theirs), 0);
    // Buffer 0 is in the ring twice: at its old position, and after the others.
    buffers.give(0);
    for held in 1..4 {
        ours.write_all(b"two").expect("room in the socket");
        assert_eq!(receive_plain(&mut ring, &mut buffers, &theirs), held);
    }
    buffers.give(6);
    assert_eq!(buffers.ring.len(), 2);
    ours.write_all(b"01234567").expect("room in the socket");
    let (found, _) = receive_all(&mut ring, &mut buffers, &theirs, 8);
    assert_eq!(found, [(0, 4), (6, 4)]);
    assert_eq!(data(&buffers, &found), b"01234567");
    assert!(buffers.ring.is_empty());
}

#[test]
fn a_sent_bundle_contains_the_data_of_the_buffers() {
    require!(feature: Features::RECVSEND_BUNDLE);
    let (ours, mut theirs) = tcp_pair();
    let mut ring = ring();
    let registered = ring.registrar().register_buffer_ring(1, 8, OWN).expect("a ring");
    let mut buffers = Buffers::over(registered, 16);
    for (bid, bytes) in [(5, &b"Hello"[..]), (1, b", "), (7, b"bundle"), (0, b"!")] {
        buffers.fill(bid, bytes);
        buffers.add_part(bid, u32::try_from(bytes.len()).expect("a short word"));
    }
    buffers.ring.publish();
    // SAFETY: the socket stays until `complete` returns, and the memory of a group forever.
    let cqe = unsafe { complete(&mut ring, Send::bundle(&ours, 0, 1).sqe(1)) };
    assert_eq!((cqe.result(), cqe.buffer_id(), cqe.has_more()), (Ok(14), Some(5), false));
    assert_eq!(parts(&mut buffers, cqe), [(5, 5), (1, 2), (7, 6), (0, 1)]);
    let mut got = [0; 14];
    theirs.read_exact(&mut got).expect("what was sent");
    assert_eq!(&got, b"Hello, bundle!");
    assert_quiet(&mut ring);

    // SAFETY: as above.
    let cqe = unsafe { complete(&mut ring, Send::bundle(&ours, 0, 1).sqe(1)) };
    assert_eq!((cqe.result(), cqe.has_more()), (Err(Errno::NOBUFS), false));
}

/// The buffers of each completion of a bundle.
fn sent_parts(ring: &mut IoUring, buffers: &mut Buffers) -> Vec<Vec<(u16, u32)>> {
    let mut told = Vec::new();
    loop {
        let cqe = reap(ring, 1)[0];
        told.push(parts(buffers, cqe));
        if !cqe.has_more() {
            return told;
        }
    }
}

/// Goal: any number of buffers is sent, in order, and reported.
/// Method: more buffers than the kernel sends at once.
///
/// liburing: recvsend_bundle.
#[test]
fn a_long_bundle_is_sent_in_several_parts() {
    require!(feature: Features::RECVSEND_BUNDLE);
    const COUNT: u16 = 1024;
    let (ours, mut theirs) = tcp_pair();
    let mut ring = ring();
    let registered = ring.registrar().register_buffer_ring(1, COUNT, OWN).expect("a ring");
    let mut buffers = Buffers::over(registered, 2);
    for bid in 0..COUNT {
        buffers.fill(bid, &bid.to_be_bytes());
        buffers.add(bid);
    }
    assert_eq!(buffers.ring.publish(), COUNT);
    // SAFETY: the memory of a group stays forever.
    unsafe { start(&mut ring, Send::bundle(&ours, 0, 1).sqe(1)) };
    let told = sent_parts(&mut ring, &mut buffers);
    assert!(told.len() > 1, "{told:?}");
    assert_eq!(told.concat(), (0..COUNT).map(|bid| (bid, 2)).collect::<Vec<_>>());
    let mut got = [0; 2 * 1024];
    theirs.read_exact(&mut got).expect("what was sent");
    assert!(got.chunks(2).map(|two| [two[0], two[1]]).eq((0..COUNT).map(u16::to_be_bytes)));
    assert_quiet(&mut ring);
}

/// Goal: a limit shortens the first part, at the end of a buffer or inside the first buffer.
/// Method: compare the data sent, reported and received, for limits of both kinds.
#[test]
fn a_limit_applies_to_the_first_part_of_a_sent_bundle() {
    require!(feature: Features::RECVSEND_BUNDLE);
    for (limit, first) in [(20, [(0, 8), (1, 8)].as_slice()), (8, &[(0, 8)]), (5, &[(0, 5)])] {
        let (ours, mut theirs) = unix_pair();
        let mut ring = ring();
        let mut buffers = Buffers::new(&ring, 1, 4, 8, OWN);
        (0..4).for_each(|bid| buffers.fill(bid, &[b'0' + bid.to_le_bytes()[0]; 8]));
        // SAFETY: the memory of a group stays forever.
        unsafe { start(&mut ring, Send::bundle(&ours, limit, 1).sqe(1)) };
        let told = sent_parts(&mut ring, &mut buffers);
        assert_eq!(told.first().map(Vec::as_slice), Some(first), "{limit}");
        let told = told.concat();
        assert_eq!(told.iter().map(|(bid, _)| *bid).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let expected = data(&buffers, &told);
        let mut got = vec![0; expected.len()];
        theirs.read_exact(&mut got).expect("what was sent");
        assert_eq!(got, expected);
        assert_quiet(&mut ring);
    }
}
