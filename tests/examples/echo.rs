//! What `echo` does.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Instant;

use crate::common::{PATIENCE, require};
use crate::read::stop_and_continue;
use crate::{assert_fails, command, noise, path_of, run};
use ringbolt::sys::Opcode;

/// Receives that go on came with it.
const AS_OF_6_0: Opcode = Opcode::SEND_ZC;

/// An echo server, killed when dropped.
struct Echo {
    child: Child,
    address: SocketAddr,
}

impl Echo {
    fn start(args: &[&str]) -> Self {
        Self::start_by(&mut command("echo", args))
    }

    fn start_by(command: &mut Command) -> Self {
        let mut child = command.spawn().expect("the example starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").expect("an address");
        let address = address.parse().expect("an address");
        Self { child, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        // Of what never comes, a test is to tell.
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Ends the server, and returns what it has reported.
    fn stop(mut self) -> String {
        self.child.kill().unwrap();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        stderr
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends `bytes`, and fails unless just they come back.
#[track_caller]
fn assert_echoes(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("the server takes bytes");
    let mut echoed = vec![0; bytes.len()];
    stream.read_exact(&mut echoed).expect("the server sends them back");
    assert!(echoed == bytes);
}

/// How many bytes come, 0 or 1. A read with a time limit is not begun again by itself when the end
/// of another ring, of this process, interrupts it.
fn read_one(stream: &mut TcpStream) -> std::io::Result<usize> {
    loop {
        match stream.read(&mut [0; 1]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[test]
fn sends_back_what_many_clients_send() {
    require!(op: AS_OF_6_0);
    let server = Echo::start(&[]);
    let mut streams: Vec<_> = (0..500).map(|_| server.connect()).collect();
    for round in 0..3_u8 {
        for (number, stream) in (0_u32..).zip(&mut streams) {
            stream.write_all(&[&number.to_le_bytes()[..], &[round; 100]].concat()).unwrap();
        }
        for (number, stream) in (0_u32..).zip(&mut streams) {
            let mut echoed = [0; 104];
            stream.read_exact(&mut echoed).unwrap();
            assert_eq!(echoed[..4], number.to_le_bytes());
            assert_eq!(echoed[4..], [round; 100]);
        }
    }
    drop(streams);
    assert_eq!(server.stop(), "");
}

#[test]
fn sends_back_large_messages_from_several_threads() {
    require!(op: AS_OF_6_0);
    let server = Echo::start(&[]);
    thread::scope(|scope| {
        for part in 0..4 {
            let server = &server;
            scope.spawn(move || {
                let bytes = &noise(8 << 20)[part..];
                let mut stream = server.connect();
                let mut sender = stream.try_clone().unwrap();
                let sent = thread::spawn({
                    let bytes = bytes.to_vec();
                    move || {
                        sender.write_all(&bytes).unwrap();
                        sender.shutdown(Shutdown::Write).unwrap();
                    }
                });
                // The server's sends find no room, and are short.
                thread::sleep(Duration::from_millis(100));
                let mut echoed = Vec::new();
                stream.read_to_end(&mut echoed).unwrap();
                assert!(echoed == bytes);
                sent.join().unwrap();
            });
        }
    });
}

#[test]
fn closes_a_connection_whose_peer_is_idle_and_no_other() {
    require!(op: AS_OF_6_0);
    let server = Echo::start(&["--idle", "1"]);
    let begin = Instant::now();
    let mut idle = server.connect();
    let mut busy = server.connect();
    let watcher = thread::spawn(move || {
        assert_eq!(read_one(&mut idle).expect("closed, without an error"), 0);
        begin.elapsed()
    });
    while !watcher.is_finished() || begin.elapsed() < Duration::from_millis(1500) {
        assert_echoes(&mut busy, b"still here");
        thread::sleep(Duration::from_millis(50));
    }
    let after = watcher.join().unwrap();
    assert!(after >= Duration::from_millis(950), "closed after {after:?}");
    assert_echoes(&mut busy, b"still here");
}

#[test]
fn closes_a_connection_whose_peer_takes_nothing() {
    require!(op: AS_OF_6_0);
    let server = Echo::start(&["--idle", "0.5"]);
    let mut stream = server.connect();
    // Until the server can neither send nor, therefore, receive. Then it gives up.
    let error = loop {
        match stream.write_all(&[1; 65_536]) {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    let gone = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(gone.contains(&error.kind()), "{error}");
}

#[test]
fn uses_its_slots_again() {
    require!(op: AS_OF_6_0);
    let server = Echo::start(&["--connections", "2"]);
    for _ in 0..50 {
        let mut streams = [server.connect(), server.connect()];
        for stream in &mut streams {
            assert_echoes(stream, b"a slot");
        }
        for stream in &mut streams {
            stream.shutdown(Shutdown::Write).unwrap();
            assert_eq!(read_one(stream).unwrap(), 0);
        }
    }
    assert_eq!(server.stop(), "");
}

#[test]
fn refuses_more_connections_than_it_has_room_for() {
    require!(op: AS_OF_6_0);
    let server = Echo::start(&["--connections", "2"]);
    let mut streams = [server.connect(), server.connect()];
    for stream in &mut streams {
        assert_echoes(stream, b"a slot");
    }
    let mut third = server.connect();
    // Closed at once, with or without an error.
    assert!(!read_one(&mut third).is_ok_and(|count| count > 0));
    for stream in &mut streams {
        assert_echoes(stream, b"undisturbed");
    }
    assert_eq!(server.stop(), "echo: refusing more than 2 at once\n");
}

#[test]
fn survives_when_descriptors_run_out() {
    require!(op: AS_OF_6_0);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "ulimit -n 16 && exec \"$0\""]).arg(path_of("echo"));
    shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let server = Echo::start_by(&mut shell);
    let mut streams: Vec<_> = (0..32).map(|_| server.connect()).collect();
    assert_echoes(&mut streams[0], b"among the first");
    thread::sleep(Duration::from_millis(300));
    // The kernel has taken these, and the server will, as soon as the others are gone.
    let mut last = streams.pop().unwrap();
    drop(streams);
    assert_echoes(&mut last, b"at last");
    let stderr = server.stop();
    assert!(stderr.starts_with("echo: accept: Too many open files"), "{stderr}");
    assert!(stderr.lines().count() < 10, "{stderr}");
}

#[test]
fn reports_an_address_that_is_taken() {
    require!(op: AS_OF_6_0);
    let server = Echo::start(&[]);
    let address = server.address.to_string();
    assert_fails(&run("echo", &["--listen", &address]), 1, &format!("echo: {address}: Address"));
}

/// Goal: a server that is stopped and continued (Ctrl-Z, fg) serves on.
/// Method: while it waits for a connection, and while it waits for data of one.
#[test]
fn a_server_that_is_stopped_and_continued_serves_on() {
    require!(op: AS_OF_6_0);
    let echo = Echo::start(&[]);
    let pause = Duration::from_millis(5);
    let interrupt = || stop_and_continue(&echo.child, 5, pause, pause);
    interrupt();
    let mut stream = echo.connect();
    interrupt();
    assert_echoes(&mut stream, &noise(100_000));
    interrupt();
    assert_echoes(&mut stream, b"more");
    drop(stream);
    assert_eq!(echo.stop(), "");
}
