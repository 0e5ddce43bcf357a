//! What `http` refuses and what it survives.

use core::net::SocketAddr;
use core::time::Duration;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Instant;

use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::{SocketCommand, SocketOption};
use ringbolt::rustix::net::{AddressFamily, SocketType, connect, socket};
use ringbolt::sys::Opcode;

use crate::common::{PATIENCE, require};
use crate::http::{Http, LARGE, assert_serves};
use crate::{assert_fails, noise, path_of, run, text};

#[test]
fn refuses_what_it_does_not_understand_and_closes_the_connection() {
    require!(op: Opcode::RECV);
    let server = Http::start(&[]);
    let many = "A: b\r\n".repeat(65);
    let long = format!("A: {}\r\n", "b".repeat(9000));
    for (request, status) in [
        ("POST / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        ("get / HTTP/1.1\r\nHost: h\r\n\r\n", 405),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 400),
        ("GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400),
        ("\0\r\n\r\n", 400),
        (&*format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n"), 431),
        (&*format!("GET / HTTP/1.1\r\nHost: h\r\n{long}\r\n"), 431),
        (&*format!("GET /{} HTTP/1.1\r\n", "a".repeat(9000)), 431),
    ] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let answer = client.answer();
        assert_eq!(answer.status, status, "{request:?}");
        assert_eq!(answer.field("Connection"), Some("close"));
        assert_eq!(answer.field("Allow"), (status == 405).then_some("GET, HEAD"));
        client.assert_closed();
    }
    // These are wanted to close.
    for request in [
        "GET /small.txt HTTP/1.1\r\nHost: h\r\nConnection: x, Close\r\n\r\n",
        "GET /small.txt HTTP/1.0\r\n\r\n",
    ] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("Connection")), (200, Some("close")));
        client.assert_closed();
    }
    assert_eq!(server.stop(), "");
}

/// Goal: no bytes bring the server down, nor keep it from serving others.
/// Method: requests that are changed at some bytes, cut, or repeated, and the end of what is sent.
#[test]
fn survives_requests_of_any_bytes() {
    require!(op: Opcode::RECV);
    let server = Http::start(&["--timeout", "1"]);
    let good =
        b"GET /small.txt?q HTTP/1.1\r\nHost: here\r\nRange: bytes=1-5\r\nIf-None-Match: \"a\"\
        \r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: a, b\r\n\r\n";
    let random = noise(1 << 16);
    let mut random = random.iter().copied();
    let mut next = move |below: usize| {
        let bytes = [random.next().unwrap(), random.next().unwrap()];
        usize::from(u16::from_le_bytes(bytes)) % below
    };
    for round in 0..500 {
        let mut bytes = good.repeat(1 + next(3));
        for _ in 0..next(8) {
            let (at, to) = (next(bytes.len()), next(256));
            // Often a byte that means something.
            let some = b"\r\n\0 :%/-=,\"";
            let to = some.get(to % 32).copied().unwrap_or(to.to_le_bytes()[0]);
            bytes[at] = to;
        }
        bytes.truncate(bytes.len() - next(bytes.len()));
        let mut client = server.connect();
        // It may be closed before everything is sent.
        let _ = client.0.get_mut().write_all(&bytes);
        let _ = client.0.get_mut().shutdown(Shutdown::Write);
        let mut answers = Vec::new();
        let _ = client.0.read_to_end(&mut answers);
        assert!(answers.is_empty() || answers.starts_with(b"HTTP/1.1 "), "{:?}", text(&answers));
        if round % 50 == 0 {
            assert_serves(&server);
        }
    }
    assert_serves(&server);
    assert_eq!(server.stop(), "");
}

#[test]
fn closes_connections_that_are_too_slow() {
    require!(op: Opcode::RECV);
    let server = Http::start(&["--timeout", "0.4"]);
    let begin = Instant::now();
    // One sends nothing, and one a byte now and then.
    let mut silent = server.connect();
    let mut slow = server.connect();
    slow.send(b"GET /small.txt HTTP/1.1\r\nHost");
    while slow.0.get_mut().write_all(b"-").is_ok() {
        assert!(begin.elapsed() < PATIENCE, "each byte makes the server more patient");
        thread::sleep(Duration::from_millis(20));
    }
    silent.assert_closed();
    assert!(begin.elapsed() >= Duration::from_millis(390), "after {:?}", begin.elapsed());
    assert_serves(&server);
}

