//! Owned jobs: values that hold what their operations borrow, restarts, chains, helpers.

use std::error::Error;
use std::fs::File;
use std::time::Duration;

use ringbolt::AnyThread;
use ringbolt::jobs::{Done, Jobs, OwnedJobs, SafeRing};
use ringbolt::ops::{Nop, Op, Read, Span};

struct Line {
    from: File,
    bytes: [u8; 16],
}

impl Line {
    fn read(&mut self) -> Op<'_> {
        Read::lent(&self.from, &mut self.bytes).offset(0).op()
    }

    fn twice(&mut self) -> [Op<'_>; 2] {
        let span = Span::from(&mut self.bytes);
        [
            Read::lent(&self.from, span.first(8)).offset(0).op().hard_link(),
            Read::lent(&self.from, span.after(8)).offset(8).op(),
        ]
    }
}

/// Keeps jobs in a struct.
struct Reader {
    jobs: OwnedJobs<Line>,
}

impl Reader {
    fn turn(&mut self) -> Result<Line, Box<dyn Error>> {
        let done = self.jobs.wait_next()?.ok_or("no job")?.expect_done();
        restart(done)?;
        let line = self.jobs.wait_next()?.ok_or("no job")?.finish().ok_or("done")?;
        Ok(line)
    }
}

/// Takes an event of any jobs.
fn restart<Th>(mut done: Done<'_, '_, '_, Line, Th>) -> Result<(), Box<dyn Error>> {
    done.bytes = [0; 16];
    done.restart(|line| line.read())?;
    Ok(())
}

/// Starts an operation that borrows nothing, in any jobs.
fn begin<Th>(jobs: &mut Jobs<'_, '_, Line, Th>, line: Line) -> Result<(), Box<dyn Error>> {
    jobs.start(line, |_| Nop::new().op())?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut reader = Reader { jobs: SafeRing::new(8)?.into_jobs(4) };
    begin(&mut reader.jobs, Line { from: File::open("/proc/self/status")?, bytes: [0; 16] })?;
    let mut other: OwnedJobs<Line> = SafeRing::new(8)?.into_jobs(1);
    // Each has all that belongs to it.
    std::mem::swap(&mut reader.jobs, &mut other);
    std::mem::swap(&mut reader.jobs, &mut other);
    let line = reader.turn()?;
    assert_ne!(line.bytes, [0; 16]);
    other.start_chain(line, Line::twice)?;
    let done = other.wait_next()?.ok_or("no job")?.expect_done();
    assert!(done.result_of(1).is_ok());
    assert!(other.shutdown(Duration::from_secs(5)).is_ok());
    let mut jobs: OwnedJobs<Vec<u8>, AnyThread> =
        SafeRing::build(&ringbolt::IoUring::builder(), 4)?.into_jobs(1);
    std::thread::spawn(move || {
        let started = jobs.start(vec![0], |_| Nop::new().op());
        assert!(started.is_ok());
    })
    .join()
    .map_err(|_| "the thread panicked")?;
    Ok(())
}
