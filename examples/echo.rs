//! A TCP echo server over io_uring.
//!
//! Shows how to
//!
//! - make a listening socket by the ring's own operations, where the kernel has them;
//! - accept with one entry for many connections, and survive when descriptors run out;
//! - bound each receive and send by a linked timeout, whose time lives long enough;
//! - serve thousands of connections with memory that is fixed at the start: a block, a slot and
//!   at most two entries in flight for each, and nothing allocated for a message.
//!
//! A connection is always in one of two states: it waits for bytes, or for the peer to take
//! them. Either is a chain of two entries, the transfer and its timeout. The next chain is
//! pushed when both have completed, so that a slot is never used again while an entry in
//! flight still names it.
#![allow(clippy::indexing_slicing, reason = "slots are named by index; a wrong one is a bug here")]

mod common;

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::process::ExitCode;

use common::Engine;
use ringbolt::ops::{Accept, Bind, LinkTimeout, Listen, Recv, Send, Socket, Timeout};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::net::addr::SocketAddrArg as _;
use ringbolt::rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, getsockname, sockopt,
};
use ringbolt::sys::Opcode;
use ringbolt::{IoUring, Sqe, Timespec};

const HELP: &str = "\
Usage: echo [OPTION]...
Sends back what TCP clients send, through io_uring. The first line on standard output tells the
address that is listened on.

      --listen ADDR:PORT  where to listen; port 0 is any that is free (127.0.0.1:0)
      --idle SECONDS      closes connections whose peer neither sends nor takes anything for
                          so long, such as 2.5 (60)
      --connections N     how many at once (1 to 16000; 4096)
  -h, --help              shows this text
";

/// What the command line asks for.
struct Options {
    listen: SocketAddr,
    idle: Duration,
    connections: u32,
}

/// Bytes for each connection.
const BLOCK: u32 = 4096;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: u32 = 4096;

fn main() -> ExitCode {
    match parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => match serve(&options) {
            Ok(never) => match never {},
            Err(line) => {
                report(line);
                ExitCode::FAILURE
            }
        },
        Ok(None) => match io::stdout().write_all(HELP.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(error) => {
            report(format_args!("{error} (try 'echo --help')"));
            ExitCode::from(2)
        }
    }
}

/// The options, or `None` if help is asked for.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let (mut idle, mut connections) = (60.0, 4096);
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("listen") => listen = parser.value()?.parse()?,
            Long("idle") => idle = parser.value()?.parse()?,
            Long("connections") => connections = parser.value()?.parse()?,
            _ => return Err(arg.unexpected()),
        }
    }
    let idle = match Duration::try_from_secs_f64(idle) {
        Ok(idle) if !idle.is_zero() => idle,
        _ => return Err("--idle is a number of seconds greater than 0".into()),
    };
    if !(1..=16_000).contains(&connections) {
        return Err("--connections is from 1 to 16000".into());
    }
    Ok(Some(Options { listen, idle, connections }))
}

/// One line on standard error. If even that fails, there is nobody to tell.
fn report(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "echo: {line}");
}

enum Never {}

/// Serves until something fails that concerns not one connection but all.
fn serve(options: &Options) -> Result<Never, String> {
    // Two entries for each connection, an accept, and the timeout after which it is repeated.
    let ring = IoUring::local(2 * options.connections + 2).map_err(|error| error.to_string())?;
    let probe = ring.registrar().probe().map_err(|errno| format!("asking the kernel: {errno}"))?;
    let blocks = usize::try_from(options.connections).map_err(|error| error.to_string())?;
    let size = usize::try_from(BLOCK).map_err(|error| error.to_string())?;
    let mut engine = Engine::new(ring, blocks, size)
        .map_err(|errno| format!("no memory for {blocks} connections: {errno}"))?;

    let ops = [Opcode::SOCKET, Opcode::BIND, Opcode::LISTEN];
    let listener = if ops.into_iter().all(|op| probe.supports(op)) {
        listen(&mut engine, options.listen).map_err(io::Error::from)
    } else {
        // Before Linux 6.11.
        TcpListener::bind(options.listen).map(OwnedFd::from)
    };
    let listener = listener.map_err(|error| format!("{}: {error}", options.listen))?;
    let address = getsockname(&listener).and_then(SocketAddr::try_from);
    let address = address.map_err(|errno| format!("the address that is listened on: {errno}"))?;
    // Whoever started this waits for the line: it must not stay in a buffer.
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on {address}")
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("standard output: {error}"))?;

    Server::new(engine, listener, options).run().map_err(|errno| format!("the ring: {errno}"))
}

