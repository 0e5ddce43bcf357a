//! [`SafeRing`]: a ring on which everything was pushed by its jobs.

use core::fmt;
use core::mem::ManuallyDrop;
use core::ptr::NonNull;

use rustix::io::Errno;

use crate::entry::{CqEntry, Cqe, OneWidth, SafeSqe, SqEntry, Sqe};
use crate::setup::build_error::BuildError;
use crate::setup::builder::Builder;
use crate::sys::{Features, SetupFlags};
use crate::uring::IoUring;
use crate::uring::thread::{AnyThread, OneThread};

use super::drain::AtEnd;
use super::owes::Owes;
use super::place::Place;
use super::table::Jobs;

/// A ring on which everything is pushed by its [`Jobs`], so that programs need no `unsafe`.
///
/// It is made fresh, and hides its descriptor and its queues: nobody else can push to it, name it,
/// or post to it (J1 in [the module's documentation](super)).
///
/// ```
/// use ringbolt::jobs::{Place, SafeRing};
/// use ringbolt::ops::Read;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let file = std::fs::File::open("Cargo.toml")?;
/// let mut buf = [0; 4096];
/// let mut ring = SafeRing::new(8)?;
/// let len = ring.scope(&mut [Place::new()], |jobs| -> Result<_, Box<dyn std::error::Error>> {
///     jobs.start(&mut buf, |buf| Read::lent(&file, buf).offset(0).op())?;
///     let event = jobs.wait_next()?.ok_or("no job")?;
///     Ok(event.result()? as usize)
/// })?;
/// assert!(buf[..len].starts_with(b"["));
/// # Ok(())
/// # }
/// ```
pub struct SafeRing<Th = OneThread, S: SqEntry + OneWidth = Sqe, C: CqEntry + OneWidth = Cqe> {
    /// Absent while a scope has it.
    inner: Option<Inner<Th, S, C>>,
}

/// The ring, and what it owns for its jobs.
pub(super) struct Inner<Th, S: SqEntry, C: CqEntry> {
    pub(super) ring: IoUring<S, C, Th>,
    /// Whether the kernel lacks cancelling of everything (before Linux 5.19).
    pub(super) no_cancel_all: bool,
    #[cfg(feature = "alloc")]
    pub(super) owned: super::owned::Owned,
}

impl<Th, S: SqEntry + OneWidth, C: CqEntry + OneWidth> Inner<Th, S, C> {
    fn new(ring: IoUring<S, C, Th>) -> Self {
        // J1: no test forges completions of jobs.
        ring.handle.keep_honest();
        Self {
            ring,
            no_cancel_all: false,
            #[cfg(feature = "alloc")]
            owned: super::owned::Owned::default(),
        }
    }

    /// Queues an entry of the front's own, if there is room. Returns whether there was.
    pub(super) fn push_control(&mut self, entry: SafeSqe) -> bool {
        if !self.is_here() {
            return false;
        }
        let sq = &mut self.ring.sq;
        if !sq.is_ready() && sq.find_room(1).is_err() {
            return false;
        }
        // SAFETY: there is room, and the entry names no memory.
        unsafe { sq.push_known(Sqe::from(entry).into()) };
        true
    }

    /// Whether there is a waker, so that waiting makes sense without jobs.
    #[cfg(feature = "alloc")]
    pub(super) fn has_waker(&self) -> bool {
        self.owned.waker.is_some()
    }

    /// Whether there is a waker: none without an allocator.
    #[cfg(not(feature = "alloc"))]
    pub(super) const fn has_waker(&self) -> bool {
        false
    }

    /// Whether the waker was used since the last call.
    #[cfg(feature = "alloc")]
    pub(super) fn take_wake(&mut self) -> bool {
        self.owned.take_wake()
    }

    /// Whether the waker was used: there is none without an allocator.
    #[cfg(not(feature = "alloc"))]
    pub(super) const fn take_wake(&self) -> bool {
        false
    }

    /// A cancellation of everything has completed.
    pub(super) fn note_cancel_all(&mut self, result: i32) {
        self.no_cancel_all |= result == -Errno::INVAL.raw_os_error();
    }

