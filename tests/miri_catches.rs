//! What breaks the contract of pushing is seen by Miri, as the simulated kernel follows the
//! pointers that entries carry.
//!
//! Each test but the last is undefined behaviour, and has to be reported. `ci/miri-catches.sh`
//! runs them one by one and looks at the report.

#![cfg(all(miri, feature = "sim"))]

use core::alloc::Layout;
use core::ptr::NonNull;
use std::alloc::{alloc_zeroed, dealloc};

use ringbolt::ops::{Fixed, IoVec, Read, Readv, Timeout, Write, Writev};
use ringbolt::rustix::io::Errno;
use ringbolt::sim::{Fault, Kernel, Pace};
use ringbolt::sys::BufRingFlags;
use ringbolt::{IoUring, Sqe, Timespec};

/// What is read from and written to.
const FILE: Fixed = Fixed(0);

fn ring() -> (Kernel, IoUring) {
    let kernel = Kernel::new();
    kernel.put_file(FILE, b"sixteen bytes it".to_vec());
    let ring = IoUring::builder().simulated(&kernel).build(4).expect("a simulated ring");
    (kernel, ring)
}

/// Pushes an entry, of which the test says that what it names is about to go.
fn push(ring: &mut IoUring, entry: Sqe) {
    // SAFETY: not kept. That is what is to be reported.
    unsafe { ring.submission().push(entry) }.expect("room");
}

#[test]
#[ignore = "undefined behaviour"]
fn a_buffer_freed_behind_a_queued_read_is_reported() {
    let (_kernel, mut ring) = ring();
    let mut buffer = vec![0; 16];
    push(&mut ring, Read::new(FILE, buffer.as_mut_ptr(), 16).sqe(1));
    drop(buffer);
    let _ = ring.submit_and_wait(1);
}

#[test]
#[ignore = "undefined behaviour"]
fn a_buffer_freed_behind_a_queued_write_is_reported() {
    let (_kernel, mut ring) = ring();
    let buffer = vec![0; 16];
    push(&mut ring, Write::new(FILE, buffer.as_ptr(), 16).sqe(1));
    drop(buffer);
    let _ = ring.submit_and_wait(1);
}

#[test]
#[ignore = "undefined behaviour"]
fn a_buffer_freed_while_its_read_is_in_flight_is_reported() {
    let (kernel, mut ring) = ring();
    kernel.set_pace(Pace::WhenWaited);
    let mut buffer = vec![0; 16];
    push(&mut ring, Read::new(FILE, buffer.as_mut_ptr(), 16).sqe(1));
    assert_eq!(ring.submit(), Ok(1));
    drop(buffer);
    let _ = ring.wait(1);
}

/// A submit that fails does not take entries back: they are still queued.
#[test]
#[ignore = "undefined behaviour"]
fn a_buffer_freed_after_a_submit_that_failed_is_reported() {
    let (kernel, mut ring) = ring();
    let mut buffer = vec![0; 16];
    push(&mut ring, Read::new(FILE, buffer.as_mut_ptr(), 16).sqe(1));
    kernel.fail_next(Fault::Refuse(Errno::AGAIN));
    assert_eq!(ring.submit().map_err(|error| error.queued), Err(1));
    drop(buffer);
    let _ = ring.submit_and_wait(1);
}

#[test]
#[ignore = "undefined behaviour"]
fn a_vector_that_was_a_temporary_is_reported() {
    let (_kernel, mut ring) = ring();
    let mut buffer = [0; 16];
    let entry = {
        let vectors = [IoVec::new(buffer.as_mut_ptr(), 16)];
        Readv::new(FILE, vectors.as_ptr(), 1).sqe(1)
    };
    push(&mut ring, entry);
    let _ = ring.submit_and_wait(1);
}

#[test]
#[ignore = "undefined behaviour"]
fn a_buffer_of_a_vector_that_was_freed_is_reported() {
    let (_kernel, mut ring) = ring();
    let mut buffer = vec![0; 16];
    let vectors = [IoVec::new(buffer.as_mut_ptr(), 16)];
    push(&mut ring, Writev::new(FILE, vectors.as_ptr(), 1).sqe(1));
    drop(buffer);
    let _ = ring.submit_and_wait(1);
}

#[test]
#[ignore = "undefined behaviour"]
fn a_timespec_that_was_a_temporary_is_reported() {
    let (_kernel, mut ring) = ring();
    let entry = {
        let second = Timespec::new(1, 0);
        Timeout::new(&second).sqe(1)
    };
    push(&mut ring, entry);
    let _ = ring.submit_and_wait(1);
}

#[test]
#[ignore = "undefined behaviour"]
fn a_provided_buffer_that_was_freed_is_reported() {
    let (_kernel, mut ring) = ring();
    let layout = Layout::from_size_align(4096, 4096).expect("a page");
    // SAFETY: of a size that is not 0.
    let page = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory");
    let memory = NonNull::slice_from_raw_parts(page, 4096);
    let options = BufRingFlags::empty();
    // SAFETY: the page stays until the ring is closed.
    let buffers = unsafe { ring.registrar().register_buffer_ring_in(memory, 1, 4, options) };
    let mut buffers = buffers.expect("a new group");
    let mut buffer = vec![0; 16];
    // SAFETY: not kept. That is what is to be reported.
    unsafe { buffers.add(buffer.as_mut_ptr(), 16, 0) }.expect("room in the ring");
    buffers.publish();
    drop(buffer);
    push(&mut ring, Read::provided(FILE, 16, 1).sqe(1).into());
    let _ = ring.submit_and_wait(1);
    drop((buffers, ring));
    // SAFETY: of this layout, and used no more.
    unsafe { dealloc(page.as_ptr(), layout) };
}

/// The kernel reads and writes memory that the program is looking at.
#[test]
#[ignore = "undefined behaviour"]
fn a_buffer_that_is_borrowed_again_is_reported() {
    let (_kernel, mut ring) = ring();
    let mut buffer = [0; 16];
    push(&mut ring, Read::new(FILE, buffer.as_mut_ptr(), 16).sqe(1));
    buffer[0] = 1;
    let _ = ring.submit_and_wait(1);
    assert_eq!(buffer[0], b's');
}

/// The control: an entry that was taken back names nothing any more.
#[test]
#[ignore = "run by ci/miri-catches.sh"]
fn a_buffer_freed_behind_an_entry_that_was_taken_back_is_not_reported() {
    let (kernel, mut ring) = ring();
    let mut buffer = vec![0; 16];
    push(&mut ring, Read::new(FILE, buffer.as_mut_ptr(), 16).sqe(1));
    kernel.fail_next(Fault::Refuse(Errno::AGAIN));
    assert!(ring.submit().is_err());
    assert_eq!(ring.submission().pop_back().map(|entry| entry.user_data()), Some(1));
    drop(buffer);
    assert_eq!(ring.submit(), Ok(0));
    assert_eq!(kernel.in_flight(), 0);
}
