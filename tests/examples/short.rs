//! What the short examples do. Each ends by itself.

use std::fs;

use ringbolt::sys::{Opcode, SetupFlags};

use crate::common::{TempDir, require};
use crate::{SIZES, assert_prints, name, noise, run, text};

/// The newest operation of Linux 6.0, which brought multishot receives.
const AS_OF_6_0: Opcode = Opcode::SEND_ZC;

#[test]
fn hello_writes_to_standard_output() {
    require!(op: Opcode::WRITE);
    assert_prints(&run("hello", &[]), b"hello\n");
}

#[test]
fn buffers_receives_each_message_into_a_buffer_of_the_pool() {
    require!(op: AS_OF_6_0);
    let expected = "one\ntwo\nthree\nthe end\n";
    assert_prints(&run("buffers", &[]), expected.as_bytes());
}

#[test]
fn udp_sends_each_datagram_back() {
    require!(op: Opcode::RECVMSG);
    assert_prints(&run("udp", &[]), b"datagram 0\ndatagram 1\ndatagram 2\n");
}

#[test]
fn sqpoll_reads_to_the_end() {
    require!(setup: SetupFlags::SQPOLL);
    let dir = TempDir::new();
    let file = dir.file("file", &noise(10_001));
    assert_prints(&run("sqpoll", &[name(&file)]), b"10001 bytes\n");
}

#[test]
fn timeout_ends_operations_in_three_ways() {
    require!(op: Opcode::LINK_TIMEOUT);
    let expected = "its own time limit has ended it\nnothing has come in time\nit was cancelled\n";
    assert_prints(&run("timeout", &[]), expected.as_bytes());
}

#[test]
fn message_reaches_the_ring_of_another_thread() {
    require!(op: Opcode::MSG_RING);
    assert_prints(&run("message", &[]), b"message 1\nmessage 2\nmessage 3\n");
}

#[test]
fn registered_copies_files_of_every_size() {
    require!(op: Opcode::READ_FIXED);
    let dir = TempDir::new();
    for size in SIZES {
        let bytes = noise(size);
        let (from, to) = (dir.file("from", &bytes), dir.join("to"));
        let output = run("registered", &[name(&from), name(&to)]);
        assert_prints(&output, format!("{size} bytes\n").as_bytes());
        assert!(fs::read(&to).unwrap() == bytes, "{size} bytes");
    }
    let output = run("registered", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("usage"));
}
