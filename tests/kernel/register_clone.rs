//! Buffers that one ring registers and other rings share.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::fs::File;
use std::io::Write as _;

use crate::common::{TempDir, complete, require};
use crate::op_common::{assert_quiet, leaked, pipe, reap_told, ring, start};
use ringbolt::IoUring;
use ringbolt::ops::{IoVec, ReadFixed};
use ringbolt::register::CloneRange;
use ringbolt::rustix::fd::AsFd;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{CloneBuffersFlags, RegisterOp};

const REPLACE: CloneBuffersFlags = CloneBuffersFlags::DST_REPLACE;
const PLAIN: CloneBuffersFlags = CloneBuffersFlags::empty();
const ALL: CloneRange = CloneRange { from: 0, to: 0, count: 0 };

const fn range(from: u32, to: u32, count: u32) -> CloneRange {
    CloneRange { from, to, count }
}

/// A ring, the buffers registered with it, and a file to read.
struct Source {
    ring: IoUring,
    buffers: Vec<IoVec>,
    file: File,
    _dir: TempDir,
}

impl Source {
    /// A ring with `number` buffers, all of them leaked.
    fn new(number: usize) -> Self {
        let buffers: Vec<_> = (0..number).map(|_| IoVec::from(&leaked::<8>()[..])).collect();
        let (ring, dir) = (ring(), TempDir::new());
        // SAFETY: the memory stays forever.
        unsafe { ring.registrar().register_buffers(&buffers) }.expect("some memory");
        let file = File::open(dir.file("data", b"d")).expect("it was just made");
        Self { ring, buffers, file, _dir: dir }
    }

    /// Shares them with `ring`.
    fn share(
        &self,
        ring: &IoUring,
        range: CloneRange,
        flags: CloneBuffersFlags,
    ) -> Result<(), Errno> {
        clone(ring, &self.ring, range, flags)
    }

    /// Which of the buffers is in each of the first slots of `ring`: found by trying to which
    /// memory the kernel reads.
    fn seen_by(&self, ring: &mut IoUring, slots: u16) -> Vec<Option<usize>> {
        let mut fits = |slot, buffer: &IoVec| {
            let read = ReadFixed::new(&self.file, buffer.base.cast(), 1, slot).offset(0).sqe(1);
            // SAFETY: the file stays until `complete` returns; the memory is leaked.
            match unsafe { complete(ring, read) }.result() {
                Ok(read) => read == 1,
                Err(errno) => {
                    assert_eq!(errno, Errno::FAULT);
                    false
                }
            }
        };
        let find = |slot| self.buffers.iter().position(|buffer| fits(slot, buffer));
        (0..slots).map(find).collect()
    }
}

fn clone(
    ring: &IoUring,
    source: impl AsFd,
    range: CloneRange,
    flags: CloneBuffersFlags,
) -> Result<(), Errno> {
    // SAFETY: all buffers of this file are leaked.
    unsafe { ring.registrar().clone_buffers(source, range, flags) }.map_err(Errno::from)
}

/// liburing: regbuf-clone.
#[test]
fn all_buffers_are_shared() {
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let (source, mut ring) = (Source::new(3), ring());
    assert_eq!(source.seen_by(&mut ring, 3), [None; 3]);
    assert_eq!(source.share(&ring, ALL, PLAIN), Ok(()));
    assert_eq!(source.seen_by(&mut ring, 4), [Some(0), Some(1), Some(2), None]);
}

#[test]
fn each_ring_releases_shared_buffers_independently() {
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let (source, mut ring) = (Source::new(2), ring());
    assert_eq!(source.share(&ring, ALL, PLAIN), Ok(()));
    assert_eq!(source.ring.registrar().unregister_buffers(), Ok(()));
    assert_eq!(source.seen_by(&mut ring, 2), [Some(0), Some(1)]);
    // The other way round, with a ring that shares shared buffers.
    let mut third = self::ring();
    assert_eq!(clone(&third, &ring, ALL, PLAIN), Ok(()));
    assert_eq!(ring.registrar().unregister_buffers(), Ok(()));
    assert_eq!(source.seen_by(&mut ring, 2), [None; 2]);
    assert_eq!(source.seen_by(&mut third, 2), [Some(0), Some(1)]);
    ring.close();
    assert_eq!(source.seen_by(&mut third, 2), [Some(0), Some(1)]);
}

