//! From wishes to a ring: [`Builder`], and every reason why a ring cannot be made.

use core::marker::PhantomData;

use rustix::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::param::page_size;

use crate::build_error::{BuildError, Contradiction};
use crate::disabled::DisabledIoUring;
use crate::entry::{CqEntry, Cqe, Cqe32, CqeMixed, SqEntry, Sqe, Sqe128, SqeMixed};
use crate::handle::{Handle, RingFd};
use crate::ring::layout::{Layout, ring_bytes};
use crate::ring::map::{Memory, RingMemory};
#[cfg(feature = "sim")]
use crate::sim;
use crate::sys::{self, SetupFlags, io_uring_params};
use crate::thread::{AnyThread, NoFd, OneThread};
use crate::uring::IoUring;

/// The most submission entries that a ring can have.
pub const MAX_ENTRIES: u32 = 32_768;

/// The most completion entries that a ring can have.
pub const MAX_CQ_ENTRIES: u32 = 2 * MAX_ENTRIES;

/// How a ring is to be set up. A value: clone it, keep it, build from it as often as needed.
///
/// Every flag of `io_uring_setup(2)` has a method here or follows from the method that
/// builds; [`flags`](Self::flags) adds those that are newer than this crate. Flags that
/// contradict each other are named before the kernel is asked.
///
/// ```no_run
/// use ringbolt::IoUring;
///
/// # fn main() -> Result<(), ringbolt::BuildError> {
/// let builder = IoUring::builder().single_issuer().defer_taskrun().no_sqarray();
/// let ring = match builder.build_local(256) {
///     Ok(ring) => ring,
///     // An older kernel: without the newer flags.
///     Err(ringbolt::BuildError::Invalid { .. }) => IoUring::builder().build_local(256)?,
///     Err(error) => return Err(error),
/// };
/// # drop(ring);
/// # Ok(())
/// # }
/// ```
///
/// See [`io_uring_setup(2)`](https://man7.org/linux/man-pages/man2/io_uring_setup.2.html).
#[derive(Debug)]
pub struct Builder<S: SqEntry = Sqe, C: CqEntry = Cqe> {
    flags: SetupFlags,
    cq_entries: Option<u32>,
    sq_thread_idle: u32,
    sq_thread_cpu: u32,
    wq_fd: Option<RawFd>,
    dont_fork: bool,
    register_ring_fd: bool,
    memory: Option<RingMemory>,
    #[cfg(feature = "sim")]
    simulated: Option<i32>,
    widths: PhantomData<(S, C)>,
}

/// The bytes that a ring in the caller's memory needs, see [`Builder::memory_needed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryNeeded {
    /// For [`RingMemory::rings`], a multiple of the page size.
    pub rings: usize,
    /// For [`RingMemory::sqes`], a multiple of the page size.
    pub sqes: usize,
}

impl<S: SqEntry, C: CqEntry> Clone for Builder<S, C> {
    fn clone(&self) -> Self {
        Self { widths: PhantomData, ..*self }
    }
}

impl Builder {
    pub(crate) const fn new() -> Self {
        Self {
            flags: SetupFlags::empty(),
            cq_entries: None,
            sq_thread_idle: 0,
            sq_thread_cpu: 0,
            wq_fd: None,
            dont_fork: false,
            register_ring_fd: false,
            memory: None,
            #[cfg(feature = "sim")]
            simulated: None,
            widths: PhantomData,
        }
    }
}

impl<S: SqEntry, C: CqEntry> Builder<S, C> {
    /// Polls devices for completions instead of waiting for interrupts: for O_DIRECT on
    /// devices that can be polled. `IORING_SETUP_IOPOLL`, since Linux 5.1.
    #[must_use]
    pub const fn iopoll(self) -> Self {
        self.flags(SetupFlags::IOPOLL)
    }

