//! Resizing a ring: the contents of its queues survive, and a failure changes nothing.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::ops::Range;
use std::fs::File;
use std::io::Write as _;

use crate::common::memory::Provided;
use crate::common::process::{address_space, in_child, limit};
use crate::common::{TempDir, complete, require};
use crate::op_common::{assert_quiet, leaked, pipe, reap_told, start};
use ringbolt::ops::{Fixed, Nop, Read};
use ringbolt::register::FileSlot;
use ringbolt::sys::{CqFlags, RegisterOp, SetupFlags, SqStatus};
use ringbolt::{BuildError, Builder, Cqe, IoUring, LocalIoUring, PushError, ResizeError, Sqe};
use rustix::io::Errno;

/// A ring that can be resized.
fn new() -> Builder<'static> {
    IoUring::builder().single_issuer().defer_taskrun().no_sqarray()
}

fn ring() -> LocalIoUring {
    new().build_local(8).expect("a ring")
}

/// Skips the test with a message unless rings can be resized.
macro_rules! require_resize {
    () => {
        require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
        require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    };
}

/// Runs a test for each way to refer to a ring and its entries.
fn on_each_kind(test: impl Fn(LocalIoUring)) {
    for builder in [new(), new().register_ring_fd()] {
        test(builder.build_local(8).expect("a ring"));
    }
}

fn push<T>(ring: &mut IoUring<Sqe, Cqe, T>, entries: Range<u64>) {
    for user_data in entries {
        ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
    }
}

/// Pops the completions of `entries`, which must be ready and in order.
fn expect<T>(ring: &mut IoUring<Sqe, Cqe, T>, entries: Range<u64>) {
    for user_data in entries {
        let cqe = ring.completion().pop().expect("a completion");
        assert_eq!((cqe.user_data(), cqe.result()), (user_data, Ok(0)));
    }
}

/// Wraps around both queues several times, in batches that do not divide their sizes.
fn wraps<T>(ring: &mut IoUring<Sqe, Cqe, T>) {
    let most = u64::from(ring.submission().capacity());
    let mut next = 1_000;
    for round in 0..40 {
        let end = next + 1 + round % most;
        push(ring, next..end);
        assert_eq!(ring.submit().map(u64::from), Ok(end - next));
        expect(ring, next..end);
        next = end;
    }
    // And up to the last slot.
    push(ring, next..next + most);
    assert!(ring.submission().is_full());
    assert_eq!(ring.submit().map(u64::from), Ok(most));
    expect(ring, next..next + most);
    assert_quiet(ring);
}

fn capacities<T>(ring: &mut IoUring<Sqe, Cqe, T>) -> (u32, u32) {
    (ring.submission().capacity(), ring.completion().capacity())
}

#[test]
fn a_resized_ring_has_the_requested_sizes() {
    require_resize!();
    on_each_kind(|mut ring| {
        let (flags, features) = (ring.setup_flags(), ring.features());
        let table = [
            (16, None, (16, 32)),
            (3, None, (4, 8)),
            (4, Some(100), (4, 128)),
            (1, Some(1), (1, 1)),
            (512, Some(512), (512, 512)),
            (8, Some(9), (8, 16)),
            (9, Some(15), (16, 16)),
            (8, Some(16), (8, 16)),
            (32_768, None, (32_768, 65_536)),
            (8, None, (8, 16)),
        ];
        for (entries, cq_entries, sizes) in table {
            ring.resize(entries, cq_entries).expect("sizes that a ring can have");
            assert_eq!(capacities(&mut ring), sizes, "{entries} {cq_entries:?}");
            assert_eq!((ring.params().sq_entries, ring.params().cq_entries), sizes);
            assert_eq!((ring.setup_flags(), ring.features()), (flags, features));
            wraps(&mut ring);
        }
    });
}

/// Goal: pushed entries stay queued, published or not, at every position of the queue.
/// Method: start at each position of the old queue, grow and shrink, with both kinds of entries.
///
/// liburing: resize-rings.
#[test]
fn pushed_entries_stay_queued_in_order() {
    require_resize!();
    on_each_kind(|mut ring| {
        for before in 0..24_u64 {
            let entries = if before % 2 == 0 { 32 } else { 8 };
            push(&mut ring, 0..before % 8);
            ring.submit_and_wait(0).expect("entries are taken");
            expect(&mut ring, 0..before % 8);

            push(&mut ring, 10..13);
            ring.submission().flush();
            push(&mut ring, 13..16);
            ring.resize(entries, None).expect("other sizes");
            assert_eq!(ring.submission().len(), 6);
            assert_eq!(ring.submission().room(), entries - 6);
            assert!(ring.completion().is_empty());
            push(&mut ring, 16..18);
            assert_eq!(ring.submit(), Ok(8));
            expect(&mut ring, 10..18);
            assert_quiet(&mut ring);
        }
        wraps(&mut ring);
    });
}

