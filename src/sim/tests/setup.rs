//! Set-up, closing, and the lifetimes of kernels and rings.

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::{Errno, FdFlags};

use super::{nop, push, reap, run, simulated};
use crate::ops::Nop;
use crate::sim::table::find;
use crate::sim::{self, Kernel, Word};
use crate::sys::{EnterFlags, Features, SetupFlags};
use crate::{BuildError, IoUring};

#[test]
fn a_kernel_has_one_ring_at_a_time() {
    let (kernel, ring) = simulated();
    let builder = IoUring::builder().simulated(&kernel);
    let second = builder.build(8).unwrap_err();
    assert!(matches!(second, BuildError::TooManyFiles(Errno::MFILE)), "{second:?}");
    drop(ring);
    builder.build(8).unwrap();
    builder.build(8).unwrap();
}

#[test]
fn a_ring_outlives_the_handles_of_its_kernel() {
    let (kernel, mut ring) = simulated();
    let number = kernel.number();
    drop(kernel);
    assert_eq!(run(&mut ring, &[nop(1)], 1), [(1, 0)]);
    assert!(find(number).is_ok());
    drop(ring);
    assert!(find(number).is_err());
}

#[test]
fn a_kernel_outlives_its_rings() {
    let (kernel, ring) = simulated();
    let clone = kernel.clone();
    drop(ring);
    drop(kernel);
    let mut ring = IoUring::builder().simulated(&clone).build(2).unwrap();
    assert_eq!(run(&mut ring, &[nop(1)], 1), [(1, 0)]);
    let number = clone.number();
    drop(ring);
    drop(clone);
    assert!(find(number).is_err());
}

#[test]
fn set_up_fails_after_the_kernel_was_dropped() {
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel);
    drop(kernel);
    assert!(builder.build(8).is_err());
}

#[test]
fn positions_start_at_the_given_value() {
    let (kernel, _ring) = simulated();
    let positions = [Word::SqHead, Word::SqTail, Word::CqHead, Word::CqTail];
    assert_eq!(positions.map(|word| kernel.word(word)), [u32::MAX - 2; 4]);
    let kernel = Kernel::starting_at(7);
    let _ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    assert_eq!(positions.map(|word| kernel.word(word)), [7; 4]);
}

#[test]
fn a_set_up_fault_applies_to_one_set_up() {
    let kernel = Kernel::new();
    kernel.fail_next_setup(Errno::PERM);
    let builder = IoUring::builder().simulated(&kernel);
    assert!(builder.build(8).is_err());
    builder.build(8).unwrap();
}

/// Goal: a ring of one thread does without the newest flag that the kernel refuses, one after the
/// other, and never without what its builder was given.
/// Method: a kernel that refuses the first tries.
#[test]
fn a_local_ring_gives_up_the_newest_flag_first() {
    type F = SetupFlags;
    let issuer = F::SUBMIT_ALL | F::SINGLE_ISSUER;
    let best = issuer | F::DEFER_TASKRUN | F::TASKRUN_FLAG;
    let ladder = [best | F::NO_SQARRAY, best, issuer, F::SUBMIT_ALL, F::empty()];
    let (coop, shown) = (F::COOP_TASKRUN, F::COOP_TASKRUN | F::TASKRUN_FLAG);
    let cooperative = [
        best | coop | F::NO_SQARRAY,
        best | coop,
        issuer | shown,
        F::SUBMIT_ALL | shown,
        F::SUBMIT_ALL | coop,
        coop,
    ];
    let polled = [issuer | F::NO_SQARRAY, issuer, F::SUBMIT_ALL, F::empty()].map(|f| f | F::SQPOLL);
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel).cq_entries(64);
    let ladders: [(_, &[F]); 3] = [
        (builder.clone(), &ladder),
        (builder.clone().coop_taskrun(), &cooperative),
        (builder.sqpoll(7), &polled),
    ];
    for (builder, ladder) in ladders {
        for (refused, flags) in ladder.iter().enumerate() {
            (0..refused).for_each(|_| kernel.fail_next_setup(Errno::INVAL));
            let mut ring = builder.local(8).unwrap();
            assert_eq!(ring.setup_flags(), *flags | F::CQSIZE);
            assert_eq!(ring.params().cq_entries, 64);
            if !flags.contains(F::SQPOLL) {
                ring.submission().push_safe(Nop::new().sqe(1)).unwrap();
                assert_eq!(ring.submit_and_wait(1), Ok(1));
            }
        }
        ladder.iter().for_each(|_| kernel.fail_next_setup(Errno::INVAL));
        let flags = ladder.last().copied().unwrap_or_default() | F::CQSIZE;
        assert_eq!(builder.local(8).map(drop), Err(BuildError::Invalid { flags }));
    }
}

