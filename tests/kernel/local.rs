//! A thread's own ring with options: each takes effect, and none is given up.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use crate::common::memory::Provided;
use crate::common::process::bounded;
use crate::common::{complete, reap, require};
use ringbolt::ops::Nop;
use ringbolt::sys::SetupFlags;
use ringbolt::{BuildError, Builder, CqEntry, IoUring, LocalIoUring, SqEntry, Sqe};
use rustix::fd::AsRawFd;
use rustix::io::Errno;

type F = SetupFlags;

/// The flags that a ring has where the kernel knows all of them.
const BEST: F = F::SINGLE_ISSUER
    .union(F::DEFER_TASKRUN)
    .union(F::TASKRUN_FLAG)
    .union(F::NO_SQARRAY)
    .union(F::SUBMIT_ALL);

fn new() -> Builder<'static> {
    IoUring::builder()
}

/// Makes a ring, which works, and has `flags`.
fn made<S: SqEntry, C: CqEntry>(builder: &Builder<S, C>, flags: F) -> LocalIoUring<S, C> {
    let mut ring = builder.local(8).unwrap_or_else(|error| panic!("{flags:?}: {error}"));
    assert_eq!(ring.setup_flags(), flags);
    assert!(ring.is_fd_registered());
    // SAFETY: a NOP names nothing.
    let cqe = unsafe { complete(&mut ring, Sqe::from(Nop::new().sqe(7))) };
    assert_eq!((cqe.as_cqe().user_data(), cqe.as_cqe().result()), (7, Ok(0)));
    ring
}

#[test]
fn without_options_it_is_the_ring_of_iouring_local() {
    let local = IoUring::local(8).expect("a ring");
    let built = new().local(8).expect("a ring");
    assert_eq!(local.setup_flags(), built.setup_flags());
    assert_eq!(local.is_fd_registered(), built.is_fd_registered());
    require!(setup: BEST);
    made(&new(), BEST);
}

#[test]
fn sizes_are_those_asked_for() {
    require!(setup: BEST);
    let ring = made(&new().cq_entries(1000), BEST | F::CQSIZE);
    assert_eq!((ring.params().sq_entries, ring.params().cq_entries), (8, 1024));
    let error = new().local(40_000).map(drop).expect_err("too many");
    assert_eq!(error, BuildError::Entries { entries: 40_000 });
    let ring = new().clamp().local(40_000).expect("as many as there can be");
    assert_eq!(ring.params().sq_entries, 32_768);
}

#[test]
fn a_polling_thread_with_its_idle_time() {
    let flags = F::SQPOLL | F::SINGLE_ISSUER | F::NO_SQARRAY | F::SUBMIT_ALL;
    require!(setup: flags);
    bounded(move || {
        let ring = made(&new().sqpoll(1234), flags);
        assert_eq!(ring.params().sq_thread_idle, 1234);
        let ring = made(&new().sqpoll(10).sqpoll_cpu(0), flags | F::SQ_AFF);
        assert_eq!(ring.params().sq_thread_cpu, 0);
    });
}

#[test]
fn worker_threads_are_shared_with_the_ring_that_it_is_attached_to() {
    require!(setup: BEST);
    let first = IoUring::new(4).expect("a ring");
    let mut second = made(&new().attach_wq(&first), BEST | F::ATTACH_WQ);
    assert_eq!(second.params().wq_fd, first.as_raw_fd().unsigned_abs());
    first.close();
    // A worker thread carries it out, which is what the rings share.
    second.submission().push_safe(Nop::new().sqe(9).force_async()).expect("room");
    second.submit().expect("submitted");
    assert_eq!(reap(&mut second, 1)[0].user_data(), 9);
}

#[test]
fn other_flags_and_widths_are_kept() {
    require!(setup: BEST | F::SQE128 | F::CQE32);
    made(&new().sqe128(), BEST | F::SQE128);
    made(&new().cqe32(), BEST | F::CQE32);
    made(&new().coop_taskrun(), BEST | F::COOP_TASKRUN);
    made(&new().flags(F::CLAMP | F::SUBMIT_ALL), BEST | F::CLAMP);
    let polled = new().iopoll().local(8).expect("a ring");
    assert_eq!(polled.setup_flags(), BEST | F::IOPOLL);
}

#[test]
fn a_flag_that_was_asked_for_is_not_given_up() {
    let unknown = F::from_bits_retain(1 << 31);
    // SAFETY: no kernel that this version of the test knows of has this bit, and makes a ring.
    let builder = unsafe { new().unknown_flags(unknown.bits()) };
    let error = builder.local(8).map(drop).expect_err("the kernel does not know the flag");
    assert_eq!(error, BuildError::Invalid { flags: unknown });
    let builder = new().no_sqarray().sq_rewind();
    match builder.local(8) {
        Ok(ring) => assert!(ring.setup_flags().contains(F::SQ_REWIND)),
        Err(error) => assert_eq!(error.errno(), Some(Errno::INVAL)),
    }
    assert!(matches!(new().hybrid_iopoll().local(8), Err(BuildError::Contradiction(_))));
}

#[test]
fn memory_that_is_provided_is_used_once() {
    require!(setup: BEST);
    // With NO_MMAP and no memory, a kernel that knows the flag says `EFAULT`.
    require!(setup: F::NO_MMAP);
    let builder = new().cqe32();
    let provided = Provided::for_ring(&builder, 8);
    // SAFETY: the memory outlives the ring, which is the only one in it.
    let builder = unsafe { provided.give(builder) };
    let ring = made(&builder, BEST | F::CQE32 | F::NO_MMAP);
    ring.close();
}

/// A thread can register 16 rings. One more works by its descriptor, unless it was asked for.
#[test]
fn a_seventeenth_ring_works_by_its_descriptor() {
    let rings: Vec<_> = (0..16).map(|_| new().local(1).expect("a ring")).collect();
    if rings.iter().all(|ring| ring.is_fd_registered()) {
        assert!(!new().local(1).expect("a ring").is_fd_registered());
        let error = new().register_ring_fd().local(1).map(drop).expect_err("no index is left");
        assert_eq!(error, BuildError::RegisterRingFd(Errno::BUSY));
    }
}
