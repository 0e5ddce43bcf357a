//! Tables of files and buffers: they fill and empty, and keep entries that are in use.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use ringbolt::sys::RegisterOp;
use std::fs::File;
use std::io::Read as _;

use crate::common::process::in_child;
use crate::common::{TempDir, complete, reap, require};
use crate::op_common::{
    AS_OF_5_15, AS_OF_5_19, AS_OF_6_0, assert_quiet, c_path, leaked, reap_sorted, ring, start,
    start_all, tcp_pair,
};
use ringbolt::ops::{Close, DestSlot, Fixed, IoVec, OpenAt, Read, SendZc};
use ringbolt::register::FileSlot;
use ringbolt::rustix::fs::{CWD, OFlags};
use ringbolt::{Cqe, IoUring};
use rustix::io::Errno;

/// Files `'a'`, `'b'` and so on, which hold their letter.
fn letters<const N: usize>() -> (TempDir, [File; N]) {
    let dir = TempDir::new();
    let mut letter = b'a'..;
    let files = [(); N].map(|()| {
        let letter = letter.next().expect("a letter");
        let path = dir.file(&char::from(letter).to_string(), &[letter]);
        File::open(path).expect("it was just made")
    });
    (dir, files)
}

/// The byte that is read through a slot.
fn at(ring: &mut IoUring, slot: u32) -> Result<u8, Errno> {
    let mut byte = [b'-'];
    let read = Read::new(Fixed(slot), byte.as_mut_ptr(), 1).offset(0).sqe(1);
    // SAFETY: the byte stays until `complete` returns.
    unsafe { complete(ring, read) }.result().map(|_| byte[0])
}

/// The slots from the first on, `'.'` for one that is empty.
fn table(ring: &mut IoUring, slots: u32) -> String {
    let letter = |slot| match at(ring, slot) {
        Ok(letter) => char::from(letter),
        Err(errno) => {
            assert_eq!(errno, Errno::BADF);
            '.'
        }
    };
    (0..slots).map(letter).collect()
}

/// liburing: file-register, file-update.
#[test]
fn a_table_fills_up_and_empties_from_either_end() {
    let (_dir, files) = letters::<6>();
    let mut ring = ring();
    let slots: Vec<_> = files.iter().map(FileSlot::from).collect();
    let mut sparse = slots[..2].to_vec();
    sparse.resize(6, FileSlot::EMPTY);
    ring.registrar().register_files(&sparse).expect("two files and room for four");
    assert_eq!(table(&mut ring, 7), "ab.....");
    for (last, grown) in (2..6).zip(["abc...", "abcd..", "abcde.", "abcdef"]) {
        let one = &slots[last..=last];
        let first = u32::try_from(last).expect("a small number");
        assert_eq!(ring.registrar().update_files(first, one), Ok(1));
        assert_eq!(table(&mut ring, 6), grown);
    }
    for (last, shrunk) in [(5, "abcde."), (4, "abcd.."), (0, ".bcd.."), (1, "..cd..")] {
        assert_eq!(ring.registrar().update_files(last, &[FileSlot::EMPTY]), Ok(1));
        assert_eq!(table(&mut ring, 6), shrunk);
    }
    // All together: slots that are empty, slots that are not, and slots that stay unchanged.
    let all = [slots[5], slots[4], FileSlot::SKIP, FileSlot::EMPTY, FileSlot::EMPTY, slots[0]];
    assert_eq!(ring.registrar().update_files(0, &all), Ok(6));
    assert_eq!(table(&mut ring, 6), "fec..a");
    assert_eq!(ring.registrar().unregister_files(), Ok(()));
    assert_eq!(table(&mut ring, 6), "......");
    assert_eq!(ring.registrar().register_files(&slots), Ok(()), "and again");
    assert_eq!(table(&mut ring, 6), "abcdef");
}

/// The number 0 is a descriptor, and not an empty slot.
///
/// liburing: file-register.
#[test]
fn the_descriptor_0_can_be_registered() {
    in_child("the_descriptor_0_can_be_registered", || {
        let (_dir, [file]) = letters();
        let stdin = std::io::stdin();
        // SAFETY: both are open; nothing else reads this process's input.
        assert_eq!(unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(&file), 0) }, 0);
        let mut ring = ring();
        let slots = [FileSlot::EMPTY, FileSlot::from(&stdin)];
        ring.registrar().register_files(&slots).expect("two slots");
        assert_eq!(table(&mut ring, 2), ".a");
        assert_eq!(ring.registrar().update_files(1, &[FileSlot::EMPTY]), Ok(1));
        assert_eq!(ring.registrar().update_files(0, &slots[1..]), Ok(1));
        assert_eq!(table(&mut ring, 2), "a.");
    });
}

