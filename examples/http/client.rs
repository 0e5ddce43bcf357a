//! The values of jobs: [`Task`], of which most are a [`Client`].

use std::ffi::CString;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::rc::Rc;

use ringbolt::Timespec;
use ringbolt::jobs::Slot;
use ringbolt::ops::{
    Accept, Multi, Op, OpenAt2, PollAdd, Read, Recv, Send, Shutdown, Span, Splice, Timeout,
};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::net::{SendFlags, Shutdown as How, SocketFlags};
use ringbolt::rustix::pipe::{PipeFlags, fcntl_getpipe_size, fcntl_setpipe_size, pipe_with};

use crate::files::{HOW, Open};

/// The longest head of a request, in bytes.
pub(crate) const HEAD: usize = 8192;

/// The length of the buffer for an answer, in bytes: head and body of a small file. What is longer
/// is spliced.
///
/// A read and a send copy the bytes. For 1 MiB they take three times the CPU time of splices,
/// though each of these is done by a worker thread of the ring.
pub(crate) const BLOCK: usize = 64 << 10;

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
            // What is spliced does not wait then for room in the socket; other operations do.
            Self::Listen { listener, .. } => {
                Accept::lent(listener).flags(SocketFlags::NONBLOCK).in_slot().multi()
            }
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
        self.client().read_and_send()
    }

    pub(crate) fn splice(&mut self) -> [Op<'_>; 3] {
        self.client().splice()
    }

    pub(crate) fn splice_rest(&mut self) -> [Op<'_>; 2] {
        self.client().splice_rest()
    }

    pub(crate) fn client(&mut self) -> &mut Client {
        match self {
            Self::Serve(client) => client,
            _ => unreachable!("it is no connection"),
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
    /// Moves a part of the file into the pipe, and from there into the socket.
    Splice,
    /// Moves what is left in the pipe into the socket.
    SpliceRest,
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
    /// What it is sent through, if it is large.
    pub(crate) pipe: Option<Pipe>,
    /// What follows the answer.
    pub(crate) end: End,
}

/// What bytes of a file go through on their way to a socket.
pub(crate) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    room: u32,
    /// How many bytes are in it.
    pub(crate) filled: u32,
}

impl Pipe {
    /// An empty pipe, as large as the kernel allows up to 1 MiB.
    pub(crate) fn new() -> Result<Self, Errno> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let room = fcntl_setpipe_size(&write, 1 << 20).or_else(|_| fcntl_getpipe_size(&write))?;
        Ok(Self { read, write, room: u32::try_from(room).unwrap_or(1 << 20), filled: 0 })
    }
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
                // To try first would be in vain: the next request has hardly come by now.
                Recv::lent(&self.slot, room).poll_first().op()
            }
            Step::Open => OpenAt2::lent(&*self.root, &self.path, &HOW).op(),
            Step::Send => {
                let head = self.outbox.get(..self.head).unwrap_or_default();
                // The first part of the file follows in the same packet.
                let more = if self.left > 0 { SendFlags::MORE } else { SendFlags::empty() };
                Send::lent(&self.slot, head).whole().flags(SendFlags::NOSIGNAL | more).op()
            }
            Step::Shutdown => Shutdown::lent(&self.slot, How::Write).op(),
            Step::Drain => Recv::lent(&self.slot, &mut self.inbox).op(),
            Step::ReadAndSend | Step::Splice | Step::SpliceRest => unreachable!("it is a chain"),
        }
    }

    pub(crate) fn read_and_send(&mut self) -> [Op<'_>; 2] {
        let part = self.part();
        let file = self.file.as_ref().expect("a body is that of a file");
        let block = Span::from(&mut self.outbox).first(self.head + part);
        [
            Read::lent(&file.file, block.after(self.head)).offset(self.offset).op(),
            Send::lent(&self.slot, block).whole().flags(SendFlags::NOSIGNAL).op(),
        ]
    }

    /// The pipe is filled when there is room in the socket, and emptied as far as that goes: a
    /// worker thread never waits for a client.
    pub(crate) fn splice(&mut self) -> [Op<'_>; 3] {
        let (len, file) = (self.pipeful(), self.file.as_ref());
        let file = file.expect("a body is that of a file");
        let pipe = self.pipe.as_ref().expect("it was made before");
        [
            PollAdd::lent(&self.slot, EventFlags::OUT).op(),
            Splice::lent(&file.file, &pipe.write, len).input_offset(self.offset).op(),
            Splice::lent(&pipe.read, &self.slot, len).op(),
        ]
    }

    pub(crate) fn splice_rest(&mut self) -> [Op<'_>; 2] {
        let pipe = self.pipe.as_ref().expect("something is left in it");
        [
            PollAdd::lent(&self.slot, EventFlags::OUT).op(),
            Splice::lent(&pipe.read, &self.slot, pipe.filled).op(),
        ]
    }

    /// How many bytes of the file are spliced next.
    pub(crate) fn pipeful(&self) -> u32 {
        let room = self.pipe.as_ref().map_or(0, |pipe| pipe.room);
        u32::try_from(self.left).map_or(room, |left| left.min(room))
    }

    /// How many bytes of the file follow the head in the buffer.
    pub(crate) fn part(&self) -> usize {
        usize::try_from(self.left.min(self.room())).unwrap_or_default()
    }

    /// How much room there is after the head in the buffer.
    pub(crate) fn room(&self) -> u64 {
        self.outbox.len().saturating_sub(self.head) as u64
    }

    /// A request of `len` bytes needs no more to be kept.
    pub(crate) fn consume(&mut self, len: usize) {
        self.inbox.copy_within(len..self.filled, 0);
        self.filled -= len;
    }
}
