//! The flags of single operations.

use bitflags::bitflags;

bitflags! {
    /// The flags of one read or write, `rw_flags`, as of `preadv2(2)`.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RwFlags: u32 {
        /// Polls for the completion. Since Linux 4.6.
        #[doc(alias = "RWF_HIPRI")]
        const HIPRI = 1 << 0;
        /// The data is on storage when the write completes, as with `O_DSYNC`. Since Linux 4.7.
        #[doc(alias = "RWF_DSYNC")]
        const DSYNC = 1 << 1;
        /// Data and metadata are on storage when the write completes, as with `O_SYNC`. Since
        /// Linux 4.7.
        #[doc(alias = "RWF_SYNC")]
        const SYNC = 1 << 2;
        /// Fails with `EAGAIN` instead of waiting. Since Linux 4.14.
        #[doc(alias = "RWF_NOWAIT")]
        const NOWAIT = 1 << 3;
        /// Writes at the end of the file. Since Linux 4.16.
        #[doc(alias = "RWF_APPEND")]
        const APPEND = 1 << 4;
        /// Writes at the offset even if the file was opened with `O_APPEND`. Since Linux 6.9.
        #[doc(alias = "RWF_NOAPPEND")]
        const NOAPPEND = 1 << 5;
        /// The write happens as a whole or not at all, also across a power failure. Since Linux
        /// 6.11.
        #[doc(alias = "RWF_ATOMIC")]
        const ATOMIC = 1 << 6;
        /// Drops the pages from the cache after the transfer. Since Linux 6.14.
        #[doc(alias = "RWF_DONTCACHE")]
        const DONTCACHE = 1 << 7;
        /// No `SIGPIPE`. Since Linux 6.18.
        #[doc(alias = "RWF_NOSIGNAL")]
        const NOSIGNAL = 1 << 8;
        const _ = !0;
    }
}

