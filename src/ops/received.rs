//! [`ReceivedMessage`]: what a multishot receive of messages stores in a provided buffer.
#![forbid(unsafe_code)]

use core::fmt;
use core::iter::FusedIterator;

use crate::ops::MsgHdr;

/// A message in a provided buffer, as [`RecvMsg::multishot`](crate::ops::RecvMsg::multishot) stores
/// it.
///
/// It consists of a header, room for the address, room for control messages, and the payload.
///
/// The contents of the buffer are not trusted: whatever lengths it contains, no part reaches beyond
/// its end.
///
/// ```
/// use ringbolt::ReceivedMessage;
/// use ringbolt::ops::MsgHdr;
///
/// let asked = MsgHdr { name_len: 4, ..MsgHdr::EMPTY };
/// let mut buffer = [0; 32];
/// buffer[..4].copy_from_slice(&3_u32.to_ne_bytes()); // Bytes of address.
/// buffer[8..12].copy_from_slice(&5_u32.to_ne_bytes()); // Bytes of payload.
/// buffer[16..19].copy_from_slice(b"me!");
/// buffer[20..25].copy_from_slice(b"hello");
///
/// let message = ReceivedMessage::parse(&buffer[..25], &asked)?;
/// assert_eq!(message.name(), b"me!");
/// assert_eq!(message.payload(), b"hello");
/// # Ok::<(), ringbolt::MessageError>(())
/// ```
#[doc(alias = "io_uring_recvmsg_out")]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReceivedMessage<'b> {
    header: Header,
    name: &'b [u8],
    control: &'b [u8],
    payload: &'b [u8],
}

/// `struct io_uring_recvmsg_out`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Header {
    name_len: u32,
    control_len: u32,
    payload_len: u32,
    flags: u32,
}

/// The error of [`ReceivedMessage::parse`]: the buffer does not hold a whole message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageError {
    /// The length in bytes of everything before the payload: the header, and the room for the
    /// address and the control messages.
    pub needed: usize,
    /// The length of the buffer in bytes.
    pub len: usize,
}

impl fmt::Display for MessageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { needed, len } = self;
        write!(f, "a message has {needed} bytes before its payload, and the buffer has only {len}")
    }
}

impl core::error::Error for MessageError {}

impl<'b> ReceivedMessage<'b> {
    /// The length of the header in bytes.
    const HEADER: usize = 16;

    /// Splits the bytes of a buffer into the parts of a message.
    ///
    /// `bytes` starts where the kernel wrote and is as long as the result of the completion.
    /// `asked` is the header with which the operation was made.
    ///
    /// # Errors
    ///
    /// [`MessageError`] if `bytes` is shorter than everything before the payload.
    #[doc(alias = "io_uring_recvmsg_validate")]
    pub fn parse(bytes: &'b [u8], asked: &MsgHdr) -> Result<Self, MessageError> {
        let name_room = usize::try_from(asked.name_len).unwrap_or(usize::MAX);
        let needed = Self::HEADER.saturating_add(name_room).saturating_add(asked.control_len);
        let error = MessageError { needed, len: bytes.len() };
        let (header, rest) = bytes.split_at_checked(Self::HEADER).ok_or(error)?;
        let (name, rest) = rest.split_at_checked(name_room).ok_or(error)?;
        let (control, payload) = rest.split_at_checked(asked.control_len).ok_or(error)?;

        let mut words = header.chunks_exact(4).filter_map(|word| word.try_into().ok());
        let mut word = || words.next().map_or(0, u32::from_ne_bytes);
        let header =
            Header { name_len: word(), control_len: word(), payload_len: word(), flags: word() };
        Ok(Self {
            name: at_most(name, header.name_len),
            control: at_most(control, header.control_len),
            payload: at_most(payload, header.payload_len),
            header,
        })
    }

    /// The peer's address, the `struct sockaddr` of its family; cut if there was not enough room.
    #[doc(alias = "io_uring_recvmsg_name")]
    pub const fn name(&self) -> &'b [u8] {
        self.name
    }

    /// The full length of the address in bytes, even if it was cut; 0 if there is no address.
    pub const fn name_len(&self) -> u32 {
        self.header.name_len
    }

    /// The bytes of all control messages, one after another.
    pub const fn control(&self) -> &'b [u8] {
        self.control
    }

    /// The control messages, one by one.
    #[doc(alias("io_uring_recvmsg_cmsg_firsthdr", "io_uring_recvmsg_cmsg_nexthdr"))]
    pub const fn controls(&self) -> ControlMessages<'b> {
        ControlMessages { rest: self.control }
    }

    /// The payload that is in this buffer.
    #[doc(alias = "io_uring_recvmsg_payload")]
    pub const fn payload(&self) -> &'b [u8] {
        self.payload
    }

    /// How many bytes of payload were received. With `MSG_TRUNC` among the flags of the operation,
    /// the full length of the payload in bytes, even if it was cut.
    #[doc(alias = "io_uring_recvmsg_payload_length")]
    pub const fn payload_len(&self) -> u32 {
        self.header.payload_len
    }

    /// The `MSG_` flags of the received message: `MSG_TRUNC` (0x20) if the payload was cut,
    /// `MSG_CTRUNC` (8) if control messages were. What was cut is lost.
    pub const fn flags(&self) -> u32 {
        self.header.flags
    }
}

