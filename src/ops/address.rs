//! Addresses of sockets as the kernel has them: [`Address`].

use core::fmt;
use core::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use rustix::net::AddressFamily;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrStorage};

/// The length of `struct sockaddr_storage`, which holds every address.
const ROOM: usize = size_of::<SocketAddrStorage>();

/// An address of a socket, of any family, in the kernel's format: `struct sockaddr_storage` and its
/// length.
///
/// [`Bind`](super::Bind), [`Connect`](super::Connect) and [`Send`](struct@super::Send) read it in
/// the value of a job; [`Accept`](super::Accept) stores the peer's there.
///
/// ```
/// use core::net::{Ipv4Addr, SocketAddr};
/// use ringbolt::ops::Address;
///
/// let socket = SocketAddr::from((Ipv4Addr::LOCALHOST, 80));
/// let address = Address::new(&socket);
/// assert_eq!(address.ip(), Some(socket));
/// assert_eq!(Address::from_bytes(address.as_bytes()), Some(address));
/// assert_eq!(Address::NONE.ip(), None);
/// ```
#[doc(alias("sockaddr", "sockaddr_storage"))]
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct Address {
    /// `struct sockaddr_storage`. Zeros after `len`, except while it is lent.
    storage: [u8; ROOM],
    /// What the kernel stores: it may be longer than the room.
    len: SocketAddrLen,
}

const _: () = assert!(align_of::<SocketAddrStorage>() <= align_of::<Address>());

impl Address {
    /// No address: what is stored to later.
    pub const NONE: Self = Self { storage: [0; ROOM], len: 0 };

    /// The address `address`: a [`SocketAddr`], or one of rustix's types, such as its
    /// [`SocketAddrUnix`](rustix::net::SocketAddrUnix).
    pub fn new(address: &impl SocketAddrArg) -> Self {
        let mut this = Self::NONE;
        // SAFETY: room for a whole `SocketAddrStorage`, aligned like one.
        let len = unsafe { address.write_sockaddr((&raw mut this.storage).cast()) };
        this.len = len;
        this
    }

    /// The address with the bytes of a `struct sockaddr`, as
    /// [`ReceivedMessage::name`](crate::ReceivedMessage::name) has them. `None` if they are more
    /// than 128.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut this = Self::NONE;
        this.storage.get_mut(..bytes.len())?.copy_from_slice(bytes);
        this.len = SocketAddrLen::try_from(bytes.len()).ok()?;
        Some(this)
    }

    /// The bytes of the `struct sockaddr`: the family, and what belongs to it. Empty if there is no
    /// address.
    pub fn as_bytes(&self) -> &[u8] {
        let len = usize::try_from(self.len).unwrap_or(ROOM).min(ROOM);
        let bytes = self.storage.get(..len).unwrap_or_default();
        // Where the kernel stored nothing, the length is the room that there was.
        if self.family() == AddressFamily::UNSPEC { &[] } else { bytes }
    }

    /// The family; [`AddressFamily::UNSPEC`] if there is no address.
    pub fn family(&self) -> AddressFamily {
        let [low, high, ..] = self.storage;
        AddressFamily::from_raw(u16::from_ne_bytes([low, high]))
    }

    /// The address and the port, if it is one of IP.
    pub fn ip(&self) -> Option<SocketAddr> {
        let bytes = self.as_bytes();
        let at = |from: usize| bytes.get(from..)?.first_chunk::<4>().copied();
        let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
        match self.family() {
            AddressFamily::INET => Some((IpAddr::from(at(4)?), port).into()),
            AddressFamily::INET6 => {
                let ip = Ipv6Addr::from(*bytes.get(8..)?.first_chunk::<16>()?);
                let (flow, scope) = (u32::from_be_bytes(at(4)?), u32::from_ne_bytes(at(24)?));
                Some(SocketAddrV6::new(ip, port, flow, scope).into())
            }
            _ => None,
        }
    }

    /// Where the address is, and its length.
    #[inline(always)]
    pub(super) const fn parts(&self) -> (*const SocketAddrStorage, SocketAddrLen) {
        ((&raw const self.storage).cast(), self.len)
    }

    /// Where the kernel is to store an address and its length, with none there, and all the room.
    pub(super) fn lend(&mut self) -> (*mut SocketAddrStorage, *mut SocketAddrLen) {
        *self = Self { len: Self::ALL, ..Self::NONE };
        ((&raw mut self.storage).cast(), &raw mut self.len)
    }

    /// All the room, in bytes.
    #[expect(clippy::cast_possible_truncation, reason = "128")]
    pub(super) const ALL: SocketAddrLen = ROOM as SocketAddrLen;

    /// The address is of `len` bytes.
    pub(super) const fn with_len(mut self, len: SocketAddrLen) -> Self {
        self.len = len;
        self
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Self {
        Self::new(&address)
    }
}

impl Default for Address {
    fn default() -> Self {
        Self::NONE
    }
}

impl PartialEq for Address {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Address {}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip() {
            Some(ip) => f.debug_tuple("Address").field(&ip).finish(),
            None => f.debug_tuple("Address").field(&self.as_bytes()).finish(),
        }
    }
}
