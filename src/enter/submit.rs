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
pub(crate) struct Enter {
    /// The descriptor, or the index of the registered one.
    pub(crate) fd: i32,
    /// What every call says: whether `fd` is an index.
    base: EnterFlags,
    /// The arguments of a call that waits.
    waiting: EnterFlags,
    kind: Kind,
    /// Why the ring cannot be used, if it cannot.
    reason: Errno,
    setup: SetupFlags,
    features: Features,
}

/// How to enter a ring that was made by another process.
#[cfg(feature = "owned")]
static FORKED: Enter = Enter::unusable(Errno::CHILD);

/// What there is to a submit: with the flags known to the compiler, little is left of [`decide`].
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
        const POLLED: SetupFlags = SetupFlags::SQPOLL;
        let special =
            setup.intersection(POLLED.union(SetupFlags::IOPOLL).union(SetupFlags::SQ_REWIND));
        if special.is_empty() {
            Self::Plain
        } else if special.difference(POLLED).is_empty() {
            Self::Polled
        } else {
            Self::Special
        }
    }
}

/// Whether to enter the kernel, and with which flags: `None` for not at all.
///
/// `queued` entries are published and not yet taken, `want` completions are to be waited for.
/// `status` loads the SQ flags, `queued` the SQ head: at most once, and only if that can change the
/// decision.
#[inline(always)]
pub(crate) fn decide(
    setup: SetupFlags,
    status: impl FnOnce() -> SqStatus,
    queued: impl FnOnce() -> u32,
    want: u32,
) -> Option<EnterFlags> {
    if want > 0 && !setup.contains(SetupFlags::SQPOLL) {
        // Waiting brings everything in, and there is nobody to wake.
        return Some(EnterFlags::GETEVENTS);
    }
    let status = status();
    let mut flags = EnterFlags::empty();
    let mut enter;
    if setup.contains(SetupFlags::SQPOLL) {
        // The polling thread takes entries by itself, unless it sleeps.
        enter = status.contains(SqStatus::NEED_WAKEUP) && queued() > 0;
        if enter {
            flags = flags.union(EnterFlags::SQ_WAKEUP);
        }
    } else {
        enter = queued() > 0;
    }
    // Overflown completions, and work that was put off, are brought in by GETEVENTS alone; so
    // is everything on a ring whose completions are polled for.
    let pending = status.intersects(SqStatus::CQ_OVERFLOW.union(SqStatus::TASKRUN));
    if want > 0 || pending || setup.contains(SetupFlags::IOPOLL) {
        flags = flags.union(EnterFlags::GETEVENTS);
        enter = true;
    }
    if enter { Some(flags) } else { None }
}

impl Enter {
    pub(crate) const fn new(
        fd: i32,
        base: EnterFlags,
        setup: SetupFlags,
        features: Features,
    ) -> Self {
        let waiting = base.union(EnterFlags::GETEVENTS);
        Self { fd, base, waiting, kind: Kind::of(setup), reason: Errno::CHILD, setup, features }
    }

