//! Rings of wide entries: 128 bytes to submit, 32 bytes to complete.

use std::fs::File;
use std::io::Write as _;
use std::net::TcpStream;

use crate::common::{TempDir, complete, reap, require};
use crate::op_common::{
    AS_OF_6_7, accept, assert_quiet, connect, listener, reap_sorted, reap_told, ring,
};
use ringbolt::ops::{Nop, Nop128, Read, SocketCommand};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{RegisterOp, SetupFlags, SqeFlags};
use ringbolt::{
    Builder, CqEntry, Cqe32, CqeMixed, IoUring, SafeSqe, SqEntry, Sqe, Sqe128, SqeMixed,
};

const DIGITS: &[u8] = b"0123456789";

/// Goes around both queues more than twice: slots and sizes that did not fit would show.
fn exercise<S, C>(ring: &mut IoUring<S, C>)
where
    S: SqEntry + From<SafeSqe>,
    C: CqEntry,
{
    let dir = TempDir::new();
    let file = File::open(dir.file("digits", DIGITS)).expect("it was just made");
    for round in 0..50_u64 {
        let batch = 1 + round % 8;
        for id in 0..batch {
            ring.submission().push_safe(Nop::new().sqe(round << 8 | id)).expect("room");
        }
        assert_eq!(ring.submit().map(u64::from), Ok(batch));
        let nops = usize::try_from(batch).expect("a small number");
        let expected: Vec<_> = (0..batch).map(|id| (round << 8 | id, Ok(0))).collect();
        assert_eq!(reap_told(ring, nops), expected);

        let mut buf = [0_u8; 4];
        let read = Read::new(&file, buf.as_mut_ptr(), 4).offset(round % 6).sqe(0);
        let mut entry = S::from(read);
        entry.set_user_data(round);
        entry.set_flags(if round % 2 == 0 { SqeFlags::ASYNC } else { SqeFlags::empty() });
        // SAFETY: `file` and `buf` stay until `complete` returns.
        let cqe = unsafe { complete(ring, entry) };
        assert_eq!((cqe.as_cqe().user_data(), cqe.as_cqe().result()), (round, Ok(4)));
        let at = usize::try_from(round % 6).expect("a small number");
        assert_eq!(DIGITS.get(at..at + 4), Some(&buf[..]));
    }
}

#[test]
fn each_pair_of_widths_works() {
    require!(setup: SetupFlags::SQE128);
    require!(setup: SetupFlags::CQE32);
    let builder = IoUring::builder();
    exercise(&mut builder.clone().build(8).expect("a ring"));
    exercise(&mut builder.clone().sqe128().build(8).expect("a ring"));
    exercise(&mut builder.clone().cqe32().build(8).expect("a ring"));
    exercise(&mut builder.clone().sqe128().cqe32().build(8).expect("a ring"));
    exercise(&mut builder.cqe32().sqe128().build(8).expect("a ring"));
    exercise(&mut Builder::<Sqe128, Cqe32>::new().build(8).expect("a ring"));
}

#[test]
fn the_widths_are_what_the_kernel_was_asked_for() {
    require!(setup: SetupFlags::SQE128);
    require!(setup: SetupFlags::CQE32);
    assert_eq!((size_of::<Sqe>(), size_of::<Sqe128>(), size_of::<Cqe32>()), (64, 128, 32));
    let both = SetupFlags::SQE128 | SetupFlags::CQE32;
    let ring = IoUring::builder().sqe128().cqe32().build(4).expect("a ring");
    assert!(ring.setup_flags().contains(both));
    let ring = IoUring::builder().build(4).expect("a ring");
    assert!(!ring.setup_flags().intersects(both));
}

#[test]
fn a_wide_completion_carries_what_a_nop_puts_there() {
    // The flag came with Linux 6.18, as did this.
    require!(register: RegisterOp::REGISTER_QUERY);
    let mut ring = IoUring::builder().cqe32().build(8).expect("a ring");
    for extra in [[1, 2], [u64::MAX, 0], [0x0123_4567_89ab_cdef, 1 << 63]] {
        // SAFETY: the entry names nothing.
        let cqe = unsafe { complete(&mut ring, Nop::new().cqe32(extra).sqe(7)) };
        assert_eq!((cqe.cqe.user_data(), cqe.cqe.result()), (7, Ok(0)));
        assert_eq!(cqe.extra, extra);
        // And the next one does not.
        // SAFETY: the entry names nothing.
        let cqe = unsafe { complete(&mut ring, Nop::new().sqe(8)) };
        assert_eq!(cqe.extra, [0, 0], "{cqe:?}");
    }
}

#[test]
fn a_wide_nop_in_a_narrow_ring_is_refused() {
    require!(register: RegisterOp::REGISTER_QUERY);
    // SAFETY: the entry names nothing.
    let cqe = unsafe { complete(&mut ring(), Nop::new().cqe32([1, 2]).sqe(1)) };
    assert_eq!(cqe.result(), Err(Errno::INVAL));
}

