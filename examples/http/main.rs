//! A server of static files over HTTP/1.1, on the safe front: `#![forbid(unsafe_code)]`.
//!
//! Shows how to
//!
//! - serve a connection by one job that is started again in its place: receive, open, answer;
//! - link the send of an answer to the read of what it has, with one completion for both;
//! - splice large files through a pipe, without a thread of the kernel that waits for a client;
//! - open files without leaving a directory, whatever the path says (`OpenAt2`);
//! - keep files open, and memory for answers only as long as there is one to send.
//!
//! What `echo` shows is not explained again: accepting into slots, going on when descriptors run
//! out, and a coarse clock that ends slow connections.
//!
//! [`client`] has the operations of a connection, [`server`] decides which of them is next.
//! [`request`] is what a client asks for, [`response`] what it is answered, [`files`] what is open.
#![forbid(unsafe_code)]

mod client;
mod files;
mod request;
mod response;
mod server;

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;

use ringbolt::jobs::SafeRing;
use ringbolt::rustix::fs::{Mode, OFlags, open};
use ringbolt::rustix::net::{listen, sockopt};
use ringbolt::rustix::process::{Resource, getrlimit};

use files::Files;
use server::{Never, Server};

const HELP: &str = "\
Usage: http [OPTION]... [DIRECTORY]
Serves the files in DIRECTORY, or in the working directory, over HTTP/1.1, through io_uring. The
first line on standard output tells the address that is listened on.

      --listen ADDR:PORT  where to listen; port 0 is any that is free (127.0.0.1:0)
      --timeout SECONDS   closes connections that have not sent a whole request, or taken the next
                          64 KiB of an answer, for so long, such as 2.5 (60); it may take an
                          eighth longer
      --connections N     how many at once (1 to 16000; 4096)
      --reopen            opens the file for each request; otherwise files are kept open, and
                          what has replaced one at its path is seen after at most a second
  -h, --help              shows this text
";

/// What the command line asks for.
struct Options {
    root: PathBuf,
    listen: SocketAddr,
    timeout: Duration,
    connections: u32,
    reopen: bool,
}

/// Connections that the kernel keeps until they are accepted.
const BACKLOG: i32 = 4096;

/// Slots of the file table beyond those of connections: a connection is accepted before it is
/// refused, and a slot is free some time after its connection is gone.
const SPARE_SLOTS: u32 = 16;

/// The most files that are kept open.
const MOST_OPEN: usize = 1024;

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
            report(format_args!("{error} (try 'http --help')"));
            ExitCode::from(2)
        }
    }
}

/// The options, or `None` if help is asked for.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let mut listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let (mut timeout, mut connections, mut reopen) = (60.0, 4096, false);
    let mut root = None;
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("listen") => listen = parser.value()?.parse()?,
            Long("timeout") => timeout = parser.value()?.parse()?,
            Long("connections") => connections = parser.value()?.parse()?,
            Long("reopen") => reopen = true,
            Value(path) if root.is_none() => root = Some(PathBuf::from(path)),
            _ => return Err(arg.unexpected()),
        }
    }
    // The longest is a year: ticks of the clock are counted.
    let timeout = match Duration::try_from_secs_f64(timeout) {
        Ok(timeout) if !timeout.is_zero() && timeout <= Duration::from_secs(31_536_000) => timeout,
        _ => return Err("--timeout is a number of seconds greater than 0".into()),
    };
    if !(1..=16_000).contains(&connections) {
        return Err("--connections is from 1 to 16000".into());
    }
    let root = root.unwrap_or_else(|| PathBuf::from("."));
    Ok(Some(Options { root, listen, timeout, connections, reopen }))
}

/// Prints one line on standard error. If that fails, nothing else can be done.
fn report(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "http: {line}");
}

/// Serves until something fails that concerns all connections.
fn serve(options: &Options) -> Result<Never, String> {
    let connections = options.connections;
    let root =
        open(&options.root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map_err(|errno| format!("{}: {}", options.root.display(), io::Error::from(errno)))?;
    // One for each connection, the listener, and the clock.
    let places = connections + 2;
    // More than this is rarely submitted at once; it is a limit for nothing else.
    let ring = SafeRing::new(places.clamp(8, 1024)).map_err(|error| error.to_string())?;
    let mut jobs = ring.into_jobs(places);
    let limit = getrlimit(Resource::Nofile).current;
    let limit = limit.and_then(|limit| u32::try_from(limit).ok()).unwrap_or(u32::MAX);
    jobs.reserve_files((connections + SPARE_SLOTS).min(limit))
        .map_err(|errno| format!("no file table for {connections} connections: {errno}"))?;

    let of_address = |error: io::Error| format!("{}: {error}", options.listen);
    let listener = TcpListener::bind(options.listen).map_err(of_address)?;
    // Only makes the queue longer: it listens already.
    listen(&listener, BACKLOG).map_err(|errno| of_address(errno.into()))?;
    // Connections inherit it. It has no effect on what is sent, only on when.
    let _ = sockopt::set_tcp_nodelay(&listener, true);
    let address = listener.local_addr().map_err(of_address)?;
    // Whoever started this waits for the line: it must not stay in a buffer.
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "listening on {address}")
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("standard output: {error}"))?;

    let files = Files::new(if options.reopen { 0 } else { MOST_OPEN.min(limit as usize / 4) });
    let server = Server::new(root, files, connections);
    server.run(jobs, listener, options.timeout).map_err(|cause| format!("the ring: {cause}"))
}
