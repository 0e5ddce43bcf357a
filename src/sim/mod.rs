//! A simulated kernel: the other side of the rings over plain memory, for tests.
//!
//! Unstable: this module may change with any release.
//!
//! A [`Builder`](crate::Builder) that is told by [`simulated`](crate::Builder::simulated) makes
//! the same [`IoUring`](crate::IoUring) as ever, whose system calls go to a [`Kernel`] of this
//! module. That takes entries off the queue, carries out a few operations on files in memory,
//! posts completions, and does, when asked to, what a real kernel does seldom: refuses a call,
//! takes fewer entries than there are, overflows, drops, falls asleep, writes nonsense.
//!
//! It is written naively and shares no arithmetic with the queues: a mistake would have to be
//! made twice to stay hidden. Nothing in it happens by itself, nor by the clock: time is virtual,
//! and the polling thread of an SQPOLL ring runs when [`Kernel::poll`] is called or a system call
//! would wait for it. So a test fails the same way each time.
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
//!   SQ_REWIND; `EINVAL` for others and for contradictions. Positions start just below 2^32, and
//!   the words of a ring lie in another order than a real kernel puts them in.
//! - **Operations**: NOP, NOP128, READ, WRITE, READV, WRITEV, TIMEOUT, TIMEOUT_REMOVE,
//!   ASYNC_CANCEL; URING_CMD and URING_CMD128 complete with `EOPNOTSUPP`. The rest is `EINVAL`, as
//!   are multishot timeouts. Links, hard links, drains, skipped successes and provided buffers
//!   are as in Linux 6.18. A link that is open at the end of a submission ends there.
//! - **Registration**: ENABLE_RINGS, PROBE, PBUF_RING in memory of the program's, PBUF_STATUS,
//!   RESIZE_RINGS; `EINVAL` for others. What a fixed slot holds says [`Kernel::put_file`].
//!
//! # Closing
//!
//! Dropping a ring does not end what is in flight, as in a real kernel: the program must keep what
//! those operations name. They stay in flight, and [`Kernel::in_flight`] counts them. Until
//! [`Kernel::finish_closing`] is called, or the last handle of the kernel is dropped,
//! [`Kernel::complete`] carries them out, and they write to the program's memory. A test of a
//! runtime asserts that way that it keeps its buffers:
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
//! // SAFETY: `buf` stays, and is not touched, until the kernel has let go of it.
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
//! # Threads
//!
//! Every method can be called from any thread. A test that lies to the program breaks the rules by
//! which the two sides share a slot. What would then be a data race is ruled out:
//!
//! - Slots are overwritten, and set-up is answered with something else, only for a ring that stays
//!   on one thread ([`build_local`](crate::Builder::build_local)), and by that thread. Anything
//!   else panics.
//! - After [`Kernel::set_word`] has changed a position, such a ring goes on as before for its own
//!   thread. On any other ring, or from another thread, the kernel no longer uses the slots of that
//!   queue: completions count as overflown, and entries are taken only by calls that submit them.
//!
//! # Where it differs from a kernel
//!
//! - A wait that nothing could ever end returns `EDEADLK`, at once, even where entries were taken
//!   or some completions are there. No kernel does that: it would wait.
//! - Pages cannot be pinned: memory that the caller gives for a ring of provided buffers has to
//!   stay until the group is unregistered or the ring closed, as if each entry that names the group
//!   named it. Other rings of provided buffers lie in memory that both sides hold.
//! - A submission is never refused with `EBUSY` because completions have overflown, as in Linux
//!   5.19 and later; [`Fault::Refuse`] does what older ones did.
//! - A ring that was tampered with, by a position that [`Kernel::set_word`] changed, by
//!   [`Kernel::scribble_cqe`] and its like, by [`Kernel::answer_setup_with`] or
//!   [`Kernel::answer_resize_with`], or by a completion that was forged onto an operation, carries
//!   out nothing any more that names memory of the program's: it completes with `EFAULT`. Nobody
//!   can answer for the addresses, or for the program's knowing that the memory is still in use.
//! - The descriptor of a ring, as [`AsFd`](std::os::fd::AsFd) has it, is an eventfd that stands for
//!   the ring and is never readable. System calls of other crates do not reach the ring by it.
//! - The memory of a ring ends with its last slot, not with a page: tools that check memory see
//!   who goes beyond.
//! - A file ends at [`MAX_FILE`] bytes: writes beyond are `EFBIG`.

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

use crate::sys::{io_uring_cqe, io_uring_sqe};
use crate::target::Target;

