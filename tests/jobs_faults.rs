//! Jobs on a simulated kernel that fails: what must not be given up stays, and what fails for a
//! while is tried again.
#![cfg(all(feature = "sim", feature = "alloc"))]
#![forbid(unsafe_code)]

use core::error::Error;
use core::time::Duration;
use std::rc::Rc;

use ringbolt::jobs::{OwnedJobs, Place, SafeRing};
use ringbolt::ops::{Fixed, Nop, Op, OpIn, Read, Span};
use ringbolt::rustix::io::Errno;
use ringbolt::sim::{Fault, Kernel, Pace};
use ringbolt::sys::SetupFlags;
use ringbolt::{AnyThread, IoUring};

type Outcome = Result<(), Box<dyn Error>>;

/// A value that says whether it was dropped.
struct Line {
    bytes: [u8; 4],
    _alive: Rc<()>,
}

impl Line {
    fn read<'s>(&mut self) -> OpIn<'_, 's> {
        Read::lent(Fixed(0), &mut self.bytes).offset(0).op()
    }

    fn twice(&mut self) -> [Op<'_>; 2] {
        let [one, two] = {
            let (one, two) = self.bytes.split_at_mut(2);
            [one, two]
        };
        [
            Read::lent(Fixed(0), one).offset(0).op().hard_link(),
            Read::lent(Fixed(0), two).offset(0).op(),
        ]
    }
}

/// A kernel whose operations are held.
fn holding() -> Kernel {
    let kernel = Kernel::new();
    kernel.put_file(Fixed(0), vec![7; 64]);
    kernel.set_pace(Pace::Held);
    kernel
}

/// Jobs of which some have lost their completions.
fn with_losses(kernel: &Kernel, alive: &Rc<()>) -> Result<OwnedJobs<Line>, Box<dyn Error>> {
    let builder = IoUring::builder().simulated(kernel).cq_entries(4);
    let mut jobs: OwnedJobs<Line> = SafeRing::build_local(&builder, 4)?.into_jobs(8);
    for _ in 0..8 {
        jobs.start(Line { bytes: [0; 4], _alive: Rc::clone(alive) }, Line::read)?;
    }
    jobs.submit()?;
    kernel.lose_overflow(true);
    for _ in 0..6 {
        assert!(kernel.complete(0));
    }
    Ok(jobs)
}

#[test]
#[cfg_attr(miri, ignore = "what is leaked is meant to be")]
fn values_are_leaked_if_it_cannot_be_known_what_is_in_flight() -> Outcome {
    let (kernel, alive) = (holding(), Rc::new(()));
    let jobs = with_losses(&kernel, &alive)?;
    drop(jobs);
    assert_eq!(Rc::strong_count(&alive), 9);
    // Their memory is still there for the kernel, and so is the ring's.
    assert_eq!(kernel.in_flight(), 2);
    assert!(kernel.complete(0) && kernel.complete(0));
    Ok(())
}

#[test]
#[cfg_attr(miri, ignore = "what is leaked is meant to be")]
fn shutdown_reports_lost_completions_and_keeps_the_values() -> Outcome {
    let (kernel, alive) = (holding(), Rc::new(()));
    let jobs = with_losses(&kernel, &alive)?;
    let running = jobs.shutdown(Duration::from_secs(10)).err().ok_or("it was shut down")?;
    assert_eq!((running.errno(), running.keys().count()), (Errno::BADR, 4));
    assert!(running.wait(Duration::from_secs(10)).is_err());
    assert_eq!(Rc::strong_count(&alive), 9);
    Ok(())
}

#[test]
#[cfg_attr(miri, ignore = "a drain that cannot enter sleeps by a system call")]
fn a_drain_goes_on_after_what_passes() -> Outcome {
    for errno in [Errno::NOMEM, Errno::AGAIN, Errno::INTR, Errno::BUSY] {
        let (kernel, alive) = (holding(), Rc::new(()));
        let builder = IoUring::builder().simulated(&kernel);
        let mut ring = SafeRing::build_local(&builder, 4)?;
        ring.scope(&mut [const { Place::new() }; 2], |jobs| -> Outcome {
            jobs.start(Line { bytes: [0; 4], _alive: Rc::clone(&alive) }, Line::read)?;
            jobs.submit()?;
            (0..8).for_each(|_| kernel.fail_next(Fault::Refuse(errno)));
            Ok(())
        })?;
        assert_eq!((Rc::strong_count(&alive), kernel.in_flight()), (1, 0));
    }
    Ok(())
}

