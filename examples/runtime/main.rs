//! An async runtime of one thread on the safe front, and an echo server as async functions.
//!
//! `executor` has the tasks and their loop, `op` makes futures of operations, and `net`, `fs` and
//! `time` are what a program uses.
#![forbid(unsafe_code)]

mod executor;
mod fs;
mod net;
mod op;
mod time;

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, Write as _};
use std::process::ExitCode;

use executor::{Handle, Runtime};
use fs::File;
use net::{Connection, Listener};
use op::Data;
use time::{sleep, timeout};

const HELP: &str = "\
Usage: runtime [OPTION]...
Sends back what TCP clients send, by async functions on io_uring. The first line on standard output
tells the address that is listened on.

      --listen ADDR:PORT  where to listen; port 0 is any that is free (127.0.0.1:0)
      --greet FILE        sends what is in the file to each client first
      --seconds N         ends after so many seconds
  -h, --help              shows this text
";

#[derive(Clone)]
struct Options {
    listen: SocketAddr,
    greet: Option<String>,
    seconds: Option<u64>,
}

fn main() -> ExitCode {
    let served = match parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => serve(&options),
        Ok(None) => io::stdout().write_all(HELP.as_bytes()),
        Err(error) => {
            eprintln!("runtime: {error} (try 'runtime --help')");
            return ExitCode::from(2);
        }
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The options, or `None` if help is asked for.
fn parse(mut parser: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    use lexopt::prelude::*;

    let listen = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut options = Options { listen, greet: None, seconds: None };
    while let Some(arg) = parser.next()? {
        match arg {
            Short('h') | Long("help") => return Ok(None),
            Long("listen") => options.listen = parser.value()?.parse()?,
            Long("greet") => options.greet = Some(parser.value()?.string()?),
            Long("seconds") => options.seconds = Some(parser.value()?.parse()?),
            _ => return Err(arg.unexpected()),
        }
    }
    Ok(Some(options))
}

fn serve(options: &Options) -> io::Result<()> {
    let runtime = Runtime::new(4096, 256)?;
    let handle = runtime.handle();
    let listener = Listener::bind(&handle, options.listen)?;
    // Whoever started this waits for the line: it must not stay in a buffer.
    writeln!(io::stdout(), "listening on {}", listener.local_addr()?)?;
    io::stdout().flush()?;
    let accepting = accept(handle.clone(), listener, options.clone());
    runtime.block_on(async {
        match options.seconds.map(Duration::from_secs) {
            None => accepting.await,
            Some(time) => timeout(&handle, time, accepting).await.map(|_| ()),
        }
    })?
}

/// Starts a task for each connection.
async fn accept(handle: Handle, mut listener: Listener, options: Options) -> io::Result<()> {
    loop {
        match listener.accept().await {
            Ok(connection) => {
                let (handle, greet) = (handle.clone(), options.greet.clone());
                // A peer that is gone concerns nobody else.
                handle.clone().spawn(async move {
                    let _ = echo(&handle, connection, greet.as_deref()).await;
                });
            }
            Err(error) => {
                eprintln!("runtime: accept: {error}; trying again");
                sleep(&handle, Duration::from_millis(100)).await?;
            }
        }
    }
}

/// Sends back what comes, until the end.
async fn echo(handle: &Handle, mut peer: Connection, greet: Option<&str>) -> io::Result<()> {
    if let Some(path) = greet {
        let mut file = File::open(handle, path).await?;
        let (mut bytes, len) = file.read_at(vec![0; 4096], 0).await?;
        bytes.truncate(len);
        peer.send(Data::Bytes(bytes)).await?;
    }
    while let Some(received) = peer.receive().await? {
        peer.send(Data::Received(received)).await?;
    }
    Ok(())
}
