//! [`io_uring_sqe`], a submission queue entry, and its unions.
//!
//! In C the unions have no names; here each is a field and a type. Every arm is as large as its
//! union, and filled with zeros if the kernel's field is smaller: whichever arm is written, no byte
//! of the entry is left undefined. `layout.rs` checks that.
//!
//! Reading an arm requires `unsafe`, but is always sound here: every byte is initialised, and every
//! bit pattern is valid in every arm.

#![allow(non_camel_case_types, reason = "the C names")]

use core::fmt;

use crate::{
    CancelFlags, FixedFdFlags, FsyncFlags, MsgRingFlags, NopFlags, Opcode, RwFlags, SharedPtr,
    SpliceFlags, SqeFlags, TimeoutFlags, UringCmdFlags,
};

/// A submission queue entry: one request, 64 bytes.
///
/// The documentation of an operation lists the fields that it reads. The others must be zero, so
/// start from [`ZEROED`](Self::ZEROED).
///
/// ```
/// use ringbolt_sys::{Opcode, SharedPtr, io_uring_sqe, sqe_addr, sqe_off};
///
/// let mut buf = [0_u8; 512];
/// let sqe = io_uring_sqe {
///     opcode: Opcode::READ,
///     fd: 3,
///     off: sqe_off { off: 4096 },
///     addr: sqe_addr { addr: SharedPtr::from_mut(buf.as_mut_ptr()) },
///     len: 512,
///     user_data: 7,
///     ..io_uring_sqe::ZEROED
/// };
/// # let _ = sqe;
/// ```
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_sqe {
    /// The operation.
    pub opcode: Opcode,
    /// Flags that have the same meaning for every operation.
    pub flags: SqeFlags,
    /// The I/O priority, or more flags: [`RecvSendFlags`](crate::RecvSendFlags),
    /// [`AcceptFlags`](crate::AcceptFlags).
    pub ioprio: u16,
    /// The descriptor, or the slot with [`SqeFlags::FIXED_FILE`].
    pub fd: i32,
    /// An offset, a second address, or a command.
    pub off: sqe_off,
    /// The address of a buffer or of a structure.
    pub addr: sqe_addr,
    /// The length of the buffer in bytes, or a count.
    pub len: u32,
    /// The flags of the operation.
    pub op_flags: sqe_op_flags,
    /// Returned unchanged in the completion.
    pub user_data: u64,
    /// The registered buffer, or the group of provided buffers.
    pub buf: sqe_buf,
    /// The id of registered credentials to use, or 0.
    pub personality: u16,
    /// A slot, a second descriptor, or a length.
    pub file: sqe_file,
    /// More arguments, in the last 16 bytes.
    pub tail: sqe_tail,
}

impl io_uring_sqe {
    /// The 64 bytes, as the kernel reads them.
    ///
    /// An address in them is only a number: it has no provenance, so memory cannot be read through
    /// it.
    #[inline]
    pub const fn as_bytes(&self) -> &[u8; 64] {
        // SAFETY:
        // 1. Size and alignment: `layout.rs` asserts that the entry has 64 bytes; bytes need no
        //    alignment.
        // 2. Initialised: no padding, and every arm of every union fills it (`layout.rs`).
        // 3. Not written during the borrow: borrowed from `self`, and there is no interior
        //    mutability.
        unsafe { &*core::ptr::from_ref(self).cast() }
    }
}

/// Bytes 8 to 15 of an entry.
#[repr(C)]
#[derive(Clone, Copy)]
pub union sqe_off {
    /// An offset into a file, in bytes, or a number.
    pub off: u64,
    /// A second address.
    pub addr2: SharedPtr,
    /// The command of a [`URING_CMD`](Opcode::URING_CMD).
    pub cmd: sqe_cmd_op,
}

/// The command of a [`URING_CMD`](Opcode::URING_CMD), in [`sqe_off`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sqe_cmd_op {
    /// The driver's number, such as a [`SocketCmd`](crate::SocketCmd).
    pub cmd_op: u32,
    /// Zero.
    pub __pad1: u32,
}

