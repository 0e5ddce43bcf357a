//! [`BufferRingOptions`]: how the kernel uses the buffers of a ring.
#![forbid(unsafe_code)]

use crate::sys::BufRingFlags;

/// How the kernel uses the buffers of a ring.
///
/// [`BufRingFlags`] convert into it: pass just the flags where `min_left` is not needed.
///
/// ```
/// use ringbolt::{register::BufferRingOptions, sys::BufRingFlags};
///
/// let options = BufferRingOptions::from(BufRingFlags::INC).min_left(1500);
/// assert_eq!(options.min_left, 1500);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferRingOptions {
    /// Who provides the memory of the ring, and whether a buffer is used up piece by piece.
    pub flags: BufRingFlags,
    /// With [`BufRingFlags::INC`]: the number of bytes that a buffer must have left for the kernel
    /// to use it again. With fewer bytes left it is used up.
    ///
    /// For datagrams, set it to the length of the longest datagram plus that of whatever is stored
    /// before the datagram: otherwise the part of a datagram that does not fit is lost. See
    /// [`register_buffer_ring`](super::Registrar::register_buffer_ring). Kernels that do not know
    /// this field refuse any value except 0.
    pub min_left: u32,
}

impl BufferRingOptions {
    /// Sets the field [`min_left`](Self#structfield.min_left).
    #[must_use]
    pub const fn min_left(mut self, bytes: u32) -> Self {
        self.min_left = bytes;
        self
    }
}

impl From<BufRingFlags> for BufferRingOptions {
    fn from(flags: BufRingFlags) -> Self {
        Self { flags, min_left: 0 }
    }
}
