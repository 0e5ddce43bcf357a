//! Entries as values: [`Sqe`] and [`Cqe`], their wide and mixed forms, and the kinds of entry
//! that a ring can be made for.
//!
//! An entry is owned and plain: it can be stored, changed, sent to another thread and pushed
//! later.

mod cqe;
pub(crate) mod errno;
pub(crate) mod explain;
pub(crate) mod slot;
mod sqe;

use core::fmt;

use crate::sys::{Opcode, SetupFlags, SqeFlags};

pub use cqe::Cqe;
pub(crate) use sqe::LINKS;
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
/// Since Linux 6.19. The kernel knows the width from the opcode, and so does this type: entries
/// with
/// `NOP128` and `URING_CMD128` are wide and take two slots of the queue; all others are narrow and
/// take one. From an [`Sqe128`] with `URING_CMD`, which has no wide form in such a queue, this
/// makes
/// `URING_CMD128`; with any other narrow opcode the payload is dropped, since the kernel would take
/// it for an entry. A narrow entry with a wide opcode gets a payload of zeros.
///
/// An opcode that is newer than this crate counts as narrow.
#[derive(Clone, Copy)]
pub struct SqeMixed(Sqe128);

impl SqeMixed {
    /// Whether the entry has 128 bytes and takes two slots.
    #[inline(always)]
    pub const fn is_wide(&self) -> bool {
        matches!(self.0.sqe.opcode(), Opcode::NOP128 | Opcode::URING_CMD128)
    }

    /// The entry with its payload, which is zeros for a narrow one.
    #[inline(always)]
    pub const fn as_wide(&self) -> &Sqe128 {
        &self.0
    }
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

    /// Sets what the completion of this entry will carry, whatever the width.
    fn set_user_data(&mut self, user_data: u64);

    /// Replaces the `IOSQE_` flags, whatever the width.
    fn set_flags(&mut self, flags: SqeFlags);
}

/// What can be pushed to a queue of entries of the kind `S`: whatever converts to `S`.
///
/// It says by itself what is missing when an operation is pushed without its `user_data`:
///
/// ```compile_fail,E0277
/// # let mut ring = ringbolt::IoUring::new(8).unwrap();
/// # let mut buf = [0; 64];
/// use ringbolt::ops::{Read, Target};
///
/// let read = Read::new(Target::Fd(0), buf.as_mut_ptr(), 64);
/// // SAFETY: this does not compile; `read.sqe(1)` would.
/// unsafe { ring.submission().push(read) }.unwrap();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an entry for a queue of `{S}`",
    label = "not an entry, or an entry of another width",
    note = "an operation becomes an entry when it is given its `user_data`: call `.sqe(user_data)`",
    note = "an entry of 128 bytes needs a ring of `Sqe128` or of `SqeMixed`"
)]
pub trait IntoEntry<S: SqEntry> {
    /// The entry.
    fn into_entry(self) -> S;
}

#[diagnostic::do_not_recommend]
impl<S: SqEntry, E: Into<S>> IntoEntry<S> for E {
    #[inline(always)]
    fn into_entry(self) -> S {
        self.into()
    }
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

    #[inline(always)]
    fn set_user_data(&mut self, user_data: u64) {
        Sqe::set_user_data(self, user_data);
    }

    #[inline(always)]
    fn set_flags(&mut self, flags: SqeFlags) {
        Sqe::set_flags(self, flags);
    }
}

impl SqEntry for Sqe128 {
    const SETUP: SetupFlags = SetupFlags::SQE128;

    #[inline(always)]
    fn as_sqe(&self) -> &Sqe {
        &self.sqe
    }

    #[inline(always)]
    fn set_user_data(&mut self, user_data: u64) {
        self.sqe.set_user_data(user_data);
    }

    #[inline(always)]
    fn set_flags(&mut self, flags: SqeFlags) {
        self.sqe.set_flags(flags);
    }
}

impl SqEntry for SqeMixed {
    const SETUP: SetupFlags = SetupFlags::SQE_MIXED;

    #[inline(always)]
    fn as_sqe(&self) -> &Sqe {
        &self.0.sqe
    }

    #[inline(always)]
    fn set_user_data(&mut self, user_data: u64) {
        self.0.sqe.set_user_data(user_data);
    }

    #[inline(always)]
    fn set_flags(&mut self, flags: SqeFlags) {
        self.0.sqe.set_flags(flags);
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
        Self(sqe.into())
    }
}

impl From<SafeSqe> for SqeMixed {
    #[inline(always)]
    fn from(safe: SafeSqe) -> Self {
        Sqe::from(safe).into()
    }
}

impl From<Sqe128> for SqeMixed {
    #[inline(always)]
    fn from(mut wide: Sqe128) -> Self {
        if wide.sqe.opcode() == Opcode::URING_CMD {
            wide.sqe.set_opcode(Opcode::URING_CMD128);
        }
        let mixed = Self(wide);
        if mixed.is_wide() { mixed } else { mixed.0.sqe.into() }
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

impl fmt::Debug for SqeMixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_wide() { self.0.fmt(f) } else { self.0.sqe.fmt(f) }
    }
}

impl fmt::Debug for Cqe32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second] = self.extra;
        f.debug_struct("Cqe32")
            .field("cqe", &self.cqe)
            .field("extra", &format_args!("[{first:#x}, {second:#x}]"))
            .finish()
    }
}
