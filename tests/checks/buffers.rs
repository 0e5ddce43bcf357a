//! Rings of provided buffers, over the simulated kernel.
//!
//! As long as the other side is honest, the buffers that reads use and those that bundles name are
//! those of a naive model, whose positions never wrap. A full ring refuses, and a completion that
//! is reported frees one place. A hostile side writes any bytes to the entries, and posts
//! completions that name any buffer and any length: a bundle then still names what the entries say,
//! of no more buffers and bytes than were published and named.

use core::alloc::Layout;
use core::ptr::NonNull;
use std::alloc::{alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::VecDeque;

use ringbolt::ops::{Fixed, Read};
use ringbolt::register::{BufferRing, BufferRingFull};
use ringbolt::rustix::io::Errno;
use ringbolt::sim::Kernel;
use ringbolt::sys::{BufRingFlags, CqeFlags, IORING_CQE_BUFFER_SHIFT, io_uring_cqe};
use ringbolt::{Cqe, IoUring, LocalIoUring};

use super::Seed;
use super::bytes::Bytes;

/// Buffers that there are, by id, and bytes of each.
const BUFFERS: u16 = 48;
const LEN: usize = 16;
/// The id of those that are used up before anything else.
const SPENT: u16 = BUFFERS;
const FILE: Fixed = Fixed(0);
/// Bytes of an entry.
const ENTRY: usize = 16;
/// The most steps.
const MOST_STEPS: usize = 300;

/// Page-aligned memory that is not a byte too long.
struct Memory {
    start: NonNull<u8>,
    layout: Layout,
}

impl Memory {
    fn new(len: usize) -> Self {
        let layout = Layout::from_size_align(len, 4096).expect("a short length");
        // SAFETY: of a size that is not 0.
        let start = unsafe { alloc_zeroed(layout) };
        let start = NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout));
        Self { start, layout }
    }

    fn whole(&self) -> NonNull<[u8]> {
        NonNull::slice_from_raw_parts(self.start, self.layout.size())
    }

    fn at(&self, offset: usize) -> *mut u8 {
        assert!(offset <= self.layout.size());
        self.start.as_ptr().wrapping_add(offset)
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        for (place, byte) in (offset..self.layout.size()).zip(bytes) {
            // SAFETY: inside the memory, of which nobody holds a reference.
            unsafe { self.at(place).write(*byte) };
        }
    }

    fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        // SAFETY: inside the memory, which was zeroed, and of which nobody holds a reference.
        (offset..offset + len).map(|place| unsafe { self.at(place).read() }).collect()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: from `new`, with the same layout.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// What is in an entry.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    len: u32,
    bid: u16,
    /// Bytes of the buffer that are used up.
    used: usize,
}

/// What the ring holds, by positions that do not wrap.
struct Model {
    slots: Vec<Entry>,
    added: u64,
    published: u64,
    /// Up to where the kernel has used buffers up.
    head: u64,
    /// Buffers whose completions were not reported.
    out: u64,
}

impl Model {
    fn slot(&mut self, position: u64) -> &mut Entry {
        let count = self.slots.len() as u64;
        let slot = usize::try_from(position % count).expect("few slots");
        &mut self.slots[slot]
    }

    fn add(&mut self, len: u32, bid: u16) {
        *self.slot(self.added) = Entry { len, bid, used: 0 };
        self.added += 1;
        self.out += 1;
    }

    fn is_full(&self) -> bool {
        self.out == self.slots.len() as u64
    }

    /// The newest of the published buffers that are out and have an id.
    fn find(&mut self, bid: u16) -> Option<u64> {
        let oldest = self.added - self.out;
        (oldest..self.published).rev().find(|at| self.slot(*at).bid == bid)
    }

    /// The shares of a bundle.
    fn bundle(&mut self, first: u16, bytes: u32) -> Vec<(u16, u32)> {
        let Some(start) = self.find(first) else { return Vec::new() };
        let mut left = bytes;
        let mut shares = Vec::new();
        for at in start..self.published {
            if left == 0 {
                break;
            }
            let Entry { len, bid, .. } = *self.slot(at);
            let share = len.min(left);
            left -= share;
            shares.push((bid, share));
        }
        shares
    }
}

/// A ring of provided buffers, and what is known of it.
struct World {
    /// Closed before the memory goes that the kernel fills.
    ring: LocalIoUring,
    provided: BufferRing,
    kernel: Kernel,
    model: Model,
    /// Buffers that the program has.
    free: VecDeque<u16>,
    incremental: bool,
    /// Nobody but the program has written to the entries.
    honest: bool,
    /// Only completions that there were have been reported.
    truthful: bool,
    entries: Memory,
    buffers: Memory,
    contents: Vec<u8>,
}

