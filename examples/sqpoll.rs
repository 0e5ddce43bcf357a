//! Reads through a ring whose queue is emptied by a thread of the kernel: no system call submits.
//!
//! This helps a thread that has something to submit all the time, and a processor to spare for the
//! kernel's thread, which polls. With fewer processors than threads it takes time from the program.
//! After 100 ms without work the kernel's thread sleeps, and the next submission wakes it by a
//! system call.
//!
//! The program polls for completions, too. To wait for them in the kernel, use `wait_next`.
#![forbid(unsafe_code)]

use core::hint::spin_loop;
use std::fs::File;

use ringbolt::IoUring;
use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::{Op, Read};

struct Block {
    file: File,
    bytes: [u8; 64],
    offset: u64,
}

impl Block {
    fn read(&mut self) -> Op<'_> {
        Read::lent(&self.file, &mut self.bytes).offset(self.offset).op()
    }
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let file = File::open(std::env::args().nth(1).unwrap_or("Cargo.toml".into()))?;
    let ring = SafeRing::build_local(&IoUring::builder().sqpoll(100), 8)?;
    let mut jobs: OwnedJobs<Block> = ring.into_jobs(1);
    jobs.start(Block { file, bytes: [0; 64], offset: 0 }, Block::read)?;
    loop {
        // Publishes the entry. Enters the kernel only if its thread sleeps.
        jobs.submit()?;
        let mut done = loop {
            match jobs.next() {
                Some(event) => break event.expect_done(),
                None => spin_loop(),
            }
        };
        let len = done.result()?;
        if len == 0 {
            println!("{} bytes", done.offset);
            return Ok(());
        }
        done.offset += u64::from(len);
        done.restart(Block::read)?;
    }
}
