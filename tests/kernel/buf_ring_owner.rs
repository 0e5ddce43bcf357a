//! The ownership of a group of provided buffers, and how many buffers its ring accepts.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write as _;

use crate::buf_common::Buffers;
use crate::common::{complete, require};
use crate::op_common::{pipe, ring};
use ringbolt::ops::Read;
use ringbolt::register::{BufferRing, BufferRingFull};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{BufRingFlags, RegisterOp};
use ringbolt::{Cqe, IoUring};

const OWN: BufRingFlags = BufRingFlags::empty();
const MMAP: BufRingFlags = BufRingFlags::MMAP;
const GROUP: u16 = 1;

/// Reads from a file that always has data into a buffer of the group.
fn read(ring: &mut IoUring, file: &File) -> Cqe {
    // SAFETY: the file stays until `complete` returns, and the memory of a group forever.
    unsafe { complete(ring, Read::provided(file, 0, GROUP).sqe(1)) }
}

fn zero() -> File {
    File::open("/dev/zero").expect("a device")
}

/// Adds buffers of one byte each, with ids from `first` on, until the ring refuses one. Returns how
/// many it accepted.
fn fill(buffers: &mut BufferRing, first: u16) -> u16 {
    let byte: &'static mut [u8] = Box::leak(vec![0].into());
    let mut count = 0;
    // SAFETY: leaked memory that nothing reads. No id is in the ring: the test counts on.
    while unsafe { buffers.add(byte.as_mut_ptr(), 1, first + count) } == Ok(()) {
        count += 1;
    }
    count
}

/// Goal: no buffer is used twice, however many a program tries to add.
/// Method: before anything is published, after it is, and after some completions were reported.
#[test]
fn a_full_ring_refuses_buffers_and_provides_each_once() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let file = zero();
    for (flags, capacity) in [(OWN, 1), (OWN, 4), (MMAP, 4), (MMAP, 256)] {
        let mut ring = ring();
        let mut buffers =
            ring.registrar().register_buffer_ring(GROUP, capacity, flags).expect("a ring");
        let (mut next, mut seen) = (0, BTreeSet::new());
        assert_eq!(fill(&mut buffers, next), capacity);
        next += capacity;
        assert_eq!((buffers.publish(), fill(&mut buffers, next)), (capacity, 0));
        for round in 0..8 {
            // A completion that was not reported frees no room.
            let cqe = read(&mut ring, &file);
            assert_eq!((cqe.result(), fill(&mut buffers, next)), (Ok(1), 0));
            let id = buffers.reclaim(&cqe).expect("a buffer was picked");
            assert!(seen.insert(id), "{id} was used twice, round {round}");
            assert_eq!(buffers.len(), capacity - 1);
            assert_eq!((fill(&mut buffers, next), buffers.publish()), (1, 1));
            next += 1;
        }
        // What is left, and no more than that.
        for _ in 0..capacity {
            let id = buffers.reclaim(&read(&mut ring, &file)).expect("a buffer was picked");
            assert!(seen.insert(id), "{id} was used twice");
        }
        assert_eq!(read(&mut ring, &file).result(), Err(Errno::NOBUFS));
        assert!(seen.into_iter().eq(0..next) && buffers.is_empty());
    }
}

#[test]
fn error_messages_say_what_to_do() {
    let text = BufferRingFull.to_string();
    assert!(text.contains("reclaim") && text.contains("bundle"), "{text}");
}

#[test]
fn the_group_of_a_dropped_value_stays_registered_until_it_is_freed() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let (mut ring, file) = (ring(), zero());
    for flags in [OWN, MMAP] {
        let Buffers { ring: buffers, .. } = Buffers::new(&ring, GROUP, 2, 8, flags);
        drop(buffers);
        for other in [OWN, MMAP] {
            let refused = ring.registrar().register_buffer_ring(GROUP, 2, other);
            assert_eq!(
                refused.map(|buffers| buffers.group()).map_err(Errno::from),
                Err(Errno::EXIST)
            );
        }
        // The kernel continues to use the published buffers.
        assert_eq!(read(&mut ring, &file).buffer_id(), Some(0));
        // SAFETY: the value was dropped above.
        let freed = unsafe { ring.registrar().unregister_buffer_group(GROUP) };
        assert_eq!(freed, Ok(()));
        assert_eq!(read(&mut ring, &file).result(), Err(Errno::NOBUFS));
        let buffers = Buffers::new(&ring, GROUP, 2, 8, flags);
        assert_eq!(read(&mut ring, &file).buffer_id(), Some(0));
        ring.registrar().unregister_buffer_ring(buffers.ring).expect("it is registered");
    }
}

#[test]
fn unregistering_another_rings_buffer_ring_fails_and_returns_it() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let (mut one, mut two, file) = (ring(), ring(), zero());
    // Both rings have the group.
    let mine = Buffers::new(&one, GROUP, 2, 8, OWN);
    let mut other = Buffers::new(&two, GROUP, 2, 8, MMAP);
    let error = one.registrar().unregister_buffer_ring(other.ring).expect_err("it is another's");
    assert_eq!((error.errno, error.buffers.group()), (Errno::INVAL, GROUP));
    assert!(error.to_string().contains("group 1"), "{error}");
    other.ring = error.buffers;
    // Both are unchanged.
    assert_eq!(read(&mut one, &file).buffer_id(), Some(0));
    let cqe = read(&mut two, &file);
    assert_eq!(other.reclaim(&cqe), Some(0));
    other.give(0);
    two.registrar().unregister_buffer_ring(other.ring).expect("it is registered");
    one.registrar().unregister_buffer_ring(mine.ring).expect("it is registered");
    assert_eq!(read(&mut two, &file).result(), Err(Errno::NOBUFS));
}