/// Bytes 16 to 23 of an entry.
#[repr(C)]
#[derive(Clone, Copy)]
pub union sqe_addr {
    /// An address.
    pub addr: SharedPtr,
    /// A number that is not an address, such as the `user_data` to cancel.
    pub raw: u64,
    /// The offset in the file that a splice reads from, in bytes.
    pub splice_off_in: u64,
    /// The option of a socket command.
    pub sockopt: sqe_sockopt,
}

/// The option that [`GETSOCKOPT`](crate::SocketCmd::GETSOCKOPT) and
/// [`SETSOCKOPT`](crate::SocketCmd::SETSOCKOPT) read or set, in [`sqe_addr`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sqe_sockopt {
    /// The protocol level.
    pub level: u32,
    /// The option.
    pub optname: u32,
}

/// Bytes 28 to 31 of an entry: the flags of its operation.
#[repr(C)]
#[derive(Clone, Copy)]
pub union sqe_op_flags {
    /// Of any operation.
    pub raw: u32,
    /// Of reads and writes.
    pub rw_flags: RwFlags,
    /// Of [`FSYNC`](Opcode::FSYNC).
    pub fsync_flags: FsyncFlags,
    /// Of polls, on kernels without [`POLL_32BITS`](crate::Features::POLL_32BITS).
    pub poll_events: sqe_poll_events,
    /// Of polls: the events. On big-endian targets the two halves are swapped.
    pub poll32_events: u32,
    /// Of [`SYNC_FILE_RANGE`](Opcode::SYNC_FILE_RANGE).
    pub sync_range_flags: u32,
    /// Of sends and receives: `MSG_*`.
    pub msg_flags: u32,
    /// Of timeouts.
    pub timeout_flags: TimeoutFlags,
    /// Of [`ACCEPT`](Opcode::ACCEPT): `SOCK_*`.
    pub accept_flags: u32,
    /// Of [`ASYNC_CANCEL`](Opcode::ASYNC_CANCEL).
    pub cancel_flags: CancelFlags,
    /// Of [`OPENAT`](Opcode::OPENAT): `O_*`.
    pub open_flags: u32,
    /// Of [`STATX`](Opcode::STATX): `AT_*`.
    pub statx_flags: u32,
    /// Of [`FADVISE`](Opcode::FADVISE) and [`MADVISE`](Opcode::MADVISE): the advice.
    pub fadvise_advice: u32,
    /// Of [`SPLICE`](Opcode::SPLICE) and [`TEE`](Opcode::TEE).
    pub splice_flags: SpliceFlags,
    /// Of [`RENAMEAT`](Opcode::RENAMEAT): `RENAME_*`.
    pub rename_flags: u32,
    /// Of [`UNLINKAT`](Opcode::UNLINKAT): `AT_REMOVEDIR`.
    pub unlink_flags: u32,
    /// Of [`LINKAT`](Opcode::LINKAT): `AT_*`.
    pub hardlink_flags: u32,
    /// Of the extended attribute operations: `XATTR_*`.
    pub xattr_flags: u32,
    /// Of [`MSG_RING`](Opcode::MSG_RING).
    pub msg_ring_flags: MsgRingFlags,
    /// Of [`URING_CMD`](Opcode::URING_CMD).
    pub uring_cmd_flags: UringCmdFlags,
    /// Of [`WAITID`](Opcode::WAITID): zero.
    pub waitid_flags: u32,
    /// Of the futex operations: zero; the kind of the futex is in `fd`.
    pub futex_flags: u32,
    /// Of [`FIXED_FD_INSTALL`](Opcode::FIXED_FD_INSTALL).
    pub install_fd_flags: FixedFdFlags,
    /// Of [`NOP`](Opcode::NOP).
    pub nop_flags: NopFlags,
    /// Of [`PIPE`](Opcode::PIPE): `O_*`.
    pub pipe_flags: u32,
}

/// Poll events of 16 bits, in [`sqe_op_flags`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sqe_poll_events {
    /// The events: `POLL*`.
    pub poll_events: u16,
    /// Zero: the rest of the union.
    pub __rest: u16,
}

