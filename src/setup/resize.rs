//! Resizing a ring while it is in use.

use core::fmt;

use rustix::io::Errno;

use crate::entry::explain::ErrnoText;
use crate::entry::{CqEntry, SqEntry};
use crate::ring::cq::Cq;
use crate::ring::layout::{Layout, LayoutError};
use crate::ring::map::Memory;
use crate::ring::sq::Sq;
use crate::setup::build_error::BuildError;
use crate::setup::builder::Builder;
use crate::sys::{RegisterOp, SetupFlags, io_uring_params};
use crate::uring::IoUring;
use crate::uring::thread::HasFd;

/// Why resizing failed. The ring is unchanged, except for [`Lost`](Self::Lost) and
/// [`Layout`](Self::Layout).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResizeError {
    /// The sizes are invalid for any ring. The kernel was not called.
    Sizes(BuildError),
    /// The queues hold more entries or completions than the new sizes have room for. The kernel was
    /// not called.
    ///
    /// A submission queue of mixed widths that shrinks must be empty: otherwise a wide entry could
    /// be split by the end of the smaller queue.
    TooSmall {
        /// The number of filled slots of the submission queue.
        queued: u32,
        /// The number of filled slots of the completion queue.
        ready: u32,
    },
    /// Completions of 32 bytes or of mixed widths are in the queue. The kernel was not called.
    ///
    /// Releases of Linux 6.16 to 6.19 without a later repair give zeroed completions in their
    /// place, which look like completions of an entry with the `user_data` 0. Reap first.
    WideCompletions {
        /// The number of filled slots of the completion queue.
        ready: u32,
    },
    /// A chain is open in the submission queue: see
    /// [`push_chained`](crate::SubmissionQueue::push_chained). The kernel was not called.
    OpenChain,
    /// The ring is in memory that the caller provided. The kernel was not called.
    ProvidedMemory,
    /// The ring has an index array, and the kernel does not report where the array is after
    /// resizing. Set the ring up with [`no_sqarray`](crate::Builder::no_sqarray). The kernel was
    /// not called.
    IndexArray,
    /// The address space has no room for the new rings. The kernel was not called.
    Map(Errno),
    /// The kernel refused: `EINVAL` before Linux 6.13 and for rings without DEFER_TASKRUN,
    /// `EOVERFLOW` if the queues hold more than the new sizes have room for.
    Refused(Errno),
    /// The ring was resized and could then not be mapped. It is unusable: `push` returns
    /// [`PushError::Unusable`](crate::PushError::Unusable), and calls that submit or wait fail with
    /// `ESTALE`.
    ///
    /// This is possible only if another thread maps memory during the call: addresses are reserved
    /// for the new rings, and must be released just before they are mapped.
    ///
    /// The kernel has the entries that were pushed, and can no longer report completions. Whatever
    /// is queued or in flight may use its memory until some time after the ring is closed.
    Lost(Errno),
    /// The ring was resized, and the kernel returned invalid offsets. The ring is unusable, as
    /// after [`Lost`](Self::Lost).
    Layout(LayoutError),
    /// The ring was made by another process (`ECHILD`) or was unusable already (`ESTALE`). The
    /// kernel was not called.
    Unusable(Errno),
}

impl fmt::Display for ResizeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Without the advice for a builder.
            Self::Sizes(error) => error.fmt_sizes(f),
            Self::TooSmall { queued, ready } => write!(
                f,
                "{queued} entries and {ready} completions are queued, more than the new sizes have \
                 room for: submit and reap first"
            ),
            Self::WideCompletions { ready } => write!(
                f,
                "{ready} slots of wide completions are in the queue, which a kernel may lose: reap \
                 first"
            ),
            Self::OpenChain => {
                f.write_str("a chain is open in the submission queue: close it or take it back")
            }
            Self::ProvidedMemory => {
                f.write_str("a ring in memory that the caller provided cannot be resized")
            }
            Self::IndexArray => {
                f.write_str("a ring with an index array cannot be resized: set it up without one")
            }
            Self::Map(errno) => {
                let errno = ErrnoText(*errno);
                write!(f, "the address space has no room for the new rings: {errno}")
            }
            Self::Refused(errno) => write!(
                f,
                "the kernel refused to resize the ring, which needs Linux 6.13 and \
                 DEFER_TASKRUN: {}",
                ErrnoText(*errno)
            ),
            Self::Lost(errno) => {
                let errno = ErrnoText(*errno);
                write!(f, "the resized ring could not be mapped and is unusable: {errno}")
            }
            Self::Layout(error) => write!(f, "the resized ring is unusable: {error}"),
            Self::Unusable(errno) => write!(
                f,
                "the ring belongs to another process, or an earlier resize made it unusable: {}",
                ErrnoText(*errno)
            ),
        }
    }
}

