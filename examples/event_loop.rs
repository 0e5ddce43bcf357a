//! A ring in an event loop: mio sleeps on other things, too, and wakes for completions.
//!
//! Shows the two ways to wake a loop around epoll. A thread's own ring ([`IoUring::local`]) defers
//! its work until the thread enters it, so its descriptor never wakes anybody: an eventfd does. A
//! ring with default flags posts completions by itself, so its descriptor is enough.
//!
//! After each wake-up, and after each submission, `get_events` brings in what is there and makes no
//! system call when there is nothing; the loop sleeps only when there is nothing left.
#![allow(clippy::indexing_slicing, reason = "places are named by index; a wrong one is a bug here")]

use core::cell::Cell;
use core::time::Duration;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;
use std::thread;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use ringbolt::IoUring;
use ringbolt::ops::Read;
use ringbolt::rustix::event::{EventfdFlags, eventfd};
use ringbolt::rustix::fd::{AsRawFd, OwnedFd};
use ringbolt::rustix::io::read;
use ringbolt::rustix::pipe::{PipeFlags, pipe_with};

const HELP: &str = "\
Usage: event_loop [--descriptor] [COUNT]
Receives COUNT messages (10000 if not given) from a thread by reads on a ring, in an event loop of
mio, and prints how many completions came and how often the loop was woken or interrupted.

  --descriptor  a ring with default flags, whose own descriptor is watched; without this, the ring
                of a thread, which is watched by an eventfd
  -h, --help    shows this text
";

/// Reads in flight at a time.
const READS: usize = 8;

/// Bytes of a message: a pipe gives and takes them whole.
const MESSAGE: u32 = u64::BITS / 8;

/// What happened.
#[derive(Default)]
struct Counts {
    completions: u64,
    wake_ups: u64,
    /// Sleeps that ended early, as by a signal: a ring with default flags does that to the thread
    /// when an operation becomes ready, and the start of a worker thread does it on any ring.
    interruptions: u64,
}

/// A ring for any thread, or for this one alone.
type Ring<T> = IoUring<ringbolt::Sqe, ringbolt::Cqe, T>;

