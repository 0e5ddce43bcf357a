//! What `http` serves, and a client for it.

use core::net::SocketAddr;
use core::time::Duration;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::Instant;

use ringbolt::sys::Opcode;

use crate::common::{PATIENCE, TempDir, require};
use crate::{command, name, noise, text};

/// Both ways to have a file.
const MODES: [&[&str]; 2] = [&[], &["--reopen"]];

/// A server of a directory, killed when dropped.
pub(crate) struct Http {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) root: TempDir,
}

impl Http {
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::start_by(command("http", args))
    }

    pub(crate) fn start_by(mut command: Command) -> Self {
        let root = TempDir::new();
        root.file("small.txt", b"a small file\n");
        root.file("empty", b"");
        root.file("large", &noise(LARGE));
        fs::create_dir(root.join("folder")).unwrap();
        root.file("folder/index.html", b"<p>");
        let mut child = command.arg(root.path()).spawn().expect("the example starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ").expect("an address");
        Self { child, address: address.parse().expect("an address"), root }
    }

    pub(crate) fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).expect("the server accepts");
        // Of what never comes, a test is to tell.
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Client(BufReader::new(stream))
    }

    /// The answer to a GET on a new connection.
    pub(crate) fn get(&self, target: &str, fields: &str) -> Answer {
        self.connect().get(target, fields)
    }

    /// Ends the server, and returns what it has reported.
    pub(crate) fn stop(mut self) -> String {
        self.child.kill().unwrap();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        stderr
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Longer than a pipe, and no multiple of a page.
pub(crate) const LARGE: usize = (5 << 20) + 12_345;

/// A connection.
pub(crate) struct Client(pub(crate) BufReader<TcpStream>);

/// What the server has answered.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut fields = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        let value = fields.next().map(|(_, value)| value);
        assert!(fields.next().is_none(), "{name} twice: {}", self.head);
        value
    }
}

impl Client {
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("the server takes bytes");
    }

    pub(crate) fn get(&mut self, target: &str, fields: &str) -> Answer {
        self.send(format!("GET {target} HTTP/1.1\r\nHost: here\r\n{fields}\r\n").as_bytes());
        self.answer()
    }

    /// The next answer.
    pub(crate) fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        let len = answer.field("Content-Length").map_or(0, |len| len.parse().unwrap());
        answer.body = vec![0; len];
        self.0.read_exact(&mut answer.body).expect("the whole body");
        answer
    }

    /// The head of the next answer.
    pub(crate) fn head(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).expect("a head") > 0, "no whole head: {head:?}");
        }
        let status = head.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3));
        let status = status.expect("a status line").parse().unwrap();
        Answer { status, head, body: Vec::new() }
    }

    /// Fails unless the server has closed the connection in order, and nothing more came.
    #[track_caller]
    pub(crate) fn assert_closed(&mut self) {
        let mut rest = Vec::new();
        self.0.read_to_end(&mut rest).expect("closed, not reset");
        assert_eq!(text(&rest), "");
    }
}

pub(crate) fn assert_serves(server: &Http) {
    let answer = server.get("/small.txt", "");
    assert_eq!((answer.status, text(&answer.body)), (200, "a small file\n"));
}

#[test]
fn serves_files_one_after_the_other_on_one_connection() {
    require!(op: Opcode::RECV);
    for mode in MODES {
        let server = Http::start(mode);
        let mut client = server.connect();
        for _ in 0..3 {
            let small = client.get("/small.txt", "");
            assert_eq!((small.status, text(&small.body)), (200, "a small file\n"));
            assert_eq!(small.field("Content-Type"), Some("text/plain; charset=utf-8"));
            assert!(small.field("Date").is_some());
            let large = client.get("/large?a=query", "");
            assert!(large.status == 200 && large.body == noise(LARGE));
            let empty = client.get("/empty", "");
            assert_eq!((empty.status, empty.field("Content-Length")), (200, Some("0")));
            assert_eq!(text(&client.get("http://here/folder/", "").body), "<p>");
            assert_eq!(text(&client.get("/folder/%69ndex.ht%6Dl", "").body), "<p>");
            for missing in ["/none", "/", "/folder", "/small.txt/", "/empty/more"] {
                let answer = client.get(missing, "");
                assert_eq!((answer.status, text(&answer.body)), (404, "404 Not Found\n"));
            }
        }
        assert_eq!(server.stop(), "");
    }
}