pub(crate) fn check(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let mut world = World::new(&mut bytes);
    for _ in 0..MOST_STEPS {
        if bytes.is_empty() {
            break;
        }
        world.step(&mut bytes);
        world.compare();
    }
}

impl World {
    fn new(bytes: &mut Bytes<'_>) -> Self {
        let count = 1_u16 << bytes.below(6);
        let incremental = bytes.below(4) == 0;
        let group = bytes.u16();
        let kernel = Kernel::new();
        let contents: Vec<u8> = (0..=u8::MAX).collect();
        kernel.put_file(FILE, contents.clone());
        let ring = IoUring::builder().simulated(&kernel).build_local(4).expect("a ring");
        let entries = Memory::new(usize::from(count) * ENTRY);
        // Whatever was there before.
        entries.write(0, &vec![bytes.u8(); usize::from(count) * ENTRY]);
        let flags = if incremental { BufRingFlags::INC } else { BufRingFlags::empty() };
        // SAFETY: the memory stays longer than either ring, and is used by nobody else but the
        // kernel.
        let provided = unsafe {
            ring.registrar().register_buffer_ring_in(entries.whole(), group, count, flags)
        };
        let mut world = Self {
            ring,
            provided: provided.expect("the group is free"),
            kernel,
            model: Model {
                slots: vec![Entry::default(); usize::from(count)],
                added: 0,
                published: 0,
                head: 0,
                out: 0,
            },
            free: (0..BUFFERS).collect(),
            incremental,
            honest: true,
            truthful: true,
            entries,
            buffers: Memory::new(usize::from(BUFFERS + 1) * LEN),
            contents,
        };
        // Near the wrap, or not. Miri would take minutes.
        let near = bytes.bool() && !cfg!(miri);
        let before = if near { u16::MAX - u16::from(bytes.below(64)) } else { 0 };
        world.spend(before);
        world
    }

    /// Goes on by so many positions: buffers that are used up and reported at once.
    fn spend(&mut self, count: u16) {
        let mut left = count;
        while left > 0 {
            let batch = left.min(self.provided.capacity());
            for _ in 0..batch {
                self.add(SPENT, 1);
            }
            self.publish(false);
            let spent = self.kernel.spend_buffers(self.provided.group(), batch);
            assert_eq!(spent, batch, "buffers used up");
            self.model.head += u64::from(batch);
            for _ in 0..batch {
                self.report(SPENT);
            }
            left -= batch;
        }
    }

    /// Adds a buffer, unless the ring is full and says so. Returns whether it was added.
    fn add(&mut self, bid: u16, len: u32) -> bool {
        let start = self.buffers.at(usize::from(bid) * LEN);
        // SAFETY: memory of the buffer's own, `len` bytes at the least; it is looked at when the
        // kernel is done with it, and by addresses only.
        let added = unsafe { self.provided.add(start, len, bid) };
        let is_full = self.model.is_full();
        assert_eq!(added, if is_full { Err(BufferRingFull) } else { Ok(()) });
        if !is_full {
            self.model.add(len, bid);
        }
        !is_full
    }

    /// Reports a completion that names a buffer and nothing else.
    fn report(&mut self, bid: u16) {
        // More completions than buffers are an error that debug builds see.
        if self.model.out == 0 {
            return;
        }
        let flags = CqeFlags::BUFFER.bits() | u32::from(bid) << IORING_CQE_BUFFER_SHIFT;
        let flags = CqeFlags::from_bits_retain(flags);
        let cqe = |flags| Cqe::from_raw(io_uring_cqe { flags, ..io_uring_cqe::ZEROED });
        // The kernel goes on to use it, or it is nobody's.
        assert_eq!(self.provided.reclaim(&cqe(flags | CqeFlags::BUF_MORE)), None);
        assert_eq!(self.provided.reclaim(&cqe(CqeFlags::MORE)), None);
        assert_eq!(self.provided.reclaim(&cqe(flags)), Some(bid));
        self.model.out -= 1;
    }

