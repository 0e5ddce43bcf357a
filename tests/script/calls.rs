//! Entering the kernel, in all the ways that there are, and what has to come of it.

use ringbolt::rustix::io::Errno;
use ringbolt::sim::{Fault, Word};
use ringbolt::sys::SqStatus;

use super::action::{Call, CallKind};
use super::config::Mode;
use super::kinds::{Completed, Submitted};
use super::model::Entry;
use super::op::{Kind, Link, Op};
use super::rings::{Answer, Queues, Rings};
use super::run::Runner;

impl Call {
    /// Hands over what is pushed.
    pub(super) const PLAIN: Self = Self { kind: CallKind::Submit, want: 0, by_half: false };
    /// Brings completions in, and enters the kernel even if there seem to be none.
    pub(super) const BRING_IN: Self = Self { kind: CallKind::Wait, want: 0, by_half: false };

    const fn submits(self) -> bool {
        !matches!(self.kind, CallKind::Wait | CallKind::WaitTimeout | CallKind::GetEvents)
    }

    /// How many completions it waits for.
    pub(super) fn want(self) -> u32 {
        match self.kind {
            CallKind::Submit | CallKind::SubmitAndGetEvents | CallKind::GetEvents => 0,
            _ => self.want.into(),
        }
    }

    const fn is_timed(self) -> bool {
        matches!(
            self.kind,
            CallKind::SubmitAndWaitTimeout
                | CallKind::SubmitAndWaitMinTimeout
                | CallKind::WaitTimeout
        )
    }
}

/// What was there before a call, and what it was to do.
struct Before {
    call: Call,
    /// Slots that are published by it, and those that are queued then.
    fresh: u32,
    queued: u32,
    /// Whether it enters the kernel, and asks for completions there.
    enters: bool,
    gets_events: bool,
    fault: Option<Fault>,
}

impl<S: Submitted, C: Completed> Runner<S, C> {
    /// Makes a call by the ring, and compares what came of it.
    pub(super) fn call_ring(&mut self, rings: &mut Rings<S, C>, call: Call) {
        let before = self.foresee(call, rings.is_whole());
        let answer = rings.call(call);
        self.judge(&before, answer);
    }

    /// Makes a call by a half, and compares what came of it.
    pub(super) fn call(&mut self, queues: &mut Queues<'_, S, C>, call: Call) {
        let before = self.foresee(call, false);
        let answer = queues.call(call);
        self.judge(&before, answer);
    }

    /// What a call has to do, from what is there.
    fn foresee(&mut self, call: Call, by_ring: bool) -> Before {
        let polled = self.config.is_polled();
        if !call.submits() || by_ring {
            self.model.cq.give_back();
        }
        let (fresh, queued) =
            if call.submits() { (self.model.sq.publish(), self.model.sq.len()) } else { (0, 0) };
        let status = SqStatus::from_bits_retain(self.kernel.word(Word::SqFlags));
        let pending = !self.model.cq.overflown.is_empty() || status.contains(SqStatus::TASKRUN);
        // Where the kernel shows what it has put off, it is not entered for nothing.
        let is_shown = polled || self.config.mode == Mode::TaskrunFlag;
        let asked = match call.kind {
            CallKind::GetEvents => !is_shown,
            CallKind::SubmitAndWait | CallKind::SubmitAndGetEvents => true,
            _ => !call.submits() || call.is_timed(),
        };
        let gets_events = call.want() > 0 || pending || asked;
        let wakes = polled && self.model.asleep && queued > 0;
        let enters = gets_events || wakes || (!polled && queued > 0);
        let fault = if enters { self.model.faults.pop_front() } else { None };
        if wakes && !matches!(fault, Some(Fault::Refuse(_))) {
            self.model.asleep = false;
        }
        Before { call, fresh, queued, enters, gets_events, fault }
    }

