//! Sockets.
#![forbid(unsafe_code)]

use core::marker::PhantomData;

use rustix::net::addr::{SocketAddrLen, SocketAddrStorage};
use rustix::net::{AddressFamily, Protocol, Shutdown as How, SocketFlags, SocketType};

use crate::entry::{SafeSqe, Sqe};
use crate::sys::{AcceptFlags, Opcode, SharedPtr};

use super::{DestSlot, IntoTarget, Target, add_flags, on, on_none, sqe};

/// Makes a socket.
///
/// `IORING_OP_SOCKET`, like [`socket(2)`]. Since Linux 5.19. Names no memory: it is pushed
/// safely.
///
/// # Result
///
/// The new descriptor, which is the caller's to close; or see [`DestSlot`]. Programs that are
/// executed inherit it, unless [`SocketFlags::CLOEXEC`] is set.
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
#[doc(alias("io_uring_prep_socket", "io_uring_prep_socket_direct"))]
#[doc(alias = "io_uring_prep_socket_direct_alloc")]
#[must_use = "an operation does nothing before its entry is pushed"]
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
#[doc(alias = "io_uring_prep_bind")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Bind(Sqe);

/// Lets a socket take connections.
///
/// `IORING_OP_LISTEN`, like [`listen(2)`]. Since Linux 6.11.
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
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
#[doc(alias = "io_uring_prep_listen")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Listen<E = Sqe>(Sqe, PhantomData<E>);

/// Takes a connection, or one after the other.
///
/// `IORING_OP_ACCEPT`, like [`accept4(2)`]. Since Linux 5.5. Closing the listener does not end it:
/// [`Shutdown`] does, with `EINVAL`, and [`AsyncCancel`](super::AsyncCancel).
///
/// On a [`Fixed`](super::Fixed) slot, and without [`peer`](Accept::peer), it is pushed safely.
///
/// # Result
///
/// The new descriptor, which is the caller's to close; or see [`DestSlot`]. Programs that are
/// executed inherit it, unless [`SocketFlags::CLOEXEC`] is set.
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
#[doc(alias("io_uring_prep_accept", "io_uring_prep_accept_direct"))]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Accept<E = Sqe>(Sqe, PhantomData<E>);

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
#[doc(alias = "io_uring_prep_connect")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Connect(Sqe);

/// Shuts one direction of a connection down, or both.
///
/// `IORING_OP_SHUTDOWN`, like [`shutdown(2)`]. Since Linux 5.11. Unlike closing, it ends operations
/// in flight on the socket: receives complete with 0, accepts with `EINVAL`.
///
/// On a [`Fixed`](super::Fixed) slot it is pushed safely.
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
#[doc(alias = "io_uring_prep_shutdown")]
#[must_use = "an operation does nothing before its entry is pushed"]
pub struct Shutdown<E = Sqe>(Sqe, PhantomData<E>);

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
    #[inline(always)]
    pub const fn protocol(mut self, protocol: Protocol) -> Self {
        self.0.set_len(protocol.as_raw().get());
        self
    }

    /// Adds `SOCK_CLOEXEC`, `SOCK_NONBLOCK`.
    #[inline(always)]
    pub const fn flags(mut self, flags: SocketFlags) -> Self {
        self.0.set_off(self.0.off() | flags.bits() as u64);
        self
    }

    /// Puts the socket into the ring's file table instead of making a descriptor.
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
        socket: impl IntoTarget,
        address: *const SocketAddrStorage,
        len: SocketAddrLen,
    ) -> Self {
        Self(addressed(Opcode::BIND, socket.into_target(), address, len))
    }
}