#[test]
fn an_entry_pushed_before_resizing_can_be_taken_back_afterwards() {
    require_resize!();
    let mut ring = ring();
    push(&mut ring, 0..4);
    ring.resize(64, None).expect("other sizes");
    let back = ring.submission().pop_back().map(|sqe| sqe.user_data());
    assert_eq!((back, ring.submission().len()), (Some(3), 3));
    assert_eq!(ring.submission().rollback(), 3);
    assert_eq!(ring.submit(), Ok(0));
    assert_quiet(&mut ring);
    wraps(&mut ring);
}

/// Goal: each completion is popped once and in order, including those that were seen before.
/// Method: an iteration that ends early, a peek, and a resize in between.
///
/// liburing: resize-rings.
#[test]
fn completions_stay_in_the_queue_when_it_is_resized() {
    require_resize!();
    on_each_kind(|mut ring| {
        for before in 0..48_u64 {
            let cq_entries = if before % 2 == 0 { 64 } else { 16 };
            push(&mut ring, 0..before % 8);
            ring.submit_and_wait(0).expect("entries are taken");
            expect(&mut ring, 0..before % 8);

            push(&mut ring, 20..28);
            assert_eq!(ring.submit(), Ok(8));
            // These two are popped, and the head is not published.
            let taken: Vec<_> = ring.completion().drain().take(2).map(|c| c.user_data()).collect();
            assert_eq!(taken, [20, 21]);
            push(&mut ring, 28..32);
            assert_eq!(ring.submission().flush(), 4);
            assert_eq!(ring.completion().peek().map(|c| c.user_data()), Some(22));
            ring.resize(8, Some(cq_entries)).expect("other sizes");
            assert_eq!((ring.completion().len(), ring.submission().len()), (6, 4));
            assert_eq!(ring.submit(), Ok(4));
            expect(&mut ring, 22..32);
            assert_quiet(&mut ring);
        }
        wraps(&mut ring);
    });
}

#[test]
fn a_ring_can_shrink_to_the_size_of_its_contents() {
    require_resize!();
    let mut ring = new().build_local(64).expect("a ring");
    push(&mut ring, 0..32);
    assert_eq!(ring.submit(), Ok(32));
    push(&mut ring, 100..116);
    ring.resize(16, Some(32)).expect("just room enough");
    assert!(ring.submission().is_full());
    let full = ring.submission().push_safe(Nop::new().sqe(7));
    assert!(matches!(full, Err(PushError::Full(_))), "{full:?}");
    assert_eq!(ring.completion().len(), 32);
    expect(&mut ring, 0..32);
    assert_eq!(ring.submit(), Ok(16));
    expect(&mut ring, 100..116);
    wraps(&mut ring);
}

/// liburing: resize-rings.
#[test]
fn resizing_below_the_contents_leaves_the_ring_unchanged() {
    require_resize!();
    on_each_kind(|mut ring| {
        push(&mut ring, 0..5);
        assert_eq!(ring.submit(), Ok(5));
        push(&mut ring, 10..15);
        for (entries, cq_entries) in [(4, None), (4, Some(8)), (1, Some(65_536))] {
            let error = ring.resize(entries, cq_entries);
            assert_eq!(error, Err(ResizeError::TooSmall { queued: 5, ready: 5 }));
        }
        assert_eq!(capacities(&mut ring), (8, 16));
        assert_eq!(ring.submit(), Ok(5));
        // Now there are too many completions.
        let error = ring.resize(4, None);
        assert_eq!(error, Err(ResizeError::TooSmall { queued: 0, ready: 10 }));
        expect(&mut ring, 0..5);
        expect(&mut ring, 10..15);
        wraps(&mut ring);
        ring.resize(4, None).expect("nothing waits any more");
        wraps(&mut ring);
    });
}

