//! A TCP echo server on the safe front: `#![forbid(unsafe_code)]`.
//!
//! Shows how to
//!
//! - accept with one operation for many connections, into slots of the ring's file table, and
//!   go on when descriptors run out;
//! - receive with one operation for each connection, into buffers that all connections share, and
//!   send back from where the bytes lie: nothing is copied, and an idle connection has no buffer;
//! - keep the bytes of a connection in order, and stop receiving from a peer that takes nothing;
//! - go on when every buffer is in use;
//! - close idle connections by a coarse clock: one timeout in flight for all of them.
//!
//! There are three kinds of jobs: the listener's, the clock's, and those of connections. A
//! connection has a job that receives until the end, and while bytes are on their way back, one
//! that sends. What both need to know of each other is in a table, by the connection's number.
#![forbid(unsafe_code)]

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::process::ExitCode;

use ringbolt::Timespec;
use ringbolt::jobs::{Cause, Event, Key, OwnedJobs, Received, SafeRing, Slot};
use ringbolt::ops::{Accept, Fixed, Group, Multi, Op, Recv, Send, Timeout};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::net::{SendFlags, listen, sockopt};
use ringbolt::rustix::process::{Resource, getrlimit};

const HELP: &str = "\
Usage: echo [OPTION]...
Sends back what TCP clients send, through io_uring. The first line on standard output tells the
address that is listened on.

      --listen ADDR:PORT  where to listen; port 0 is any that is free (127.0.0.1:0)
      --idle SECONDS      closes connections whose peer neither sends nor takes anything for
                          so long, such as 2.5 (60); it may take an eighth longer
      --connections N     how many at once (1 to 16000; 4096)
  -h, --help              shows this text
";

/// What the command line asks for.
struct Options {
    listen: SocketAddr,
    idle: Duration,
    connections: u32,
}

/// The length of a buffer, in bytes.
const BLOCK: u32 = 4096;

/// The most buffers.
const BUFFERS: u32 = 256;

/// Buffers that wait to be sent back to one peer, after which no more is received from it.
const MAX_WAITING: usize = 4;

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// Slots of the file table beyond those of connections: a connection is accepted before it is
/// refused, and a slot is free some time after its connection is gone.
const SPARE_SLOTS: u32 = 16;

/// How many ticks of the clock make the idle time.
const TICKS: u32 = 8;

/// How long an accept that failed is not repeated.
const BACKOFF: Timespec = Timespec::new(0, 100_000_000);

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

/// Prints one line on standard error. If that fails, nothing else can be done.
fn report(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "echo: {line}");
}

enum Never {}

/// Serves until something fails that concerns all connections.
fn serve(options: &Options) -> Result<Never, String> {
    let connections = options.connections;
    // A receive and a send for each connection, the listener, and the clock.
    let places = 2 * connections + 2;
    // More than this is rarely submitted at once; it is a limit for nothing else.
    let ring = SafeRing::new(places.min(1024)).map_err(|error| error.to_string())?;
    let mut jobs = ring.into_jobs(places);
    reserve_slots(&mut jobs, connections + SPARE_SLOTS)
        .map_err(|errno| format!("no file table for {connections} connections: {errno}"))?;
    let count = (2 * connections).next_power_of_two().min(BUFFERS);
    let count = u16::try_from(count).map_err(|error| error.to_string())?;
    let group = jobs
        .provide(count, BLOCK)
        .map_err(|errno| format!("no {count} buffers of {BLOCK} bytes: {errno}"))?;

    let of_address = |error: io::Error| format!("{}: {error}", options.listen);
    let listener = TcpListener::bind(options.listen).map_err(of_address)?;
    // Only makes the queue longer: it listens already.
    listen(&listener, BACKLOG).map_err(|errno| of_address(errno.into()))?;
    // Connections inherit it. It has no effect on what is echoed, only on when.
    let _ = sockopt::set_tcp_nodelay(&listener, true);
    let address = listener.local_addr().map_err(of_address)?;
    // Whoever started this waits for the line: it must not stay in a buffer.
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on {address}")
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("standard output: {error}"))?;

    let server = Server {
        group,
        connections: (0..connections).map(|_| None).collect(),
        free: (0..connections).rev().collect(),
        dry: Vec::new(),
        sending: 0,
        now: 0,
        last_report: None,
    };
    server.run(jobs, listener, options.idle).map_err(|cause| format!("the ring: {cause}"))
}

/// Makes a file table with `slots` slots, or with as many as this process may have.
fn reserve_slots(jobs: &mut OwnedJobs<Task>, slots: u32) -> Result<(), Errno> {
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX);
    jobs.reserve_files(slots.min(limit))
}

/// The values of jobs.
enum Task {
    /// Takes connections; after a failure, waits for a while first.
    Listen { listener: TcpListener, pause: Timespec },
    /// Waits for one tick of the clock.
    Tick(Timespec),
    /// Receives from connection `index`.
    Receive { index: u32, socket: Fixed, group: Group },
    /// Sends back to connection `index` what it has sent.
    Send { index: u32, socket: Fixed, data: Received },
}