#[test]
fn unregistering_a_group_freed_elsewhere_fails_and_returns_it() {
    require!(register: RegisterOp::REGISTER_PBUF_STATUS);
    let ring = ring();
    let buffers = ring.registrar().register_buffer_ring(GROUP, 2, OWN).expect("a ring");
    // SAFETY: the value adds no buffer from here on.
    assert_eq!(unsafe { ring.registrar().unregister_buffer_group(GROUP) }, Ok(()));
    let error = ring.registrar().unregister_buffer_ring(buffers).expect_err("it is gone");
    assert_eq!((error.errno, error.buffers.len()), (Errno::NOENT, 0));
}

/// A buffer that the kernel continues to use does not belong to the program: it counts as added
/// until it is used up.
#[test]
fn an_incremental_buffer_counts_as_added_until_it_is_used_up() {
    // The flag came with Linux 6.12; only the newer call can be probed for.
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let mut buffers = Buffers::new(&ring, GROUP, 1, 6, BufRingFlags::INC);
    for (bytes, returned) in [(b"abc", None), (b"def", Some(0))] {
        assert_eq!(fill(&mut buffers.ring, 9), 0);
        writer.write_all(bytes).expect("room in the pipe");
        let cqe = read(&mut ring, &reader);
        assert_eq!((cqe.buffer_id(), buffers.reclaim(&cqe)), (Some(0), returned));
    }
    assert!(buffers.ring.is_empty());
    buffers.give(0);
}

/// Halves of one ring, on two threads.
#[cfg(feature = "owned")]
mod contest {
    use std::sync::Barrier;

    use super::{Buffers, GROUP, MMAP, OWN};
    use crate::common::process::bounded;
    use crate::common::require;
    use crate::op_common::ring;
    use ringbolt::register::{RegisterError, Registrar};
    use ringbolt::rustix::io::Errno;
    use ringbolt::sys::{BufRingFlags, RegisterOp};

    /// If the group is free, registers it, publishes buffers, and unregisters it. Otherwise returns
    /// the error.
    fn contend(registrar: &Registrar<'_>, size: u16, flags: BufRingFlags) -> Result<(), Errno> {
        let mut buffers = Buffers::over(registrar.register_buffer_ring(GROUP, size, flags)?, 1);
        // A second owner would have another tail, or would have freed the group already.
        for bid in 0..size {
            assert_eq!(registrar.buffer_ring_head(GROUP), Ok(0), "the group of another owner");
            buffers.give(bid);
        }
        registrar.unregister_buffer_ring(buffers.ring).expect("one owner ends it");
        Ok(())
    }

    /// Goal: a group never has two owners.
    /// Method: both halves of a ring, on two threads, register the same group at the same time.
    #[test]
    fn two_threads_never_own_the_same_group() {
        require!(register: RegisterOp::REGISTER_PBUF_STATUS);
        const ROUNDS: u32 = 2000;
        bounded(|| {
            let (submission, mut completion) = ring().into_halves();
            let barrier = &Barrier::new(2);
            let contest = move |registrar: &Registrar<'_>, size, flags| {
                let mut owned = 0;
                for _ in 0..ROUNDS {
                    barrier.wait();
                    match contend(registrar, size, flags) {
                        Ok(()) => owned += 1,
                        Err(errno) => assert_eq!(errno, Errno::EXIST),
                    }
                }
                owned
            };
            let theirs = &mut completion;
            let (first, second) = std::thread::scope(|scope| {
                let other = scope.spawn(move || contest(&theirs.registrar(), 4, OWN));
                (contest(&submission.registrar(), 8, MMAP), other.join().expect("no panic"))
            });
            assert!(first + second >= ROUNDS, "it has an owner in each round: {first} {second}");
            assert!(first > 0 && second > 0, "{first} {second}");
            // The group has no owner now.
            assert_eq!(
                submission.registrar().buffer_ring_head(GROUP).map_err(Errno::from),
                Err(Errno::NOENT)
            );
        });
    }

    /// Each thread keeps its group while the other tries.
    #[test]
    fn if_two_threads_register_a_group_one_of_them_gets_eexist() {
        require!(register: RegisterOp::REGISTER_PBUF_STATUS);
        bounded(|| {
            for round in 0..500_u16 {
                let (submission, mut completion) = ring().into_halves();
                let flags = if round % 2 == 0 { OWN } else { MMAP };
                let barrier = &Barrier::new(2);
                let register = move |registrar: Registrar<'_>| {
                    barrier.wait();
                    registrar.register_buffer_ring(GROUP, 4, flags)
                };
                let theirs = &mut completion;
                let (one, two) = std::thread::scope(|scope| {
                    let other = scope.spawn(move || register(theirs.registrar()));
                    (register(submission.registrar()), other.join().expect("no panic"))
                });
                let op = RegisterOp::REGISTER_PBUF_RING;
                let taken = RegisterError { op, errno: Errno::EXIST };
                let errors: Vec<_> =
                    [&one, &two].into_iter().filter_map(|r| r.as_ref().err()).copied().collect();
                assert_eq!(errors, [taken], "round {round}");
            }
        });
    }
}