/// liburing: nop32.
#[test]
fn a_mixed_ring_completes_in_either_width() {
    require!(setup: SetupFlags::CQE_MIXED);
    let mut ring = IoUring::builder().cqe_mixed().build(8).expect("a ring");
    // Three slots a round, of sixteen: wide ones come to lie across the end of the queue too,
    // which the kernel fills up.
    for round in 0..100_u64 {
        let wide = Nop::new().cqe32([round, !round]);
        for sqe in [Nop::new().sqe(round), wide.sqe(round + 1000)] {
            ring.submission().push_safe(sqe).expect("room");
        }
        assert_eq!(ring.submit(), Ok(2));
        let pair = reap(&mut ring, 2);
        let [CqeMixed::Narrow(narrow), CqeMixed::Wide(wide)] = pair[..] else {
            panic!("in round {round}: {pair:?}");
        };
        assert_eq!((narrow.user_data(), narrow.result()), (round, Ok(0)));
        assert_eq!((wide.cqe.user_data(), wide.cqe.result()), (round + 1000, Ok(0)));
        assert_eq!(wide.extra, [round, !round]);
        assert_quiet(&mut ring);
    }
}

/// liburing: sqe-mixed-nop.
#[test]
fn a_mixed_ring_takes_either_width() {
    require!(setup: SetupFlags::SQE_MIXED);
    let mut ring = IoUring::builder().sqe_mixed().build(8).expect("a ring");
    for round in 0..100 {
        let pair = [SqeMixed::from(Nop::new().sqe(round)), Nop128::new().sqe(round + 1000).into()];
        // SAFETY: the entries name nothing.
        unsafe { ring.submission().push_all(&pair) }.expect("room");
        ring.submit().expect("the kernel takes them");
        assert_eq!(reap_told(&mut ring, 2), [(round, Ok(0)), (round + 1000, Ok(0))]);
    }
}

#[test]
fn narrow_entries_are_widened_with_zeros() {
    let sqe = Nop::new().sqe(1);
    let wide = Sqe128::from(sqe);
    assert_eq!((wide.sqe.to_bytes(), wide.payload), (sqe.as_sqe().to_bytes(), [0; 64]));
    let again = Sqe128::from(Sqe::from(sqe));
    assert_eq!((again.sqe.to_bytes(), again.payload), (wide.sqe.to_bytes(), [0; 64]));
}

/// Bytes that wait in a socket, by a command to its driver.
fn waiting<S: SqEntry + From<Sqe>, C: CqEntry>(
    ring: &mut IoUring<S, C>,
    socket: &TcpStream,
) -> Result<u32, Errno> {
    let command = SocketCommand::bytes_to_read(socket).sqe(1);
    // SAFETY: the socket stays until `complete` returns, and no memory is named.
    unsafe { complete(ring, S::from(command)) }.as_cqe().result()
}

#[test]
fn a_command_to_a_driver_works_in_either_width() {
    require!(setup: SetupFlags::SQE128);
    require!(op: AS_OF_6_7);
    let (listener, address) = listener();
    let mut ours = connect(address);
    let (theirs, _) = accept(&listener);
    ours.write_all(b"12345").expect("room in the socket");
    assert_eq!(theirs.peek(&mut [0; 8]).ok(), Some(5));
    assert_eq!(waiting(&mut ring(), &theirs), Ok(5));
    let mut wide = IoUring::builder().sqe128().build(8).expect("a ring");
    assert_eq!(waiting(&mut wide, &theirs), Ok(5));
}

#[test]
fn chains_reservations_and_taking_back_work_in_128_bytes() {
    require!(setup: SetupFlags::SQE128);
    let mut ring = IoUring::builder().sqe128().build(8).expect("a ring");
    let nop = |id| Sqe128::from(Nop::new().sqe(id));
    let mut head = nop(1);
    head.sqe = head.sqe.link();
    for _ in 0..5 {
        // SAFETY: the entries name nothing.
        unsafe { ring.submission().push_all(&[head, nop(2), nop(3)]) }.expect("room");
        let back = ring.submission().pop_back().expect("what was pushed last");
        assert_eq!(back.sqe.user_data(), 3);
        let mut submission = ring.submission();
        let mut reserved = submission.reserve(2).expect("room");
        // SAFETY: the entry names nothing.
        unsafe { reserved.put(nop(4)) }.expect("a reserved slot");
        reserved.commit().expect("no open chain");
        assert_eq!(ring.submit(), Ok(3));
        assert_eq!(reap_sorted(&mut ring, 3), [(1, Ok(0)), (2, Ok(0)), (4, Ok(0))]);
        assert_quiet(&mut ring);
    }
}
