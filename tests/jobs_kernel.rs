//! The safe front on the kernel, where things go wrong: panics, cancellations, refusals, rings
//! that are full, and what is slow to end.
#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

mod common;
mod op_common;

use core::cell::Cell;
use core::error::Error;
use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::fs::File;
use std::io::Write as _;
use std::panic::{catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Instant;

use common::PATIENCE;
use common::process::bounded;
use common::signal::under_fire;
use op_common::pipe;
use ringbolt::jobs::{Cause, OwnedJobs, Place, SafeRing};
use ringbolt::ops::{Nop, Op, OpIn, OpenAt, Read};
use ringbolt::rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::SetupFlags;
use ringbolt::{AnyThread, BuildError, IoUring};

type Outcome = Result<(), Box<dyn Error>>;

/// A value that counts how often one like it was dropped.
struct Line {
    from: File,
    bytes: [u8; 8],
    dropped: Rc<Cell<usize>>,
}

impl Line {
    fn read(&mut self) -> Op<'_> {
        Read::lent(&self.from, &mut self.bytes).op()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.dropped.set(self.dropped.get() + 1);
    }
}

/// A pipe, of which values share the end that is read.
struct Source {
    from: File,
    into: File,
    dropped: Rc<Cell<usize>>,
}

impl Source {
    fn new() -> Self {
        let (from, into) = pipe();
        Self { from, into, dropped: Rc::default() }
    }

    fn line(&self) -> Line {
        let from = self.from.try_clone().expect("a descriptor");
        Line { from, bytes: [0; 8], dropped: Rc::clone(&self.dropped) }
    }
}

fn jobs<T: 'static>(entries: u32, places: u32) -> OwnedJobs<T> {
    SafeRing::new(entries).expect("a ring").into_jobs(places)
}

/// Goal: a panic in the closure that makes an operation leaves nothing behind.
/// Method: all ways to start, on one place, which is used again after each.
#[test]
fn a_panic_while_an_operation_is_made_gives_the_place_up() -> Outcome {
    let source = Source::new();
    let mut jobs: OwnedJobs<Line> = jobs(4, 1);
    for round in 1..=4 {
        let line = source.line();
        let panicked = catch_unwind(AssertUnwindSafe(|| match round {
            1 => drop(jobs.start(line, |_| resume_unwind(Box::new(())))),
            2 => drop(jobs.start_multi(line, |_| resume_unwind(Box::new(())))),
            3 => {
                drop(jobs.start_chain::<2>(line, |_| resume_unwind(Box::new(()))));
            }
            _ => {
                drop(jobs.start(line, |_| Nop::new().op()));
                let done = jobs.wait_next().expect("no error").expect("a job").expect_done();
                drop(done.restart(|_| resume_unwind(Box::new(()))));
            }
        }));
        assert!(panicked.is_err(), "in round {round}");
        assert!(jobs.next().is_none() && jobs.is_empty(), "in round {round}");
        assert_eq!(source.dropped.get(), round);
    }
    jobs.start(source.line(), |_| Nop::new().op())?;
    assert_eq!(jobs.wait_next()?.ok_or("no job")?.result(), Ok(0));
    Ok(())
}

/// Goal: a panic in a scope ends what is in flight, before what it borrows is used again.
#[test]
fn a_panic_in_a_scope_drains_it() -> Outcome {
    let mut source = Source::new();
    let mut ring = SafeRing::new(4)?;
    let mut bytes = [0; 8];
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        ring.scope(&mut [Place::new()], |jobs| {
            let started = jobs.start(&mut bytes, |bytes| Read::lent(&source.from, bytes).op());
            assert!(started.is_ok() && jobs.submit().is_ok());
            resume_unwind(Box::new(()));
        });
    }));
    assert!(panicked.is_err());
    source.into.write_all(b"too late")?;
    assert_eq!(bytes, [0; 8], "the read went on");
    let mut places = [Place::new()];
    ring.scope(&mut places, |jobs| -> Outcome {
        jobs.start(&mut bytes, |bytes| Read::lent(&source.from, bytes).op())?;
        assert_eq!(jobs.wait_next()?.ok_or("no job")?.result(), Ok(8));
        Ok(())
    })?;
    assert_eq!(&bytes, b"too late");
    Ok(())
}

/// A value whose destructor panics if it is to.
struct Fragile(bool, Rc<Cell<usize>>, [u8; 8], File);

