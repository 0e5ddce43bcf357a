//! [`IoUring`]: the descriptor, the memory and the queues of one ring.

use core::fmt;
use core::marker::PhantomData;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use rustix::io::Errno;

use crate::enter::enter_arg::EnterArg;
use crate::enter::submit::Submitter;
use crate::enter::submit_error::SubmitError;
use crate::entry::{CqEntry, Cqe, SqEntry, Sqe};
use crate::ops::time::Timespec;
use crate::register::Registrar;
use crate::ring::cq::Cq;
use crate::ring::map::Memory;
use crate::ring::sq::Sq;
use crate::sys::{EnterFlags, Features, SetupFlags, SqStatus, io_uring_params};
use crate::uring::completion::CompletionQueue;
use crate::uring::handle::Handle;
use crate::uring::submission::SubmissionQueue;
use crate::uring::thread::{AnyThread, HasFd, OneThread};

/// A ring that stays on the thread that made it, from
/// [`Builder::build_local`](crate::Builder::build_local).
///
/// It is not [`Send`]: what it may rely on, a registered descriptor or being the only
/// submitter, holds on its own thread alone.
///
/// ```compile_fail
/// fn send(_: impl Send) {}
/// send(ringbolt::IoUring::builder().build_local(8).unwrap());
/// ```
pub type LocalIoUring<S = Sqe, C = Cqe> = IoUring<S, C, OneThread>;

/// An io_uring instance.
///
/// Dropping it, or calling [`close`](Self::close), closes the descriptor first and unmaps the
/// queues then. If that was the last descriptor of the ring, the kernel cancels what is in flight
/// some time later, and reports it to nobody. What a device or a worker thread is carrying out
/// then goes on until it is done. Reap all operations first
/// ([`close_when_idle`](Self::close_when_idle)), or keep what they use for ever.
///
/// A duplicate of the descriptor keeps the ring alive: one made by `try_clone_to_owned` or
/// `dup(2)`, one that a child process has inherited, or one that was passed to another process.
/// Closing then cancels nothing: an operation in flight still completes, and writes to its
/// memory, whenever what it waits for comes.
///
/// What a thread has submitted does not outlive it: see [the crate's documentation](crate#threads).
///
/// # Fork
///
/// A ring belongs to the process that made it. Its memory is kept out of child processes
/// (`MADV_DONTFORK`). In a child, dropping the ring or any other value of this crate releases the
/// descriptor and nothing else, and every other use is refused: `push` returns
/// [`PushError::Unusable`](crate::PushError::Unusable), `pop` returns `None`, and calls that
/// submit, wait or register fail with `ECHILD`. A child makes a ring of its own.
///
/// Two uses cannot be refused. A half that was borrowed before the fork, and is used by the child
/// while it is still borrowed, accesses addresses at which the child has no memory, or other memory
/// of its own: drop it before the fork, or do not use it in the child. And processes that share
/// their memory (`vfork(2)`, `clone(2)` with `CLONE_VM`) are one process in this respect.
///
/// It can be sent to another thread, but two threads cannot use it at once: give them a half
/// each, by [`split`](Self::split).
///
/// ```
/// fn send(_: impl Send) {}
/// # fn main() -> Result<(), ringbolt::BuildError> {
/// send(ringbolt::IoUring::new(8)?);
/// # Ok(())
/// # }
/// ```
///
/// ```compile_fail
/// fn share(_: impl Sync) {}
/// share(ringbolt::IoUring::new(8).unwrap());
/// ```
pub struct IoUring<S: SqEntry = Sqe, C: CqEntry = Cqe, T = AnyThread> {
    // The order in which these are dropped: the queues point into the memory, and the
    // descriptor goes before the memory does.
    pub(crate) sq: Sq<S>,
    pub(crate) cq: Cq<C>,
    pub(crate) enter: Submitter,
    pub(crate) handle: Handle,
    pub(crate) memory: Memory,
    pub(crate) params: io_uring_params,
    thread: PhantomData<T>,
}

