//! The kernel's methods from any thread, while the program runs on another: there are no data
//! races.
//!
//! Miri detects them.

use core::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::thread;

use super::{nop, push, simulated, simulated_here};
use crate::IoUring;
use crate::sim::{Kernel, Word};
use crate::sys::{SetupFlags, io_uring_cqe};

const ROUNDS: u64 = if cfg!(miri) { 20 } else { 2000 };

/// Writes false positions, and does what a kernel does, as long as the program runs.
fn meddle(kernel: &Kernel) {
    for round in 0..ROUNDS {
        let value = u32::try_from(round % 16).unwrap();
        for word in Word::ALL {
            kernel.set_word(word, kernel.word(word).wrapping_add(value).wrapping_sub(7));
        }
        kernel.poll();
        kernel.fall_asleep();
        kernel.post(io_uring_cqe { user_data: round, ..io_uring_cqe::ZEROED });
        kernel.post_filler();
        kernel.complete(0);
        kernel.spend_buffers(0, 1);
        let _ = std::format!("{kernel:?}");
    }
}

#[test]
fn changed_positions_cause_no_data_race() {
    for flags in [SetupFlags::empty(), SetupFlags::SQPOLL] {
        let kernel = Kernel::new();
        let builder = IoUring::builder().simulated(&kernel).flags(flags);
        let mut ring = builder.build(4).unwrap();
        let (mut submission, mut completion) = ring.split();
        thread::scope(|scope| {
            scope.spawn(|| meddle(&kernel));
            scope.spawn(move || {
                for id in 0..ROUNDS {
                    // SAFETY: the entry refers to no memory.
                    let _ = unsafe { submission.push(nop(id)) };
                    let _ = submission.submit();
                }
            });
            scope.spawn(move || {
                for _ in 0..ROUNDS {
                    let _ = completion.get_events();
                    let _ = completion.pop();
                }
            });
        });
    }
}

#[test]
fn changes_by_other_threads_to_a_local_ring_cause_no_data_race() {
    let (kernel, mut ring) = simulated_here();
    kernel.scribble_rings(0, &[]);
    thread::scope(|scope| {
        scope.spawn(|| meddle(&kernel));
        for id in 0..ROUNDS {
            // SAFETY: the entry refers to no memory.
            let _ = unsafe { ring.submission().push(nop(id)) };
            let _ = ring.submit();
            let _ = ring.completion().pop();
        }
    });
}

#[test]
fn only_the_thread_of_a_local_ring_can_overwrite_slots() {
    let scribble: [fn(&Kernel); 3] = [
        |kernel| kernel.scribble_cqe(0, &[1]),
        |kernel| kernel.scribble_sqe(0, &[1]),
        |kernel| kernel.scribble_rings(0, &[1]),
    ];
    let panics = |kernel: &Kernel, scribble: fn(&Kernel)| {
        catch_unwind(AssertUnwindSafe(|| scribble(kernel))).is_err()
    };
    for scribble in scribble {
        let (kernel, _ring) = simulated();
        assert!(panics(&kernel, scribble), "another thread may use it");
        let (kernel, _ring) = simulated_here();
        let elsewhere = thread::scope(|scope| scope.spawn(|| panics(&kernel, scribble)).join());
        assert!(elsewhere.unwrap());
        assert!(!panics(&kernel, scribble));
    }
}

#[test]
fn only_the_set_up_of_a_local_ring_can_be_answered_differently() {
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel);
    kernel.answer_setup_with(|params| params.cq_off.overflow += 4);
    let built = catch_unwind(AssertUnwindSafe(|| builder.build(4).is_ok()));
    assert!(built.is_err());
    kernel.answer_setup_with(|params| params.cq_off.overflow += 4);
    let mut ring = builder.build_local(4).unwrap();
    kernel.set_word(Word::CqFlags, 9);
    // Other threads cannot access it: they do not know its layout.
    let seen = thread::scope(|scope| scope.spawn(|| kernel.word(Word::CqFlags)).join().unwrap());
    assert_eq!((kernel.word(Word::CqFlags), seen), (9, 0));
    push(&mut ring, &[nop(1)]);
    assert_eq!(ring.submit(), Ok(1));
}
