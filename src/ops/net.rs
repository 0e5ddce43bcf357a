//! Sockets.
#![forbid(unsafe_code)]

use rustix::net::addr::{SocketAddrLen, SocketAddrStorage};
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, Shutdown as How, SocketFlags, SocketType,
};

use crate::entry::{SafeSqe, Sqe};
use crate::sys::{AcceptFlags, Opcode, RecvSendFlags, SharedPtr, sqe_addr_len, sqe_file};

use super::{DestSlot, IoVec, Target, on, on_none, sqe};

/// Makes a socket.
///
/// `IORING_OP_SOCKET`, like [`socket(2)`]. Since Linux 5.19. Names no memory: it is pushed
/// safely.
///
/// # Result
///
/// The new descriptor, which is the caller's to close; or see [`DestSlot`].
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EACCES`, `EPERM` | such a socket is not permitted |
/// | `EAFNOSUPPORT`, `EPROTONOSUPPORT` | no such family, no such protocol in it |
/// | `EINVAL` | unknown flags, or CLOEXEC with a fixed slot |
/// | `EMFILE`, `ENFILE` | too many open files, or no free slot |
/// | `ENXIO` | a fixed slot, and no file table |
///
/// [`socket(2)`]: https://man7.org/linux/man-pages/man2/socket.2.html
#[doc(alias = "IORING_OP_SOCKET")]
#[derive(Clone, Copy, Debug)]
pub struct Socket(Sqe);

/// Gives a socket its own address.
///
/// `IORING_OP_BIND`, like [`bind(2)`]. Since Linux 6.11. The address must stay until taken.
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EACCES` | a port below 1024, or a directory that is protected |
/// | `EADDRINUSE`, `EADDRNOTAVAIL` | taken, or not of this machine |
/// | `EINVAL` | bound already, or an address of the wrong length |
/// | `ENOTSOCK` | not a socket |
///
/// [`bind(2)`]: https://man7.org/linux/man-pages/man2/bind.2.html
#[doc(alias = "IORING_OP_BIND")]
#[derive(Clone, Copy, Debug)]
pub struct Bind(Sqe);

/// Lets a socket take connections.
///
/// `IORING_OP_LISTEN`, like [`listen(2)`]. Since Linux 6.11.
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// `EADDRINUSE` if another listens there, `ENOTSOCK`, `EOPNOTSUPP` for a socket that cannot.
///
/// [`listen(2)`]: https://man7.org/linux/man-pages/man2/listen.2.html
#[doc(alias = "IORING_OP_LISTEN")]
#[derive(Clone, Copy, Debug)]
pub struct Listen(Sqe);

