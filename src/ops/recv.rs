//! Receiving.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use rustix::net::RecvFlags;

use crate::entry::Sqe;
use crate::sys::{Opcode, RecvSendFlags, SharedPtr};

use super::msg::{MsgHdr, message};
use super::{
    Group, InGroup, Incoming, IntoTarget, Lent, MessageRoom, On, Pushed, Span, Target, add_flags,
    add_ioprio, multi, on, op, sqe,
};

/// Receives up to `len` bytes into `buf`.
///
/// `IORING_OP_RECV`, like [`recv(2)`]. Since Linux 5.6.
///
/// `buf` must stay, and not be touched, until the completion has been popped.
///
/// Into a [`provided`](Recv::provided) buffer, from a [`Fixed`](super::Fixed) slot, it is pushed
/// safely.
///
/// # Result
///
/// Bytes received, at most `len`; 0 when the peer has shut its side down.
/// [`CqeFlags::SOCK_NONEMPTY`](crate::sys::CqeFlags::SOCK_NONEMPTY) says that there is more.
///
/// With [`RecvFlags::TRUNC`] the result is the length of the datagram, **which may be more than
/// `len`**, or than the provided buffer has: take the smaller of the two for what was stored.
///
/// The rest of a datagram that is longer than its buffer is lost, and without `TRUNC` nothing
/// reports that. Buffers of a ring with [`BufRingFlags::INC`](crate::sys::BufRingFlags::INC) are
/// used up bit by bit, so that a datagram is cut where it meets the end of one. To prevent that,
/// set [`min_left`] to the longest datagram that may come.
///
/// # Closing the socket
///
/// Closing the descriptor does not end a receive in flight, whether by `close(2)` or by
/// [`Close`](super::Close): the operation keeps the socket open, and the peer is not informed. What
/// ends it is data, the end of the connection by the peer, [`Shutdown`](super::Shutdown) before
/// closing, or cancelling: by `user_data` at any time, by
/// [`file`](super::AsyncCancel::of_file) only before the descriptor is closed.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EAGAIN` | the socket is non-blocking and has no data |
/// | `ECANCELED` | cancelled, or linked after an entry that failed |
/// | `EINVAL` | flags that the kernel or the socket does not know |
/// | `ECONNRESET` | the peer is gone |
/// | `ENOBUFS` | a [`buffer_group`](Sqe::buffer_group) was named and has no buffer |
/// | `ENOTCONN` | not connected |
/// | `ENOTSOCK` | not a socket |
///
/// [`recv(2)`]: https://man7.org/linux/man-pages/man2/recv.2.html
/// [`min_left`]: crate::register::BufferRingOptions::min_left
#[doc(alias = "IORING_OP_RECV")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_recv")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Recv<E = Sqe>(Sqe, PhantomData<E>);

/// Receives a message into several buffers, with its address and control messages.
///
/// `IORING_OP_RECVMSG`, like [`recvmsg(2)`]. Since Linux 5.3. The header, the buffers and the room
/// for the address and for control messages must stay, and not be touched, until the completion has
/// been popped; the vectors must stay until taken.
///
/// # Result
///
/// Bytes received; the header holds the rest. With [`RecvFlags::TRUNC`] the result is the length of
/// the datagram, which may be more than there was room for. `MSG_TRUNC` (0x20) in the flags of the
/// header reports that it was cut, with that flag or without. Closing the socket does not end it:
/// see [`Recv`](super::Recv).
///
/// # Errors
///
/// As [`Recv`](super::Recv).
///
/// [`recvmsg(2)`]: https://man7.org/linux/man-pages/man2/recvmsg.2.html
#[doc(alias = "IORING_OP_RECVMSG")]
#[derive(Clone, Copy, Debug)]
#[doc(alias = "io_uring_prep_recvmsg")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct RecvMsg<E = Sqe>(Sqe, PhantomData<E>);

/// Receives into memory that the network card writes itself.
///
/// `IORING_OP_RECV_ZC`. Since Linux 6.15. Always multishot, on a ring with DEFER_TASKRUN and wide
/// completions: each but the last has [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE), and
/// its second half is an [`io_uring_zcrx_cqe`](crate::sys::io_uring_zcrx_cqe), which says where in
/// the area of the interface queue the data lies.
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
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
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct RecvZc<E = Sqe>(Sqe, PhantomData<E>);

