//! The safe front on a simulated kernel that fails as the running one seldom does.
#![cfg(feature = "sim")]
#![forbid(unsafe_code)]

use core::error::Error;
use std::fs::File;
use std::rc::Rc;

use ringbolt::IoUring;
use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::Nop;
use ringbolt::sim::{Fault, Kernel};

type Outcome = Result<(), Box<dyn Error>>;

/// A value that is counted.
type Counted = Rc<Option<File>>;

/// Jobs on `kernel`.
fn jobs(kernel: &Kernel) -> Result<OwnedJobs<Counted>, Box<dyn Error>> {
    Ok(SafeRing::build_local(&IoUring::builder().simulated(kernel), 8)?.into_jobs(4))
}

#[test]
fn a_chain_that_is_taken_in_parts_has_its_event_when_all_have_completed() -> Outcome {
    let kernel = Kernel::new();
    let mut jobs = jobs(&kernel)?;
    jobs.start_chain(Rc::new(None), |_| [Nop::new().op(), Nop::new().op(), Nop::new().op()])?;
    kernel.fail_next(Fault::Short(1));
    assert_eq!(jobs.submit()?, 1);
    assert!(jobs.next().is_none());
    let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
    assert_eq!([0, 1, 2].map(|nth| done.result_of(nth)), [Ok(0); 3]);
    Ok(())
}

#[test]
fn a_quiet_chain_that_is_taken_whole_has_one_completion() -> Outcome {
    let kernel = Kernel::new();
    let mut jobs = jobs(&kernel)?;
    for _ in 0..3 {
        jobs.start_quiet(Rc::new(None), |_| [Nop::new().op(), Nop::new().op()])?;
        // Nothing is taken: the chain is whole.
        kernel.fail_next(Fault::Short(0));
        let _ = jobs.submit();
        let done = jobs.wait_next()?.ok_or("no event")?.expect_done();
        assert_eq!(done.result(), Ok(0));
        drop(done.finish());
        assert!(jobs.is_empty());
    }
    Ok(())
}
