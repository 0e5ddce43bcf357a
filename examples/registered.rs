//! Copies a file through registered buffers: the kernel maps them once, and not for each operation.
//!
//! A `Lease` is one of these buffers. It is a field of the value like any other memory, and the
//! table is given up when the ring and the last lease are gone.
#![forbid(unsafe_code)]

use std::fs::File;

use ringbolt::jobs::{Lease, OwnedJobs, Pages, SafeRing};
use ringbolt::ops::{FixedSpan, Op, ReadFixed, WriteFixed};

struct Copy {
    from: File,
    to: File,
    block: Lease,
    len: usize,
    offset: u64,
}

impl Copy {
    fn read(&mut self) -> Op<'_> {
        ReadFixed::lent(&self.from, &mut self.block).offset(self.offset).op()
    }

    fn write(&mut self) -> Op<'_> {
        let bytes = FixedSpan::from(&mut self.block).first(self.len);
        WriteFixed::lent(&self.to, bytes).offset(self.offset).op()
    }
}

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(from), Some(to)) = (args.next(), args.next()) else {
        return Err("usage: registered FROM TO".into());
    };
    let (from, to) = (File::open(from)?, File::create(to)?);

    let mut jobs: OwnedJobs<Copy> = SafeRing::new(8)?.into_jobs(1);
    let block = jobs.lease(1, 65_536, Pages::Usual)?.next().ok_or("no buffer")?;
    jobs.start(Copy { from, to, block, len: 0, offset: 0 }, Copy::read)?;
    loop {
        let mut read = jobs.wait_next()?.ok_or("no event")?.expect_done();
        read.len = read.result()? as usize;
        if read.len == 0 {
            println!("{} bytes", read.offset);
            return Ok(());
        }
        read.restart(Copy::write)?;
        let mut written = jobs.wait_next()?.ok_or("no event")?.expect_done();
        // If it is short, what is left is read again.
        written.offset += u64::from(written.result()?);
        written.restart(Copy::read)?;
    }
}