impl Recv {
    /// Receives from `socket` up to `len` bytes into `buf`.
    #[inline(always)]
    pub fn new(socket: impl IntoTarget, buf: *mut u8, len: u32) -> Self {
        Self(receive(socket.into_target(), buf, len), PhantomData)
    }

    /// Receives from `socket` into a buffer that the kernel picks from those provided as
    /// `group`, when there is data; [`Cqe::buffer_id`](crate::Cqe::buffer_id) returns which.
    /// Since Linux 5.7. Before Linux 6.0 a [`len`](Recv::len) has to be given: without it nothing
    /// is received, and the result is 0, as at the end of a stream.
    #[inline(always)]
    pub fn provided<F: IntoTarget>(socket: F, group: u16) -> Recv<F::Entry> {
        Recv(on(Opcode::RECV, socket.into_target()).buffer_group(group), PhantomData)
    }
}

/// An entry that receives `len` bytes into `buf`.
#[inline(always)]
fn receive(socket: Target, buf: *mut u8, len: u32) -> Sqe {
    let mut sqe = on(Opcode::RECV, socket);
    sqe.set_addr(SharedPtr::from_mut(buf));
    sqe.set_len(len);
    sqe
}

/// The entry goes on after the first completion.
#[inline(always)]
const fn go_on(mut sqe: Sqe) -> Sqe {
    add_ioprio(&mut sqe, RecvSendFlags::RECV_MULTISHOT.bits());
    sqe
}

impl<'a> Recv<Lent<'a>> {
    /// Receives from `socket` into `buf`, for a job of the [safe front](crate::jobs).
    ///
    /// ```
    /// use std::io::Write as _;
    /// use std::os::unix::net::UnixStream;
    /// use ringbolt::jobs::SafeRing;
    /// use ringbolt::ops::Recv;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (socket, mut peer) = UnixStream::pair()?;
    /// peer.write_all(b"hello")?;
    /// let mut jobs = SafeRing::new(8)?.into_jobs(1);
    /// jobs.start((socket, [0; 16]), |(socket, buf)| Recv::lent(&*socket, buf).op())?;
    /// let event = jobs.wait_next()?.ok_or("no event")?;
    /// let len = event.result()? as usize;
    /// assert_eq!(&event.1[..len], b"hello");
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn lent(socket: impl Into<On<'a>>, buf: impl Into<Span<'a>>) -> Self {
        let span = buf.into();
        Self(receive(socket.into().target(), span.as_mut_ptr(), span.len_field()), PhantomData)
    }
}

impl<'a> Recv<InGroup<Lent<'a>>> {
    /// Receives from `socket` into a buffer of `group`, for a job of the [safe front](crate::jobs):
    /// as [`provided`](Recv::provided). [`op`](Self::op) receives once, [`multi`](Self::multi) goes
    /// on. Each event has its buffer: [`Event::received`](crate::jobs::Event::received).
    ///
    /// ```
    /// use std::io::Write as _;
    /// use std::os::unix::net::UnixStream;
    /// use ringbolt::jobs::SafeRing;
    /// use ringbolt::ops::Recv;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (socket, mut peer) = UnixStream::pair()?;
    /// let mut jobs = SafeRing::new(8)?.into_jobs(1);
    /// let group = jobs.provide(8, 256)?;
    /// jobs.start_multi(socket, |socket| Recv::group(socket, group).multi())?;
    /// for text in [b"one", b"two"] {
    ///     peer.write_all(text)?;
    ///     let mut event = jobs.wait_next()?.ok_or("no event")?;
    ///     let received = event.received().ok_or("no buffer")?;
    ///     assert_eq!(&received[..], text);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn group(socket: impl Into<On<'a>>, group: Group) -> Self {
        let sqe = on(Opcode::RECV, socket.into().target());
        Self(sqe.buffer_group(group.number()), PhantomData)
    }

    /// Fills as many buffers as there is data for at once, as [`bundle`](Recv::bundle) of a
    /// [`provided`](Recv::provided) receive. Each call of
    /// [`Event::received`](crate::jobs::Event::received) takes the next buffer. Without
    /// [`RecvFlags::TRUNC`]. `IORING_RECVSEND_BUNDLE`, since Linux 6.10.
    #[inline(always)]
    pub const fn in_bundles(mut self) -> Self {
        add_ioprio(&mut self.0, RecvSendFlags::RECVSEND_BUNDLE.bits());
        self
    }
}

