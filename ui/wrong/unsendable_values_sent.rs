//! Jobs whose values belong to one thread, sent to another.

use ringbolt::AnyThread;
use ringbolt::jobs::OwnedJobs;

fn send(_: impl Send) {}

fn program(value: OwnedJobs<std::rc::Rc<()>, AnyThread>) {
    send(value);
}

fn main() {}