impl Drop for Fragile {
    fn drop(&mut self) {
        self.1.set(self.1.get() + 1);
        if self.0 {
            resume_unwind(Box::new(()));
        }
    }
}

/// Goal: a destructor that panics keeps no other value from being dropped, and no ring from
/// being given back.
#[test]
fn a_panic_in_a_destructor_leaves_the_others() -> Outcome {
    let source = Source::new();
    let fragile = |nth| -> Result<_, Box<dyn Error>> {
        Ok(Fragile(nth == 1, Rc::clone(&source.dropped), [0; 8], source.from.try_clone()?))
    };
    fn read<'s>(value: &mut Fragile) -> OpIn<'_, 's> {
        Read::lent(&value.3, &mut value.2).op()
    }
    let mut ring = SafeRing::new(4)?;
    let mut places = [const { Place::new() }; 4];
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        ring.scope(&mut places, |jobs| -> Outcome {
            for nth in 0..4 {
                jobs.start(fragile(nth)?, read)?;
            }
            jobs.submit()?;
            Ok(())
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(source.dropped.get(), 4);
    assert!(ring.entries().0 >= 4, "the ring is back");
    let mut jobs: OwnedJobs<Fragile> = ring.into_jobs(4);
    for nth in 0..4 {
        jobs.start(fragile(nth)?, read)?;
    }
    assert!(catch_unwind(AssertUnwindSafe(|| drop(jobs))).is_err());
    assert_eq!(source.dropped.get(), 8);
    Ok(())
}

/// Goal: forgetting events does what dropping them does.
#[test]
fn forgotten_events_keep_nothing() -> Outcome {
    let source = Source::new();
    let mut jobs: OwnedJobs<Line> = jobs(4, 2);
    for _ in 0..1000 {
        jobs.start(source.line(), |_| Nop::new().op())?;
        let done = jobs.wait_next()?.ok_or("no job")?.expect_done();
        // No destructor: forgetting it is dropping it.
        let _ = core::mem::ManuallyDrop::new(done);
    }
    assert!(jobs.next().is_none() && jobs.is_empty());
    assert_eq!(source.dropped.get(), 1000);
    Ok(())
}

/// Goal: every value is dropped once when jobs are, whatever had become of its operation.
#[test]
fn thousands_of_values_are_dropped_after_a_drain() -> Outcome {
    bounded(|| {
        let mut source = Source::new();
        let from = source.from.try_clone().expect("a descriptor");
        let dropped = Rc::clone(&source.dropped);
        struct Shared(Rc<File>, [u8; 8], Rc<Cell<usize>>);
        impl Drop for Shared {
            fn drop(&mut self) {
                self.2.set(self.2.get() + 1);
            }
        }
        let from = Rc::new(from);
        let mut jobs: OwnedJobs<Shared> = jobs(64, 5000);
        for _ in 0..5000 {
            let value = Shared(Rc::clone(&from), [0; 8], Rc::clone(&dropped));
            let started = jobs.start(value, |value| Read::lent(&*value.0, &mut value.1).op());
            assert!(started.is_ok());
        }
        source.into.write_all(&[1; 800]).expect("room in the pipe");
        drop(jobs);
        assert_eq!(dropped.get(), 5000);
    });
    Ok(())
}

/// Goal: a cancelled chain ends, hard links and all, with one event.
#[test]
fn a_chain_of_hard_links_is_cancelled() -> Outcome {
    struct Two(File, [u8; 4], [u8; 4]);
    let source = Source::new();
    let mut jobs: OwnedJobs<Two> = jobs(8, 1);
    let key = jobs.start_chain(Two(source.from.try_clone()?, [0; 4], [0; 4]), |two| {
        let first = Read::lent(&two.0, &mut two.1).op().hard_link();
        [first, Read::lent(&two.0, &mut two.2).op()]
    })?;
    jobs.submit()?;
    jobs.cancel(key)?;
    let start = Instant::now();
    let done = jobs.wait_next()?.ok_or("no job")?.expect_done();
    assert!(start.elapsed() < PATIENCE);
    let canceled = Err(Errno::CANCELED);
    assert_eq!((done.result_of(0), done.result_of(1)), (canceled, canceled));
    drop(done.finish());
    assert!(jobs.wait_next()?.is_none());
    Ok(())
}

/// Goal: what cannot be a quiet chain, or a chain at all, is refused with the value.
#[test]
fn chains_that_cannot_be_are_refused() -> Outcome {
    let mut jobs: OwnedJobs<u32> = jobs(2, 1);
    let nop = || Nop::new().op();
    let open = || OpenAt::lent(CWD, c"Cargo.toml", OFlags::RDONLY).op();
    let hard = jobs.start_quiet(7, |_| [nop().hard_link(), nop()]).err().ok_or("started")?;
    assert_eq!((hard.value, hard.cause), (7, Cause::NotQuiet));
    let opens = jobs.start_quiet(8, |_| [open(), nop()]).err().ok_or("started")?;
    assert_eq!((opens.value, opens.cause), (8, Cause::NotQuiet));
    let long = jobs.start_chain(9, |_| [nop(), nop(), nop()]).err().ok_or("started")?;
    assert_eq!((long.value, long.cause), (9, Cause::TooLong));
    assert!(jobs.is_empty() && jobs.wait_next()?.is_none());
    // A hard link at the end ties nothing to the job after it.
    jobs.start_chain(1, |_| [nop(), nop().hard_link()])?;
    let done = jobs.wait_next()?.ok_or("no job")?.expect_done();
    assert_eq!((done.result_of(0), done.result_of(1)), (Ok(0), Ok(0)));
    let refused = done.restart_quiet(|_| [nop().hard_link(), nop()]).err().ok_or("started")?;
    assert_eq!((refused.value, refused.cause), (1, Cause::NotQuiet));
    assert!(jobs.is_empty());
    Ok(())
}

/// Goal: a queue of one entry with a polling thread loses nothing, and a scope over it ends.
#[test]
fn a_polled_queue_of_one_entry_works() -> Outcome {
    let mut ring = SafeRing::build_local(&IoUring::builder().sqpoll(1), 1)?;
    let source = Source::new();
    let mut bytes = [0; 8];
    ring.scope(&mut [const { Place::new() }; 8], |jobs| -> Outcome {
        jobs.start(Some(&mut bytes), |bytes| match bytes {
            Some(bytes) => Read::lent(&source.from, &mut **bytes).op(),
            None => Nop::new().op(),
        })?;
        let mut seen = 0;
        while seen < 500 {
            while jobs.room() > 0 {
                jobs.start(None, |_| Nop::new().op())?;
            }
            jobs.submit_and_wait(1)?;
            while let Some(event) = jobs.next() {
                assert_eq!(event.result(), Ok(0));
                seen += 1;
            }
        }
        Ok(())
    })?;
    assert_eq!(bytes, [0; 8]);
    Ok(())
}

/// A named pipe that nobody has open, gone with the value.
struct Fifo(std::ffi::CString);

impl Fifo {
    fn new(name: &str) -> Result<Self, Box<dyn Error>> {
        let path = std::env::temp_dir().join(format!("ringbolt-{name}-{}", std::process::id()));
        let path = std::ffi::CString::new(path.into_os_string().into_encoded_bytes())?;
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        Ok(Self(path))
    }

    fn open(&mut self) -> Op<'_> {
        // By a worker: the kernel first tries to open it without waiting, which a reader can.
        OpenAt::lent(CWD, &self.0, OFlags::RDONLY).op().force_async()
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0.to_string_lossy().as_ref());
    }
}

