//! io_uring by raw system calls: no liburing, no C, `no_std`, and no allocation after set-up.
//!
//! A program hands the ring values of its own, and operations that borrow from them. The ring keeps
//! a value until the operation's last completion, and gives it back with the result: this is the
//! [safe front](jobs), which needs no `unsafe`.
//!
//! ```
//! use std::fs::File;
//!
//! use ringbolt::jobs::{OwnedJobs, SafeRing};
//! use ringbolt::ops::{Op, Read};
//!
//! /// A job: what is read from, and what is read into.
//! struct Block {
//!     file: File,
//!     bytes: [u8; 4096],
//! }
//!
//! impl Block {
//!     fn read(&mut self) -> Op<'_> {
//!         Read::lent(&self.file, &mut self.bytes).offset(0).op()
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let block = Block { file: File::open("Cargo.toml")?, bytes: [0; 4096] };
//! let mut jobs: OwnedJobs<Block> = SafeRing::new(8)?.into_jobs(8);
//! jobs.start(block, Block::read)?;
//! while let Some(event) = jobs.wait_next()? {
//!     let len = event.result()? as usize;
//!     assert!(event.bytes[..len].starts_with(b"["));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Under it is the layer for runtimes: it maps the rings, moves entries in and out of them, enters
//! the kernel, and types every operation. Neither has an executor or a thread.
//!
//! # A tour
//!
//! - [`jobs`] is the safe front: a [`SafeRing`](jobs::SafeRing), and [`Jobs`](jobs::Jobs) on it.
//!   The [guide] begins with which layer to use.
//! - [`Builder`] sets a ring up, and says by [`BuildError`] why it cannot be.
//! - [`IoUring`] is the ring. Its two halves, [`SubmissionQueue`] and [`CompletionQueue`],
//!   are borrowed from it one at a time, or together for two threads.
//! - [`ops`] makes entries, [`Sqe`]; completions come as [`Cqe`]. [`Sqe128`] and [`Cqe32`]
//!   are their wide forms, [`SqeMixed`] and [`CqeMixed`] hold either.
//! - [`register`] registers files and buffers, and asks what the kernel can do.
//! - [`sys`] is the kernel's own interface, for what is not reached otherwise.
//!
//! # Safety
//!
//! The kernel reads and writes memory behind the program's back from the time when an entry is
//! pushed until its last completion. The safe front ([`jobs`]) keeps that memory and the
//! descriptors for so long, and a program that uses it alone can forbid `unsafe`. Its documentation
//! has the argument.
//!
//! In the layer under it nothing in the type of an entry can hold the program to that, so
//! [`SubmissionQueue::push`] is unsafe, and its contract says what to keep until when. Operations
//! that name no memory are pushed by [`SubmissionQueue::push_safe`], if they act on a slot of the
//! ring's file table or on no file: [`ops`] has the list. Everything else is safe: submitting,
//! waiting, reaping, dropping a ring.
//!
//! # Threads
//!
//! A ring can be sent to another thread unless it was built by [`Builder::build_local`], which
//! is for rings that are of use to one thread only: [`LocalIoUring`]. A ring built
//! [disabled](Builder::build_disabled) is made by one thread and enabled by the one that will
//! use it.
//!
//! The kernel ties an operation in flight to the thread that submitted it, although the ring can be
//! sent. When that thread ends, what it has submitted is not carried out any more, except
//! timeouts. It completes with `ECANCELED`: what no worker thread has begun, at once; what waits
//! for a file to become ready, only when the file becomes ready. Data that it waited for stays in
//! the file. What worker threads are carrying out is interrupted. Submit on a thread that lives as
//! long as its operations. With SQPOLL the polling thread submits, and the end of other threads
//! changes nothing.
//!
//! # Processes
//!
//! A ring belongs to the process that made it. In a child process every use of an inherited ring is
//! refused with an error, and dropping it releases its descriptor alone: see [`IoUring`].
//!
//! # Kernels
//!
//! Linux 5.10 and later. On a kernel whose io_uring is older than that of Linux 5.9 no ring can be
//! made: [`BuildError::TooOld`]. Each item says which version it came with; [`Capabilities`] is
//! what the running kernel says it can do. Versions tell little: distributions carry features back.
//! Sets that the kernel may extend are open: a value that is not known here is kept, passed on and
//! printed as a number.
//!
//! # Features
//!
//! - `std`, on by default: conversions to `std::io::Error`, and the descriptor types of std.
//!   Implies `alloc`.
//! - `alloc`: jobs that own their values, and what a ring of the safe front owns: provided and
//!   registered buffers, slots, wakers. Without it there are the jobs of a scope.
//! - `owned`: halves of a ring that own it together, for those who keep them apart for good.
//!   Implies `alloc`.
//! - `sim`: the simulated kernel, module `sim`, for tests. Unstable: it may change with any
//!   release. Needs std.
#![no_std]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