impl<S: SqEntry, C: CqEntry, T> IoUring<S, C, T> {
    /// Puts a ring together.
    ///
    /// # Safety
    ///
    /// The ring behind `handle` was just set up with `params` for entries `S` and `C`, its
    /// regions are `memory`, and nothing was submitted to it.
    pub(crate) unsafe fn new_raw(handle: Handle, memory: Memory, params: io_uring_params) -> Self {
        // SAFETY: the memory is that of a new ring, by the contract; it outlives the queue,
        // which is a field before it.
        let sq = unsafe { memory.sq_parts(params.flags) };
        // SAFETY: as above.
        let cq = unsafe { memory.cq_parts() };
        Self {
            // SAFETY: the parts are those of a mapped, checked ring.
            sq: unsafe { Sq::new(sq) },
            // SAFETY: as above.
            cq: unsafe { Cq::new(cq) },
            enter: handle.enter(&params),
            handle,
            memory,
            params,
            thread: PhantomData,
        }
    }

    /// Where entries are pushed.
    #[inline(always)]
    pub fn submission(&mut self) -> SubmissionQueue<'_, S, T> {
        self.look_where_we_are();
        SubmissionQueue::new(&mut self.sq, &self.enter)
    }

    /// Where completions are taken.
    #[inline(always)]
    pub fn completion(&mut self) -> CompletionQueue<'_, C, T> {
        self.look_where_we_are();
        CompletionQueue::new(&mut self.cq, &self.enter)
    }

    /// Both halves, for two scoped threads, or for one that pushes while it iterates.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::Nop};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut ring = IoUring::new(8)?;
    /// let (mut submission, mut completion) = ring.split();
    /// std::thread::scope(|scope| {
    ///     scope.spawn(move || {
    ///         submission.push_safe(Nop::new().sqe(1)).unwrap();
    ///         submission.submit().unwrap();
    ///     });
    ///     completion.wait(1).unwrap();
    ///     assert_eq!(completion.pop().unwrap().user_data(), 1);
    /// });
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn split(&mut self) -> (SubmissionQueue<'_, S, T>, CompletionQueue<'_, C, T>) {
        self.look_where_we_are();
        let submission = SubmissionQueue::new(&mut self.sq, &self.enter);
        (submission, CompletionQueue::new(&mut self.cq, &self.enter))
    }

    /// Hands everything pushed to the kernel. See [`SubmissionQueue::submit`].
    ///
    /// # Errors
    ///
    /// As [`SubmissionQueue::submit`].
    #[inline(always)]
    #[doc(alias = "io_uring_submit")]
    pub fn submit(&mut self) -> Result<u32, SubmitError> {
        self.look_where_we_are();
        self.cq.publish();
        self.enter.submit(&mut self.sq)
    }

    /// Submits, then waits until `want` completions are there.
    ///
    /// # Errors
    ///
    /// As [`SubmissionQueue::submit_and_wait`].
    #[inline(always)]
    #[doc(alias = "io_uring_submit_and_wait")]
    pub fn submit_and_wait(&mut self, want: u32) -> Result<u32, SubmitError> {
        self.look_where_we_are();
        self.cq.publish();
        self.enter.submit_and_wait(&mut self.sq, want)
    }

    /// Submits, then waits for `want` completions, for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`SubmissionQueue::submit_and_wait_timeout`].
    #[inline(always)]
    #[doc(alias = "io_uring_submit_and_wait_timeout")]
    pub fn submit_and_wait_timeout(
        &mut self,
        want: u32,
        timeout: impl Into<Timespec>,
    ) -> Result<u32, SubmitError> {
        self.publish().submit_and_wait_timeout(want, timeout)
    }

    /// Submits, then waits for `want` completions, for one after `min_wait_usec`
    /// microseconds, and for at most `timeout`.
    ///
    /// # Errors
    ///
    /// As [`SubmissionQueue::submit_and_wait_min_timeout`].
    #[inline(always)]
    #[doc(alias("io_uring_submit_and_wait_min_timeout", "io_uring_wait_cqes_min_timeout"))]
    pub fn submit_and_wait_min_timeout(
        &mut self,
        want: u32,
        timeout: impl Into<Timespec>,
        min_wait_usec: u32,
    ) -> Result<u32, SubmitError> {
        self.publish().submit_and_wait_min_timeout(want, timeout, min_wait_usec)
    }

    /// Submits and waits with flags and arguments of the caller's choice.
    ///
    /// # Errors
    ///
    /// As [`SubmissionQueue::submit_with`].
    #[inline(always)]
    #[doc(alias = "io_uring_submit_and_wait_reg")]
    pub fn submit_with(
        &mut self,
        want: u32,
        flags: EnterFlags,
        arg: EnterArg<'_>,
    ) -> Result<u32, SubmitError> {
        self.publish().submit_with(want, flags, arg)
    }

    /// Enters the kernel with `flags` and no other ones.
    ///
    /// # Errors
    ///
    /// As [`SubmissionQueue::enter`].
    #[doc(alias("io_uring_enter", "io_uring_enter2", "io_uring_set_iowait"))]
    #[inline]
    pub fn enter(
        &mut self,
        want: u32,
        flags: EnterFlags,
        arg: EnterArg<'_>,
    ) -> Result<u32, SubmitError> {
        self.publish().enter(want, flags, arg)
    }

    /// The submission half, after giving taken completions back to the kernel.
    #[inline(always)]
    fn publish(&mut self) -> SubmissionQueue<'_, S, T> {
        self.look_where_we_are();
        self.cq.publish();
        SubmissionQueue::new(&mut self.sq, &self.enter)
    }

    /// Waits until `want` completions are there, submitting nothing.
    ///
    /// # Errors
    ///
    /// As [`CompletionQueue::wait`].
    #[inline(always)]
    pub fn wait(&mut self, want: u32) -> Result<(), Errno> {
        self.completion().wait(want)
    }

    /// Brings in overflown completions and runs work that was put off, without waiting.
    ///
    /// # Errors
    ///
    /// As [`CompletionQueue::get_events`].
    #[inline]
    #[doc(alias("io_uring_submit_and_get_events", "io_uring_get_events"))]
    pub fn get_events(&mut self) -> Result<(), Errno> {
        self.completion().get_events()
    }

    /// Lets go of the ring in a process that did not make it, where its memory is not there.
    #[inline(always)]
    pub(crate) fn look_where_we_are(&mut self) {
        if !self.handle.home().is_here() {
            self.abandon(Errno::CHILD);
        }
    }

    /// Lets go of the queues, and refuses every call for `reason` from now on.
    #[cold]
    pub(crate) fn abandon(&mut self, reason: Errno) {
        self.sq.abandon();
        self.cq.abandon();
        self.enter = Submitter::unusable(reason);
    }

    /// Registers buffers, files and everything else, `io_uring_register(2)`.
    #[inline]
    pub fn registrar(&self) -> Registrar<'_> {
        self.handle.registrar()
    }

    /// What set-up returned, bits that this crate does not know included.
    #[inline]
    pub const fn params(&self) -> &io_uring_params {
        &self.params
    }

    /// What this kernel's rings can do.
    #[inline]
    pub const fn features(&self) -> Features {
        self.params.features
    }

    /// The flags that the ring was set up with.
    #[inline]
    pub const fn setup_flags(&self) -> SetupFlags {
        self.params.flags
    }

    /// The kernel's flags: `NEED_WAKEUP`, `CQ_OVERFLOW`, `TASKRUN`. No system call is made. See
    /// [`SubmissionQueue::status`].
    ///
    /// In a process that did not make the ring there are none.
    #[inline]
    pub fn status(&self) -> SqStatus {
        if !self.handle.home().is_here() {
            return SqStatus::empty();
        }
        self.sq.status(self.enter.is_polled())
    }

    /// Whether system calls name the ring by a registered index, not by its descriptor.
    #[inline]
    pub fn is_fd_registered(&self) -> bool {
        self.handle.index().is_some()
    }

    /// Closes the ring: frees its registered index, closes its descriptor, unmaps its queues,
    /// in this order. Memory that the caller provided may be unmapped, and not be put to
    /// another use, see [`Builder::memory`](crate::Builder::memory).
    ///
    /// Dropping does the same; this is for code that says when. The kernel drops registered
    /// buffers and files, and cancels what is in flight, some time after this has returned, and
    /// only if no duplicate of the descriptor is open. It may write to the memory of operations in
    /// flight until then, and a worker thread that is copying goes on to the end (seen: 128 MiB).
    pub fn close(self) {
        drop(self);
    }
}