/// Makes a socket that listens on `address`, by operations of the ring.
fn listen(engine: &mut Engine, address: SocketAddr) -> Result<OwnedFd, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = Socket::new(family, SocketType::STREAM).flags(SocketFlags::CLOEXEC);
    // SAFETY: the entry names neither memory nor a descriptor.
    let socket = unsafe { complete(engine, socket.sqe(0).into()) }?;
    let socket = i32::try_from(socket).map_err(|_| Errno::BADF)?;
    // SAFETY: the operation has just made the descriptor, and nobody else knows of it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    sockopt::set_socket_reuseaddr(&socket, true)?;

    // Leaked, and so never gone before the kernel has read it, whatever becomes of the ring.
    let address = Box::leak(Box::new(address.as_any()));
    let bind = Bind::new(&socket, address.as_ptr(), address.addr_len());
    // SAFETY: the address stays for ever, and the socket beyond the completion.
    unsafe { complete(engine, bind.sqe(0)) }?;
    // SAFETY: no memory is named, and the socket stays beyond the completion.
    unsafe { complete(engine, Listen::new(&socket, BACKLOG).sqe(0)) }?;
    Ok(socket)
}

/// Carries out one entry while nothing else is in flight.
///
/// # Safety
///
/// As for [`Engine::push`]; the entry completes once, and this returns only then.
unsafe fn complete(engine: &mut Engine, entry: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller's promise, passed on.
    unsafe { engine.push(&[entry]) }?;
    loop {
        engine.submit_and_wait()?;
        if let Some(cqe) = engine.pop() {
            return cqe.result();
        }
    }
}

/// The kinds of entry. `user_data` is four times the slot's index, and the kind.
const RECV: u64 = 0;
const SEND: u64 = 1;
const IDLE: u64 = 2;
/// Not about a slot: the accept, and the timeout after which it is repeated.
const OTHER: u64 = 3;
const ACCEPT: u64 = OTHER;
const BACKOFF: u64 = 4 + OTHER;

/// How long an accept that failed is not repeated.
static BACKOFF_TIME: Timespec = Timespec::new(0, 100_000_000);

/// One connection.
struct Connection {
    socket: OwnedFd,
    /// Entries in flight.
    in_flight: u32,
    /// Bytes in the block, and how many of them have been sent back.
    filled: u32,
    sent: u32,
    /// To be closed when nothing is in flight.
    is_over: bool,
}

struct Server {
    engine: Engine,
    listener: OwnedFd,
    /// Lives for ever, as every receive and send in flight points to it.
    idle: &'static Timespec,
    slots: Vec<Option<Connection>>,
    free: Vec<u32>,
    /// What was reported last, so that it is not reported each time.
    last_report: Option<Errno>,
    is_multishot: bool,
}

impl Server {
    fn new(engine: Engine, listener: OwnedFd, options: &Options) -> Self {
        Self {
            engine,
            listener,
            idle: Box::leak(Box::new(Timespec::from(options.idle))),
            slots: (0..options.connections).map(|_| None).collect(),
            free: (0..options.connections).rev().collect(),
            last_report: None,
            is_multishot: true,
        }
    }

    fn run(mut self) -> Result<Never, Errno> {
        self.push_accept()?;
        loop {
            self.engine.submit_and_wait()?;
            while let Some(cqe) = self.engine.pop() {
                match cqe.user_data() {
                    ACCEPT => self.accepted(cqe.result(), cqe.has_more())?,
                    BACKOFF => self.push_accept()?,
                    user_data => self.transferred(user_data, cqe.result())?,
                }
            }
        }
    }

    fn push_accept(&mut self) -> Result<(), Errno> {
        let accept = Accept::new(&self.listener).flags(SocketFlags::CLOEXEC);
        let accept = if self.is_multishot { accept.multishot() } else { accept };
        // SAFETY: no memory is named; the listener is closed by `drop`, in which nothing is
        // accepted any more, as a later field than the engine, which cancels the accept.
        unsafe { self.engine.push(&[accept.sqe(ACCEPT)]) }
    }