    /// With [`iopoll`](Self::iopoll), sleeps for part of the expected time before it polls.
    /// `IORING_SETUP_HYBRID_IOPOLL`, since Linux 6.13.
    #[must_use]
    pub const fn hybrid_iopoll(self) -> Self {
        self.flags(SetupFlags::HYBRID_IOPOLL)
    }

    /// Has a kernel thread take entries, so that submitting makes no system call while it is
    /// awake. It falls asleep after `idle_ms` milliseconds without work; 0 is for one second.
    /// `IORING_SETUP_SQPOLL`, since Linux 5.1; without privileges since 5.11.
    ///
    /// The thread keeps a CPU busy. On a machine with few of them it costs more than it gives.
    #[must_use]
    pub const fn sqpoll(mut self, idle_ms: u32) -> Self {
        self.sq_thread_idle = idle_ms;
        self.flags(SetupFlags::SQPOLL)
    }

    /// Keeps the SQPOLL thread on CPU number `cpu`. `IORING_SETUP_SQ_AFF`, since Linux 5.1.
    #[must_use]
    pub const fn sqpoll_cpu(mut self, cpu: u32) -> Self {
        self.sq_thread_cpu = cpu;
        self.flags(SetupFlags::SQ_AFF)
    }

    /// Gives the completion queue `entries` slots, rounded up to a power of two, instead of
    /// twice those of the submission queue. `IORING_SETUP_CQSIZE`, since Linux 5.5.
    #[must_use]
    pub const fn cq_entries(mut self, entries: u32) -> Self {
        self.cq_entries = Some(entries);
        self
    }

    /// Cuts sizes down to [`MAX_ENTRIES`] and [`MAX_CQ_ENTRIES`] instead of refusing them.
    /// `IORING_SETUP_CLAMP`, since Linux 5.6.
    #[must_use]
    pub const fn clamp(self) -> Self {
        self.flags(SetupFlags::CLAMP)
    }

    /// Shares worker threads, and the SQPOLL thread if there is one, with the ring behind
    /// `ring`. `IORING_SETUP_ATTACH_WQ`, since Linux 5.6.
    ///
    /// The descriptor is looked at when a ring is built, and has to be open then.
    #[must_use]
    pub fn attach_wq(mut self, ring: impl AsFd) -> Self {
        self.wq_fd = Some(ring.as_fd().as_raw_fd());
        self
    }

    /// Goes on submitting after an entry that is refused at once; its completion tells the
    /// error. `IORING_SETUP_SUBMIT_ALL`, since Linux 5.18.
    #[must_use]
    pub const fn submit_all(self) -> Self {
        self.flags(SetupFlags::SUBMIT_ALL)
    }

    /// Runs deferred work when the thread enters the kernel anyway, instead of interrupting
    /// it. `IORING_SETUP_COOP_TASKRUN`, since Linux 5.19.
    #[must_use]
    pub const fn coop_taskrun(self) -> Self {
        self.flags(SetupFlags::COOP_TASKRUN)
    }

    /// Shows by [`SqStatus::TASKRUN`](crate::sys::SqStatus::TASKRUN) that deferred work waits.
    /// `IORING_SETUP_TASKRUN_FLAG`, since Linux 5.19.
    #[must_use]
    pub const fn taskrun_flag(self) -> Self {
        self.flags(SetupFlags::TASKRUN_FLAG)
    }

    /// Promises that one thread alone submits, for [`build_local`](Self::build_local).
    /// `IORING_SETUP_SINGLE_ISSUER`, since Linux 6.0.
    #[must_use]
    pub const fn single_issuer(self) -> Self {
        self.flags(SetupFlags::SINGLE_ISSUER)
    }

    /// Runs deferred work only when the thread waits for completions: the best choice for a
    /// thread's own ring. `IORING_SETUP_DEFER_TASKRUN`, since Linux 6.1.
    #[must_use]
    pub const fn defer_taskrun(self) -> Self {
        self.flags(SetupFlags::DEFER_TASKRUN)
    }

