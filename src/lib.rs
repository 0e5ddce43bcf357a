//! io_uring by raw system calls: no liburing, no C, `no_std`, and no allocation after set-up.
//!
//! ringbolt is the layer under a runtime: it maps the rings, moves entries in and out of
//! them, enters the kernel, and types every operation. It has no executor, no thread and no
//! opinion on who waits for what.
//!
//! ```
//! use ringbolt::{IoUring, ops::Nop};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ring = IoUring::new(8)?;
//! ring.submission().push_safe(Nop::new().sqe(42))?;
//! ring.wait_for(1)?;
//! let cqe = ring.completion().pop().ok_or("no completion")?;
//! assert_eq!((cqe.user_data(), cqe.result()?), (42, 0));
//! # Ok(())
//! # }
//! ```
//!
//! # A tour
//!
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
//! pushed until its last completion. Nothing in the type of an entry can hold the program
//! to that, so [`SubmissionQueue::push`] is unsafe, and its contract says what to keep until
//! when. Operations that name no memory are pushed by [`SubmissionQueue::push_safe`], if they act
//! on a slot of the ring's file table or on no file: [`ops`] has the list. A program that keeps to
//! them pushes without unsafe code.
//! Everything else is safe: submitting, waiting, reaping, dropping a ring.
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
//! Linux 5.1 and later. Each item says which version it came with; [`Capabilities`] is what the
//! running kernel says it can do. Versions tell little: distributions carry features back. Sets
//! that the kernel may extend are open: a value that is not known here is kept, passed on and
//! printed as a number.
//!
//! # Features
//!
//! - `std`, on by default: conversions to `std::io::Error`, and the descriptor types of std.
//! - `owned`: halves of a ring that own it together, for those who keep them apart for good.
//!   Needs an allocator.
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
pub use uring::completion::{CompletionQueue, Drain, IntoDrain};
#[cfg(feature = "owned")]
pub use uring::owned::{OwnedCompletionQueue, OwnedSubmissionQueue};
pub use uring::submission::SubmissionQueue;
pub use uring::thread::{AnyThread, HasFd, NoFd, OneThread};
pub use uring::together::Reserved;
pub use uring::{IoUring, LocalIoUring};

/// The crates whose types are part of this crate's interface, by the versions it uses.
pub use rustix;

/// Runs the program of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
