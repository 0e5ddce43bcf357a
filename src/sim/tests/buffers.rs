//! Provided buffers.

use core::ptr::NonNull;
use std::boxed::Box;
use std::vec;
use std::vec::Vec;

use rustix::io::Errno;

use super::{err, push, run, simulated};
use crate::ops::{Fixed, Read, ReadMultishot};
use crate::register::{BufferRing, BufferRingOptions};
use crate::sim::Kernel;
use crate::sys::BufRingFlags;
use crate::{Cqe, IoUring, LocalIoUring, Sqe};

/// Memory for a ring of buffers, and buffers, kept until the test is over.
#[repr(align(4096))]
struct Page {
    _bytes: [u8; 4096],
}

/// The memory of a test, declared before the ring and so dropped after it.
struct Memory {
    page: NonNull<Page>,
    buffers: NonNull<[u8; 64]>,
}

impl Memory {
    fn new() -> Self {
        let page = NonNull::from(Box::leak(Box::new(Page { _bytes: [0; 4096] })));
        Self { page, buffers: NonNull::from(Box::leak(Box::new([0; 64]))) }
    }

    fn register(
        &self,
        ring: &IoUring,
        options: impl Into<BufferRingOptions>,
    ) -> Result<BufferRing, Errno> {
        let bytes = NonNull::slice_from_raw_parts(self.page.cast::<u8>(), 4096);
        // SAFETY: the page stays until the test is over, and nothing else uses it.
        unsafe { ring.registrar().register_buffer_ring_in(bytes, 1, 4, options) }
            .map_err(Errno::from)
    }

    /// Adds the 16 bytes at `16 * index` as buffer `bid`.
    fn add(&self, buffers: &mut BufferRing, index: usize, bid: u16) {
        let start = self.buffers.cast::<u8>().as_ptr().wrapping_add(16 * index);
        // SAFETY: the memory stays until the test is over, and is not looked at meanwhile.
        unsafe { buffers.add(start, 16, bid) }.unwrap();
        buffers.publish();
    }

    fn bytes(&self) -> [u8; 64] {
        // SAFETY: nothing is in flight.
        unsafe { self.buffers.read() }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: leaked by `new`, and of no use to the ring any more, which is gone.
        drop(unsafe { Box::from_raw(self.page.as_ptr()) });
        // SAFETY: as above.
        drop(unsafe { Box::from_raw(self.buffers.as_ptr()) });
    }
}

fn read(ring: &mut IoUring, len: u32) -> Cqe {
    let read = Read::new(Fixed(0), core::ptr::null_mut(), len).sqe(1).buffer_group(1);
    push(ring, &[read]);
    ring.submit_and_wait(1).unwrap();
    ring.completion().pop().unwrap()
}

fn kernel_with_file() -> Kernel {
    let kernel = Kernel::new();
    kernel.put_file(Fixed(0), (0..100).collect());
    kernel
}

#[test]
fn a_read_picks_the_next_buffer() {
    let memory = Memory::new();
    let kernel = kernel_with_file();
    let mut ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    let mut buffers = memory.register(&ring, BufRingFlags::empty()).unwrap();
    memory.add(&mut buffers, 2, 7);
    memory.add(&mut buffers, 0, 9);
    let cqe = read(&mut ring, 0);
    assert_eq!((cqe.result(), cqe.buffer_id(), cqe.has_more_of_buffer()), (Ok(16), Some(7), false));
    assert_eq!(buffers.reclaim(&cqe), Some(7));
    let cqe = read(&mut ring, 5);
    assert_eq!((cqe.result(), buffers.reclaim(&cqe)), (Ok(5), Some(9)));
    assert_eq!(read(&mut ring, 5).result(), Err(Errno::NOBUFS));
    assert_eq!(ring.registrar().buffer_ring_head(1), Ok(2));
    let expected: Vec<u8> = (0..16).collect();
    assert_eq!(
        (&memory.bytes()[32..48], &memory.bytes()[..5]),
        (&expected[..], &[16, 17, 18, 19, 20][..])
    );
    // Its entries are reused, around the end of the ring.
    for bid in 0..9 {
        memory.add(&mut buffers, 1, bid);
        let cqe = read(&mut ring, 1);
        assert_eq!(buffers.reclaim(&cqe), Some(bid));
    }
}