    /// Does without the index array, which this crate has no use for.
    /// `IORING_SETUP_NO_SQARRAY`, since Linux 6.6.
    #[must_use]
    pub const fn no_sqarray(self) -> Self {
        self.flags(SetupFlags::NO_SQARRAY)
    }

    /// Starts over at the first slot with each submission, which keeps few cache lines hot.
    /// `IORING_SETUP_SQ_REWIND`, since Linux 7.0.
    #[must_use]
    pub const fn sq_rewind(self) -> Self {
        self.flags(SetupFlags::SQ_REWIND)
    }

    /// Adds any set-up flags, such as those that this crate does not know yet.
    ///
    /// Flags that decide the type of the ring (entry widths, `R_DISABLED`, `NO_MMAP`,
    /// `REGISTERED_FD_ONLY`) are refused when building, with a word on what to call instead.
    #[must_use]
    pub const fn flags(mut self, flags: SetupFlags) -> Self {
        self.flags = self.flags.union(flags);
        self
    }

    /// Keeps the ring's memory out of child processes, as `MADV_DONTFORK` does. A child that
    /// touches the ring then dies of SIGSEGV instead of corrupting its parent's queues.
    ///
    /// Memory that the caller provides is left as it is.
    #[must_use]
    pub const fn dont_fork(mut self) -> Self {
        self.dont_fork = true;
        self
    }

    /// Registers the ring's descriptor with the thread, which makes each system call cheaper,
    /// for [`build_local`](Self::build_local). `IORING_REGISTER_RING_FDS`, since Linux 5.18.
    ///
    /// A thread can register 16 rings. The slot is freed when the ring is closed.
    #[must_use]
    pub const fn register_ring_fd(mut self) -> Self {
        self.register_ring_fd = true;
        self
    }

    /// Widens submission entries to 128 bytes. `IORING_SETUP_SQE128`, since Linux 5.19.
    #[must_use]
    pub const fn sqe128(self) -> Builder<Sqe128, C> {
        self.with_widths()
    }

    /// Widens completion entries to 32 bytes. `IORING_SETUP_CQE32`, since Linux 5.19.
    #[must_use]
    pub const fn cqe32(self) -> Builder<S, Cqe32> {
        self.with_widths()
    }

    /// Takes submission entries of both widths. `IORING_SETUP_SQE_MIXED`, since Linux 6.19.
    #[must_use]
    pub const fn sqe_mixed(self) -> Builder<SqeMixed, C> {
        self.with_widths()
    }

    /// Gives completion entries of both widths. `IORING_SETUP_CQE_MIXED`, since Linux 6.18.
    #[must_use]
    pub const fn cqe_mixed(self) -> Builder<S, CqeMixed> {
        self.with_widths()
    }