impl Connect {
    /// Connects `socket` to the address of `len` bytes at `address`.
    #[inline(always)]
    pub fn new(
        socket: impl IntoTarget,
        address: *const SocketAddrStorage,
        len: SocketAddrLen,
    ) -> Self {
        Self(addressed(Opcode::CONNECT, socket.into_target(), address, len))
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
    ///
    /// The kernel lowers `backlog` to the limit in `/proc/sys/net/core/somaxconn`, 4096 by default.
    /// `u32::MAX` asks for that limit. The socket holds one connection more than `backlog`, so 0 is
    /// room for one. On a socket that listens already, this changes the backlog.
    ///
    /// A connection that finds no room is not refused. TCP drops the request, and the peer repeats
    /// it. On a Unix socket the peer's connect waits, or fails with `EAGAIN` if that socket is
    /// non-blocking.
    #[inline(always)]
    pub fn new<F: IntoTarget>(socket: F, backlog: u32) -> Listen<F::Entry> {
        let mut sqe = on(Opcode::LISTEN, socket.into_target());
        sqe.set_len(backlog);
        Listen(sqe, PhantomData)
    }
}

impl Accept {
    /// Takes a connection from `listener`.
    #[inline(always)]
    pub fn new<F: IntoTarget>(listener: F) -> Accept<F::Entry> {
        Accept(on(Opcode::ACCEPT, listener.into_target()), PhantomData)
    }
}

impl<E> Accept<E> {
    /// Stores the peer's address, and at `len` its length, which holds the room there is.
    ///
    /// Both must stay, and not be touched, until the completion has been popped: with this, the
    /// entry is not pushed safely. With [`multishot`](Self::multishot) each connection overwrites
    /// them.
    #[inline(always)]
    pub const fn peer(
        mut self,
        address: *mut SocketAddrStorage,
        len: *mut SocketAddrLen,
    ) -> Accept {
        self.0.set_addr(SharedPtr::from_mut(address));
        self.0.set_addr2(SharedPtr::from_mut(len));
        Accept(self.0, PhantomData)
    }

    /// Adds `SOCK_CLOEXEC`, `SOCK_NONBLOCK`, for the new descriptor.
    #[inline(always)]
    pub const fn flags(mut self, flags: SocketFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }

    /// Waits for a connection before the first attempt, for a listener that likely has none.
    /// `IORING_ACCEPT_POLL_FIRST`, since Linux 6.10.
    #[inline(always)]
    pub const fn poll_first(self) -> Self {
        self.accept_flags(AcceptFlags::POLL_FIRST)
    }

    /// Goes on after the first connection: each completion but the last has
    /// [`CqeFlags::MORE`](crate::sys::CqeFlags::MORE). `IORING_ACCEPT_MULTISHOT`, since Linux
    /// 5.19.
    ///
    /// It ends at the first error, `EMFILE` say, whose completion is without `MORE`; the limit for
    /// that is the one that held at the submission. It also ends when a completion finds
    /// the completion queue full: the completion then comes in late, with its descriptor and
    /// without `MORE`. The operation has to be submitted again in either case. Connections that
    /// nobody has accepted meanwhile wait in the listener.
    #[inline(always)]
    #[doc(alias("io_uring_prep_multishot_accept", "io_uring_prep_multishot_accept_direct"))]
    pub const fn multishot(self) -> Self {
        self.accept_flags(AcceptFlags::MULTISHOT)
    }

    /// Adds `IORING_ACCEPT_` flags.
    #[inline(always)]
    pub const fn accept_flags(mut self, flags: AcceptFlags) -> Self {
        self.0.set_ioprio(self.0.ioprio() | flags.bits());
        self
    }

    /// Puts connections into the ring's file table instead of making descriptors. Since Linux
    /// 5.15. With [`multishot`](Self::multishot), only [`DestSlot::Alloc`] makes sense.
    #[inline(always)]
    pub const fn fixed(mut self, slot: DestSlot) -> Self {
        self.0.set_file_index(slot.file_index());
        self
    }
}

impl Shutdown {
    /// Shuts `socket` down for reading, writing or both.
    #[inline(always)]
    pub fn new<F: IntoTarget>(socket: F, how: How) -> Shutdown<F::Entry> {
        let mut sqe = on(Opcode::SHUTDOWN, socket.into_target());
        sqe.set_len(match how {
            How::Read => 0,
            How::Write => 1,
            How::Both => 2,
        });
        Shutdown(sqe, PhantomData)
    }
}

sqe!(Bind, Connect);
sqe!(either: Listen, Accept, Shutdown);
sqe!(Socket => SafeSqe, SafeSqe::new);
