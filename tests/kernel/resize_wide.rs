//! Resizing rings of wide entries: the contents of the queues keep all of their bytes, and wide
//! completions have to be reaped first.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use crate::common::{reap, require};
use crate::op_common::{assert_quiet, complete_safe, reap_told};
use ringbolt::ops::Nop;
use ringbolt::sys::{RegisterOp, SetupFlags};
use ringbolt::{
    Builder, CqEntry, Cqe32, CqeMixed, IoUring, LocalIoUring, ResizeError, SafeSqe, SqEntry, Sqe,
};

/// A ring that can be resized.
fn new() -> Builder<'static> {
    IoUring::builder().single_issuer().defer_taskrun().no_sqarray()
}

/// Skips the test with a message unless rings can be resized.
macro_rules! require_resize {
    () => {
        require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
        require!(register: RegisterOp::REGISTER_RESIZE_RINGS);
    };
}

/// Goal: queued entries and completions survive, whatever their positions are; completions that
/// are wide are there after a refusal, and after their reaping the ring can be resized.
/// Method: some in both queues, at each size, and the queues wrap in between.
fn exercise<S, C>(mut ring: LocalIoUring<S, C>)
where
    S: SqEntry + From<SafeSqe>,
    C: CqEntry,
{
    let is_wide = ring.setup_flags().contains(SetupFlags::CQE32);
    let push = |ring: &mut LocalIoUring<S, C>, id| {
        ring.submission().push_safe(Nop::new().sqe(id)).expect("room");
    };
    for round in 0..24_u64 {
        for entries in [64, 8, 16, 4] {
            for id in 0..round % 4 {
                push(&mut ring, id);
            }
            ring.submit().expect("entries are taken");
            reap(&mut ring, usize::try_from(round % 4).expect("a small number"));

            (100..103).for_each(|id| push(&mut ring, id));
            assert_eq!(ring.submit(), Ok(3));
            (103..106).for_each(|id| push(&mut ring, id));
            let told = |ids: core::ops::Range<u64>| ids.map(|id| (id, Ok(0))).collect::<Vec<_>>();
            let mut reaped = 0;
            if is_wide {
                let refused = Err(ResizeError::WideCompletions { ready: 3 });
                assert_eq!(ring.resize(entries, None), refused);
                assert_eq!(reap_told(&mut ring, 3), told(100..103), "round {round}");
                reaped = 3;
            }
            ring.resize(entries, None).expect("other sizes");
            let len = (ring.completion().len(), ring.submission().len());
            assert_eq!(len, (3 - reaped, 3), "{entries}");
            push(&mut ring, 106);
            assert_eq!(ring.submit(), Ok(4));
            let left = told(100 + u64::from(reaped)..107);
            assert_eq!(reap_told(&mut ring, left.len()), left, "round {round}, to {entries}");
            assert_quiet(&mut ring);
        }
    }
}

/// liburing: large-resize.
#[test]
fn rings_of_every_pair_of_widths_can_be_resized() {
    require_resize!();
    exercise(new().build_local(8).expect("a ring"));
    exercise(new().sqe128().build_local(8).expect("a ring"));
    exercise(new().cqe32().build_local(8).expect("a ring"));
    exercise(new().sqe128().cqe32().build_local(8).expect("a ring"));
    exercise(new().cqe32().sqe128().build_local(8).expect("a ring"));
}

#[test]
fn wide_completions_are_there_after_a_refused_resize() {
    require_resize!();
    // The flag came with Linux 6.18, like this operation.
    require!(register: RegisterOp::REGISTER_QUERY);
    let mut ring = new().cqe32().build_local(8).expect("a ring");
    for round in 0..24_u64 {
        for entries in [64, 4] {
            for id in 0..4 {
                let nop = Nop::new().cqe32([round << 8 | id, !id]);
                ring.submission().push_safe(nop.sqe(id)).expect("room");
            }
            ring.submit().expect("entries are taken");
            let refused = Err(ResizeError::WideCompletions { ready: 4 });
            assert_eq!(ring.resize(entries, None), refused);
            for (id, Cqe32 { cqe, extra }) in (0..4).zip(reap(&mut ring, 4)) {
                assert_eq!((cqe.user_data(), extra), (id, [round << 8 | id, !id]));
            }
            ring.resize(entries, None).expect("other sizes");
        }
    }
}

/// Pushes a narrow entry, a wide one and a narrow one, which take four slots to complete.
fn start_three(ring: &mut LocalIoUring<Sqe, CqeMixed>, extra: u64) {
    let wide = Nop::new().cqe32([extra, !extra]);
    for nop in [Nop::new().sqe(0), wide.sqe(1), Nop::new().sqe(2)] {
        ring.submission().push_safe(nop).expect("room");
    }
    assert_eq!(ring.submit(), Ok(3));
}

fn expect_three(ring: &mut LocalIoUring<Sqe, CqeMixed>, extra: u64) {
    let three = reap(ring, 3);
    let [CqeMixed::Narrow(zero), CqeMixed::Wide(one), CqeMixed::Narrow(two)] = three[..] else {
        panic!("{extra}: {three:?}");
    };
    assert_eq!((zero.user_data(), one.cqe.user_data(), two.user_data()), (0, 1, 2));
    assert_eq!(one.extra, [extra, !extra]);
    assert_quiet(ring);
}

/// Goal: no wide completion is lost or split, whatever its position is.
/// Method: grow and shrink without completions in the queue, and try both with some.
///
/// liburing: large-resize.
#[test]
fn a_queue_of_mixed_completions_is_resized_only_when_empty() {
    require_resize!();
    require!(setup: SetupFlags::CQE_MIXED);
    let mut ring = new().cqe_mixed().build_local(8).expect("a ring");
    for round in 0..48_u64 {
        for entries in [16, 64, 8] {
            start_three(&mut ring, round);
            let ready = ring.completion().len();
            assert!(ready == 4 || ready == 5, "possibly with padding: {ready}");
            let refused = Err(ResizeError::WideCompletions { ready });
            assert_eq!(ring.resize(entries, None), refused);
            expect_three(&mut ring, round);
            ring.resize(entries, None).expect("another size");
        }
        // Advance one slot, so that the next round is at another position.
        assert_eq!(complete_safe(&mut ring, Nop::new().sqe(9)).as_cqe().user_data(), 9);
    }
}
