//! Sockets.

use core::marker::PhantomData;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrLen, SocketAddrStorage};
use rustix::net::{AddressFamily, Protocol, Shutdown as How, SocketFlags, SocketType};

use crate::entry::{Cqe, SafeSqe, Sqe};
use crate::sys::{Opcode, SharedPtr};

use super::lent::Makes;
use super::{Address, DestSlot, IntoTarget, Lent, On, OpIn, Target, made, on, on_none, op, sqe};

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
pub struct Bind<E = Sqe>(Sqe, PhantomData<E>);

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
pub struct Connect<E = Sqe>(Sqe, PhantomData<E>);

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

    /// Puts the socket into the ring's file table instead of making a descriptor. `None` makes a
    /// descriptor.
    #[inline(always)]
    pub fn fixed(mut self, slot: impl Into<Option<DestSlot>>) -> Self {
        self.0.set_file_index(DestSlot::index_of(slot.into()));
        self
    }

    /// The entry, for a job of the [safe front](crate::jobs). The descriptor is
    /// [`Event::descriptor`](crate::jobs::Event::descriptor). With [`fixed`](Self::fixed), use
    /// [`op_in_slot`](Self::op_in_slot): this makes a descriptor in any case.
    #[inline(always)]
    pub const fn op<'a, 's: 'a>(mut self) -> OpIn<'a, 's> {
        self.0.set_file_index(0);
        OpIn::new(self.0, Makes::Descriptor)
    }

    /// The entry that puts the socket into a free slot of the ring's file table, for a job of the
    /// [safe front](crate::jobs). The slot is [`Event::slot`](crate::jobs::Event::slot).
    #[inline(always)]
    pub const fn op_in_slot<'a, 's: 'a>(mut self) -> OpIn<'a, 's> {
        self.0.set_file_index(DestSlot::Alloc.file_index());
        OpIn::new(self.0, Makes::Slot)
    }
}

impl Socket {
    /// The socket that was made, from the completion.
    ///
    /// # Errors
    ///
    /// Those of the operation.
    ///
    /// # Safety
    ///
    /// `cqe` is the completion of a `Socket` without [`fixed`](Self::fixed), and this is called
    /// once for it.
    #[inline]
    pub unsafe fn made(cqe: &Cqe) -> Result<OwnedFd, Errno> {
        // SAFETY: the completion of an operation that makes a descriptor, which this returns once.
        unsafe { made::descriptor(cqe) }
    }
}

impl<'a> Bind<Lent<'a>> {
    /// Binds `socket` to `address`, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(socket: impl Into<On<'a>>, address: &'a Address) -> Self {
        let (address, len) = address.parts();
        Self(addressed(Opcode::BIND, socket.into().target(), address, len), PhantomData)
    }
}

impl<'a> Connect<Lent<'a>> {
    /// Connects `socket` to `address`, for a job of the [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(socket: impl Into<On<'a>>, address: &'a Address) -> Self {
        let (address, len) = address.parts();
        Self(addressed(Opcode::CONNECT, socket.into().target(), address, len), PhantomData)
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
        Self(addressed(Opcode::BIND, socket.into_target(), address, len), PhantomData)
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
        Self(addressed(Opcode::CONNECT, socket.into_target(), address, len), PhantomData)
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
        Listen(listening(socket.into_target(), backlog), PhantomData)
    }
}

/// An entry that lets `socket` listen.
#[inline(always)]
const fn listening(socket: Target, backlog: u32) -> Sqe {
    let mut sqe = on(Opcode::LISTEN, socket);
    sqe.set_len(backlog);
    sqe
}

impl<'a> Listen<Lent<'a>> {
    /// Lets `socket` hold up to `backlog` connections, for a job of the
    /// [safe front](crate::jobs): as [`new`](Listen::new).
    #[inline(always)]
    pub fn lent(socket: impl Into<On<'a>>, backlog: u32) -> Self {
        Self(listening(socket.into().target(), backlog), PhantomData)
    }
}

impl Shutdown {
    /// Shuts `socket` down for reading, writing or both.
    #[inline(always)]
    pub fn new<F: IntoTarget>(socket: F, how: How) -> Shutdown<F::Entry> {
        Shutdown(shutting(socket.into_target(), how), PhantomData)
    }
}

/// An entry that shuts `socket` down.
#[inline(always)]
fn shutting(socket: Target, how: How) -> Sqe {
    let mut sqe = on(Opcode::SHUTDOWN, socket);
    sqe.set_len(match how {
        How::Read => 0,
        How::Write => 1,
        How::Both => 2,
    });
    sqe
}

impl<'a> Shutdown<Lent<'a>> {
    /// Shuts `socket` down for reading, writing or both, for a job of the
    /// [safe front](crate::jobs).
    #[inline(always)]
    pub fn lent(socket: impl Into<On<'a>>, how: How) -> Self {
        Self(shutting(socket.into().target(), how), PhantomData)
    }
}

sqe!(Bind, Connect);
sqe!(either: Listen, Shutdown);
sqe!(Socket => SafeSqe, SafeSqe::new);
op!(Bind: Nothing, Connect: Nothing, Listen: Nothing, Shutdown: Nothing);