/// liburing: regbuf-clone.
#[test]
fn a_range_is_cloned_to_the_given_slots() {
    // Linux 6.13, which also has this, has ranges of tables, and these rules.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let (source, mut ring) = (Source::new(4), ring());
    assert_eq!(source.share(&ring, range(1, 3, 2), PLAIN), Ok(()));
    assert_eq!(source.seen_by(&mut ring, 6), [None, None, None, Some(1), Some(2), None]);
}

/// liburing: regbuf-clone.
#[test]
fn a_second_table_is_ebusy_unless_it_replaces() {
    // Linux 6.13, which also has this, has ranges of tables, and these rules.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let (source, mut ring) = (Source::new(3), ring());
    assert_eq!(source.share(&ring, range(0, 0, 2), PLAIN), Ok(()));
    assert_eq!(source.share(&ring, ALL, PLAIN), Err(Errno::BUSY));
    assert_eq!(source.share(&ring, range(2, 1, 1), PLAIN), Err(Errno::BUSY));
    assert_eq!(source.seen_by(&mut ring, 2), [Some(0), Some(1)]);
    // Slots outside the range keep their buffers.
    assert_eq!(source.share(&ring, range(2, 1, 1), REPLACE), Ok(()));
    assert_eq!(source.seen_by(&mut ring, 3), [Some(0), Some(2), None]);
    assert_eq!(source.share(&ring, range(0, 2, 2), REPLACE), Ok(()));
    assert_eq!(source.seen_by(&mut ring, 5), [Some(0), Some(2), Some(0), Some(1), None]);
    assert_eq!(source.share(&ring, range(0, 0, 3), REPLACE), Ok(()));
    assert_eq!(source.seen_by(&mut ring, 5), [Some(0), Some(1), Some(2), Some(1), None]);
}

#[test]
fn replacing_without_a_table_makes_one() {
    // Linux 6.13, which also has this, has ranges of tables, and these rules.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let (source, mut ring) = (Source::new(2), ring());
    assert_eq!(source.share(&ring, ALL, REPLACE), Ok(()));
    assert_eq!(source.seen_by(&mut ring, 3), [Some(0), Some(1), None]);
}

#[test]
fn empty_slots_stay_empty() {
    // Linux 6.13, which also has this, has ranges of tables, and these rules.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let (source, mut ring) = (Source::new(3), ring());
    // SAFETY: there is no memory.
    let emptied = unsafe { source.ring.registrar().update_buffers(1, &[IoVec::EMPTY]) };
    assert_eq!(emptied, Ok(1));
    assert_eq!(source.share(&ring, ALL, PLAIN), Ok(()));
    assert_eq!(source.seen_by(&mut ring, 3), [Some(0), None, Some(2)]);
    // They also replace buffers in the range.
    assert_eq!(source.share(&ring, range(1, 0, 1), REPLACE), Ok(()));
    assert_eq!(source.seen_by(&mut ring, 3), [None, None, Some(2)]);
}

#[test]
fn a_ring_can_move_its_own_buffers() {
    // Linux 6.13, which also has this, has ranges of tables, and these rules.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let mut source = Source::new(2);
    assert_eq!(source.share(&source.ring, range(0, 3, 1), REPLACE), Ok(()));
    let mut ring = core::mem::replace(&mut source.ring, ring());
    assert_eq!(source.seen_by(&mut ring, 5), [Some(0), Some(1), None, Some(0), None]);
}