#[test]
fn closes_a_connection_that_takes_nothing() {
    require!(op: Opcode::RECV);
    let server = Http::start(&["--timeout", "0.3", "--connections", "1"]);
    let mut full = server.connect();
    full.send(&b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n".repeat(8));
    assert_eq!(full.head().status, 200);
    // There is room for another one when it is gone.
    let begin = Instant::now();
    loop {
        let mut next = server.connect();
        let _ = next.0.get_mut().write_all(b"GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
        if next.0.fill_buf().is_ok_and(|answer| !answer.is_empty()) {
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "it stays");
        thread::sleep(Duration::from_millis(20));
    }
    let mut taken = Vec::new();
    let _ = full.0.read_to_end(&mut taken);
    assert!(taken.len() < 7 * LARGE, "it has everything");
}

#[test]
fn serves_a_thousand_connections() {
    require!(op: Opcode::RECV);
    let server = Http::start(&[]);
    let mut clients: Vec<_> = (0..1000).map(|_| server.connect()).collect();
    for _ in 0..2 {
        for client in &mut clients {
            client.send(b"GET /small.txt HTTP/1.1\r\nHost: here\r\n\r\n");
        }
        for client in &mut clients {
            assert_eq!(text(&client.answer().body), "a small file\n");
        }
    }
    assert_eq!(server.stop(), "");
}

#[test]
fn refuses_more_connections_than_it_has_room_for() {
    require!(op: Opcode::RECV);
    let server = Http::start(&["--connections", "2"]);
    let mut clients = [server.connect(), server.connect()];
    for client in &mut clients {
        assert_eq!(client.get("/small.txt", "").status, 200);
    }
    server.connect().assert_closed();
    for client in &mut clients {
        assert_eq!(client.get("/small.txt", "").status, 200);
    }
    assert_eq!(server.stop(), "http: refusing more than 2 at once\n");
}

#[test]
fn survives_when_descriptors_run_out() {
    require!(op: Opcode::RECV);
    for mode in ["", "--reopen"] {
        let mut shell = Command::new("/bin/sh");
        let script = format!("ulimit -n 14 && exec \"$0\" {mode} \"$1\"");
        shell.args(["-c", &script]).arg(path_of("http"));
        shell.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut server = Http::start_by(shell);
        for number in 0..12 {
            fs::write(server.root.join(&number.to_string()), noise(300_000)).unwrap();
        }
        // More than can be open at once, with and without pipes.
        let mut clients: Vec<_> = (0..12).map(|_| server.connect()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(format!("GET /{number} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        }
        for client in &mut clients {
            let answer = client.answer();
            let is_served = answer.status == 200 && answer.body == noise(300_000);
            assert!(is_served || answer.status == 503, "{}", answer.head);
        }
        // More connections than slots.
        let mut more: Vec<_> = (0..16).map(|_| server.connect()).collect();
        let mut stderr = String::new();
        let reports = server.child.stderr.as_mut().unwrap();
        BufReader::new(reports).read_line(&mut stderr).unwrap();
        drop(clients);
        let mut last = more.pop().unwrap();
        drop(more);
        assert_eq!(text(&last.get("/small.txt", "").body), "a small file\n");
        stderr += &server.stop();
        assert!(stderr.starts_with("http: accept: Too many open files"), "{stderr}");
        assert!(stderr.lines().count() < 10, "{stderr}");
    }
}

#[test]
fn ends_an_answer_whose_file_has_shrunk() {
    require!(op: Opcode::RECV);
    let server = Http::start(&[]);
    for len in [10_000, LARGE] {
        let target = format!("/shrinks-{len}");
        let path = server.root.file(&target[1..], &noise(len));
        let mut client = server.connect();
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        assert_eq!(client.head().status, 200);
        fs::File::options().write(true).open(path).unwrap().set_len(5000).unwrap();
        client.send(format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        // If nothing of the answer was sent, there is no head, either.
        if !client.0.fill_buf().unwrap().is_empty() {
            let len: u64 = client.head().field("Content-Length").unwrap().parse().unwrap();
            let mut body = Vec::new();
            client.0.by_ref().take(len).read_to_end(&mut body).unwrap();
            // Unless it was opened again meanwhile: it ends early, and nothing is made up.
            assert!(body.len() < 70_000 && body[..5000] == noise(5000), "{} bytes", body.len());
            assert!(body.len() as u64 != len || len == 5000);
        }
        assert_serves(&server);
    }
}

#[test]
fn nothing_is_left_of_an_answer_that_was_broken_off() {
    require!(op: Opcode::SPLICE);
    let (server, large) = (Http::start(&[]), noise(LARGE));
    for _ in 0..8 {
        let mut client = server.connect();
        client.send(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n".repeat(4).as_slice());
        assert_eq!(client.head().status, 200);
        // A pipe is full by now. With data that nobody has read, this resets the connection.
        thread::sleep(Duration::from_millis(10));
        drop(client);
        assert!(server.get("/large", "").body == large);
    }
}

/// A connection to `address` whose segments are short: the kernel gives little room to what is
/// sent to it.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let mut jobs: OwnedJobs<(OwnedFd, [u8; 4])> = SafeRing::new(8).unwrap().into_jobs(1);
    let option = SocketOption::TCP_MAX_SEGMENT;
    let len = 536_i32.to_ne_bytes();
    jobs.start((socket, len), move |(socket, len)| {
        SocketCommand::set_option_lent(&*socket, option, &*len).op()
    })
    .unwrap();
    let done = jobs.wait_next().unwrap().unwrap().expect_done();
    done.result().expect("an option that may be set");
    let (socket, _) = done.finish();
    connect(&socket, &address).unwrap();
    TcpStream::from(socket)
}

/// Goal: clients that take nothing keep no threads of the kernel waiting.
#[test]
fn needs_no_thread_for_a_slow_client() {
    require!(op: Opcode::URING_CMD);
    require!(op: Opcode::FUTEX_WAIT); // As old as the command that sets an option.
    let server = Http::start(&[]);
    let mut clients: Vec<_> = (0..60).map(|_| narrow(server.address)).collect();
    for client in &mut clients {
        client.write_all(b"GET /large HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    }
    for client in &mut clients {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        // The head; the first splice is on its way.
        client.read_exact(&mut [0; 200]).unwrap();
    }
    thread::sleep(Duration::from_millis(100));
    let threads = fs::read_dir(format!("/proc/{}/task", server.child.id())).unwrap().count();
    assert!(threads < 30, "{threads} threads");
    assert_serves(&server);
}

#[test]
fn reports_a_directory_that_is_missing_and_an_address_that_is_taken() {
    require!(op: Opcode::RECV);
    assert_fails(&run("http", &["/none/such"]), 1, "http: /none/such: No such file");
    let server = Http::start(&[]);
    let address = server.address.to_string();
    assert_fails(&run("http", &["--listen", &address]), 1, &format!("http: {address}: Address"));
}
