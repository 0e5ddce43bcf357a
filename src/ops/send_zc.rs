//! Sending without copying.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use rustix::net::SendFlags;
use rustix::net::addr::{SocketAddrLen, SocketAddrStorage};

use crate::entry::Sqe;
use crate::sys::{Opcode, RecvSendFlags, SharedPtr};

use super::msg::{MsgHdr, message};
use super::send::{address, address_of, bytes, send_options};
use super::{
    Address, Bytes, FixedBytes, IntoTarget, Lent, On, Outgoing, ZeroCopyIn, add_ioprio, sqe,
};

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
pub struct SendZc<E = Sqe>(Sqe, PhantomData<E>);

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
pub struct SendMsgZc<E = Sqe>(Sqe, PhantomData<E>);

impl SendZc {
    /// Sends to the peer of `socket` up to `len` bytes from `buf`.
    #[inline(always)]
    pub fn new(socket: impl IntoTarget, buf: *const u8, len: u32) -> Self {
        Self(bytes(Opcode::SEND_ZC, socket.into_target(), buf, len), PhantomData)
    }
}

impl SendMsgZc {
    /// Sends to `socket` the message that `header` describes.
    #[inline(always)]
    pub fn new(socket: impl IntoTarget, header: *const MsgHdr) -> Self {
        let header = SharedPtr::new(header);
        Self(message(Opcode::SENDMSG_ZC, socket.into_target(), header), PhantomData)
    }
}

impl<'a> SendZc<Lent<'a>> {
    /// Sends `bytes` to the peer of `socket` without copying them, for an owned job of the
    /// [safe front](crate::jobs): [`Jobs::start_zc`](crate::jobs::Jobs::start_zc).
    ///
    /// ```
    /// use std::net::{Ipv4Addr, TcpListener, TcpStream};
    /// use ringbolt::jobs::SafeRing;
    /// use ringbolt::ops::SendZc;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let probe = ringbolt::IoUring::new(8)?.registrar().probe()?;
    /// # if !probe.supports(ringbolt::sys::Opcode::SEND_ZC) { return Ok(()); }
    /// let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    /// let socket = TcpStream::connect(listener.local_addr()?)?;
    /// let (mut peer, _) = listener.accept()?;
    /// let mut jobs = SafeRing::new(8)?.into_jobs(1);
    /// jobs.start_zc((socket, vec![7; 1000]), |(socket, data)| {
    ///     SendZc::lent(socket, data).zero_copy()
    /// })?;
    /// let event = jobs.wait_next()?.ok_or("no event")?;
    /// assert_eq!((event.result(), event.has_more()), (Ok(1000), true));
    /// std::io::Read::read_exact(&mut peer, &mut [0; 1000])?;
    /// // The kernel has let go of the data.
    /// let event = jobs.wait_next()?.ok_or("no event")?;
    /// assert_eq!(event.finish().ok_or("done")?.1, vec![7; 1000]);
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn lent(socket: impl Into<On<'a>>, bytes: impl Into<Bytes<'a>>) -> Self {
        let (socket, memory) = (socket.into().target(), bytes.into());
        let sqe = self::bytes(Opcode::SEND_ZC, socket, memory.as_ptr(), memory.len_field());
        Self(sqe, PhantomData)
    }

    /// Sends `bytes`, a registered buffer or a part of one, to the peer of `socket`. Otherwise as
    /// [`lent`](Self::lent).
    #[inline(always)]
    pub fn lent_fixed(socket: impl Into<On<'a>>, bytes: impl Into<FixedBytes<'a>>) -> Self {
        let fixed = bytes.into();
        let mut this = Self::lent(socket, fixed.bytes());
        this.0.set_buf_index(fixed.index());
        add_ioprio(&mut this.0, RecvSendFlags::RECVSEND_FIXED_BUF.bits());
        this
    }

    /// Sends to `address`, for a socket that is not connected.
    #[inline(always)]
    pub fn to_address(mut self, address: &'a Address) -> Self {
        let (address, len) = address.parts();
        address_of(&mut self.0, address, len);
        self
    }
}

impl<'a> SendMsgZc<Lent<'a>> {
    /// Sends to `socket` what `message` has lent, without copying it, for an owned job of the
    /// [safe front](crate::jobs): [`Jobs::start_zc`](crate::jobs::Jobs::start_zc).
    #[inline(always)]
    pub fn lent(socket: impl Into<On<'a>>, message: Outgoing<'a>) -> Self {
        let header = SharedPtr::new(message.header());
        Self(self::message(Opcode::SENDMSG_ZC, socket.into().target(), header), PhantomData)
    }
}

/// Gives zero-copy sends the way to their entry.
macro_rules! zero_copy {
    ($($op:ident),+) => {$(
        impl<'a> $op<Lent<'a>> {
            /// The entry, for an owned job of the [safe front](crate::jobs).
            #[inline(always)]
            pub const fn zero_copy<'s>(self) -> ZeroCopyIn<'a, 's>
            where
                's: 'a,
            {
                ZeroCopyIn::new(self.0)
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

send_options!(SendZc<E>, SendMsgZc<E>);
fixed_buffer!(SendZc, SendMsgZc);
address!(SendZc);
sqe!(SendZc, SendMsgZc);
zero_copy!(SendZc, SendMsgZc);