/// liburing: file-register.
#[test]
fn the_first_and_the_last_slot_of_a_huge_table_work() {
    require!(op: AS_OF_5_19);
    let (_dir, [first, last]) = letters();
    // The lower of the kernel's own limit and that of this process.
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let slots = u32::try_from(limit.unwrap_or(u64::MAX).min(1 << 15)).expect("32 bits");
    let mut ring = ring();
    ring.registrar().register_files_sparse(slots).expect("no more than may be open");
    assert_eq!(ring.registrar().update_files(0, &[FileSlot::from(&first)]), Ok(1));
    assert_eq!(ring.registrar().update_files(slots - 1, &[FileSlot::from(&last)]), Ok(1));
    let (a, b) = (at(&mut ring, 0), at(&mut ring, slots - 1));
    assert_eq!((a, b), (Ok(b'a'), Ok(b'b')));
    for empty in [1, slots / 2, slots - 2, slots, u32::MAX] {
        assert_eq!(at(&mut ring, empty), Err(Errno::BADF), "{empty}");
    }
    let behind = ring.registrar().update_files(slots, &[FileSlot::from(&last)]);
    assert_eq!(behind.map_err(Errno::from), Err(Errno::INVAL));
}

/// Goal: a slot is filled, used and emptied in one submission.
/// Method: a chain that opens, reads and closes, repeatedly in the same slot.
///
/// liburing: open-direct-link.
#[test]
fn a_chain_opens_reads_and_closes_a_slot() {
    require!(op: AS_OF_5_15);
    let (dir, _files) = letters::<2>();
    let paths = ["a", "b", "no such file"].map(|name| c_path(dir.join(name)));
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::EMPTY; 2]).expect("two slots");
    let canceled = Err(Errno::CANCELED);
    let worked = [Ok(0), Ok(1), Ok(0)];
    let failed = [Err(Errno::NOENT), canceled, canceled];
    for (path, results, byte) in
        [(&paths[0], worked, b'a'), (&paths[2], failed, b'-'), (&paths[1], worked, b'b')]
    {
        let mut buf = [b'-'];
        let slot = DestSlot::At(Fixed(1));
        let chain = [
            OpenAt::new(CWD, path.as_ptr(), OFlags::RDONLY).fixed(slot).sqe(0).link(),
            Read::new(Fixed(1), buf.as_mut_ptr(), 1).offset(0).sqe(1).link(),
            Close::fixed(Fixed(1)).sqe(2).into(),
        ];
        // SAFETY: the path and the byte stay until all completions are there.
        unsafe { start_all(&mut ring, &chain) };
        let told: Vec<_> = reap_sorted(&mut ring, 3).into_iter().map(|(_, told)| told).collect();
        assert_eq!((told.as_slice(), buf), (&results[..], [byte]), "{path:?}");
        assert_eq!(table(&mut ring, 2), "..");
    }
}

/// Goal: a registered buffer is kept for a zero-copy send until its notification is posted.
/// Method: the table is dropped while the data waits in the socket; its tag shows when it is
/// released.
///
/// liburing: sendzc-bug.
#[test]
fn a_buffer_that_is_being_sent_is_released_with_its_notification() {
    // Before Linux 6.13, which also has this, tags of dropped tables are not posted.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(op: AS_OF_6_0);
    const TAG: u64 = 77;
    let (ours, mut theirs) = tcp_pair();
    let mut ring = ring();
    let buf = leaked::<4096>();
    buf.fill(b'z');
    let vectors = [IoVec::new(buf.as_mut_ptr(), buf.len())];
    // SAFETY: the memory is leaked, and not changed any more.
    unsafe { ring.registrar().register_buffers_tagged(&vectors, &[TAG]) }.expect("a buffer");
    let send = SendZc::new(&ours, buf.as_ptr(), 4096).fixed_buffer(0).sqe(1);
    // SAFETY: as above; the socket stays to the end.
    unsafe { start(&mut ring, send) };
    assert_eq!(ring.registrar().unregister_buffers(), Ok(()));
    let cqes = reap(&mut ring, 3);
    let place = |is: &dyn Fn(&Cqe) -> bool| cqes.iter().position(is).expect("it has come");
    let sent = place(&|cqe| cqe.user_data() == 1 && !cqe.is_notification());
    let notified = place(&|cqe| cqe.user_data() == 1 && cqe.is_notification());
    let released = place(&|cqe| cqe.user_data() == TAG);
    assert_eq!((cqes[sent].result(), cqes[sent].has_more()), (Ok(4096), true));
    assert!(sent < notified, "{cqes:?}");
    assert!(sent < released, "{cqes:?}");
    let mut got = [0; 4096];
    theirs.read_exact(&mut got).expect("what was sent");
    assert_eq!(got, [b'z'; 4096]);
    assert_quiet(&mut ring);
}
