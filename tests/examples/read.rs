//! The program of the README, and every example, stopped and continued while it waits.

use std::fs;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Child;
use std::thread::sleep;

use core::time::Duration;

use super::common::TempDir;
use super::{command, finish};

/// The program of the README and the example that is run here are the same.
#[test]
fn the_program_of_the_readme_is_the_example() {
    let root = env!("CARGO_MANIFEST_DIR");
    let readme = fs::read_to_string(format!("{root}/README.md")).expect("README.md");
    let (_, rest) = readme.split_once("```rust\n").expect("a program");
    let (program, _) = rest.split_once("```").expect("its end");
    let example = fs::read_to_string(format!("{root}/examples/read.rs")).expect("the example");
    assert!(example.ends_with(&format!("\n\n{program}")), "README.md and examples/read.rs differ");
}

/// Stops and continues a child, as Ctrl-Z and `fg` do: it is left to run for one time and stopped
/// for the other, over and over.
pub(crate) fn stop_and_continue(child: &Child, times: u32, running: Duration, stopped: Duration) {
    for _ in 0..times {
        sleep(running);
        signal(child, libc::SIGSTOP);
        sleep(stopped);
        signal(child, libc::SIGCONT);
    }
}

/// Sends a signal to a child.
fn signal(child: &Child, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(child.id()).expect("a number");
    // SAFETY: a child of ours, which has not been waited for.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Goal: a program that is stopped and continued (Ctrl-Z, fg) while a read is in flight waits on.
/// Method: a pipe with a name, into which nothing is written before that.
#[test]
fn examples_that_are_stopped_and_continued_wait_on() {
    let dir = TempDir::new();
    let fifo = dir.path().join("fifo");
    let name = std::ffi::CString::new(fifo.to_str().expect("a plain name")).expect("no zero");
    // SAFETY: a path that ends with a zero.
    assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
    let path = fifo.to_str().expect("a plain name");
    for example in ["read", "cat"] {
        let child = command(example, &[path]).spawn().expect("the example starts");
        // Waits until the other end is open.
        let mut writer = OpenOptions::new().write(true).open(&fifo).expect("the other end");
        stop_and_continue(&child, 5, Duration::from_millis(20), Duration::from_millis(5));
        writer.write_all(b"what was written late").expect("room in the pipe");
        drop(writer);
        let output = finish(child);
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{example}: {text}{errors}");
        assert_eq!(text.trim_end(), "what was written late", "{example}");
    }
}

/// `cp` copies regular files alone: it is stopped in the middle.
#[test]
fn a_copy_that_is_stopped_and_continued_is_whole() {
    let dir = TempDir::new();
    let bytes: Vec<u8> = (0..16_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let (from, to) = (dir.file("from", &bytes), dir.path().join("to"));
    let paths = [&from, &to].map(|path| path.to_str().expect("a plain name"));
    let child = command("cp", &paths).spawn().expect("the example starts");
    stop_and_continue(&child, 10, Duration::from_millis(1), Duration::from_millis(2));
    assert!(finish(child).status.success());
    assert!(fs::read(to).expect("the copy") == bytes, "the copy differs");
}