impl Task {
    /// The operations that go on.
    fn multi(&self) -> Multi<'_> {
        match self {
            Self::Listen { listener, .. } => Accept::lent(listener).in_slot().multi(),
            Self::Receive { socket, group, .. } => Recv::group(*socket, *group).multi(),
            Self::Tick(_) | Self::Send { .. } => unreachable!("it completes once"),
        }
    }

    /// The operations that complete once.
    fn once(&mut self) -> Op<'_> {
        match self {
            Self::Listen { pause, .. } => Timeout::lent(pause).op(),
            Self::Tick(time) => Timeout::lent(time).op(),
            // A short send would be an error: the kernel sends the rest when there is room.
            Self::Send { socket, data, .. } => {
                Send::lent(*socket, &*data).whole().flags(SendFlags::NOSIGNAL).op()
            }
            Self::Receive { .. } => unreachable!("it goes on"),
        }
    }
}

/// One connection.
struct Connection {
    slot: Slot,
    /// The tick at which it last received or sent.
    active: u32,
    /// The jobs in flight.
    receiving: Option<Key>,
    sending: Option<Key>,
    /// What is to be sent when the present send is done.
    waiting: VecDeque<Received>,
    /// Nothing more is received: the peer has ended, or the connection has failed.
    is_over: bool,
    /// It receives again when a buffer has come back.
    is_dry: bool,
}

struct Server {
    group: Group,
    connections: Vec<Option<Connection>>,
    free: Vec<u32>,
    /// Connections that receive again when a buffer has come back, and some that did.
    dry: Vec<u32>,
    /// Sends in flight. While there are none, no connection is dry.
    sending: u32,
    /// Ticks of the clock.
    now: u32,
    /// What was reported last, so that it is not reported each time.
    last_report: Option<Errno>,
}

type Jobs = OwnedJobs<Task>;
type TaskEvent<'j> = Event<'j, 'static, 'static, Task>;

impl Server {
    fn run(
        mut self,
        mut jobs: Jobs,
        listener: TcpListener,
        idle: Duration,
    ) -> Result<Never, Cause> {
        let tick = Timespec::from((idle / TICKS).max(Duration::from_millis(1)));
        jobs.start_multi(Task::Listen { listener, pause: BACKOFF }, Task::multi)?;
        jobs.start(Task::Tick(tick), Task::once)?;
        loop {
            // Submits what the last events have started when there is none any more.
            let Some(mut event) = jobs.wait_next()? else { unreachable!("the clock goes on") };
            match *event {
                Task::Receive { index, .. } => {
                    let (data, result) = (event.received(), event.result());
                    let is_last = !event.has_more();
                    self.received(&mut jobs, index, data, result, is_last)?;
                }
                Task::Send { index, .. } => {
                    if self.sent(event, index)? {
                        self.sent_all(&mut jobs, index)?;
                    }
                }
                Task::Listen { .. } => {
                    if let Some(slot) = self.accepted(event)? {
                        self.connected(&mut jobs, slot)?;
                    }
                }
                Task::Tick(_) => {
                    event.expect_done().restart(Task::once)?;
                    self.now = self.now.wrapping_add(1);
                    self.give_up_idle(&mut jobs)?;
                }
            }
        }
    }

    /// A connection has come, or none can come. Goes on accepting.
    fn accepted(&mut self, mut event: TaskEvent<'_>) -> Result<Option<Slot>, Cause> {
        let slot = event.slot();
        match event.result() {
            // The peer has gone again already; or the pause after a failure is over.
            Ok(_) | Err(Errno::CONNABORTED | Errno::INTR | Errno::TIME) => {}
            Err(errno) => {
                // Out of slots or memory, most often. At once it would fail again.
                self.report_once(errno, format_args!("accept: {errno}; trying again"));
                if let Some(done) = event.done() {
                    done.restart(Task::once)?;
                }
                return Ok(None);
            }
        }
        if let Some(done) = event.done() {
            done.restart_multi(Task::multi)?;
        }
        Ok(slot)
    }

    /// Gives a new connection a number, or closes it if there is none.
    fn connected(&mut self, jobs: &mut Jobs, slot: Slot) -> Result<(), Cause> {
        let Some(index) = self.free.pop() else {
            let most = self.connections.len();
            self.report_once(Errno::USERS, format_args!("refusing more than {most} at once"));
            return Ok(());
        };
        self.last_report = None;
        let connection = Connection {
            slot,
            active: self.now,
            receiving: None,
            sending: None,
            waiting: VecDeque::new(),
            is_over: false,
            is_dry: false,
        };
        if let Some(place) = self.connections.get_mut(index as usize) {
            *place = Some(connection);
        }
        self.receive(jobs, index)
    }

