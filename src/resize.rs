//! Giving a ring other sizes while it is in use.

use core::fmt;

use rustix::io::Errno;

use crate::build_error::BuildError;
use crate::builder::Builder;
use crate::entry::{CqEntry, SqEntry};
use crate::ring::cq::Cq;
use crate::ring::layout::{Layout, LayoutError};
use crate::ring::map::Memory;
use crate::ring::sq::Sq;
use crate::sys::{RegisterOp, SetupFlags, io_uring_params};
use crate::thread::HasFd;
use crate::uring::IoUring;

/// Why resizing failed. The ring is unchanged, except for [`Lost`](Self::Lost) and
/// [`Layout`](Self::Layout).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResizeError {
    /// Sizes that no ring can have. The kernel was not asked.
    Sizes(BuildError),
    /// More entries or completions wait than there would be room for; or any, in a queue of mixed
    /// widths that is to shrink, where a wide one might be cut in two by the new end. The kernel
    /// was not asked.
    TooSmall {
        /// Slots of the submission queue that are filled.
        queued: u32,
        /// Slots of the completion queue that are filled.
        ready: u32,
    },
    /// The ring lies in memory of the caller's. The kernel was not asked.
    ProvidedMemory,
    /// The ring has an index array, and the kernel does not tell where that comes to lie: set it
    /// up with [`no_sqarray`](crate::Builder::no_sqarray). The kernel was not asked.
    IndexArray,
    /// There is no room in the address space. The kernel was not asked.
    Map(Errno),
    /// The kernel's answer: `EINVAL` before Linux 6.13 and for rings without DEFER_TASKRUN,
    /// `EOVERFLOW` if more waits than there would be room for.
    Refused(Errno),
    /// The ring was resized and could then not be mapped: addresses were kept free for it, and
    /// another thread took them when they were set free. The ring is unusable from then on: `push`
    /// returns [`PushError::Unusable`](crate::PushError::Unusable), and calls that submit or wait
    /// fail with `ESTALE`.
    ///
    /// The kernel has what was pushed and has no longer a way to report completions: what is queued
    /// or in flight may use its memory until some time after the ring is closed.
    Lost(Errno),
    /// The ring was resized, and the kernel returned offsets that cannot be right. The ring is
    /// unusable, as after [`Lost`](Self::Lost).
    Layout(LayoutError),
    /// The ring was made by another process, or is unusable: `ECHILD` or `ESTALE`. The kernel was
    /// not asked.
    Unusable(Errno),
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sizes(error) => error.fmt(f),
            Self::TooSmall { queued, ready } => write!(
                f,
                "{queued} entries and {ready} completions wait, more than there would be room for: \
                 submit and reap first"
            ),
            Self::ProvidedMemory => {
                f.write_str("a ring in memory of the caller's cannot be resized")
            }
            Self::IndexArray => {
                f.write_str("a ring with an index array cannot be resized: set up without it")
            }
            Self::Map(errno) => write!(f, "no room for other rings: {errno}"),
            Self::Refused(errno) => write!(
                f,
                "the kernel refuses to resize the ring, which needs Linux 6.13 and DEFER_TASKRUN: \
                 {errno}"
            ),
            Self::Lost(errno) => {
                write!(f, "the resized ring could not be mapped and is unusable: {errno}")
            }
            Self::Layout(error) => write!(f, "the resized ring is unusable: {error}"),
            Self::Unusable(errno) => write!(
                f,
                "the ring belongs to another process, or an earlier resize made it unusable: \
                 {errno}"
            ),
        }
    }
}

impl core::error::Error for ResizeError {}

