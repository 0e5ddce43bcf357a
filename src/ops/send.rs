//! Sending.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use rustix::net::SendFlags;
use rustix::net::addr::{SocketAddrLen, SocketAddrStorage};

use crate::entry::Sqe;
use crate::sys::{Opcode, RecvSendFlags, SharedPtr, sqe_addr_len, sqe_file};

use super::msg::{MsgHdr, message};
use super::{
    Address, Bytes, IntoTarget, IoVec, Lent, On, Outgoing, Pieces, Target, add_ioprio, on, op, sqe,
};

/// Sends up to `len` bytes from `buf`.
///
/// `IORING_OP_SEND`, like [`send(2)`], or [`sendto(2)`] with [`to`](Self::to). Since Linux 5.6.
///
/// `buf` must stay, and not be changed, until the completion has been popped. With `MSG_ZEROCOPY`
/// on a socket with `SO_ZEROCOPY` that is not enough: the kernel reads `buf` after the completion,
/// until the notification has come in the error queue of the socket. [`SendZc`](super::SendZc)
/// reports that by a completion.
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
pub struct Send<E = Sqe>(Sqe, PhantomData<E>);

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
pub struct SendMsg<E = Sqe>(Sqe, PhantomData<E>);

/// An entry that sends `len` bytes from `buf`.
#[inline(always)]
pub(super) const fn bytes(opcode: Opcode, socket: Target, buf: *const u8, len: u32) -> Sqe {
    let mut sqe = on(opcode, socket);
    sqe.set_addr(SharedPtr::new(buf));
    sqe.set_len(len);
    sqe
}

impl Send {
    /// Sends to the peer of `socket` up to `len` bytes from `buf`.
    #[inline(always)]
    pub fn new(socket: impl IntoTarget, buf: *const u8, len: u32) -> Self {
        Self(bytes(Opcode::SEND, socket.into_target(), buf, len), PhantomData)
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
        Self(sqe, PhantomData).send_flags(RecvSendFlags::RECVSEND_BUNDLE)
    }

    /// The buffer is `count` vectors instead of bytes. `IORING_SEND_VECTORIZED`, since Linux 6.17.
    /// The vectors must stay until taken.
    #[inline(always)]
    pub fn vectored(socket: impl IntoTarget, vectors: *const IoVec, count: u32) -> Self {
        Self(vectors_of(socket.into_target(), vectors, count), PhantomData)
    }
}

/// An entry that sends from `count` vectors.
#[inline(always)]
fn vectors_of(socket: Target, vectors: *const IoVec, count: u32) -> Sqe {
    let mut sqe = on(Opcode::SEND, socket);
    sqe.set_addr(SharedPtr::new(vectors));
    sqe.set_len(count);
    add_ioprio(&mut sqe, RecvSendFlags::SEND_VECTORIZED.bits());
    sqe
}

/// `MSG_ZEROCOPY`, with which the kernel reads the memory after the completion.
const ZEROCOPY: u32 = 0x400_0000;

/// The entry without `MSG_ZEROCOPY`: its memory is given back with the completion.
#[inline(always)]
const fn copying(mut sqe: Sqe) -> Sqe {
    sqe.set_op_flags(sqe.op_flags() & !ZEROCOPY);
    sqe
}

impl<'a> Send<Lent<'a>> {
    /// Sends `bytes` to the peer of `socket`, for a job of the [safe front](crate::jobs).
    /// `MSG_ZEROCOPY` has no effect: see [`SendZc::lent`](super::SendZc::lent).
    ///
    /// ```
    /// use std::io::Read as _;
    /// use std::os::unix::net::UnixStream;
    /// use ringbolt::jobs::SafeRing;
    /// use ringbolt::ops::Send;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (socket, mut peer) = UnixStream::pair()?;
    /// let mut jobs = SafeRing::new(8)?.into_jobs(1);
    /// jobs.start((socket, b"hello"), |(socket, text)| Send::lent(&*socket, *text).op())?;
    /// assert_eq!(jobs.wait_next()?.ok_or("no event")?.result(), Ok(5));
    /// let mut text = [0; 5];
    /// peer.read_exact(&mut text)?;
    /// assert_eq!(&text, b"hello");
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn lent(socket: impl Into<On<'a>>, bytes: impl Into<Bytes<'a>>) -> Self {
        let (socket, memory) = (socket.into().target(), bytes.into());
        Self(self::bytes(Opcode::SEND, socket, memory.as_ptr(), memory.len_field()), PhantomData)
    }