use self::files::{File, TransferFault};
use self::state::State;
use self::table::Handle;

pub use self::files::MAX_FILE;
pub(crate) use self::lent::BufferMemory;
pub(crate) use self::table::{close, descriptor, enter, map, register, setup};

/// A simulated kernel, with one ring at a time.
///
/// A value is a handle: clones are the same kernel. It goes when the last one is dropped and its
/// ring is closed. Any thread may use it: one that calls [`poll`](Self::poll) is the polling
/// thread of an SQPOLL ring.
#[derive(Clone)]
pub struct Kernel {
    handle: Arc<Handle>,
}

/// When operations that do I/O complete: all but NOP, TIMEOUT and the cancelling ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    /// When they are submitted.
    #[default]
    Inline,
    /// When a system call asks for completions (`GETEVENTS`), or by [`Kernel::complete`].
    WhenWaited,
    /// By [`Kernel::complete`] only.
    Held,
}

/// How the next system call fails, for [`Kernel::fail_next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It fails with this before anything is taken.
    Refuse(Errno),
    /// It takes so many entries at the most and returns their number, without waiting. With 0 it
    /// fails with `EAGAIN`, as the kernel does that lacks memory for the first.
    Short(u32),
    /// It takes all entries; then its wait is cut off with this, unless enough completions are
    /// there. The kernel tells such an error only if it took no entry and no completion is there.
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
    /// Entries that the kernel dropped.
    SqDropped,
    /// The program's head of the completion queue.
    CqHead,
    /// The kernel's tail of the completion queue.
    CqTail,
    /// The program's flags.
    CqFlags,
    /// Completions that the kernel dropped.
    CqOverflow,
}

impl Word {
    /// All of them.
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

/// An entry that the kernel took, from [`Kernel::taken`].
#[derive(Clone, Copy, Debug)]
pub struct Taken {
    /// Its first 64 bytes. Addresses in it are as good as those that were pushed.
    pub sqe: io_uring_sqe,
    /// Its last 64 bytes, if it is one of 128.
    pub payload: Option<[u8; 64]>,
}

/// A completion that the kernel posted, from [`Kernel::posted`].
#[derive(Clone, Copy, Debug)]
pub struct Posted {
    /// The completion, with the flags that it is posted with.
    pub cqe: io_uring_cqe,
    /// Its other two words, if it is one of 32 bytes.
    pub extra: Option<[u64; 2]>,
    /// There was no room for it, and no memory to keep it.
    pub lost: bool,
}

impl Default for Kernel {
    fn default() -> Self {
        Self::new()
    }
}

impl Kernel {
    /// A kernel without files, whose rings start at positions just below 2^32.
    pub fn new() -> Self {
        Self::starting_at(u32::MAX - 2)
    }

    /// A kernel whose rings have all heads and tails at `position` to start with. With SQ_REWIND
    /// they are 0.
    pub fn starting_at(position: u32) -> Self {
        Self { handle: Arc::new(Handle::new(State::new(position))) }
    }

    /// What names this kernel in system calls, in place of a descriptor.
    pub(crate) fn number(&self) -> i32 {
        self.handle.number()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.handle.state()
    }

    /// Puts a file with `contents` behind a descriptor number or a fixed slot. Its position is 0.
    ///
    /// The descriptor itself may be anything. What was there before is forgotten.
    pub fn put_file(&self, at: impl Into<Target>, contents: Vec<u8>) {
        self.state().world.files.insert(at.into().into(), File::new(contents));
    }

    /// What the file behind a descriptor number or a fixed slot holds.
    pub fn file(&self, at: impl Into<Target>) -> Option<Vec<u8>> {
        self.state().world.files.get(&at.into().into()).map(File::contents)
    }

    /// Makes the next transfer not made yet move `bytes` at the most, so that it is short. Queued
    /// with [`fail_next_transfer`](Self::fail_next_transfer): each is for one READ, WRITE, READV
    /// or WRITEV.
    pub fn shorten_next_transfer(&self, bytes: usize) {
        self.state().world.transfer_faults.push_back(TransferFault::Short(bytes));
    }

    /// Makes the next transfer not made yet complete with `errno`.
    pub fn fail_next_transfer(&self, errno: Errno) {
        self.state().world.transfer_faults.push_back(TransferFault::Fail(errno));
    }

    /// Says when operations that do I/O complete, those in flight included.
    pub fn set_pace(&self, pace: Pace) {
        self.state().world.pace = pace;
    }

