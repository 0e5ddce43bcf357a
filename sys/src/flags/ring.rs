//! The flags of a ring: for set-up, for entering, and in shared memory.

use bitflags::bitflags;

use crate::KernelVersion;

bitflags! {
    /// How a ring is set up, the `flags` of [`io_uring_params`](crate::io_uring_params).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SetupFlags: u32 {
        /// The kernel polls the device for completions instead of waiting for its interrupts. Since
        /// Linux 5.1.
        #[doc(alias = "IORING_SETUP_IOPOLL")]
        const IOPOLL = 1 << 0;
        /// A kernel thread polls the submission queue, so that submitting needs no system calls.
        /// Since Linux 5.1.
        #[doc(alias = "IORING_SETUP_SQPOLL")]
        const SQPOLL = 1 << 1;
        /// The kernel thread stays on `sq_thread_cpu`. Since Linux 5.1.
        #[doc(alias = "IORING_SETUP_SQ_AFF")]
        const SQ_AFF = 1 << 2;
        /// `cq_entries` is the size of the completion ring. Since Linux 5.5.
        #[doc(alias = "IORING_SETUP_CQSIZE")]
        const CQSIZE = 1 << 3;
        /// Sizes above the limit are reduced to the limit instead of failing. Since Linux 5.6.
        #[doc(alias = "IORING_SETUP_CLAMP")]
        const CLAMP = 1 << 4;
        /// Shares the worker threads of the ring in `wq_fd`. Since Linux 5.6.
        #[doc(alias = "IORING_SETUP_ATTACH_WQ")]
        const ATTACH_WQ = 1 << 5;
        /// The ring starts disabled, so that restrictions can be registered. Since Linux 5.10.
        #[doc(alias = "IORING_SETUP_R_DISABLED")]
        const R_DISABLED = 1 << 6;
        /// Submission continues after an entry that fails. Since Linux 5.18.
        #[doc(alias = "IORING_SETUP_SUBMIT_ALL")]
        const SUBMIT_ALL = 1 << 7;
        /// Completion work waits until the thread enters the kernel anyway. Since Linux 5.19.
        #[doc(alias = "IORING_SETUP_COOP_TASKRUN")]
        const COOP_TASKRUN = 1 << 8;
        /// [`SqStatus::TASKRUN`] shows when such work is pending. Since Linux 5.19.
        #[doc(alias = "IORING_SETUP_TASKRUN_FLAG")]
        const TASKRUN_FLAG = 1 << 9;
        /// Submission entries are 128 bytes. Since Linux 5.19.
        #[doc(alias = "IORING_SETUP_SQE128")]
        const SQE128 = 1 << 10;
        /// Completion entries are 32 bytes. Since Linux 5.19.
        #[doc(alias = "IORING_SETUP_CQE32")]
        const CQE32 = 1 << 11;
        /// Only one thread submits. Since Linux 6.0.
        #[doc(alias = "IORING_SETUP_SINGLE_ISSUER")]
        const SINGLE_ISSUER = 1 << 12;
        /// Completion work waits until that thread asks for completions. Since Linux 6.1.
        #[doc(alias = "IORING_SETUP_DEFER_TASKRUN")]
        const DEFER_TASKRUN = 1 << 13;
        /// The program provides the memory of the rings. Since Linux 6.5.
        #[doc(alias = "IORING_SETUP_NO_MMAP")]
        const NO_MMAP = 1 << 14;
        /// The ring gets a registered index and no descriptor. Since Linux 6.5.
        #[doc(alias = "IORING_SETUP_REGISTERED_FD_ONLY")]
        const REGISTERED_FD_ONLY = 1 << 15;
        /// There is no index array: entries are submitted in the order of their slots. Since Linux
        /// 6.6.
        #[doc(alias = "IORING_SETUP_NO_SQARRAY")]
        const NO_SQARRAY = 1 << 16;
        /// Sleeps for a part of the expected time before it polls. Since Linux 6.13.
        #[doc(alias = "IORING_SETUP_HYBRID_IOPOLL")]
        const HYBRID_IOPOLL = 1 << 17;
        /// Completion entries are 16 or 32 bytes; [`CqeFlags::F_32`](crate::CqeFlags::F_32) marks
        /// those of 32. Since Linux 6.18.
        #[doc(alias = "IORING_SETUP_CQE_MIXED")]
        const CQE_MIXED = 1 << 18;
        /// Submission entries are 64 or 128 bytes, depending on their opcode. Since Linux 6.19.
        #[doc(alias = "IORING_SETUP_SQE_MIXED")]
        const SQE_MIXED = 1 << 19;
        /// Each submission reads the submission ring from its start. Since Linux 7.0.
        #[doc(alias = "IORING_SETUP_SQ_REWIND")]
        const SQ_REWIND = 1 << 20;
        const _ = !0;
    }
}