/// Goal: jobs end although what they wait for never comes; without time they say what is left.
#[test]
fn an_open_that_never_ends_is_ended() -> Outcome {
    let mut jobs: OwnedJobs<Fifo> = jobs(4, 2);
    let key = jobs.start(Fifo::new("still")?, Fifo::open)?;
    jobs.submit()?;
    let still = jobs.shutdown(Duration::ZERO).err().ok_or("no time was enough")?;
    assert_eq!((still.errno(), still.keys().collect()), (Errno::TIME, vec![key]));
    assert!(still.value(key).is_none(), "the kernel may be writing to it");
    let ring = still.wait(PATIENCE).map_err(|error| error.to_string())?;
    let mut jobs: OwnedJobs<Fifo> = ring.into_jobs(1);
    jobs.start(Fifo::new("dropped")?, Fifo::open)?;
    jobs.submit()?;
    let start = Instant::now();
    drop(jobs);
    assert!(start.elapsed() < PATIENCE);
    Ok(())
}

/// Goal: another thread wakes a wait, with and without jobs in flight.
#[test]
fn a_waker_ends_a_wait() -> Outcome {
    let mut source = Source::new();
    let mut jobs: OwnedJobs<Line> = jobs(4, 2);
    let waker = jobs.waker()?;
    for round in 0..20 {
        if round == 10 {
            jobs.start(source.line(), Line::read)?;
        }
        let waker = waker.clone();
        let thread = std::thread::spawn(move || waker.wake());
        assert!(jobs.wait_next()?.is_none(), "woken by the waker");
        thread.join().map_err(|_| "the thread panicked")?;
    }
    source.into.write_all(b"at last")?;
    assert_eq!(jobs.wait_next()?.ok_or("no event")?.result(), Ok(7));
    drop(jobs);
    waker.wake();
    Ok(())
}