    /// How much virtual time has gone by: what absolute timeouts are measured by.
    pub fn now(&self) -> Duration {
        let nanos = self.state().world.now;
        let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
        // A remainder of less than 2^32, and not negative: time starts at 0 and does not go back.
        Duration::new(seconds, u32::try_from(nanos % 1_000_000_000).unwrap_or(0))
    }

    /// Lets virtual time pass: timeouts that are due complete.
    pub fn advance(&self, by: Duration) {
        let mut state = self.state();
        state.world.now = state.world.now.saturating_add_unsigned(by.as_nanos());
        state.with_ring((), |ring, world| ring.fire_due(world));
    }

    /// Makes a call of `io_uring_enter(2)` fail. Faults are queued: each is for one call.
    pub fn fail_next(&self, fault: Fault) {
        self.state().world.faults.push_back(fault);
    }

    /// Makes a call of `io_uring_register(2)` fail. Queued, each for one call.
    pub fn fail_next_register(&self, errno: Errno) {
        self.state().world.register_faults.push_back(errno);
    }

    /// Makes a call of `io_uring_setup(2)` fail. Queued, each for one call.
    pub fn fail_next_setup(&self, errno: Errno) {
        self.state().setup_faults.push_back(errno);
    }

    /// Uses up `count` provided buffers of a group, or as many as there are, and tells nobody, as
    /// for reads whose completions are [lost](Self::lose_overflow). Returns how many.
    pub fn spend_buffers(&self, group: u16, count: u16) -> u16 {
        self.state().with_ring(0, |ring, _| {
            ring.groups.get_mut(&group).map_or(0, |group| group.spend(count))
        })
    }

    /// Whether completions that do not fit are lost for lack of memory. They then count in
    /// [`Word::CqOverflow`], and the next call that has to wait says `EBADR`, once.
    pub fn lose_overflow(&self, lose: bool) {
        self.state().world.lose_overflow = lose;
    }

    /// Posts a completion that belongs to no entry, as another ring could. Returns whether it is
    /// in the queue: false if it has overflown, or if there is no ring.
    ///
    /// If an operation that has the same `user_data` is in flight, or is submitted before the
    /// program has taken this completion and shown it, the ring touches no memory of the program's
    /// any more, see the [module](self): the program may take this for the end of that operation.
    pub fn post(&self, cqe: io_uring_cqe) -> bool {
        self.state().with_ring(false, |ring, world| ring.post(world, cqe, None))
    }

    /// Posts a completion of 32 bytes; on a ring of mixed ones it is marked as such. Where all
    /// have 16 bytes, `extra` is left out.
    pub fn post_wide(&self, cqe: io_uring_cqe, extra: [u64; 2]) -> bool {
        self.state().with_ring(false, |ring, world| ring.post(world, cqe, Some(extra)))
    }

    /// Posts an entry that only fills a slot, on a ring of mixed ones. Returns false, and does
    /// nothing, if there is no room.
    pub fn post_filler(&self) -> bool {
        self.state().with_ring(false, |ring, _| ring.post_filler())
    }

    /// Runs the polling thread of an SQPOLL ring once: it takes what is published, unless it
    /// sleeps. Returns how many entries it took.
    pub fn poll(&self) -> u32 {
        self.state().with_ring(0, |ring, world| ring.poll(world, u32::MAX))
    }

    /// The polling thread falls asleep, unless it sees an entry at the last moment. Returns
    /// whether it sleeps now, until it is entered with `SQ_WAKEUP`.
    pub fn fall_asleep(&self) -> bool {
        self.state().with_ring(false, |ring, _| ring.fall_asleep())
    }

    /// The polling thread dies: each call is `EOWNERDEAD` from now on.
    pub fn kill_polling_thread(&self) {
        self.state().with_ring((), |ring, _| ring.kill_thread());
    }

    /// Whether entries are recorded as they are taken. They are not, to start with.
    pub fn record_entries(&self, record: bool) {
        self.state().world.recording = record;
    }

    /// The entries taken since the last call, in order, as far as they were
    /// [recorded](Self::record_entries).
    pub fn taken(&self) -> Vec<Taken> {
        core::mem::take(&mut self.state().world.taken)
    }

    /// Whether completions are recorded as they are posted. They are not, to start with.
    pub fn record_completions(&self, record: bool) {
        self.state().world.recording_completions = record;
    }

    /// The completions posted since the last call, in order, as far as they were
    /// [recorded](Self::record_completions): those that overflow and those that are lost, too.
    /// What only fills slots is none.
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
