//! A registered buffer, sent to another thread.

use ringbolt::jobs::Lease;

fn send(_: impl Send) {}

fn program(value: Lease) {
    send(value);
}

fn main() {}