#[test]
fn answers_pipelined_requests_in_their_order() {
    require!(op: Opcode::RECV);
    for mode in MODES {
        let server = Http::start(mode);
        let (mut client, large) = (server.connect(), noise(LARGE));
        let targets = ["/small.txt", "/none", "/large", "/empty", "/small.txt"];
        let requests: String = (0..8)
            .flat_map(|_| targets)
            .map(|target| format!("GET {target} HTTP/1.1\r\nHost: here\r\n\r\n"))
            .collect();
        let mut sender = client.0.get_ref().try_clone().unwrap();
        // In parts that end anywhere in a request.
        let sent = thread::spawn(move || {
            for part in requests.as_bytes().chunks(97) {
                sender.write_all(part).unwrap();
            }
        });
        for _ in 0..8 {
            for target in targets {
                let answer = client.answer();
                let (status, body) = match target {
                    "/none" => (404, &b"404 Not Found\n"[..]),
                    "/large" => (200, &*large),
                    "/empty" => (200, &b""[..]),
                    _ => (200, &b"a small file\n"[..]),
                };
                assert_eq!(answer.status, status);
                assert!(answer.body == body, "another body for {target}");
            }
        }
        sent.join().unwrap();
    }
}

#[test]
fn answers_head_without_a_body() {
    require!(op: Opcode::RECV);
    let server = Http::start(&[]);
    let mut client = server.connect();
    let large = LARGE.to_string();
    for (target, status, len) in [("/large", 200, &*large), ("/none", 404, "14")] {
        client.send(format!("HEAD {target} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes());
        let answer = client.head();
        assert_eq!((answer.status, answer.field("content-length")), (status, Some(len)));
    }
    // What follows is the next answer.
    assert_eq!(text(&client.get("/small.txt", "").body), "a small file\n");
}

#[test]
fn serves_the_part_that_is_asked_for() {
    require!(op: Opcode::RECV);
    let server = Http::start(&[]);
    let mut client = server.connect();
    let part = |client: &mut Client, range: &str| client.get("/small.txt", &format!("{range}\r\n"));
    for (range, body, name) in [
        ("Range: bytes=0-0", "a", "bytes 0-0/13"),
        ("Range: bytes=2-6", "small", "bytes 2-6/13"),
        ("range: Bytes=8-", "file\n", "bytes 8-12/13"),
        ("Range: bytes=8-99999999999999999999999", "file\n", "bytes 8-12/13"),
        ("Range: bytes=-5", "file\n", "bytes 8-12/13"),
        ("Range: bytes=-99", "a small file\n", "bytes 0-12/13"),
    ] {
        let answer = part(&mut client, range);
        assert_eq!((answer.status, text(&answer.body)), (206, body), "{range}");
        assert_eq!(answer.field("Content-Range"), Some(name));
    }
    for range in ["bytes=13-", "bytes=13-20", "bytes=-0", "bytes=99999999999999999999-"] {
        let answer = part(&mut client, &format!("Range: {range}"));
        assert_eq!((answer.status, text(&answer.body)), (416, ""), "{range}");
        assert_eq!(answer.field("Content-Range"), Some("bytes */13"));
    }
    // Several, or none that is one: everything.
    for range in ["bytes=0-1,3-4", "bytes=5-2", "bytes=-", "bytes=+1-2", "lines=1-2", "bytes", ""] {
        assert_eq!(part(&mut client, &format!("Range: {range}")).status, 200, "{range}");
    }
    let large = noise(LARGE);
    for (start, end) in [(4097, 4_200_000), (LARGE - 100_000, LARGE), (1, 100)] {
        let answer = client.get("/large", &format!("Range: bytes={start}-{}\r\n", end - 1));
        assert!(answer.status == 206 && answer.body == large[start..end]);
    }
}

#[test]
fn sends_nothing_that_the_client_has() {
    require!(op: Opcode::RECV);
    for mode in MODES {
        let server = Http::start(mode);
        let mut client = server.connect();
        let first = client.get("/small.txt", "");
        let tag = first.field("ETag").expect("a tag").to_owned();
        let date = first.field("Last-Modified").expect("a date").to_owned();
        for (fields, status) in [
            (format!("If-None-Match: {tag}\r\n"), 304),
            (format!("If-None-Match: \"x\", W/{tag}\r\n"), 304),
            ("If-None-Match: *\r\n".into(), 304),
            ("If-None-Match: \"x\"\r\n".into(), 200),
            (format!("If-Modified-Since: {date}\r\n"), 304),
            ("If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n".into(), 200),
            ("If-Modified-Since: yesterday\r\n".into(), 200),
            // The tag decides.
            (format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n"), 200),
            (format!("Range: bytes=0-0\r\nIf-Range: {tag}\r\n"), 206),
            (format!("Range: bytes=0-0\r\nIf-Range: {date}\r\n"), 206),
            ("Range: bytes=0-0\r\nIf-Range: \"x\"\r\n".into(), 200),
        ] {
            let answer = client.get("/small.txt", &fields);
            assert_eq!(answer.status, status, "{fields}");
            assert_eq!(answer.field("ETag"), Some(&*tag));
            if status == 304 {
                assert_eq!(answer.field("Content-Length"), None);
            }
        }
    }
}

/// Goal: what has replaced a file is served: at once with `--reopen`, else after about a second.
#[test]
fn sees_that_a_file_was_replaced() {
    require!(op: Opcode::RECV);
    for mode in MODES {
        let server = Http::start(mode);
        assert_serves(&server);
        let tag = server.get("/small.txt", "").field("ETag").unwrap().to_owned();
        fs::write(server.root.join("new"), "replaced\n").unwrap();
        fs::rename(server.root.join("new"), server.root.join("small.txt")).unwrap();
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = server.get("/small.txt", &format!("If-None-Match: {tag}\r\n"));
            if answer.status == 200 {
                assert_eq!(text(&answer.body), "replaced\n");
                break;
            }
            assert!(mode.is_empty(), "it was to be opened again");
            assert!(Instant::now() < end, "the old file is served for ever");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn serves_nothing_from_outside_of_its_directory() {
    require!(op: Opcode::OPENAT2);
    for mode in MODES {
        let server = Http::start(mode);
        let (outside, folder) = (TempDir::new(), server.root.join("folder"));
        let secret = outside.join("secret");
        fs::write(&secret, "secret").unwrap();
        symlink(&secret, server.root.join("absolute")).unwrap();
        symlink(Path::new("..").join(outside.path().file_name().unwrap()), server.root.join("up"))
            .unwrap();
        symlink("../small.txt", folder.join("inside")).unwrap();
        let (secret, dir) = (name(&secret), name(outside.path().file_name().unwrap().as_ref()));
        let mut client = server.connect();
        for target in [
            format!("/../{dir}/secret"),
            format!("/%2e%2e/{dir}/secret"),
            format!("/..%2f{dir}%2Fsecret"),
            format!("/folder/../../{dir}/secret"),
            format!("//..//{dir}/secret"),
            "/absolute".into(),
            "/up/secret".into(),
        ] {
            let answer = client.get(&target, "");
            assert_eq!((answer.status, text(&answer.body)), (403, "403 Forbidden\n"), "{target}");
        }
        // Not from the root of the file system, either.
        for target in [format!("/{secret}"), format!("/%2F{secret}")] {
            assert!(matches!(client.get(&target, "").status, 403 | 404), "{target}");
        }
        for target in ["/folder/../small.txt", "/folder/inside", "//small.txt"] {
            assert_eq!(text(&client.get(target, "").body), "a small file\n", "{target}");
        }
        for target in ["/small.txt%00", "/%00", "/%", "/%4", "/%zz", "small.txt", "*"] {
            assert_eq!(server.get(target, "").status, 400, "{target}");
        }
    }
}

#[test]
fn serves_nothing_but_regular_files() {
    use ringbolt::rustix::fs::{CWD, FileType, Mode, mknodat};

    require!(op: Opcode::OPENAT2);
    let server = Http::start(&[]);
    mknodat(CWD, server.root.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    symlink("/dev/null", server.root.join("null")).unwrap();
    assert_eq!(server.get("/pipe", "").status, 404);
    assert_eq!(server.get("/null", "").status, 403);
}
