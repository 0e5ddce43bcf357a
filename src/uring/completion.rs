//! The completion half of a ring, borrowed: [`CompletionQueue`].
//!
//! Its state is the ring's own, so that a half can be dropped or forgotten at any time:
//! nothing is given back by that, lost, or seen twice.
#![forbid(unsafe_code)]

use core::fmt;
use core::iter::FusedIterator;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use rustix::io::Errno;

use crate::enter::enter_arg::{EnterArg, WaitArg};
use crate::enter::submit::Submitter;
use crate::entry::{CqEntry, Cqe, OneWidth};
use crate::ops::time::Timespec;
use crate::register::BufferRing;
use crate::ring::cq::{Cq, Span};
use crate::sys::{CqFlags, EnterFlags, SetupFlags, SqStatus};
use crate::uring::thread::{AnyThread, OneThread};

/// The completion queue of a [`LocalIoUring`](crate::LocalIoUring), borrowed.
pub type LocalCompletionQueue<'r, C = Cqe> = CompletionQueue<'r, C, OneThread>;

/// Where completions come from: the ring's completion queue, borrowed.
///
/// From [`IoUring::completion`](crate::IoUring::completion),
/// [`IoUring::split`](crate::IoUring::split) or an owned half.
///
/// A loop over it takes the completions that are there, as [`drain`](Self::drain) does:
///
/// ```
/// use ringbolt::{IoUring, ops::Nop};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::local(8)?;
/// ring.submission().push_safe(Nop::new().sqe(1))?;
/// ring.submission().push_safe(Nop::new().sqe(2))?;
/// ring.submit_and_wait(2)?;
/// for cqe in ring.completion() {
///     println!("{cqe}");
/// }
/// assert!(ring.completion().is_empty());
/// # Ok(())
/// # }
/// ```
pub struct CompletionQueue<'r, C: CqEntry = Cqe, T = AnyThread> {
    cq: &'r mut Cq<C>,
    /// A copy of the queue's own.
    span: Span<C>,
    enter: &'r Submitter,
    thread: PhantomData<T>,
}

impl<'r, C: CqEntry, T> CompletionQueue<'r, C, T> {
    #[inline(always)]
    pub(crate) fn new(cq: &'r mut Cq<C>, enter: &'r Submitter) -> Self {
        Self { span: cq.span(), cq, enter, thread: PhantomData }
    }

    /// Slots in all: a power of two.
    #[inline]
    pub fn capacity(&self) -> u32 {
        self.cq.capacity()
    }

    /// Completions that wait to be taken, in slots: a wide one of a mixed queue takes two. No
    /// system call is made.
    #[inline]
    #[doc(alias = "io_uring_cq_ready")]
    pub fn len(&self) -> u32 {
        self.cq.ready()
    }

