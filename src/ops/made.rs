//! The descriptor that a completion made.

use rustix::fd::{FromRawFd as _, OwnedFd};
use rustix::io::Errno;

use crate::entry::Cqe;

/// The owner of the descriptor that `cqe` made.
///
/// # Safety
///
/// It is the completion of an operation that makes a descriptor, and not a fixed slot; and its
/// descriptor has no owner yet.
#[inline]
pub(super) unsafe fn descriptor(cqe: &Cqe) -> Result<OwnedFd, Errno> {
    cqe.result()?;
    // SAFETY: not negative, since it is no error, and by the contract a descriptor that nobody
    // owns.
    Ok(unsafe { OwnedFd::from_raw_fd(cqe.raw_result()) })
}
