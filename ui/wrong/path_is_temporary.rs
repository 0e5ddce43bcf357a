//! A path that is gone when the closure returns.

use std::ffi::CString;

use ringbolt::jobs::OwnedJobs;
use ringbolt::ops::OpenAt;
use ringbolt::rustix::fs::{CWD, OFlags};

fn program(jobs: &mut OwnedJobs<()>) {
    let _ = jobs.start((), |_| {
        OpenAt::lent(CWD, &CString::new("Cargo.toml").unwrap(), OFlags::RDONLY).op()
    });
}

fn main() {}