    /// Sends `pieces`, one after the other, to the peer of `socket`, for a job of the
    /// [safe front](crate::jobs): as [`vectored`](Send::vectored). Since Linux 6.17.
    #[inline(always)]
    pub fn lent_vectored(socket: impl Into<On<'a>>, pieces: impl Into<Pieces<'a>>) -> Self {
        let (socket, pieces) = (socket.into().target(), pieces.into());
        Self(vectors_of(socket, pieces.start(), pieces.count()), PhantomData)
    }

    /// Sends to `address`, for a socket that is not connected. Since Linux 6.0.
    #[inline(always)]
    pub fn to_address(mut self, address: &'a Address) -> Self {
        let (address, len) = address.parts();
        address_of(&mut self.0, address, len);
        self
    }
}

/// Gives the entry of a send the address `address`.
#[inline(always)]
pub(super) fn address_of(sqe: &mut Sqe, address: *const SocketAddrStorage, len: SocketAddrLen) {
    sqe.set_addr2(SharedPtr::new(address));
    // No address is longer than 128 bytes.
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    sqe.as_raw_mut().file = sqe_file { addr_len: sqe_addr_len { addr_len: len, __pad3: [0] } };
}

impl SendMsg {
    /// Sends to `socket` the message that `header` describes.
    #[inline(always)]
    pub fn new(socket: impl IntoTarget, header: *const MsgHdr) -> Self {
        let header = SharedPtr::new(header);
        Self(message(Opcode::SENDMSG, socket.into_target(), header), PhantomData)
    }
}

impl<'a> SendMsg<Lent<'a>> {
    /// Sends to `socket` what `message` has lent, for a job of the [safe front](crate::jobs).
    /// `MSG_ZEROCOPY` has no effect: see [`SendMsgZc::lent`](super::SendMsgZc::lent).
    #[inline(always)]
    pub fn lent(socket: impl Into<On<'a>>, message: Outgoing<'a>) -> Self {
        let header = SharedPtr::new(message.header());
        Self(self::message(Opcode::SENDMSG, socket.into().target(), header), PhantomData)
    }
}

/// The options of sends.
macro_rules! send_options {
    ($($op:ident<$entry:ident>),+) => {$(
        impl<$entry> $op<$entry> {
            /// Adds `MSG_` flags.
            #[inline(always)]
            pub const fn flags(mut self, flags: SendFlags) -> Self {
                $crate::ops::add_flags(&mut self.0, flags.bits());
                self
            }

            /// Sends everything or fails: where there is room for a part, the kernel sends that,
            /// waits for more room, and goes on. `MSG_WAITALL`, since Linux 5.19. Otherwise the
            /// result may be less than was to be sent.
            #[inline(always)]
            pub const fn whole(self) -> Self {
                let waitall = ::rustix::net::RecvFlags::WAITALL.bits();
                self.flags(SendFlags::from_bits_retain(waitall))
            }

            /// Waits for room before the first attempt, for a socket that is likely full.
            /// `IORING_RECVSEND_POLL_FIRST`, since Linux 5.19.
            #[inline(always)]
            pub const fn poll_first(mut self) -> Self {
                let flag = $crate::sys::RecvSendFlags::RECVSEND_POLL_FIRST;
                $crate::ops::add_ioprio(&mut self.0, flag.bits());
                self
            }
        }

        impl $op {
            /// Adds `IORING_RECVSEND_` and `IORING_SEND_` flags.
            #[inline(always)]
            pub const fn send_flags(mut self, flags: $crate::sys::RecvSendFlags) -> Self {
                $crate::ops::add_ioprio(&mut self.0, flags.bits());
                self
            }
        }
    )+};
}
pub(super) use send_options;

/// The options of sends that can have an address.
macro_rules! address {
    ($($op:ident),+) => {$(
        impl $op {
            /// Sends to the address of `len` bytes at `address`, which must stay until taken. Since
            /// Linux 6.0.
            #[inline(always)]
            pub fn to(mut self, address: *const SocketAddrStorage, len: u16) -> Self {
                $crate::ops::send::address_of(&mut self.0, address, SocketAddrLen::from(len));
                self
            }
        }
    )+};
}
pub(super) use address;

send_options!(Send<E>, SendMsg<E>);
address!(Send);
sqe!(Send, SendMsg);
op!(impl Send, Lent<'a>, Nothing, copying);
op!(impl SendMsg, Lent<'a>, Nothing, copying);
