//! Links, hard links, drains and skipped successes.
#![forbid(unsafe_code)]

use core::time::Duration;
use std::vec;

use rustix::io::Errno;

use super::{err, failing, nop, push, read, reap, run, simulated};
use crate::Sqe;
use crate::ops::time::Timespec;
use crate::ops::{Fixed, LinkTimeout};
use crate::sim::{Fault, Pace};
use crate::sys::Opcode;

const CANCELLED: i32 = -125;

#[test]
fn a_failure_cancels_the_rest_of_its_chain() {
    let (_kernel, mut ring) = simulated();
    let chain = [nop(1).link(), failing(2, Errno::IO).link(), nop(3).link(), nop(4), nop(5)];
    let mut results = run(&mut ring, &chain, 5);
    results.sort_unstable();
    let expected = [(1, 0), (2, err(Errno::IO)), (3, CANCELLED), (4, CANCELLED), (5, 0)];
    assert_eq!(results, expected);
}

#[test]
fn a_failure_does_not_break_a_hard_link() {
    let (_kernel, mut ring) = simulated();
    let chain = [failing(1, Errno::IO).hard_link(), nop(2).hard_link(), nop(3)];
    assert_eq!(run(&mut ring, &chain, 3), [(1, err(Errno::IO)), (2, 0), (3, 0)]);
}

#[test]
fn a_short_read_breaks_a_link() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    let mut buf = [0; 8];
    let results = run(&mut ring, &[read(1, &raw mut buf).link(), nop(2)], 2);
    assert_eq!(results, [(1, 4), (2, CANCELLED)]);
    let results = run(&mut ring, &[read(1, &raw mut buf[..4]).link(), nop(2)], 2);
    assert_eq!(results, [(1, 4), (2, 0)]);
}

#[test]
fn the_second_entry_of_a_chain_starts_after_the_first_completes() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::Held);
    let mut buf = [0; 4];
    push(&mut ring, &[read(1, &raw mut buf).link(), nop(2), nop(3)]);
    assert_eq!(ring.submit(), Ok(3));
    assert_eq!((reap(&mut ring), kernel.in_flight()), (vec![(3, 0)], 1));
    assert!(kernel.complete(0));
    assert_eq!(reap(&mut ring), [(1, 4), (2, 0)]);
}

#[test]
fn an_invalid_entry_cancels_its_whole_chain() {
    let (_kernel, mut ring) = simulated();
    let bad = Sqe::new(Opcode::from_raw(200)).with_user_data(2);
    // It is linked to the next entry, so the submission continues; hard links do not change that.
    let results = run(&mut ring, &[nop(1).hard_link(), bad.link(), nop(3), nop(4)], 4);
    let mut results = results;
    results.sort_unstable();
    assert_eq!(results, [(1, CANCELLED), (2, err(Errno::INVAL)), (3, CANCELLED), (4, 0)]);
}

#[test]
fn an_open_link_ends_at_the_end_of_the_submission() {
    let (kernel, mut ring) = simulated();
    push(&mut ring, &[failing(1, Errno::IO).link(), nop(2)]);
    kernel.fail_next(Fault::Short(1));
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap(&mut ring), [(1, err(Errno::IO)), (2, 0)]);
}

#[test]
fn a_drain_waits_for_earlier_entries_and_delays_later_ones() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::Held);
    let (mut one, mut two) = ([0; 4], [0; 4]);
    push(&mut ring, &[read(1, &raw mut one), nop(2), read(3, &raw mut two).drain(), nop(4)]);
    assert_eq!(ring.submit(), Ok(4));
    assert_eq!((reap(&mut ring), kernel.in_flight()), (vec![(2, 0)], 1));
    kernel.complete(0);
    assert_eq!((reap(&mut ring), kernel.in_flight()), (vec![(1, 4)], 1));
    // Entries submitted in between also wait.
    push(&mut ring, &[nop(5)]);
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap(&mut ring), []);
    kernel.complete(0);
    assert_eq!(reap(&mut ring), [(3, 4), (4, 0), (5, 0)]);
    assert_eq!(run(&mut ring, &[nop(6)], 1), [(6, 0)]);
}

