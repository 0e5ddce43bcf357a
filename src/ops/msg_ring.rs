//! Messages from ring to ring.
#![forbid(unsafe_code)]

use crate::entry::Sqe;
use crate::sys::{CqeFlags, MsgRingCmd, MsgRingFlags, Opcode, SharedPtr};

use super::{DestSlot, Fixed, IntoFd, IntoTarget, Target, add_flags, on, sqe};

/// Posts a completion on another ring, or on this one.
///
/// `IORING_OP_MSG_RING` with `IORING_MSG_DATA`. Since Linux 5.18.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::MsgRing;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::MSG_RING) {
/// #     return Ok(());
/// # }
/// let mut other = IoUring::new(8)?;
/// let entry = MsgRing::new(&other, 5, 99).sqe(1);
/// // SAFETY: `other` stays open, and its completion is known to be a message.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// let message = other.completion().pop().ok_or("no message")?;
/// assert_eq!((message.user_data(), message.result()), (99, Ok(5)));
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// 0. The other ring gets a completion with the `result` and `user_data` named.
///
/// # Errors
///
/// `EBADFD` if the target is not a ring, or a disabled one; `EOVERFLOW` if its completion queue is
/// full and nothing can be kept; `EOPNOTSUPP` if that of an IOPOLL ring is busy.
#[doc(alias = "IORING_OP_MSG_RING")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_msg_ring", "io_uring_prep_msg_ring_cqe_flags"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct MsgRing(Sqe);

/// Puts a file of this ring's table into the table of another, which gets a completion.
///
/// `IORING_OP_MSG_RING` with `IORING_MSG_SEND_FD`. Since Linux 6.0.
///
/// ```
/// use ringbolt::IoUring;
/// use ringbolt::ops::{DestSlot, Fixed, MsgRingFd};
/// use ringbolt::register::FileSlot;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut ring = IoUring::new(8)?;
/// # if !ring.registrar().probe()?.supports(ringbolt::sys::Opcode::MSG_RING) {
/// #     return Ok(());
/// # }
/// let mut other = IoUring::new(8)?;
/// other.registrar().register_files(&[FileSlot::EMPTY])?;
/// let file = std::fs::File::open("Cargo.toml")?;
/// ring.registrar().register_files(&[(&file).into()])?;
/// let entry = MsgRingFd::new(&other, Fixed(0), DestSlot::At(Fixed(0)), 99).sqe(1);
/// // SAFETY: `other` stays open, and its completion is known to be a message.
/// unsafe { ring.submission().push(entry) }?;
/// ring.submit_and_wait(1)?;
/// let cqe = ring.completion().pop().ok_or("no completion")?;
/// assert_eq!(cqe.result(), Ok(0));
/// let message = other.completion().pop().ok_or("no message")?;
/// assert_eq!(message.user_data(), 99);
/// # Ok(())
/// # }
/// ```
///
/// # Result
///
/// 0, or with [`DestSlot::Alloc`] the number of the slot. The other ring gets a completion with
/// that result and the `user_data` named, unless [`skip`](Self::skip) was called.
///
/// # Errors
///
/// `EBADF` if the slot is empty, `EBADFD` if it is no ring, `EINVAL` if it is this ring, `ENFILE`
/// if there is no free slot, `ENXIO` if there is no table there, `EOVERFLOW` if the completion
/// finds no room (the file stays).
#[doc(alias = "IORING_OP_MSG_RING")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_msg_ring_fd", "io_uring_prep_msg_ring_fd_alloc"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct MsgRingFd(Sqe);

impl MsgRing {
    /// Posts a completion with `result` and `user_data` on `ring`.
    #[inline(always)]
    pub fn new(ring: impl IntoTarget, result: i32, user_data: u64) -> Self {
        let mut sqe = on(Opcode::MSG_RING, ring.into_target());
        sqe.set_addr_raw(MsgRingCmd::DATA.as_raw());
        // The field is unsigned, a result is not: the bits are the same.
        sqe.set_len(u32::from_ne_bytes(result.to_ne_bytes()));
        sqe.set_off(user_data);
        Self(sqe)
    }

    /// Adds flags to the completion. `IORING_MSG_RING_FLAGS_PASS`, since Linux 6.3.
    #[inline(always)]
    #[doc(alias = "IORING_MSG_RING_FLAGS_PASS")]
    pub const fn cqe_flags(mut self, flags: CqeFlags) -> Self {
        self.0.set_file_index(self.0.file_index() | flags.bits());
        self.flags(MsgRingFlags::FLAGS_PASS)
    }

    /// Adds `IORING_MSG_RING_` flags.
    #[inline(always)]
    pub const fn flags(mut self, flags: MsgRingFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }
}

impl MsgRingFd {
    /// Puts the file in slot `from` of this ring into `to` of `ring`, and posts a completion with
    /// `user_data` there.
    #[inline(always)]
    pub fn new(ring: impl IntoFd, from: Fixed, to: DestSlot, user_data: u64) -> Self {
        let mut sqe = on(Opcode::MSG_RING, Target::Fd(ring.into_fd()));
        sqe.set_addr_raw(MsgRingCmd::SEND_FD.as_raw());
        sqe.set_addr3(SharedPtr::without_provenance(u64::from(from.0)));
        sqe.set_file_index(to.file_index());
        sqe.set_off(user_data);
        Self(sqe)
    }

    /// Posts no completion on the other ring. `IORING_MSG_RING_CQE_SKIP`, since Linux 6.0.
    #[inline(always)]
    #[doc(alias = "IORING_MSG_RING_CQE_SKIP")]
    pub const fn skip(mut self) -> Self {
        add_flags(&mut self.0, MsgRingFlags::CQE_SKIP.bits());
        self
    }
}

sqe!(MsgRing, MsgRingFd);