    /// Whether no completion waits. No system call is made.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether every slot is filled. No system call is made.
    ///
    /// The kernel keeps completions that come now until there is room. Before Linux 5.5, without
    /// [`Features::NODROP`](crate::sys::Features::NODROP), it drops them.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.len() == self.capacity()
    }

    /// The kernel's flags: `NEED_WAKEUP`, `CQ_OVERFLOW`, `TASKRUN`. No system call is made.
    ///
    /// See [`SubmissionQueue::status`](crate::SubmissionQueue::status).
    #[inline]
    #[doc(alias = "io_uring_cq_has_overflow")]
    pub fn status(&self) -> SqStatus {
        self.cq.status()
    }

    /// Takes the next completion, and gives its slot back to the kernel. No system call is made.
    #[must_use = "the completion is taken off the queue, and its result is lost"]
    #[inline(always)]
    #[doc(alias("io_uring_peek_cqe", "io_uring_cqe_seen", "__io_uring_get_cqe"))]
    pub fn pop(&mut self) -> Option<C> {
        self.cq.pop_at(&mut self.span)
    }

    /// Copies the next completion, and leaves it where it is.
    #[must_use = "the queue stays as it is"]
    #[inline]
    pub fn peek(&mut self) -> Option<C> {
        self.cq.peek_at(&mut self.span)
    }

    /// Takes the completions that are there now, in order, and ends.
    ///
    /// Those that come meanwhile are for the next call, so that the iteration ends however
    /// fast they come. Reaching the end gives all slots back to the kernel; an iteration that
    /// is left early keeps the rest for later.
    #[inline(always)]
    #[doc(alias("io_uring_cq_advance", "io_uring_for_each_cqe", "io_uring_cqe_nr"))]
    pub fn drain(&mut self) -> Drain<'_, C> {
        self.cq.refresh(&mut self.span);
        Drain { cq: self.cq, span: &mut self.span }
    }

    /// Copies as many completions as there are and fit into `out`, in order. Returns how
    /// many: so many places, from the first, are initialised.
    #[doc(alias = "io_uring_peek_batch_cqe")]
    pub fn pop_into(&mut self, out: &mut [MaybeUninit<C>]) -> usize {
        self.cq.pop_into(&mut self.span, out)
    }

    /// Tells the kernel how far completions have been taken.
    ///
    /// Needed only by those who leave an iteration early and then wait for the ring's
    /// descriptor with something else than this crate, `epoll_wait(2)` say.
    #[inline]
    pub fn sync(&mut self) {
        self.cq.publish();
    }

    /// Completions that the kernel had to drop, modulo 2^32.
    ///
    /// With [`Features::NODROP`](crate::sys::Features::NODROP), since Linux 5.5, it keeps
    /// those for which there is no room, and drops only when memory runs out. On Linux 5.10 and
    /// 5.15 completions that come later may overtake those that are kept.
    #[inline]
    pub fn overflow(&self) -> u32 {
        self.cq.overflow()
    }

    /// The flags that this side has set.
    #[inline]
    #[doc(alias = "io_uring_cq_eventfd_enabled")]
    pub fn flags(&self) -> CqFlags {
        self.cq.flags()
    }

    /// Turns the notifications of a registered eventfd off or on. Since Linux 5.8.
    ///
    /// Completions that come while they are off are not reported later. After turning them on, look
    /// at the queue once more before going to sleep: what came between the last look and the
    /// switch wakes nobody.
    ///
    /// # Errors
    ///
    /// `EOPNOTSUPP` where the kernel does not look at the flag.
    #[doc(alias = "io_uring_cq_eventfd_toggle")]
    pub fn set_eventfd_disabled(&mut self, disabled: bool) -> Result<(), Errno> {
        self.enter.usable()?;
        let mut flags = self.cq.flags();
        flags.set(CqFlags::EVENTFD_DISABLED, disabled);
        if self.cq.set_flags(flags) { Ok(()) } else { Err(Errno::OPNOTSUPP) }
    }

    /// Waits until `want` completions are there, submitting nothing.
    ///
    /// Fewer are there when a [`Timeout`](crate::ops::Timeout) has completed: that ends each wait
    /// on its ring.
    ///
    /// # Errors
    ///
    /// `EINTR` when a signal came; `EBADR` when completions were dropped; `EEXIST` on a ring
    /// with DEFER_TASKRUN from a thread that is not its own. See [`io_uring_enter(2)`].
    ///
    /// [`io_uring_enter(2)`]: https://man7.org/linux/man-pages/man2/io_uring_enter.2.html
    #[inline(always)]
    pub fn wait(&mut self, want: u32) -> Result<(), Errno> {
        self.cq.publish();
        self.enter.wait(want, EnterFlags::empty(), EnterArg::None)
    }

    /// Like [`wait`](Self::wait), for at most `timeout`, a [`Duration`](core::time::Duration) or
    /// a [`Timespec`]. Since Linux 5.11.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait); `ETIME` when the time was up and no completion at all is there
    /// (with fewer than asked for this returns well); `EOPNOTSUPP` where the kernel lacks
    /// [`Features::EXT_ARG`](crate::sys::Features::EXT_ARG).
    #[inline(always)]
    #[doc(alias = "io_uring_wait_cqe_timeout")]
    pub fn wait_timeout(&mut self, want: u32, timeout: impl Into<Timespec>) -> Result<(), Errno> {
        let timeout = timeout.into();
        let wait = WaitArg { timeout: Some(&timeout), ..WaitArg::default() };
        self.wait_with(want, EnterFlags::empty(), EnterArg::Wait(wait))
    }

    /// Waits with flags and arguments of the caller's choice; see
    /// [`SubmissionQueue::submit_with`](crate::SubmissionQueue::submit_with).
    ///
    /// # Errors
    ///
    /// As [`wait_timeout`](Self::wait_timeout).
    #[inline(always)]
    pub fn wait_with(
        &mut self,
        want: u32,
        flags: EnterFlags,
        arg: EnterArg<'_>,
    ) -> Result<(), Errno> {
        self.enter.check(&arg)?;
        self.cq.publish();
        self.enter.wait(want, flags, arg)
    }

    /// Brings in what is there: runs work that the kernel has put off, and moves overflown
    /// completions into the queue. Does not wait.
    ///
    /// On a ring with [`taskrun_flag`](crate::Builder::taskrun_flag), such as
    /// [`IoUring::local`](crate::IoUring::local) makes, or with SQPOLL, the kernel shows whether
    /// there is anything to bring in. If there is nothing, this makes no system call. On other
    /// rings, and with IOPOLL, it always makes one.
    ///
    /// One call runs a part of the work if there is much of it (20 completions, in Linux 6.18). An
    /// event loop calls this and pops completions in turns until there are none; then it sleeps.
    ///
    /// # Errors
    ///
    /// As [`wait`](Self::wait).
    #[inline]
    pub fn get_events(&mut self) -> Result<(), Errno> {
        self.cq.publish();
        self.enter.get_events(|| self.cq.status())
    }
}