    const fn with_widths<S2: SqEntry, C2: CqEntry>(self) -> Builder<S2, C2> {
        Builder {
            flags: self.flags,
            cq_entries: self.cq_entries,
            sq_thread_idle: self.sq_thread_idle,
            sq_thread_cpu: self.sq_thread_cpu,
            wq_fd: self.wq_fd,
            dont_fork: self.dont_fork,
            register_ring_fd: self.register_ring_fd,
            memory: self.memory,
            #[cfg(feature = "sim")]
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
    /// From the time a ring is built with this, `memory` is valid for reads and writes, and
    /// nothing else uses it: no other ring, and not the program. That holds for every ring
    /// built from this value or a clone of it. When the ring is closed the memory may be
    /// unmapped, but not put to another use: the kernel may go on for a while to write the
    /// completions of what it cancels.
    #[must_use]
    pub const unsafe fn memory(mut self, memory: RingMemory) -> Self {
        self.memory = Some(memory);
        self
    }

    /// Makes the ring in `kernel`, a simulated one, and makes no system call.
    #[cfg(feature = "sim")]
    #[must_use]
    pub fn simulated(mut self, kernel: &sim::Kernel) -> Self {
        self.simulated = Some(kernel.number());
        self
    }

    /// How many bytes [`memory`](Self::memory) must have for a ring of `entries`.
    ///
    /// # Errors
    ///
    /// [`BuildError::Entries`] or [`BuildError::CqEntries`] for sizes that no ring can have.
    pub fn memory_needed(&self, entries: u32) -> Result<MemoryNeeded, BuildError> {
        self.check_sizes(entries)?;
        let sq_entries = entries.min(MAX_ENTRIES).next_power_of_two();
        let cq_entries =
            self.cq_entries.map_or(2 * sq_entries, |n| n.min(MAX_CQ_ENTRIES).next_power_of_two());
        let pages = |len: usize| len.checked_next_multiple_of(page_size());
        let rings = ring_bytes(sq_entries, cq_entries, size_of::<C::Slot>()).and_then(pages);
        // At most 32,768 entries of at most 128 bytes.
        let sqes = pages(sq_entries as usize * size_of::<S::Slot>());
        match (rings, sqes) {
            (Some(rings), Some(sqes)) => Ok(MemoryNeeded { rings, sqes }),
            _ => Err(BuildError::Entries { entries }),
        }
    }

    /// Makes a ring that can be sent to another thread.
    ///
    /// # Errors
    ///
    /// [`BuildError::NeedsOneThread`] with `SINGLE_ISSUER` or a registered descriptor, which
    /// are for [`build_local`](Self::build_local); otherwise see [`BuildError`].
    pub fn build(&self, entries: u32) -> Result<IoUring<S, C>, BuildError> {
        self.refuse_one_thread()?;
        self.set_up::<AnyThread>(entries, SetupFlags::empty())
    }

    /// Makes a ring that stays on this thread.
    ///
    /// # Errors
    ///
    /// See [`BuildError`].
    pub fn build_local(&self, entries: u32) -> Result<IoUring<S, C, OneThread>, BuildError> {
        let mut ring = self.set_up::<OneThread>(entries, SetupFlags::empty())?;
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
    pub fn build_disabled(&self, entries: u32) -> Result<DisabledIoUring<S, C>, BuildError> {
        if self.register_ring_fd {
            return Err(BuildError::NeedsOneThread { flags: SetupFlags::empty() });
        }
        self.set_up::<AnyThread>(entries, SetupFlags::R_DISABLED).map(DisabledIoUring::new)
    }

    /// Makes a ring that has no descriptor, only an index that is registered with this thread.
    /// `IORING_SETUP_REGISTERED_FD_ONLY`, since Linux 6.5; needs [`memory`](Self::memory).
    ///
    /// # Errors
    ///
    /// See [`BuildError`].
    pub fn build_without_fd(&self, entries: u32) -> Result<IoUring<S, C, NoFd>, BuildError> {
        self.set_up::<NoFd>(entries, SetupFlags::REGISTERED_FD_ONLY)
    }

    fn refuse_one_thread(&self) -> Result<(), BuildError> {
        let flags = self.flags.intersection(SetupFlags::SINGLE_ISSUER);
        if self.register_ring_fd || !flags.is_empty() {
            return Err(BuildError::NeedsOneThread { flags });
        }
        Ok(())
    }

    /// A builder that has nothing but sizes to check.
    pub(crate) const fn sized(cq_entries: Option<u32>) -> Self {
        Builder { cq_entries, ..Builder::new().with_widths() }
    }

    pub(crate) fn check_sizes(&self, entries: u32) -> Result<(), BuildError> {
        let clamp = self.flags.contains(SetupFlags::CLAMP);
        if entries == 0 || (entries > MAX_ENTRIES && !clamp) {
            return Err(BuildError::Entries { entries });
        }
        let Some(cq_entries) = self.cq_entries else { return Ok(()) };
        let rounded = cq_entries.min(MAX_CQ_ENTRIES).next_power_of_two();
        let too_many = cq_entries > MAX_CQ_ENTRIES && !clamp;
        if cq_entries == 0 || too_many || rounded < entries.min(MAX_ENTRIES).next_power_of_two() {
            return Err(BuildError::CqEntries { entries, cq_entries });
        }
        Ok(())
    }

    /// The flags to ask for, if nothing is wrong with them.
    fn check(&self, entries: u32, by_method: SetupFlags) -> Result<SetupFlags, BuildError> {
        let mut decided = by_method.union(S::SETUP).union(C::SETUP);
        decided.set(SetupFlags::NO_MMAP, self.memory.is_some());
        decided.set(SetupFlags::CQSIZE, self.cq_entries.is_some());
        decided.set(SetupFlags::ATTACH_WQ, self.wq_fd.is_some());
        // These change the type of the ring, or where its memory is: a raw bit cannot.
        let stray = self.flags.intersection(TYPED).difference(decided);
        if !stray.is_empty() {
            return Err(BuildError::NeedsMethod { flags: stray });
        }
        let flags = self.flags.union(decided);
        Contradiction::find(flags).map_or(Ok(()), |found| Err(BuildError::Contradiction(found)))?;
        self.check_sizes(entries)?;
        if let Some(memory) = self.memory {
            let needed = self.memory_needed(entries)?;
            let aligned = |start: *const u8| start.addr() % page_size() == 0;
            if memory.rings.len() < needed.rings
                || memory.sqes.len() < needed.sqes
                || !aligned(memory.rings.cast().as_ptr())
                || !aligned(memory.sqes.cast().as_ptr())
            {
                return Err(BuildError::Memory { needed });
            }
        }
        Ok(flags)
    }

    fn set_up<T>(
        &self,
        entries: u32,
        by_method: SetupFlags,
    ) -> Result<IoUring<S, C, T>, BuildError> {
        let flags = self.check(entries, by_method)?;
        let mut params = io_uring_params {
            flags,
            cq_entries: self.cq_entries.unwrap_or(0),
            sq_thread_cpu: self.sq_thread_cpu,
            sq_thread_idle: self.sq_thread_idle,
            // A descriptor is never negative.
            wq_fd: self.wq_fd.map_or(0, i32::unsigned_abs),
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
        // SAFETY: `params` names no memory, or the caller's, which `check` found to be long
        // enough for what the kernel puts there.
        let fd = unsafe { self.call(entries, &mut params) }
            .map_err(|errno| BuildError::refused(Errno::from_raw_os_error(errno), &params))?;
        // From here on the ring is closed on each way out.
        let handle = Handle::new(fd);
        let layout = Layout::new(&params, size_of::<S::Slot>(), size_of::<C::Slot>())?;
        let memory = match self.memory {
            None => handle.map(layout, self.dont_fork).map_err(BuildError::Map)?,
            Some(memory) => Memory::provided(memory, layout)
                .ok_or(BuildError::Memory { needed: self.memory_needed(entries)? })?,
        };
        // SAFETY: the ring was just set up with these parameters, and is empty.
        Ok(unsafe { IoUring::new_raw(handle, memory, params) })
    }

    /// `io_uring_setup(2)`.
    ///
    /// # Safety
    ///
    /// Memory that `params` names is valid for all that the kernel puts there.
    unsafe fn call(&self, entries: u32, params: &mut io_uring_params) -> Result<RingFd, i32> {
        #[cfg(feature = "sim")]
        if let Some(number) = self.simulated {
            return sim::setup(number, entries, params).map(RingFd::Simulated);
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

/// Flags that methods of their own ask for, because they decide more than a bit.
const TYPED: SetupFlags = SetupFlags::SQE128
    .union(SetupFlags::SQE_MIXED)
    .union(SetupFlags::CQE32)
    .union(SetupFlags::CQE_MIXED)
    .union(SetupFlags::NO_MMAP)
    .union(SetupFlags::R_DISABLED)
    .union(SetupFlags::REGISTERED_FD_ONLY)
    .union(SetupFlags::CQSIZE)
    .union(SetupFlags::ATTACH_WQ);
