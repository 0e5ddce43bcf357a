//! Every width of both queues, with and without the index array, around the wrap.
#![forbid(unsafe_code)]

use std::vec;
use std::vec::Vec;

use rustix::io::Errno;

use super::{err, failing, nop, push, reap, run, simulated};
use crate::ops::{Fixed, Nop, Nop128, UringCmd80};
use crate::sim::{Fault, Kernel, Word};
use crate::sys::{CqeFlags, EnterFlags, NopFlags, Opcode, SetupFlags, SqeFlags, io_uring_cqe};
use crate::{Builder, CqEntry, CqeMixed, EnterArg, IoUring, SqEntry, Sqe, Sqe128, SqeMixed};

/// Wraps around both queues several times, with different batches each time.
fn exercise<S: SqEntry, C: CqEntry>(builder: Builder<S, C>) {
    let kernel = Kernel::new();
    let mut ring = builder.simulated(&kernel).build(4).unwrap();
    for round in 0..12_u64 {
        let ids: Vec<u64> = (0..1 + round % 4).map(|n| round << 8 | n).collect();
        let entries: Vec<S> = ids.iter().map(|id| nop(*id).into()).collect();
        let expected: Vec<_> = ids.iter().map(|id| (*id, 0)).collect();
        assert_eq!(run(&mut ring, &entries, 1), expected);
    }
}

#[test]
fn every_width_works_with_and_without_the_index_array() {
    let new = IoUring::builder;
    for flags in [SetupFlags::empty(), SetupFlags::NO_SQARRAY] {
        exercise(new().flags(flags));
        exercise(new().flags(flags).sqe128());
        exercise(new().flags(flags).cqe32());
        exercise(new().flags(flags).sqe128().cqe32());
        exercise(new().flags(flags).sqe_mixed());
        exercise(new().flags(flags).cqe_mixed());
        exercise(new().flags(flags).sqe_mixed().cqe_mixed());
    }
}

#[test]
fn each_submission_of_a_rewinding_queue_starts_at_the_first_slot() {
    exercise(IoUring::builder().no_sqarray().sq_rewind());
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel).no_sqarray().sq_rewind();
    let mut ring = builder.build(4).unwrap();
    run(&mut ring, &[nop(1), nop(2)], 2);
    assert_eq!((kernel.word(Word::SqHead), ring.submission().len()), (0, 0));
}

/// Goal: a call with exactly the flags given keeps the books of a queue that rewinds.
/// Method: calls that take all, some and none of its entries, in each order.
#[test]
fn a_queue_that_rewinds_is_entered_with_exact_flags() {
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel).no_sqarray().sq_rewind();
    let mut ring = builder.build(4).unwrap();
    let (plain, none) = (EnterFlags::empty(), EnterArg::None);
    for first in (0..40).step_by(4) {
        push(&mut ring, &[nop(first), failing(first + 1, Errno::IO), nop(first + 2)]);
        let refused = ring.enter(0, EnterFlags::from_bits_retain(1 << 31), none).unwrap_err();
        assert_eq!((refused.errno, refused.taken, refused.queued), (Errno::INVAL, 0, 3));
        kernel.fail_next(Fault::Short(1));
        assert_eq!((ring.enter(0, plain, none), ring.submission().len()), (Ok(1), 2));
        push(&mut ring, &[nop(first + 3)]);
        assert_eq!((ring.enter(0, plain, none), ring.submission().len()), (Ok(3), 0));
        assert_eq!(ring.enter(0, plain, none), Ok(0));
        let taken: Vec<_> = reap(&mut ring).into_iter().map(|(id, _)| id).collect();
        assert_eq!(taken, (first..first + 4).collect::<Vec<_>>());
    }
}

#[test]
fn each_consumed_entry_is_recorded() {
    let kernel = Kernel::new();
    let mut ring = IoUring::builder().simulated(&kernel).sqe128().build(4).unwrap();
    run(&mut ring, &[nop(1).into()], 1);
    kernel.record_entries(true);
    let wide = Sqe128 { sqe: nop(2), payload: [7; 64] };
    run(&mut ring, &[wide], 1);
    let taken = kernel.taken();
    assert_eq!(taken.len(), 1);
    assert_eq!((taken[0].sqe.user_data, taken[0].payload), (2, Some([7; 64])));
    assert!(kernel.taken().is_empty());
}

#[test]
fn a_wide_entry_of_a_mixed_queue_takes_two_slots() {
    let kernel = Kernel::starting_at(0);
    let mut ring = IoUring::builder().simulated(&kernel).sqe_mixed().build(4).unwrap();
    kernel.record_entries(true);
    let command = UringCmd80::mixed(Fixed(0), 0, [9; 80]).sqe(2);
    let entries: [SqeMixed; 2] = [nop(1).into(), command.into()];
    assert_eq!(run(&mut ring, &entries, 2), [(1, 0), (2, err(Errno::OPNOTSUPP))]);
    assert_eq!(kernel.word(Word::SqHead), 3);
    let taken = kernel.taken();
    assert_eq!((taken[0].payload, taken[1].payload), (None, Some([9; 64])));
    // The next entry would start in the last slot: the queue puts padding there.
    assert_eq!(run(&mut ring, &[Nop128::new().sqe(3).into()], 1), [(3, 0)]);
    assert_eq!(kernel.word(Word::SqHead), 6);
}