impl core::error::Error for ResizeError {}

impl<S: SqEntry, C: CqEntry, T: HasFd> IoUring<S, C, T> {
    /// Changes the sizes of the queues while the ring is in use. `IORING_REGISTER_RESIZE_RINGS`,
    /// since Linux 6.13.
    ///
    /// The ring gets `entries` submission slots and `cq_entries` completion slots, or twice as many
    /// as submission slots if that is `None`. Both are rounded up to powers of two.
    ///
    /// Entries that were pushed are published and stay queued. Completions of 16 bytes stay in the
    /// queue; wider ones, and those of mixed widths, must have been reaped. The ring must have
    /// DEFER_TASKRUN and NO_SQARRAY, and the call must come from its own thread.
    ///
    /// # Errors
    ///
    /// [`ResizeError`]. Addresses for the new rings are reserved before the kernel is called, so
    /// that a lack of room leaves the ring unchanged.
    #[doc(alias("io_uring_resize_rings", "IORING_REGISTER_RESIZE_RINGS"))]
    pub fn resize(&mut self, entries: u32, cq_entries: Option<u32>) -> Result<(), ResizeError> {
        self.usable().map_err(ResizeError::Unusable)?;
        let sizes = Builder::<S, C>::sized(cq_entries);
        let needed = sizes.memory_needed(entries).map_err(ResizeError::Sizes)?;
        if self.setup_flags().contains(SetupFlags::NO_MMAP) {
            return Err(ResizeError::ProvidedMemory);
        }
        if self.sq.chained() > 0 {
            return Err(ResizeError::OpenChain);
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
        if ready > 0 && C::SETUP.intersects(SetupFlags::CQE32 | SetupFlags::CQE_MIXED) {
            return Err(ResizeError::WideCompletions { ready });
        }
        if queued > sq_takes || ready > cq_room {
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
        // SAFETY: one struct, valid for reads and writes during the call. Afterwards the old
        // queues, which the kernel has released, are only unmapped.
        unsafe { self.registrar().raw(RegisterOp::REGISTER_RESIZE_RINGS, arg, 1) }
            .map_err(ResizeError::Refused)?;

        // The kernel returns sizes and offsets; the other fields stay the same.
        params.flags = self.params.flags;
        params.features = self.params.features;
        // The kernel chooses the addresses of a ring, and refuses a given address. So the reserved
        // addresses are released first, and mapping can fail only if another thread takes them in
        // between.
        drop(reservation);
        let memory = self.map_resized(&params).inspect_err(|_| {
            // The kernel now uses the new queues, and has released the ones mapped here.
            self.abandon(Errno::STALE);
        })?;
        // SAFETY: the memory is that of the resized ring, and outlives the queue: the queue is a
        // field before it, and so is dropped first.
        let sq = unsafe { memory.sq_parts(params.flags) };
        // SAFETY: as above.
        let cq = unsafe { memory.cq_parts() };
        // SAFETY: the parts are those of a mapped, checked ring.
        self.sq = unsafe { Sq::new(sq) };
        // SAFETY: as above.
        self.cq = unsafe { Cq::new(cq) };
        // The old memory is unmapped only here, when no queue points to it any more.
        self.memory = memory;
        self.params = params;
        Ok(())
    }

    /// Maps the new queues.
    fn map_resized(&self, params: &io_uring_params) -> Result<Memory, ResizeError> {
        let layout = Layout::new(params, size_of::<S::Slot>(), size_of::<C::Slot>())
            .map_err(ResizeError::Layout)?;
        self.handle.map(layout).map_err(ResizeError::Lost)
    }
}

/// How many filled slots a new submission queue of `room` slots can take over from an old one of
/// `capacity` slots, for entries as in `setup`.
///
/// The kernel copies slot by slot. The two slots of a wide entry are never split by the end of the
/// old queue. Then they are not split by the end of a larger queue either, but a smaller queue may
/// split them.
const fn takes_over(room: u32, capacity: u32, setup: SetupFlags) -> u32 {
    if room < capacity && setup.contains(SetupFlags::SQE_MIXED) { 0 } else { room }
}
