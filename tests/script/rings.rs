//! The ring of a script, whole or in halves, and its queues, borrowed.

use ringbolt::register::Registrar;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::EnterFlags;
use ringbolt::{
    CompletionQueue, EnterArg, LocalIoUring, OneThread, OwnedCompletionQueue, OwnedSubmissionQueue,
    SubmissionQueue, SubmitError, Timespec,
};

use super::action::{Call, CallKind, Half};
use super::kinds::{Completed, Submitted};

/// The ring, or its halves.
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
pub(super) enum Rings<S: Submitted, C: Completed> {
    Whole(LocalIoUring<S, C>),
    Halves(OwnedSubmissionQueue<S, OneThread>, OwnedCompletionQueue<C, OneThread>),
    /// It is being taken apart.
    Nowhere,
}

/// Both halves, borrowed. They may be held while a lot happens, or be borrowed anew each time.
pub(super) struct Queues<'r, S: Submitted, C: Completed> {
    pub(super) sq: SubmissionQueue<'r, S, OneThread>,
    pub(super) cq: CompletionQueue<'r, C, OneThread>,
}

/// What came of a call: how many entries, or why not.
pub(super) type Answer = Result<u32, SubmitError>;

/// A while, of virtual time.
const WHILE: Timespec = Timespec::new(1, 0);
/// Microseconds after which one completion will do.
const MIN_WAIT: u32 = 1000;

impl<S: Submitted, C: Completed> Rings<S, C> {
    pub(super) const fn is_whole(&self) -> bool {
        matches!(self, Self::Whole(_))
    }

    pub(super) fn queues(&mut self) -> Queues<'_, S, C> {
        let (sq, cq) = match self {
            Self::Whole(ring) => ring.split(),
            Self::Halves(submission, completion) => (submission.queue(), completion.queue()),
            Self::Nowhere => unreachable!("the ring is somewhere"),
        };
        Queues { sq, cq }
    }

    /// Takes the ring apart for good.
    pub(super) fn take_apart(&mut self) {
        match core::mem::replace(self, Self::Nowhere) {
            Self::Whole(ring) => {
                let (submission, completion) = ring.into_halves();
                *self = Self::Halves(submission, completion);
            }
            halves => *self = halves,
        }
    }

    pub(super) fn registrar(&self) -> Registrar<'_> {
        match self {
            Self::Whole(ring) => ring.registrar(),
            Self::Halves(submission, _) => submission.registrar(),
            Self::Nowhere => unreachable!("the ring is somewhere"),
        }
    }

    /// Makes a call by the ring, if it is whole.
    pub(super) fn call(&mut self, call: Call) -> Answer {
        let want = call.want();
        let Self::Whole(ring) = self else { return self.queues().call(call) };
        match call.kind {
            CallKind::Submit => ring.submit(),
            CallKind::SubmitAndWait => ring.submit_and_wait(want),
            CallKind::SubmitAndWaitTimeout => ring.submit_and_wait_timeout(want, WHILE),
            CallKind::SubmitAndWaitMinTimeout => {
                ring.submit_and_wait_min_timeout(want, WHILE, MIN_WAIT)
            }
            CallKind::SubmitAndGetEvents => {
                ring.submit_with(0, EnterFlags::GETEVENTS, EnterArg::None)
            }
            CallKind::Wait => waited(ring.wait(want)),
            CallKind::WaitTimeout => waited(ring.completion().wait_timeout(want, WHILE)),
            CallKind::GetEvents => waited(ring.get_events()),
        }
    }
}

impl<S: Submitted, C: Completed> Queues<'_, S, C> {
    /// Makes a call by the half that it belongs to.
    pub(super) fn call(&mut self, call: Call) -> Answer {
        let Self { sq, cq } = self;
        let want = call.want();
        match call.kind {
            CallKind::Submit => sq.submit(),
            CallKind::SubmitAndWait => sq.submit_and_wait(want),
            CallKind::SubmitAndWaitTimeout => sq.submit_and_wait_timeout(want, WHILE),
            CallKind::SubmitAndWaitMinTimeout => {
                sq.submit_and_wait_min_timeout(want, WHILE, MIN_WAIT)
            }
            CallKind::SubmitAndGetEvents => {
                sq.submit_with(0, EnterFlags::GETEVENTS, EnterArg::None)
            }
            CallKind::Wait => waited(cq.wait(want)),
            CallKind::WaitTimeout => waited(cq.wait_timeout(want, WHILE)),
            CallKind::GetEvents => waited(cq.get_events()),
        }
    }

    /// Forgets a half or both; drops the other.
    pub(super) fn forget(self, half: Half) {
        let Self { sq, cq } = self;
        if half != Half::Completion {
            core::mem::forget(sq);
        }
        if half != Half::Submission {
            core::mem::forget(cq);
        }
    }
}

/// The answer of a call that submits nothing.
fn waited(waited: Result<(), Errno>) -> Answer {
    waited.map(|()| 0).map_err(|errno| SubmitError { errno, taken: 0, queued: 0 })
}
