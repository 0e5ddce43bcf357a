//! Entering the kernel: when, with which flags, and what went wrong.
//!
//! Whether to enter is decided by [`decide`], a pure function. Nothing is retried here: the
//! caller learns the exact errno, and what is still queued.

use core::ffi::c_void;

use rustix::io::Errno;

use crate::enter::call;
use crate::enter::enter_arg::EnterArg;
use crate::enter::submit_error::SubmitError;
use crate::entry::SqEntry;
use crate::entry::errno::errno_of_call;
use crate::ring::sq::Sq;
use crate::sys::{EnterFlags, Features, SetupFlags, SqStatus, io_uring_getevents_arg};

/// Flags that [`EnterArg`] and the ring's descriptor decide, and not the caller.
const DECIDED: EnterFlags =
    EnterFlags::EXT_ARG.union(EnterFlags::EXT_ARG_REG).union(EnterFlags::REGISTERED_RING);

/// The facts that decide how a ring is entered. Fixed once the ring is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Submitter {
    /// The descriptor, or the index of the registered one.
    pub(crate) fd: i32,
    /// What every call says: whether `fd` is an index.
    base: EnterFlags,
    kind: Kind,
    /// Why the ring cannot be used, if it cannot.
    reason: Errno,
    setup: SetupFlags,
    features: Features,
}

/// An [`EnterArg`] as the system call takes it.
#[derive(Clone, Copy)]
struct LaidOut {
    flags: EnterFlags,
    arg: *const c_void,
    size: usize,
}

impl LaidOut {
    const NONE: Self = Self { flags: EnterFlags::empty(), arg: core::ptr::null(), size: 0 };
}

/// How to enter a ring that was made by another process.
#[cfg(feature = "owned")]
static FORKED: Submitter = Submitter::unusable(Errno::CHILD);

/// The set-up flags that change when, or with which flags, a submit enters the kernel.
pub(crate) const CHANGE_SUBMIT: SetupFlags =
    SetupFlags::SQPOLL.union(SetupFlags::IOPOLL).union(SetupFlags::SQ_REWIND);

/// Which set-up flags change a submit. With the flags known to the compiler, little is left of
/// [`decide`].
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// None of the flags that change it.
    Plain,
    /// SQPOLL alone.
    Polled,
    /// Anything else.
    Special,
    /// The ring cannot be used: nothing is asked of the kernel.
    Unusable,
}

impl Kind {
    const fn of(setup: SetupFlags) -> Self {
        let special = setup.intersection(CHANGE_SUBMIT);
        if special.is_empty() {
            Self::Plain
        } else if special.difference(SetupFlags::SQPOLL).is_empty() {
            Self::Polled
        } else {
            Self::Special
        }
    }
}

/// Whether to enter the kernel, and with which flags: `None` for not at all.
///
/// `asked` are the flags that the caller wants; each of them is a reason to enter. `status` loads
/// the SQ flags, and `queued` the number of entries that are published and not yet taken: at most
/// once, and only if that can change the decision.
#[inline(always)]
pub(crate) fn decide(
    setup: SetupFlags,
    status: impl FnOnce() -> SqStatus,
    queued: impl FnOnce() -> u32,
    asked: EnterFlags,
) -> Option<EnterFlags> {
    let polled = setup.contains(SetupFlags::SQPOLL);
    if asked.contains(EnterFlags::GETEVENTS) && !polled {
        // GETEVENTS brings everything in, and there is no thread to wake.
        return Some(asked);
    }
    let status = status();
    // The polling thread takes entries by itself, unless it sleeps.
    let takes = polled && !status.contains(SqStatus::NEED_WAKEUP);
    let has_work = !takes && queued() > 0;
    // Only GETEVENTS brings in overflown completions and work that was put off. On a ring whose
    // completions are polled for, only GETEVENTS brings in any.
    let pending = status.intersects(SqStatus::CQ_OVERFLOW.union(SqStatus::TASKRUN))
        || setup.contains(SetupFlags::IOPOLL);
    if !has_work && !pending && asked.is_empty() {
        return None;
    }
    let mut flags = asked;
    if has_work && polled {
        flags = flags.union(EnterFlags::SQ_WAKEUP);
    }
    if pending {
        flags = flags.union(EnterFlags::GETEVENTS);
    }
    Some(flags)
}