bitflags! {
    /// The attributes of a read or write, the `attr_type_mask` of [`sqe_attr`](crate::sqe_attr).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RwAttrFlags: u64 {
        /// Protection information: [`io_uring_attr_pi`](crate::io_uring_attr_pi). Since Linux
        /// 6.14.
        #[doc(alias = "IORING_RW_ATTR_FLAG_PI")]
        const PI = 1 << 0;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of a [`URING_CMD`](crate::Opcode::URING_CMD), `uring_cmd_flags`.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct UringCmdFlags: u32 {
        /// Uses the registered buffer in `buf_index`. Since Linux 6.1.
        #[doc(alias = "IORING_URING_CMD_FIXED")]
        const FIXED = 1 << 0;
        /// Completes each time, into provided buffers. Since Linux 6.18.
        #[doc(alias = "IORING_URING_CMD_MULTISHOT")]
        const MULTISHOT = 1 << 1;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of an [`FSYNC`](crate::Opcode::FSYNC), `fsync_flags`.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FsyncFlags: u32 {
        /// Leaves out metadata that reading does not need, as `fdatasync(2)`. Since Linux 5.1.
        #[doc(alias = "IORING_FSYNC_DATASYNC")]
        const DATASYNC = 1 << 0;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of the three timeout operations, `timeout_flags`.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct TimeoutFlags: u32 {
        /// The time is a point in time. Since Linux 5.5.
        #[doc(alias = "IORING_TIMEOUT_ABS")]
        const ABS = 1 << 0;
        /// Changes a timeout instead of removing it. Since Linux 5.11.
        #[doc(alias = "IORING_TIMEOUT_UPDATE")]
        const UPDATE = 1 << 1;
        /// Includes the time that the system is suspended. Since Linux 5.15.
        #[doc(alias = "IORING_TIMEOUT_BOOTTIME")]
        const BOOTTIME = 1 << 2;
        /// Uses the wall clock. Since Linux 5.15.
        #[doc(alias = "IORING_TIMEOUT_REALTIME")]
        const REALTIME = 1 << 3;
        /// Changes a linked timeout instead of removing a timeout. Since Linux 5.15.
        #[doc(alias = "IORING_LINK_TIMEOUT_UPDATE")]
        const LINK_TIMEOUT_UPDATE = 1 << 4;
        /// Expiry counts as success for the entries that are linked after it. Since Linux 5.16.
        #[doc(alias = "IORING_TIMEOUT_ETIME_SUCCESS")]
        const ETIME_SUCCESS = 1 << 5;
        /// Repeats. Since Linux 6.4.
        #[doc(alias = "IORING_TIMEOUT_MULTISHOT")]
        const MULTISHOT = 1 << 6;
        /// `addr` is the time in nanoseconds instead of a pointer to it. Since Linux 7.1.
        #[doc(alias = "IORING_TIMEOUT_IMMEDIATE_ARG")]
        const IMMEDIATE_ARG = 1 << 7;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of [`SPLICE`](crate::Opcode::SPLICE) and [`TEE`](crate::Opcode::TEE),
    /// `splice_flags`. Those of `splice(2)`, such as `SPLICE_F_MOVE`, are kept as unnamed bits.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SpliceFlags: u32 {
        /// `splice_fd_in` is a slot of the registered files. Since Linux 5.7.
        #[doc(alias = "SPLICE_F_FD_IN_FIXED")]
        const FD_IN_FIXED = 1 << 31;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of [`POLL_ADD`](crate::Opcode::POLL_ADD) and
    /// [`POLL_REMOVE`](crate::Opcode::POLL_REMOVE), in `len`.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct PollFlags: u32 {
        /// Completes each time the descriptor becomes ready. Since Linux 5.13.
        #[doc(alias = "IORING_POLL_ADD_MULTI")]
        const ADD_MULTI = 1 << 0;
        /// Changes the events of an earlier poll. Since Linux 5.13.
        #[doc(alias = "IORING_POLL_UPDATE_EVENTS")]
        const UPDATE_EVENTS = 1 << 1;
        /// Changes the `user_data` of an earlier poll. Since Linux 5.13.
        #[doc(alias = "IORING_POLL_UPDATE_USER_DATA")]
        const UPDATE_USER_DATA = 1 << 2;
        /// Level-triggered, as `epoll(7)` is by default. The header defines it, but kernels refuse
        /// it with `EINVAL` (tried: 6.18): polls are edge-triggered. Since Linux 6.0.
        #[doc(alias = "IORING_POLL_ADD_LEVEL")]
        const ADD_LEVEL = 1 << 3;
        const _ = !0;
    }
}

bitflags! {
    /// Which requests to cancel: `cancel_flags`, and the `flags` of
    /// [`io_uring_sync_cancel_reg`](crate::io_uring_sync_cancel_reg).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CancelFlags: u32 {
        /// All requests that match, not only the first. Since Linux 5.19.
        #[doc(alias = "IORING_ASYNC_CANCEL_ALL")]
        const ALL = 1 << 0;
        /// Requests on the descriptor in `fd`. Since Linux 5.19.
        #[doc(alias = "IORING_ASYNC_CANCEL_FD")]
        const FD = 1 << 1;
        /// Any request. Since Linux 5.19.
        #[doc(alias = "IORING_ASYNC_CANCEL_ANY")]
        const ANY = 1 << 2;
        /// `fd` is a slot of the registered files. Since Linux 6.0.
        #[doc(alias = "IORING_ASYNC_CANCEL_FD_FIXED")]
        const FD_FIXED = 1 << 3;
        /// Requests with the `user_data` in `addr`: the default unless another key is given. Since
        /// Linux 6.6.
        #[doc(alias = "IORING_ASYNC_CANCEL_USERDATA")]
        const USERDATA = 1 << 4;
        /// Requests with the opcode in `len`. Since Linux 6.6.
        #[doc(alias = "IORING_ASYNC_CANCEL_OP")]
        const OP = 1 << 5;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of sends and receives, in `ioprio`.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct RecvSendFlags: u16 {
        /// Waits until the socket is ready before the first attempt. Since Linux 5.19.
        #[doc(alias = "IORING_RECVSEND_POLL_FIRST")]
        const RECVSEND_POLL_FIRST = 1 << 0;
        /// Receives each time there is data, into provided buffers. Since Linux 6.0.
        #[doc(alias = "IORING_RECV_MULTISHOT")]
        const RECV_MULTISHOT = 1 << 1;
        /// Uses the registered buffer in `buf_index`. Since Linux 6.0.
        #[doc(alias = "IORING_RECVSEND_FIXED_BUF")]
        const RECVSEND_FIXED_BUF = 1 << 2;
        /// The notification reports whether data was copied: [`NotifUsage`]. Since Linux 6.2.
        #[doc(alias = "IORING_SEND_ZC_REPORT_USAGE")]
        const SEND_ZC_REPORT_USAGE = 1 << 3;
        /// Uses several provided buffers in one completion. Since Linux 6.10.
        #[doc(alias = "IORING_RECVSEND_BUNDLE")]
        const RECVSEND_BUNDLE = 1 << 4;
        /// `addr` is an `iovec` array. Since Linux 6.17.
        #[doc(alias = "IORING_SEND_VECTORIZED")]
        const SEND_VECTORIZED = 1 << 5;
        const _ = !0;
    }
}

bitflags! {
    /// The result of a zero-copy send's notification, if it was requested with
    /// [`RecvSendFlags::SEND_ZC_REPORT_USAGE`].
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct NotifUsage: u32 {
        /// Some of the data was copied after all. Since Linux 6.2.
        #[doc(alias = "IORING_NOTIF_USAGE_ZC_COPIED")]
        const ZC_COPIED = 1 << 31;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of an [`ACCEPT`](crate::Opcode::ACCEPT), in `ioprio`.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct AcceptFlags: u16 {
        /// Accepts each connection, with a completion for each. Since Linux 5.19.
        #[doc(alias = "IORING_ACCEPT_MULTISHOT")]
        const MULTISHOT = 1 << 0;
        /// Fails with `EAGAIN` if no connection waits. Since Linux 6.10.
        #[doc(alias = "IORING_ACCEPT_DONTWAIT")]
        const DONTWAIT = 1 << 1;
        /// Waits until a connection is there before the first attempt. Since Linux 6.10.
        #[doc(alias = "IORING_ACCEPT_POLL_FIRST")]
        const POLL_FIRST = 1 << 2;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of a [`MSG_RING`](crate::Opcode::MSG_RING), `msg_ring_flags`.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct MsgRingFlags: u32 {
        /// Posts no completion to the receiver, which only gets the file. Since Linux 6.0.
        #[doc(alias = "IORING_MSG_RING_CQE_SKIP")]
        const CQE_SKIP = 1 << 0;
        /// The completion at the receiver gets the flags in `file_index`. Since Linux 6.3.
        #[doc(alias = "IORING_MSG_RING_FLAGS_PASS")]
        const FLAGS_PASS = 1 << 1;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of a [`FIXED_FD_INSTALL`](crate::Opcode::FIXED_FD_INSTALL), `install_fd_flags`.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct FixedFdFlags: u32 {
        /// The descriptor stays open across `execve(2)`. Since Linux 6.8.
        #[doc(alias = "IORING_FIXED_FD_NO_CLOEXEC")]
        const NO_CLOEXEC = 1 << 0;
        const _ = !0;
    }
}

bitflags! {
    /// The flags of a [`NOP`](crate::Opcode::NOP), `nop_flags`.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct NopFlags: u32 {
        /// The result is the number in `len`. Since Linux 6.10.
        #[doc(alias = "IORING_NOP_INJECT_RESULT")]
        const INJECT_RESULT = 1 << 0;
        /// Looks up `fd` and drops it again. Since Linux 6.13.
        #[doc(alias = "IORING_NOP_FILE")]
        const FILE = 1 << 1;
        /// `fd` is a slot of the registered files. Since Linux 6.13.
        #[doc(alias = "IORING_NOP_FIXED_FILE")]
        const FIXED_FILE = 1 << 2;
        /// Looks up the registered buffer in `buf_index`. Since Linux 6.13.
        #[doc(alias = "IORING_NOP_FIXED_BUFFER")]
        const FIXED_BUFFER = 1 << 3;
        /// Completes from task work instead of inline. Since Linux 6.17.
        #[doc(alias = "IORING_NOP_TW")]
        const TW = 1 << 4;
        /// Posts a completion of 32 bytes, from `off` and `addr`. Since Linux 6.18.
        #[doc(alias = "IORING_NOP_CQE32")]
        const CQE32 = 1 << 5;
        const _ = !0;
    }
}

bitflags! {
    /// The kind of a futex: the `fd` of a [`FUTEX_WAIT`](crate::Opcode::FUTEX_WAIT), and the
    /// `flags` of [`futex_waitv`](crate::futex_waitv).
    ///
    /// The two lowest bits are the size, one of the four `SIZE` constants.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Futex2Flags: u32 {
        /// The futex has 64 bits. Since Linux 6.7.
        #[doc(alias = "FUTEX2_SIZE_U64")]
        const SIZE_U64 = 3;
        /// The futex has 32 bits: the only size that kernels accept so far. Since Linux 6.7.
        #[doc(alias = "FUTEX2_SIZE_U32")]
        const SIZE_U32 = 1 << 1;
        /// The futex has 16 bits. Since Linux 6.7.
        #[doc(alias = "FUTEX2_SIZE_U16")]
        const SIZE_U16 = 1 << 0;
        /// The futex is followed by the number of its memory node. Since Linux 6.7.
        #[doc(alias = "FUTEX2_NUMA")]
        const NUMA = 1 << 2;
        /// The futex is hashed by the memory policy of its mapping. Since Linux 6.16.
        #[doc(alias = "FUTEX2_MPOL")]
        const MPOL = 1 << 3;
        /// The futex is used within one process only. Since Linux 6.7.
        #[doc(alias = "FUTEX2_PRIVATE")]
        const PRIVATE = 1 << 7;
        const _ = !0;
    }
}

impl Futex2Flags {
    /// The futex has 8 bits: no bit set. Since Linux 6.7.
    #[doc(alias = "FUTEX2_SIZE_U8")]
    pub const SIZE_U8: Self = Self::empty();
    /// The bits that are the size. Since Linux 6.7.
    #[doc(alias = "FUTEX2_SIZE_MASK")]
    pub const SIZE_MASK: Self = Self::SIZE_U64;
}
