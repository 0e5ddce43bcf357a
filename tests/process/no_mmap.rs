//! Rings in the caller's memory, and rings without a descriptor.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::ptr::NonNull;

use crate::common::memory::{Pages, Provided};
use crate::common::process::in_child;
use crate::common::process::{UNLIMITED, may_lock_any_amount};
use crate::common::{complete, reap, require};
use ringbolt::ops::Nop;
use ringbolt::sys::{Opcode, SetupFlags};
use ringbolt::{
    BuildError, Builder, CqEntry, IoUring, MAX_CQ_ENTRIES, MAX_ENTRIES, NoFd, RingMemory, SqEntry,
};
use rustix::mm::MapFlags;
use rustix::param::page_size;

fn new() -> Builder<'static> {
    IoUring::builder()
}

fn refusal<R>(built: Result<R, BuildError>) -> BuildError {
    match built {
        Ok(_) => panic!("a ring was made"),
        Err(error) => error,
    }
}

/// Fills the queue twice, and pops the completions.
fn use_fully<T>(ring: &mut IoUring<ringbolt::Sqe, ringbolt::Cqe, T>) {
    let capacity = ring.submission().capacity();
    for round in 0..2 {
        let user_data = |slot: u32| u64::from(round * capacity + slot);
        for slot in 0..capacity {
            ring.submission().push_safe(Nop::new().sqe(user_data(slot))).expect("room");
        }
        assert_eq!(ring.submit(), Ok(capacity));
        for (slot, cqe) in (0..).zip(reap(ring, capacity as usize)) {
            assert_eq!((cqe.user_data(), cqe.result()), (user_data(slot), Ok(0)));
        }
    }
}

#[test]
fn a_ring_works_in_the_callers_memory() {
    require!(setup: SetupFlags::NO_MMAP);
    for entries in [1, 4, 64, 4096] {
        let provided = Provided::for_ring(&new(), entries);
        // SAFETY: the memory outlives the ring, and is used by nothing else.
        let builder = unsafe { provided.give(new()) };
        let mut ring = builder.build(entries).expect("a ring in this memory");
        assert_eq!(ring.setup_flags(), SetupFlags::NO_MMAP);
        use_fully(&mut ring);
        ring.close();
    }
}

/// Goal: the queues are in the provided memory, and nowhere else.
/// Method: find the entries in that memory after the ring is closed.
#[test]
fn the_entries_are_in_the_callers_memory() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    require!(setup: SetupFlags::NO_MMAP);
    let user_data = 0x5eed_0123_4567_89ab_u64;
    let provided = Provided::for_ring(&new(), 4);
    // SAFETY: the memory outlives the ring, and is used by nothing else.
    let mut ring = unsafe { provided.give(new()) }.build(4).expect("a ring in this memory");
    // SAFETY: a NOP names nothing.
    let cqe = unsafe { complete(&mut ring, Nop::new().sqe(user_data)) };
    assert_eq!(cqe.user_data(), user_data);
    ring.close();
    for pages in [&provided.rings, &provided.sqes] {
        // SAFETY: mapped; nothing was in flight, so that the kernel writes no more.
        let bytes = unsafe { pages.bytes(page_size()).as_ref() };
        assert!(bytes.windows(8).any(|bytes| bytes == user_data.to_ne_bytes()));
    }
}

/// Goal: [`Builder::memory_needed`] is enough for each size, and not much too large.
/// Method: memory of exactly that size, followed by a page that the kernel cannot pin.
fn needed_is_enough<S: SqEntry, C: CqEntry>(builder: &Builder<S, C>) {
    for sq_entries in (0..16).map(|bits| 1_u32 << bits) {
        for cq_entries in (0..17).map(|bits| 1_u32 << bits).filter(|cq| *cq >= sq_entries) {
            let builder = builder.clone().cq_entries(cq_entries);
            let provided = Provided::for_ring(&builder, sq_entries);
            // SAFETY: the memory outlives the ring, and is used by nothing else.
            let builder = unsafe { provided.give(builder) };
            let ring = builder.build(sq_entries).unwrap_or_else(|error| {
                panic!("{sq_entries} and {cq_entries} entries in {:?}: {error}", provided.memory)
            });
            let params = ring.params();
            assert_eq!((params.sq_entries, params.cq_entries), (sq_entries, cq_entries));
            // The words and the completions, then the index array, which is always included.
            let cqes = params.cq_off.cqes as usize + cq_entries as usize * size_of::<C>();
            let array = sq_entries as usize * size_of::<u32>();
            assert!(provided.memory.rings.len() <= cqes + array + page_size());
        }
    }
    assert_eq!((1 << 15, 1 << 16), (MAX_ENTRIES, MAX_CQ_ENTRIES));
}