fn main() -> ExitCode {
    let outcome = match parse(lexopt::Parser::from_env()) {
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Ok(Some((true, count))) => with_descriptor(count),
        Ok(Some((false, count))) => with_eventfd(count),
        Err(error) => {
            eprintln!("event_loop: {error} (try 'event_loop --help')");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(Counts { completions, wake_ups, interruptions }) => {
            println!(
                "{completions} completions, {wake_ups} wake-ups, {interruptions} interruptions"
            );
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("event_loop: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the ring's descriptor is watched, and how many messages; `None` for help.
fn parse(mut parser: lexopt::Parser) -> Result<Option<(bool, u64)>, lexopt::Error> {
    use lexopt::prelude::*;

    let (mut descriptor, mut count) = (false, 10_000);
    while let Some(arg) = parser.next()? {
        match arg {
            Long("descriptor") => descriptor = true,
            Value(value) => count = value.parse()?,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some((descriptor, count)))
}

/// With a thread's own ring. The eventfd is signalled when there is work to bring in.
fn with_eventfd(count: u64) -> io::Result<Counts> {
    let ring = IoUring::local(32)?;
    let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    ring.registrar().register_eventfd(&event)?;
    let fd = event.as_raw_fd();
    receive(ring, fd, count, || {
        // Back to zero, or a loop that is level-triggered would not sleep.
        let _ = read(&event, &mut [0; 8]);
    })
}

/// With a ring whose descriptor is readable while completions wait.
fn with_descriptor(count: u64) -> io::Result<Counts> {
    let ring = IoUring::new(32)?;
    let fd = ring.as_raw_fd();
    receive(ring, fd, count, || {})
}

/// Receives `count` messages, sleeping on `watched`. Returns what happened.
fn receive<T>(ring: Ring<T>, watched: i32, count: u64, woken: impl Fn()) -> io::Result<Counts> {
    let mut poll = Poll::new()?;
    poll.registry().register(&mut SourceFd(&watched), Token(0), Interest::READABLE)?;
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let sender = thread::spawn(move || send(writer, count));
    let mut reads = Reads::new(ring, reader);
    for place in 0..READS {
        reads.start(place)?;
    }
    let (mut events, mut counts) = (Events::with_capacity(8), Counts::default());
    while !reads.bring_in(count)? {
        match poll.poll(&mut events, Some(Duration::from_secs(10))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => counts.interruptions += 1,
            Err(error) => return Err(error),
            Ok(()) if events.is_empty() => return Err(ErrorKind::TimedOut.into()),
            Ok(()) => {
                counts.wake_ups += 1;
                woken();
            }
        }
    }
    counts.completions = reads.received;
    reads.end();
    sender.join().map_err(|_| io::Error::other("the sender has panicked"))??;
    Ok(counts)
}

/// Sends messages at an uneven pace.
fn send(writer: OwnedFd, count: u64) -> io::Result<()> {
    let mut writer = std::fs::File::from(writer);
    for number in 0..count {
        writer.write_all(&number.to_ne_bytes())?;
        if number % 64 == 0 {
            thread::sleep(Duration::from_micros(number % 512));
        }
    }
    Ok(())
}

/// A ring with reads in flight, and the memory that they use.
struct Reads<T> {
    /// `None` when it was closed.
    ring: Option<Ring<T>>,
    reader: OwnedFd,
    /// Leaked, and so valid whatever becomes of the reads.
    places: &'static [Cell<[u8; 8]>; READS],
    in_flight: u32,
    received: u64,
    sum: u64,
}

impl<T> Reads<T> {
    fn new(ring: Ring<T>, reader: OwnedFd) -> Self {
        let places = Box::leak(Box::new([const { Cell::new([0; 8]) }; READS]));
        Self { ring: Some(ring), reader, places, in_flight: 0, received: 0, sum: 0 }
    }

    /// Starts the next read into a place that no read uses.
    fn start(&mut self, place: usize) -> io::Result<()> {
        let Some(ring) = &mut self.ring else { return Ok(()) };
        let into = self.places[place].as_ptr().cast();
        let entry = Read::new(&self.reader, into, MESSAGE).sqe(place as u64);
        // SAFETY: the place is leaked, and is looked at when its completion has been popped; the
        // pipe is closed after the ring.
        unsafe { ring.submission().push(entry) }.map_err(io::Error::other)?;
        self.in_flight += 1;
        Ok(())
    }

    /// Submits, and takes completions until there are none. Returns whether all have come.
    fn bring_in(&mut self, count: u64) -> io::Result<bool> {
        loop {
            let Some(ring) = &mut self.ring else { return Ok(true) };
            ring.submit()?;
            ring.get_events()?;
            let Some(cqe) = ring.completion().pop() else {
                return Ok(self.received == count);
            };
            self.in_flight -= 1;
            let place = usize::try_from(cqe.user_data()).map_err(io::Error::other)?;
            // 0 when the sender has closed its end.
            if cqe.result()? == MESSAGE {
                self.received += 1;
                self.sum += u64::from_ne_bytes(self.places[place].get());
                self.start(place)?;
            }
        }
    }

    /// Ends what is in flight, and closes the ring.
    fn end(&mut self) {
        if let Some(ring) = self.ring.take() {
            let closed =
                ring.close_when_idle(self.in_flight, Duration::from_secs(5), |left| left.is_last());
            if let Err(error) = closed {
                // The reads go on into leaked memory, and the ring stays.
                eprintln!("event_loop: {error}");
                core::mem::forget(error.ring);
            }
        }
    }
}

impl<T> Drop for Reads<T> {
    fn drop(&mut self) {
        self.end();
    }
}