/// liburing: regbuf-clone.
#[test]
fn a_range_outside_a_table_is_refused() {
    // Linux 6.13, which also has this, has ranges of tables, and these rules.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let (source, mut ring) = (Source::new(3), ring());
    for (bad, errno) in [
        (range(0, 0, 4), Errno::INVAL),
        (range(2, 0, 2), Errno::OVERFLOW),
        (range(3, 0, 1), Errno::OVERFLOW),
        (range(1, 0, 0), Errno::INVAL),
        (range(u32::MAX, 0, 1), Errno::OVERFLOW),
        (range(0, u32::MAX, 1), Errno::OVERFLOW),
        (range(0, 16_384, 1), Errno::INVAL),
        (range(0, 1, 0), Errno::INVAL),
        (range(0, 0, u32::MAX), Errno::INVAL),
    ] {
        for flags in [PLAIN, REPLACE] {
            assert_eq!(source.share(&ring, bad, flags), Err(errno), "{bad:?}");
        }
    }
    assert_eq!(
        ring.registrar().unregister_buffers().map_err(Errno::from),
        Err(Errno::NXIO),
        "there is no table yet"
    );
    assert_eq!(source.share(&ring, range(0, 16_383, 1), PLAIN), Ok(()), "the last slot");
    assert_eq!(source.seen_by(&mut ring, 16_384).pop(), Some(Some(0)));
}

#[test]
fn a_source_without_buffers_is_enxio_and_a_file_is_eopnotsupp() {
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let (source, ring) = (Source::new(1), ring());
    assert_eq!(clone(&ring, self::ring(), ALL, PLAIN), Err(Errno::NXIO));
    assert_eq!(clone(&ring, &source.file, ALL, PLAIN), Err(Errno::OPNOTSUPP));
    let unknown = CloneBuffersFlags::from_bits_retain(1 << 31);
    assert_eq!(source.share(&ring, ALL, unknown), Err(Errno::INVAL));
    assert_eq!(
        ring.registrar().unregister_buffers().map_err(Errno::from),
        Err(Errno::NXIO),
        "there is no table yet"
    );
}

#[test]
fn an_entry_in_flight_keeps_a_shared_buffer() {
    // Before Linux 6.13, which also has this, unregistering waits for the entry.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let (reader, mut writer) = pipe();
    let (source, mut ring) = (Source::new(1), ring());
    assert_eq!(source.share(&ring, ALL, PLAIN), Ok(()));
    let read = ReadFixed::new(&reader, source.buffers[0].base.cast(), 8, 0).sqe(1);
    // SAFETY: the memory is leaked, and not touched until the completion is there.
    unsafe { start(&mut ring, read) };
    assert_quiet(&mut ring);
    assert_eq!(ring.registrar().unregister_buffers(), Ok(()));
    assert_eq!(source.ring.registrar().unregister_buffers(), Ok(()));
    writer.write_all(b"abc").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(3))]);
}

#[test]
fn a_tag_is_posted_when_its_own_ring_releases_the_buffer() {
    // Before Linux 6.13, which also has this, tags of dropped tables are not posted.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    require!(register: RegisterOp::REGISTER_CLONE_BUFFERS);
    let (mut first, mut second) = (ring(), ring());
    let buffer = IoVec::from(&leaked::<8>()[..]);
    // SAFETY: the memory stays forever.
    let tagged = unsafe { first.registrar().register_buffers_tagged(&[buffer], &[7]) };
    assert_eq!(tagged, Ok(()));
    assert_eq!(clone(&second, &first, ALL, PLAIN), Ok(()));
    // The other ring still uses the memory, which the tag does not show.
    assert_eq!(first.registrar().unregister_buffers(), Ok(()));
    assert_eq!(reap_told(&mut first, 1), [(7, Ok(0))]);
    assert_eq!(second.registrar().unregister_buffers(), Ok(()));
    assert_quiet(&mut first);
    assert_quiet(&mut second);
}
