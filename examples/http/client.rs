//! The values of jobs: [`Task`], of which most are a [`Client`].

use std::ffi::CString;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use ringbolt::Timespec;
use ringbolt::jobs::Slot;
use ringbolt::ops::{Accept, Multi, Op, OpenAt2, Read, Recv, Send, Shutdown, Span, Timeout};
use ringbolt::rustix::net::{RecvFlags, SendFlags, Shutdown as How};

use crate::files::{HOW, Open};

/// The longest head of a request, in bytes.
pub(crate) const HEAD: usize = 8192;

/// The length of the buffer for an answer, in bytes: head and body of a small file, or a part of a
/// large one.
///
/// Large files are read into memory and sent from there. Splicing them through a pipe would copy
/// them once less, but a ring does each splice on a worker thread.
pub(crate) const BLOCK: usize = 128 << 10;

/// The values of jobs.
pub(crate) enum Task {
    /// Takes connections; after a failure, waits for a while first.
    Listen { listener: TcpListener, pause: Timespec },
    /// Waits for one tick of the clock.
    Tick(Timespec),
    /// A connection: its one job.
    Serve(Box<Client>),
}

impl Task {
    pub(crate) fn accept(&self) -> Multi<'_> {
        match self {
            Self::Listen { listener, .. } => Accept::lent(listener).in_slot().multi(),
            _ => unreachable!("it completes once"),
        }
    }

    /// The operations that stand alone.
    pub(crate) fn once(&mut self) -> Op<'_> {
        match self {
            Self::Listen { pause, .. } => Timeout::lent(pause).op(),
            Self::Tick(time) => Timeout::lent(time).op(),
            Self::Serve(client) => client.once(),
        }
    }

    pub(crate) fn read_and_send(&mut self) -> [Op<'_>; 2] {
        match self {
            Self::Serve(client) => client.read_and_send(),
            _ => unreachable!("it reads no file"),
        }
    }
}

/// What is in flight for a connection.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    /// More of a request.
    Receive,
    /// Opens the file of the request.
    Open,
    /// Sends an answer that has no body, or is an error.
    Send,
    /// Reads a part of the file, and sends it after the head.
    ReadAndSend,
    /// Says that no answer follows.
    Shutdown,
    /// Drops what the client sends until it has seen that. With data that nobody has received, a
    /// connection is reset when it is closed, and the client might never see the answer.
    Drain,
}

/// A connection.
pub(crate) struct Client {
    pub(crate) index: u32,
    pub(crate) slot: Slot,
    pub(crate) step: Step,
    /// What was received and has not been answered: the first `filled` bytes.
    pub(crate) inbox: Box<[u8]>,
    pub(crate) filled: usize,
    /// What is sent, in front `head` bytes that are written there. Empty between answers.
    pub(crate) outbox: Box<[u8]>,
    pub(crate) head: usize,
    /// The file that is being opened: in which directory, and its path.
    pub(crate) root: Rc<OwnedFd>,
    pub(crate) path: CString,
    /// The file that is sent, if it is open: `left` bytes of it, from `offset` on.
    pub(crate) file: Option<Rc<Open>>,
    pub(crate) offset: u64,
    pub(crate) left: u64,
    /// What follows the answer.
    pub(crate) end: End,
}

/// What follows an answer.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    /// The next request.
    Next,
    /// Nothing, and nothing more was received.
    Close,
    /// Nothing, but there may be more to receive.
    Drain,
}

impl Client {
    pub(crate) fn once(&mut self) -> Op<'_> {
        match self.step {
            Step::Receive => {
                let room = self.inbox.get_mut(self.filled..).unwrap_or_default();
                Recv::lent(&self.slot, room).op()
            }
            Step::Open => OpenAt2::lent(&*self.root, &self.path, &HOW).op(),
            Step::Send => {
                let head = self.outbox.get(..self.head).unwrap_or_default();
                Send::lent(&self.slot, head).flags(WHOLE).op()
            }
            Step::Shutdown => Shutdown::lent(&self.slot, How::Write).op(),
            Step::Drain => Recv::lent(&self.slot, &mut self.inbox).op(),
            Step::ReadAndSend => unreachable!("it is a chain"),
        }
    }

    pub(crate) fn read_and_send(&mut self) -> [Op<'_>; 2] {
        let part = self.part();
        let file = self.file.as_ref().expect("a body is that of a file");
        let block = Span::from(&mut self.outbox).first(self.head + part);
        [
            Read::lent(&file.file, block.after(self.head)).offset(self.offset).op(),
            Send::lent(&self.slot, block).flags(WHOLE).op(),
        ]
    }

    /// How many bytes of the file follow the head in the buffer.
    pub(crate) fn part(&self) -> usize {
        let room = self.outbox.len().saturating_sub(self.head);
        usize::try_from(self.left).map_or(room, |left| left.min(room))
    }

    /// A request of `len` bytes needs no more to be kept.
    pub(crate) fn consume(&mut self, len: usize) {
        self.inbox.copy_within(len..self.filled, 0);
        self.filled -= len;
    }
}

/// Everything is sent, or the send fails.
const WHOLE: SendFlags =
    SendFlags::NOSIGNAL.union(SendFlags::from_bits_retain(RecvFlags::WAITALL.bits()));