impl<E: Pushed> Recv<E> {
    /// Receives at most `len` bytes into the provided buffer; 0 for as many as it holds, since
    /// Linux 6.0.
    #[inline(always)]
    pub const fn len(mut self, len: u32) -> Self {
        self.0.set_len(len);
        self
    }

    /// Goes on after the first message: each completion but the last has
    /// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE). Needs
    /// [`provided`](Self::provided) buffers. `IORING_RECV_MULTISHOT`, since Linux 6.0.
    ///
    /// The kernel ends it when a completion finds the completion queue full: the completion then
    /// comes in late, without `MORE`, and the operation has to be submitted again.
    #[inline(always)]
    #[doc(alias("io_uring_prep_recv_multishot", "io_uring_prep_recvmsg_multishot"))]
    #[doc(alias = "IORING_RECV_MULTISHOT")]
    pub const fn multishot(self) -> Self {
        self.recv_flags(RecvSendFlags::RECV_MULTISHOT)
    }

    /// Fills as many provided buffers as there is data for at once. `IORING_RECVSEND_BUNDLE`
    /// ([`Features::RECVSEND_BUNDLE`](crate::sys::Features::RECVSEND_BUNDLE), since Linux 6.10).
    /// What would fill only a part of the last one may be left for the next receive. With
    /// [`multishot`](Self::multishot), a completion that takes the last buffer of the group may be
    /// the last.
    ///
    /// The result counts the bytes of all; the buffers used are those from
    /// [`Cqe::buffer_id`](crate::Cqe::buffer_id) on.
    #[inline(always)]
    pub const fn bundle(self) -> Self {
        self.recv_flags(RecvSendFlags::RECVSEND_BUNDLE)
    }
}

impl RecvMsg {
    /// Receives from `socket` into what `header` describes.
    #[inline(always)]
    pub fn new(socket: impl IntoTarget, header: *mut MsgHdr) -> Self {
        let header = SharedPtr::from_mut(header);
        Self(message(Opcode::RECVMSG, socket.into_target(), header), PhantomData)
    }