impl Submitter {
    pub(crate) const fn new(
        fd: i32,
        base: EnterFlags,
        setup: SetupFlags,
        features: Features,
    ) -> Self {
        Self { fd, base, kind: Kind::of(setup), reason: Errno::CHILD, setup, features }
    }

    /// How to enter a ring that cannot be used: each call fails with `reason`.
    pub(crate) const fn unusable(reason: Errno) -> Self {
        Self {
            fd: -1,
            base: EnterFlags::empty(),
            kind: Kind::Unusable,
            reason,
            setup: SetupFlags::empty(),
            features: Features::all(),
        }
    }

    /// How to enter a ring from a process that did not make it.
    #[cfg(feature = "owned")]
    #[cold]
    pub(crate) fn forked() -> &'static Self {
        &FORKED
    }

    /// Fails if the ring cannot be used.
    #[inline(always)]
    pub(crate) const fn usable(&self) -> Result<(), Errno> {
        match self.kind {
            Kind::Unusable => Err(self.reason),
            _ => Ok(()),
        }
    }

    /// Whether a kernel thread takes entries when it likes.
    #[inline(always)]
    pub(crate) const fn is_polled(&self) -> bool {
        self.setup.contains(SetupFlags::SQPOLL)
    }

    /// Publishes what is pushed, and enters the kernel if there is a reason to.
    ///
    /// Returns how many entries the kernel took; with SQPOLL, how many it was newly shown.
    #[inline(always)]
    pub(crate) fn submit<S: SqEntry>(&self, sq: &mut Sq<S>) -> Result<u32, SubmitError> {
        let nothing = EnterFlags::empty();
        match self.kind {
            // Most of these calls do not enter the kernel, so the path itself counts.
            Kind::Polled => self.submit_as(SetupFlags::SQPOLL, sq, 0, nothing, LaidOut::NONE),
            _ => self.submit_asking(sq, 0, nothing, LaidOut::NONE),
        }
    }

    /// Publishes what is pushed and waits for `want` completions.
    #[inline(always)]
    pub(crate) fn submit_and_wait<S: SqEntry>(
        &self,
        sq: &mut Sq<S>,
        want: u32,
    ) -> Result<u32, SubmitError> {
        self.submit_asking(sq, want, EnterFlags::GETEVENTS, LaidOut::NONE)
    }

    /// Publishes what is pushed, and enters the kernel if there is a reason to, with flags and
    /// arguments of the caller's.
    #[inline(always)]
    pub(crate) fn submit_with<S: SqEntry>(
        &self,
        sq: &mut Sq<S>,
        want: u32,
        asked: EnterFlags,
        arg: EnterArg<'_>,
    ) -> Result<u32, SubmitError> {
        if let Err(errno) = self.check(&arg) {
            return Err(failed(sq, errno, 0));
        }
        let mut ext = io_uring_getevents_arg::ZEROED;
        let (by_arg, arg, size) = arg.lay_out(&mut ext);
        // Who waits asks for GETEVENTS. What lays the argument out stays here: an `EnterArg` whose
        // address goes elsewhere is put together in memory, and looked at again.
        let waits = if want > 0 { EnterFlags::GETEVENTS } else { EnterFlags::empty() };
        let asked = asked.difference(DECIDED).union(waits);
        self.submit_asking(sq, want, asked, LaidOut { flags: by_arg, arg, size })
    }

    /// Selects the path that the compiler specialised for the ring's set-up flags, if there is one.
    #[inline(always)]
    fn submit_asking<S: SqEntry>(
        &self,
        sq: &mut Sq<S>,
        want: u32,
        asked: EnterFlags,
        arg: LaidOut,
    ) -> Result<u32, SubmitError> {
        match self.kind {
            Kind::Plain => self.submit_as(SetupFlags::empty(), sq, want, asked, arg),
            _ => self.submit_special(sq, want, asked, arg.flags, arg.arg, arg.size),
        }
    }

    #[inline(never)]
    fn submit_special<S: SqEntry>(
        &self,
        sq: &mut Sq<S>,
        want: u32,
        asked: EnterFlags,
        flags: EnterFlags,
        arg: *const c_void,
        size: usize,
    ) -> Result<u32, SubmitError> {
        match self.usable() {
            Ok(()) => self.submit_as(self.setup, sq, want, asked, LaidOut { flags, arg, size }),
            Err(errno) => Err(failed(sq, errno, 0)),
        }
    }

    /// The path of every submit. `setup` holds those of the ring's set-up flags that change it.
    #[inline(always)]
    fn submit_as<S: SqEntry>(
        &self,
        setup: SetupFlags,
        sq: &mut Sq<S>,
        want: u32,
        asked: EnterFlags,
        arg: LaidOut,
    ) -> Result<u32, SubmitError> {
        let polled = setup.contains(SetupFlags::SQPOLL);
        let fresh = sq.unpublished();
        let tail = sq.show();
        let Some(flags) = decide(setup, || sq.status(polled), || sq.untaken(tail), asked) else {
            return Ok(if polled { fresh } else { 0 });
        };
        let queued = sq.untaken(tail);
        let flags = flags.union(arg.flags).union(self.base);
        let entered = self.enter(queued, want, flags, arg.arg, arg.size);
        Self::entered(setup, sq, fresh, queued, entered)
    }

    /// Publishes what is pushed, and enters the kernel with `flags` and no others.
    pub(crate) fn exactly<S: SqEntry>(
        &self,
        sq: &mut Sq<S>,
        want: u32,
        flags: EnterFlags,
        arg: EnterArg<'_>,
    ) -> Result<u32, SubmitError> {
        if let Err(errno) = self.usable().and_then(|()| self.check(&arg)) {
            return Err(failed(sq, errno, 0));
        }
        let fresh = sq.publish();
        let queued = sq.queued();
        let entered = self.call(queued, want, flags, arg);
        Self::entered(self.setup, sq, fresh, queued, entered)
    }

    /// Keeps the books of a queue after a call with `queued` entries, `fresh` of them new.
    #[inline(always)]
    fn entered<S: SqEntry>(
        setup: SetupFlags,
        sq: &mut Sq<S>,
        fresh: u32,
        queued: u32,
        entered: Result<u32, Errno>,
    ) -> Result<u32, SubmitError> {
        match entered {
            Ok(taken) => {
                if setup.contains(SetupFlags::SQ_REWIND) {
                    sq.taken(taken);
                }
                Ok(if setup.contains(SetupFlags::SQPOLL) { fresh } else { taken })
            }
            Err(errno) => Err(failed(sq, errno, queued)),
        }
    }

    /// Enters the kernel to wait, submitting nothing.
    #[inline(always)]
    pub(crate) fn wait(
        &self,
        want: u32,
        extra: EnterFlags,
        arg: EnterArg<'_>,
    ) -> Result<(), Errno> {
        self.usable()?;
        self.call(0, want, EnterFlags::GETEVENTS.union(extra), arg).map(|_| ())
    }

    /// Enters the kernel for what it has put off, unless `status` shows that there is nothing.
    #[inline(always)]
    pub(crate) fn get_events(&self, status: impl FnOnce() -> SqStatus) -> Result<(), Errno> {
        // Without TASKRUN_FLAG the kernel does not show what it has put off. Who polls for
        // completions finds them in the kernel alone.
        const SHOWN: SetupFlags = SetupFlags::TASKRUN_FLAG.union(SetupFlags::SQPOLL);
        let is_shown = self.setup.intersects(SHOWN) && !self.setup.contains(SetupFlags::IOPOLL);
        if is_shown && !status().intersects(SqStatus::CQ_OVERFLOW.union(SqStatus::TASKRUN)) {
            return Ok(());
        }
        self.wait(0, EnterFlags::empty(), EnterArg::None)
    }

    /// Waits until an SQPOLL thread has made room, if there is none.
    pub(crate) fn wait_for_room<S: SqEntry>(&self, sq: &mut Sq<S>) -> Result<(), Errno> {
        self.usable()?;
        if !self.is_polled() || sq.room() > 0 {
            return Ok(());
        }
        self.wait_for_thread(sq)
    }

    /// Has an SQPOLL thread make room; waits for that if there is none at all.
    pub(crate) fn wait_for_thread<S: SqEntry>(&self, sq: &mut Sq<S>) -> Result<(), Errno> {
        // The thread takes what it was shown, while it is awake: anything else would be waited
        // for without end.
        sq.publish();
        let mut flags = EnterFlags::SQ_WAIT;
        if sq.status(true).contains(SqStatus::NEED_WAKEUP) {
            flags = flags.union(EnterFlags::SQ_WAKEUP);
        }
        self.call(0, 0, flags, EnterArg::None).map(|_| ())
    }

    /// `EOPNOTSUPP` unless the kernel can do what `arg` asks for.
    #[inline(always)]
    pub(crate) fn check(&self, arg: &EnterArg<'_>) -> Result<(), Errno> {
        let needed = match arg {
            EnterArg::None | EnterArg::SigMask(_) => Features::empty(),
            EnterArg::Wait(wait) if wait.min_wait_usec > 0 => {
                Features::EXT_ARG | Features::MIN_TIMEOUT
            }
            EnterArg::Wait(_) | EnterArg::Registered { .. } => Features::EXT_ARG,
        };
        if self.features.contains(needed) { Ok(()) } else { Err(Errno::OPNOTSUPP) }
    }

    #[inline(always)]
    fn call(
        &self,
        to_submit: u32,
        want: u32,
        flags: EnterFlags,
        arg: EnterArg<'_>,
    ) -> Result<u32, Errno> {
        let mut ext = io_uring_getevents_arg::ZEROED;
        let (by_arg, arg, size) = arg.lay_out(&mut ext);
        let flags = flags.difference(DECIDED).union(by_arg).union(self.base);
        self.enter(to_submit, want, flags, arg, size)
    }

    #[inline(always)]
    fn enter(
        &self,
        to_submit: u32,
        want: u32,
        flags: EnterFlags,
        arg: *const c_void,
        arg_size: usize,
    ) -> Result<u32, Errno> {
        // SAFETY:
        // 1. `arg` is null, or from `EnterArg::lay_out`: an offset that the kernel checks, or valid
        //    for the call: what it points to is borrowed by the callers. The kernel only reads it.
        // 2. The entries that this hands over were pushed under the contract of
        //    `SubmissionQueue::push`, which is what makes them the kernel's to carry out.
        let result = unsafe { call::enter(self.fd, to_submit, want, flags, arg, arg_size) };
        result.map_err(errno_of_call)
    }
}