impl<S: SqEntry, C: CqEntry, T: HasFd> IoUring<S, C, T> {
    /// Gives the ring `entries` submission slots and `cq_entries` completion slots, twice as many
    /// if `None`; both rounded up to powers of two. `IORING_REGISTER_RESIZE_RINGS`, since Linux
    /// 6.13.
    ///
    /// What is pushed is published, and stays queued; what has completed stays to be reaped. For
    /// rings with DEFER_TASKRUN and NO_SQARRAY, on their own thread.
    ///
    /// # Errors
    ///
    /// [`ResizeError`]. Addresses for the new rings are kept free until the kernel has made them,
    /// so that a lack of room leaves the ring as it was.
    #[doc(alias = "io_uring_resize_rings")]
    #[doc(alias = "IORING_REGISTER_RESIZE_RINGS")]
    pub fn resize(&mut self, entries: u32, cq_entries: Option<u32>) -> Result<(), ResizeError> {
        self.usable().map_err(ResizeError::Unusable)?;
        let sizes = Builder::<S, C>::sized(cq_entries);
        let needed = sizes.memory_needed(entries).map_err(ResizeError::Sizes)?;
        if self.setup_flags().contains(SetupFlags::NO_MMAP) {
            return Err(ResizeError::ProvidedMemory);
        }
        // Linux 6.18 returns 0 for the offset of the array, where the queues' words are.
        if !self.setup_flags().contains(SetupFlags::NO_SQARRAY) {
            return Err(ResizeError::IndexArray);
        }
        self.sq.publish();
        self.cq.publish();
        let (queued, ready) = (self.sq.queued(), self.cq.ready());
        let sq_room = entries.next_power_of_two();
        let cq_room = cq_entries.map_or(2 * sq_room, u32::next_power_of_two);
        let sq_takes = takes_over(sq_room, self.sq.capacity(), S::SETUP);
        let cq_takes = takes_over(cq_room, self.cq.capacity(), C::SETUP);
        if queued > sq_takes || ready > cq_takes {
            return Err(ResizeError::TooSmall { queued, ready });
        }
        let reservation =
            self.handle.reserve(needed.rings, needed.sqes).map_err(ResizeError::Map)?;

        let mut params = io_uring_params {
            sq_entries: entries,
            cq_entries: cq_room,
            flags: SetupFlags::CQSIZE,
            ..io_uring_params::ZEROED
        };
        let arg = (&raw mut params).cast();
        // SAFETY: one struct, valid for reads and writes during the call. The queues that the
        // kernel gives up are used no more but to be unmapped.
        unsafe { self.registrar().raw(RegisterOp::REGISTER_RESIZE_RINGS, arg, 1) }
            .map_err(ResizeError::Refused)?;

        // The kernel returns sizes and offsets; the rest is what it was.
        params.flags = self.params.flags;
        params.features = self.params.features;
        // The kernel chooses the addresses of a ring, and refuses any that it is told. So those
        // that were kept free are set free first, and nothing is lacking unless another thread
        // takes them in between.
        drop(reservation);
        let memory = self.map_resized(&params).inspect_err(|_| {
            // The kernel uses the queues that it made; those here it has given up.
            self.abandon(Errno::STALE);
        })?;
        // SAFETY: the memory is that of the ring, resized, and outlives the queue, which is a field
        // before it.
        let sq = unsafe { memory.sq_parts(params.flags) };
        // SAFETY: as above.
        let cq = unsafe { memory.cq_parts() };
        // SAFETY: the parts are those of a mapped, checked ring.
        self.sq = unsafe { Sq::new(sq) };
        // SAFETY: as above.
        self.cq = unsafe { Cq::new(cq) };
        // The old memory is unmapped only now that no queue points to it.
        self.memory = memory;
        self.params = params;
        Ok(())
    }

    /// Maps the queues that the kernel made.
    fn map_resized(&self, params: &io_uring_params) -> Result<Memory, ResizeError> {
        let layout = Layout::new(params, size_of::<S::Slot>(), size_of::<C::Slot>())
            .map_err(ResizeError::Layout)?;
        self.handle.map(layout).map_err(ResizeError::Lost)
    }
}

/// How many filled slots a queue of `room` slots takes over from one of `capacity`, whose entries
/// are those of `setup`.
///
/// The kernel copies slot by slot. Where both slots of a wide entry were within the old end, they
/// are within the end of a larger queue, and may lie on both sides of that of a smaller one.
const fn takes_over(room: u32, capacity: u32, setup: SetupFlags) -> u32 {
    const MIXED: SetupFlags = SetupFlags::SQE_MIXED.union(SetupFlags::CQE_MIXED);
    if room < capacity && setup.intersects(MIXED) { 0 } else { room }
}