    /// Receives one message into a buffer that the kernel picks from those provided as `group`:
    /// the payload alone. The address and the control messages go where `header` says, which must
    /// stay, and not be touched, until the completion has been popped. Since Linux 5.7.
    #[inline(always)]
    pub fn provided(socket: impl IntoTarget, header: *mut MsgHdr, group: u16) -> Self {
        let Self(sqe, entry) = Self::new(socket, header);
        Self(sqe.buffer_group(group), entry)
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
    ///
    /// A message that is longer than what is left of its buffer is cut: its
    /// [`flags`](crate::ReceivedMessage::flags) have `MSG_TRUNC`. With
    /// [`BufRingFlags::INC`](crate::sys::BufRingFlags::INC) that happens at the end of each buffer,
    /// unless [`min_left`](crate::register::BufferRingOptions::min_left) is at least 16 bytes, the
    /// room for the address, the room for control messages and the longest payload together.
    ///
    /// The kernel ends it when a completion finds the completion queue full: the completion then
    /// comes in late, without `MORE`, and the operation has to be submitted again.
    #[inline(always)]
    pub fn multishot(socket: impl IntoTarget, header: *const MsgHdr, group: u16) -> Self {
        let sqe = message(Opcode::RECVMSG, socket.into_target(), SharedPtr::new(header));
        Self(go_on(sqe.buffer_group(group)), PhantomData)
    }
}

impl<'a> RecvMsg<Lent<'a>> {
    /// Receives from `socket` into what `message` has lent, for a job of the
    /// [safe front](crate::jobs). [`Message`](super::Message) has an example.
    #[inline(always)]
    pub fn lent(socket: impl Into<On<'a>>, message: Incoming<'a>) -> Self {
        let header = SharedPtr::from_mut(message.header());
        Self(self::message(Opcode::RECVMSG, socket.into().target(), header), PhantomData)
    }
}

impl<'a> RecvMsg<InGroup<Lent<'a>>> {
    /// Receives one message after the other from `socket` into buffers of `group`, with as much
    /// room for addresses and control messages as `room` says, for a job of the
    /// [safe front](crate::jobs): as [`multishot`](RecvMsg::multishot).
    ///
    /// ```
    /// use core::net::Ipv4Addr;
    /// use std::net::UdpSocket;
    /// use ringbolt::ReceivedMessage;
    /// use ringbolt::jobs::SafeRing;
    /// use ringbolt::ops::{MessageRoom, RecvMsg};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    /// let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    /// sender.send_to(b"hello", socket.local_addr()?)?;
    /// let mut jobs = SafeRing::new(8)?.into_jobs(1);
    /// let group = jobs.provide(8, 256)?;
    /// jobs.start_multi((socket, MessageRoom::for_name(128)), |(socket, room)| {
    ///     RecvMsg::group(socket, room, group).multi()
    /// })?;
    /// let mut event = jobs.wait_next()?.ok_or("no event")?;
    /// let received = event.received().ok_or("no buffer")?;
    /// let message = ReceivedMessage::parse(&received, event.1.header())?;
    /// assert_eq!(message.payload(), b"hello");
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn group(socket: impl Into<On<'a>>, room: &'a MessageRoom, group: Group) -> Self {
        let header = SharedPtr::new(core::ptr::from_ref(room.header()));
        let sqe = message(Opcode::RECVMSG, socket.into().target(), header);
        Self(sqe.buffer_group(group.number()), PhantomData)
    }
}

impl RecvZc {
    /// Receives from `socket` through interface queue `queue`, as registered.
    #[inline(always)]
    pub fn new<F: IntoTarget>(socket: F, queue: u32) -> RecvZc<F::Entry> {
        let mut sqe = on(Opcode::RECV_ZC, socket.into_target());
        sqe.set_ioprio(RecvSendFlags::RECV_MULTISHOT.bits());
        sqe.set_file_index(queue);
        RecvZc(sqe, PhantomData)
    }
}

impl<E> RecvZc<E> {
    /// Ends after `len` bytes. Since Linux 6.16.
    #[inline(always)]
    pub const fn len(mut self, len: u32) -> Self {
        self.0.set_len(len);
        self
    }
}

/// The options of receives.
macro_rules! recv_options {
    ($($op:ident<$entry:ident>),+) => {$(
        impl<$entry> $op<$entry> {
            /// Adds `MSG_` flags.
            #[inline(always)]
            pub const fn flags(mut self, flags: RecvFlags) -> Self {
                add_flags(&mut self.0, flags.bits());
                self
            }

            /// Waits for data before the first attempt, for a socket that is likely empty.
            /// `IORING_RECVSEND_POLL_FIRST`, since Linux 5.19.
            #[inline(always)]
            pub const fn poll_first(mut self) -> Self {
                add_ioprio(&mut self.0, RecvSendFlags::RECVSEND_POLL_FIRST.bits());
                self
            }
        }
    )+};
}

impl<E: Pushed> Recv<E> {
    /// Adds `IORING_RECVSEND_` and `IORING_RECV_` flags.
    #[inline(always)]
    pub const fn recv_flags(mut self, flags: RecvSendFlags) -> Self {
        add_ioprio(&mut self.0, flags.bits());
        self
    }
}

impl RecvMsg {
    /// Adds `IORING_RECVSEND_` and `IORING_RECV_` flags.
    #[inline(always)]
    pub const fn recv_flags(mut self, flags: RecvSendFlags) -> Self {
        add_ioprio(&mut self.0, flags.bits());
        self
    }
}

recv_options!(Recv<E>, RecvMsg<E>);
sqe!(RecvMsg);
sqe!(either: Recv, RecvZc);
op!(Recv: Nothing, RecvMsg: Nothing);
op!(InGroup<Lent<'a>>: Recv, Nothing);
multi!(Recv<InGroup<Lent<'a>>>: Nothing, go_on);
multi!(RecvMsg<InGroup<Lent<'a>>>: Nothing, go_on);
