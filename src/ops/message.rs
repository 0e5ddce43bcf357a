//! Messages of the safe front: [`Message`], and what it lends.
#![forbid(unsafe_code)]

use core::fmt;
use core::marker::PhantomData;

use super::{Address, Bytes, MsgHdr, Span, Vectors};

/// What a message is made of, for [`RecvMsg`](super::RecvMsg), [`SendMsg`](super::SendMsg) and
/// [`SendMsgZc`](super::SendMsgZc): its header, the table of up to `N` pieces, and room for the
/// address of the sender. It lives in the value of a job, next to the pieces.
///
/// ```
/// use core::net::Ipv4Addr;
/// use ringbolt::jobs::SafeRing;
/// use ringbolt::ops::{Message, RecvMsg, Span};
/// use std::net::UdpSocket;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// struct Datagram {
///     socket: UdpSocket,
///     head: [u8; 2],
///     rest: [u8; 8],
///     message: Message<2>,
/// }
/// let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
/// let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
/// sender.send_to(b"hello", socket.local_addr()?)?;
///
/// let datagram = Datagram { socket, head: [0; 2], rest: [0; 8], message: Message::new() };
/// let mut jobs = SafeRing::new(8)?.into_jobs(1);
/// jobs.start(datagram, |datagram| {
///     let parts = [Span::from(&mut datagram.head), Span::from(&mut datagram.rest)];
///     RecvMsg::lent(&datagram.socket, datagram.message.spans(parts)).op()
/// })?;
/// let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
/// assert_eq!(done.result(), Ok(5));
/// assert_eq!((&done.head, &done.rest[..3]), (b"he", &b"llo"[..]));
/// assert_eq!(done.message.sender().ip(), Some(sender.local_addr()?));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Message<const N: usize> {
    header: MsgHdr,
    vectors: Vectors<N>,
    address: Address,
}

/// A message that is received, borrowed. From [`Message::spans`].
#[derive(Debug)]
pub struct Incoming<'a> {
    header: &'a mut MsgHdr,
    borrows: PhantomData<&'a mut [u8]>,
}

/// A message that is sent, borrowed. From [`Message::pieces`].
#[derive(Debug)]
pub struct Outgoing<'a> {
    header: &'a mut MsgHdr,
    borrows: PhantomData<&'a [u8]>,
}

impl<const N: usize> Message<N> {
    /// An empty message.
    pub const fn new() -> Self {
        Self { header: MsgHdr::EMPTY, vectors: Vectors::new(), address: Address::NONE }
    }

    /// Lends the message and `spans`, for an operation that receives into them: as
    /// [`Vectors::spans`].
    ///
    /// There is no room for control messages: the kernel drops them, and closes descriptors that
    /// were sent along.
    pub fn spans<'a, S: Into<Span<'a>>>(
        &'a mut self,
        spans: impl IntoIterator<Item = S>,
    ) -> Incoming<'a> {
        let spans = self.vectors.spans(spans);
        let (name, _) = self.address.lend();
        self.header = MsgHdr {
            name: name.cast(),
            name_len: Address::ALL,
            vectors: spans.start(),
            vector_count: count(spans.count()),
            ..MsgHdr::EMPTY
        };
        Incoming { header: &mut self.header, borrows: PhantomData }
    }

    /// Lends the message and `pieces`, for an operation that sends them: as [`Vectors::pieces`].
    pub fn pieces<'a, B: Into<Bytes<'a>>>(
        &'a mut self,
        pieces: impl IntoIterator<Item = B>,
    ) -> Outgoing<'a> {
        let pieces = self.vectors.pieces(pieces);
        self.header = MsgHdr {
            vectors: pieces.start(),
            vector_count: count(pieces.count()),
            ..MsgHdr::EMPTY
        };
        Outgoing { header: &mut self.header, borrows: PhantomData }
    }

    /// The address of whoever sent the message that was received last; [`Address::NONE`] if the
    /// socket is connected, or if nothing was received.
    pub fn sender(&self) -> Address {
        if self.header.name_len == 0 {
            return Address::NONE;
        }
        self.address.with_len(self.header.name_len)
    }

    /// `MSG_` flags of the message that was received last: `MSG_TRUNC` (0x20) if it was cut.
    pub const fn flags(&self) -> u32 {
        self.header.flags
    }
}

/// The number of vectors as the header has it: it is not larger than the table.
fn count(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

impl<const N: usize> Default for Message<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> fmt::Debug for Message<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("sender", &self.sender())
            .field("flags", &format_args!("{:#x}", self.flags()))
            .finish_non_exhaustive()
    }
}

impl Incoming<'_> {
    /// Where the header is.
    pub(super) const fn header(self) -> *mut MsgHdr {
        self.header
    }
}

impl<'a> Outgoing<'a> {
    /// Sends to `address`, for a socket that is not connected.
    #[must_use]
    pub fn to(self, address: &'a Address) -> Self {
        let (name, len) = address.parts();
        // The kernel reads it only.
        self.header.name = name.cast_mut().cast();
        self.header.name_len = len;
        self
    }

    /// Where the header is.
    pub(super) const fn header(self) -> *const MsgHdr {
        self.header
    }
}

/// How much room a multishot receive of messages leaves in each provided buffer, before the
/// payload: for [`RecvMsg::multishot_lent`](super::RecvMsg::group).
#[derive(Clone, Copy, Debug)]
pub struct MessageRoom(MsgHdr);

impl MessageRoom {
    /// Room for an address of `name` bytes, of which 128 are enough for any; 0 for none.
    pub const fn for_name(name: u32) -> Self {
        Self(MsgHdr { name_len: name, ..MsgHdr::EMPTY })
    }

    /// Room for `control` bytes of control messages, too.
    ///
    /// Descriptors that a peer sends along on a Unix socket are open in this process then, and
    /// nobody closes them: leave no room where that can happen, and the kernel drops them.
    #[must_use]
    pub const fn and_control(mut self, control: usize) -> Self {
        self.0.control_len = control;
        self
    }

    /// The header, by which [`ReceivedMessage::parse`](crate::ReceivedMessage::parse) takes a
    /// buffer apart.
    pub const fn header(&self) -> &MsgHdr {
        &self.0
    }
}
