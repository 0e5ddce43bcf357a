//! Messages with addresses and control data, and sending without a copy.

use core::ffi::c_void;

use rustix::net::addr::SocketAddrStorage;
use rustix::net::{RecvFlags, SendFlags};

use crate::entry::Sqe;
use crate::sys::{Opcode, RecvSendFlags, SharedPtr, sqe_addr_len, sqe_file};

use super::{IoVec, Target, on, sqe};

/// What a message is made of, `struct msghdr` as the kernel has it.
#[doc(alias = "msghdr")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MsgHdr {
    /// The address of the peer, or null.
    pub name: *mut c_void,
    /// Its length in bytes; for receiving, the room that there is.
    pub name_len: u32,
    /// The buffers.
    pub vectors: *const IoVec,
    /// How many there are.
    pub vector_count: usize,
    /// Control messages, or null.
    pub control: *mut c_void,
    /// Their length in bytes; for receiving, the room that there is.
    pub control_len: usize,
    /// `MSG_` flags of what was received.
    pub flags: u32,
}

// SAFETY: addresses and lengths; who may use what is there is said by the operations.
unsafe impl Send for MsgHdr {}
// SAFETY: as above.
unsafe impl Sync for MsgHdr {}

impl MsgHdr {
    /// No address, no buffer, no control message.
    pub const EMPTY: Self = Self {
        name: core::ptr::null_mut(),
        name_len: 0,
        vectors: core::ptr::null(),
        vector_count: 0,
        control: core::ptr::null_mut(),
        control_len: 0,
        flags: 0,
    };
}

/// Sends a message from several buffers, with an address and control messages.
///
/// `IORING_OP_SENDMSG`, like [`sendmsg(2)`]. Since Linux 5.3. The header, the vectors, the address
/// and the control messages must stay until taken; the buffers must stay, and not be changed,
/// until the completion has been popped.
///
/// # Result
///
/// Bytes sent.
///
/// # Errors
///
/// As [`Send`](super::Send).
///
/// [`sendmsg(2)`]: https://man7.org/linux/man-pages/man2/sendmsg.2.html
#[doc(alias = "IORING_OP_SENDMSG")]
#[derive(Clone, Copy, Debug)]
pub struct SendMsg(Sqe);

/// Receives a message into several buffers, with its address and control messages.
///
/// `IORING_OP_RECVMSG`, like [`recvmsg(2)`]. Since Linux 5.3. The header, the vectors, the buffers
/// and the room for the address and for control messages must stay, and not be touched, until the
/// completion has been popped.
///
/// # Result
///
/// Bytes received; the header tells the rest.
///
/// # Errors
///
/// As [`Recv`](super::Recv).
///
/// [`recvmsg(2)`]: https://man7.org/linux/man-pages/man2/recvmsg.2.html
#[doc(alias = "IORING_OP_RECVMSG")]
#[derive(Clone, Copy, Debug)]
pub struct RecvMsg(Sqe);

/// Sends without copying the data.
///
/// `IORING_OP_SEND_ZC`. Since Linux 6.0.
///
/// There are two completions: the first, with [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE),
/// tells the result; the second, with [`CqeFlags::NOTIF`](crate::sys::CqeFlags::NOTIF), that the
/// kernel has let go of `buf`, which must stay, and not be changed, until then. If the first comes
/// without `MORE` it is the only one.
///
/// # Result
///
/// Bytes sent. In the notification, with [`RecvSendFlags::SEND_ZC_REPORT_USAGE`], the bit
/// [`NotifUsage::ZC_COPIED`](crate::sys::NotifUsage::ZC_COPIED) says that the data was copied all
/// the same.
///
/// # Errors
///
/// As [`Send`](super::Send); `EFAULT` for a registered buffer that is not there; `ENOMEM` for more
/// locked memory than is allowed; `EOPNOTSUPP` if the socket cannot.
#[doc(alias = "IORING_OP_SEND_ZC")]
#[derive(Clone, Copy, Debug)]
pub struct SendZc(Sqe);

/// Sends a message without copying its data.
///
/// `IORING_OP_SENDMSG_ZC`. Since Linux 6.1. The header, the vectors, the address and the control
/// messages must stay until taken; the buffers until the notification, see [`SendZc`].
///
/// # Result
///
/// As [`SendZc`].
///
/// # Errors
///
/// As [`SendZc`].
#[doc(alias = "IORING_OP_SENDMSG_ZC")]
#[derive(Clone, Copy, Debug)]
pub struct SendMsgZc(Sqe);

/// Receives into memory that the network card writes itself.
///
/// `IORING_OP_RECV_ZC`. Since Linux 6.15. Always multishot, on a ring with DEFER_TASKRUN and wide
/// completions: each but the last has [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE), and
/// its second half is an [`io_uring_zcrx_cqe`](crate::sys::io_uring_zcrx_cqe), which says where in
/// the area of the interface queue the data lies.
///
/// # Result
///
/// Bytes received.
///
/// # Errors
///
/// `EINVAL` if there is no such interface queue or the ring has no wide completions; otherwise as
/// [`Recv`](super::Recv).
#[doc(alias = "IORING_OP_RECV_ZC")]
#[derive(Clone, Copy, Debug)]
pub struct RecvZc(Sqe);