    fn publish(&mut self, with_completions: bool) {
        let fresh = self.model.added - self.model.published;
        if with_completions {
            self.provided.publish_with(&mut self.ring.completion());
        } else {
            assert_eq!(u64::from(self.provided.publish()), fresh, "buffers new to the kernel");
        }
        self.model.published = self.model.added;
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(10) {
            0 | 1 => {
                for _ in 0..=bytes.below(4) {
                    let len = u32::from(bytes.below(16)) + 1;
                    self.add_free(bytes.u8(), len);
                }
            }
            2 => self.publish(bytes.bool()),
            3..=5 => self.consume(bytes.below(5), bytes.below(20), bytes.below(4)),
            6 => {
                // Any buffer, any length: what a completion could say.
                let cqe = io_uring_cqe {
                    res: bytes.i32(),
                    flags: CqeFlags::from_bits_retain(bytes.u32()),
                    ..io_uring_cqe::ZEROED
                };
                self.kernel.post(cqe);
                let cqe = self.ring.completion().pop().expect("it was posted");
                match (cqe.buffer_id(), cqe.result()) {
                    (Some(id), Ok(len)) => self.ask(id, len, usize::MAX),
                    (Some(id), Err(_)) => {
                        self.truthful = false;
                        self.report(id);
                    }
                    _ => assert_eq!(self.provided.reclaim(&cqe), None),
                }
            }
            7 => {
                let first = u16::from(bytes.below(64));
                self.ask(first, bytes.u16().into(), bytes.below(8).into());
            }
            8 if self.honest && bytes.below(4) == 0 => {
                let held = u16::try_from(self.model.published - self.model.head);
                let count = u16::from(bytes.below(8)).min(held.expect("few"));
                assert_eq!(self.kernel.spend_buffers(self.provided.group(), count), count);
                // The program learns of these in another way, or never: they take up their places.
                let reported = bytes.bool();
                for _ in 0..count {
                    let bid = self.use_up();
                    if reported {
                        self.report(bid);
                        self.free.push_back(bid);
                    }
                }
            }
            9 if bytes.below(4) == 0 => self.scribble(bytes),
            _ => {}
        }
    }

    /// Adds a buffer that the program has, if the ring takes it.
    fn add_free(&mut self, nth: u8, len: u32) {
        let held = self.model.added - self.model.head;
        // More room than there is was made by reports that were not true.
        if self.honest && held >= self.model.slots.len() as u64 && !self.model.is_full() {
            return;
        }
        let nth = usize::from(nth) % self.free.len().max(1);
        let Some(id) = self.free.get(nth).copied() else { return };
        // One that seems to be in the ring is an error that debug builds see.
        if (self.model.is_full() || self.model.find(id).is_none()) && self.add(id, len) {
            self.free.remove(nth);
        }
    }

    /// The buffer at the kernel's head is used up. Returns which one that is.
    fn use_up(&mut self) -> u16 {
        let bid = self.model.slot(self.model.head).bid;
        self.model.head += 1;
        bid
    }

    /// Reads into buffers, whole ones but for the last, and reports the completions: one by one, or
    /// together, as those of a bundle.
    fn consume(&mut self, reads: u8, last_len: u8, together: u8) {
        if !self.honest {
            return;
        }
        let mut used = Vec::new();
        for nth in 0..reads {
            let len = if nth + 1 == reads { last_len } else { 0 };
            match self.read(nth, len.into()) {
                Some(one) => used.push(one),
                None => break,
            }
        }
        let Some(&(first, _)) = used.first() else { return };
        if self.incremental {
            // `read` has reported them.
            return;
        }
        if together == 0 {
            used.iter().for_each(|(bid, _)| self.report(*bid));
        } else {
            let bytes = used.iter().map(|(_, len)| len).sum();
            let shares = self.bundle(first, bytes, usize::MAX);
            if self.truthful {
                assert_eq!(shares, used, "what the kernel has used");
            }
        }
        self.free.extend(used.iter().map(|(bid, _)| *bid));
    }

    /// Reads from byte `at` on into the next buffer, up to `len` bytes, or all that fit if that is
    /// 0. Returns the buffer and how many bytes, unless there is no buffer.
    fn read(&mut self, at: u8, len: u32) -> Option<(u16, u32)> {
        let entry = Read::provided(FILE, len, self.provided.group()).offset(at.into()).sqe(1);
        // SAFETY: the buffers stay until the ring is closed, and are looked at by address only.
        unsafe { self.ring.submission().push(entry) }.expect("room");
        assert_eq!(self.ring.submit_and_wait(1), Ok(1));
        let cqe = self.ring.completion().pop().expect("it was waited for");
        if self.model.head == self.model.published {
            assert_eq!(cqe.result(), Err(Errno::NOBUFS));
            return None;
        }
        let slot = *self.model.slot(self.model.head);
        let expected = if len == 0 { slot.len } else { len.min(slot.len) };
        assert_eq!((cqe.buffer_id(), cqe.result()), (Some(slot.bid), Ok(expected)), "{slot:?}");
        let moved = expected as usize;
        let place = usize::from(slot.bid) * LEN + slot.used;
        let from = usize::from(at);
        assert_eq!(self.buffers.read(place, moved), self.contents[from..from + moved]);
        let more = self.incremental && expected < slot.len;
        assert_eq!(cqe.flags().contains(CqeFlags::BUF_MORE), more);
        if self.incremental {
            let slot = self.model.slot(self.model.head);
            slot.len -= expected;
            slot.used += moved;
        }
        if !more {
            self.use_up();
            if self.incremental {
                self.report(slot.bid);
                self.free.push_back(slot.bid);
            }
        }
        Some((slot.bid, expected))
    }

