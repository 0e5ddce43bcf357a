//! The flags of zero-copy receive.

use bitflags::bitflags;

bitflags! {
    /// The `flags` of [`io_uring_zcrx_area_reg`](crate::io_uring_zcrx_area_reg).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ZcrxAreaFlags: u32 {
        /// The area is the dma-buf in `dmabuf_fd`. Since Linux 6.16.
        #[doc(alias = "IORING_ZCRX_AREA_DMABUF")]
        const DMABUF = 1 << 0;
        const _ = !0;
    }
}

bitflags! {
    /// The `flags` of [`io_uring_zcrx_ifq_reg`](crate::io_uring_zcrx_ifq_reg).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ZcrxRegFlags: u32 {
        /// Takes over the queue that another ring exported. Since Linux 6.19.
        #[doc(alias = "ZCRX_REG_IMPORT")]
        const IMPORT = 1 << 0;
        /// Needs no device: all data is copied. Since Linux 7.1.
        #[doc(alias = "ZCRX_REG_NODEV")]
        const NODEV = 1 << 1;
        const _ = !0;
    }
}

bitflags! {
    /// The `features` of [`io_uring_query_zcrx`](crate::io_uring_query_zcrx).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ZcrxFeatures: u32 {
        /// `rx_buf_len` can be chosen. Since Linux 7.0.
        #[doc(alias = "ZCRX_FEATURE_RX_PAGE_SIZE")]
        const RX_PAGE_SIZE = 1 << 0;
        /// Events can be reported: `event_desc`. Since Linux 7.2.
        #[doc(alias = "ZCRX_FEATURE_EVENT")]
        const EVENT = 1 << 1;
        const _ = !0;
    }
}

bitflags! {
    /// The `flags` of [`zcrx_event_desc`](crate::zcrx_event_desc).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ZcrxEventDescFlags: u32 {
        /// `stats_offset` is where the kernel keeps a [`zcrx_stats`](crate::zcrx_stats). Since
        /// Linux 7.2.
        #[doc(alias = "ZCRX_EVENT_DESC_FLAG_STATS")]
        const STATS = 1 << 0;
        const _ = !0;
    }
}
