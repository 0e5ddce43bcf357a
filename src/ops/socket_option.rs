//! [`SocketOption`]: the options of sockets that the safe front reads and sets.
#![forbid(unsafe_code)]

/// An option of sockets whose value is plain bytes, for
/// [`SocketCommand::get_option_lent`](super::SocketCommand::get_option_lent) and
/// [`SocketCommand::set_option_lent`](super::SocketCommand::set_option_lent).
///
/// The values of other options name memory or descriptors: that of `XDP_UMEM_REG` is memory to
/// which the kernel writes packets, that of `SO_ATTACH_BPF` a descriptor, and `SO_GET_FILTER`
/// stores eight times as many bytes as it is asked for. So none is made of a number;
/// [`SocketCommand::set_option`](super::SocketCommand::set_option), whose entry is pushed unsafely,
/// takes them.
///
/// Unless documented otherwise, a value is an `i32`: `1_i32.to_ne_bytes()`.
///
/// ```compile_fail,E0451
/// use ringbolt::ops::SocketOption;
///
/// let get_filter = SocketOption { level: 1, name: 26 };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SocketOption {
    pub(super) level: u32,
    pub(super) name: u32,
}

/// `SOL_SOCKET`.
const SOCKET: u32 = 1;
/// `SOL_TCP`.
const TCP: u32 = 6;
/// `SOL_IPV6`.
const IPV6: u32 = 41;

impl SocketOption {
    /// `SO_REUSEADDR`: others may bind the address of this socket.
    pub const REUSE_ADDR: Self = Self::of(SOCKET, 2);
    /// `SO_TYPE`: the kind of socket. Read only.
    pub const TYPE: Self = Self::of(SOCKET, 3);
    /// `SO_ERROR`: the pending error, which reading clears. Read only.
    pub const ERROR: Self = Self::of(SOCKET, 4);
    /// `SO_BROADCAST`: whether datagrams may be sent to broadcast addresses.
    pub const BROADCAST: Self = Self::of(SOCKET, 6);
    /// `SO_SNDBUF`: the size of the send buffer in bytes. The kernel doubles the value set.
    pub const SEND_BUFFER: Self = Self::of(SOCKET, 7);
    /// `SO_RCVBUF`: the size of the receive buffer in bytes. The kernel doubles the value set.
    pub const RECEIVE_BUFFER: Self = Self::of(SOCKET, 8);
    /// `SO_KEEPALIVE`: whether an idle connection is probed.
    pub const KEEP_ALIVE: Self = Self::of(SOCKET, 9);
    /// `SO_LINGER`: whether closing waits for what is not sent: two `i32`, whether and for how many
    /// seconds.
    pub const LINGER: Self = Self::of(SOCKET, 13);
    /// `SO_REUSEPORT`: several sockets share one address.
    pub const REUSE_PORT: Self = Self::of(SOCKET, 15);
    /// `SO_ACCEPTCONN`: whether it listens. Read only.
    pub const IS_LISTENING: Self = Self::of(SOCKET, 30);
    /// `SO_PROTOCOL`: the protocol. Read only.
    pub const PROTOCOL: Self = Self::of(SOCKET, 38);
    /// `SO_DOMAIN`: the address family. Read only.
    pub const DOMAIN: Self = Self::of(SOCKET, 39);
    /// `TCP_NODELAY`: small segments are sent at once. Set only, as all options of its level.
    pub const TCP_NODELAY: Self = Self::of(TCP, 1);
    /// `TCP_MAXSEG`: the longest segment, in bytes; before the socket is connected.
    pub const TCP_MAX_SEGMENT: Self = Self::of(TCP, 2);
    /// `TCP_KEEPIDLE`: seconds without data before the first probe.
    pub const TCP_KEEP_IDLE: Self = Self::of(TCP, 4);
    /// `TCP_KEEPINTVL`: seconds between probes.
    pub const TCP_KEEP_INTERVAL: Self = Self::of(TCP, 5);
    /// `TCP_KEEPCNT`: how many probes before the connection ends.
    pub const TCP_KEEP_COUNT: Self = Self::of(TCP, 6);
    /// `TCP_USER_TIMEOUT`: milliseconds for which data may stay unacknowledged.
    pub const TCP_USER_TIMEOUT: Self = Self::of(TCP, 18);
    /// `IPV6_V6ONLY`: whether the socket is for IPv6 alone. Set only.
    pub const V6_ONLY: Self = Self::of(IPV6, 26);

    const fn of(level: u32, name: u32) -> Self {
        Self { level, name }
    }
}
