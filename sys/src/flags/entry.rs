//! The flags of a submission and of a completion.

use bitflags::bitflags;

use crate::IORING_CQE_BUFFER_SHIFT;

bitflags! {
    /// The flags of a submission that have the same meaning for every operation, the `flags` of
    /// [`io_uring_sqe`](crate::io_uring_sqe).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SqeFlags: u8 {
        /// `fd` is a slot of the registered files. Since Linux 5.1.
        #[doc(alias = "IOSQE_FIXED_FILE")]
        const FIXED_FILE = 1 << 0;
        /// Starts after all earlier entries have completed; later ones start after it. Since
        /// Linux 5.2.
        #[doc(alias = "IOSQE_IO_DRAIN")]
        const IO_DRAIN = 1 << 1;
        /// The next entry starts when this one has succeeded, and is cancelled if it fails.
        /// Since Linux 5.3.
        #[doc(alias = "IOSQE_IO_LINK")]
        const IO_LINK = 1 << 2;
        /// The next entry starts when this one has completed, however it ended. Since Linux 5.5.
        #[doc(alias = "IOSQE_IO_HARDLINK")]
        const IO_HARDLINK = 1 << 3;
        /// Runs on a worker thread immediately, without an inline attempt. Since Linux 5.6.
        #[doc(alias = "IOSQE_ASYNC")]
        const ASYNC = 1 << 4;
        /// The kernel picks a buffer of the group in `buf_group`. Since Linux 5.7.
        #[doc(alias = "IOSQE_BUFFER_SELECT")]
        const BUFFER_SELECT = 1 << 5;
        /// Posts a completion only if it fails. Since Linux 5.17.
        #[doc(alias = "IOSQE_CQE_SKIP_SUCCESS")]
        const CQE_SKIP_SUCCESS = 1 << 6;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of a completion, the `flags` of [`io_uring_cqe`](crate::io_uring_cqe).
    ///
    /// With [`BUFFER`](Self::BUFFER), the id of the buffer is in the bits above
    /// [`IORING_CQE_BUFFER_SHIFT`](crate::IORING_CQE_BUFFER_SHIFT).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CqeFlags: u32 {
        /// The upper 16 bits are the id of a provided buffer. Since Linux 5.7.
        #[doc(alias = "IORING_CQE_F_BUFFER")]
        const BUFFER = 1 << 0;
        /// The request continues: more completions follow. Since Linux 5.13.
        #[doc(alias = "IORING_CQE_F_MORE")]
        const MORE = 1 << 1;
        /// The socket had more to read after this receive. Since Linux 5.19.
        #[doc(alias = "IORING_CQE_F_SOCK_NONEMPTY")]
        const SOCK_NONEMPTY = 1 << 2;
        /// The notification of a zero-copy send: the buffer is free again. Since Linux 6.0.
        #[doc(alias = "IORING_CQE_F_NOTIF")]
        const NOTIF = 1 << 3;
        /// The buffer was used in part, and the kernel continues to use it. Since Linux 6.12.
        #[doc(alias = "IORING_CQE_F_BUF_MORE")]
        const BUF_MORE = 1 << 4;
        /// Padding before the end of the ring, not a completion. Since Linux 6.18.
        #[doc(alias = "IORING_CQE_F_SKIP")]
        const SKIP = 1 << 5;
        /// A completion of 32 bytes in a ring of mixed sizes. Since Linux 6.18.
        #[doc(alias = "IORING_CQE_F_32")]
        const F_32 = 1 << 15;
        const _ = !0;
    }
}

impl CqeFlags {
    /// The id of the provided buffer that was used, if one was.
    #[inline(always)]
    pub const fn buffer_id(self) -> Option<u16> {
        if !self.contains(Self::BUFFER) {
            return None;
        }
        // `IORING_CQE_BUFFER_SHIFT` is 16: what is left fits.
        let [low, high, _, _] = (self.bits() >> IORING_CQE_BUFFER_SHIFT).to_le_bytes();
        Some(u16::from_le_bytes([low, high]))
    }
}
