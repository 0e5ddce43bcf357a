//! The first kernel of each flag.

use crate::{KernelVersion, flags::*};

/// Gives each flag type its table, in the order of its flags, and the method that reads it.
macro_rules! since {
    ($($Flags:ident { $($NAME:ident ($major:literal, $minor:literal)),+ })+) => {$(
        impl $Flags {
            /// Each flag, and the first kernel that had it.
            pub(super) const SINCE: &'static [(Self, KernelVersion)] =
                &[$((Self::$NAME, KernelVersion::new($major, $minor))),+];

            /// The first kernel that has all of these flags. `None` if there are none, or if one
            /// has no name here.
            pub const fn since(self) -> Option<KernelVersion> {
                let (mut rest, mut newest) = (self, None);
                let mut table = Self::SINCE;
                while let [(flag, since), others @ ..] = table {
                    if self.contains(*flag) {
                        rest = rest.difference(*flag);
                        newest = Some(later(newest, *since));
                    }
                    table = others;
                }
                if rest.is_empty() { newest } else { None }
            }
        }
    )+};
}

/// The later of two kernels.
const fn later(one: Option<KernelVersion>, other: KernelVersion) -> KernelVersion {
    match one {
        Some(one)
            if one.major > other.major || one.major == other.major && one.minor > other.minor =>
        {
            one
        }
        _ => other,
    }
}

since! {
    SqeFlags {
        FIXED_FILE (5, 1), IO_DRAIN (5, 2), IO_LINK (5, 3), IO_HARDLINK (5, 5), ASYNC (5, 6),
        BUFFER_SELECT (5, 7), CQE_SKIP_SUCCESS (5, 17)
    }
    CqeFlags {
        BUFFER (5, 7), MORE (5, 13), SOCK_NONEMPTY (5, 19), NOTIF (6, 0), BUF_MORE (6, 12),
        SKIP (6, 18), F_32 (6, 18)
    }
    RwFlags {
        HIPRI (4, 6), DSYNC (4, 7), SYNC (4, 7), NOWAIT (4, 14), APPEND (4, 16), NOAPPEND (6, 9),
        ATOMIC (6, 11), DONTCACHE (6, 14), NOSIGNAL (6, 18)
    }
    RwAttrFlags {
        PI (6, 14)
    }
    UringCmdFlags {
        FIXED (6, 1), MULTISHOT (6, 18)
    }
    FsyncFlags {
        DATASYNC (5, 1)
    }
    TimeoutFlags {
        ABS (5, 5), UPDATE (5, 11), BOOTTIME (5, 15), REALTIME (5, 15),
        LINK_TIMEOUT_UPDATE (5, 15), ETIME_SUCCESS (5, 16), MULTISHOT (6, 4),
        IMMEDIATE_ARG (7, 1)
    }
    SpliceFlags {
        FD_IN_FIXED (5, 7)
    }
    PollFlags {
        ADD_MULTI (5, 13), UPDATE_EVENTS (5, 13), UPDATE_USER_DATA (5, 13), ADD_LEVEL (6, 0)
    }
    CancelFlags {
        ALL (5, 19), FD (5, 19), ANY (5, 19), FD_FIXED (6, 0), USERDATA (6, 6), OP (6, 6)
    }
    RecvSendFlags {
        RECVSEND_POLL_FIRST (5, 19), RECV_MULTISHOT (6, 0), RECVSEND_FIXED_BUF (6, 0),
        SEND_ZC_REPORT_USAGE (6, 2), RECVSEND_BUNDLE (6, 10), SEND_VECTORIZED (6, 17)
    }
    NotifUsage {
        ZC_COPIED (6, 2)
    }
    AcceptFlags {
        MULTISHOT (5, 19), DONTWAIT (6, 10), POLL_FIRST (6, 10)
    }
    MsgRingFlags {
        CQE_SKIP (6, 0), FLAGS_PASS (6, 3)
    }
    FixedFdFlags {
        NO_CLOEXEC (6, 8)
    }
    NopFlags {
        INJECT_RESULT (6, 10), FILE (6, 13), FIXED_FILE (6, 13), FIXED_BUFFER (6, 13),
        TW (6, 17), CQE32 (6, 18)
    }
    Futex2Flags {
        SIZE_U64 (6, 7), SIZE_U32 (6, 7), SIZE_U16 (6, 7), NUMA (6, 7), MPOL (6, 16),
        PRIVATE (6, 7)
    }
    RsrcRegisterFlags {
        SPARSE (5, 19)
    }
    ProbeOpFlags {
        SUPPORTED (5, 6)
    }
    RegionFlags {
        TYPE_USER (6, 13)
    }
    MemRegionFlags {
        REG_WAIT_ARG (6, 13)
    }
    CloneBuffersFlags {
        SRC_REGISTERED (6, 12), DST_REPLACE (6, 13)
    }
    BufRingFlags {
        MMAP (6, 4), INC (6, 12)
    }
    RegWaitFlags {
        TS (6, 13)
    }
    BpfFilterFlags {
        DENY_REST (7, 0), SZ_STRICT (7, 0)
    }
    SetupFlags {
        IOPOLL (5, 1), SQPOLL (5, 1), SQ_AFF (5, 1), CQSIZE (5, 5), CLAMP (5, 6),
        ATTACH_WQ (5, 6), R_DISABLED (5, 10), SUBMIT_ALL (5, 18), COOP_TASKRUN (5, 19),
        TASKRUN_FLAG (5, 19), SQE128 (5, 19), CQE32 (5, 19), SINGLE_ISSUER (6, 0),
        DEFER_TASKRUN (6, 1), NO_MMAP (6, 5), REGISTERED_FD_ONLY (6, 5), NO_SQARRAY (6, 6),
        HYBRID_IOPOLL (6, 13), CQE_MIXED (6, 18), SQE_MIXED (6, 19), SQ_REWIND (7, 0)
    }
    EnterFlags {
        GETEVENTS (5, 1), SQ_WAKEUP (5, 1), SQ_WAIT (5, 10), EXT_ARG (5, 11),
        REGISTERED_RING (5, 18), ABS_TIMER (6, 12), EXT_ARG_REG (6, 13), NO_IOWAIT (6, 15)
    }
    Features {
        SINGLE_MMAP (5, 4), NODROP (5, 5), SUBMIT_STABLE (5, 5), RW_CUR_POS (5, 6),
        CUR_PERSONALITY (5, 6), FAST_POLL (5, 7), POLL_32BITS (5, 9), SQPOLL_NONFIXED (5, 11),
        EXT_ARG (5, 11), NATIVE_WORKERS (5, 12), RSRC_TAGS (5, 13), CQE_SKIP (5, 17),
        LINKED_FILE (5, 18), REG_REG_RING (6, 3), RECVSEND_BUNDLE (6, 10), MIN_TIMEOUT (6, 12),
        RW_ATTR (6, 14), NO_IOWAIT (6, 15)
    }
    SqStatus {
        NEED_WAKEUP (5, 1), CQ_OVERFLOW (5, 8), TASKRUN (5, 19)
    }
    CqFlags {
        EVENTFD_DISABLED (5, 8)
    }
    ZcrxAreaFlags {
        DMABUF (6, 16)
    }
    ZcrxRegFlags {
        IMPORT (6, 19), NODEV (7, 1)
    }
    ZcrxFeatures {
        RX_PAGE_SIZE (7, 0), EVENT (7, 2)
    }
    ZcrxEventDescFlags {
        STATS (7, 2)
    }
}
