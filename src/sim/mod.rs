//! A simulated kernel: the other side of the rings over plain memory, for tests.
//!
//! Unstable: this module may change with any release.
//!
//! After [`Builder::simulated`](crate::Builder::simulated), a builder makes an ordinary
//! [`IoUring`](crate::IoUring) whose system calls go to a [`Kernel`] of this module. The kernel
//! consumes entries, executes a few operations on files in memory, and posts completions. On
//! request it also does what a real kernel does rarely: it refuses a call, consumes fewer entries
//! than are queued, overflows, drops completions, lets the polling thread fall asleep, or writes
//! invalid data.
//!
//! It is written in the simplest way and shares no arithmetic with the queues: a mistake would have
//! to be made twice to stay hidden. Nothing in it happens by itself or depends on a clock: time is
//! virtual, and the polling thread of an SQPOLL ring runs only when [`Kernel::poll`] is called or a
//! system call would wait for it. So a test fails in the same way each time.
//!
//! ```
//! use ringbolt::ops::{Fixed, Read};
//! use ringbolt::rustix::io::Errno;
//! use ringbolt::sim::{Fault, Kernel};
//! use ringbolt::{Advice, IoUring};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::new();
//! kernel.put_file(Fixed(0), b"hello".to_vec());
//! let mut ring = IoUring::builder().simulated(&kernel).build(8)?;
//!
//! let mut buf = [0; 16];
//! let read = Read::new(Fixed(0), buf.as_mut_ptr(), 16).offset(1).sqe(7);
//! // SAFETY: `buf` stays, and is not touched, until the completion is popped.
//! unsafe { ring.submission().push(read) }?;
//!
//! // The first call is refused, as if there was no memory. The entry stays queued.
//! kernel.fail_next(Fault::Refuse(Errno::AGAIN));
//! let error = ring.submit_and_wait(1).unwrap_err();
//! assert_eq!((error.advice(), error.queued), (Advice::Retry, 1));
//!
//! assert_eq!(ring.submit_and_wait(1), Ok(1));
//! let cqe = ring.completion().pop().ok_or("no completion")?;
//! assert_eq!((cqe.user_data(), cqe.result()), (7, Ok(4)));
//! assert_eq!(&buf[..4], b"ello");
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//!
//! - **Set-up**: CQSIZE, CLAMP, SQPOLL, SQ_AFF, SUBMIT_ALL, COOP_TASKRUN, TASKRUN_FLAG,
//!   SINGLE_ISSUER, DEFER_TASKRUN, NO_SQARRAY, R_DISABLED, SQE128, CQE32, SQE_MIXED, CQE_MIXED,
//!   SQ_REWIND; other flags and contradictory ones fail with `EINVAL`. Positions start just below
//!   2^32, and the words of a ring are in a different order than in a real kernel.
//! - **Operations**: NOP, NOP128, READ, WRITE, READV, WRITEV, READ_MULTISHOT, TIMEOUT,
//!   LINK_TIMEOUT, TIMEOUT_REMOVE, ASYNC_CANCEL; URING_CMD and URING_CMD128 complete with
//!   `EOPNOTSUPP`. All others complete with `EINVAL`, and so do multishot timeouts. Links, hard
//!   links, drains, skipped successes and provided buffers behave as in Linux 6.18. A link that is
//!   open at the end of a submission ends there.
//! - **Registration**: ENABLE_RINGS, PROBE, PBUF_RING in the program's memory, PBUF_STATUS,
//!   RESIZE_RINGS; others fail with `EINVAL`. [`Kernel::put_file`] sets what a fixed slot holds.
//!
//! # Closing
//!
//! As in a real kernel, dropping a ring does not end its operations in flight: the program must
//! keep the memory that they refer to. The operations stay in flight, and [`Kernel::in_flight`]
//! counts them. Until [`Kernel::finish_closing`] is called, or the last handle of the kernel is
//! dropped, [`Kernel::complete`] executes them, and they write to the program's memory. So a test
//! of a runtime can assert that it keeps its buffers:
//!
//! ```
//! use ringbolt::IoUring;
//! use ringbolt::ops::{Fixed, Read};
//! use ringbolt::sim::{Kernel, Pace};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::new();
//! kernel.put_file(Fixed(0), b"late".to_vec());
//! kernel.set_pace(Pace::Held);
//! let mut ring = IoUring::builder().simulated(&kernel).build(8)?;
//! let mut buf = [0; 4];
//! let read = Read::new(Fixed(0), buf.as_mut_ptr(), 4).offset(0).sqe(7);
//! // SAFETY: `buf` stays, and is not touched, until the kernel has released it.
//! unsafe { ring.submission().push(read) }?;
//! ring.submit()?;
//! drop(ring);
//! assert_eq!(kernel.in_flight(), 1);
//! assert!(kernel.complete(0));
//! assert_eq!((kernel.finish_closing(), &buf), (0, b"late"));
//! # Ok(())
//! # }
//! ```
//!
//! # Jobs
//!
//! A [`SafeRing`](crate::jobs::SafeRing) is made in a simulated kernel by a builder, too. The types
//! of the safe front rely on true completions. So whatever would falsify such a ring panics: forged
//! completions ([`Kernel::post`]), changed words and slots, and changed answers to set-up. What a
//! kernel may do, such as failing, losing completions, and taking its time, is allowed.
//!
//! ```
//! use ringbolt::IoUring;
//! use ringbolt::jobs::{OwnedJobs, SafeRing};
//! use ringbolt::ops::{Fixed, Read};
//! use ringbolt::sim::Kernel;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::new();
//! kernel.put_file(Fixed(0), b"hello".to_vec());
//! let ring = SafeRing::build_local(&IoUring::builder().simulated(&kernel), 8)?;
//! let mut jobs: OwnedJobs<[u8; 4]> = ring.into_jobs(8);
//! jobs.start([0; 4], |buf| Read::lent(Fixed(0), buf).offset(1).op())?;
//! let event = jobs.wait_next()?.ok_or("no job")?;
//! assert_eq!((event.result(), *event), (Ok(4), *b"ello"));
//! # Ok(())
//! # }
//! ```
//!
//! # Threads
//!
//! Every method can be called from any thread. A test that writes false values breaks the rules by
//! which the two sides share slots. The following restrictions prevent the data races that could
//! result:
//!
//! - Only the thread of a ring that stays on one thread
//!   ([`build_local`](crate::Builder::build_local)) can overwrite slots and change the values that
//!   set-up returns. Any other attempt panics.
//! - After [`Kernel::set_word`] has changed a position, such a ring works as before for its own
//!   thread. For any other ring, and for other threads, the kernel no longer uses the slots of that
//!   queue: completions count as overflown, and only calls that submit consume entries.
//!
//! # Where it differs from a kernel
//!
//! - A wait that nothing could ever end returns `EDEADLK` immediately, even if entries were
//!   submitted or some completions are ready. A real kernel would wait.
//! - Pages cannot be pinned: memory that the caller provides for a ring of provided buffers must
//!   stay valid until the group is unregistered or the ring is closed, as if each entry that refers
//!   to the group referred to this memory. Both sides share the ownership of the memory of other
//!   rings of provided buffers.
//! - A submission is never refused with `EBUSY` because completions have overflown. This is as in
//!   Linux 5.19 and later; [`Fault::Refuse`] can simulate older kernels.
//! - On a tampered ring, operations that refer to the program's memory are no longer executed: they
//!   complete with `EFAULT`. The addresses might be wrong, and the program might not know that the
//!   memory is still in use. A ring is tampered with by [`Kernel::set_word`] if it changes a
//!   position, by [`Kernel::scribble_cqe`] and similar methods, by [`Kernel::answer_setup_with`]
//!   and [`Kernel::answer_resize_with`], and by a forged completion of an operation.
//! - The descriptor of a ring, which [`AsFd`](std::os::fd::AsFd) returns, is an eventfd that
//!   represents the ring and is never readable. System calls of other crates cannot reach the ring
//!   through it.
//! - The memory of a ring ends at its last slot and not at a page boundary, so that tools which
//!   check memory report accesses beyond it.
//! - A file has at most [`MAX_FILE`] bytes: writes beyond that fail with `EFBIG`.