impl SetupFlags {
    /// The newest named flag among these, and the first kernel that had it.
    ///
    /// It is useful in a message to a user whose kernel refuses the flags.
    ///
    /// `None` if there is no named flag among them.
    ///
    /// ```
    /// use ringbolt_sys::{KernelVersion, SetupFlags};
    ///
    /// let flags = SetupFlags::CLAMP | SetupFlags::DEFER_TASKRUN | SetupFlags::SINGLE_ISSUER;
    /// let newest = (SetupFlags::DEFER_TASKRUN, KernelVersion::new(6, 1));
    /// assert_eq!(flags.newest(), Some(newest));
    /// ```
    pub const fn newest(self) -> Option<(Self, KernelVersion)> {
        let mut older = Self::SINCE;
        while let [rest @ .., (flag, since)] = older {
            if self.contains(*flag) {
                return Some((*flag, *since));
            }
            older = rest;
        }
        None
    }
}

bitflags! {
    /// What an [`io_uring_enter`](crate::io_uring_enter) does beyond submitting.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct EnterFlags: u32 {
        /// Waits for completions, and runs the work that posts them. Since Linux 5.1.
        #[doc(alias = "IORING_ENTER_GETEVENTS")]
        const GETEVENTS = 1 << 0;
        /// Wakes the kernel thread that takes submissions. Since Linux 5.1.
        #[doc(alias = "IORING_ENTER_SQ_WAKEUP")]
        const SQ_WAKEUP = 1 << 1;
        /// Waits until the submission ring has room. Since Linux 5.10.
        #[doc(alias = "IORING_ENTER_SQ_WAIT")]
        const SQ_WAIT = 1 << 2;
        /// The argument is an [`io_uring_getevents_arg`](crate::io_uring_getevents_arg). Since
        /// Linux 5.11.
        #[doc(alias = "IORING_ENTER_EXT_ARG")]
        const EXT_ARG = 1 << 3;
        /// `fd` is an index of the thread's registered rings. Since Linux 5.18.
        #[doc(alias = "IORING_ENTER_REGISTERED_RING")]
        const REGISTERED_RING = 1 << 4;
        /// The timeout is a point in time. Since Linux 6.12.
        #[doc(alias = "IORING_ENTER_ABS_TIMER")]
        const ABS_TIMER = 1 << 5;
        /// The argument is an offset into the registered wait region. Since Linux 6.13.
        #[doc(alias = "IORING_ENTER_EXT_ARG_REG")]
        const EXT_ARG_REG = 1 << 6;
        /// The wait does not count as waiting for I/O. Since Linux 6.15.
        #[doc(alias = "IORING_ENTER_NO_IOWAIT")]
        const NO_IOWAIT = 1 << 7;
        const _ = !0;
    }
}

