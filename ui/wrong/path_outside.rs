//! A path outside the value, in owned jobs.

use std::ffi::CString;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::OpenAt;
use ringbolt::rustix::fs::{CWD, OFlags};

fn program(jobs: &mut OwnedJobs<()>, path: CString) {
    let _ = jobs.start((), |_| OpenAt::lent(CWD, &path, OFlags::RDONLY).op());
}

fn main() {}
