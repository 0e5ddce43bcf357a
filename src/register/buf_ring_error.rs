//! Why a buffer ring takes no buffer, and why its registration has not ended.
#![forbid(unsafe_code)]

use core::fmt;

use rustix::io::Errno;

use crate::entry::explain::ErrnoText;

use super::BufferRing;

/// The error of [`BufferRing::add`]: the ring is full.
///
/// [`BufferRing::capacity`] buffers were added and not reclaimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferRingFull;

impl fmt::Display for BufferRingFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the buffer ring is full: pass each completion that has a buffer to `reclaim` or \
             `bundle` before adding buffers again",
        )
    }
}

impl core::error::Error for BufferRingFull {}

/// The error of [`Registrar::unregister_buffer_ring`](super::Registrar::unregister_buffer_ring).
#[derive(Debug)]
pub struct UnregisterError {
    /// The buffer ring, still registered.
    pub buffers: BufferRing,
    /// The cause: `EINVAL` if it is registered with another ring, `ECHILD` in a process that did
    /// not make the ring.
    pub errno: Errno,
}

impl fmt::Display for UnregisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, errno) = (self.buffers.group(), ErrnoText(self.errno));
        write!(f, "the buffer ring of group {group} was not unregistered: {errno}")
    }
}

impl core::error::Error for UnregisterError {}
