//! The program of the README: one read.
#![forbid(unsafe_code)]
#![allow(
    clippy::std_instead_of_core,
    clippy::indexing_slicing,
    reason = "what a reader of the README would write first"
)]

use std::fs::File;

use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::{Op, Read};

/// A job: what is read from, and what is read into.
struct Block {
    file: File,
    bytes: [u8; 4096],
}

impl Block {
    fn read(&mut self) -> Op<'_> {
        Read::lent(&self.file, &mut self.bytes).offset(0).op()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).unwrap_or("Cargo.toml".into());
    let block = Block { file: File::open(path)?, bytes: [0; 4096] };

    let mut jobs: OwnedJobs<Block> = SafeRing::new(8)?.into_jobs(8);
    jobs.start(block, Block::read)?;
    while let Some(event) = jobs.wait_next()? {
        let len = event.result()? as usize;
        println!("{}", String::from_utf8_lossy(&event.bytes[..len]));
    }
    Ok(())
}