    /// Compares what came of a call with what had to.
    fn judge(&mut self, before: &Before, answer: Answer) {
        let Before { call, fresh, queued, enters, gets_events, fault } = *before;
        let polled = self.config.is_polled();
        let expected = if polled { 0 } else { self.foreseen(queued, fault) };
        let taken = self.absorb_taken();
        self.absorb_posted();
        assert!(enters || taken == 0, "the kernel was not entered");
        if !polled {
            assert_eq!(taken, expected, "slots that the kernel took");
        }
        let refused = matches!(fault, Some(Fault::Refuse(_)));
        let came_through = !refused && (polled || taken == queued);
        if enters && gets_events && came_through {
            self.model.cq.flush_overflow();
            let status = SqStatus::from_bits_retain(self.kernel.word(Word::SqFlags));
            let undone = fault.is_none() && status.contains(SqStatus::TASKRUN);
            assert!(!undone, "{call:?} has left work undone");
        }
        match answer {
            Ok(told) => {
                assert!(!refused, "a refused call");
                assert_eq!(told, if polled { fresh } else { taken }, "entries by {call:?}");
                self.model.sq.start_over();
                let cut = matches!(fault, Some(Fault::Short(_) | Fault::Interrupt(_)));
                if gets_events && came_through && !cut && !call.is_timed() {
                    let want = call.want().min(self.model.cq.capacity);
                    let there = self.model.cq.seen_by_kernel();
                    // An error of the wait is not told where entries were taken or something is
                    // there.
                    let told_of = taken == 0 && there == 0 && (!polled || queued == 0);
                    let lost = self.model.cq.lost > 0 && !told_of;
                    let silent = self.model.sq.rewinds && taken > 0;
                    assert!(there >= want || lost || silent, "{call:?}: {there} are there");
                }
            }
            Err(error) => {
                assert!(enters, "{error:?} by itself");
                if call.submits() {
                    let left = self.model.sq.len();
                    assert_eq!((error.taken, error.queued), (taken, left), "{error:?}");
                }
                self.judge_errno(before, error.errno, taken);
            }
        }
    }

    /// Whether a call may fail with an errno.
    fn judge_errno(&self, before: &Before, errno: Errno, taken: u32) {
        let Before { call, queued, fault, gets_events, .. } = *before;
        let there = self.model.cq.seen_by_kernel();
        let lacks = gets_events && there < call.want().min(self.model.cq.capacity);
        let in_vain = lacks && there == 0 && taken == 0;
        let expected = match fault {
            Some(Fault::Refuse(refused)) => errno == refused && taken == 0,
            Some(Fault::Short(0)) if queued > 0 && !self.config.is_polled() => {
                errno == Errno::AGAIN
            }
            Some(Fault::Interrupt(interrupted)) if lacks => errno == interrupted && in_vain,
            _ => match errno {
                Errno::DEADLK => lacks,
                Errno::TIME => call.is_timed() && (in_vain || self.config.is_polled()),
                Errno::BADR => self.model.cq.lost > 0 && taken == 0,
                _ => false,
            },
        };
        assert!(expected, "{call:?} with {fault:?} failed with {errno}, {there} are there");
    }

    /// How many slots a kernel without a polling thread takes of `queued`.
    fn foreseen(&self, queued: u32, fault: Option<Fault>) -> u32 {
        let most = match fault {
            Some(Fault::Refuse(_)) => 0,
            Some(Fault::Short(most)) => most,
            _ => u32::MAX,
        };
        let mut taken = 0;
        for entry in &self.model.sq.entries {
            if taken >= queued.min(most) {
                break;
            }
            taken += entry.slots;
            if is_end(entry) && !self.config.submit_all {
                break;
            }
        }
        taken
    }

    pub(super) fn wait_for_room(&mut self, queues: &mut Queues<'_, S, C>) {
        let polled = self.config.is_polled();
        let enters = polled && self.model.sq.room() == 0;
        let mut refused = None;
        if enters {
            self.model.sq.publish();
            let wakes = self.model.asleep;
            match self.model.faults.pop_front() {
                Some(Fault::Refuse(errno)) => refused = Some(errno),
                _ => self.model.asleep &= !wakes,
            }
        }
        let answer = queues.sq.wait_for_room();
        let taken = self.absorb_taken();
        self.absorb_posted();
        assert_eq!(answer.err(), refused);
        assert_eq!(taken > 0, enters && refused.is_none(), "{taken} slots were taken");
    }

    /// Both halves at once: pushes while it iterates, submits by one and waits by the other.
    pub(super) fn cross(&mut self, queues: &mut Queues<'_, S, C>, op: Op, want: u8) {
        let by_half = |kind| Call { kind, want, by_half: true };
        let Queues { sq, cq } = queues;
        self.model.cq.look();
        let mut drain = cq.drain();
        self.push(sq, op);
        let before = self.foresee(by_half(CallKind::Submit), false);
        let answer = sq.submit();
        self.judge(&before, answer);
        let mut popped = Vec::new();
        loop {
            // What has come meanwhile is for the next iteration.
            let next = drain.next().map(|cqe| cqe.completion());
            assert_eq!(next, self.model.cq.pop_known(), "the next of an iteration");
            let Some(next) = next else { break };
            popped.push(next);
        }
        self.model.cq.give_back();
        self.receive(popped);
        self.push(sq, op);
        for kind in [CallKind::WaitTimeout, CallKind::SubmitAndWaitTimeout] {
            self.call(queues, by_half(kind));
            self.pop(queues);
        }
    }
}

/// Whether an entry ends the submission that it is in, unless all are to be submitted.
fn is_end(entry: &Entry) -> bool {
    entry
        .origin
        .is_some_and(|origin| origin.op.kind == Kind::Unknown && origin.op.link == Link::None)
}
