//! An operation that is kept in a static.

use std::fs::File;
use std::sync::Mutex;

use ringbolt::ops::{Op, Read};

static KEPT: Mutex<Option<Op<'static>>> = Mutex::new(None);

fn program(file: &File, bytes: &mut [u8]) {
    *KEPT.lock().unwrap() = Some(Read::lent(file, bytes).op());
}

fn main() {}
