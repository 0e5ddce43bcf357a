//! From wishes to a ring: [`Builder`].

mod check;
mod local;
mod make;

pub use check::MemoryNeeded;

use core::marker::PhantomData;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::enter::call::Simulated;
use crate::entry::errno::errno_of_call;
use crate::entry::{CqEntry, Cqe, Cqe32, CqeMixed, SqEntry, Sqe, Sqe128, SqeMixed};
use crate::ops::target::fd_bits;
use crate::ring::home::Home;
use crate::ring::layout::Layout;
use crate::ring::map::{Memory, RingMemory};
use crate::setup::build_error::BuildError;
use crate::setup::disabled::DisabledIoUring;
use crate::sys::{self, Features, SetupFlags, io_uring_params};
use crate::uring::IoUring;
use crate::uring::handle::{Handle, RingFd};
use crate::uring::thread::{AnyThread, NoFd, OneThread};

/// The most submission entries that a ring can have.
pub const MAX_ENTRIES: u32 = 32_768;

/// The most completion entries that a ring can have.
pub const MAX_CQ_ENTRIES: u32 = 2 * MAX_ENTRIES;

/// How a ring is to be set up. A value: clone it, keep it, build from it as often as needed.
///
/// `'fd` is how long the descriptor of [`attach_wq`](Self::attach_wq) is borrowed; it is `'static`
/// for all other builders.
///
/// Every flag of `io_uring_setup(2)` has a method here or follows from the method that
/// builds; [`unknown_flags`](Self::unknown_flags) adds those that are newer than this crate. Flags
/// that contradict each other are named before the kernel is asked.
///
/// ```
/// use ringbolt::IoUring;
///
/// # fn main() -> Result<(), ringbolt::BuildError> {
/// // For one thread, with the newest flags that the kernel has.
/// let ring = IoUring::builder().cq_entries(4096).local(256)?;
/// // These flags and no others, or an error.
/// let exact = IoUring::builder().coop_taskrun().taskrun_flag().build(256);
/// # drop((ring, exact));
/// # Ok(())
/// # }
/// ```
///
/// See [`io_uring_setup(2)`](https://man7.org/linux/man-pages/man2/io_uring_setup.2.html).
#[must_use = "a builder makes no ring before one of its `build` methods is called"]
#[derive(Debug)]
pub struct Builder<'fd, S: SqEntry = Sqe, C: CqEntry = Cqe> {
    flags: SetupFlags,
    /// Bits that have no name here, and that the caller answers for.
    unknown: u32,
    cq_entries: Option<u32>,
    sq_thread_idle: u32,
    sq_thread_cpu: u32,
    wq_fd: Option<BorrowedFd<'fd>>,
    register_ring_fd: bool,
    memory: Option<RingMemory>,
    /// The simulated kernel that makes the ring, if one does.
    pub(crate) simulated: Option<Simulated>,
    widths: PhantomData<(S, C)>,
}

impl<S: SqEntry, C: CqEntry> Default for Builder<'static, S, C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: SqEntry, C: CqEntry> Clone for Builder<'_, S, C> {
    fn clone(&self) -> Self {
        Self { widths: PhantomData, ..*self }
    }
}

impl<S: SqEntry, C: CqEntry> Builder<'static, S, C> {
    /// A builder of rings with these widths of entries, without any flag: for code that is generic
    /// over them. [`IoUring::builder`] is the same for entries of 64 bytes and completions of 16.
    ///
    /// ```
    /// use ringbolt::{BuildError, Builder, Cqe32, CqEntry, IoUring, SqEntry, Sqe128};
    ///
    /// fn ring<S: SqEntry, C: CqEntry>() -> Result<IoUring<S, C>, BuildError> {
    ///     Builder::<S, C>::new().coop_taskrun().build(8)
    /// }
    ///
    /// # fn main() -> Result<(), BuildError> {
    /// let mut ring = ring::<Sqe128, Cqe32>()?;
    /// # Ok(())
    /// # }
    /// ```
    pub const fn new() -> Self {
        Self {
            flags: SetupFlags::empty(),
            unknown: 0,
            cq_entries: None,
            sq_thread_idle: 0,
            sq_thread_cpu: 0,
            wq_fd: None,
            register_ring_fd: false,
            memory: None,
            simulated: None,
            widths: PhantomData,
        }
    }
}

