//! Jobs on a ring of any thread can be sent, and their events with them.

use std::error::Error;

use ringbolt::jobs::{Done, Event, OwnedJobs, SafeRing};
use ringbolt::ops::Nop;
use ringbolt::{AnyThread, IoUring};

fn can_be_sent<T: Send>() {}

fn main() -> Result<(), Box<dyn Error>> {
    can_be_sent::<OwnedJobs<Vec<u8>, AnyThread>>();
    can_be_sent::<Event<'_, 'static, 'static, Vec<u8>, AnyThread>>();
    can_be_sent::<Done<'_, 'static, 'static, Vec<u8>, AnyThread>>();
    let ring = SafeRing::build(&IoUring::builder(), 4)?;
    let mut jobs: OwnedJobs<Vec<u8>, AnyThread> = ring.into_jobs(1);
    jobs.start(vec![7], |_| Nop::new().op())?;
    let done = jobs.wait_next()?.ok_or("no job")?.expect_done();
    let value = std::thread::scope(|threads| threads.spawn(move || done.finish()).join());
    assert_eq!(value.map_err(|_| "the thread panicked")?, [7]);
    Ok(())
}