    /// The poll of the waker has completed.
    pub(super) fn note_wake(&mut self, result: i32) {
        #[cfg(feature = "alloc")]
        self.owned.note_wake(result);
        #[cfg(not(feature = "alloc"))]
        let _ = result;
    }

    /// Whether this process made the ring.
    #[inline(always)]
    pub(super) fn is_here(&self) -> bool {
        self.ring.handle.home().is_here()
    }

    /// Ends what the jobs of one scope could name. Nothing is in flight.
    pub(super) fn end_scope(&mut self) {
        #[cfg(feature = "alloc")]
        if self.is_here() {
            self.owned.end_groups(self.ring.registrar());
        }
    }

    /// Takes back what a completion owned and nobody took.
    pub(super) fn give_back(&mut self, owes: Owes) {
        match owes {
            Owes::Nothing | Owes::Chain(_) => {}
            Owes::Descriptor(fd) => drop(fd),
            #[cfg(feature = "alloc")]
            Owes::Slot(slot) => self.owned.empty(slot),
            #[cfg(feature = "alloc")]
            Owes::Buffer(lent) => {
                let mut lent = Some(lent);
                while let Some(received) = self.owned.receive(&mut lent) {
                    drop(received);
                }
            }
            // Slots and buffers are given out by what needs an allocator.
            #[cfg(not(feature = "alloc"))]
            Owes::Slot(_) | Owes::Buffer(_) => {}
        }
    }
}

impl SafeRing {
    /// Makes a ring with `entries` submission slots, for this thread, as
    /// [`IoUring::local`](crate::IoUring::local) does.
    ///
    /// # Errors
    ///
    /// See [`BuildError`].
    pub fn new(entries: u32) -> Result<Self, BuildError> {
        Self::build_local(&Builder::new(), entries)
    }
}

impl<S: SqEntry + OneWidth, C: CqEntry + OneWidth> SafeRing<OneThread, S, C> {
    /// Makes a ring for this thread, as [`Builder::local`] does, with the options of `builder`.
    ///
    /// SUBMIT_ALL is added, since Linux 5.18: a submission never stops in the middle of a chain.
    ///
    /// The builder may be one of a simulated kernel (feature `sim`), for tests.
    ///
    /// # Errors
    ///
    /// See [`BuildError`]; [`BuildError::NotForJobs`] for options that the safe front cannot
    /// have: IOPOLL, and rings that are built disabled.
    pub fn build_local(builder: &Builder<'_, S, C>, entries: u32) -> Result<Self, BuildError> {
        fit(builder)?;
        Ok(Self { inner: Some(Inner::new(builder.local(entries)?)) })
    }
}

impl<S: SqEntry + OneWidth, C: CqEntry + OneWidth> SafeRing<AnyThread, S, C> {
    /// Makes a ring that can be sent to another thread, with the options of `builder`.
    ///
    /// SUBMIT_ALL is added where the kernel has it.
    ///
    /// # Errors
    ///
    /// As [`build_local`](SafeRing::build_local).
    pub fn build(builder: &Builder<'_, S, C>, entries: u32) -> Result<Self, BuildError> {
        fit(builder)?;
        let with = builder.clone().flags(SetupFlags::SUBMIT_ALL).build(entries);
        let ring = match with {
            Err(BuildError::Invalid { .. }) => builder.build(entries)?,
            other => other?,
        };
        Ok(Self { inner: Some(Inner::new(ring)) })
    }
}

impl<Th, S: SqEntry + OneWidth, C: CqEntry + OneWidth> SafeRing<Th, S, C> {
    /// A ring from its parts.
    pub(super) const fn from_inner(inner: Inner<Th, S, C>) -> Self {
        Self { inner: Some(inner) }
    }

    /// The ring, which is there unless a scope has it.
    fn inner(&self) -> &Inner<Th, S, C> {
        match &self.inner {
            Some(inner) => inner,
            // A scope borrows the ring exclusively, and puts it back or aborts.
            None => unreachable!("a scope has the ring"),
        }
    }