impl<'fd, S: SqEntry, C: CqEntry> Builder<'fd, S, C> {
    /// Polls devices for completions instead of waiting for interrupts: for O_DIRECT on
    /// devices that can be polled. `IORING_SETUP_IOPOLL`, since Linux 5.1.
    ///
    /// Such a ring carries out only operations that can be polled for, and a few that complete at
    /// once: [`Read`](crate::ops::Read), [`Write`](crate::ops::Write) and their vectored and fixed
    /// forms, [`Nop`](crate::ops::Nop), [`ProvideBuffers`](crate::ops::ProvideBuffers),
    /// [`RemoveBuffers`](crate::ops::RemoveBuffers), [`FilesUpdate`](crate::ops::FilesUpdate),
    /// [`MsgRing`](crate::ops::MsgRing) and commands of drivers. Every other one completes with
    /// `EINVAL`: opening, closing, syncing, sockets, polls, timeouts,
    /// [`AsyncCancel`](crate::ops::AsyncCancel). A read or write completes with `EOPNOTSUPP` if the
    /// file is not open with O_DIRECT, or lies on something that cannot be polled (a pipe, a
    /// socket, most file systems over a network). Use a second ring for the rest.
    #[doc(alias = "IORING_SETUP_IOPOLL")]
    pub const fn iopoll(self) -> Self {
        self.flags(SetupFlags::IOPOLL)
    }

    /// With [`iopoll`](Self::iopoll), sleeps for part of the expected time before it polls.
    /// `IORING_SETUP_HYBRID_IOPOLL`, since Linux 6.13.
    #[doc(alias = "IORING_SETUP_HYBRID_IOPOLL")]
    pub const fn hybrid_iopoll(self) -> Self {
        self.flags(SetupFlags::HYBRID_IOPOLL)
    }

    /// Has a kernel thread take entries, so that submitting makes no system call while it is
    /// awake. It falls asleep after `idle_ms` milliseconds without work; 0 is for one second.
    /// `IORING_SETUP_SQPOLL`, since Linux 5.1; without privileges since 5.11.
    ///
    /// **The thread keeps the credentials with which the ring was made.** A process that makes the
    /// ring as root and then gives its privileges up, by `setuid(2)` say, still opens files as
    /// root through it. Give up privileges before the ring is made. Otherwise register the new
    /// credentials by
    /// [`Registrar::register_personality`](crate::register::Registrar::register_personality) and
    /// put them on each entry by [`Sqe::with_personality`]; an entry without a personality
    /// still has the old credentials, so do not let code that is not trusted push entries.
    ///
    /// The thread takes entries as soon as they are shown: see
    /// [`SubmissionQueue::push`](crate::SubmissionQueue::push) on what has to be kept from when on.
    ///
    /// The thread keeps a CPU busy. On a machine with few of them it costs more than it gives.
    #[doc(alias = "IORING_SETUP_SQPOLL")]
    pub const fn sqpoll(mut self, idle_ms: u32) -> Self {
        self.sq_thread_idle = idle_ms;
        self.flags(SetupFlags::SQPOLL)
    }

    /// Keeps the SQPOLL thread on CPU number `cpu`. `IORING_SETUP_SQ_AFF`, since Linux 5.1.
    #[doc(alias = "IORING_SETUP_SQ_AFF")]
    pub const fn sqpoll_cpu(mut self, cpu: u32) -> Self {
        self.sq_thread_cpu = cpu;
        self.flags(SetupFlags::SQ_AFF)
    }