mod buffers;
mod closing;
mod completion;
mod enter;
mod execute;
mod files;
mod hostile;
mod lent;
mod memory;
mod operation;
mod program;
mod register;
mod requests;
mod resize;
mod setup;
mod state;
mod submission;
mod table;
#[cfg(test)]
mod tests;

use core::fmt;
use core::time::Duration;
use std::sync::{Arc, MutexGuard};
use std::vec::Vec;

use rustix::io::Errno;

use crate::ops::target::Target;
use crate::sys::{io_uring_cqe, io_uring_sqe};

use self::files::{File, TransferFault};
use self::state::State;
use self::table::Handle;

pub use self::files::MAX_FILE;
pub(crate) use self::lent::BufferMemory;
pub(crate) use self::table::{close, descriptor, enter, keep_honest, map, register, setup};

/// A simulated kernel, with one ring at a time.
///
/// A value is a handle: clones refer to the same kernel. The kernel is freed when the last handle
/// is dropped and its ring is closed. Any thread may use it; a thread that calls
/// [`poll`](Self::poll) acts as the polling thread of an SQPOLL ring.
#[derive(Clone)]
pub struct Kernel {
    handle: Arc<Handle>,
}

/// When operations that do I/O complete: all except NOP, TIMEOUT, and those that cancel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// When they are submitted.
    #[default]
    Inline,
    /// When a system call asks for completions (`GETEVENTS`), or [`Kernel::complete`] is called.
    WhenWaited,
    /// Only when [`Kernel::complete`] is called.
    Held,
}