/// Goal: signals end no wait for an event, and every other wait.
#[test]
fn signals_end_no_wait_for_an_event() -> Outcome {
    let mut source = Source::new();
    let mut jobs: OwnedJobs<Line> = jobs(4, 1);
    jobs.start(source.line(), Line::read)?;
    jobs.submit()?;
    let waited = under_fire(|| jobs.submit_and_wait(1)).err().ok_or("a completion")?;
    assert_eq!(waited.errno, Errno::INTR);
    let result = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(60));
            source.into.write_all(b"now").expect("room in the pipe");
        });
        under_fire(|| jobs.wait_next().map(|event| event.map(|event| event.result())))
    });
    assert_eq!(result?, Some(Ok(3)));
    Ok(())
}

/// Goal: the number of places has its bounds, and none is a number.
#[test]
fn places_are_counted() -> Outcome {
    let ring = SafeRing::new(1)?;
    let panicked = catch_unwind(AssertUnwindSafe(|| ring.into_jobs::<()>(1 << 24)));
    assert!(panicked.is_err(), "their numbers have 24 bits");
    let mut none: OwnedJobs<u8> = jobs(1, 0);
    let refused = none.start(3, |_| Nop::new().op()).err().ok_or("started")?;
    assert_eq!((refused.value, refused.cause), (3, Cause::NoPlace));
    assert!(none.is_full() && none.is_empty() && none.wait_next()?.is_none());
    assert!(none.shutdown(Duration::ZERO).is_ok());
    Ok(())
}

/// Goal: rings on which a drain could not be known to end are not built.
#[test]
fn options_that_jobs_cannot_have_are_refused() {
    for flags in [SetupFlags::IOPOLL, SetupFlags::R_DISABLED] {
        let builder = IoUring::builder().flags(flags);
        let local = SafeRing::build_local(&builder, 4).err();
        assert!(matches!(local, Some(BuildError::NotForJobs { .. })), "{local:?}");
        let any = SafeRing::build(&builder, 4).err();
        assert!(matches!(any, Some(BuildError::NotForJobs { .. })), "{any:?}");
    }
}

/// Goal: jobs whose submitter has ended can be used and dropped by another thread.
#[test]
fn jobs_outlive_the_thread_that_submitted() -> Outcome {
    struct Own(File, [u8; 8]);
    let (from, mut into) = pipe();
    let thread = std::thread::spawn(move || {
        let ring = SafeRing::build(&IoUring::builder(), 4).expect("a ring");
        let mut jobs: OwnedJobs<Own, AnyThread> = ring.into_jobs(2);
        let started = jobs.start(Own(from, [0; 8]), |own| Read::lent(&own.0, &mut own.1).op());
        assert!(started.is_ok() && jobs.submit().is_ok());
        jobs
    });
    let mut jobs = thread.join().map_err(|_| "the thread panicked")?;
    into.write_all(b"more")?;
    // The end of a thread cancels what it has submitted, if it is not over.
    let mut done = jobs.wait_next()?.ok_or("no job")?.expect_done();
    if done.result() == Err(Errno::CANCELED) {
        done.1 = [0; 8];
        done.restart(|own| Read::lent(&own.0, &mut own.1).op())?;
        done = jobs.wait_next()?.ok_or("no job")?.expect_done();
    }
    assert_eq!(done.result(), Ok(4));
    done.restart(|own| Read::lent(&own.0, &mut own.1).op())?;
    jobs.submit()?;
    assert!(jobs.shutdown(PATIENCE).is_ok());
    Ok(())
}