/// The first `len` bytes, or all of them if there are fewer.
fn at_most(bytes: &[u8], len: u32) -> &[u8] {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    bytes.get(..len).unwrap_or(bytes)
}

impl fmt::Debug for ReceivedMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedMessage")
            .field("name", &self.name)
            .field("control_len", &self.header.control_len)
            .field("payload_len", &self.header.payload_len)
            .field("flags", &format_args!("{:#x}", self.header.flags))
            .finish()
    }
}

/// A control message: `struct cmsghdr` and the data that follows it.
#[doc(alias = "cmsghdr")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ControlMessage<'b> {
    /// The protocol that it belongs to: `SOL_SOCKET`, `IPPROTO_IP`, ...
    pub level: i32,
    /// Its type: `SCM_RIGHTS`, `IP_TTL`, ...
    pub kind: i32,
    /// Its data.
    pub data: &'b [u8],
}

/// Iterates over the control messages of a [`ReceivedMessage`]. Ends at the first one that is
/// incomplete.
#[derive(Clone, Copy, Debug)]
pub struct ControlMessages<'b> {
    rest: &'b [u8],
}

impl<'b> Iterator for ControlMessages<'b> {
    type Item = ControlMessage<'b>;

    fn next(&mut self) -> Option<ControlMessage<'b>> {
        /// The length of a message, as long as a pointer. The header also has two 32-bit numbers.
        const WORD: usize = size_of::<usize>();
        const HEADER: usize = (WORD + 8).next_multiple_of(WORD);

        // After a message that is incomplete the iterator stays at its end.
        let rest = core::mem::take(&mut self.rest);
        let (len, numbers) = rest.split_first_chunk::<WORD>()?;
        let (level, numbers) = numbers.split_first_chunk()?;
        let (kind, _) = numbers.split_first_chunk()?;
        let len = usize::from_ne_bytes(*len);
        let data = rest.get(HEADER..len)?;
        let next = len.checked_next_multiple_of(WORD)?;
        self.rest = rest.get(next..).unwrap_or_default();
        let (level, kind) = (i32::from_ne_bytes(*level), i32::from_ne_bytes(*kind));
        Some(ControlMessage { level, kind, data })
    }
}

impl FusedIterator for ControlMessages<'_> {}

#[cfg(test)]
mod tests {
    use super::{MessageError, ReceivedMessage};
    use crate::ops::MsgHdr;
    use std::vec::Vec;

    fn asked(name_len: u32, control_len: usize) -> MsgHdr {
        MsgHdr { name_len, control_len, ..MsgHdr::EMPTY }
    }

    fn header(words: [u32; 4]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    fn control(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let word = size_of::<usize>();
        let head = (word + 8).next_multiple_of(word);
        let mut bytes = (head + data.len()).to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(head, 0);
        bytes.extend(data);
        bytes.resize(bytes.len().next_multiple_of(word), 0);
        bytes
    }

    #[test]
    fn parse_finds_each_part_of_a_message() {
        let controls = [control(1, 2, b"rights"), control(0, 8, &[64, 0, 0, 0])].concat();
        let mut bytes = header([6, u32::try_from(controls.len()).unwrap(), 3, 0x20]);
        bytes.extend(*b"sender\0\0");
        bytes.extend(&controls);
        bytes.extend([0; 8]);
        bytes.extend(*b"abc");
        let message = ReceivedMessage::parse(&bytes, &asked(8, controls.len() + 8)).unwrap();
        assert_eq!((message.name(), message.payload()), (&b"sender"[..], &b"abc"[..]));
        assert_eq!((message.flags(), message.payload_len(), message.name_len()), (0x20, 3, 6));
        let found: Vec<_> = message.controls().map(|c| (c.level, c.kind, c.data)).collect();
        assert_eq!(found, [(1, 2, &b"rights"[..]), (0, 8, &[64, 0, 0, 0][..])]);
    }

    #[test]
    fn cut_parts_are_as_long_as_the_buffer_and_report_their_full_length() {
        let mut bytes = header([100, 50, 1000, 0x20]);
        bytes.extend(*b"namecontpay");
        let message = ReceivedMessage::parse(&bytes, &asked(4, 4)).unwrap();
        assert_eq!((message.name(), message.control()), (&b"name"[..], &b"cont"[..]));
        assert_eq!((message.payload(), message.payload_len()), (&b"pay"[..], 1000));
        assert_eq!(message.name_len(), 100);
        assert_eq!(message.controls().count(), 0);
    }

    #[test]
    fn parse_fails_on_a_buffer_that_is_shorter_than_the_requested_parts() {
        let bytes = header([0; 4]);
        let error = MessageError { needed: 24, len: 16 };
        assert_eq!(ReceivedMessage::parse(&bytes, &asked(8, 0)), Err(error));
        assert!(ReceivedMessage::parse(bytes.split_last().unwrap().1, &asked(0, 0)).is_err());
        assert!(ReceivedMessage::parse(&bytes, &asked(u32::MAX, usize::MAX)).is_err());
        assert!(ReceivedMessage::parse(&bytes, &asked(0, 0)).unwrap().payload().is_empty());
    }
}