#[test]
fn an_incremental_buffer_is_used_up_piece_by_piece() {
    let memory = Memory::new();
    let kernel = kernel_with_file();
    let mut ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    let mut buffers = memory.register(&ring, BufRingFlags::INC).unwrap();
    memory.add(&mut buffers, 0, 3);
    memory.add(&mut buffers, 1, 4);
    for (len, more) in [(6, true), (7, true), (3, false)] {
        let cqe = read(&mut ring, len);
        assert_eq!((cqe.buffer_id(), cqe.has_more_of_buffer()), (Some(3), more));
    }
    // At most the length of a buffer.
    let cqe = read(&mut ring, 40);
    assert_eq!((cqe.result(), cqe.buffer_id(), cqe.has_more_of_buffer()), (Ok(16), Some(4), false));
    let expected: Vec<u8> = (0..32).collect();
    assert_eq!(memory.bytes()[..32], expected);
}

#[test]
fn a_buffer_with_less_than_min_left_is_used_up() {
    let memory = Memory::new();
    let kernel = kernel_with_file();
    let mut ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    let options = BufferRingOptions { flags: BufRingFlags::INC, min_left: 8 };
    let mut buffers = memory.register(&ring, options).unwrap();
    memory.add(&mut buffers, 0, 3);
    memory.add(&mut buffers, 1, 4);
    assert!(read(&mut ring, 8).has_more_of_buffer());
    assert!(!read(&mut ring, 1).has_more_of_buffer());
    assert_eq!(read(&mut ring, 1).buffer_id(), Some(4));
}

#[test]
fn a_short_read_uses_up_all_the_bytes_it_asked_for() {
    let memory = Memory::new();
    let kernel = Kernel::new();
    kernel.put_file(Fixed(0), vec![7; 4]);
    let mut ring = IoUring::builder().simulated(&kernel).build(8).unwrap();
    let mut buffers = memory.register(&ring, BufRingFlags::INC).unwrap();
    memory.add(&mut buffers, 0, 3);
    assert_eq!(read(&mut ring, 8).result(), Ok(4));
    kernel.put_file(Fixed(0), vec![8; 4]);
    assert_eq!(read(&mut ring, 8).result(), Ok(4));
    let bytes = memory.bytes();
    assert_eq!((&bytes[..4], &bytes[4..8], &bytes[8..12]), (&[7; 4][..], &[0; 4][..], &[8; 4][..]));
}

#[test]
fn invalid_registrations_are_refused() {
    let memory = Memory::new();
    let (_kernel, mut ring) = simulated();
    let mapped = memory.register(&ring, BufRingFlags::from_bits_retain(1 << 14));
    assert_eq!(mapped.unwrap_err(), Errno::INVAL);
    let mapped = ring.registrar().register_buffer_ring(1, 4, BufRingFlags::MMAP);
    assert_eq!(mapped.unwrap_err().errno, Errno::INVAL);
    assert_eq!(ring.registrar().buffer_ring_head(1).map_err(Errno::from), Err(Errno::NOENT));
    let unknown = Read::new(Fixed(0), core::ptr::null_mut(), 4).sqe(1).buffer_group(1);
    assert_eq!(run(&mut ring, &[unknown], 1), [(1, err(Errno::BADF))]);
    let buffers = memory.register(&ring, BufRingFlags::empty()).unwrap();
    let again = memory.register(&ring, BufRingFlags::empty());
    assert_eq!(again.unwrap_err(), Errno::EXIST);
    assert!(ring.registrar().unregister_buffer_ring(buffers).is_ok());
    // SAFETY: no value of the group is left.
    let again = unsafe { ring.registrar().unregister_buffer_group(1) };
    assert_eq!(again.map_err(Errno::from), Err(Errno::NOENT));
}

#[test]
fn a_multishot_read_goes_on_until_it_lacks_a_buffer_or_the_file_ends() {
    let kernel = Kernel::new();
    kernel.put_file(Fixed(0), vec![7; 10]);
    let mut ring = IoUring::builder().simulated(&kernel).build_local(8).unwrap();
    let options = BufferRingOptions::default();
    let mut bufs = [[0; 4]; 2];
    let mut group = ring.registrar().register_buffer_ring(0, 2, options).unwrap();
    for (id, buf) in (0..).zip(&mut bufs) {
        // SAFETY: the buffers stay, and are not touched, until the group is unregistered.
        unsafe { group.add(buf.as_mut_ptr(), 4, id) }.unwrap();
    }
    group.publish();
    let entry: Sqe = ReadMultishot::new(Fixed(0), 0).sqe(1).into();
    let shots = |ring: &mut LocalIoUring| {
        push(ring, &[entry]);
        assert_eq!(ring.submit_and_wait(1), Ok(1));
        let flags = |cqe: Cqe| (cqe.raw_result(), cqe.has_more(), cqe.buffer_id());
        ring.completion().drain().map(flags).collect::<Vec<_>>()
    };
    let dry = (err(Errno::NOBUFS), false, None);
    assert_eq!(shots(&mut ring), [(4, true, Some(0)), (4, true, Some(1)), dry]);
    assert_eq!(shots(&mut ring), [dry]);
}