/// How the next system call fails, for [`Kernel::fail_next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this errno before it consumes anything.
    Refuse(Errno),
    /// It consumes at most this many entries and returns their number, without waiting. With 0 it
    /// fails with `EAGAIN`, like a kernel that lacks memory for the first entry.
    Short(u32),
    /// It consumes all entries; then its wait fails with this errno, unless enough completions are
    /// ready. As in a real kernel, the call returns the error only if it consumed no entry and no
    /// completion is ready.
    Interrupt(Errno),
}

/// A shared word of a ring, for [`Kernel::word`] and [`Kernel::set_word`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// The kernel's head of the submission queue.
    SqHead,
    /// The program's tail of the submission queue.
    SqTail,
    /// The kernel's flags: `NEED_WAKEUP`, `CQ_OVERFLOW`, `TASKRUN`.
    SqFlags,
    /// The number of entries that the kernel dropped.
    SqDropped,
    /// The program's head of the completion queue.
    CqHead,
    /// The kernel's tail of the completion queue.
    CqTail,
    /// The program's flags.
    CqFlags,
    /// The number of completions that the kernel dropped.
    CqOverflow,
}

impl Word {
    /// All words.
    pub const ALL: [Self; 8] = [
        Self::SqHead,
        Self::SqTail,
        Self::SqFlags,
        Self::SqDropped,
        Self::CqHead,
        Self::CqTail,
        Self::CqFlags,
        Self::CqOverflow,
    ];
}

/// An entry that the kernel consumed. [`Kernel::taken`] returns it.
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its first 64 bytes. Pointers in it keep the provenance that they had when they were pushed.
    pub sqe: io_uring_sqe,
    /// Its last 64 bytes, if it has 128.
    pub payload: Option<[u8; 64]>,
}