/// Takes a connection, or one after the other.
///
/// `IORING_OP_ACCEPT`, like [`accept4(2)`]. Since Linux 5.5.
///
/// # Result
///
/// The new descriptor, which is the caller's to close; or see [`DestSlot`].
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EAGAIN` | none waits, and the socket is non-blocking or [`AcceptFlags::DONTWAIT`] is set |
/// | `ECANCELED` | cancelled |
/// | `ECONNABORTED` | it went away |
/// | `EINVAL` | the socket does not listen; unknown flags; CLOEXEC with a fixed slot |
/// | `EMFILE`, `ENFILE` | too many open files, or no free slot |
/// | `ENOTSOCK` | not a socket |
///
/// [`accept4(2)`]: https://man7.org/linux/man-pages/man2/accept4.2.html
#[doc(alias = "IORING_OP_ACCEPT")]
#[derive(Clone, Copy, Debug)]
pub struct Accept(Sqe);

/// Connects a socket.
///
/// `IORING_OP_CONNECT`, like [`connect(2)`]. Since Linux 5.5. The address must stay until
/// taken.
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `ECONNREFUSED` | nobody listens there |
/// | `EISCONN` | connected already |
/// | `ENETUNREACH`, `EHOSTUNREACH` | no way there |
/// | `ENOTSOCK` | not a socket |
/// | `ETIMEDOUT` | no answer |
///
/// [`connect(2)`]: https://man7.org/linux/man-pages/man2/connect.2.html
#[doc(alias = "IORING_OP_CONNECT")]
#[derive(Clone, Copy, Debug)]
pub struct Connect(Sqe);

/// Sends up to `len` bytes from `buf`.
///
/// `IORING_OP_SEND`, like [`send(2)`], or [`sendto(2)`] with [`to`](Self::to). Since Linux 5.6.
///
/// `buf` must stay, and not be changed, until the completion has been popped.
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
/// | `ECANCELED` | cancelled, or linked behind an entry that failed |
/// | `ECONNRESET`, `EPIPE` | the peer is gone; SIGPIPE is not raised, since Linux 5.12 |
/// | `EDESTADDRREQ`, `ENOTCONN` | not connected, and no address given |
/// | `EMSGSIZE` | too long for one message |
/// | `ENOTSOCK` | not a socket |
///
/// [`send(2)`]: https://man7.org/linux/man-pages/man2/send.2.html
/// [`sendto(2)`]: https://man7.org/linux/man-pages/man2/sendto.2.html
#[doc(alias = "IORING_OP_SEND")]
#[derive(Clone, Copy, Debug)]
pub struct Send(Sqe);

/// Receives up to `len` bytes into `buf`.
///
/// `IORING_OP_RECV`, like [`recv(2)`]. Since Linux 5.6.
///
/// `buf` must stay, and not be touched, until the completion has been popped.
///
/// # Result
///
/// Bytes received, at most `len`; 0 when the peer has shut its side down.
/// [`CqeFlags::SOCK_NONEMPTY`](crate::sys::CqeFlags::SOCK_NONEMPTY) says that there is more.
///
/// # Errors
///
/// | errno | cause |
/// |---|---|
/// | `EAGAIN` | the socket is non-blocking and has no data |
/// | `ECANCELED` | cancelled, or linked behind an entry that failed |
/// | `ECONNRESET` | the peer is gone |
/// | `ENOBUFS` | a [`buffer_group`](Sqe::buffer_group) was named and has no buffer |
/// | `ENOTCONN` | not connected |
/// | `ENOTSOCK` | not a socket |
///
/// [`recv(2)`]: https://man7.org/linux/man-pages/man2/recv.2.html
#[doc(alias = "IORING_OP_RECV")]
#[derive(Clone, Copy, Debug)]
pub struct Recv(Sqe);

/// Shuts one direction of a connection down, or both.
///
/// `IORING_OP_SHUTDOWN`, like [`shutdown(2)`]. Since Linux 5.11.
///
/// # Result
///
/// 0.
///
/// # Errors
///
/// `ENOTCONN` if not connected, `ENOTSOCK` if not a socket.
///
/// [`shutdown(2)`]: https://man7.org/linux/man-pages/man2/shutdown.2.html
#[doc(alias = "IORING_OP_SHUTDOWN")]
#[derive(Clone, Copy, Debug)]
pub struct Shutdown(Sqe);

impl Socket {
    /// Makes a socket of the family and type given, with their usual protocol.
    #[inline(always)]
    pub const fn new(family: AddressFamily, kind: SocketType) -> Self {
        let mut sqe = on_none(Opcode::SOCKET);
        sqe.set_fd(family.as_raw() as i32);
        sqe.set_off(kind.as_raw() as u64);
        Self(sqe)
    }

    /// Another protocol than the usual one.
    #[must_use]
    #[inline(always)]
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.0.set_len(protocol.as_raw().get());
        self
    }

    /// `SOCK_CLOEXEC`, `SOCK_NONBLOCK`.
    #[must_use]
    #[inline(always)]
    pub const fn flags(mut self, flags: SocketFlags) -> Self {
        self.0.set_off(self.0.off() | flags.bits() as u64);
        self
    }

    /// Puts the socket into the ring's file table instead of making a descriptor.
    #[must_use]
    #[inline(always)]
    pub const fn fixed(mut self, slot: DestSlot) -> Self {
        self.0.set_file_index(slot.file_index());
        self
    }
}

impl Bind {
    /// Binds `socket` to the address of `len` bytes at `address`.
    #[inline(always)]
    pub fn new(
        socket: impl Into<Target>,
        address: *const SocketAddrStorage,
        len: SocketAddrLen,
    ) -> Self {
        Self(addressed(Opcode::BIND, socket.into(), address, len))
    }
}

impl Connect {
    /// Connects `socket` to the address of `len` bytes at `address`.
    #[inline(always)]
    pub fn new(
        socket: impl Into<Target>,
        address: *const SocketAddrStorage,
        len: SocketAddrLen,
    ) -> Self {
        Self(addressed(Opcode::CONNECT, socket.into(), address, len))
    }
}

#[inline(always)]
const fn addressed(
    opcode: Opcode,
    socket: Target,
    address: *const SocketAddrStorage,
    len: SocketAddrLen,
) -> Sqe {
    let mut sqe = on(opcode, socket);
    sqe.set_addr(SharedPtr::new(address));
    sqe.set_off(len as u64);
    sqe
}

impl Listen {
    /// Lets `socket` hold up to `backlog` connections that nobody has accepted yet.
    #[inline(always)]
    pub fn new(socket: impl Into<Target>, backlog: u32) -> Self {
        let mut sqe = on(Opcode::LISTEN, socket.into());
        sqe.set_len(backlog);
        Self(sqe)
    }
}

impl Accept {
    /// Takes a connection from `listener`.
    #[inline(always)]
    pub fn new(listener: impl Into<Target>) -> Self {
        Self(on(Opcode::ACCEPT, listener.into()))
    }

    /// Stores the peer's address, and at `len` its length, which holds the room there is.
    ///
    /// Both must stay, and not be touched, until the completion has been popped. With
    /// [`multishot`](Self::multishot) each connection overwrites them.
    #[must_use]
    #[inline(always)]
    pub const fn peer(mut self, address: *mut SocketAddrStorage, len: *mut SocketAddrLen) -> Self {
        self.0.set_addr(SharedPtr::from_mut(address));
        self.0.set_addr2(SharedPtr::from_mut(len));
        self
    }

    /// `SOCK_CLOEXEC`, `SOCK_NONBLOCK`, for the new descriptor.
    #[must_use]
    #[inline(always)]
    pub const fn flags(mut self, flags: SocketFlags) -> Self {
        self.0.set_op_flags(flags.bits());
        self
    }

    /// Goes on after the first connection: each completion but the last has
    /// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE). `IORING_ACCEPT_MULTISHOT`, since Linux
    /// 5.19.
    #[must_use]
    #[inline(always)]
    pub const fn multishot(self) -> Self {
        self.accept_flags(AcceptFlags::MULTISHOT)
    }

    /// Adds `IORING_ACCEPT_` flags.
    #[must_use]
    #[inline(always)]
    pub const fn accept_flags(mut self, flags: AcceptFlags) -> Self {
        self.0.set_ioprio(self.0.ioprio() | flags.bits());
        self
    }

    /// Puts connections into the ring's file table instead of making descriptors. Since Linux
    /// 5.15. With [`multishot`](Self::multishot), only [`DestSlot::Alloc`] makes sense.
    #[must_use]
    #[inline(always)]
    pub const fn fixed(mut self, slot: DestSlot) -> Self {
        self.0.set_file_index(slot.file_index());
        self
    }
}

impl Send {
    /// Sends to the peer of `socket` up to `len` bytes from `buf`.
    #[inline(always)]
    pub fn new(socket: impl Into<Target>, buf: *const u8, len: u32) -> Self {
        let mut sqe = on(Opcode::SEND, socket.into());
        sqe.set_addr(SharedPtr::new(buf));
        sqe.set_len(len);
        Self(sqe)
    }

    /// Sends to the address of `len` bytes at `address`, which must stay until taken. Since
    /// Linux 6.0.
    #[must_use]
    #[inline(always)]
    pub const fn to(mut self, address: *const SocketAddrStorage, len: u16) -> Self {
        self.0.set_addr2(SharedPtr::new(address));
        let addr_len = sqe_addr_len { addr_len: len, __pad3: [0] };
        self.0.as_raw_mut().file = sqe_file { addr_len };
        self
    }

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

    /// Waits for room before the first attempt, for a socket that is likely full.
    /// `IORING_RECVSEND_POLL_FIRST`, since Linux 5.19.
    #[must_use]
    #[inline(always)]
    pub const fn poll_first(self) -> Self {
        self.send_flags(RecvSendFlags::RECVSEND_POLL_FIRST)
    }
}

impl Recv {
    /// Receives from `socket` up to `len` bytes into `buf`.
    #[inline(always)]
    pub fn new(socket: impl Into<Target>, buf: *mut u8, len: u32) -> Self {
        let mut sqe = on(Opcode::RECV, socket.into());
        sqe.set_addr(SharedPtr::from_mut(buf));
        sqe.set_len(len);
        Self(sqe)
    }

    /// Receives from `socket` into a buffer that the kernel picks from those provided as
    /// `group`, when there is data; [`Cqe::buffer_id`](crate::Cqe::buffer_id) says which.
    /// Since Linux 5.7.
    #[inline(always)]
    pub fn provided(socket: impl Into<Target>, group: u16) -> Self {
        Self(on(Opcode::RECV, socket.into()).buffer_group(group))
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

    /// Waits for data before the first attempt, for a socket that is likely empty.
    /// `IORING_RECVSEND_POLL_FIRST`, since Linux 5.19.
    #[must_use]
    #[inline(always)]
    pub const fn poll_first(self) -> Self {
        self.recv_flags(RecvSendFlags::RECVSEND_POLL_FIRST)
    }

    /// Goes on after the first message: each completion but the last has
    /// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE). Needs
    /// [`provided`](Self::provided) buffers. `IORING_RECV_MULTISHOT`, since Linux 6.0.
    #[must_use]
    #[inline(always)]
    pub const fn multishot(self) -> Self {
        self.recv_flags(RecvSendFlags::RECV_MULTISHOT)
    }
}

impl Send {
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
    pub fn bundle(socket: impl Into<Target>, len: u32, group: u16) -> Self {
        let mut sqe = on(Opcode::SEND, socket.into()).buffer_group(group);
        sqe.set_len(len);
        Self(sqe).send_flags(RecvSendFlags::RECVSEND_BUNDLE)
    }

    /// The buffer is `count` vectors instead of bytes. `IORING_SEND_VECTORIZED`, since Linux 6.17.
    #[inline(always)]
    pub fn vectored(socket: impl Into<Target>, vectors: *const IoVec, count: u32) -> Self {
        let mut sqe = on(Opcode::SEND, socket.into());
        sqe.set_addr(SharedPtr::new(vectors));
        sqe.set_len(count);
        Self(sqe).send_flags(RecvSendFlags::SEND_VECTORIZED)
    }
}

impl Recv {
    /// Fills as many provided buffers as there is data for at once. `IORING_RECVSEND_BUNDLE`
    /// ([`Features::RECVSEND_BUNDLE`](crate::sys::Features::RECVSEND_BUNDLE), since Linux 6.10).
    /// What would fill only a part of the last one may be left for the next receive. With
    /// [`multishot`](Self::multishot), a completion that takes the last buffer of the group may be
    /// the last.
    ///
    /// The result counts the bytes of all; the buffers used are those from
    /// [`Cqe::buffer_id`](crate::Cqe::buffer_id) on.
    #[must_use]
    #[inline(always)]
    pub const fn bundle(self) -> Self {
        self.recv_flags(RecvSendFlags::RECVSEND_BUNDLE)
    }
}

impl Shutdown {
    /// Shuts `socket` down for reading, writing or both.
    #[inline(always)]
    pub fn new(socket: impl Into<Target>, how: How) -> Self {
        let mut sqe = on(Opcode::SHUTDOWN, socket.into());
        sqe.set_len(match how {
            How::Read => 0,
            How::Write => 1,
            How::Both => 2,
        });
        Self(sqe)
    }
}

sqe!(Bind, Listen, Accept, Connect, Send, Recv, Shutdown);
sqe!(Socket => SafeSqe, SafeSqe::new);
