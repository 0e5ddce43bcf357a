//! Entries as values: [`Sqe`] and [`Cqe`], their wide and mixed forms, and the kinds of entry
//! that a ring can be made for.
//!
//! An entry is owned and plain: it can be stored, changed, sent to another thread and pushed
//! later.

mod cqe;
pub(crate) mod slot;
mod sqe;

use core::fmt;

use crate::sys::SetupFlags;

pub use cqe::Cqe;
pub use sqe::{SafeSqe, Sqe};

use slot::{CqSlots, SqSlots};

/// A submission queue entry of 128 bytes, for rings with `IORING_SETUP_SQE128`.
///
/// The first 64 bytes are an [`Sqe`]; only `URING_CMD` looks at the rest, which continues its
/// payload: 80 bytes in all, from byte 48 on. Since Linux 5.19.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sqe128 {
    /// The entry proper.
    pub sqe: Sqe,
    /// The last 64 bytes of the payload.
    pub payload: [u8; 64],
}

/// A submission queue entry of either width, for rings with `IORING_SETUP_SQE_MIXED`.
///
/// Since Linux 6.19. A wide one takes two slots of the queue, and its opcode has to be one of
/// those made for that: `NOP128`, `URING_CMD128`.
#[derive(Clone, Copy, Debug)]
pub enum SqeMixed {
    /// 64 bytes.
    Narrow(Sqe),
    /// 128 bytes.
    Wide(Sqe128),
}

/// A completion queue entry of 32 bytes, for rings with `IORING_SETUP_CQE32`.
///
/// Since Linux 5.19.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Cqe32 {
    /// The entry proper.
    pub cqe: Cqe,
    /// What some operations add, zero for the others.
    pub extra: [u64; 2],
}

/// A completion queue entry of either width, for rings with `IORING_SETUP_CQE_MIXED`.
///
/// Since Linux 6.18. A wide one takes two slots of the queue.
///
/// Give such a queue room for all that may complete. Linux 6.18 has a fault where it overflows
/// (seen on 6.18.44): if a wide completion finds nothing but the last slot free and a narrow one
/// follows, the kernel counts that slot twice, and the completion that lay in the first slot is
/// handed out once more.
#[derive(Clone, Copy, Debug)]
pub enum CqeMixed {
    /// 16 bytes.
    Narrow(Cqe),
    /// 32 bytes, by [`CqeFlags::F_32`](crate::sys::CqeFlags::F_32).
    Wide(Cqe32),
}

/// The kinds of submission entry that a ring can be made for. Sealed.
pub trait SqEntry: Copy + fmt::Debug + From<Sqe> + SqSlots + 'static {
    /// The set-up flags that ask the kernel for this kind.
    const SETUP: SetupFlags;

    /// The entry's 64-byte head.
    fn as_sqe(&self) -> &Sqe;
}

/// The kinds of completion entry that a ring can be made for. Sealed.
pub trait CqEntry: Copy + fmt::Debug + CqSlots + 'static {
    /// The set-up flags that ask the kernel for this kind.
    const SETUP: SetupFlags;

    /// The entry's 16-byte head.
    fn as_cqe(&self) -> &Cqe;
}

/// Kinds of entry that all have one width, so that each takes one slot of its queue.
pub trait OneWidth {}

impl OneWidth for Sqe {}
impl OneWidth for Sqe128 {}
impl OneWidth for Cqe {}
impl OneWidth for Cqe32 {}

impl SqEntry for Sqe {
    const SETUP: SetupFlags = SetupFlags::empty();

    #[inline(always)]
    fn as_sqe(&self) -> &Sqe {
        self
    }
}

impl SqEntry for Sqe128 {
    const SETUP: SetupFlags = SetupFlags::SQE128;

    #[inline(always)]
    fn as_sqe(&self) -> &Sqe {
        &self.sqe
    }
}

impl SqEntry for SqeMixed {
    const SETUP: SetupFlags = SetupFlags::SQE_MIXED;

    #[inline(always)]
    fn as_sqe(&self) -> &Sqe {
        match self {
            Self::Narrow(sqe) => sqe,
            Self::Wide(wide) => &wide.sqe,
        }
    }
}

impl CqEntry for Cqe {
    const SETUP: SetupFlags = SetupFlags::empty();

    #[inline(always)]
    fn as_cqe(&self) -> &Cqe {
        self
    }
}

impl CqEntry for Cqe32 {
    const SETUP: SetupFlags = SetupFlags::CQE32;

    #[inline(always)]
    fn as_cqe(&self) -> &Cqe {
        &self.cqe
    }
}

impl CqEntry for CqeMixed {
    const SETUP: SetupFlags = SetupFlags::CQE_MIXED;

    #[inline(always)]
    fn as_cqe(&self) -> &Cqe {
        match self {
            Self::Narrow(cqe) => cqe,
            Self::Wide(wide) => &wide.cqe,
        }
    }
}

impl From<Sqe> for SqeMixed {
    #[inline(always)]
    fn from(sqe: Sqe) -> Self {
        Self::Narrow(sqe)
    }
}

impl From<SafeSqe> for SqeMixed {
    #[inline(always)]
    fn from(safe: SafeSqe) -> Self {
        Self::Narrow(safe.into())
    }
}

impl From<Sqe128> for SqeMixed {
    #[inline(always)]
    fn from(wide: Sqe128) -> Self {
        Self::Wide(wide)
    }
}

impl From<Sqe> for Sqe128 {
    /// Widens with a payload of zeros.
    #[inline(always)]
    fn from(sqe: Sqe) -> Self {
        Self { sqe, payload: [0; 64] }
    }
}

impl From<SafeSqe> for Sqe128 {
    #[inline(always)]
    fn from(safe: SafeSqe) -> Self {
        Sqe::from(safe).into()
    }
}

impl fmt::Debug for Sqe128 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqe128")
            .field("sqe", &self.sqe)
            .field("payload", &format_args!("{:02x?}", self.payload))
            .finish()
    }
}

impl fmt::Debug for Cqe32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cqe32")
            .field("cqe", &self.cqe)
            .field("extra", &format_args!("{:#x?}", self.extra))
            .finish()
    }
}