    /// Asks for a bundle that no read has filled.
    fn ask(&mut self, first: u16, bytes: u32, most: usize) {
        let shares = self.bundle(first, bytes, most);
        self.truthful &= shares.is_empty();
    }

    /// Asks for a bundle, goes through `most` of its buffers, and compares. Returns them.
    fn bundle(&mut self, first: u16, bytes: u32, most: usize) -> Vec<(u16, u32)> {
        let expected = self.model.bundle(first, bytes);
        let unpublished = self.model.added - self.model.published;
        let capacity = usize::from(self.provided.capacity());
        let mut bundle = self.provided.bundle(first, bytes);
        let told: Vec<_> = bundle.by_ref().take(most).collect();
        if told.len() < most {
            assert_eq!(bundle.next(), None, "the end is not the end");
        }
        assert!(told.len() <= capacity);
        assert!(told.iter().map(|(_, len)| u64::from(*len)).sum::<u64>() <= u64::from(bytes));
        let place = format!("{unpublished} not published, from {first}, {bytes} bytes");
        let shares = expected.iter().take(most);
        assert!(told.iter().eq(shares), "{told:?}, not {expected:?}: {place}");
        self.model.out -= told.len() as u64;
        told
    }

    /// The other side writes any bytes to the entries.
    fn scribble(&mut self, bytes: &mut Bytes<'_>) {
        // The kernel follows no address from now on.
        self.kernel.scribble_sqe(0, &[]);
        self.honest = false;
        self.truthful = false;
        let slot = usize::from(bytes.u8()) % self.model.slots.len();
        let raw: [u8; ENTRY] = bytes.array();
        self.entries.write(slot * ENTRY, &raw);
        let [_, _, _, _, _, _, _, _, len @ .., low, high, _, _] = raw;
        let bid = u16::from_ne_bytes([low, high]);
        self.model.slots[slot] = Entry { len: u32::from_ne_bytes(len), bid, used: 0 };
    }

    fn compare(&self) {
        let count = |position: u64| u16::try_from(position & 0xffff).expect("sixteen bits");
        assert_eq!(usize::from(self.provided.capacity()), self.model.slots.len());
        assert_eq!(self.provided.tail(), count(self.model.added), "buffers ever added");
        assert_eq!(u64::from(self.provided.len()), self.model.out, "buffers out");
        if self.honest {
            let head = self.ring.registrar().buffer_ring_head(self.provided.group());
            assert_eq!(head, Ok(count(self.model.head)), "buffers ever used");
        }
    }
}

pub(crate) fn seeds() -> Vec<Seed> {
    // Capacity, whole buffers or not, group, what was there, where positions start.
    let start = |capacity, kind, place| [capacity, kind, 9, 0, 0xff, 1, place];
    let add = [0, 3, 7, 0, 15, 0, 3, 0, 9, 0];
    let publish = [2, 0];
    let (consume, consume_more) = ([3, 3, 0, 1], [3, 4, 5, 1]);
    let untold = [3, 2, 0, 0];
    let post = [6, 40, 0, 0, 0, 1, 0, 3, 0];
    let scribble = [vec![9, 0, 1], vec![0xff; 12], vec![3, 0, 0, 0]].concat();
    let partial = [7, 1, 40, 0, 1];
    let all: [&[u8]; 12] = [
        &add,
        &publish,
        &consume,
        &add,
        &publish,
        &consume_more,
        &untold,
        &add,
        &post,
        &publish,
        &partial,
        &scribble,
    ];
    let mut seeds = Vec::new();
    for (name, capacity, kind) in
        [("one", 0, 1), ("four", 2, 1), ("thirty_two", 5, 1), ("four_incremental", 2, 0)]
    {
        for (where_from, place) in [("near_the_wrap", 4), ("further_off", 60)] {
            let start = start(capacity, kind, place).to_vec();
            let input = [start, all.concat(), all.concat()].concat();
            seeds.push((format!("{name}_{where_from}"), input));
        }
    }
    seeds
}