    /// Runs `f` with jobs that may borrow whatever outlives the scope, and that need no allocator.
    ///
    /// When `f` returns or panics, everything that is still in flight is cancelled and waited for,
    /// as long as that takes, and the values are dropped. So an operation that can neither be
    /// cancelled nor ends (a read from a dead network file system) keeps the scope from ending, as
    /// it would keep `read(2)` from returning.
    ///
    /// If it cannot be known whether an operation is still in flight, because the kernel has
    /// dropped completions or refuses to be entered, **the process is aborted**: the scope must not
    /// end while the kernel may write to what it has borrowed. Owned jobs
    /// ([`into_jobs`](Self::into_jobs)) leak in that case: servers prefer those.
    ///
    /// # Panics
    ///
    /// If there are more than 2^24 - 2 places.
    pub fn scope<'env, T: 'env, R>(
        &mut self,
        places: &mut [Place<T>],
        f: impl for<'scope> FnOnce(&mut Jobs<'scope, 'env, T, Th, S, C>) -> R,
    ) -> R {
        assert!(places.len() <= super::user_data::MAX_PLACES as usize, "too many places");
        let Some(inner) = self.inner.take() else { unreachable!("a scope has the ring") };
        let start = NonNull::from(&mut *places).cast();
        // SAFETY: the places are borrowed until this returns, and `Scoped` drains before that, or
        // aborts.
        let jobs = unsafe { Jobs::on(inner, start, places.len()) };
        let jobs = ManuallyDrop::new(jobs);
        let mut scoped = AtEnd { jobs, home: &mut self.inner };
        f(&mut scoped.jobs)
    }

    /// Turns the ring into jobs that own their values, in `places` places: at most so many are in
    /// flight at once. The places are allocated here; nothing is allocated for a job.
    ///
    /// The operations borrow from their values and from statics alone. A closure that captures a
    /// reference to something else does not compile ("does not live long enough"): put it into the
    /// value, or use a [`scope`](Self::scope).
    ///
    /// # Panics
    ///
    /// If there are more than 2^24 - 2 places.
    #[cfg(feature = "alloc")]
    pub fn into_jobs<T: 'static>(self, places: u32) -> super::OwnedJobs<T, Th, S, C> {
        use alloc::boxed::Box;

        assert!(places <= super::user_data::MAX_PLACES, "too many places");
        let Some(inner) = self.inner else { unreachable!("a scope has the ring") };
        let places: Box<[Place<T>]> = (0..places).map(|_| Place::new()).collect();
        let len = places.len();
        // Not a `Box` from here on: moving that would claim the values for itself (J2).
        let start = NonNull::from(Box::leak(places)).cast();
        // SAFETY: the places are leaked; `Jobs` frees them when it has drained.
        unsafe { Jobs::on(inner, start, len) }
    }

    /// What the kernel's rings can do.
    pub fn features(&self) -> Features {
        self.inner().ring.features()
    }

    /// The flags that the ring was set up with.
    pub fn setup_flags(&self) -> SetupFlags {
        self.inner().ring.setup_flags()
    }

    /// How many submission slots and completion slots the ring has.
    pub fn entries(&self) -> (u32, u32) {
        let params = self.inner().ring.params();
        (params.sq_entries, params.cq_entries)
    }
}

// SAFETY: the ring can be sent if it is not bound to a thread. What else is here is either atomic,
// or made only for rings that are: `Jobs::provide` and `Jobs::reserve_files` are for `OneThread`.
unsafe impl<S: SqEntry, C: CqEntry> Send for Inner<AnyThread, S, C> {}

/// Refuses options that the safe front cannot have.
fn fit<S: SqEntry, C: CqEntry>(builder: &Builder<'_, S, C>) -> Result<(), BuildError> {
    let refused = builder.asked_for() & (SetupFlags::IOPOLL | SetupFlags::R_DISABLED);
    if refused.is_empty() { Ok(()) } else { Err(BuildError::NotForJobs { flags: refused }) }
}

impl<Th, S: SqEntry + OneWidth, C: CqEntry + OneWidth> fmt::Debug for SafeRing<Th, S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SafeRing")
            .field("ring", &self.inner.as_ref().map(|inner| &inner.ring))
            .finish_non_exhaustive()
    }
}
