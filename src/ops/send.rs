//! Sending.
#![forbid(unsafe_code)]

use rustix::net::SendFlags;
use rustix::net::addr::SocketAddrStorage;

use crate::entry::Sqe;
use crate::sys::{Opcode, RecvSendFlags, SharedPtr, sqe_addr_len, sqe_file};

use super::msg::{MsgHdr, message};
use super::{IntoTarget, IoVec, Target, add_flags, on, sqe};

/// Sends up to `len` bytes from `buf`.
///
/// `IORING_OP_SEND`, like [`send(2)`], or [`sendto(2)`] with [`to`](Self::to). Since Linux 5.6.
///
/// `buf` must stay, and not be changed, until the completion has been popped. With `MSG_ZEROCOPY`
/// on a socket with `SO_ZEROCOPY` that is not enough: the kernel reads `buf` after the completion,
/// until the notification has come in the error queue of the socket. [`SendZc`] reports that by a
/// completion.
///
/// # Result
///
/// Bytes sent, at most `len`.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EAGAIN` | the socket is non-blocking and takes no data now |
/// | `ECANCELED` | cancelled, or linked after an entry that failed |
/// | `ECONNRESET`, `EPIPE` | the peer is gone; SIGPIPE is not raised, since Linux 5.12 |
/// | `EDESTADDRREQ`, `ENOTCONN` | not connected, and no address given |
/// | `EMSGSIZE` | too long for one message |
/// | `ENOTSOCK` | not a socket |
///
/// [`send(2)`]: https://man7.org/linux/man-pages/man2/send.2.html
/// [`sendto(2)`]: https://man7.org/linux/man-pages/man2/sendto.2.html
#[doc(alias = "IORING_OP_SEND")]
#[derive(Clone, Copy, Debug)]
#[doc(alias("io_uring_prep_send", "io_uring_prep_send_set_addr", "io_uring_prep_sendto"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Send(Sqe);

/// Sends a message from several buffers, with an address and control messages.
///
/// `IORING_OP_SENDMSG`, like [`sendmsg(2)`]. Since Linux 5.3. The header, the vectors and the
/// address must stay until taken; the control messages and the buffers must stay, and not be
/// changed, until the completion has been popped: the kernel reads both each time it tries to send.
/// With `MSG_ZEROCOPY` the buffers must stay longer, as [`Send`](struct@Send) says. Descriptors in
/// control messages are looked up when the message is sent, and must be open until then.
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
#[doc(alias = "io_uring_prep_sendmsg")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct SendMsg(Sqe);

/// Sends without copying the data.
///
/// `IORING_OP_SEND_ZC`. Since Linux 6.0.
///
/// There are two completions: the first, with [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE),
/// tells the result; the second, with [`CqeFlags::NOTIF`](crate::sys::CqeFlags::NOTIF), that the
/// kernel has let go of `buf`, which must stay, and not be changed, until then. If the first comes
/// without `MORE` it is the only one.
///
/// The notification comes when the peer has the data, or the connection is gone: from a peer that
/// does not read it may never come, and cancelling does not bring it.
///
/// A send that fails, is cancelled or is timed out has both completions, too. There are two
/// exceptions (seen on 6.18.44): a zero-copy send that is cancelled because an entry before it in
/// its chain has failed completes with `ECANCELED`, without `MORE`, and a notification follows
/// nevertheless; and one with [`Sqe::drain`] never starts. Do not drain them, and expect the
/// notification of a linked one in either case. [`Sqe::skip_success`] is refused with `EINVAL`.
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
#[doc(alias = "io_uring_prep_send_zc")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct SendZc(Sqe);

/// Sends a message without copying its data.
///
/// `IORING_OP_SENDMSG_ZC`. Since Linux 6.1. The header, the vectors and the address must stay until
/// taken; the control messages must stay, and not be changed, until the completion has been popped;
/// the buffers until the notification, see [`SendZc`].
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
#[doc(alias("io_uring_prep_sendmsg_zc", "io_uring_prep_sendmsg_zc_fixed"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct SendMsgZc(Sqe);

#[inline(always)]
const fn bytes(opcode: Opcode, socket: Target, buf: *const u8, len: u32) -> Sqe {
    let mut sqe = on(opcode, socket);
    sqe.set_addr(SharedPtr::new(buf));
    sqe.set_len(len);
    sqe
}

impl Send {
    /// Sends to the peer of `socket` up to `len` bytes from `buf`.
    #[inline(always)]
    pub fn new(socket: impl IntoTarget, buf: *const u8, len: u32) -> Self {
        Self(bytes(Opcode::SEND, socket.into_target(), buf, len))
    }

