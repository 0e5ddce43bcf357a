//! [`RegisterError`]: what was asked for, and why it failed.
#![forbid(unsafe_code)]

use core::fmt;

use rustix::io::Errno;

use crate::entry::explain::ErrnoText;
use crate::sys::RegisterOp;

/// Why a call of `io_uring_register(2)` failed, and what it was to do. From the methods of
/// [`Registrar`](super::Registrar).
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ring = ringbolt::IoUring::new(8)?;
/// let error = ring.registrar().unregister_files().expect_err("there is no table");
/// let text = error.to_string();
/// assert!(text.starts_with("IORING_UNREGISTER_FILES failed: ENXIO (6)"), "{text}");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegisterError {
    /// What was asked for.
    pub op: RegisterOp,
    /// The kernel's answer, or `EINVAL` or `ECHILD` where it was not asked: each method says when.
    pub errno: Errno,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IORING_{:?} failed: {}", self.op, ErrnoText(self.errno))
    }
}

impl core::error::Error for RegisterError {}

impl From<RegisterError> for Errno {
    fn from(error: RegisterError) -> Self {
        error.errno
    }
}

#[cfg(feature = "std")]
impl From<RegisterError> for std::io::Error {
    /// Keeps the errno, so that [`raw_os_error`](std::io::Error::raw_os_error) returns it. What was
    /// asked for is lost: print it before converting, or keep it and lose the errno by
    /// [`std::io::Error::other`].
    fn from(error: RegisterError) -> Self {
        error.errno.into()
    }
}