impl<S: SqEntry, C: CqEntry> IoUring<S, C> {
    /// Binds the ring to this thread.
    pub(crate) fn into_local(self) -> LocalIoUring<S, C> {
        let Self { sq, cq, enter, handle, memory, params, thread: _ } = self;
        IoUring { sq, cq, enter, handle, memory, params, thread: PhantomData }
    }
}

impl<S: SqEntry, C: CqEntry> IoUring<S, C, OneThread> {
    /// Registers the descriptor with this thread, and names the ring by its index from now on,
    /// which makes each system call cheaper. `IORING_REGISTER_RING_FDS`, since Linux 5.18.
    ///
    /// [`Builder::register_ring_fd`](crate::Builder::register_ring_fd) does this for rings that are
    /// not built disabled. Closing the ring frees the slot.
    ///
    /// # Errors
    ///
    /// `EBUSY` when this thread has registered 16 rings, `EINVAL` before Linux 5.18.
    #[doc(alias("io_uring_register_ring_fd", "io_uring_unregister_ring_fd"))]
    #[doc(alias("IORING_REGISTER_RING_FDS", "IORING_UNREGISTER_RING_FDS"))]
    pub fn register_ring_fd(&mut self) -> Result<(), Errno> {
        self.enter.usable()?;
        self.handle.register()?;
        self.enter = self.handle.enter(&self.params);
        Ok(())
    }
}

