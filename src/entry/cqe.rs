//! [`Cqe`], the completion of 16 bytes.

use core::fmt;

use rustix::fd::{FromRawFd, OwnedFd};
use rustix::io::Errno;

use crate::entry::errno::errno_of;
use crate::sys::{CqeFlags, NotifUsage, io_uring_cqe};

/// A completion queue entry of 16 bytes, `struct io_uring_cqe`.
#[doc(alias = "io_uring_cqe")]
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Cqe(io_uring_cqe);

impl Cqe {
    /// Wraps an entry as the kernel lays it out.
    #[inline(always)]
    pub const fn from_raw(raw: io_uring_cqe) -> Self {
        Self(raw)
    }

    /// The entry as the kernel lays it out.
    #[inline(always)]
    pub const fn as_raw(&self) -> &io_uring_cqe {
        &self.0
    }

    /// The `user_data` of the submission that this entry belongs to.
    #[inline(always)]
    #[doc(alias("io_uring_cqe_get_data", "io_uring_cqe_get_data64"))]
    pub const fn user_data(&self) -> u64 {
        self.0.user_data
    }

    /// What the operation returned: a count or value, or the error that it failed with.
    ///
    /// # Errors
    ///
    /// Those of the operation, and `ECANCELED` for one that was cancelled, or linked behind
    /// one that failed. `EOVERFLOW` for a number below -4095, which is no errno: a message from
    /// another ring can be any, and a [notification](Self::is_notification) has flags here.
    #[inline(always)]
    pub const fn result(&self) -> Result<u32, Errno> {
        if self.0.res < 0 { Err(errno_of(self.0.res)) } else { Ok(self.0.res.unsigned_abs()) }
    }

    /// The result as the kernel wrote it: negative is an errno negated.
    #[inline(always)]
    pub const fn raw_result(&self) -> i32 {
        self.0.res
    }

    /// The `IORING_CQE_F_` flags, buffer id included.
    #[inline(always)]
    pub const fn flags(&self) -> CqeFlags {
        self.0.flags
    }

    /// Whether the operation will post more completions: until one comes without this, its
    /// memory and descriptors stay in use.
    #[inline(always)]
    #[doc(alias = "IORING_CQE_F_MORE")]
    pub const fn has_more(&self) -> bool {
        self.0.flags.contains(CqeFlags::MORE)
    }

    /// Whether the provided buffer is not used up: the next data goes after this, into the same
    /// one. `IORING_CQE_F_BUF_MORE`, since Linux 6.12.
    #[inline(always)]
    #[doc(alias = "IORING_CQE_F_BUF_MORE")]
    pub const fn has_more_of_buffer(&self) -> bool {
        self.0.flags.contains(CqeFlags::BUF_MORE)
    }

    /// Whether the socket has more data than was received. `IORING_CQE_F_SOCK_NONEMPTY`, since
    /// Linux 5.19.
    #[inline(always)]
    #[doc(alias = "IORING_CQE_F_SOCK_NONEMPTY")]
    pub const fn is_socket_nonempty(&self) -> bool {
        self.0.flags.contains(CqeFlags::SOCK_NONEMPTY)
    }

    /// Whether this is the second completion of a zero-copy send: the kernel has let go of the
    /// memory. `IORING_CQE_F_NOTIF`, since Linux 6.0.
    #[inline(always)]
    #[doc(alias = "IORING_CQE_F_NOTIF")]
    pub const fn is_notification(&self) -> bool {
        self.0.flags.contains(CqeFlags::NOTIF)
    }

    /// What a [notification](Self::is_notification) reports of how the data was sent, if
    /// [`RecvSendFlags::SEND_ZC_REPORT_USAGE`](crate::sys::RecvSendFlags::SEND_ZC_REPORT_USAGE)
    /// asked for it. Since Linux 6.2.
    #[inline(always)]
    pub const fn zero_copy_usage(&self) -> NotifUsage {
        // The bits are what counts: the field is signed, the usage is not.
        NotifUsage::from_bits_retain(u32::from_ne_bytes(self.0.res.to_ne_bytes()))
    }

    /// Whether this only fills the end of a mixed queue. Queues pass over such entries.
    /// `IORING_CQE_F_SKIP`, since Linux 6.18.
    #[inline(always)]
    #[doc(alias = "IORING_CQE_F_SKIP")]
    pub const fn is_filler(&self) -> bool {
        self.0.flags.contains(CqeFlags::SKIP)
    }

    /// Whether this is the first half of 32 bytes, in a mixed queue. `IORING_CQE_F_32`, since
    /// Linux 6.18.
    #[inline(always)]
    #[doc(alias = "IORING_CQE_F_32")]
    pub const fn is_wide(&self) -> bool {
        self.0.flags.contains(CqeFlags::F_32)
    }

    /// The descriptor that an operation made: accept, open, socket, fixed fd install.
    ///
    /// # Errors
    ///
    /// Those of the operation.
    ///
    /// # Safety
    ///
    /// The operation makes a descriptor, and not a fixed slot; and its completion is turned into
    /// an owner once.
    pub unsafe fn owned_fd(&self) -> Result<OwnedFd, Errno> {
        let fd = match self.result() {
            Ok(_) => self.0.res,
            Err(errno) => return Err(errno),
        };
        // SAFETY: not negative, and by the contract a descriptor that nobody owns yet.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// The id of the provided buffer that was used, if one was. An operation that failed may
    /// have held one, too.
    #[inline(always)]
    #[doc(alias = "IORING_CQE_F_BUFFER")]
    pub const fn buffer_id(&self) -> Option<u16> {
        self.0.flags.buffer_id()
    }
}

impl fmt::Debug for Cqe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cqe")
            .field("user_data", &format_args!("{:#x}", self.user_data()))
            .field("result", &self.result())
            .field("flags", &self.flags())
            .finish()
    }
}
