//! A slot of the file table, sent to another thread.

use ringbolt::jobs::Slot;

fn send(_: impl Send) {}

fn program(value: Slot) {
    send(value);
}

fn main() {}