/// liburing: resize-rings.
#[test]
fn invalid_sizes_are_refused() {
    require_resize!();
    on_each_kind(|mut ring| {
        push(&mut ring, 0..3);
        let entries = |entries| ResizeError::Sizes(BuildError::Entries { entries });
        let both =
            |entries, cq_entries| ResizeError::Sizes(BuildError::CqEntries { entries, cq_entries });
        let table = [
            (0, None, entries(0)),
            (32_769, None, entries(32_769)),
            (u32::MAX, Some(64), entries(u32::MAX)),
            (8, Some(0), both(8, 0)),
            (8, Some(4), both(8, 4)),
            (8, Some(65_537), both(8, 65_537)),
            (8, Some(u32::MAX), both(8, u32::MAX)),
        ];
        for (entries, cq_entries, error) in table {
            assert_eq!(ring.resize(entries, cq_entries), Err(error));
            assert_eq!(capacities(&mut ring), (8, 16));
        }
        assert_eq!(ring.submit(), Ok(3));
        expect(&mut ring, 0..3);
        wraps(&mut ring);
    });
}

#[test]
fn overflown_completions_are_posted_to_the_larger_queue() {
    require_resize!();
    let mut ring = new().cq_entries(8).build_local(8).expect("a ring");
    for first in [0, 8] {
        push(&mut ring, first..first + 8);
        assert_eq!(ring.submit(), Ok(8));
    }
    assert!(ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
    assert_eq!(ring.completion().len(), 8);
    ring.resize(8, Some(32)).expect("a larger ring");
    assert!(ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
    ring.get_events().expect("what is due comes in");
    assert!(!ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
    assert_eq!(ring.completion().len(), 16);
    expect(&mut ring, 0..16);
    wraps(&mut ring);
}

#[test]
fn an_operation_in_flight_completes_in_the_resized_ring() {
    require_resize!();
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let buf = leaked::<8>();
    // SAFETY: the buffer stays forever, and is not touched until the completion is there.
    unsafe { start(&mut ring, Read::new(&reader, buf.as_mut_ptr(), 8).sqe(1)) };
    for entries in [64, 2, 16] {
        ring.resize(entries, None).expect("other sizes");
        assert_quiet(&mut ring);
    }
    writer.write_all(b"abc").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(3))]);
    assert_eq!(&buf[..4], b"abc-");
    wraps(&mut ring);
}

#[test]
fn registered_files_and_flags_survive_a_resize() {
    require_resize!();
    let dir = TempDir::new();
    let file = File::open(dir.file("digits", b"0123")).expect("it was just made");
    on_each_kind(|mut ring| {
        let registered = ring.is_fd_registered();
        ring.registrar().register_files(&[FileSlot::from(&file)]).expect("a slot");
        ring.completion().set_eventfd_disabled(true).expect("the kernel looks at the flag");
        for entries in [16, 4] {
            ring.resize(entries, None).expect("other sizes");
            assert_eq!(ring.completion().flags(), CqFlags::EVENTFD_DISABLED);
            assert_eq!(ring.is_fd_registered(), registered);
            let mut buf = [0_u8; 4];
            let read = Read::new(Fixed(0), buf.as_mut_ptr(), 4).offset(0).sqe(1);
            // SAFETY: `buf` stays until `complete` returns.
            let cqe = unsafe { complete(&mut ring, read) };
            assert_eq!((cqe.result(), &buf), (Ok(4), b"0123"));
        }
    });
}

#[test]
fn resizing_without_defer_taskrun_fails_and_the_ring_still_works() {
    require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    let plain = IoUring::builder().no_sqarray();
    for builder in [plain.clone(), plain.coop_taskrun()] {
        let mut ring = builder.build(8).expect("a ring");
        push(&mut ring, 0..2);
        assert_eq!(ring.submit(), Ok(2));
        push(&mut ring, 2..5);
        assert_eq!(ring.resize(64, None), Err(ResizeError::Refused(Errno::INVAL)));
        assert_eq!(capacities(&mut ring), (8, 16));
        assert_eq!(ring.submit(), Ok(3));
        expect(&mut ring, 0..5);
        wraps(&mut ring);
    }
}

/// The kernel does not report where the array of a resized ring is.
#[test]
fn resizing_with_an_index_array_fails_and_the_ring_still_works() {
    require_resize!();
    let builder = IoUring::builder().single_issuer().defer_taskrun();
    let mut ring = builder.build_local(8).expect("a ring");
    push(&mut ring, 0..3);
    assert_eq!(ring.resize(16, None), Err(ResizeError::IndexArray));
    assert_eq!(ring.submit(), Ok(3));
    expect(&mut ring, 0..3);
    wraps(&mut ring);
}