/// What a failed call left behind, of `queued` entries before it.
#[cold]
fn failed<S: SqEntry>(sq: &Sq<S>, errno: Errno, queued: u32) -> SubmitError {
    let left = sq.queued();
    SubmitError { errno, taken: queued.saturating_sub(left), queued: left }
}

#[cfg(test)]
mod tests {
    use super::{Errno, SubmitError, Submitter, decide};
    use crate::sys::{EnterFlags, SetupFlags, SqStatus};

    const NONE: SqStatus = SqStatus::empty();
    const DEFAULT: SetupFlags = SetupFlags::empty();
    const IOPOLL: SetupFlags = SetupFlags::IOPOLL;
    const SQPOLL: SetupFlags = SetupFlags::SQPOLL;
    const NOTHING: EnterFlags = EnterFlags::empty();
    const EVENTS: EnterFlags = EnterFlags::GETEVENTS;
    const STAY: Option<EnterFlags> = None;
    const PLAIN: Option<EnterFlags> = Some(EnterFlags::empty());
    const WAKE: Option<EnterFlags> = Some(EnterFlags::SQ_WAKEUP);
    const GET: Option<EnterFlags> = Some(EnterFlags::GETEVENTS);
    const BOTH: Option<EnterFlags> = Some(EnterFlags::SQ_WAKEUP.union(EnterFlags::GETEVENTS));