    /// Gives the completion queue `entries` slots, rounded up to a power of two, instead of
    /// twice those of the submission queue. `IORING_SETUP_CQSIZE`, since Linux 5.5.
    #[doc(alias = "IORING_SETUP_CQSIZE")]
    pub const fn cq_entries(mut self, entries: u32) -> Self {
        self.cq_entries = Some(entries);
        self
    }

    /// Cuts sizes down to [`MAX_ENTRIES`] and [`MAX_CQ_ENTRIES`] instead of refusing them.
    /// `IORING_SETUP_CLAMP`, since Linux 5.6.
    #[doc(alias = "IORING_SETUP_CLAMP")]
    pub const fn clamp(self) -> Self {
        self.flags(SetupFlags::CLAMP)
    }

    /// Shares worker threads, and the SQPOLL thread if there is one, with the ring whose
    /// descriptor is `ring`. `IORING_SETUP_ATTACH_WQ`, since Linux 5.6.
    ///
    /// The kernel looks the descriptor up when a ring is built. It stays borrowed for as long as
    /// the builder is used, so that it cannot be closed, and its number reused, before that:
    ///
    /// ```compile_fail,E0505
    /// use ringbolt::IoUring;
    ///
    /// let first = IoUring::new(8).unwrap();
    /// let builder = IoUring::builder().attach_wq(&first);
    /// drop(first);
    /// let second = builder.build(8);
    /// ```
    ///
    /// If rings share a polling thread, it takes at most 8 entries of a ring at a time, and that
    /// cuts chains: see [`Sqe::link`].
    #[doc(alias = "IORING_SETUP_ATTACH_WQ")]
    pub fn attach_wq<'ring>(self, ring: &'ring impl AsFd) -> Builder<'ring, S, C> {
        Builder { wq_fd: Some(ring.as_fd()), ..self }
    }

    /// Continues to submit after an entry that is refused at once; its completion reports the
    /// error. `IORING_SETUP_SUBMIT_ALL`, since Linux 5.18.
    #[doc(alias = "IORING_SETUP_SUBMIT_ALL")]
    pub const fn submit_all(self) -> Self {
        self.flags(SetupFlags::SUBMIT_ALL)
    }

    /// Runs deferred work when the thread enters the kernel anyway, instead of interrupting
    /// it. `IORING_SETUP_COOP_TASKRUN`, since Linux 5.19.
    ///
    /// Other calls in which the thread sleeps still end with `EINTR`, see
    /// [`IoUring::new`](crate::IoUring::new): only
    /// [`defer_taskrun`](Self::defer_taskrun) prevents that.
    #[doc(alias = "IORING_SETUP_COOP_TASKRUN")]
    pub const fn coop_taskrun(self) -> Self {
        self.flags(SetupFlags::COOP_TASKRUN)
    }

    /// Shows by [`SqStatus::TASKRUN`](crate::sys::SqStatus::TASKRUN) that deferred work waits.
    /// `IORING_SETUP_TASKRUN_FLAG`, since Linux 5.19.
    #[doc(alias = "IORING_SETUP_TASKRUN_FLAG")]
    pub const fn taskrun_flag(self) -> Self {
        self.flags(SetupFlags::TASKRUN_FLAG)
    }

    /// Promises that one thread alone submits, for [`build_local`](Self::build_local).
    /// `IORING_SETUP_SINGLE_ISSUER`, since Linux 6.0.
    #[doc(alias = "IORING_SETUP_SINGLE_ISSUER")]
    pub const fn single_issuer(self) -> Self {
        self.flags(SetupFlags::SINGLE_ISSUER)
    }

    /// Runs deferred work only when the thread waits for completions: the best choice for a
    /// thread's own ring. `IORING_SETUP_DEFER_TASKRUN`, since Linux 6.1.
    ///
    /// Add [`taskrun_flag`](Self::taskrun_flag): without it `submit` does not see that work waits,
    /// and a loop of `submit` and `pop` never gets the completion of what did not complete at once.
    /// The descriptor of such a ring does not wake an event loop; an eventfd does: see
    /// [`IoUring::local`](crate::IoUring::local).
    #[doc(alias = "IORING_SETUP_DEFER_TASKRUN")]
    pub const fn defer_taskrun(self) -> Self {
        self.flags(SetupFlags::DEFER_TASKRUN)
    }

    /// Does without the index array, which this crate has no use for.
    /// `IORING_SETUP_NO_SQARRAY`, since Linux 6.6.
    #[doc(alias = "IORING_SETUP_NO_SQARRAY")]
    pub const fn no_sqarray(self) -> Self {
        self.flags(SetupFlags::NO_SQARRAY)
    }

    /// Starts over at the first slot with each submission, which keeps few cache lines hot.
    /// `IORING_SETUP_SQ_REWIND`, since Linux 7.0.
    #[doc(alias = "IORING_SETUP_SQ_REWIND")]
    pub const fn sq_rewind(self) -> Self {
        self.flags(SetupFlags::SQ_REWIND)
    }

    /// The set-up flags that were asked for.
    pub(crate) const fn asked_for(&self) -> SetupFlags {
        self.flags
    }

    /// Adds set-up flags.
    ///
    /// Flags that decide the type of the ring (entry widths, `R_DISABLED`, `NO_MMAP`,
    /// `REGISTERED_FD_ONLY`) are refused when building: [`BuildError::NeedsMethod`]. So are bits
    /// that this crate does not know, as they might change where things are in the ring's memory:
    /// [`BuildError::UnknownFlags`]. [`unknown_flags`](Self::unknown_flags) takes those.
    pub const fn flags(mut self, flags: SetupFlags) -> Self {
        self.flags = self.flags.union(flags);
        self
    }

    /// Adds set-up flags that are newer than this crate, by their bits.
    ///
    /// Bits that have a name in [`SetupFlags`] are treated as by [`flags`](Self::flags). A kernel
    /// that does not know a bit answers [`BuildError::Invalid`].
    ///
    /// # Safety
    ///
    /// For each bit without a name, the kernel's documentation says that it changes none of this:
    ///
    /// - the sizes of entries and completions, where set-up says that the parts of the ring are,
    ///   and how both sides use them;
    /// - what the kernel reads and writes for an entry, and until when;
    /// - what set-up returns: a descriptor, which the caller owns.
    ///
    /// Otherwise the queues may read and write memory that is not theirs.
    pub const unsafe fn unknown_flags(mut self, bits: u32) -> Self {
        self.unknown |= bits;
        self.flags(SetupFlags::from_bits_retain(bits))
    }

    /// Registers the ring's descriptor with the thread, which makes each system call cheaper,
    /// for [`build_local`](Self::build_local). `IORING_REGISTER_RING_FDS`, since Linux 5.18.
    ///
    /// A thread can register 16 rings. The slot is freed when the ring is closed.
    pub const fn register_ring_fd(mut self) -> Self {
        self.register_ring_fd = true;
        self
    }

    /// Widens submission entries to 128 bytes. `IORING_SETUP_SQE128`, since Linux 5.19.
    #[doc(alias = "IORING_SETUP_SQE128")]
    pub const fn sqe128(self) -> Builder<'fd, Sqe128, C> {
        self.with_widths()
    }

    /// Widens completion entries to 32 bytes. `IORING_SETUP_CQE32`, since Linux 5.19.
    #[doc(alias = "IORING_SETUP_CQE32")]
    pub const fn cqe32(self) -> Builder<'fd, S, Cqe32> {
        self.with_widths()
    }

    /// Takes submission entries of both widths. `IORING_SETUP_SQE_MIXED`, since Linux 6.19.
    #[doc(alias = "IORING_SETUP_SQE_MIXED")]
    pub const fn sqe_mixed(self) -> Builder<'fd, SqeMixed, C> {
        self.with_widths()
    }

    /// Gives completion entries of both widths. `IORING_SETUP_CQE_MIXED`, since Linux 6.18.
    #[doc(alias = "IORING_SETUP_CQE_MIXED")]
    pub const fn cqe_mixed(self) -> Builder<'fd, S, CqeMixed> {
        self.with_widths()
    }

    const fn with_widths<S2: SqEntry, C2: CqEntry>(self) -> Builder<'fd, S2, C2> {
        Builder {
            flags: self.flags,
            unknown: self.unknown,
            cq_entries: self.cq_entries,
            sq_thread_idle: self.sq_thread_idle,
            sq_thread_cpu: self.sq_thread_cpu,
            wq_fd: self.wq_fd,
            register_ring_fd: self.register_ring_fd,
            memory: self.memory,
            simulated: self.simulated,
            widths: PhantomData,
        }
    }

    /// Puts the ring into memory of the caller's, huge pages say, instead of mapping the
    /// kernel's. `IORING_SETUP_NO_MMAP`, since Linux 6.5.
    ///
    /// Before Linux 6.10 each part has to be physically contiguous: one page, or huge pages.
    ///
    /// # Safety
    ///
    /// The two parts of `memory` do not overlap. From the time a ring is built with this, or
    /// building one was tried, `memory` is valid for reads and writes, and nothing else uses it: no
    /// other ring, and not the program. That holds for every ring built from this value or a clone
    /// of it. When the ring is closed, or when building it has failed, the memory may be unmapped,
    /// but not put to another use nor given to a second attempt: the kernel may go on for a while
    /// to write the completions of what it cancels.
    #[doc(alias = "IORING_SETUP_NO_MMAP")]
    pub const unsafe fn memory(mut self, memory: RingMemory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Makes a ring that can be sent to another thread.
    ///
    /// # Errors
    ///
    /// [`BuildError::NeedsOneThread`] with `SINGLE_ISSUER` or a registered descriptor, which
    /// are for [`build_local`](Self::build_local); otherwise see [`BuildError`].
    pub fn build(&self, entries: u32) -> Result<IoUring<S, C>, BuildError> {
        self.refuse_one_thread()?;
        self.set_up::<AnyThread>(entries, SetupFlags::empty(), false)
    }

    /// Makes a ring that stays on this thread.
    ///
    /// # Errors
    ///
    /// See [`BuildError`].
    pub fn build_local(&self, entries: u32) -> Result<IoUring<S, C, OneThread>, BuildError> {
        let mut ring = self.set_up::<OneThread>(entries, SetupFlags::empty(), true)?;
        if self.register_ring_fd {
            ring.register_ring_fd().map_err(BuildError::RegisterRingFd)?;
        }
        Ok(ring)
    }

    /// Makes a ring that starts out disabled, to be enabled on the thread that will use it.
    /// `IORING_SETUP_R_DISABLED`, since Linux 5.10.
    ///
    /// # Errors
    ///
    /// [`BuildError::NeedsOneThread`] with [`register_ring_fd`](Self::register_ring_fd);
    /// otherwise see [`BuildError`].
    #[doc(alias = "IORING_SETUP_R_DISABLED")]
    pub fn build_disabled(&self, entries: u32) -> Result<DisabledIoUring<S, C>, BuildError> {
        if self.register_ring_fd {
            return Err(BuildError::NeedsOneThread { flags: SetupFlags::empty() });
        }
        self.set_up::<AnyThread>(entries, SetupFlags::R_DISABLED, false).map(DisabledIoUring::new)
    }

    /// Makes a ring that has no descriptor, only an index that is registered with this thread.
    /// `IORING_SETUP_REGISTERED_FD_ONLY`, since Linux 6.5; needs [`memory`](Self::memory).
    ///
    /// # Errors
    ///
    /// See [`BuildError`].
    #[doc(alias = "IORING_SETUP_REGISTERED_FD_ONLY")]
    pub fn build_without_fd(&self, entries: u32) -> Result<IoUring<S, C, NoFd>, BuildError> {
        self.set_up::<NoFd>(entries, SetupFlags::REGISTERED_FD_ONLY, true)
    }

    /// A builder that has nothing but sizes to check.
    pub(crate) const fn sized(cq_entries: Option<u32>) -> Self {
        let sizes: Builder<'fd, S, C> = Builder::new();
        Builder { cq_entries, ..sizes }
    }

    /// Sets a ring up; `stays` says that the type keeps it on this thread.
    fn set_up<T>(
        &self,
        entries: u32,
        by_method: SetupFlags,
        stays: bool,
    ) -> Result<IoUring<S, C, T>, BuildError> {
        let flags = self.check(entries, by_method)?;
        let mut params = io_uring_params {
            flags,
            cq_entries: self.cq_entries.unwrap_or(0),
            sq_thread_cpu: self.sq_thread_cpu,
            sq_thread_idle: self.sq_thread_idle,
            wq_fd: self.wq_fd.map_or(0, |fd| fd_bits(fd.as_raw_fd())),
            ..io_uring_params::ZEROED
        };
        if let Some(memory) = self.memory {
            params.sq_off.user_addr = sys::SharedPtr::from_mut(memory.sqes.cast::<u8>().as_ptr());
            params.cq_off.user_addr = sys::SharedPtr::from_mut(memory.rings.cast::<u8>().as_ptr());
            let bytes = memory.rings.cast::<u8>().as_ptr();
            // SAFETY: the memory is this ring's from here on, by the contract of `memory`.
            // The kernel fills in its words, and not all of them in every version.
            unsafe { bytes.write_bytes(0, memory.rings.len()) };
        }
        let home = self.home()?;
        // SAFETY: `params` names no memory, or the caller's, which `check` found to be long
        // enough for what the kernel puts there.
        let fd = unsafe { self.call(entries, &mut params, stays) }
            .map_err(|errno| BuildError::refused(errno_of_call(errno), &params))?;
        // From here on the ring is closed on each way out.
        let handle = Handle::new(fd, home);
        let layout = Layout::new(&params, size_of::<S::Slot>(), size_of::<C::Slot>())?;
        let memory = match self.memory {
            None => handle.map(layout).map_err(BuildError::Map)?,
            Some(memory) => Memory::provided(memory, layout)
                .ok_or(BuildError::Memory { needed: self.memory_needed(entries)? })?,
        };
        if !params.features.contains(Features::POLL_32BITS) {
            return Err(BuildError::TooOld);
        }
        // SAFETY: the ring was just set up with these parameters, and is empty.
        Ok(unsafe { IoUring::new_raw(handle, memory, params) })
    }

    /// The process that the ring belongs to.
    fn home(&self) -> Result<Home, BuildError> {
        match self.simulated {
            Some(_) => Ok(Home::every_process()),
            None => Home::this_process().map_err(BuildError::Map),
        }
    }

    /// `io_uring_setup(2)`.
    ///
    /// # Safety
    ///
    /// Memory that `params` names is valid for all that the kernel puts there.
    unsafe fn call(
        &self,
        entries: u32,
        params: &mut io_uring_params,
        stays: bool,
    ) -> Result<RingFd, i32> {
        if let Some(kernel) = self.simulated {
            return kernel.setup(entries, params, stays).map(RingFd::Simulated);
        }
        // SAFETY: `params` is valid for reads and writes; the caller answers for the rest.
        let fd = unsafe { sys::io_uring_setup(entries, params) }?;
        if params.flags.contains(SetupFlags::REGISTERED_FD_ONLY) {
            return Ok(RingFd::Index(fd));
        }
        // SAFETY: set-up just made the descriptor, and nobody else knows it.
        Ok(RingFd::Owned(unsafe { OwnedFd::from_raw_fd(fd) }))
    }
}