/// liburing: init-mem.
#[test]
fn memory_needed_is_enough_for_every_size() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    require!(setup: SetupFlags::NO_MMAP);
    needed_is_enough(&new());
}

/// liburing: init-mem.
#[test]
fn memory_needed_is_enough_for_wide_entries() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    require!(setup: SetupFlags::NO_MMAP);
    needed_is_enough(&new().sqe128().cqe32());
}

#[test]
fn memory_needed_is_enough_without_an_index_array() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    require!(setup: SetupFlags::NO_MMAP | SetupFlags::NO_SQARRAY);
    needed_is_enough(&new().no_sqarray());
}

#[test]
fn memory_needed_uses_the_rounded_and_clamped_sizes() {
    require!(machine: may_lock_any_amount(), UNLIMITED);
    let needed = |builder: &Builder, entries| builder.memory_needed(entries);
    assert_eq!(needed(&new(), 5), needed(&new(), 8));
    assert_eq!(needed(&new().cq_entries(100), 5), needed(&new().cq_entries(128), 8));
    assert_eq!(needed(&new().clamp(), u32::MAX), needed(&new(), MAX_ENTRIES));
    assert_eq!(needed(&new(), 0), Err(BuildError::Entries { entries: 0 }));
    let error = BuildError::CqEntries { entries: 8, cq_entries: 4 };
    assert_eq!(needed(&new().cq_entries(4), 8), Err(error));
    let narrow = needed(&new(), 4096).expect("a size that a ring can have");
    assert_eq!(narrow.sqes, 4096 * 64);
    let wide = new().sqe128().cqe32().memory_needed(4096).expect("a size that a ring can have");
    assert_eq!(wide.sqes, 4096 * 128);
    assert!(wide.rings >= narrow.rings + 8192 * 16);
}

#[test]
fn memory_that_is_too_small_is_refused() {
    let needed = new().memory_needed(4096).expect("a size that a ring can have");
    let (rings, sqes) = (Pages::new(needed.rings), Pages::new(needed.sqes));
    for (rings_len, sqes_len) in [
        (needed.rings - 1, needed.sqes),
        (needed.rings, needed.sqes - 1),
        (page_size(), needed.sqes),
        (needed.rings, 0),
    ] {
        let memory = RingMemory { rings: rings.bytes(rings_len), sqes: sqes.bytes(sqes_len) };
        // SAFETY: mapped, and no ring comes of it.
        let builder = unsafe { new().memory(memory) };
        let error = refusal(builder.build(4096));
        assert_eq!(error, BuildError::Memory { needed });
        let text = format!("{} bytes are needed for the rings and {}", needed.rings, needed.sqes);
        assert!(error.to_string().contains(&text), "{error}");
    }
}

#[test]
fn memory_that_is_not_aligned_to_pages_is_refused() {
    let needed = new().memory_needed(4).expect("a size that a ring can have");
    let pages = [needed.rings, needed.sqes].map(|len| Pages::new(len + page_size()));
    for (rings, sqes) in [(64, 0), (0, 64), (8, page_size()), (page_size() - 64, 0)] {
        let from = |pages: &Pages, offset: usize, len| {
            // SAFETY: there is a page more than `len`, and `offset` is at most a page.
            let start = unsafe { pages.start.add(offset) };
            NonNull::slice_from_raw_parts(start, len)
        };
        let memory = RingMemory {
            rings: from(&pages[0], rings, needed.rings),
            sqes: from(&pages[1], sqes, needed.sqes),
        };
        // SAFETY: mapped, and no ring comes of it.
        let builder = unsafe { new().memory(memory) };
        assert_eq!(refusal(builder.build(4)), BuildError::Memory { needed });
    }
}