/// A completion that the kernel posted. [`Kernel::posted`] returns it.
#[derive(Clone, Copy, Debug)]
pub struct Posted {
    /// The completion, with the flags with which it was posted.
    pub cqe: io_uring_cqe,
    /// Its other two words, if it has 32 bytes.
    pub extra: Option<[u64; 2]>,
    /// Whether it was lost: the queue had no room for it, and the kernel had no memory to keep it.
    pub lost: bool,
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

impl Kernel {
    /// Makes a kernel without files, whose rings start at positions just below 2^32.
    pub fn new() -> Self {
        Self::starting_at(u32::MAX - 2)
    }

    /// Makes a kernel whose rings start with all heads and tails at `position`, or at 0 with
    /// SQ_REWIND.
    pub fn starting_at(position: u32) -> Self {
        Self { handle: Arc::new(Handle::new(State::new(position))) }
    }

    /// The number that identifies this kernel in system calls, in place of a descriptor.
    pub(crate) fn number(&self) -> i32 {
        self.handle.number()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.handle.state()
    }

    /// Makes a descriptor number or a fixed slot refer to a new file with `contents`. Its position
    /// is 0.
    ///
    /// The descriptor number need not be open. The file that it referred to before is dropped.
    pub fn put_file(&self, at: impl Into<Target>, contents: Vec<u8>) {
        self.state().world.files.insert(at.into().into(), File::new(contents));
    }

    /// Returns the contents of the file of a descriptor number or a fixed slot.
    pub fn file(&self, at: impl Into<Target>) -> Option<Vec<u8>> {
        self.state().world.files.get(&at.into().into()).map(File::contents)
    }

    /// Limits the next transfer to `bytes`, so that it is short.
    ///
    /// Such limits and those of [`fail_next_transfer`](Self::fail_next_transfer) are queued
    /// together: each applies to one READ, WRITE, READV or WRITEV that has not been executed yet.
    pub fn shorten_next_transfer(&self, bytes: usize) {
        self.state().world.transfer_faults.push_back(TransferFault::Short(bytes));
    }

    /// Makes the next transfer that has not been executed yet complete with `errno`.
    pub fn fail_next_transfer(&self, errno: Errno) {
        self.state().world.transfer_faults.push_back(TransferFault::Fail(errno));
    }

    /// Sets when operations that do I/O complete, including those in flight.
    pub fn set_pace(&self, pace: Pace) {
        self.state().world.pace = pace;
    }

