//! The safe front: programs that use io_uring and write no `unsafe`.
//!
//! A *job* is a value of the program's own type, and an operation that borrows from it. [`Jobs`]
//! keeps the value in a [`Place`] from the start of the operation until its last completion, and
//! then hands it back with the result, as an [`Event`]. Buffers, descriptors, paths and times are
//! fields of the value. Operations of different kinds are variants of an `enum`.
//!
//! ```
//! use std::fs::File;
//! use ringbolt::jobs::{OwnedJobs, SafeRing};
//! use ringbolt::ops::{Op, Read};
//!
//! struct Line {
//!     from: File,
//!     bytes: [u8; 80],
//! }
//!
//! impl Line {
//!     fn read(&mut self) -> Op<'_> {
//!         Read::lent(&self.from, &mut self.bytes).offset(0).op()
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut jobs: OwnedJobs<Line> = SafeRing::new(8)?.into_jobs(8);
//! jobs.start(Line { from: File::open("Cargo.toml")?, bytes: [0; 80] }, Line::read)?;
//! while let Some(event) = jobs.wait_next()? {
//!     let len = event.result()? as usize;
//!     assert!(event.bytes[..len].starts_with(b"["));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Two ways in
//!
//! - [`SafeRing::into_jobs`]: *owned* jobs, for a struct or a server. The values are `'static`, and
//!   an operation borrows from its value and from statics alone. A closure that captures a
//!   reference to something else does not compile; the compiler says "does not live long enough".
//!   Put what it needs into the value.
//! - [`SafeRing::scope`]: *lent* jobs. An operation may also borrow whatever outlives the scope.
//!   The places are the caller's, so that no allocator is needed.
//!
//! # What a job can be
//!
//! | | |
//! |---|---|
//! | [`Jobs::start`] | one operation that completes once |
//! | [`Jobs::start_chain`] | up to seven operations, one after the other, with one event |
//! | [`Jobs::start_quiet`] | the same, with one completion |
//! | [`Jobs::start_zc`] | a send that does not copy, with a second event when the data is free again |
//! | [`Jobs::start_multi`] | an operation that completes many times, such as a multishot receive |
//! | [`Done::restart`] and its sisters | the next operation of the same job, in place: the cheapest |
//!
//! A job is cancelled by its [`Key`]. A time limit is a
//! [`LinkTimeout`](crate::ops::LinkTimeout) as the next operation of a chain, or a
//! [wait](Jobs::submit_and_wait_timeout) with a timeout. The number of places limits what is in
//! flight: [`Jobs::start`] returns the value as [`Refused`] when every place is taken.
//!
//! Provided buffers ([`Received`]), slots of the file table ([`Slot`]), registered buffers
//! ([`Lease`]) and new descriptors are values that give themselves back when they are dropped.
//!
//! # Why it is sound
//!
//! Nothing depends on a destructor that can be skipped. These invariants hold:
//!
//! - **J1, alone.** Everything on the ring was pushed by its jobs. A [`SafeRing`] is made fresh. It
//!   hides its queues, its registrar and its descriptor, and operations that post completions to
//!   other rings by a descriptor have no safe form.
//! - **J2, stay.** From the start of an operation to its last completion its value is not moved,
//!   not dropped, and not reached, except by `&T` while an operation that only reads it may
//!   complete more than once. Places neither move nor are freed: owned ones are behind a raw
//!   pointer, those of a scope are borrowed.
//! - **J3, lent.** The closure that makes an operation is
//!   `for<'a> FnOnce(&'a mut T) -> OpIn<'a, 'scope>`: what the entry names is borrowed from the
//!   value, for a lifetime that the closure cannot choose, or outlives the scope. The borrow is
//!   held until the last completion.
//! - **J4, once.** A completion finds its place by the lower half of its user data, and counts only
//!   if all 64 bits are those of the operation in flight there; the upper half is different for
//!   each operation of a place. The kernel posts one completion for an entry or, for a multishot
//!   one, several until one has no MORE. Of a chain each link has a mark, so that a completion
//!   which is seen twice changes nothing.
//! - **J5, drain.** Places are given up only when nothing is in flight: at the end of a scope, when
//!   jobs are dropped, and by [`Jobs::shutdown`]. If it cannot be known whether something is in
//!   flight, owned jobs leak their values, places and ring. A scope aborts the process, on a path
//!   that runs no code which could panic or return.
//! - **J6, look.** A place is only ever reached by `&Place`, whose fields are cells. A `&mut Place`
//!   would claim buffers in the value that the kernel writes to.
//! - **J7, shown.** At most one place is shown: its job is done, and its value is still in it. The
//!   next call of any method of the jobs drops what was neither taken nor restarted. What an event
//!   owns (a buffer, a descriptor, a slot) is kept with the event and not looked up by the place:
//!   every way out of an event gives it back before the place can be used again.
//! - **J8, names.** A number becomes an [`OwnedFd`](rustix::fd::OwnedFd) only if the kernel wrote
//!   it in answer to an operation that makes descriptors, and only once. Bytes that the program or
//!   a peer can write never become descriptors.
//!
//! From these follows:
//!
//! - *Forgetting.* [`Event`] and [`Done`] have no destructor: forgetting one does what dropping it
//!   does. Forgetting owned jobs leaks ring, places and values. Jobs of a scope are lent to the
//!   closure, and their owner is in the frame of [`SafeRing::scope`]. Forgetting a [`Received`] or
//!   a [`Slot`] keeps it from the kernel.
//! - *Panics.* If a closure that makes an operation panics, nothing was pushed, and its place is
//!   shown (J7). A scope drains in a guard. Values are dropped after the drain; one whose
//!   destructor panics does not keep the others from being dropped.
//! - *Swapping.* `'scope` is a new invariant lifetime for each scope, so that the jobs of two
//!   scopes cannot be swapped. Owned jobs can: each has everything that belongs to it.
//! - *Failed submissions.* Entries stay queued, and their places taken. The drain takes back what
//!   the kernel has not seen, and cancels the rest.
//! - *Fork.* Child processes do not inherit the memory of a ring. In a child, dropping jobs or a
//!   [`Received`] leaves everything as it is, and the end of a scope does, too. Starting a job
//!   fails with `ECHILD`, and gives the value back; no event comes.
//! - *Threads.* [`Jobs`] on a ring of any thread are `Send` if their values are. What counts
//!   without atomics ([`Received`], [`Slot`], [`Lease`]) exists only on rings of one thread.
//!
//! That the memory of an operation is released with its last completion is the kernel's promise,
//! as for `read(2)`.

#[cfg(feature = "alloc")]
mod arena;
mod cancel;
mod chain;
mod drain;
mod event;
mod key;
mod owes;
#[cfg(feature = "alloc")]
mod owned;
mod place;
#[cfg(feature = "alloc")]
mod pool;
mod reap;
mod refused;
mod ring;
mod shutdown;
#[cfg(feature = "alloc")]
mod slot;
mod table;
mod user_data;
#[cfg(feature = "alloc")]
mod waker;
mod zero_copy;

#[cfg(feature = "alloc")]
pub use arena::{Lease, Leases, Pages};
pub use event::{Done, Event};
pub use key::Key;
pub use place::Place;
#[cfg(feature = "alloc")]
pub use pool::Received;
pub use refused::{Cause, Refused};
pub use ring::SafeRing;
pub use shutdown::{StillRunning, Stopped};
#[cfg(feature = "alloc")]
pub use slot::Slot;
pub use table::{Jobs, OwnedJobs};
#[cfg(feature = "alloc")]
pub use waker::Waker;