#[test]
fn resizing_in_the_callers_memory_fails_and_the_ring_still_works() {
    require_resize!();
    require!(setup: SetupFlags::NO_MMAP);
    let memory = Provided::for_ring(&new(), 8);
    // SAFETY: one ring, which is dropped before the memory.
    let mut ring = unsafe { memory.give(new()) }.build_local(8).expect("a ring");
    push(&mut ring, 0..3);
    assert_eq!(ring.resize(16, None), Err(ResizeError::ProvidedMemory));
    assert_eq!(ring.submit(), Ok(3));
    expect(&mut ring, 0..3);
    wraps(&mut ring);
}

/// Goal: without room to map the new queues, the ring is unchanged.
/// Method: a limit that leaves room for the one region of a large ring, and not for the other.
///
/// liburing: resize-mmap-fail.
#[test]
fn without_address_space_the_ring_is_unchanged() {
    require_resize!();
    in_child("without_address_space_the_ring_is_unchanged", || {
        let mut ring = ring();
        push(&mut ring, 0..4);
        assert_eq!(ring.submit(), Ok(4));
        push(&mut ring, 4..8);
        let large = new().memory_needed(32_768).expect("a size that a ring can have");
        let room = libc::rlim_t::try_from(large.rings + large.sqes / 2).expect("some MiB");
        limit(libc::RLIMIT_AS, address_space() + room);
        let before = address_space();
        for _ in 0..3 {
            let resized = ring.resize(32_768, None);
            assert_eq!(resized, Err(ResizeError::Map(Errno::NOMEM)));
            // The addresses that were reserved for the first region were released.
            assert_eq!(address_space(), before);
        }
        assert_eq!(capacities(&mut ring), (8, 16));
        assert_eq!(ring.submit(), Ok(4));
        expect(&mut ring, 0..8);
        wraps(&mut ring);
        ring.resize(256, None).expect("there is room for that");
        wraps(&mut ring);
    });
}

/// The new queues are mapped at the reserved addresses: mapping needs no others.
#[test]
fn resizing_needs_only_room_for_the_new_queues() {
    require_resize!();
    in_child("resizing_needs_only_room_for_the_new_queues", || {
        let mut ring = ring();
        let large = new().memory_needed(32_768).expect("a size that a ring can have");
        let room = libc::rlim_t::try_from(large.rings + large.sqes).expect("some MiB");
        // A little room for the test itself, too little for either region.
        limit(libc::RLIMIT_AS, address_space() + room + (256 << 10));
        ring.resize(32_768, None).expect("there is just room enough");
        wraps(&mut ring);
    });
}

/// The number of mappings of rings, and of those that children do not inherit.
fn mappings() -> (usize, usize) {
    let text = std::fs::read_to_string("/proc/self/smaps").expect("the kernel tells");
    let (mut rings, mut kept, mut is_ring) = (0, 0, false);
    for line in text.lines() {
        match line.strip_prefix("VmFlags:") {
            Some(flags) if is_ring && flags.contains(" dc") => kept += 1,
            Some(_) => {}
            // A mapping begins with a line of addresses; lines of attributes begin with a name.
            None if line.starts_with(|c: char| c.is_ascii_hexdigit() && !c.is_uppercase()) => {
                is_ring = line.ends_with("anon_inode:[io_uring]");
                rings += usize::from(is_ring);
            }
            None => {}
        }
    }
    (rings, kept)
}

#[test]
fn the_old_queues_are_unmapped_and_children_do_not_inherit_the_new_ones() {
    require_resize!();
    in_child("the_old_queues_are_unmapped_and_children_do_not_inherit_the_new_ones", || {
        let mut ring = new().build_local(8).expect("a ring");
        assert_eq!(mappings(), (2, 2));
        let before = address_space();
        for entries in [1024, 8].repeat(20) {
            ring.resize(entries, None).expect("other sizes");
            assert_eq!(mappings(), (2, 2));
        }
        assert_eq!(address_space(), before);
        drop(ring);
        assert_eq!(mappings(), (0, 0));
    });
}

#[test]
fn error_messages_say_what_to_do() {
    let text = |error: ResizeError| error.to_string();
    assert!(text(ResizeError::WideCompletions { ready: 9 }).contains("9 slots of wide compl"));
    assert!(text(ResizeError::TooSmall { queued: 3, ready: 9 }).contains("3 entries and 9 compl"));
    assert!(text(ResizeError::Refused(Errno::INVAL)).contains("DEFER_TASKRUN"));
    let sizes = BuildError::Entries { entries: 0 };
    assert_eq!(text(ResizeError::Sizes(sizes)), sizes.to_string());
    assert!(text(ResizeError::IndexArray).contains("index array"));
    assert!(text(ResizeError::Map(Errno::NOMEM)).contains("room"));
}
