//! The examples, run as processes: they do what they say, and fail as they say.
//!
//! `cargo test` builds them first. `cargo test --test examples` does not: it takes those that were
//! built last, by `cargo build --examples` for one.
#![cfg(target_os = "linux")]
#![allow(clippy::indexing_slicing, reason = "a panic fails the test, which is what it should do")]

mod common;

#[path = "examples/cat.rs"]
mod cat;
#[path = "examples/cp.rs"]
mod cp;
#[path = "examples/echo.rs"]
mod echo;
#[path = "examples/event_loop.rs"]
mod event_loop;
#[path = "examples/grep.rs"]
mod grep;
#[path = "examples/http.rs"]
mod http;
#[path = "examples/http_limits.rs"]
mod http_limits;
#[path = "examples/read.rs"]
mod read;
#[path = "examples/runtime.rs"]
mod runtime;
#[path = "examples/short.rs"]
mod short;

use core::time::Duration;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Instant;

use common::{PATIENCE, require};
use ringbolt::rustix::fs::{Advice, fadvise};
use ringbolt::sys::Opcode;

/// The path of an example, built with the same profile as this test.
fn path_of(example: &str) -> PathBuf {
    let test = std::env::current_exe().expect("the path of this test");
    // target/<profile>/deps/examples-<hash>
    let profile = test.parent().and_then(Path::parent).expect("a test lies two directories deep");
    let path = profile.join("examples").join(example);
    let path_shown = path.display();
    assert!(path.is_file(), "{path_shown} is missing: `cargo build --examples` makes it");
    path
}

fn command(example: &str, args: &[&str]) -> Command {
    let mut command = Command::new(path_of(example));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs an example to its end, with nothing on standard input.
fn run(example: &str, args: &[&str]) -> Output {
    finish(command(example, args).spawn().expect("the example starts"))
}

/// Waits for a process and all it writes to its pipes. One that does not end is killed.
fn finish(mut child: Child) -> Output {
    fn collect(mut from: impl Read + Send + 'static) -> thread::JoinHandle<Vec<u8>> {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            from.read_to_end(&mut bytes).expect("reading from the example");
            bytes
        })
    }
    let stdout = child.stdout.take().map(collect);
    let stderr = child.stderr.take().map(collect);
    let end = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().expect("waiting for the example") {
            break status;
        }
        if Instant::now() > end {
            child.kill().expect("killing the example");
            panic!("the example still runs after {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(1));
    };
    let bytes = |thread: Option<thread::JoinHandle<Vec<u8>>>| {
        thread.map_or(Vec::new(), |thread| thread.join().expect("reading from the example"))
    };
    Output { status, stdout: bytes(stdout), stderr: bytes(stderr) }
}

fn text(bytes: &[u8]) -> &str {
    core::str::from_utf8(bytes).expect("text")
}

fn name(path: &Path) -> &str {
    path.to_str().expect("the name of a temporary file")
}

/// Fails unless the example ended well and printed `stdout`.
#[track_caller]
fn assert_prints(output: &Output, stdout: &[u8]) {
    assert_eq!(text(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    // Not `assert_eq`, which would print megabytes.
    assert_eq!(output.stdout.len(), stdout.len());
    assert!(output.stdout == stdout, "the right length, and wrong bytes");
}

/// Fails unless the example ended with `code` and one line on standard error that has `what`.
#[track_caller]
fn assert_fails(output: &Output, code: i32, what: &str) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(what), "{what:?} is not in {stderr}");
}

/// Bytes that do not repeat at any distance that is a block's.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Around the examples' default blocks, and odd ones.
const SIZES: [usize; 9] = [0, 1, 4095, 131_072, 131_073, 262_144, 262_145, 1_000_003, 3 << 20];

/// Drops a file from the page cache, so that reading it takes time. In a file system that is
/// nothing but cache this does nothing.
fn forget(path: &Path) {
    let file = File::open(path).expect("the file is there");
    // What is not on the device is not dropped.
    file.sync_all().expect("the file is brought to its device");
    fadvise(&file, 0, None, Advice::DontNeed).expect("the cache is told");
}

/// Files that are larger than stat says, or smaller, where there are such.
fn files_of_another_size() -> impl Iterator<Item = &'static str> {
    let files =
        ["/proc/version", "/proc/filesystems", "/sys/kernel/mm/transparent_hugepage/enabled"];
    files.into_iter().filter(|file| Path::new(file).exists())
}

#[test]
fn every_example_explains_itself() {
    for example in ["cat", "cp", "echo", "grep", "http", "probe", "runtime"] {
        let help = run(example, &["--help"]);
        assert_eq!((help.status.code(), text(&help.stderr)), (Some(0), ""));
        assert!(text(&help.stdout).starts_with(&format!("Usage: {example}")));
    }
}

#[test]
fn every_example_refuses_bad_usage_and_points_to_help() {
    let usages: [(&str, &[&str]); 18] = [
        ("cat", &["--no-such-option"]),
        ("cat", &["--depth", "0"]),
        ("cat", &["--block", "many"]),
        ("cp", &[]),
        ("cp", &["source"]),
        ("cp", &["source", "dest", "more"]),
        ("cp", &["--sqpoll=x", "source", "dest"]),
        ("echo", &["--listen", "nowhere"]),
        ("echo", &["--idle", "0"]),
        ("echo", &["--connections"]),
        ("grep", &[]),
        ("grep", &[""]),
        ("grep", &["--depth", "0", "pattern"]),
        ("http", &["--timeout", "0"]),
        ("http", &["--connections", "0"]),
        ("http", &["one", "two"]),
        ("probe", &["more"]),
        ("runtime", &["--seconds", "few"]),
    ];
    for (example, args) in usages {
        let output = run(example, args);
        assert_fails(&output, 2, "--help");
        assert_eq!(output.stdout, b"");
    }
}

#[test]
fn probe_knows_what_this_kernel_has() {
    require!(op: Opcode::READ);
    let output = run("probe", &[]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let lines: Vec<Vec<&str>> =
        text(&output.stdout).lines().map(|line| line.split_whitespace().collect()).collect();
    assert!(lines.contains(&vec!["22", "READ", "5.6", "yes"]), "{}", text(&output.stdout));
    assert!(lines.contains(&vec!["CLAMP", "5.6", "yes"]), "{}", text(&output.stdout));
    assert!(lines.contains(&vec!["NODROP", "yes"]), "{}", text(&output.stdout));
}