bitflags! {
    /// What the kernel supports, the `features` of [`io_uring_params`](crate::io_uring_params).
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct Features: u32 {
        /// One mapping holds both rings. Since Linux 5.4.
        #[doc(alias = "IORING_FEAT_SINGLE_MMAP")]
        const SINGLE_MMAP = 1 << 0;
        /// Completions that do not fit are kept by the kernel. Since Linux 5.5.
        #[doc(alias = "IORING_FEAT_NODROP")]
        const NODROP = 1 << 1;
        /// The memory that an entry points to, except buffers, need not outlive its submission.
        /// Since Linux 5.5.
        #[doc(alias = "IORING_FEAT_SUBMIT_STABLE")]
        const SUBMIT_STABLE = 1 << 2;
        /// Offset -1 is the file's own position. Since Linux 5.6.
        #[doc(alias = "IORING_FEAT_RW_CUR_POS")]
        const RW_CUR_POS = 1 << 3;
        /// Requests run with the credentials of the task that submits them. Since Linux 5.6.
        #[doc(alias = "IORING_FEAT_CUR_PERSONALITY")]
        const CUR_PERSONALITY = 1 << 4;
        /// Requests on pollable files wait without a worker thread. Since Linux 5.7.
        #[doc(alias = "IORING_FEAT_FAST_POLL")]
        const FAST_POLL = 1 << 5;
        /// Poll masks have 32 bits. Since Linux 5.9.
        #[doc(alias = "IORING_FEAT_POLL_32BITS")]
        const POLL_32BITS = 1 << 6;
        /// With [`SetupFlags::SQPOLL`], files need not be registered. Since Linux 5.11.
        #[doc(alias = "IORING_FEAT_SQPOLL_NONFIXED")]
        const SQPOLL_NONFIXED = 1 << 7;
        /// [`EnterFlags::EXT_ARG`] is understood. Since Linux 5.11.
        #[doc(alias = "IORING_FEAT_EXT_ARG")]
        const EXT_ARG = 1 << 8;
        /// Worker threads belong to the process. Since Linux 5.12.
        #[doc(alias = "IORING_FEAT_NATIVE_WORKERS")]
        const NATIVE_WORKERS = 1 << 9;
        /// Registered resources can carry tags. Since Linux 5.13.
        #[doc(alias = "IORING_FEAT_RSRC_TAGS")]
        const RSRC_TAGS = 1 << 10;
        /// [`SqeFlags::CQE_SKIP_SUCCESS`](crate::SqeFlags::CQE_SKIP_SUCCESS) is understood.
        /// Since Linux 5.17.
        #[doc(alias = "IORING_FEAT_CQE_SKIP")]
        const CQE_SKIP = 1 << 11;
        /// A linked entry looks its file up when it starts, not when it is submitted. Since
        /// Linux 5.18.
        #[doc(alias = "IORING_FEAT_LINKED_FILE")]
        const LINKED_FILE = 1 << 12;
        /// Registration calls accept the index of a registered ring. Since Linux 6.3.
        #[doc(alias = "IORING_FEAT_REG_REG_RING")]
        const REG_REG_RING = 1 << 13;
        /// Send and receive can use several provided buffers at once. Since Linux 6.10.
        #[doc(alias = "IORING_FEAT_RECVSEND_BUNDLE")]
        const RECVSEND_BUNDLE = 1 << 14;
        /// A wait can have a minimum time. Since Linux 6.12.
        #[doc(alias = "IORING_FEAT_MIN_TIMEOUT")]
        const MIN_TIMEOUT = 1 << 15;
        /// Reads and writes can carry attributes. Since Linux 6.14.
        #[doc(alias = "IORING_FEAT_RW_ATTR")]
        const RW_ATTR = 1 << 16;
        /// [`EnterFlags::NO_IOWAIT`] is understood. Since Linux 6.15.
        #[doc(alias = "IORING_FEAT_NO_IOWAIT")]
        const NO_IOWAIT = 1 << 17;
        const _ = !0;
    }
}

bitflags! {
    /// The kernel's flags, in the flags word of the submission ring.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct SqStatus: u32 {
        /// The kernel thread sleeps: enter with [`EnterFlags::SQ_WAKEUP`]. Since Linux 5.1.
        #[doc(alias = "IORING_SQ_NEED_WAKEUP")]
        const NEED_WAKEUP = 1 << 0;
        /// Completions have overflown and wait for room: enter with [`EnterFlags::GETEVENTS`].
        /// Since Linux 5.8.
        #[doc(alias = "IORING_SQ_CQ_OVERFLOW")]
        const CQ_OVERFLOW = 1 << 1;
        /// Completion work is pending: enter with [`EnterFlags::GETEVENTS`]. Since Linux 5.19.
        #[doc(alias = "IORING_SQ_TASKRUN")]
        const TASKRUN = 1 << 2;
        const _ = !0;
    }
}

bitflags! {
    /// The program's flags, in the flags word of the completion ring.
    #[repr(transparent)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct CqFlags: u32 {
        /// The kernel must not signal the registered eventfd. Since Linux 5.8.
        #[doc(alias = "IORING_CQ_EVENTFD_DISABLED")]
        const EVENTFD_DISABLED = 1 << 0;
        const _ = !0;
    }
}
