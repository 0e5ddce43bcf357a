//! The name of a job that there never was.

use ringbolt::jobs::Key;

fn program() -> Key {
    Key { index: 0, job: 0 }
}

fn main() {}
