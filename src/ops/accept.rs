//! Accepting connections.

use core::marker::PhantomData;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use rustix::net::addr::{SocketAddrLen, SocketAddrStorage};

use crate::entry::{Cqe, Sqe};
use crate::sys::{AcceptFlags, Opcode, SharedPtr};

use super::{
    Address, DestSlot, InSlot, IntoTarget, Lent, On, Once, Pushed, add_flags, add_ioprio, made,
    multi, on, op, sqe,
};

/// Takes a connection, or one after the other.
///
/// `IORING_OP_ACCEPT`, like [`accept4(2)`]. Since Linux 5.5. Closing the listener does not end it:
/// [`Shutdown`](super::Shutdown) does, with `EINVAL`, and [`AsyncCancel`](super::AsyncCancel).
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

impl Accept {
    /// Takes a connection from `listener`.
    #[inline(always)]
    pub fn new<F: IntoTarget>(listener: F) -> Accept<F::Entry> {
        Accept(on(Opcode::ACCEPT, listener.into_target()), PhantomData)
    }
}

impl<E: Pushed> Accept<E> {
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
    #[doc(alias = "IORING_ACCEPT_MULTISHOT")]
    #[doc(alias("io_uring_prep_multishot_accept", "io_uring_prep_multishot_accept_direct"))]
    pub const fn multishot(self) -> Self {
        self.accept_flags(AcceptFlags::MULTISHOT)
    }

    /// Adds `IORING_ACCEPT_` flags.
    #[inline(always)]
    pub const fn accept_flags(mut self, flags: AcceptFlags) -> Self {
        add_ioprio(&mut self.0, flags.bits());
        self
    }

    /// Puts connections into the ring's file table instead of making descriptors. Since Linux
    /// 5.15. With [`multishot`](Self::multishot), only [`DestSlot::Alloc`] makes sense. `None`
    /// makes descriptors.
    #[inline(always)]
    pub fn fixed(mut self, slot: impl Into<Option<DestSlot>>) -> Self {
        self.0.set_file_index(DestSlot::index_of(slot.into()));
        self
    }
}

impl<E> Accept<E> {
    /// Adds `SOCK_CLOEXEC`, `SOCK_NONBLOCK`, for the new descriptor.
    #[inline(always)]
    pub const fn flags(mut self, flags: SocketFlags) -> Self {
        add_flags(&mut self.0, flags.bits());
        self
    }

    /// Waits for a connection before the first attempt, for a listener that likely has none.
    /// `IORING_ACCEPT_POLL_FIRST`, since Linux 6.10.
    #[inline(always)]
    pub const fn poll_first(mut self) -> Self {
        add_ioprio(&mut self.0, AcceptFlags::POLL_FIRST.bits());
        self
    }
}

impl Accept {
    /// The connection that was taken, from the completion.
    ///
    /// # Errors
    ///
    /// Those of the operation.
    ///
    /// # Safety
    ///
    /// `cqe` is a completion of an `Accept` without [`fixed`](Self::fixed), and this is called once
    /// for it.
    #[inline]
    pub unsafe fn accepted(cqe: &Cqe) -> Result<OwnedFd, Errno> {
        // SAFETY: the completion of an operation that makes a descriptor, which this returns once.
        unsafe { made::descriptor(cqe) }
    }
}

impl<'a> Accept<Lent<'a>> {
    /// Takes a connection from `listener`, for a job of the [safe front](crate::jobs):
    /// [`op`](Self::op) takes one, [`multi`](Self::multi) one after the other. The descriptor is
    /// [`Event::descriptor`](crate::jobs::Event::descriptor).
    ///
    /// ```
    /// use std::net::{Ipv4Addr, TcpListener, TcpStream};
    /// use ringbolt::jobs::SafeRing;
    /// use ringbolt::ops::Accept;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    /// let address = listener.local_addr()?;
    /// let mut jobs = SafeRing::new(8)?.into_jobs(1);
    /// jobs.start_multi(listener, |listener| Accept::lent(listener).multi())?;
    /// for _ in 0..2 {
    ///     let client = TcpStream::connect(address)?;
    ///     let mut event = jobs.wait_next()?.ok_or("no event")?;
    ///     let connection = TcpStream::from(event.descriptor().ok_or("no connection")?);
    ///     assert_eq!(connection.peer_addr()?, client.local_addr()?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[inline(always)]
    pub fn lent(listener: impl Into<On<'a>>) -> Self {
        Self(on(Opcode::ACCEPT, listener.into().target()), PhantomData)
    }

    /// Puts connections into free slots of the ring's file table instead of making descriptors.
    /// Since Linux 5.19. `SOCK_CLOEXEC` is refused then. The slot is
    /// [`Event::slot`](crate::jobs::Event::slot).
    #[inline(always)]
    pub const fn in_slot(mut self) -> Accept<InSlot<Lent<'a>>> {
        self.0.set_file_index(DestSlot::Alloc.file_index());
        Accept(self.0, PhantomData)
    }

    /// Stores the peer's address in `address`. The operation takes one connection only, since each
    /// one would overwrite the address.
    #[inline(always)]
    pub fn peer_in(mut self, address: &'a mut Address) -> Accept<Once<Lent<'a>>> {
        let (address, len) = address.lend();
        self.0.set_addr(SharedPtr::from_mut(address));
        self.0.set_addr2(SharedPtr::from_mut(len));
        Accept(self.0, PhantomData)
    }
}

/// The entry goes on after the first connection.
#[inline(always)]
const fn go_on(mut sqe: Sqe) -> Sqe {
    add_ioprio(&mut sqe, AcceptFlags::MULTISHOT.bits());
    sqe
}

sqe!(either: Accept);
op!(Accept: Descriptor);
op!(in a slot: Accept);
op!(Once<Lent<'a>>: Accept, Descriptor);
multi!(Accept<Lent<'a>>: Descriptor, go_on);
multi!(Accept<InSlot<Lent<'a>>>: Slot, go_on);
