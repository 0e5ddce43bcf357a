//! The two halves of a ring, owned: each keeps the ring open, and has no lifetime.
//!
//! For a runtime that puts a lock of its own around one half, or hands the halves to two
//! threads for good. One allocation, when the ring is taken apart.
#![forbid(unsafe_code)]

use alloc::sync::Arc;
use core::marker::PhantomData;

use crate::completion::CompletionQueue;
use crate::entry::{CqEntry, Cqe, SqEntry, Sqe};
use crate::handle::Handle;
use crate::register::Registrar;
use crate::ring::cq::Cq;
use crate::ring::map::Memory;
use crate::ring::sq::Sq;
use crate::submission::SubmissionQueue;
use crate::submit::Enter;
use crate::thread::AnyThread;
use crate::uring::IoUring;

/// What the halves share: the ring, closed when the last of them is dropped.
#[derive(Debug)]
struct Shared {
    enter: Enter,
    // The descriptor goes before the memory does.
    handle: Handle,
    #[expect(dead_code, reason = "held for the queues that point into it")]
    memory: Memory,
}

impl Shared {
    /// How to enter the ring. In a process that did not make it, calls `abandon` and refuses.
    #[inline(always)]
    fn enter_from_here(&self, abandon: impl FnOnce()) -> &Enter {
        if self.handle.home().is_here() {
            return &self.enter;
        }
        abandon();
        Enter::forked()
    }
}

/// The submission half of a ring, from [`IoUring::into_halves`].
#[derive(Debug)]
pub struct OwnedSubmissionQueue<S: SqEntry = Sqe, T = AnyThread> {
    // The queue points into what is shared, and is dropped first.
    sq: Sq<S>,
    shared: Arc<Shared>,
    thread: PhantomData<T>,
}

/// The completion half of a ring, from [`IoUring::into_halves`].
#[derive(Debug)]
pub struct OwnedCompletionQueue<C: CqEntry = Cqe, T = AnyThread> {
    // The queue points into what is shared, and is dropped first.
    cq: Cq<C>,
    shared: Arc<Shared>,
    thread: PhantomData<T>,
}

impl<S: SqEntry, C: CqEntry, T> IoUring<S, C, T> {
    /// Takes the ring apart into halves that own it together.
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
    /// Where entries are pushed and submitted.
    #[inline(always)]
    pub fn queue(&mut self) -> SubmissionQueue<'_, S, T> {
        let Self { sq, shared, .. } = self;
        let enter = shared.enter_from_here(|| sq.abandon());
        SubmissionQueue::new(sq, enter)
    }

    /// Registers buffers, files and everything else.
    pub fn registrar(&self) -> Registrar<'_> {
        self.shared.handle.registrar()
    }
}

impl<C: CqEntry, T> OwnedCompletionQueue<C, T> {
    /// Where completions are waited for and taken.
    #[inline(always)]
    pub fn queue(&mut self) -> CompletionQueue<'_, C, T> {
        let Self { cq, shared, .. } = self;
        let enter = shared.enter_from_here(|| cq.abandon());
        CompletionQueue::new(cq, enter)
    }

    /// Registers buffers, files and everything else.
    pub fn registrar(&self) -> Registrar<'_> {
        self.shared.handle.registrar()
    }
}