    fn report_once(&mut self, errno: Errno, line: impl fmt::Display) {
        if self.last_report != Some(errno) {
            self.last_report = Some(errno);
            report(line);
        }
    }

    /// The connection `index`, which is there as long as it has a job.
    fn connection(&mut self, index: u32) -> &mut Connection {
        let connection = self.connections.get_mut(index as usize).and_then(Option::as_mut);
        connection.expect("a connection is there as long as it has a job")
    }

    /// Receives from a connection that does not.
    fn receive(&mut self, jobs: &mut Jobs, index: u32) -> Result<(), Cause> {
        let (group, now) = (self.group, self.now);
        let connection = self.connection(index);
        (connection.is_dry, connection.active) = (false, now);
        let task = Task::Receive { index, socket: *connection.slot, group };
        connection.receiving = Some(jobs.start_multi(task, Task::multi)?);
        Ok(())
    }

    /// A connection has received something, or receives no more.
    fn received(
        &mut self,
        jobs: &mut Jobs,
        index: u32,
        data: Option<Received>,
        result: Result<u32, Errno>,
        is_last: bool,
    ) -> Result<(), Cause> {
        let (now, sending) = (self.now, self.sending);
        let connection = self.connection(index);
        if is_last {
            connection.receiving = None;
        }
        match (result, data) {
            (Ok(_), Some(data)) if connection.sending.is_none() => {
                connection.active = now;
                let task = Task::Send { index, socket: *connection.slot, data };
                connection.sending = Some(jobs.start(task, Task::once)?);
                self.sending += 1;
            }
            (Ok(_), Some(data)) => {
                connection.waiting.push_back(data);
                if let (MAX_WAITING, Some(key)) = (connection.waiting.len(), connection.receiving) {
                    jobs.cancel(key)?;
                }
            }
            (Err(Errno::NOBUFS), _) if sending > 0 => {
                connection.is_dry = true;
                self.dry.push(index);
            }
            // Buffers have come back meanwhile; or it was cancelled, for some time or for good.
            (Err(Errno::NOBUFS | Errno::CANCELED | Errno::INTR), _) => {}
            // The peer has ended, or is gone.
            _ => connection.is_over = true,
        }
        if is_last { self.carry_on(jobs, index) } else { Ok(()) }
    }

    /// A send has ended. Sends what waits, in place. Returns whether nothing is sent any more.
    fn sent(&mut self, event: TaskEvent<'_>, index: u32) -> Result<bool, Cause> {
        let now = self.now;
        let mut done = event.expect_done();
        let connection = self.connection(index);
        connection.active = now;
        if done.result().is_err() {
            connection.is_over = true;
            connection.waiting.clear();
        }
        if let (Some(next), Task::Send { data, .. }) = (connection.waiting.pop_front(), &mut *done)
        {
            *data = next;
            done.restart(Task::once)?;
            return Ok(false);
        }
        connection.sending = None;
        self.sending -= 1;
        Ok(true)
    }

    /// Nothing is sent to a connection any more.
    fn sent_all(&mut self, jobs: &mut Jobs, index: u32) -> Result<(), Cause> {
        let connection = self.connection(index);
        match connection.receiving {
            None => self.carry_on(jobs, index)?,
            Some(key) if connection.is_over => jobs.cancel(key)?,
            Some(_) => {}
        }
        // The buffer has come back. Without a send there may be others that nobody waits for.
        while let Some(index) = self.dry.pop() {
            let connection = self.connections.get(index as usize).and_then(Option::as_ref);
            if connection.is_some_and(|connection| connection.is_dry) {
                self.receive(jobs, index)?;
                if self.sending > 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// A connection receives nothing: has it receive again, or closes it, if nothing is sent.
    fn carry_on(&mut self, jobs: &mut Jobs, index: u32) -> Result<(), Cause> {
        let connection = self.connection(index);
        if connection.sending.is_some() || connection.is_dry && !connection.is_over {
            return Ok(());
        }
        if !connection.is_over {
            return self.receive(jobs, index);
        }
        if let Some(place) = self.connections.get_mut(index as usize) {
            *place = None;
        }
        self.free.push(index);
        Ok(())
    }

    /// Ends connections that have been idle for too long. They are closed when their jobs end.
    fn give_up_idle(&mut self, jobs: &mut Jobs) -> Result<(), Cause> {
        for index in 0..u32::try_from(self.connections.len()).unwrap_or(u32::MAX) {
            let now = self.now;
            let Some(Some(connection)) = self.connections.get_mut(index as usize) else { continue };
            if now.wrapping_sub(connection.active) <= TICKS {
                continue;
            }
            connection.is_over = true;
            connection.waiting.clear();
            let keys = [connection.receiving, connection.sending];
            for key in keys.into_iter().flatten() {
                jobs.cancel(key)?;
            }
            if keys == [None; 2] {
                self.carry_on(jobs, index)?;
            }
        }
        Ok(())
    }
}
