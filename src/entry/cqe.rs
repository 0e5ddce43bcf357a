//! [`Cqe`], the completion of 16 bytes.
#![forbid(unsafe_code)]

use core::fmt;

use rustix::io::Errno;

use crate::sys::{CqeFlags, IORING_CQE_BUFFER_SHIFT, io_uring_cqe};

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
    pub const fn user_data(&self) -> u64 {
        self.0.user_data
    }

    /// What the operation returned: a count or value, or the error that it failed with.
    ///
    /// # Errors
    ///
    /// Those of the operation, and `ECANCELED` for one that was cancelled, or linked behind
    /// one that failed.
    #[inline(always)]
    pub const fn result(&self) -> Result<u32, Errno> {
        if self.0.res < 0 {
            return Err(Errno::from_raw_os_error(self.0.res.wrapping_neg()));
        }
        Ok(self.0.res.unsigned_abs())
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
    pub const fn has_more(&self) -> bool {
        self.0.flags.contains(CqeFlags::MORE)
    }

    /// The id of the provided buffer that was used, if one was.
    #[inline(always)]
    pub const fn buffer_id(&self) -> Option<u16> {
        if !self.0.flags.contains(CqeFlags::BUFFER) {
            return None;
        }
        // `IORING_CQE_BUFFER_SHIFT` is 16: what is left fits.
        let [low, high, _, _] = (self.0.flags.bits() >> IORING_CQE_BUFFER_SHIFT).to_le_bytes();
        Some(u16::from_le_bytes([low, high]))
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
