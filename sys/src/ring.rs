//! The structures of a ring and of a wait on it: [`io_uring_params`], [`io_uring_cqe`],
//! [`io_uring_getevents_arg`].

#![allow(non_camel_case_types, reason = "the C names")]

use crate::{CqeFlags, Features, Futex2Flags, RegWaitFlags, SetupFlags, SharedPtr};

/// A completion queue entry: how one request ended. It has 16 bytes, or 32 with the part after it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_cqe {
    /// The `user_data` of the submission.
    pub user_data: u64,
    /// The result, or a negated errno.
    pub res: i32,
    /// Further information about the completion.
    pub flags: CqeFlags,
    /// The start of the 16 further bytes of a 32-byte entry. Access them from the address of the
    /// whole entry, not through this field.
    pub big_cqe: [u64; 0],
}

/// The parameters of `io_uring_setup(2)`, and what it returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_params {
    /// Entries of the submission ring; filled in by the kernel.
    pub sq_entries: u32,
    /// Entries of the completion ring; requested with [`SetupFlags::CQSIZE`], and filled in by the
    /// kernel.
    pub cq_entries: u32,
    /// How to set the ring up.
    pub flags: SetupFlags,
    /// The processor of the kernel thread, with [`SetupFlags::SQ_AFF`].
    pub sq_thread_cpu: u32,
    /// After how many idle milliseconds the kernel thread falls asleep.
    pub sq_thread_idle: u32,
    /// What the kernel supports; filled in by the kernel.
    pub features: Features,
    /// The ring to share workers with, with [`SetupFlags::ATTACH_WQ`].
    pub wq_fd: u32,
    /// Zero.
    pub resv: [u32; 3],
    /// Where the parts of the submission ring are; filled in by the kernel.
    pub sq_off: io_sqring_offsets,
    /// Where the parts of the completion ring are; filled in by the kernel.
    pub cq_off: io_cqring_offsets,
}

/// Where the parts of the submission ring are, in bytes from the start of its mapping.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_sqring_offsets {
    /// The kernel's counter, `u32`.
    pub head: u32,
    /// The program's counter, `u32`.
    pub tail: u32,
    /// Entries minus one, `u32`.
    pub ring_mask: u32,
    /// Entries, `u32`.
    pub ring_entries: u32,
    /// The flags word, `u32`: [`SqStatus`](crate::SqStatus).
    pub flags: u32,
    /// How many invalid indexes the kernel dropped, `u32`.
    pub dropped: u32,
    /// The index array, `u32` each; absent with [`SetupFlags::NO_SQARRAY`].
    pub array: u32,
    /// Zero.
    pub resv1: u32,
    /// The program's memory for the entries, with [`SetupFlags::NO_MMAP`].
    pub user_addr: SharedPtr,
}

/// Where the parts of the completion ring are, in bytes from the start of its mapping.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_cqring_offsets {
    /// The program's counter, `u32`.
    pub head: u32,
    /// The kernel's counter, `u32`.
    pub tail: u32,
    /// Entries minus one, `u32`.
    pub ring_mask: u32,
    /// Entries, `u32`.
    pub ring_entries: u32,
    /// How many completions were lost, `u32`.
    pub overflow: u32,
    /// The entries: [`io_uring_cqe`].
    pub cqes: u32,
    /// The flags word, `u32`: [`CqFlags`](crate::CqFlags).
    pub flags: u32,
    /// Zero.
    pub resv1: u32,
    /// The program's memory for the rings, with [`SetupFlags::NO_MMAP`].
    pub user_addr: SharedPtr,
}

/// The argument of a wait, with [`EnterFlags::EXT_ARG`](crate::EnterFlags::EXT_ARG).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_getevents_arg {
    /// The signals to block during the wait, or null.
    pub sigmask: SharedPtr,
    /// The size of the mask, in bytes.
    pub sigmask_sz: u32,
    /// Wait for all of the requested completions for this many microseconds; after that, one is
    /// enough.
    pub min_wait_usec: u32,
    /// The timeout, a [`__kernel_timespec`], or null.
    pub ts: SharedPtr,
}

/// A registered argument of a wait, with
/// [`EnterFlags::EXT_ARG_REG`](crate::EnterFlags::EXT_ARG_REG).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_reg_wait {
    /// The timeout, with [`RegWaitFlags::TS`].
    pub ts: __kernel_timespec,
    /// Wait for all of the requested completions for this many microseconds; after that, one is
    /// enough.
    pub min_wait_usec: u32,
    /// Which fields are valid.
    pub flags: RegWaitFlags,
    /// The signals to block during the wait, or null.
    pub sigmask: SharedPtr,
    /// The size of the mask, in bytes.
    pub sigmask_sz: u32,
    /// Zero.
    pub pad: [u32; 3],
    /// Zero.
    pub pad2: [u64; 2],
}

/// A time or a duration, 64 bits on every architecture.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct __kernel_timespec {
    /// Seconds.
    pub tv_sec: i64,
    /// Nanoseconds, less than 1,000,000,000.
    pub tv_nsec: i64,
}

/// The time of a packet, in the 16 further bytes of a
/// [`TX_TIMESTAMP`](crate::SocketCmd::TX_TIMESTAMP) completion.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct io_timespec {
    /// Seconds.
    pub tv_sec: u64,
    /// Nanoseconds.
    pub tv_nsec: u64,
}

/// Protection information for a read or write, with [`RwAttrFlags::PI`](crate::RwAttrFlags::PI).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_attr_pi {
    /// What to check: `IO_INTEGRITY_CHK_*`.
    pub flags: u16,
    /// The application tag.
    pub app_tag: u16,
    /// The length of the metadata, in bytes.
    pub len: u32,
    /// The metadata.
    pub addr: SharedPtr,
    /// The seed of the reference tag.
    pub seed: u64,
    /// Zero.
    pub rsvd: u64,
}

/// The header that a multishot [`RECVMSG`](crate::Opcode::RECVMSG) writes at the start of each
/// buffer, before the name, the control data and the payload.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_recvmsg_out {
    /// The full length of the name, even if it was cut.
    pub namelen: u32,
    /// The length of the control data.
    pub controllen: u32,
    /// The length of the payload; more than the room for it if it was cut.
    pub payloadlen: u32,
    /// `MSG_*` flags of the message.
    pub flags: u32,
}

/// How [`OPENAT2`](crate::Opcode::OPENAT2) opens.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct open_how {
    /// `O_*`.
    pub flags: u64,
    /// The mode of a new file.
    pub mode: u64,
    /// `RESOLVE_*`.
    pub resolve: u64,
}

/// One futex of a [`FUTEX_WAITV`](crate::Opcode::FUTEX_WAITV).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct futex_waitv {
    /// The value it must have for the wait to begin.
    pub val: u64,
    /// The futex.
    pub uaddr: SharedPtr,
    /// Its kind.
    pub flags: Futex2Flags,
    /// Zero.
    pub __reserved: u32,
}