#[test]
fn a_local_ring_is_not_tried_again_where_no_flag_is_to_blame() {
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel);
    kernel.fail_next_setup(Errno::PERM);
    assert_eq!(builder.local(8).map(drop), Err(BuildError::NotPermitted));
    // What the builder's own flag needs is refused: the refusal is reported, and no contradiction.
    (0..3).for_each(|_| kernel.fail_next_setup(Errno::INVAL));
    let error = builder.clone().no_sqarray().sq_rewind().defer_taskrun().local(8).unwrap_err();
    assert!(matches!(error, BuildError::Invalid { .. }), "{error:?}");
    assert!(matches!(builder.hybrid_iopoll().local(8).unwrap_err(), BuildError::Contradiction(_)));
}

#[test]
fn unknown_set_up_flags_fail_with_einval() {
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel);
    // SAFETY: this kernel, which does not know the bit, makes no ring with it.
    let unknown = unsafe { builder.clone().unknown_flags(1 << 30) };
    for builder in [builder.iopoll(), unknown] {
        let error = builder.build(8).unwrap_err();
        assert!(matches!(error, BuildError::Invalid { .. }), "{error:?}");
    }
}

#[test]
fn sizes_are_rounded_and_clamped() {
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel);
    let sizes = |ring: IoUring| (ring.params().sq_entries, ring.params().cq_entries);
    assert_eq!(sizes(builder.build(5).unwrap()), (8, 16));
    assert_eq!(sizes(builder.clone().cq_entries(33).build(5).unwrap()), (8, 64));
    assert_eq!(sizes(builder.clone().clamp().build(1 << 20).unwrap()), (32_768, 65_536));
}

#[test]
fn words_are_at_other_offsets_than_in_a_real_kernel() {
    let (_kernel, ring) = simulated();
    let params = ring.params();
    let (sq, cq) = (params.sq_off, params.cq_off);
    assert_ne!((sq.head, sq.tail, cq.head, cq.tail), (0, 4, 8, 12));
    assert!(sq.array < cq.cqes);
    assert!(ring.features().contains(Features::EXT_ARG | Features::CQE_SKIP | Features::NODROP));
}

#[test]
fn a_disabled_ring_submits_nothing_until_enabled() {
    let kernel = Kernel::new();
    let disabled = IoUring::builder().simulated(&kernel).build_disabled(8).unwrap();
    let enter = || {
        let none = core::ptr::null();
        // SAFETY: no argument, and nothing is queued.
        unsafe { sim::enter(kernel.number(), 0, 0, EnterFlags::GETEVENTS, none, 0) }
    };
    assert_eq!(enter(), Err(Errno::BADFD.raw_os_error()));
    let mut ring = disabled.enable().unwrap();
    assert_eq!(run(&mut ring, &[nop(1)], 1), [(1, 0)]);
    assert_eq!(ring.registrar().enable().map_err(Errno::from), Err(Errno::BADFD));
}

#[test]
fn with_single_issuer_submitting_from_another_thread_fails() {
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel).single_issuer();
    // The ring belongs to the main thread, which enables it, and is then used by another.
    let mut ring = builder.build_local(8).unwrap();
    push(&mut ring, &[nop(1)]);
    let number = kernel.number();
    let entered = std::thread::spawn(move || {
        let none = core::ptr::null();
        // SAFETY: no argument; the entry refers to no memory.
        unsafe { sim::enter(number, 1, 0, EnterFlags::empty(), none, 0) }
    });
    assert_eq!(entered.join().unwrap(), Err(Errno::EXIST.raw_os_error()));
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap(&mut ring), [(1, 0)]);
}

#[test]
fn debug_shows_the_state() {
    let (kernel, mut ring) = simulated();
    push(&mut ring, &[nop(1)]);
    let text = std::format!("{kernel:?}");
    assert!(text.contains("Kernel") && text.contains("sq_head: 4294967293"), "{text}");
}

#[test]
fn a_ring_has_a_descriptor_to_borrow() {
    let [(_one, ring), (_two, other)] = [simulated(), simulated()];
    let number = ring.as_raw_fd();
    assert_eq!(ring.as_fd().as_raw_fd(), number, "the same each time");
    if cfg!(miri) {
        return;
    }
    assert_ne!(other.as_raw_fd(), number);
    let flags = rustix::io::fcntl_getfd(&ring).unwrap();
    assert!(flags.contains(FdFlags::CLOEXEC));
    let mut poll = [PollFd::new(&ring, PollFlags::IN)];
    assert_eq!(rustix::event::poll(&mut poll, Some(&Timespec::default())), Ok(0));
    // Only this crate uses it as a ring; for the real kernel it is not one.
    let attached = IoUring::builder().attach_wq(&ring).build(4);
    assert!(attached.is_err());
}