#[cfg(feature = "owned")]
impl<S: SqEntry, C: CqEntry, T> IoUring<S, C, T> {
    /// Takes the ring apart, for the halves that own it together.
    pub(crate) fn into_parts(self) -> (Sq<S>, Cq<C>, Submitter, Handle, Memory) {
        (self.sq, self.cq, self.enter, self.handle, self.memory)
    }
}

impl<S: SqEntry, C: CqEntry, T: HasFd> AsFd for IoUring<S, C, T> {
    /// The ring's descriptor: readable while completions wait to be popped.
    ///
    /// With DEFER_TASKRUN, as on a ring by [`local`](Self::local), completions are posted when the
    /// thread enters the ring, and not before: the descriptor does not wake a thread that sleeps in
    /// `epoll_wait(2)` or `poll(2)`. Watch an eventfd instead, see
    /// [`Registrar::register_eventfd`].
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self.handle.fd() {
            Some(fd) => fd,
            // `Builder` makes such rings with a descriptor only.
            None => unreachable!("a ring of this type has a descriptor"),
        }
    }
}

impl<S: SqEntry, C: CqEntry, T: HasFd> AsRawFd for IoUring<S, C, T> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<S: SqEntry, C: CqEntry, T> fmt::Debug for IoUring<S, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IoUring")
            .field("handle", &self.handle)
            .field("flags", &self.params.flags)
            .field("features", &self.params.features)
            .field("sq_entries", &self.params.sq_entries)
            .field("cq_entries", &self.params.cq_entries)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rustix::fd::{FromRawFd, OwnedFd};

    use super::{Cqe, Handle, IoUring, Memory, Sqe, io_uring_params};
    use crate::ops::Nop;
    use crate::ring::home::Home;
    use crate::ring::layout::Layout;
    use crate::sys;
    use crate::uring::handle::RingFd;

    /// liburing: ignore-single-mmap.
    #[test]
    #[cfg_attr(miri, ignore = "Miri makes no system calls")]
    fn queues_that_are_mapped_apart_work_as_well() {
        if let Err(error) = IoUring::<Sqe, Cqe>::new(1) {
            std::eprintln!("skipped: {error}");
            return;
        }
        let mut params = io_uring_params::ZEROED;
        // SAFETY: `params` is valid for reads and writes, and names no memory.
        let fd = unsafe { sys::io_uring_setup(4, &mut params) }.unwrap();
        // SAFETY: set-up just made the descriptor, and nobody else knows it.
        let fd = RingFd::Owned(unsafe { OwnedFd::from_raw_fd(fd) });
        let handle = Handle::new(fd, Home::this_process().unwrap());
        // What Linux 5.3 and older say.
        params.features.remove(sys::Features::SINGLE_MMAP);
        let layout = Layout::new(&params, size_of::<Sqe>(), size_of::<Cqe>()).unwrap();
        assert!(layout.cq_region.is_some());
        let memory = Memory::map(handle.fd().unwrap(), layout).unwrap();
        // SAFETY: the ring was just set up with these parameters, and is empty.
        let mut ring: IoUring = unsafe { IoUring::new_raw(handle, memory, params) };
        for user_data in 0..20 {
            ring.submission().push_safe(Nop::new().sqe(user_data)).unwrap();
            assert_eq!(ring.submit_and_wait(1), Ok(1));
            assert_eq!(ring.completion().pop().map(|cqe| cqe.user_data()), Some(user_data));
        }
    }
}
