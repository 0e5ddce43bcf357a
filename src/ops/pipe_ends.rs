//! [`PipeEnds`]: where a pipe of the safe front is stored.

use core::mem;

use rustix::fd::{FromRawFd as _, OwnedFd, RawFd};

/// No descriptor.
const NONE: RawFd = -1;

/// The two ends of a pipe that [`Pipe::lent`](super::Pipe::lent) makes. It closes what nobody has
/// taken.
///
/// ```
/// use ringbolt::ops::{Pipe, PipeEnds};
/// use ringbolt::rustix::pipe::PipeFlags;
///
/// let mut ends = PipeEnds::new();
/// let op = Pipe::lent(&mut ends).flags(PipeFlags::CLOEXEC).op();
/// # let _ = op;
/// assert!(ends.take().is_none()); // It was not started.
/// ```
///
/// Nobody can look at the ends while they are lent:
///
/// ```compile_fail,E0499
/// use ringbolt::ops::{Pipe, PipeEnds};
///
/// let mut ends = PipeEnds::new();
/// let op = Pipe::lent(&mut ends).op();
/// let early = ends.take();
/// drop(op);
/// ```
// Aligned so that the kernel stores both numbers or none: they are in one page.
#[derive(Debug)]
#[repr(C, align(8))]
pub struct PipeEnds([RawFd; 2]);

impl PipeEnds {
    /// No pipe yet.
    pub const fn new() -> Self {
        Self([NONE; 2])
    }

    /// The end to read from and the end to write to, once, if the operation has succeeded.
    pub fn take(&mut self) -> Option<(OwnedFd, OwnedFd)> {
        let [read, write] = mem::replace(&mut self.0, [NONE; 2]);
        if read == NONE || write == NONE {
            return None;
        }
        // SAFETY:
        // 1. Only the kernel stores anything but `NONE` here: the field is private, and is lent to
        //    entries of `Pipe` alone, never as bytes.
        // 2. The kernel stores numbers only of descriptors that it installs next, so they are open,
        //    and belong to whoever asked for the pipe.
        // 3. They are taken once: they have been replaced by `NONE` above.
        let read = unsafe { OwnedFd::from_raw_fd(read) };
        // SAFETY: as above.
        let write = unsafe { OwnedFd::from_raw_fd(write) };
        Some((read, write))
    }

    /// Where the kernel is to store the numbers, with none there.
    pub(super) fn lend(&mut self) -> *mut [RawFd; 2] {
        drop(self.take());
        &raw mut self.0
    }
}

impl Default for PipeEnds {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PipeEnds {
    fn drop(&mut self) {
        drop(self.take());
    }
}