#[test]
fn a_drain_cancels_until_everything_has_ended() -> Outcome {
    let (kernel, alive) = (holding(), Rc::new(()));
    let ring = SafeRing::build_local(&IoUring::builder().simulated(&kernel), 4)?;
    let mut jobs: OwnedJobs<Line> = ring.into_jobs(2);
    let line = || Line { bytes: [0; 4], _alive: Rc::clone(&alive) };
    jobs.start(line(), Line::read)?;
    // What is linked after a cancelled read starts then.
    jobs.start_chain(line(), Line::twice)?;
    jobs.submit()?;
    kernel.refuse_cancels(3);
    let ring = jobs.shutdown(Duration::from_secs(10)).map_err(|error| error.to_string())?;
    assert_eq!((Rc::strong_count(&alive), kernel.in_flight()), (1, 0));
    drop(ring);
    Ok(())
}

#[test]
fn jobs_end_with_their_polling_thread() -> Outcome {
    let (kernel, alive) = (holding(), Rc::new(()));
    let builder = IoUring::builder().simulated(&kernel).flags(SetupFlags::SQPOLL);
    let mut jobs: OwnedJobs<Line, AnyThread> = SafeRing::build(&builder, 4)?.into_jobs(2);
    jobs.start(Line { bytes: [0; 4], _alive: Rc::clone(&alive) }, Line::read)?;
    jobs.submit()?;
    assert_eq!((kernel.poll(), kernel.in_flight()), (1, 1));
    kernel.kill_polling_thread();
    assert!(jobs.start(Line { bytes: [0; 4], _alive: Rc::clone(&alive) }, Line::read).is_ok());
    assert_eq!(jobs.submit().map_err(|error| error.errno), Err(Errno::OWNERDEAD));
    drop(jobs);
    assert_eq!(Rc::strong_count(&alive), 1);
    Ok(())
}

#[test]
fn a_chain_gets_its_room_from_a_polling_thread() -> Outcome {
    let kernel = Kernel::new();
    let builder = IoUring::builder().simulated(&kernel).flags(SetupFlags::SQPOLL);
    let mut jobs: OwnedJobs<(), AnyThread> = SafeRing::build(&builder, 8)?.into_jobs(8);
    for _ in 0..5 {
        jobs.start((), |()| Nop::new().op())?;
    }
    // Three slots are free: the thread has to take some first.
    jobs.start_chain((), |()| [(); 7].map(|()| Nop::new().op()))?;
    let mut events = 0;
    while let Some(event) = jobs.wait_next()? {
        assert_eq!(event.result(), Ok(0));
        events += 1;
    }
    assert_eq!(events, 6);
    Ok(())
}

#[test]
#[cfg_attr(miri, ignore = "what is leaked is meant to be")]
fn a_quiet_chain_that_is_taken_in_two_parts_keeps_its_value() -> Outcome {
    for takes_rest in [true, false] {
        let (kernel, alive) = (holding(), Rc::new(()));
        let ring = SafeRing::build_local(&IoUring::builder().simulated(&kernel), 4)?;
        let mut jobs: OwnedJobs<Line> = ring.into_jobs(2);
        let line = Line { bytes: [0; 4], _alive: Rc::clone(&alive) };
        jobs.start_quiet(line, |line| {
            let failing = Nop::new().inject_result(-Errno::IO.raw_os_error());
            let span = Span::from(&mut line.bytes);
            [failing.op(), Read::lent(Fixed(0), span).op(), Read::lent(Fixed(0), span).op()]
        })?;
        // The kernel has no memory for the second entry.
        kernel.fail_next(Fault::Short(1));
        assert_eq!(jobs.submit()?, 1);
        assert!(jobs.next().is_none());
        if takes_rest {
            assert_eq!((jobs.submit()?, kernel.in_flight()), (2, 1));
            assert!(kernel.complete(0) && jobs.submit_and_wait_timeout(1, Duration::ZERO).is_err());
            // The last link is in flight now, and posts the one completion.
            assert!(kernel.complete(0) && jobs.submit_and_wait_timeout(1, Duration::ZERO).is_ok());
            assert!(jobs.next().is_none());
        }
        let running = jobs.shutdown(Duration::from_secs(10)).err().ok_or("it was shut down")?;
        assert_eq!((running.errno(), Rc::strong_count(&alive)), (Errno::NOMEM, 2));
    }
    Ok(())
}
