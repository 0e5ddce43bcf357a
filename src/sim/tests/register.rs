//! Probing and resizing.

use std::string::ToString as _;
use std::vec::Vec;

use rustix::io::Errno;

use super::{nop, push, reap, run, simulated};
use crate::ops::Nop;
use crate::sim::{self, Kernel};
use crate::sys::{Opcode, RegisterOp, io_uring_cqe, io_uring_params};
use crate::{IoUring, PushError, ResizeError};

#[test]
fn the_probe_reports_the_supported_operations() {
    let (_kernel, ring) = simulated();
    let probe = ring.registrar().probe().unwrap();
    assert!(probe.supports(Opcode::READ) && probe.supports(Opcode::NOP128));
    assert!(!probe.supports(Opcode::SEND));
    assert_eq!(probe.supported().count(), 13);
}

#[test]
fn unsupported_registrations_fail_with_einval() {
    let (_kernel, ring) = simulated();
    assert_eq!(ring.registrar().register_files(&[]).map_err(Errno::from), Err(Errno::INVAL));
}

/// A ring that can be resized.
fn deferred(kernel: &Kernel) -> crate::LocalIoUring {
    let builder = IoUring::builder().simulated(kernel).single_issuer().defer_taskrun();
    builder.no_sqarray().build_local(4).unwrap()
}

#[test]
fn resizing_keeps_the_contents_of_the_queues() {
    let kernel = Kernel::new();
    let mut ring = deferred(&kernel);
    for entries in [2, 64, 4, 4] {
        push(&mut ring, &[nop(1), nop(2)]);
        assert_eq!(ring.submit(), Ok(2));
        push(&mut ring, &[nop(3), nop(4)]);
        ring.resize(entries, None).unwrap();
        assert_eq!(ring.params().sq_entries, entries);
        assert_eq!(ring.submission().capacity(), entries);
        assert_eq!(reap(&mut ring), [(1, 0), (2, 0)]);
        assert_eq!(ring.submit(), Ok(2));
        assert_eq!(reap(&mut ring), [(3, 0), (4, 0)]);
        for id in 0..70 {
            assert_eq!(run(&mut ring, &[nop(id)], 1), [(id, 0)]);
        }
    }
}

#[test]
fn resizing_below_the_contents_of_the_queues_fails() {
    let kernel = Kernel::new();
    let mut ring = deferred(&kernel);
    for id in 0..4 {
        push(&mut ring, &[nop(id)]);
    }
    assert!(matches!(ring.resize(2, None), Err(ResizeError::TooSmall { .. })));
    ring.submission().flush();
    // The kernel checks this itself.
    let mut params = io_uring_params { sq_entries: 2, ..io_uring_params::ZEROED };
    let arg = (&raw mut params).cast();
    // SAFETY: one struct, valid during the call; it fails, so that the queues stay.
    let resized = unsafe { ring.registrar().raw(RegisterOp::REGISTER_RESIZE_RINGS, arg, 1) };
    assert_eq!(resized, Err(Errno::OVERFLOW));
    kernel.fail_next_register(Errno::NOMEM);
    assert_eq!(ring.resize(8, None), Err(ResizeError::Refused(Errno::NOMEM)));
    assert_eq!(ring.submit(), Ok(4));
    assert_eq!(reap(&mut ring).len(), 4);
    ring.resize(2, None).unwrap();
}

#[test]
fn a_resize_that_returns_an_invalid_layout_makes_the_ring_unusable() {
    let kernel = Kernel::new();
    let mut ring = deferred(&kernel);
    push(&mut ring, &[nop(1)]);
    kernel.post(io_uring_cqe::ZEROED);
    kernel.answer_resize_with(|params| params.sq_off.tail += 1);
    // The values of a resize that fails are not changed.
    assert_eq!(ring.resize(0, None).map_err(|error| error.to_string().is_empty()), Err(false));
    assert!(matches!(ring.resize(8, None), Err(ResizeError::Layout(_))));
    let pushed = ring.submission().push_safe(Nop::new().sqe(2));
    assert!(matches!(pushed, Err(PushError::Unusable(_))));
    assert_eq!(ring.submit().map_err(|error| error.errno), Err(Errno::STALE));
    assert_eq!(ring.wait(1), Err(Errno::STALE));
    // The kernel has the entry: it cannot be taken back.
    assert!(ring.submission().pop_back().is_none() && ring.submission().rollback() == 0);
    assert!(ring.completion().pop().is_none());
    assert_eq!(ring.resize(8, None), Err(ResizeError::Unusable(Errno::STALE)));
}

#[test]
fn overflown_completions_are_posted_after_a_resize() {
    let kernel = Kernel::new();
    let mut ring = deferred(&kernel);
    let cqe = |user_data| io_uring_cqe { user_data, ..io_uring_cqe::ZEROED };
    for id in 0..12 {
        kernel.post(cqe(id));
    }
    ring.resize(16, None).unwrap();
    let mut seen = Vec::new();
    while seen.len() < 12 {
        assert_eq!(ring.get_events(), Ok(()));
        seen.extend(reap(&mut ring).into_iter().map(|(id, _)| id));
    }
    assert_eq!(seen, (0..12).collect::<Vec<_>>());
}

#[test]
fn the_old_memory_of_a_resized_ring_stays_until_the_ring_is_closed() {
    let kernel = Kernel::new();
    let mut ring = deferred(&kernel);
    let before = sim::map(kernel.number()).unwrap();
    push(&mut ring, &[nop(0x55)]);
    ring.resize(8, None).unwrap();
    // SAFETY: memory of the ring's, which is the point; the queues are elsewhere by now.
    let bytes = unsafe { before.sqes.as_ref() };
    assert!(bytes.contains(&0x55));
}

#[test]
fn only_rings_with_defer_taskrun_can_be_resized() {
    let kernel = Kernel::new();
    let mut ring = IoUring::builder().simulated(&kernel).no_sqarray().build(4).unwrap();
    assert_eq!(ring.resize(8, None), Err(ResizeError::Refused(Errno::INVAL)));
    ring.submission().push_safe(Nop::new().sqe(1)).unwrap();
    assert_eq!(ring.submit_and_wait(1), Ok(1));
}
