//! The polling thread.
#![forbid(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::io::Errno;

use super::{nop, push, reap};
use crate::ops::Nop;
use crate::sim::Kernel;
use crate::sys::SqStatus;
use crate::{Builder, IoUring};

fn polled(kernel: &Kernel) -> Builder<'static> {
    IoUring::builder().simulated(kernel).sqpoll(0)
}

#[test]
fn poll_consumes_published_entries() {
    let kernel = Kernel::new();
    let mut ring = polled(&kernel).build(4).unwrap();
    push(&mut ring, &[nop(1), nop(2)]);
    assert_eq!(kernel.poll(), 0);
    assert_eq!(ring.submit(), Ok(2));
    assert_eq!(reap(&mut ring), []);
    assert_eq!(kernel.poll(), 2);
    assert_eq!(reap(&mut ring), [(1, 0), (2, 0)]);
}

#[test]
fn the_polling_thread_does_not_sleep_if_an_entry_is_published() {
    let kernel = Kernel::new();
    let mut ring = polled(&kernel).build(4).unwrap();
    push(&mut ring, &[nop(1)]);
    assert_eq!(ring.submit(), Ok(1));
    assert!(!kernel.fall_asleep());
    assert_eq!(ring.submission().status(), SqStatus::empty());
    assert_eq!(kernel.poll(), 1);
    assert!(kernel.fall_asleep());
    assert_eq!(ring.submission().status(), SqStatus::NEED_WAKEUP);
}

#[test]
fn a_submit_wakes_the_sleeping_polling_thread() {
    let kernel = Kernel::new();
    let mut ring = polled(&kernel).build(4).unwrap();
    assert!(kernel.fall_asleep());
    push(&mut ring, &[nop(1)]);
    ring.submission().flush();
    assert_eq!(kernel.poll(), 0);
    // Nothing woke the thread, and nothing else can happen.
    assert_eq!(ring.wait(1), Err(Errno::DEADLK));
    assert_eq!(ring.submit(), Ok(0));
    assert_eq!(ring.submission().status(), SqStatus::empty());
    assert_eq!(kernel.poll(), 1);
    assert_eq!(reap(&mut ring), [(1, 0)]);
}

#[test]
fn a_wait_runs_the_polling_thread() {
    let kernel = Kernel::new();
    let mut ring = polled(&kernel).build(4).unwrap();
    push(&mut ring, &[nop(1), nop(2)]);
    assert_eq!(ring.submit_and_wait(2), Ok(2));
    assert_eq!(reap(&mut ring), [(1, 0), (2, 0)]);
    assert!(kernel.fall_asleep());
    push(&mut ring, &[nop(3)]);
    assert_eq!(ring.submit_and_wait(1), Ok(1));
    assert_eq!(reap(&mut ring), [(3, 0)]);
}

#[test]
fn waiting_for_room_runs_the_polling_thread() {
    let kernel = Kernel::new();
    let mut ring = polled(&kernel).build(2).unwrap();
    push(&mut ring, &[nop(1), nop(2)]);
    assert!(ring.submission().is_full());
    assert_eq!(ring.submission().wait_for_room(), Ok(()));
    assert_eq!(ring.submission().room(), 2);
    assert_eq!(reap(&mut ring), [(1, 0), (2, 0)]);
}

#[test]
fn a_dead_polling_thread_is_reported() {
    let kernel = Kernel::new();
    let mut ring = polled(&kernel).build(2).unwrap();
    kernel.kill_polling_thread();
    assert_eq!(ring.wait(1), Err(Errno::OWNERDEAD));
    push(&mut ring, &[nop(1)]);
    assert_eq!(kernel.poll(), 0);
    assert_eq!(ring.submit_and_wait(1).unwrap_err().errno, Errno::OWNERDEAD);
}

#[test]
fn another_thread_can_be_the_polling_thread() {
    let kernel = Kernel::new();
    let mut ring = polled(&kernel).build(4).unwrap();
    let done = AtomicBool::new(false);
    let rounds = if cfg!(miri) { 40 } else { 4000 };
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                kernel.poll();
                kernel.fall_asleep();
                thread::yield_now();
            }
        });
        let mut seen = 0;
        for id in 0..rounds {
            ring.submission().push_safe(Nop::new().sqe(id)).unwrap();
            // This wakes the thread if it sleeps. If a wake-up were missed, the loop would not end.
            ring.submit().unwrap();
            while ring.submission().room() == 0 || seen + 4 < id {
                seen += ring.completion().drain().count() as u64;
                thread::yield_now();
            }
        }
        while seen < rounds {
            seen += ring.completion().drain().count() as u64;
            thread::yield_now();
        }
        done.store(true, Ordering::Relaxed);
    });
}
