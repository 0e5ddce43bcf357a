//! The safe front on the kernel: jobs, their values, and what comes back.
#![deny(unsafe_code)]
#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

#[path = "common/host.rs"]
#[expect(unsafe_code, reason = "what tests of other layers share")]
mod host;

use core::error::Error;
use core::time::Duration;
use std::fs::File;
use std::io::{Read as _, Write as _};

use ringbolt::jobs::{Cause, OwnedJobs, Place, SafeRing};
use ringbolt::ops::{Op, Read, Span, Write};
use ringbolt::rustix::io::Errno;

type Outcome = Result<(), Box<dyn Error>>;

#[test]
fn a_scope_lends_what_outlives_it() -> Outcome {
    let file = File::open("Cargo.toml")?;
    let mut buf = [0; 64];
    let mut ring = SafeRing::new(8)?;
    let len = ring.scope(&mut [Place::new()], |jobs| -> Result<u32, Box<dyn Error>> {
        jobs.start(&mut buf, |buf| Read::lent(&file, buf).offset(0).op())?;
        Ok(jobs.wait_next()?.ok_or("no completion")?.result()?)
    })?;
    assert_eq!(len, 64);
    assert_eq!(&buf[..], &std::fs::read("Cargo.toml")?[..64]);
    Ok(())
}

struct Line {
    from: File,
    bytes: [u8; 16],
}

impl Line {
    fn read(&mut self) -> Op<'_> {
        Read::lent(&self.from, &mut self.bytes).op()
    }
}

#[test]
fn owned_jobs_hand_their_values_back() -> Outcome {
    let (read, mut write) = std::io::pipe()?;
    let mut jobs: OwnedJobs<Line> = SafeRing::new(4)?.into_jobs(2);
    let from = File::from(std::os::fd::OwnedFd::from(read));
    let key = jobs.start(Line { from, bytes: [0; 16] }, Line::read)?;
    write.write_all(b"one")?;
    let event = jobs.wait_next()?.ok_or("no job")?;
    assert_eq!((event.result(), event.key()), (Ok(3), key));
    assert_eq!(&event.bytes[..3], b"one");
    let mut done = event.done().ok_or("it completes once")?;
    done.bytes = [b'x'; 16];
    assert_eq!(done.restart(Line::read)?, key);
    write.write_all(b"four")?;
    let line = jobs.wait_next()?.ok_or("no job")?.finish().ok_or("it completes once")?;
    assert_eq!(&line.bytes[..5], b"fourx");
    assert!(jobs.is_empty() && jobs.wait_next()?.is_none());
    Ok(())
}

#[test]
fn a_job_is_cancelled_by_its_key() -> Outcome {
    let (read, _write) = std::io::pipe()?;
    let mut jobs: OwnedJobs<Line> = SafeRing::new(4)?.into_jobs(1);
    let from = File::from(std::os::fd::OwnedFd::from(read));
    let key = jobs.start(Line { from, bytes: [0; 16] }, Line::read)?;
    jobs.submit()?;
    jobs.cancel(key)?;
    let event = jobs.wait_next()?.ok_or("no job")?;
    assert_eq!(event.result(), Err(Errno::CANCELED));
    // The key of a job that is finished cancels nobody.
    let line = event.finish().ok_or("done")?;
    let again = jobs.start(line, Line::read)?;
    assert_ne!(key, again);
    jobs.submit()?;
    jobs.cancel(key)?;
    assert!(jobs.submit_and_wait_timeout(1, Duration::from_millis(20)).is_err());
    assert!(jobs.next().is_none());
    Ok(())
}

#[test]
fn a_full_table_refuses_with_the_value() -> Outcome {
    let (read, _write) = std::io::pipe()?;
    let from = File::from(std::os::fd::OwnedFd::from(read));
    let line = |from: &File| from.try_clone().map(|from| Line { from, bytes: [7; 16] });
    let mut jobs: OwnedJobs<Line> = SafeRing::new(4)?.into_jobs(1);
    jobs.start(line(&from)?, Line::read)?;
    let refused = jobs.start(line(&from)?, Line::read).err().ok_or("it was started")?;
    assert_eq!((refused.value.bytes[0], refused.cause), (7, Cause::NoPlace));
    assert!(jobs.is_full());
    let ring = jobs.shutdown(Duration::from_secs(5)).map_err(|error| error.to_string())?;
    assert!(ring.entries().0 >= 4);
    Ok(())
}

#[test]
fn a_chain_copies_and_reports_each_link() -> Outcome {
    struct Copy {
        files: (File, File),
        block: [u8; 4096],
        len: usize,
    }
    impl Copy {
        fn both(&mut self) -> [Op<'_>; 2] {
            let block = Span::from(&mut self.block).first(self.len);
            [
                Read::lent(&self.files.0, block).offset(0).op(),
                Write::lent(&self.files.1, block).offset(0).op(),
            ]
        }
    }
    let source = std::fs::read("Cargo.toml")?;
    let path = std::env::temp_dir().join(format!("ringbolt-jobs-{}", std::process::id()));
    let to = File::options().create(true).truncate(true).read(true).write(true).open(&path)?;
    let mut check = File::open(&path)?;
    std::fs::remove_file(&path)?;
    let files = (File::open("Cargo.toml")?, to);
    let mut jobs = SafeRing::new(8)?.into_jobs(1);
    let len = source.len().min(4096);
    jobs.start_chain(Copy { files, block: [0; 4096], len }, Copy::both)?;
    let done = jobs.wait_next()?.ok_or("no job")?.expect_done();
    assert_eq!(
        (done.result_of(0)?, done.result_of(1)?),
        (u32::try_from(len)?, u32::try_from(len)?)
    );
    assert_eq!(done.result_of(2), Err(Errno::INVAL));
    drop(done.finish());
    let mut copied = Vec::new();
    check.read_to_end(&mut copied)?;
    assert_eq!(copied, source[..len]);
    Ok(())
}
