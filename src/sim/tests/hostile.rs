//! Invalid words and slots: nothing panics, hangs, or touches the program's memory.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::vec;

use rustix::io::Errno;

use super::{err, nop, push, read, reap, run, simulated, simulated_here};
use crate::jobs::{OwnedJobs, SafeRing};
use crate::ops::{Fixed, Nop};
use crate::sim::{Kernel, Pace, Word};
use crate::sys::{Features, SetupFlags, SqStatus, io_uring_cqe};
use crate::{BuildError, Cqe, IoUring, Sqe};

/// Uses the ring and ignores the results.
fn work<T>(kernel: &Kernel, ring: &mut IoUring<Sqe, Cqe, T>) {
    for id in 0..12 {
        // The queue may look full.
        // SAFETY: the entry refers to no memory.
        let _ = unsafe { ring.submission().push(nop(id)) };
        let _ = ring.submit();
        let _ = ring.submit_and_wait(2);
        let _ = ring.submission().wait_for_room();
        kernel.poll();
        let _ = ring.get_events();
        let _ = ring.completion().drain().count();
    }
}

#[test]
fn no_word_makes_either_side_panic_or_hang() {
    let values: &[u32] = if cfg!(miri) { &[7, u32::MAX] } else { &[0, 1, 7, 1 << 31, u32::MAX] };
    for flags in [SetupFlags::empty(), SetupFlags::SQPOLL, SetupFlags::NO_SQARRAY] {
        for word in Word::ALL {
            for value in values {
                let kernel = Kernel::new();
                let builder = IoUring::builder().simulated(&kernel).flags(flags);
                let mut ring = builder.build_local(4).unwrap();
                work(&kernel, &mut ring);
                kernel.set_word(word, *value);
                if word != Word::SqTail {
                    assert_eq!(kernel.word(word), *value);
                }
                work(&kernel, &mut ring);
                drop(ring);
                // A ring that two threads may use.
                let mut ring = builder.build(4).unwrap();
                work(&kernel, &mut ring);
                kernel.set_word(word, *value);
                work(&kernel, &mut ring);
            }
        }
    }
}

#[test]
fn a_tampered_ring_does_not_touch_the_programs_memory() {
    let mut buf = [0; 4];
    let same = |kernel: &Kernel, word| kernel.set_word(word, kernel.word(word));
    let tamper: [&dyn Fn(&Kernel); 6] = [
        &|kernel| same(kernel, Word::SqHead),
        &|kernel| same(kernel, Word::SqTail),
        &|kernel| same(kernel, Word::CqHead),
        &|kernel| same(kernel, Word::CqTail),
        &|kernel| kernel.scribble_sqe(7, &[]),
        &|kernel| kernel.scribble_cqe(7, &[]),
    ];
    for tamper in tamper {
        let (kernel, mut ring) = simulated_here();
        kernel.put_file(Fixed(0), vec![7; 4]);
        tamper(&kernel);
        assert_eq!(run(&mut ring, &[read(1, &raw mut buf)], 1), [(1, err(Errno::FAULT))]);
        assert_eq!(run(&mut ring, &[nop(2)], 1), [(2, 0)]);
    }
    assert_eq!(buf, [0; 4]);
}

#[test]
fn overwritten_slots_are_read_unchanged() {
    let (kernel, mut ring) = simulated_here();
    let mut bytes = nop(0x55).to_bytes();
    push(&mut ring, &[nop(1)]);
    kernel.scribble_sqe(u32::MAX - 2, &bytes);
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap(&mut ring), [(0x55, 0)]);
    bytes.fill(0xff);
    push(&mut ring, &[nop(1)]);
    kernel.scribble_sqe(u32::MAX - 1, &bytes);
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap(&mut ring), [(u64::MAX, err(Errno::INVAL))]);
    assert_eq!(run(&mut ring, &[nop(3)], 1), [(3, 0)]);
    push(&mut ring, &[nop(4)]);
    assert_eq!(ring.submit(), Ok(1));
    kernel.scribble_cqe(kernel.word(Word::CqTail).wrapping_sub(1), &[9]);
    assert_eq!(reap(&mut ring), [(9, 0)]);
}

#[test]
fn set_up_can_be_answered_with_any_values() {
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel);
    kernel.answer_setup_with(|params| params.sq_entries = 3);
    assert!(matches!(builder.build_local(4).unwrap_err(), BuildError::Layout(_)));
    kernel.answer_setup_with(|params| params.cq_entries = 1 << 20);
    assert!(matches!(builder.build_local(4).unwrap_err(), BuildError::Map(Errno::INVAL)));
    kernel.answer_setup_with(|params| {
        params.features = Features::POLL_32BITS;
        params.sq_entries = 64;
        params.sq_off.array = 16;
        params.sq_off.head = params.cq_off.tail;
    });
    let mut ring = builder.build_local(4).unwrap();
    work(&kernel, &mut ring);
    drop(ring);
    kernel.answer_setup_with(|params| params.features.remove(Features::POLL_32BITS));
    let error = builder.build_local(4).unwrap_err();
    assert!(error == BuildError::TooOld && std::format!("{error}").contains("5.10"), "{error}");
    let ring = builder.build_local(4).unwrap();
    drop(ring);
    // The change applies to one set-up.
    let mut ring = builder.build_local(4).unwrap();
    assert_eq!(run(&mut ring, &[nop(1)], 1), [(1, 0)]);
}