/// Bytes 40 and 41 of an entry.
#[repr(C)]
#[derive(Clone, Copy)]
pub union sqe_buf {
    /// The registered buffer to use.
    pub buf_index: u16,
    /// The group that the kernel picks a buffer from.
    pub buf_group: u16,
}

/// Bytes 44 to 47 of an entry.
#[repr(C)]
#[derive(Clone, Copy)]
pub union sqe_file {
    /// The descriptor that a splice reads from.
    pub splice_fd_in: i32,
    /// The slot for a new file, plus one; or
    /// [`IORING_FILE_INDEX_ALLOC`](crate::IORING_FILE_INDEX_ALLOC); or 0 for no slot.
    pub file_index: u32,
    /// The receive queue of a [`RECV_ZC`](Opcode::RECV_ZC).
    pub zcrx_ifq_idx: u32,
    /// The length of a socket option, in bytes.
    pub optlen: u32,
    /// The length of a send's address.
    pub addr_len: sqe_addr_len,
    /// The stream of a write.
    pub write_stream: sqe_write_stream,
}

/// The length of the address that a send goes to, in [`sqe_file`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sqe_addr_len {
    /// In bytes.
    pub addr_len: u16,
    /// Zero.
    pub __pad3: [u16; 1],
}

/// The stream that a write belongs to, in [`sqe_file`]: data that the device should keep together.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sqe_write_stream {
    /// The stream, from 1; 0 for none.
    pub write_stream: u8,
    /// Zero.
    pub __pad4: [u8; 3],
}

/// Bytes 48 to 63 of an entry.
#[repr(C)]
#[derive(Clone, Copy)]
pub union sqe_tail {
    /// A third address.
    pub addr3: sqe_addr3,
    /// The attributes of a read or write.
    pub attr: sqe_attr,
    /// The value of a socket option.
    pub optval: sqe_optval,
    /// The argument of a command. An entry of 128 bytes continues it with the next 64.
    pub cmd: [u8; 16],
    /// The two words.
    pub raw: [u64; 2],
}

/// A third address, in [`sqe_tail`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sqe_addr3 {
    /// The address, or a number.
    pub addr3: SharedPtr,
    /// Zero.
    pub __pad2: [u64; 1],
}

/// The attributes of a read or write, in [`sqe_tail`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sqe_attr {
    /// The structures, such as [`io_uring_attr_pi`](crate::io_uring_attr_pi).
    pub attr_ptr: SharedPtr,
    /// Which structures there are: [`RwAttrFlags`](crate::RwAttrFlags).
    pub attr_type_mask: u64,
}

/// The value of a socket option, in [`sqe_tail`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct sqe_optval {
    /// The address of the value.
    pub optval: SharedPtr,
    /// Zero: the rest of the union.
    pub __rest: u64,
}

impl fmt::Debug for sqe_off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: every bit pattern is a valid `SharedPtr`, and all arms fill its 8 bytes.
        let word = unsafe { self.addr2 };
        word.fmt(f)
    }
}

impl fmt::Debug for sqe_addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: every bit pattern is a valid `SharedPtr`, and all arms fill its 8 bytes.
        let word = unsafe { self.addr };
        word.fmt(f)
    }
}

impl fmt::Debug for sqe_op_flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: every bit pattern is a valid `u32`, and all arms fill its 4 bytes.
        let word = unsafe { self.raw };
        write!(f, "{word:#x}")
    }
}

impl fmt::Debug for sqe_buf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: both arms are the same `u16`.
        let word = unsafe { self.buf_index };
        word.fmt(f)
    }
}

impl fmt::Debug for sqe_file {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: every bit pattern is a valid `u32`, and all arms fill its 4 bytes.
        let word = unsafe { self.file_index };
        write!(f, "{word:#x}")
    }
}

impl fmt::Debug for sqe_tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: every bit pattern is a valid `[u64; 2]`, and all arms fill its 16 bytes.
        let [first, second] = unsafe { self.raw };
        write!(f, "[{first:#x}, {second:#x}]")
    }
}