    /// How to enter a ring that cannot be used: each call fails with `reason`.
    pub(crate) const fn unusable(reason: Errno) -> Self {
        let none = EnterFlags::empty();
        Self {
            fd: -1,
            base: none,
            waiting: none,
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
        match self.kind {
            Kind::Plain => {
                let tail = sq.show();
                let queued = sq.untaken(tail);
                let status = || sq.status(false);
                match decide(SetupFlags::empty(), status, || queued, 0) {
                    Some(flags) => self.hand_over(sq, queued, 0, flags.union(self.base)),
                    None => Ok(0),
                }
            }
            Kind::Polled => {
                let fresh = sq.unpublished();
                let tail = sq.show();
                match decide(SetupFlags::SQPOLL, || sq.status(true), || sq.untaken(tail), 0) {
                    Some(flags) => {
                        let queued = sq.untaken(tail);
                        self.hand_over(sq, queued, 0, flags.union(self.base)).map(|_| fresh)
                    }
                    None => Ok(fresh),
                }
            }
            Kind::Special | Kind::Unusable => {
                self.submit_any(sq, 0, EnterFlags::empty(), core::ptr::null(), 0)
            }
        }
    }

    /// Publishes what is pushed and waits for `want` completions.
    #[inline(always)]
    pub(crate) fn submit_and_wait<S: SqEntry>(
        &self,
        sq: &mut Sq<S>,
        want: u32,
    ) -> Result<u32, SubmitError> {
        match self.kind {
            Kind::Plain => {
                let tail = sq.show();
                let queued = sq.untaken(tail);
                self.hand_over(sq, queued, want, self.waiting)
            }
            Kind::Polled | Kind::Special | Kind::Unusable => {
                self.submit_any(sq, want, EnterFlags::GETEVENTS, core::ptr::null(), 0)
            }
        }
    }

    /// Enters the kernel with `queued` entries that are published.
    #[inline(always)]
    fn hand_over<S: SqEntry>(
        &self,
        sq: &Sq<S>,
        queued: u32,
        want: u32,
        flags: EnterFlags,
    ) -> Result<u32, SubmitError> {
        match self.enter(queued, want, flags, core::ptr::null(), 0) {
            Ok(taken) => Ok(taken),
            Err(errno) => Err(failed(sq, errno, queued)),
        }
    }

    /// Publishes what is pushed, and enters the kernel if there is a reason to, with flags and
    /// arguments of the caller's.
    #[inline(always)]
    pub(crate) fn submit_with<S: SqEntry>(
        &self,
        sq: &mut Sq<S>,
        want: u32,
        extra: EnterFlags,
        arg: EnterArg<'_>,
    ) -> Result<u32, SubmitError> {
        if let Err(errno) = self.check(&arg) {
            return Err(failed(sq, errno, 0));
        }
        let mut ext = io_uring_getevents_arg::ZEROED;
        let (flags, arg, size) = arg.lay_out(&mut ext);
        // What lays the argument out stays here: an `EnterArg` whose address goes elsewhere is put
        // together in memory, and looked at again.
        let flags = flags.union(extra.difference(DECIDED));
        match self.kind {
            Kind::Plain => self.submit_plain(sq, want, flags, arg, size),
            _ => self.submit_any(sq, want, flags, arg, size),
        }
    }

    #[inline(always)]
    fn submit_plain<S: SqEntry>(
        &self,
        sq: &mut Sq<S>,
        want: u32,
        mut flags: EnterFlags,
        arg: *const c_void,
        size: usize,
    ) -> Result<u32, SubmitError> {
        let tail = sq.show();
        let queued = sq.untaken(tail);
        // Nothing else is ever added on a plain ring.
        if !flags.contains(EnterFlags::GETEVENTS) {
            match decide(SetupFlags::empty(), || sq.status(false), || queued, want) {
                Some(decided) => flags = flags.union(decided),
                None if flags.difference(DECIDED).is_empty() => return Ok(0),
                None => {}
            }
        }
        match self.enter(queued, want, flags.union(self.base), arg, size) {
            Ok(taken) => Ok(taken),
            Err(errno) => Err(failed(sq, errno, queued)),
        }
    }

    #[inline(never)]
    fn submit_any<S: SqEntry>(
        &self,
        sq: &mut Sq<S>,
        want: u32,
        flags: EnterFlags,
        arg: *const c_void,
        size: usize,
    ) -> Result<u32, SubmitError> {
        if let Err(errno) = self.usable() {
            return Err(failed(sq, errno, 0));
        }
        let fresh = sq.publish();
        let queued = sq.queued();
        let polled = self.is_polled();
        let flags = match decide(self.setup, || sq.status(polled), || queued, want) {
            Some(decided) => flags.union(decided),
            None if flags.difference(DECIDED).is_empty() => return Ok(fresh),
            None => flags,
        };
        let entered = self.enter(queued, want, flags.union(self.base), arg, size);
        self.entered(sq, fresh, queued, entered)
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
        self.entered(sq, fresh, queued, entered)
    }

    /// Keeps the books of any queue after a call with `queued` entries, `fresh` of them new.
    #[inline(always)]
    fn entered<S: SqEntry>(
        &self,
        sq: &mut Sq<S>,
        fresh: u32,
        queued: u32,
        entered: Result<u32, Errno>,
    ) -> Result<u32, SubmitError> {
        match entered {
            Ok(taken) => {
                sq.taken(taken);
                Ok(if self.is_polled() { fresh } else { taken })
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
    use super::{Enter, Errno, SubmitError, decide};
    use crate::sys::{EnterFlags, SetupFlags, SqStatus};

    const NONE: SqStatus = SqStatus::empty();
    const DEFAULT: SetupFlags = SetupFlags::empty();
    const IOPOLL: SetupFlags = SetupFlags::IOPOLL;
    const SQPOLL: SetupFlags = SetupFlags::SQPOLL;
    const STAY: Option<EnterFlags> = None;
    const PLAIN: Option<EnterFlags> = Some(EnterFlags::empty());
    const WAKE: Option<EnterFlags> = Some(EnterFlags::SQ_WAKEUP);
    const GET: Option<EnterFlags> = Some(EnterFlags::GETEVENTS);
    const BOTH: Option<EnterFlags> = Some(EnterFlags::SQ_WAKEUP.union(EnterFlags::GETEVENTS));

    #[test]
    fn entering_is_decided_by_table() {
        let table = [
            // set-up, status, queued, want, decision
            (DEFAULT, NONE, 0, 0, STAY),
            (DEFAULT, NONE, 1, 0, PLAIN),
            (DEFAULT, NONE, 0, 1, GET),
            (DEFAULT, NONE, 7, 3, GET),
            (DEFAULT, SqStatus::CQ_OVERFLOW, 0, 0, GET),
            (DEFAULT, SqStatus::TASKRUN, 0, 0, GET),
            (DEFAULT, SqStatus::CQ_OVERFLOW, 2, 0, GET),
            // Without a polling thread, nobody needs to be woken.
            (DEFAULT, SqStatus::NEED_WAKEUP, 0, 0, STAY),
            (DEFAULT, SqStatus::NEED_WAKEUP, 1, 0, PLAIN),
            (SQPOLL, NONE, 0, 0, STAY),
            (SQPOLL, NONE, 5, 0, STAY),
            (SQPOLL, SqStatus::NEED_WAKEUP, 5, 0, WAKE),
            // It sleeps, and rightly: there is nothing for it to do.
            (SQPOLL, SqStatus::NEED_WAKEUP, 0, 0, STAY),
            (SQPOLL, SqStatus::NEED_WAKEUP, 0, 1, GET),
            (SQPOLL, SqStatus::NEED_WAKEUP, 5, 1, BOTH),
            (SQPOLL, NONE, 5, 1, GET),
            (SQPOLL, SqStatus::CQ_OVERFLOW, 0, 0, GET),
            (SQPOLL, SqStatus::CQ_OVERFLOW.union(SqStatus::NEED_WAKEUP), 1, 0, BOTH),
            (IOPOLL, NONE, 0, 0, GET),
            (IOPOLL, NONE, 1, 0, GET),
            (IOPOLL.union(SQPOLL), NONE, 1, 0, GET),
            (IOPOLL.union(SQPOLL), SqStatus::NEED_WAKEUP, 1, 0, BOTH),
            // A flag of a newer kernel changes nothing.
            (DEFAULT, SqStatus::from_bits_retain(1 << 30), 0, 0, STAY),
        ];
        for (setup, status, queued, want, decision) in table {
            let decided = decide(setup, || status, || queued, want);
            assert_eq!(decided, decision, "{setup:?} {status:?} queued {queued} want {want}");
        }
    }

    #[test]
    fn a_ring_that_cannot_be_used_is_not_entered_and_says_why() {
        for reason in [Errno::CHILD, Errno::STALE] {
            let enter = Enter::unusable(reason);
            assert_eq!(enter.usable(), Err(reason));
            assert_eq!(enter.get_events(SqStatus::empty), Err(reason));
            let text = std::format!("{}", SubmitError { errno: reason, taken: 0, queued: 0 });
            assert!(text.contains("make a new ring"), "{text}");
        }
    }
}