#[test]
fn an_entry_with_an_index_out_of_range_is_dropped() {
    let kernel = Kernel::new();
    kernel.answer_setup_with(|params| {
        // The program's index 16 is the kernel's first index.
        params.sq_entries = 32;
        params.sq_off.array -= 64;
    });
    let mut ring = IoUring::builder().simulated(&kernel).build_local(4).unwrap();
    push(&mut ring, &[nop(1), nop(2)]);
    assert_eq!(ring.submit(), Ok(0));
    assert_eq!((ring.submission().dropped(), ring.submission().len()), (1, 1));
    assert_eq!(reap(&mut ring), []);
}

#[test]
fn wrong_flags_cost_only_an_extra_call() {
    let (kernel, mut ring) = simulated();
    let lie = SqStatus::CQ_OVERFLOW | SqStatus::TASKRUN | SqStatus::NEED_WAKEUP;
    kernel.set_word(Word::SqFlags, lie.bits());
    assert_eq!(ring.submission().status(), lie);
    assert_eq!(run(&mut ring, &[nop(1)], 1), [(1, 0)]);
}

#[test]
fn methods_do_nothing_without_a_ring() {
    let kernel = Kernel::new();
    kernel.set_word(Word::SqTail, 5);
    kernel.scribble_cqe(0, &[1]);
    assert_eq!((kernel.word(Word::SqTail), kernel.poll(), kernel.in_flight()), (0, 0, 0));
    assert!(!kernel.post_filler() && !kernel.fall_asleep());
}

#[test]
fn a_forged_completion_of_an_operation_stops_all_memory_access() {
    let mut buf = [0; 4];
    let forged = |user_data| io_uring_cqe { user_data, ..io_uring_cqe::ZEROED };
    // While it is in flight.
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::Held);
    push(&mut ring, &[read(1, &raw mut buf)]);
    assert_eq!(ring.submit(), Ok(1));
    assert!(kernel.post(forged(2)) && kernel.post(forged(1)));
    assert!(kernel.complete(0));
    assert_eq!(reap(&mut ring), [(2, 0), (1, 0), (1, err(Errno::FAULT))]);
    // Before it is submitted.
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    assert!(kernel.post(forged(1)));
    push(&mut ring, &[nop(1), read(1, &raw mut buf)]);
    assert_eq!(ring.submit(), Ok(2));
    assert_eq!(reap(&mut ring), [(1, 0), (1, 0), (1, err(Errno::FAULT))]);
    assert_eq!(buf, [0; 4]);
    // A completion that was popped before belongs to no later operation.
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    assert!(kernel.post(forged(1)));
    assert_eq!(reap(&mut ring), [(1, 0)]);
    assert_eq!(run(&mut ring, &[read(1, &raw mut buf)], 1), [(1, 4)]);
    assert_eq!(buf, [7; 4]);
}

#[test]
fn nothing_false_is_written_to_a_ring_with_jobs() {
    let lies: [fn(&Kernel); 8] = [
        |kernel| _ = kernel.post_filler(),
        |kernel| _ = kernel.post(io_uring_cqe::ZEROED),
        |kernel| _ = kernel.post_wide(io_uring_cqe::ZEROED, [0; 2]),
        |kernel| kernel.set_word(Word::CqTail, 7),
        |kernel| kernel.set_word(Word::CqOverflow, 7),
        |kernel| kernel.scribble_cqe(0, &[1]),
        |kernel| kernel.scribble_sqe(0, &[1]),
        |kernel| kernel.scribble_rings(0, &[1]),
    ];
    for lie in lies {
        let kernel = Kernel::new();
        let builder = IoUring::builder().simulated(&kernel);
        let ring = SafeRing::build_local(&builder, 8).unwrap();
        catch_unwind(AssertUnwindSafe(|| lie(&kernel))).unwrap_err();
        let mut jobs: OwnedJobs<()> = ring.into_jobs(1);
        jobs.start((), |()| Nop::new().op()).unwrap();
        assert_eq!(jobs.wait_next().unwrap().unwrap().result(), Ok(0));
        drop(jobs);
        // On any other ring it is allowed.
        let _ring = builder.build_local(8).unwrap();
        lie(&kernel);
    }
    let kernel = Kernel::new();
    kernel.answer_setup_with(|params| params.cq_entries *= 2);
    let builder = IoUring::builder().simulated(&kernel);
    catch_unwind(AssertUnwindSafe(|| SafeRing::build_local(&builder, 8))).unwrap_err();
}
