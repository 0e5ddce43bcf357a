//! [`Place`]: where a value stays while its operation is in flight.
#![forbid(unsafe_code)]

use core::cell::{Cell, UnsafeCell};
use core::fmt;
use core::mem::MaybeUninit;

use rustix::net::RecvFlags;

use crate::entry::Sqe;
use crate::ops::lent::Makes;
use crate::sys::{Opcode, RecvSendFlags};

use super::user_data::{self, IDLE, MAX_LINKS};

/// What stands in place of the next free place as long as a place is taken.
pub(super) const TAKEN: u32 = u32::MAX - 1;

/// Room for one job of a [scope](super::SafeRing::scope): its value, and what the ring notes about
/// it.
///
/// ```
/// use ringbolt::jobs::Place;
///
/// let places: [Place<u64>; 32] = [const { Place::new() }; 32];
/// ```
pub struct Place<T> {
    /// That of the operation in flight; otherwise that of the last one, and idle.
    pub(super) user_data: Cell<u64>,
    /// How many jobs have had this place, modulo 2^32.
    pub(super) job: Cell<u32>,
    /// The next free place, if this one is free; [`TAKEN`] if it has a value.
    pub(super) next: Cell<u32>,
    /// The group of provided buffers that the operation takes from, and whether in bundles.
    pub(super) group: Cell<Source>,
    pub(super) chain: Chain,
    /// Initialised from the start of a job until its end.
    value: UnsafeCell<MaybeUninit<T>>,
}

/// Where provided buffers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// The group.
    pub(super) group: u16,
    /// Whether a completion may have several buffers.
    pub(super) in_bundles: bool,
}

impl Source {
    /// Where the operation of `sqe`, which selects a buffer, takes it from.
    ///
    /// Of a bundle the result counts the bytes in its buffers. With `MSG_TRUNC` it would be the
    /// length of a datagram, which may be more than they hold: the flag is taken away.
    #[inline(always)]
    pub(super) const fn of(sqe: &mut Sqe) -> Self {
        let bundle = RecvSendFlags::RECVSEND_BUNDLE.bits();
        let in_bundles =
            sqe.opcode().as_raw() == Opcode::RECV.as_raw() && sqe.ioprio() & bundle != 0;
        if in_bundles {
            sqe.set_op_flags(sqe.op_flags() & !RecvFlags::TRUNC.bits());
        }
        Self { group: sqe.buf_index(), in_bundles }
    }
}

/// What is noted about the links of a chain.
pub(super) struct Chain {
    /// How many links there are; 0 for an operation alone.
    pub(super) links: Cell<u8>,
    /// A bit for each link that has not completed.
    pub(super) missing: Cell<u8>,
    /// Whether one completion is all that comes.
    pub(super) quiet: Cell<bool>,
    /// Whether the kernel took only a part of a quiet chain with one submission: it is two chains
    /// then, and nobody learns of the end of the first.
    pub(super) cut: Cell<bool>,
    /// Whether the job was cancelled: each link is, until all have completed.
    pub(super) cancelled: Cell<bool>,
    /// What each link has come to.
    pub(super) results: [Cell<i32>; MAX_LINKS],
    /// What each link makes that nobody has taken.
    pub(super) makes: [Cell<Makes>; MAX_LINKS],
}

impl Chain {
    const fn new() -> Self {
        Self {
            links: Cell::new(0),
            missing: Cell::new(0),
            quiet: Cell::new(false),
            cut: Cell::new(false),
            cancelled: Cell::new(false),
            results: [const { Cell::new(0) }; MAX_LINKS],
            makes: [const { Cell::new(Makes::Nothing) }; MAX_LINKS],
        }
    }

    /// Notes what link `nth`, counted from 0, has come to, unless that is known. Returns whether
    /// the chain is over.
    pub(super) fn completes(&self, nth: usize, result: i32) -> bool {
        let bit = 1_u8.checked_shl(u32::try_from(nth).unwrap_or(u32::MAX)).unwrap_or(0);
        if self.missing.get() & bit == 0 {
            return false;
        }
        if let Some(place) = self.results.get(nth) {
            place.set(result);
        }
        self.missing.set(self.missing.get() & !bit);
        self.missing.get() == 0
    }
}

impl<T> Place<T> {
    /// An empty place.
    pub const fn new() -> Self {
        Self {
            user_data: Cell::new(IDLE),
            job: Cell::new(0),
            next: Cell::new(0),
            group: Cell::new(Source { group: 0, in_bundles: false }),
            chain: Chain::new(),
            value: UnsafeCell::new(MaybeUninit::uninit()),
        }
    }

    /// Whether nothing is in flight.
    #[inline(always)]
    pub(super) fn is_idle(&self) -> bool {
        self.user_data.get() & IDLE != 0
    }

    /// The number of the place, which its user data always contain.
    #[inline(always)]
    pub(super) fn index(&self) -> u32 {
        user_data::place(self.user_data.get())
    }

    /// Whether a job has the place, so that it has a value.
    pub(super) fn is_taken(&self) -> bool {
        self.next.get() == TAKEN
    }

    /// The value, which is initialised only while a job has the place.
    ///
    /// A pointer, not a reference: the kernel may be writing to parts of the value.
    #[inline(always)]
    pub(super) const fn value(&self) -> *mut T {
        self.value.get().cast()
    }
}

impl<T> Default for Place<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for Place<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place").field("is_idle", &self.is_idle()).finish_non_exhaustive()
    }
}