#[test]
fn a_drain_inside_a_chain_delays_the_whole_chain() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::Held);
    let mut buf = [0; 4];
    push(&mut ring, &[read(1, &raw mut buf), nop(2).link(), nop(3).drain(), nop(4)]);
    assert_eq!(ring.submit(), Ok(4));
    assert_eq!(reap(&mut ring), []);
    kernel.complete(0);
    assert_eq!(reap(&mut ring), [(1, 4), (2, 0), (3, 0), (4, 0)]);
}

#[test]
fn entries_after_a_chain_with_a_drain_wait_for_the_chain() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::Held);
    let (mut one, mut two) = ([0; 4], [0; 4]);
    let chain = [nop(1).link(), read(2, &raw mut one).drain().link(), nop(3)];
    push(&mut ring, &chain);
    push(&mut ring, &[read(4, &raw mut two), nop(5)]);
    assert_eq!(ring.submit(), Ok(5));
    assert_eq!(reap(&mut ring), [(1, 0)]);
    kernel.complete(0);
    // It also delays the entries after it.
    assert_eq!((reap(&mut ring), kernel.in_flight()), (vec![(2, 4), (3, 0)], 1));
    kernel.complete(0);
    assert_eq!(reap(&mut ring), [(4, 4), (5, 0)]);
}

#[test]
fn skip_success_suppresses_only_successful_completions() {
    let (_kernel, mut ring) = simulated();
    let results =
        run(&mut ring, &[nop(1).skip_success(), failing(2, Errno::IO).skip_success(), nop(3)], 2);
    assert_eq!(results, [(2, err(Errno::IO)), (3, 0)]);
}

#[test]
fn a_failing_skip_success_entry_suppresses_the_completions_it_cancels() {
    let (_kernel, mut ring) = simulated();
    let results =
        run(&mut ring, &[failing(1, Errno::IO).skip_success().link(), nop(2).link(), nop(3)], 1);
    assert_eq!(results, [(1, err(Errno::IO))]);
    // By contrast, entries with the flag that are cancelled by another one's failure do complete.
    let mut results = run(&mut ring, &[failing(1, Errno::IO).link(), nop(2).skip_success()], 2);
    results.sort_unstable();
    assert_eq!(results, [(1, err(Errno::IO)), (2, CANCELLED)]);
}

#[test]
fn a_drain_is_refused_after_a_skip_success_entry() {
    let (_kernel, mut ring) = simulated();
    assert_eq!(run(&mut ring, &[nop(1).drain()], 1), [(1, 0)]);
    let results = run(&mut ring, &[nop(2).skip_success(), nop(3).drain()], 1);
    assert_eq!(results, [(3, err(Errno::OPNOTSUPP))]);
}

/// A read that takes its time, and a timeout of `nanos` that is linked after it.
fn limited(buf: *mut [u8; 4], time: &Timespec) -> [Sqe; 2] {
    [read(1, buf).link(), LinkTimeout::new(time).sqe(2)]
}

#[test]
fn a_linked_timeout_cancels_what_is_not_in_time_and_breaks_nothing_else() {
    let (kernel, mut ring) = simulated();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::Held);
    let (mut buf, time) = ([0; 4], Timespec::new(0, 5));
    let [first, limit] = limited(&raw mut buf, &time);
    push(&mut ring, &[first, limit.link(), nop(3)]);
    assert_eq!(ring.submit_and_wait(1), Ok(3));
    assert_eq!(ring.get_events(), Ok(()));
    let mut ended = reap(&mut ring);
    ended.sort_unstable();
    assert_eq!(
        ended,
        [(1, err(Errno::CANCELED)), (2, err(Errno::TIME)), (3, err(Errno::CANCELED))]
    );
    assert_eq!(kernel.now(), Duration::from_nanos(5));

    kernel.set_pace(Pace::Inline);
    let [first, limit] = limited(&raw mut buf, &time);
    let mut ended = run(&mut ring, &[first, limit.link(), nop(3)], 3);
    ended.sort_unstable();
    assert_eq!(ended, [(1, 4), (2, err(Errno::CANCELED)), (3, 0)]);
    // There is nothing for it to limit.
    assert_eq!(run(&mut ring, &[limit], 1), [(2, err(Errno::INVAL))]);
}