    /// A connection has come, or none can come.
    fn accepted(&mut self, result: Result<u32, Errno>, has_more: bool) -> Result<(), Errno> {
        match result {
            Ok(socket) => self.connected(socket)?,
            // The peer has gone again already.
            Err(Errno::CONNABORTED | Errno::INTR) => {}
            // Before Linux 5.19.
            Err(Errno::INVAL) if self.is_multishot => self.is_multishot = false,
            Err(errno) => {
                // Out of descriptors or memory, most often. At once it would fail again.
                self.report_once(errno, format_args!("accept: {errno}; trying again"));
                if !has_more {
                    let backoff = Timeout::new(&BACKOFF_TIME).sqe(BACKOFF);
                    // SAFETY: the time is a static.
                    return unsafe { self.engine.push(&[backoff]) };
                }
            }
        }
        if has_more { Ok(()) } else { self.push_accept() }
    }

    /// Gives a new connection a slot, or closes it if there is none.
    fn connected(&mut self, socket: u32) -> Result<(), Errno> {
        let socket = i32::try_from(socket).map_err(|_| Errno::BADF)?;
        // SAFETY: the accept has just made the descriptor, and nobody else knows of it.
        let socket = unsafe { OwnedFd::from_raw_fd(socket) };
        let Some(index) = self.free.pop() else {
            let most = self.slots.len();
            self.report_once(Errno::USERS, format_args!("refusing more than {most} at once"));
            return Ok(());
        };
        self.last_report = None;
        // Without effect on what is echoed, only on when.
        let _ = sockopt::set_tcp_nodelay(&socket, true);
        self.slots[index as usize] =
            Some(Connection { socket, in_flight: 0, filled: 0, sent: 0, is_over: false });
        self.carry_on(index)
    }

    fn report_once(&mut self, errno: Errno, line: impl fmt::Display) {
        if self.last_report != Some(errno) {
            self.last_report = Some(errno);
            report(line);
        }
    }

    /// An entry of a connection has completed. With the last in flight, it is carried on.
    fn transferred(&mut self, user_data: u64, result: Result<u32, Errno>) -> Result<(), Errno> {
        let index = u32::try_from(user_data / 4).map_err(|_| Errno::OVERFLOW)?;
        let slot = self.slots[index as usize].as_mut();
        let connection = slot.expect("a slot is not emptied while something is in flight");
        match (user_data % 4, result) {
            (RECV, Ok(0)) => connection.is_over = true,
            (RECV, Ok(count)) => (connection.filled, connection.sent) = (count, 0),
            (SEND, Ok(count)) => connection.sent += count,
            // Cancelled by the timeout, or the peer is gone. It need not be told apart here.
            (RECV | SEND, Err(_)) => connection.is_over = true,
            // How the transfer went tells all.
            _ => debug_assert_eq!(user_data % 4, IDLE),
        }
        connection.in_flight -= 1;
        if connection.in_flight == 0 { self.carry_on(index) } else { Ok(()) }
    }

    /// Pushes what a connection waits for next, or closes it. Nothing of it is in flight.
    fn carry_on(&mut self, index: u32) -> Result<(), Errno> {
        let slot = &mut self.slots[index as usize];
        let Some(connection) = slot.as_mut().filter(|connection| !connection.is_over) else {
            *slot = None;
            self.free.push(index);
            return Ok(());
        };
        let user_data = 4 * u64::from(index);
        let Connection { socket, filled, sent, .. } = &*connection;
        let transfer = if sent < filled {
            let buf = self.engine.block(index as usize, *sent);
            let send = Send::new(socket, buf, filled - sent).flags(SendFlags::NOSIGNAL);
            send.sqe(user_data + SEND)
        } else {
            let buf = self.engine.block(index as usize, 0);
            Recv::new(socket, buf, BLOCK).sqe(user_data + RECV)
        };
        let timeout = LinkTimeout::new(self.idle).sqe(user_data + IDLE);
        connection.in_flight = 2;
        // SAFETY:
        // 1. The memory lies in block `index`: `filled` is at most `BLOCK`. The time is leaked.
        // 2. Only this connection uses the block, and it has nothing else in flight.
        // 3. The socket is closed with the slot, above, when nothing is in flight; or by `drop`
        //    of the server, after that of the engine, which reaps or cancels both entries.
        unsafe { self.engine.push(&[transfer.link(), timeout]) }
    }
}
