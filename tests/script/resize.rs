//! Other sizes for the ring, and a ring that a resize has made unusable.

use core::mem::MaybeUninit;

use ringbolt::ResizeError;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{io_uring_cqe, io_uring_params};

use super::action::Action;
use super::config::Width;
use super::kinds::{Completed, Submitted, refusal};
use super::model::{Model, Refusal};
use super::op::Op;
use super::rings::{Answer, Queues, Rings};
use super::run::Runner;

/// Makes a layout one that cannot be right.
pub(super) fn break_layout(params: &mut io_uring_params, how: u8) {
    match how % 4 {
        0 => params.sq_entries = 3,
        1 => params.cq_entries = 0,
        2 => params.sq_off.tail += 1,
        _ => params.cq_off.head += 2,
    }
}

/// What every call that enters the kernel returns.
fn assert_stale(answer: Answer) {
    let error = answer.expect_err("the ring is unusable");
    assert_eq!((error.errno, error.taken, error.queued), (Errno::STALE, 0, 0));
}

/// What comes of pushing entries.
fn refused(ops: &[Op]) -> Result<(), Refusal> {
    match ops.last() {
        None => Ok(()),
        Some(last) if last.is_linked() => Err(Refusal::OpenChain),
        Some(_) => Err(Refusal::Unusable),
    }
}

impl<S: Submitted, C: Completed> Runner<S, C> {
    pub(super) fn break_resize(&mut self, how: u8) {
        self.kernel.answer_resize_with(move |params| break_layout(params, how));
        self.model.breaks_resize = true;
    }

    pub(super) fn resize(&mut self, rings: &mut Rings<S, C>, entries: u8, cq_entries: u8) {
        let Rings::Whole(ring) = rings else { return };
        let (entries, cq) = (u32::from(entries), u32::from(cq_entries));
        let resized = ring.resize(entries, (cq > 0).then_some(cq));
        let sq_room = entries.next_power_of_two();
        let cq_room = if cq > 0 { cq.next_power_of_two() } else { 2 * sq_room };
        if entries == 0 || cq_room < sq_room {
            assert!(matches!(resized, Err(ResizeError::Sizes(_))), "{resized:?}");
            return;
        }
        if self.config.array {
            assert_eq!(resized, Err(ResizeError::IndexArray));
            return;
        }
        let Model { sq, cq, breaks_resize, is_unusable, .. } = &mut self.model;
        sq.publish();
        cq.give_back();
        let (queued, ready) = (sq.len(), cq.len());
        let takes = |room, capacity, width| match width {
            Width::Mixed if room < capacity => 0,
            _ => room,
        };
        // Entries of two slots need two.
        let single = (sq_room == 1 && self.config.sq == Width::Mixed)
            || (cq_room == 1 && self.config.cq == Width::Mixed);
        if ready > 0 && self.config.cq != Width::Narrow {
            assert_eq!(resized, Err(ResizeError::WideCompletions { ready }));
        } else if queued > takes(sq_room, sq.capacity, self.config.sq) || ready > cq_room {
            assert_eq!(resized, Err(ResizeError::TooSmall { queued, ready }));
        } else if self.config.is_deferred() && !single {
            if *breaks_resize {
                assert!(matches!(resized, Err(ResizeError::Layout(_))), "{resized:?}");
                *is_unusable = true;
                return;
            }
            assert_eq!(resized, Ok(()));
            sq.capacity = sq_room;
            cq.resize(cq_room);
        } else {
            assert!(matches!(resized, Err(ResizeError::Refused(_))), "{resized:?}");
        }
    }

    /// Does to an unusable ring what takes the whole of it.
    pub(super) fn try_out_ring(&mut self, rings: &mut Rings<S, C>, action: &Action) {
        match action {
            Action::Call(call) => assert_stale(rings.call(*call)),
            Action::IntoHalves => rings.take_apart(),
            Action::Resize { entries, .. } => {
                if let Rings::Whole(ring) = rings {
                    let resized = ring.resize((*entries).into(), None);
                    assert_eq!(resized, Err(ResizeError::Unusable(Errno::STALE)));
                }
            }
            _ => {}
        }
    }

    /// Uses the queues of an unusable ring. What was queued has not come back, and the ledger keeps
    /// what it names.
    pub(super) fn try_out(&mut self, queues: &mut Queues<'_, S, C>, action: &Action) {
        let Queues { sq, cq } = queues;
        match action {
            Action::Push(op) => {
                let (entry, _) = self.make(*op);
                // SAFETY: the ledger keeps what the entry names.
                let pushed = unsafe { sq.push(entry) };
                let told = pushed.map_err(|error| {
                    let refusal = refusal(&error);
                    assert_eq!(error.into_entries().image(), entry.image(), "it comes back");
                    refusal
                });
                assert_eq!(told, refused(&[*op]));
            }
            Action::PushAll(ops) => {
                let (entries, _) = self.make_all(ops);
                // SAFETY: as above.
                let pushed = unsafe { sq.push_all(&entries) };
                assert_eq!(pushed.map_err(|error| refusal(&error)), refused(ops));
            }
            Action::Reserve { room, ops, fate } => {
                let (entries, _) = self.make_all(ops);
                // SAFETY: as above.
                let put = unsafe { S::reserve(sq, *room, &entries, *fate) };
                let expected = if *room == 0 { Ok(0) } else { Err(Refusal::Unusable) };
                assert!(put.is_none_or(|put| put == expected));
            }
            Action::PopBack => assert!(S::pop_back(sq).flatten().is_none()),
            Action::Rollback => assert_eq!(sq.rollback(), 0, "slots rolled back"),
            Action::Flush => assert_eq!(sq.flush(), 0, "entries new to the kernel"),
            Action::WaitForRoom => assert_eq!(sq.wait_for_room(), Err(Errno::STALE)),
            Action::Call(call) => assert_stale(queues.call(*call)),
            Action::Pop => assert!(cq.pop().is_none()),
            Action::Peek => assert!(cq.peek().is_none()),
            Action::Drain { .. } => assert_eq!(cq.drain().count(), 0),
            Action::PopInto(room) => {
                let mut out = vec![MaybeUninit::<C>::uninit(); (*room).into()];
                assert_eq!(cq.pop_into(&mut out), 0);
            }
            Action::Sync => cq.sync(),
            // What the kernel does to its own queues, nobody sees.
            Action::Post { .. } => drop(self.kernel.post(io_uring_cqe::ZEROED)),
            Action::Complete(nth) => drop(self.kernel.complete((*nth).into())),
            _ => {}
        }
    }
}

/// An unusable ring has no room, and nothing is in it.
pub(super) fn check_unusable<S: Submitted, C: Completed>(queues: &mut Queues<'_, S, C>) {
    let Queues { sq, cq } = queues;
    assert_eq!((sq.len(), sq.room(), sq.dropped(), cq.len(), cq.overflow()), (0, 0, 0, 0, 0));
    assert!(sq.is_empty() && sq.is_full() && cq.is_empty());
    assert!(sq.status().is_empty() && cq.flags().is_empty());
}