#[test]
fn only_the_opcode_makes_an_entry_of_a_mixed_queue_wide() {
    let kernel = Kernel::starting_at(3);
    kernel.record_entries(true);
    let builder = IoUring::builder().simulated(&kernel).sqe_mixed().submit_all();
    let mut ring = builder.build(4).unwrap();
    // A narrow entry with the opcode of a wide one takes two slots.
    let stray: Sqe = Sqe::new(Opcode::NOP128).with_user_data(1);
    assert_eq!(run(&mut ring, &[stray.into(), nop(2).into()], 2), [(1, 0), (2, 0)]);
    // The payload of a narrow opcode is not executed as an entry.
    let wide = |opcode| {
        let mut payload = [0; 64];
        payload.copy_from_slice(&nop(9).to_bytes());
        Sqe128 { sqe: Sqe::new(opcode).with_user_data(3), payload }
    };
    assert_eq!(run(&mut ring, &[wide(Opcode::NOP).into(), nop(4).into()], 2), [(3, 0), (4, 0)]);
    // A command keeps its payload because of its opcode in such a queue.
    kernel.taken();
    let command = wide(Opcode::URING_CMD).into();
    assert_eq!(run(&mut ring, &[command], 1), [(3, err(Errno::OPNOTSUPP))]);
    let taken = kernel.taken();
    let last = taken.last().unwrap();
    assert_eq!((last.sqe.opcode, last.payload.is_some()), (Opcode::URING_CMD128, true));
}

#[test]
fn a_wide_completion_has_two_extra_words() {
    let kernel = Kernel::new();
    let mut ring = IoUring::builder().simulated(&kernel).cqe32().build(4).unwrap();
    push(&mut ring, &[Nop::new().cqe32([3, 4]).sqe(1).into(), nop(2)]);
    ring.submit_and_wait(2).unwrap();
    let extras: Vec<_> = ring.completion().drain().map(|cqe| cqe.extra).collect();
    assert_eq!(extras, [[3, 4], [0, 0]]);
}

#[test]
fn wide_completions_of_a_mixed_queue_are_never_split_by_its_end() {
    let kernel = Kernel::starting_at(7);
    let mut ring = IoUring::builder().simulated(&kernel).cqe_mixed().build(4).unwrap();
    for id in 0..20 {
        push(&mut ring, &[Nop::new().cqe32([id, id + 1]).sqe(id).into(), nop(100)]);
        ring.submit_and_wait(3).unwrap();
        let popped: Vec<_> = ring.completion().drain().collect();
        let [CqeMixed::Wide(wide), CqeMixed::Narrow(narrow)] = popped[..] else {
            panic!("{popped:?}");
        };
        assert_eq!((wide.cqe.user_data(), wide.extra), (id, [id, id + 1]));
        assert_eq!(narrow.user_data(), 100);
    }
    // 20 times three slots, and padding.
    assert!(kernel.word(Word::CqTail) > 7 + 60);
}

#[test]
fn padding_is_skipped() {
    let kernel = Kernel::new();
    let mut ring = IoUring::builder().simulated(&kernel).cqe_mixed().build(4).unwrap();
    assert!(kernel.post_filler());
    assert_eq!(ring.completion().len(), 1);
    assert!(ring.completion().pop().is_none());
    assert_eq!(run(&mut ring, &[nop(1)], 1), [(1, 0)]);
}

#[test]
fn completions_that_belong_to_no_entry_are_posted_in_order() {
    let kernel = Kernel::new();
    let mut ring = IoUring::builder().simulated(&kernel).cqe_mixed().build(4).unwrap();
    let cqe = io_uring_cqe { user_data: 5, res: 6, ..io_uring_cqe::ZEROED };
    assert!(kernel.post(cqe));
    assert!(kernel.post_wide(cqe, [7, 8]));
    let popped: Vec<_> = ring.completion().drain().collect();
    let [CqeMixed::Narrow(narrow), CqeMixed::Wide(wide)] = popped[..] else { panic!("{popped:?}") };
    assert_eq!((narrow.user_data(), narrow.raw_result()), (5, 6));
    assert_eq!((wide.extra, wide.cqe.flags()), ([7, 8], CqeFlags::F_32));
}

#[test]
fn an_invalid_entry_ends_the_submission() {
    let (_kernel, mut ring) = simulated();
    let bad = Sqe::new(Opcode::from_raw(200)).with_user_data(2);
    push(&mut ring, &[nop(1), bad, nop(3)]);
    assert_eq!(ring.submit(), Ok(2));
    assert_eq!(reap(&mut ring), [(1, 0), (2, err(Errno::INVAL))]);
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap(&mut ring), [(3, 0)]);
}

#[test]
fn with_submit_all_the_submission_continues_after_an_invalid_entry() {
    let kernel = Kernel::new();
    let mut ring = IoUring::builder().simulated(&kernel).submit_all().build(8).unwrap();
    let mut bad = nop(2);
    bad.set_flags(SqeFlags::from_bits_retain(0x80));
    let results = run(&mut ring, &[nop(1), bad, nop(3)], 3);
    assert_eq!(results, [(1, 0), (2, err(Errno::INVAL)), (3, 0)]);
}

#[test]
fn a_nop_follows_its_flags() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(3), vec![]);
    let table = [
        (Nop::new().inject_result(9), 9),
        (Nop::new().inject_result(-5), -5),
        (Nop::new().task_work().inject_result(4), 4),
        (Nop::new().file(Fixed(3)), 0),
        (Nop::new().file(Fixed(4)), err(Errno::BADF)),
        (Nop::new().fixed_buffer(0), err(Errno::FAULT)),
        (Nop::new().cqe32([1, 2]), err(Errno::INVAL)),
        (Nop::new().flags(NopFlags::from_bits_retain(1 << 30)), err(Errno::INVAL)),
    ];
    for (op, result) in table {
        assert_eq!(run(&mut ring, &[op.sqe(1).into()], 1), [(1, result)], "{op:?}");
    }
    assert_eq!(run(&mut ring, &[failing(1, Errno::IO)], 1), [(1, err(Errno::IO))]);
}