#[inline(always)]
const fn message(opcode: Opcode, socket: Target, header: SharedPtr) -> Sqe {
    let mut sqe = on(opcode, socket);
    sqe.set_addr(header);
    // One header; the kernel insists on it nowhere, and its own tools say so.
    sqe.set_len(1);
    sqe
}

impl SendMsg {
    /// Sends to `socket` the message that `header` describes.
    #[inline(always)]
    pub fn new(socket: impl Into<Target>, header: *const MsgHdr) -> Self {
        Self(message(Opcode::SENDMSG, socket.into(), SharedPtr::new(header)))
    }
}

impl SendMsgZc {
    /// Sends to `socket` the message that `header` describes.
    #[inline(always)]
    pub fn new(socket: impl Into<Target>, header: *const MsgHdr) -> Self {
        Self(message(Opcode::SENDMSG_ZC, socket.into(), SharedPtr::new(header)))
    }
}

impl SendZc {
    /// Sends to the peer of `socket` up to `len` bytes from `buf`.
    #[inline(always)]
    pub fn new(socket: impl Into<Target>, buf: *const u8, len: u32) -> Self {
        let mut sqe = on(Opcode::SEND_ZC, socket.into());
        sqe.set_addr(SharedPtr::new(buf));
        sqe.set_len(len);
        Self(sqe)
    }

    /// Sends to the address of `len` bytes at `address`, which must stay until taken.
    #[must_use]
    #[inline(always)]
    pub const fn to(mut self, address: *const SocketAddrStorage, len: u16) -> Self {
        self.0.set_addr2(SharedPtr::new(address));
        let addr_len = sqe_addr_len { addr_len: len, __pad3: [0] };
        self.0.as_raw_mut().file = sqe_file { addr_len };
        self
    }
}

impl RecvMsg {
    /// Receives from `socket` into what `header` describes.
    #[inline(always)]
    pub fn new(socket: impl Into<Target>, header: *mut MsgHdr) -> Self {
        Self(message(Opcode::RECVMSG, socket.into(), SharedPtr::from_mut(header)))
    }

    /// Receives one message after the other into buffers that the kernel picks from those provided
    /// as `group`. Since Linux 6.0.
    ///
    /// Each buffer gets a header, the address, the control messages and the payload; of `header`
    /// only the two lengths are used, for how much room to leave. It must stay until taken. Each
    /// completion but the last has [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE). A message
    /// of which no payload is received, for want of any or of room, is the last. `EFAULT` for a
    /// buffer without room for what comes before the payload.
    /// [`ReceivedMessage`](crate::ReceivedMessage) takes a buffer apart.
    #[inline(always)]
    pub fn multishot(socket: impl Into<Target>, header: *const MsgHdr, group: u16) -> Self {
        let sqe = message(Opcode::RECVMSG, socket.into(), SharedPtr::new(header));
        Self(sqe.buffer_group(group)).recv_flags(RecvSendFlags::RECV_MULTISHOT)
    }

    /// `MSG_` flags.
    #[must_use]
    #[inline(always)]
    pub const fn flags(mut self, flags: RecvFlags) -> Self {
        self.0.set_op_flags(flags.bits());
        self
    }

    /// Adds `IORING_RECVSEND_` and `IORING_RECV_` flags.
    #[must_use]
    #[inline(always)]
    pub const fn recv_flags(mut self, flags: RecvSendFlags) -> Self {
        self.0.set_ioprio(self.0.ioprio() | flags.bits());
        self
    }
}

impl RecvZc {
    /// Receives from `socket` through interface queue `queue`, as registered.
    #[inline(always)]
    pub fn new(socket: impl Into<Target>, queue: u32) -> Self {
        let mut sqe = on(Opcode::RECV_ZC, socket.into());
        sqe.set_ioprio(RecvSendFlags::RECV_MULTISHOT.bits());
        sqe.set_file_index(queue);
        Self(sqe)
    }

    /// Ends after `len` bytes. Since Linux 6.16.
    #[must_use]
    #[inline(always)]
    pub const fn len(mut self, len: u32) -> Self {
        self.0.set_len(len);
        self
    }
}

/// What those that send can be told.
macro_rules! send_options {
    ($($op:ident),+) => {$(
        impl $op {
            /// `MSG_` flags.
            #[must_use]
            #[inline(always)]
            pub const fn flags(mut self, flags: SendFlags) -> Self {
                self.0.set_op_flags(flags.bits());
                self
            }

            /// Adds `IORING_RECVSEND_` and `IORING_SEND_` flags.
            #[must_use]
            #[inline(always)]
            pub const fn send_flags(mut self, flags: RecvSendFlags) -> Self {
                self.0.set_ioprio(self.0.ioprio() | flags.bits());
                self
            }
        }
    )+};
}

/// What those that send without a copy can be told.
macro_rules! fixed_buffer {
    ($($op:ident),+) => {$(
        impl $op {
            /// The data lies in registered buffer `buf_index`. `IORING_RECVSEND_FIXED_BUF`; with
            /// vectors since Linux 6.15.
            #[must_use]
            #[inline(always)]
            pub const fn fixed_buffer(mut self, buf_index: u16) -> Self {
                self.0.set_buf_index(buf_index);
                self.send_flags(RecvSendFlags::RECVSEND_FIXED_BUF)
            }
        }
    )+};
}

send_options!(SendMsg, SendZc, SendMsgZc);
fixed_buffer!(SendZc, SendMsgZc);
sqe!(SendMsg, RecvMsg, SendZc, SendMsgZc, RecvZc);