    /// Returns the virtual time, which starts at 0. Absolute timeouts refer to it.
    pub fn now(&self) -> Duration {
        let nanos = self.state().world.now;
        let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
        // A remainder of less than 2^32, and not negative: time starts at 0 and does not go back.
        Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).unwrap_or(0))
    }

    /// Advances virtual time. Timeouts that are due complete.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.world.now = state.world.now.saturating_add_unsigned(by.as_nanos());
        state.with_ring((), |ring, world| ring.fire_due(world));
    }

    /// Makes a call of `io_uring_enter(2)` fail. Faults are queued: each applies to one call.
    pub fn fail_next(&self, fault: Fault) {
        self.state().world.faults.push_back(fault);
    }

    /// Makes a call of `io_uring_register(2)` fail. Faults are queued: each applies to one call.
    pub fn fail_next_register(&self, errno: Errno) {
        self.state().world.register_faults.push_back(errno);
    }

    /// Makes a call of `io_uring_setup(2)` fail. Faults are queued: each applies to one call.
    pub fn fail_next_setup(&self, errno: Errno) {
        self.state().setup_faults.push_back(errno);
    }

    /// Makes the next `count` cancellations that find something leave it in flight, as if a device
    /// or a worker thread was carrying it out: each returns `EALREADY`, or how many it found if all
    /// were requested.
    pub fn refuse_cancels(&self, count: u32) {
        self.state().world.refused_cancels = count;
    }

    /// Uses up `count` provided buffers of a group, or as many as it has, without reporting them.
    /// Returns how many.
    ///
    /// This is as for reads whose completions are [lost](Self::lose_overflow).
    pub fn spend_buffers(&self, group: u16, count: u16) -> u16 {
        self.state().with_ring(0, |ring, _| {
            ring.groups.get_mut(&group).map_or(0, |group| group.spend(count))
        })
    }

    /// Sets whether completions that do not fit are lost for lack of memory.
    ///
    /// Lost completions are counted in [`Word::CqOverflow`], and the next call that has to wait
    /// fails with `EBADR`, once.
    pub fn lose_overflow(&self, lose: bool) {
        self.state().world.lose_overflow = lose;
    }

    /// Posts a completion that belongs to no entry, as another ring could.
    ///
    /// Returns whether it is in the queue: false if it has overflown, or if there is no ring.
    ///
    /// If an operation with the same `user_data` is in flight, or is submitted before the program
    /// has popped this completion and published its head, the ring counts as tampered with and no
    /// longer touches the program's memory, see the [module](self): the program may mistake this
    /// completion for the end of that operation.
    ///
    /// # Panics
    ///
    /// Panics if the ring is a [`SafeRing`](crate::jobs::SafeRing).
    pub fn post(&self, cqe: io_uring_cqe) -> bool {
        self.state().with_ring(false, |ring, world| ring.post(world, cqe, None))
    }

    /// Posts a completion of 32 bytes. On a ring of mixed completions it is marked as such; on a
    /// ring whose completions have 16 bytes, `extra` is omitted.
    ///
    /// # Panics
    ///
    /// As [`post`](Self::post).
    pub fn post_wide(&self, cqe: io_uring_cqe, extra: [u64; 2]) -> bool {
        self.state().with_ring(false, |ring, world| ring.post(world, cqe, Some(extra)))
    }

    /// Posts a padding entry, on a ring of mixed completions. Returns false, and does nothing, if
    /// there is no room.
    ///
    /// # Panics
    ///
    /// As [`post`](Self::post).
    pub fn post_filler(&self) -> bool {
        self.state().with_ring(false, |ring, _| ring.post_filler())
    }

    /// Runs the polling thread of an SQPOLL ring once: it consumes the published entries, unless it
    /// sleeps. Returns how many entries it consumed.
    pub fn poll(&self) -> u32 {
        self.state().with_ring(0, |ring, world| ring.poll(world, u32::MAX))
    }

    /// Makes the polling thread fall asleep, unless it sees an entry at the last moment. Returns
    /// whether it sleeps now. It sleeps until the ring is entered with `SQ_WAKEUP`.
    pub fn fall_asleep(&self) -> bool {
        self.state().with_ring(false, |ring, _| ring.fall_asleep())
    }

    /// Ends the polling thread: from now on each call fails with `EOWNERDEAD`, and what was in
    /// flight is cancelled.
    pub fn kill_polling_thread(&self) {
        self.state().with_ring((), |ring, _| ring.kill_thread());
    }

    /// Sets whether entries are recorded when they are consumed. Initially they are not.
    pub fn record_entries(&self, record: bool) {
        self.state().world.recording = record;
    }

    /// Returns the entries that were consumed since the last call, in order, if they were
    /// [recorded](Self::record_entries).
    pub fn taken(&self) -> Vec<Taken> {
        core::mem::take(&mut self.state().world.taken)
    }

    /// Sets whether completions are recorded when they are posted. Initially they are not.
    pub fn record_completions(&self, record: bool) {
        self.state().world.recording_completions = record;
    }

    /// Returns the completions that were posted since the last call, in order, if they were
    /// [recorded](Self::record_completions). This includes those that overflowed and those that
    /// were lost, but not padding.
    pub fn posted(&self) -> Vec<Posted> {
        let mut state = self.state();
        state.ring.as_mut().map_or(Vec::new(), |ring| core::mem::take(&mut ring.completions.record))
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel")
            .field("number", &self.number())
            .field("now", &self.now())
            .field("state", &*self.state())
            .finish()
    }
}
