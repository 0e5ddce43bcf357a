//! The two halves of a ring as owned values: each keeps the ring open, and has no lifetime.
//!
//! This is for a runtime that protects one half with its own lock, or moves the halves to two
//! threads permanently. Splitting the ring makes one allocation.
#![forbid(unsafe_code)]

use alloc::sync::Arc;
use core::marker::PhantomData;

use crate::enter::submit::Submitter;
use crate::entry::{CqEntry, Cqe, SqEntry, Sqe};
use crate::register::Registrar;
use crate::ring::cq::Cq;
use crate::ring::map::Memory;
use crate::ring::sq::Sq;
use crate::uring::IoUring;
use crate::uring::completion::CompletionQueue;
use crate::uring::handle::Handle;
use crate::uring::submission::SubmissionQueue;
use crate::uring::thread::AnyThread;

/// What the halves share: the ring, which is closed when the last half is dropped.
#[derive(Debug)]
struct Shared {
    enter: Submitter,
    // The descriptor is dropped before the memory.
    handle: Handle,
    #[expect(dead_code, reason = "held for the queues that point into it")]
    memory: Memory,
}

impl Shared {
    /// Returns what is needed to enter the ring. In a process that did not make it, calls
    /// `abandon`, and the result refuses to enter.
    #[inline(always)]
    fn submitter_from_here(&self, abandon: impl FnOnce()) -> &Submitter {
        if self.handle.home().is_here() {
            return &self.enter;
        }
        abandon();
        Submitter::forked()
    }
}

/// The submission half of a ring, from [`IoUring::into_halves`].
#[derive(Debug)]
pub struct OwnedSubmissionQueue<S: SqEntry = Sqe, T = AnyThread> {
    // The queue points into the shared memory, and is dropped first.
    sq: Sq<S>,
    shared: Arc<Shared>,
    thread: PhantomData<T>,
}

/// The completion half of a ring, from [`IoUring::into_halves`].
#[derive(Debug)]
pub struct OwnedCompletionQueue<C: CqEntry = Cqe, T = AnyThread> {
    // The queue points into the shared memory, and is dropped first.
    cq: Cq<C>,
    shared: Arc<Shared>,
    thread: PhantomData<T>,
}

impl<S: SqEntry, C: CqEntry, T> IoUring<S, C, T> {
    /// Splits the ring into two halves that own it together.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::Nop};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (mut submission, mut completion) = IoUring::new(8)?.into_halves();
    /// let reaper = std::thread::spawn(move || {
    ///     completion.queue().wait(1).unwrap();
    ///     completion.queue().pop().unwrap().user_data()
    /// });
    /// submission.queue().push_safe(Nop::new().sqe(3))?;
    /// submission.queue().submit()?;
    /// assert_eq!(reaper.join().unwrap(), 3);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_halves(self) -> (OwnedSubmissionQueue<S, T>, OwnedCompletionQueue<C, T>) {
        let (sq, cq, enter, handle, memory) = self.into_parts();
        let shared = Arc::new(Shared { enter, handle, memory });
        let submission =
            OwnedSubmissionQueue { sq, shared: Arc::clone(&shared), thread: PhantomData };
        (submission, OwnedCompletionQueue { cq, shared, thread: PhantomData })
    }
}

impl<S: SqEntry, T> OwnedSubmissionQueue<S, T> {
    /// Returns the queue to which entries are pushed and submitted.
    #[inline(always)]
    pub fn queue(&mut self) -> SubmissionQueue<'_, S, T> {
        let Self { sq, shared, .. } = self;
        let enter = shared.submitter_from_here(|| sq.abandon());
        SubmissionQueue::new(sq, enter)
    }

    /// Returns the registrar, for buffers, files and everything else that can be registered.
    pub fn registrar(&self) -> Registrar<'_> {
        self.shared.handle.registrar()
    }
}

impl<C: CqEntry, T> OwnedCompletionQueue<C, T> {
    /// Returns the queue from which completions are waited for and popped.
    #[inline(always)]
    pub fn queue(&mut self) -> CompletionQueue<'_, C, T> {
        let Self { cq, shared, .. } = self;
        let enter = shared.submitter_from_here(|| cq.abandon());
        CompletionQueue::new(cq, enter)
    }

    /// Returns the registrar, for buffers, files and everything else that can be registered.
    pub fn registrar(&self) -> Registrar<'_> {
        self.shared.handle.registrar()
    }
}
