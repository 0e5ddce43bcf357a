//! A provided buffer, sent to another thread.

use ringbolt::jobs::Received;

fn send(_: impl Send) {}

fn program(value: Received) {
    send(value);
}

fn main() {}
