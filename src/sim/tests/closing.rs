//! Operations that are in flight when a ring is closed.

use core::time::Duration;
use std::vec;

use super::{nop, push, read, reap, run, simulated};
use crate::IoUring;
use crate::ops::time::Timespec;
use crate::ops::{Fixed, Read, Timeout};
use crate::register::BufferRingOptions;
use crate::sim::{Kernel, Pace};

/// A kernel whose operations are held, with a file of sevens.
fn holding() -> Kernel {
    let kernel = Kernel::new();
    kernel.put_file(Fixed(0), vec![7; 4]);
    kernel.set_pace(Pace::Held);
    kernel
}

#[test]
fn operations_in_flight_continue_after_their_ring_is_closed() {
    let kernel = holding();
    let mut ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    let mut bufs = [[0; 4]; 3];
    let [one, two, three] = &mut bufs;
    push(&mut ring, &[read(1, one), read(2, two).link(), read(3, three)]);
    assert_eq!(ring.submit(), Ok(3));
    drop(ring);
    assert_eq!(kernel.in_flight(), 2);
    assert!(kernel.complete(1));
    // The entry that was linked after it no longer starts.
    assert_eq!(kernel.in_flight(), 1);
    assert!(kernel.complete(0) && !kernel.complete(0));
    assert_eq!((kernel.in_flight(), kernel.finish_closing()), (0, 0));
    assert_eq!(bufs, [[7; 4], [7; 4], [0; 4]]);
}

#[test]
fn finish_closing_cancels_the_operations_of_closed_rings() {
    let kernel = holding();
    let mut buf = [0; 4];
    for rings in 1..3 {
        for _ in 0..rings {
            let mut ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
            push(&mut ring, &[read(1, &raw mut buf), nop(2)]);
            assert_eq!(ring.submit(), Ok(2));
        }
        assert_eq!((kernel.in_flight(), kernel.finish_closing()), (rings, rings));
        assert_eq!((kernel.in_flight(), kernel.complete(0)), (0, false));
    }
    assert_eq!(buf, [0; 4]);
}

#[test]
fn a_new_ring_works_while_another_is_closing() {
    let kernel = holding();
    let (mut old, mut new) = ([0; 4], [0; 4]);
    let mut ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    push(&mut ring, &[read(1, &raw mut old)]);
    assert_eq!(ring.submit(), Ok(1));
    drop(ring);
    let mut ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    push(&mut ring, &[read(1, &raw mut new)]);
    assert_eq!((ring.submit(), kernel.in_flight()), (Ok(1), 2));
    // The older operation completes first; it is not reported to the new ring.
    assert!(kernel.complete(0));
    assert_eq!((reap(&mut ring), old, new), (vec![], [7; 4], [0; 4]));
    kernel.set_pace(Pace::WhenWaited);
    assert_eq!(run(&mut ring, &[], 1), [(1, 4)]);
}

#[test]
fn closing_a_ring_ends_its_timeouts() {
    let (kernel, mut ring) = simulated();
    let time = Timespec::new(1, 0);
    push(&mut ring, &[Timeout::new(&raw const time).sqe(1)]);
    assert_eq!((ring.submit(), kernel.in_flight()), (Ok(1), 1));
    drop(ring);
    assert_eq!(kernel.in_flight(), 0);
    kernel.advance(Duration::from_secs(2));
}

#[test]
fn dropping_the_last_handle_releases_everything() {
    let kernel = holding();
    let mut buf = [0; 4];
    let mut ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    push(&mut ring, &[read(1, &raw mut buf)]);
    assert_eq!(ring.submit(), Ok(1));
    drop(kernel);
    drop(ring);
    assert_eq!(buf, [0; 4]);
}

#[test]
fn buffer_ring_memory_stays_until_both_sides_drop_it() {
    let (kernel, ring) = simulated();
    let options = BufferRingOptions::default();
    let dropped = ring.registrar().register_buffer_ring(0, 8, options).unwrap();
    drop(dropped);
    assert_eq!(kernel.spend_buffers(0, 1), 0);
    assert_eq!(ring.registrar().buffer_ring_head(0), Ok(0));
    let mut kept = ring.registrar().register_buffer_ring(1, 8, options).unwrap();
    drop(ring);
    drop(kernel);
    assert_eq!(kept.publish(), 0);
}

#[test]
fn a_group_still_registered_provides_buffers_after_closing() {
    let kernel = holding();
    let mut ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    let mut buf = [0_u8; 4];
    let options = BufferRingOptions::default();
    let mut buffers = ring.registrar().register_buffer_ring(0, 8, options).unwrap();
    // SAFETY: the buffer stays until the test is over, when the kernel has let go of it.
    unsafe { buffers.add((&raw mut buf).cast(), 4, 3) }.unwrap();
    buffers.publish();
    let picks = Read::new(Fixed(0), core::ptr::null_mut(), 4).sqe(1).buffer_group(0);
    push(&mut ring, &[picks]);
    assert_eq!(ring.submit(), Ok(1));
    drop((ring, buffers));
    assert!(kernel.complete(0));
    assert_eq!((buf, kernel.finish_closing()), ([7; 4], 0));
}
