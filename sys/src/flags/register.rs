//! The flags of registration structures.

use bitflags::bitflags;

bitflags! {
    /// The `flags` of [`io_uring_rsrc_register`](crate::io_uring_rsrc_register).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RsrcRegisterFlags: u32 {
        /// Registers an empty table of `nr` slots. Since Linux 5.19.
        #[doc(alias = "IORING_RSRC_REGISTER_SPARSE")]
        const SPARSE = 1 << 0;
        const _ = !0;
    }
}

bitflags! {
    /// The `flags` of [`io_uring_probe_op`](crate::io_uring_probe_op).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ProbeOpFlags: u16 {
        /// The kernel supports the operation. Since Linux 5.6.
        #[doc(alias = "IO_URING_OP_SUPPORTED")]
        const SUPPORTED = 1 << 0;
        const _ = !0;
    }
}

bitflags! {
    /// The `flags` of [`io_uring_region_desc`](crate::io_uring_region_desc).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RegionFlags: u32 {
        /// The program provides the memory, at `user_addr`. Since Linux 6.13.
        #[doc(alias = "IORING_MEM_REGION_TYPE_USER")]
        const TYPE_USER = 1 << 0;
        const _ = !0;
    }
}

bitflags! {
    /// The `flags` of [`io_uring_mem_region_reg`](crate::io_uring_mem_region_reg).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MemRegionFlags: u64 {
        /// The region holds [`io_uring_reg_wait`](crate::io_uring_reg_wait) entries. Since Linux
        /// 6.13.
        #[doc(alias = "IORING_MEM_REGION_REG_WAIT_ARG")]
        const REG_WAIT_ARG = 1 << 0;
        const _ = !0;
    }
}

bitflags! {
    /// The `flags` of [`io_uring_clone_buffers`](crate::io_uring_clone_buffers).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CloneBuffersFlags: u32 {
        /// `src_fd` is an index of the thread's registered rings. Since Linux 6.12.
        #[doc(alias = "IORING_REGISTER_SRC_REGISTERED")]
        const SRC_REGISTERED = 1 << 0;
        /// Existing buffers are replaced. Since Linux 6.13.
        #[doc(alias = "IORING_REGISTER_DST_REPLACE")]
        const DST_REPLACE = 1 << 1;
        const _ = !0;
    }
}

bitflags! {
    /// The `flags` of [`io_uring_buf_reg`](crate::io_uring_buf_reg).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct BufRingFlags: u16 {
        /// The kernel provides the memory; the program maps it. Since Linux 6.4.
        #[doc(alias = "IOU_PBUF_RING_MMAP")]
        const MMAP = 1 << 0;
        /// A buffer is used up piece by piece instead of all at once.
        ///
        /// Data that reaches the end of a buffer is cut there. The rest of a stream goes into the
        /// next buffer; the rest of a datagram is lost, and only receives of messages report that.
        /// `min_left` of [`io_uring_buf_reg`](crate::io_uring_buf_reg) prevents it. Since Linux
        /// 6.12.
        #[doc(alias = "IOU_PBUF_RING_INC")]
        const INC = 1 << 1;
        const _ = !0;
    }
}

bitflags! {
    /// The `flags` of [`io_uring_reg_wait`](crate::io_uring_reg_wait).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RegWaitFlags: u32 {
        /// `ts` is the timeout. Since Linux 6.13.
        #[doc(alias = "IORING_REG_WAIT_TS")]
        const TS = 1 << 0;
        const _ = !0;
    }
}

bitflags! {
    /// The `flags` of [`io_uring_bpf_filter`](crate::io_uring_bpf_filter).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct BpfFilterFlags: u32 {
        /// Denies every opcode that has no filter. Since Linux 7.0.
        #[doc(alias = "IO_URING_BPF_FILTER_DENY_REST")]
        const DENY_REST = 1 << 0;
        /// Fails unless `pdu_size` is exactly the kernel's size. Since Linux 7.0.
        #[doc(alias = "IO_URING_BPF_FILTER_SZ_STRICT")]
        const SZ_STRICT = 1 << 1;
        const _ = !0;
    }
}