    #[test]
    fn entering_is_decided_by_table() {
        let table = [
            // set-up, status, queued, asked, decision
            (DEFAULT, NONE, 0, NOTHING, STAY),
            (DEFAULT, NONE, 1, NOTHING, PLAIN),
            (DEFAULT, NONE, 0, EVENTS, GET),
            (DEFAULT, NONE, 7, EVENTS, GET),
            (DEFAULT, SqStatus::CQ_OVERFLOW, 0, NOTHING, GET),
            (DEFAULT, SqStatus::TASKRUN, 0, NOTHING, GET),
            (DEFAULT, SqStatus::CQ_OVERFLOW, 2, NOTHING, GET),
            // Without a polling thread, nobody needs to be woken.
            (DEFAULT, SqStatus::NEED_WAKEUP, 0, NOTHING, STAY),
            (DEFAULT, SqStatus::NEED_WAKEUP, 1, NOTHING, PLAIN),
            (SQPOLL, NONE, 0, NOTHING, STAY),
            (SQPOLL, NONE, 5, NOTHING, STAY),
            (SQPOLL, SqStatus::NEED_WAKEUP, 5, NOTHING, WAKE),
            // It sleeps, and rightly: there is nothing for it to do.
            (SQPOLL, SqStatus::NEED_WAKEUP, 0, NOTHING, STAY),
            (SQPOLL, SqStatus::NEED_WAKEUP, 0, EVENTS, GET),
            (SQPOLL, SqStatus::NEED_WAKEUP, 5, EVENTS, BOTH),
            (SQPOLL, NONE, 5, EVENTS, GET),
            (SQPOLL, SqStatus::CQ_OVERFLOW, 0, NOTHING, GET),
            (SQPOLL, SqStatus::CQ_OVERFLOW.union(SqStatus::NEED_WAKEUP), 1, NOTHING, BOTH),
            (IOPOLL, NONE, 0, NOTHING, GET),
            (IOPOLL, NONE, 1, NOTHING, GET),
            (IOPOLL.union(SQPOLL), NONE, 1, NOTHING, GET),
            (IOPOLL.union(SQPOLL), SqStatus::NEED_WAKEUP, 1, NOTHING, BOTH),
            // A flag of a newer kernel changes nothing.
            (DEFAULT, SqStatus::from_bits_retain(1 << 30), 0, NOTHING, STAY),
        ];
        for (setup, status, queued, asked, decision) in table {
            let decided = decide(setup, || status, || queued, asked);
            assert_eq!(decided, decision, "{setup:?} {status:?} queued {queued} {asked:?}");
        }
    }

    #[test]
    fn a_ring_that_cannot_be_used_is_not_entered_and_says_why() {
        for reason in [Errno::CHILD, Errno::STALE] {
            let enter = Submitter::unusable(reason);
            assert_eq!(enter.usable(), Err(reason));
            assert_eq!(enter.get_events(SqStatus::empty), Err(reason));
            let text = std::format!("{}", SubmitError { errno: reason, taken: 0, queued: 0 });
            assert!(text.contains("make a new ring"), "{text}");
        }
    }
}
