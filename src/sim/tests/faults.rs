//! System calls that fail.
#![forbid(unsafe_code)]

use std::vec;

use rustix::io::Errno;

use super::{nop, push, read, reap, simulated};
use crate::ops::Fixed;
use crate::sim::{Fault, Pace};

#[test]
fn a_refused_call_consumes_nothing() {
    let (kernel, mut ring) = simulated();
    for errno in [Errno::AGAIN, Errno::BUSY, Errno::INTR, Errno::from_raw_os_error(4000)] {
        kernel.fail_next(Fault::Refuse(errno));
        push(&mut ring, &[nop(1)]);
        let error = ring.submit().unwrap_err();
        assert_eq!((error.errno, error.taken, error.queued), (errno, 0, 1));
        assert_eq!(ring.submit(), Ok(1));
        assert_eq!(reap(&mut ring), [(1, 0)]);
    }
}

#[test]
fn a_short_call_consumes_some_entries_and_does_not_wait() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::WhenWaited);
    let mut buf = [0; 4];
    push(&mut ring, &[read(1, &raw mut buf), nop(2), nop(3)]);
    kernel.fail_next(Fault::Short(2));
    assert_eq!(ring.submit_and_wait(3), Ok(2));
    assert_eq!(reap(&mut ring), [(2, 0)]);
    assert_eq!(ring.submission().len(), 1);
    kernel.fail_next(Fault::Short(0));
    let error = ring.submit().unwrap_err();
    assert_eq!((error.errno, error.taken, error.queued), (Errno::AGAIN, 0, 1));
    // A limit equal to the number of entries has no effect.
    kernel.fail_next(Fault::Short(1));
    assert_eq!(ring.submit_and_wait(1), Ok(1));
    assert_eq!(reap(&mut ring), [(3, 0), (1, 4)]);
}

#[test]
fn an_interrupted_wait_is_reported_only_if_nothing_was_submitted_or_completed() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::WhenWaited);
    let mut buf = [0; 4];
    push(&mut ring, &[read(1, &raw mut buf)]);
    kernel.fail_next(Fault::Interrupt(Errno::INTR));
    assert_eq!(ring.submit_and_wait(1), Ok(1));
    assert_eq!(reap(&mut ring), []);
    kernel.fail_next(Fault::Interrupt(Errno::INTR));
    assert_eq!(ring.wait(1), Err(Errno::INTR));
    assert_eq!(ring.wait(1), Ok(()));
    // The error is not reported either if a completion is ready.
    kernel.fail_next(Fault::Interrupt(Errno::INTR));
    assert_eq!(ring.wait(2), Ok(()));
    assert_eq!(reap(&mut ring), [(1, 4)]);
}

#[test]
fn each_fault_applies_to_one_call() {
    let (kernel, mut ring) = simulated();
    kernel.fail_next(Fault::Refuse(Errno::INTR));
    kernel.fail_next(Fault::Refuse(Errno::AGAIN));
    assert_eq!(ring.get_events(), Err(Errno::INTR));
    assert_eq!(ring.get_events(), Err(Errno::AGAIN));
    assert_eq!(ring.get_events(), Ok(()));
}

#[test]
fn a_register_call_can_fail() {
    let (kernel, ring) = simulated();
    kernel.fail_next_register(Errno::NOMEM);
    assert_eq!(ring.registrar().probe().unwrap_err().errno, Errno::NOMEM);
    assert!(ring.registrar().probe().is_ok());
}