#[test]
fn a_ring_works_in_huge_pages() {
    const HUGE: usize = 2 << 20;
    require!(setup: SetupFlags::NO_MMAP);
    let flags = MapFlags::PRIVATE | MapFlags::HUGETLB | MapFlags::HUGE_2MB;
    let pages = Pages::mapped(2 * HUGE, 0, flags);
    require!(machine: pages.is_ok(), "two free huge pages of 2 MiB (sysctl vm.nr_hugepages)");
    let pages = pages.expect("looked at on the line above");
    // SAFETY: the second of two pages.
    let second = unsafe { pages.start.add(HUGE) };
    let memory =
        RingMemory { rings: pages.bytes(HUGE), sqes: NonNull::slice_from_raw_parts(second, HUGE) };
    // SAFETY: the memory outlives the ring, and is used by nothing else.
    let mut ring = unsafe { new().memory(memory) }.build(16_384).expect("a ring in huge pages");
    use_fully(&mut ring);
}

/// liburing: reg-fd-only.
#[test]
fn a_ring_without_a_descriptor_works() {
    require!(setup: SetupFlags::NO_MMAP | SetupFlags::REGISTERED_FD_ONLY);
    let provided = Provided::for_ring(&new(), 8);
    // SAFETY: the memory outlives the ring, and is used by nothing else.
    let builder = unsafe { provided.give(new()) };
    let mut ring: IoUring<_, _, NoFd> = builder.build_without_fd(8).expect("a ring");
    let flags = SetupFlags::NO_MMAP | SetupFlags::REGISTERED_FD_ONLY;
    assert_eq!(ring.setup_flags(), flags);
    assert!(ring.is_fd_registered());
    use_fully(&mut ring);
    // Registration also uses the index.
    let probe = ring.registrar().probe().expect("an answer");
    assert!(probe.supports(Opcode::NOP));
}

/// Goal: the index that set-up returned is not used as a descriptor. Indexes start at 0, so closing
/// it would close stdin.
/// Method: compare the open descriptors in a separate process.
///
/// liburing: reg-fd-only.
#[test]
fn dropping_a_ring_without_a_descriptor_closes_none() {
    require!(setup: SetupFlags::NO_MMAP | SetupFlags::REGISTERED_FD_ONLY);
    in_child("dropping_a_ring_without_a_descriptor_closes_none", || {
        let open = || -> Vec<_> { (0..64).filter(|fd| is_open(*fd)).collect() };
        let before = open();
        assert!(before.contains(&0), "a process has a stdin");
        let provided = [(); 3].map(|()| Provided::for_ring(&new(), 8));
        let rings = provided.each_ref().map(|provided| {
            // SAFETY: the memory outlives the ring, and is used by nothing else.
            let builder = unsafe { provided.give(new()) };
            builder.build_without_fd(8).expect("a ring")
        });
        assert_eq!(open(), before, "such a ring has no descriptor");
        drop(rings);
        assert_eq!(open(), before);
    });
}

#[test]
fn dropping_a_ring_without_a_descriptor_frees_its_index() {
    require!(setup: SetupFlags::NO_MMAP | SetupFlags::REGISTERED_FD_ONLY);
    for round in 0..100 {
        let provided = Provided::for_ring(&new(), 1);
        // SAFETY: the memory outlives the ring, and is used by nothing else.
        let builder = unsafe { provided.give(new()) };
        let built = builder.build_without_fd(1);
        use_fully(&mut built.unwrap_or_else(|error| panic!("ring number {round}: {error}")));
    }
}

#[test]
fn a_ring_in_the_callers_memory_can_have_a_registered_descriptor() {
    require!(setup: SetupFlags::NO_MMAP);
    let provided = Provided::for_ring(&new(), 8);
    // SAFETY: the memory outlives the ring, and is used by nothing else.
    let builder = unsafe { provided.give(new()) };
    let mut ring = builder.register_ring_fd().build_local(8).expect("a ring");
    use_fully(&mut ring);
}

fn is_open(fd: i32) -> bool {
    // SAFETY: asks about a number, and changes nothing.
    unsafe { libc::fcntl(fd, libc::F_GETFD) >= 0 }
}