    /// Sends buffers that the kernel takes from those provided as `group`, in their order, until
    /// none is left or the socket is full. `IORING_RECVSEND_BUNDLE`
    /// ([`Features::RECVSEND_BUNDLE`](crate::sys::Features::RECVSEND_BUNDLE), since Linux 6.10).
    ///
    /// The result counts the bytes of all; the buffers used are those from
    /// [`Cqe::buffer_id`](crate::Cqe::buffer_id) on. `len` limits the bytes of the first
    /// completion, at the end of a buffer or inside the first one, whose rest is not sent; 0 is for
    /// no limit. If there is more to send, the completion has
    /// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE), and another one follows. `ENOBUFS` if the
    /// group has no buffer, `ENOENT` if there is no such group.
    #[inline(always)]
    #[doc(alias = "io_uring_prep_send_bundle")]
    pub fn bundle(socket: impl IntoTarget, len: u32, group: u16) -> Self {
        let mut sqe = on(Opcode::SEND, socket.into_target()).buffer_group(group);
        sqe.set_len(len);
        Self(sqe).send_flags(RecvSendFlags::RECVSEND_BUNDLE)
    }

    /// The buffer is `count` vectors instead of bytes. `IORING_SEND_VECTORIZED`, since Linux 6.17.
    /// The vectors must stay until taken.
    #[inline(always)]
    pub fn vectored(socket: impl IntoTarget, vectors: *const IoVec, count: u32) -> Self {
        let mut sqe = on(Opcode::SEND, socket.into_target());
        sqe.set_addr(SharedPtr::new(vectors));
        sqe.set_len(count);
        Self(sqe).send_flags(RecvSendFlags::SEND_VECTORIZED)
    }
}

impl SendMsg {
    /// Sends to `socket` the message that `header` describes.
    #[inline(always)]
    pub fn new(socket: impl IntoTarget, header: *const MsgHdr) -> Self {
        Self(message(Opcode::SENDMSG, socket.into_target(), SharedPtr::new(header)))
    }
}

impl SendZc {
    /// Sends to the peer of `socket` up to `len` bytes from `buf`.
    #[inline(always)]
    pub fn new(socket: impl IntoTarget, buf: *const u8, len: u32) -> Self {
        Self(bytes(Opcode::SEND_ZC, socket.into_target(), buf, len))
    }
}

impl SendMsgZc {
    /// Sends to `socket` the message that `header` describes.
    #[inline(always)]
    pub fn new(socket: impl IntoTarget, header: *const MsgHdr) -> Self {
        Self(message(Opcode::SENDMSG_ZC, socket.into_target(), SharedPtr::new(header)))
    }
}

/// The options of sends.
macro_rules! send_options {
    ($($op:ident),+) => {$(
        impl $op {
            /// Adds `MSG_` flags.
            #[inline(always)]
            pub const fn flags(mut self, flags: SendFlags) -> Self {
                add_flags(&mut self.0, flags.bits());
                self
            }

            /// Adds `IORING_RECVSEND_` and `IORING_SEND_` flags.
            #[inline(always)]
            pub const fn send_flags(mut self, flags: RecvSendFlags) -> Self {
                self.0.set_ioprio(self.0.ioprio() | flags.bits());
                self
            }

            /// Waits for room before the first attempt, for a socket that is likely full.
            /// `IORING_RECVSEND_POLL_FIRST`, since Linux 5.19.
            #[inline(always)]
            pub const fn poll_first(self) -> Self {
                self.send_flags(RecvSendFlags::RECVSEND_POLL_FIRST)
            }
        }
    )+};
}

/// The options of zero-copy sends.
macro_rules! fixed_buffer {
    ($($op:ident),+) => {$(
        impl $op {
            /// The data lies in registered buffer `buf_index`. `IORING_RECVSEND_FIXED_BUF`; with
            /// vectors since Linux 6.15.
            #[inline(always)]
            #[doc(alias = "io_uring_prep_send_zc_fixed")]
            pub const fn fixed_buffer(mut self, buf_index: u16) -> Self {
                self.0.set_buf_index(buf_index);
                self.send_flags(RecvSendFlags::RECVSEND_FIXED_BUF)
            }
        }
    )+};
}

/// The options of sends that can have an address.
macro_rules! address {
    ($($op:ident),+) => {$(
        impl $op {
            /// Sends to the address of `len` bytes at `address`, which must stay until taken. Since
            /// Linux 6.0.
            #[inline(always)]
            pub const fn to(mut self, address: *const SocketAddrStorage, len: u16) -> Self {
                self.0.set_addr2(SharedPtr::new(address));
                let addr_len = sqe_addr_len { addr_len: len, __pad3: [0] };
                self.0.as_raw_mut().file = sqe_file { addr_len };
                self
            }
        }
    )+};
}

send_options!(Send, SendMsg, SendZc, SendMsgZc);
fixed_buffer!(SendZc, SendMsgZc);
address!(Send, SendZc);
sqe!(Send, SendMsg, SendZc, SendMsgZc);
