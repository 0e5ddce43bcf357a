//! Jobs on a ring of one thread, sent to another.

use ringbolt::jobs::OwnedJobs;

fn send(_: impl Send) {}

fn program(value: OwnedJobs<()>) {
    send(value);
}

fn main() {}
