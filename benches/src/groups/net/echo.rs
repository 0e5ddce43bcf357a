//! TCP echo on loopback: a server on one CPU, and on another one the clients, the same for each
//! server. Each connection has one message under way.
//!
//! The CPU time is that of the server's thread alone. Connections, rings and threads are there
//! before the first slice, and stay until the last.

use core::mem;
use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use ringbolt::IoUring;
use ringbolt::sys::Features;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::load::Load;
use super::watch::Watch;
use super::{echo_peer, echo_rings};
use crate::Spent;
use crate::clock::thread_cpu;
use crate::contest::{Case, Contest, Who};

/// How many connections there are.
const COUNTS: [u32; 3] = [1, 32, 256];

/// Serves `connections` until the desk is closed.
type Serve = fn(Vec<OwnedFd>, Desk);

/// Holds the cases.
pub(super) fn run(contest: &mut Contest) {
    let mut cpus = None;
    for (variant, needs, ours, theirs) in [
        (
            "tcp",
            Features::empty(),
            echo_rings::multishot as Serve,
            Some(echo_peer::multishot as Serve),
        ),
        ("tcp-gather", Features::MIN_TIMEOUT, echo_rings::gathering, None),
        ("tcp-plain", Features::empty(), echo_rings::plain, None),
    ] {
        for count in COUNTS {
            let Some(mut case) = contest.case("net", variant, count, count) else { continue };
            if !IoUring::new(1).expect("a ring").features().contains(needs) {
                contest.note(format!("skipped: {variant}: kernel lacks {needs:?}"));
                break;
            }
            let cpus = cpus.get_or_insert_with(|| Cpus::choose(contest));
            // Long enough for connections to get in and out of step.
            case.slice(Duration::from_millis(40));
            enter(&mut case, cpus, count, Who::Ringbolt, ours);
            if let Some(theirs) = theirs {
                enter(&mut case, cpus, count, Who::IoUring, theirs);
            }
            enter(&mut case, cpus, count, Who::Epoll, readiness);
            if variant == "tcp" && count == 32 {
                case.headline();
            }
            contest.hold(case);
        }
    }
}

fn enter(case: &mut Case<'_>, cpus: &Cpus, count: u32, who: Who, serve: Serve) {
    let (clients, connections) = connect(count).expect("connections on loopback");
    let load = Load::new(clients).expect("an epoll instance");
    let mut sides = Sides { load, server: Server::start(*cpus, connections, serve) };
    let cpu = cpus.load;
    case.enter_timed(who, move |turns, latencies| {
        let Sides { load, server } = &mut sides;
        let home = cpu.map(Pinned::to);
        let messages = turns * u64::from(count);
        server.order(messages);
        let start = Instant::now();
        load.run(messages, latencies);
        let wall = start.elapsed();
        drop(home);
        Spent { wall, cpu: server.bill() }
    });
}

/// Both sides. The clients go first: a server that waits for them is then told.
struct Sides {
    load: Load,
    server: Server,
}

/// Both ends of `count` connections.
fn connect(count: u32) -> io::Result<(Vec<OwnedFd>, Vec<OwnedFd>)> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let address = listener.local_addr()?;
    let mut ends = (Vec::new(), Vec::new());
    for _ in 0..count {
        let client = TcpStream::connect(address)?;
        let (server, _) = listener.accept()?;
        for end in [&client, &server] {
            end.set_nodelay(true)?;
        }
        ends.0.push(client.into());
        ends.1.push(server.into());
    }
    Ok(ends)
}

/// Where both sides run, if there is a choice.
#[derive(Clone, Copy, Debug)]
struct Cpus {
    server: Option<usize>,
    load: Option<usize>,
}

impl Cpus {
    /// The first two that this thread may run on.
    fn choose(contest: &mut Contest) -> Self {
        let allowed = sched_getaffinity(None).unwrap_or_default();
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        match (cpus.next(), cpus.next()) {
            (server, load @ Some(_)) => Self { server, load },
            _ => {
                contest.note("net/tcp: server and clients share one CPU");
                Self { server: None, load: None }
            }
        }
    }
}

/// This thread is on one CPU, and is where it was before when this is dropped.
#[derive(Debug)]
struct Pinned(CpuSet);

impl Pinned {
    fn to(cpu: usize) -> Self {
        let before = sched_getaffinity(None).expect("the CPUs of this thread");
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only).expect("a CPU that is allowed");
        Self(before)
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // Where it is is good enough for what follows.
        let _ = sched_setaffinity(None, &self.0);
    }
}

/// A server on a thread of its own.
#[derive(Debug)]
struct Server {
    orders: Sender<u64>,
    bills: Receiver<Duration>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(cpus: Cpus, connections: Vec<OwnedFd>, serve: Serve) -> Self {
        let (orders, taken) = channel();
        let (sent, bills) = channel();
        let desk = Desk { orders: taken, bills: sent };
        let thread = thread::spawn(move || {
            let pinned = cpus.server.map(Pinned::to);
            serve(connections, desk);
            drop(pinned);
        });
        Self { orders, bills, thread: Some(thread) }
    }

    /// Has so many messages echoed.
    fn order(&self, messages: u64) {
        self.orders.send(messages).expect("a server that runs");
    }

    /// The CPU time that the order took.
    fn bill(&self) -> Duration {
        self.bills.recv().expect("a server that runs")
    }
}

impl Drop for Server {
    /// Ends the thread: what is measured next must not find the process with several.
    fn drop(&mut self) {
        drop(mem::replace(&mut self.orders, channel().0));
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            eprintln!("a server has failed");
        }
    }
}

/// Where a server takes its orders, and says what they cost.
#[derive(Debug)]
pub(super) struct Desk {
    orders: Receiver<u64>,
    bills: Sender<Duration>,
}

impl Desk {
    /// Has each order carried out: so many messages to be echoed.
    pub(super) fn attend(self, mut serve: impl FnMut(u64)) {
        for messages in self.orders {
            let before = thread_cpu();
            serve(messages);
            if self.bills.send(thread_cpu().saturating_sub(before)).is_err() {
                return;
            }
        }
    }
}

/// Waits for events, receives what they tell and sends it back, as an event loop does.
fn readiness(connections: Vec<OwnedFd>, desk: Desk) {
    let mut watch = Watch::new(&connections).expect("an epoll instance");
    let mut message = [0; 4096];
    desk.attend(|messages| {
        let mut left = messages;
        while left > 0 {
            for index in watch.ready() {
                let connection = connections.get(index).expect("one of them");
                echo(connection, &mut message).expect("a message");
                left -= 1;
            }
        }
    });
}

#[inline(always)]
fn echo(connection: &OwnedFd, message: &mut [u8]) -> Result<usize, Errno> {
    let (received, _) = recv(connection, &mut *message, RecvFlags::empty())?;
    send(connection, message.get(..received).unwrap_or_default(), SendFlags::NOSIGNAL)
}