impl<C: CqEntry, T> fmt::Debug for CompletionQueue<'_, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompletionQueue")
            .field("capacity", &self.capacity())
            .field("len", &self.len())
            .field("overflow", &self.overflow())
            .finish()
    }
}

impl<'r, C: CqEntry, T> IntoIterator for CompletionQueue<'r, C, T> {
    type Item = C;
    type IntoIter = IntoDrain<'r, C>;

    /// Takes the completions that are there now, as [`drain`](CompletionQueue::drain) does.
    #[inline(always)]
    fn into_iter(mut self) -> IntoDrain<'r, C> {
        self.cq.refresh(&mut self.span);
        IntoDrain { cq: self.cq, span: self.span }
    }
}

impl<'q, C: CqEntry, T> IntoIterator for &'q mut CompletionQueue<'_, C, T> {
    type Item = C;
    type IntoIter = Drain<'q, C>;

    /// Takes the completions that are there now: [`drain`](CompletionQueue::drain).
    #[inline(always)]
    fn into_iter(self) -> Drain<'q, C> {
        self.drain()
    }
}

/// The completions that were there when [`CompletionQueue::drain`] was called.
#[must_use = "completions stay in the queue until the iteration takes them"]
#[derive(Debug)]
pub struct Drain<'q, C: CqEntry = Cqe> {
    cq: &'q mut Cq<C>,
    span: &'q mut Span<C>,
}

/// The completions that were there when a [`CompletionQueue`] was turned into an iterator.
#[must_use = "completions stay in the queue until the iteration takes them"]
#[derive(Debug)]
pub struct IntoDrain<'r, C: CqEntry = Cqe> {
    cq: &'r mut Cq<C>,
    span: Span<C>,
}

/// The next completion of those that are there. At the end all slots go back to the kernel.
#[inline(always)]
fn next<C: CqEntry>(cq: &mut Cq<C>, span: &mut Span<C>) -> Option<C> {
    let entry = cq.pop_known(span);
    if entry.is_none() {
        cq.publish();
    }
    entry
}

#[inline]
fn size_hint<C: CqEntry>(span: &Span<C>) -> (usize, Option<usize>) {
    // A u32 always fits a usize: the crate is built for 32 and 64 bits only.
    let slots = span.left() as usize;
    // In a mixed queue an entry may take two, and some may be there to fill it.
    let mixed = C::SETUP.contains(SetupFlags::CQE_MIXED);
    (if mixed { 0 } else { slots }, Some(slots))
}

impl<C: CqEntry> Iterator for Drain<'_, C> {
    type Item = C;

    #[inline(always)]
    fn next(&mut self) -> Option<C> {
        next(self.cq, self.span)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        size_hint(self.span)
    }
}

impl<C: CqEntry> Iterator for IntoDrain<'_, C> {
    type Item = C;

    #[inline(always)]
    fn next(&mut self) -> Option<C> {
        next(self.cq, &mut self.span)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        size_hint(&self.span)
    }
}

impl<C: CqEntry + OneWidth> ExactSizeIterator for Drain<'_, C> {}
impl<C: CqEntry + OneWidth> ExactSizeIterator for IntoDrain<'_, C> {}
impl<C: CqEntry> FusedIterator for Drain<'_, C> {}
impl<C: CqEntry> FusedIterator for IntoDrain<'_, C> {}

/// What takes a completion queue, too: a registration does not know queues.
impl BufferRing {
    /// Publishes the buffers, and returns the slots of the completions popped so far to the kernel.
    ///
    /// Call it after a batch of completions whose buffers were reclaimed and added again.
    #[doc(alias = "io_uring_buf_ring_cq_advance")]
    #[inline(always)]
    #[doc(alias = "__io_uring_buf_ring_cq_advance")]
    pub fn publish_with<C: CqEntry, T>(&mut self, completions: &mut CompletionQueue<'_, C, T>) {
        self.publish();
        completions.sync();
    }
}