mod enter;
mod entry;
pub mod jobs;
pub mod ops;
pub mod register;
mod ring;
mod setup;
#[cfg(feature = "sim")]
pub mod sim;
mod uring;

#[doc(inline)]
pub use ringbolt_sys as sys;

pub use enter::enter_arg::{EnterArg, SigSet, WaitArg};
pub use enter::submit_error::{Advice, SubmitError};
pub use entry::explain::ErrnoText;
pub use entry::{
    CqEntry, Cqe, Cqe32, CqeMixed, IntoEntry, OneWidth, SafeSqe, SqEntry, Sqe, Sqe128, SqeMixed,
};
pub use ops::received::{ControlMessage, ControlMessages, MessageError, ReceivedMessage};
pub use ops::time::Timespec;
pub use ring::layout::LayoutError;
pub use ring::map::RingMemory;
pub use ring::push_error::PushError;
pub use setup::build_error::{BuildError, Contradiction, SystemCall};
pub use setup::builder::{Builder, MAX_CQ_ENTRIES, MAX_ENTRIES, MemoryNeeded};
pub use setup::capabilities::{Capabilities, Variant};
pub use setup::disabled::{DisabledIoUring, EnableError};
pub use setup::resize::ResizeError;
pub use uring::closing::{Leftover, StillInFlight};
pub use uring::completion::{CompletionQueue, Drain, IntoDrain, LocalCompletionQueue};
#[cfg(feature = "owned")]
pub use uring::owned::{OwnedCompletionQueue, OwnedSubmissionQueue};
pub use uring::submission::{LocalSubmissionQueue, SubmissionQueue};
pub use uring::thread::{AnyThread, HasFd, NoFd, OneThread};
pub use uring::together::Reserved;
pub use uring::{IoUring, LocalIoUring};

/// The crates whose types are part of this crate's interface, by the versions it uses.
pub use rustix;

#[cfg(any(doc, doctest))]
#[doc = include_str!("../docs/guide.md")]
pub mod guide {
    // So that the tables of pages name items as programs do.
    use crate::*;

    /// Which layer to use.
    ///
    #[doc = include_str!("../docs/pictures/layers.svg")]
    ///
    #[doc = include_str!("../docs/layers.md")]
    pub mod layers {}

    /// A ring in ten steps, and who owns the buffer until when.
    ///
    #[doc = include_str!("../docs/pictures/rings.svg")]
    ///
    #[doc = include_str!("../docs/pictures/operation.svg")]
    ///
    #[doc = include_str!("../docs/ring.md")]
    pub mod ring {}

    /// Chains, and what breaks them.
    ///
    #[doc = include_str!("../docs/pictures/chain.svg")]
    ///
    #[doc = include_str!("../docs/chains.md")]
    pub mod chains {}

    /// Registered buffers and files, and provided buffers.
    ///
    #[doc = include_str!("../docs/pictures/provided.svg")]
    ///
    #[doc = include_str!("../docs/memory.md")]
    pub mod memory {}

    /// Deferred work, event loops, backpressure and overflow.
    ///
    #[doc = include_str!("../docs/waiting.md")]
    pub mod waiting {}

    /// Cancellation, shutting down, threads, fork and exec.
    ///
    #[doc = include_str!("../docs/ending.md")]
    pub mod ending {}

    /// Choosing set-up flags, and when SQPOLL helps.
    ///
    #[doc = include_str!("../docs/flags.md")]
    pub mod flags {}

    /// Each errno and what to do, and io_uring in containers.
    ///
    #[doc = include_str!("../docs/errors.md")]
    pub mod errors {}

    /// Testing without a kernel.
    ///
    #[doc = include_str!("../docs/testing.md")]
    pub mod testing {}

    /// Questions from the articles.
    ///
    #[doc = include_str!("../docs/questions.md")]
    pub mod questions {}

    /// Coming from the crate io-uring.
    ///
    #[doc = include_str!("../docs/from_io_uring.md")]
    pub mod from_io_uring {}
}

/// Runs the program of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
