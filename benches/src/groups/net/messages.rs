//! Messages with numbers, so that it shows if one is lost, and the files that they go through.

use core::cell::Cell;
use core::hint::black_box;

use ringbolt::Sqe;
use ringbolt::ops::{Fixed, Read, ReadMultishot, Recv, Send, Write};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::{self, Errno};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socketpair,
};
use rustix::pipe::pipe;

use super::{FAILED, GROUP, LEN, Message};

/// The message with a number.
#[inline(always)]
pub(super) fn numbered(number: u64) -> Message {
    let mut message = [0x5a; 64];
    if let Some(first) = message.first_chunk_mut() {
        *first = number.to_ne_bytes();
    }
    message
}

/// The number of a message.
#[inline(always)]
pub(super) fn number(message: &Message) -> u64 {
    message.first_chunk().map_or(u64::MAX, |first| u64::from_ne_bytes(*first))
}

/// Numbers what is sent from 0 on, and adds up the numbers of what is received.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    sent: u64,
    sum: u64,
}

impl Numbers {
    /// The next message to be sent.
    #[inline(always)]
    pub(super) fn next(&mut self) -> Message {
        let message = numbered(self.sent);
        self.sent += 1;
        message
    }

    /// A message was received.
    #[inline(always)]
    pub(super) fn take(&mut self, message: &Message) {
        self.sum = self.sum.wrapping_add(number(message));
    }

    /// A receive has completed with `result`, and has put its message into the room numbered
    /// `place`.
    #[inline(always)]
    pub(super) fn complete(&mut self, result: i32, room: &[Cell<Message>], place: u64) {
        let found = usize::try_from(place).ok().and_then(|place| room.get(place));
        match found {
            Some(message) if u32::try_from(result) == Ok(LEN) => self.take(&message.get()),
            _ => failed(result),
        }
    }

    /// Fails unless `messages` messages have been sent, and the same been received.
    pub(super) fn check(self, messages: u64) {
        assert_eq!(self.sent, messages, "messages were not sent");
        let sum = messages * messages.saturating_sub(1) / 2;
        assert_eq!(black_box(self.sum), sum, "messages are lost");
    }
}

/// Ends the program for a transfer that has failed or was short.
#[cold]
pub(super) fn failed(result: i32) -> ! {
    panic!("a message of {LEN} bytes was transferred with {result}")
}

/// What messages go through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Pipes.
    Pipe,
    /// Pairs of connected Unix sockets.
    Unix,
}

impl Kind {
    /// The variant of its cases.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Pipe => "pipe",
            Self::Unix => "unix",
        }
    }

    fn open(self) -> Result<(OwnedFd, OwnedFd), Errno> {
        match self {
            Self::Pipe => pipe(),
            Self::Unix => {
                let (family, flags) = (AddressFamily::UNIX, SocketFlags::empty());
                socketpair(family, SocketType::STREAM, flags, None)
            }
        }
    }

    /// Sends by a system call.
    #[inline(always)]
    pub(super) fn send(self, sender: &OwnedFd, message: &Message) {
        let sent = match self {
            Self::Pipe => io::write(sender, message),
            // Cheaper than write(2) here, by 6 %.
            Self::Unix => send(sender, message, SendFlags::empty()),
        };
        assert_eq!(sent, Ok(message.len()), "a message is sent whole");
    }

    /// Receives by a system call.
    #[inline(always)]
    pub(super) fn receive(self, receiver: &OwnedFd, message: &mut Message) {
        let len = message.len();
        let received = match self {
            Self::Pipe => io::read(receiver, message),
            Self::Unix => recv(receiver, message, RecvFlags::empty()).map(|(_, len)| len),
        };
        assert_eq!(received, Ok(len), "a message is received whole");
    }

    /// The entry that sends, and completes only if it fails.
    #[inline(always)]
    pub(super) fn send_entry(self, sender: Fixed, message: *const Message) -> Sqe {
        let entry = match self {
            Self::Pipe => Write::new(sender, message.cast(), LEN).sqe(FAILED),
            // Cheaper than a write here, by 15 %.
            Self::Unix => Send::new(sender, message.cast(), LEN).sqe(FAILED),
        };
        entry.skip_success()
    }

    /// The entry that receives.
    #[inline(always)]
    pub(super) fn receive_entry(self, receiver: Fixed, message: *mut Message, place: u64) -> Sqe {
        match self {
            Self::Pipe => Read::new(receiver, message.cast(), LEN).sqe(place),
            Self::Unix => Recv::new(receiver, message.cast(), LEN).sqe(place),
        }
    }

    /// The entry that receives whatever comes, into provided buffers.
    pub(super) fn multishot_entry(self, receiver: Fixed) -> Sqe {
        match self {
            Self::Pipe => ReadMultishot::new(receiver, GROUP).sqe(0).into(),
            Self::Unix => Recv::provided(receiver, GROUP).multishot().sqe(0).into(),
        }
    }
}

/// Pipes or pairs of sockets.
#[derive(Debug)]
pub(super) struct Channels {
    pub(super) kind: Kind,
    pub(super) receivers: Vec<OwnedFd>,
    pub(super) senders: Vec<OwnedFd>,
}

impl Channels {
    /// Opens `count` of them.
    pub(super) fn open(kind: Kind, count: u32) -> Result<Self, Errno> {
        let mut channels = Self { kind, receivers: Vec::new(), senders: Vec::new() };
        for _ in 0..count {
            let (receiver, sender) = kind.open()?;
            channels.receivers.push(receiver);
            channels.senders.push(sender);
        }
        Ok(channels)
    }

    /// All ends, in the order of the slots that they are to have: see [`slots`].
    pub(super) fn ends(&self) -> impl Iterator<Item = &OwnedFd> {
        self.receivers.iter().chain(&self.senders)
    }

    /// Their descriptors.
    pub(super) fn numbers(&self) -> Vec<i32> {
        self.ends().map(AsRawFd::as_raw_fd).collect()
    }
}

/// The slots of the receiver and of the sender of channel `index` of `count`.
#[inline(always)]
pub(super) const fn slots(index: u32, count: u32) -> (u32, u32) {
    (index, count + index)
}
