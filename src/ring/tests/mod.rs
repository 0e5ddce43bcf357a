//! The queues over plain memory; the test acts as the kernel.
//!
//! Queues start just below the wrap of their positions, because starting at 0 is the special case.
//! One thread acts as both sides, so that the words can be read and written plainly.
#![expect(clippy::indexing_slicing, reason = "a test that goes out of bounds fails")]

use core::ptr::NonNull;
use std::boxed::Box;
use std::vec::Vec;

use super::cq::{Cq, CqParts};
use super::order::{Ours, Theirs};
use super::sq::{Sq, SqParts};
use crate::entry::{CqEntry, Cqe, SqEntry, Sqe};
use crate::sys::{Opcode, io_uring_cqe};

const START: u32 = u32::MAX - 2;
const SIZE: u32 = 4;

/// What the two sides share.
#[repr(C)]
struct Shared<S, C> {
    sq_head: u32,
    sq_tail: u32,
    sq_flags: u32,
    sq_dropped: u32,
    cq_head: u32,
    cq_tail: u32,
    cq_flags: u32,
    cq_overflow: u32,
    sqes: [S; SIZE as usize],
    cqes: [C; SIZE as usize],
}

/// The kernel's side, and the memory.
struct Kernel<S: SqEntry = Sqe, C: CqEntry = Cqe>(NonNull<Shared<S::Slot, C::Slot>>);

/// The address of a field of the shared memory.
macro_rules! at {
    ($kernel:expr, $field:ident) => {{
        // SAFETY: the memory lives as long as `Kernel`, and the field is in it.
        let field = unsafe { &raw mut (*$kernel.0.as_ptr()).$field };
        core::ptr::NonNull::new(field).unwrap()
    }};
}

/// Reads a field of the shared memory.
macro_rules! get {
    ($kernel:expr, $field:ident) => {{
        let field = at!($kernel, $field);
        // SAFETY: valid for reads, and no other thread writes it.
        unsafe { field.read() }
    }};
}

/// Writes a field of the shared memory.
macro_rules! set {
    ($kernel:expr, $field:ident, $value:expr) => {{
        let (field, value) = (at!($kernel, $field), $value);
        // SAFETY: valid for writes, and no other thread reads it.
        unsafe { field.write(value) }
    }};
}

mod bufs;
mod chain;
// Declared after the macros, because a macro can be used only after its definition.
mod mixed;
mod model;
mod narrow;
mod order;
mod random;

impl<S: SqEntry, C: CqEntry> Kernel<S, C> {
    fn with_slots(start: u32, sqe: S::Slot, cqe: C::Slot) -> Self {
        Self(NonNull::from(Box::leak(Box::new(Shared {
            sq_head: start,
            sq_tail: start,
            sq_flags: 0,
            sq_dropped: 0,
            cq_head: start,
            cq_tail: start,
            cq_flags: 0,
            cq_overflow: 0,
            sqes: [sqe; SIZE as usize],
            cqes: [cqe; SIZE as usize],
        }))))
    }

    fn sq(&self) -> Sq<S> {
        self.sq_of(false)
    }

    fn sq_of(&self, rewinds: bool) -> Sq<S> {
        let head = theirs(at!(self, sq_head));
        let parts = SqParts {
            head: if rewinds { Theirs::zero() } else { head },
            tail: ours(at!(self, sq_tail)),
            flags: theirs(at!(self, sq_flags)),
            dropped: theirs(at!(self, sq_dropped)),
            slots: at!(self, sqes).cast(),
            mask: SIZE - 1,
            rewinds,
        };
        // SAFETY: the parts are fields of `Shared`, and outlive the queue.
        unsafe { Sq::new(parts) }
    }

    fn cq(&self) -> Cq<C> {
        let parts = CqParts {
            head: ours(at!(self, cq_head)),
            tail: theirs(at!(self, cq_tail)),
            flags: Some(ours(at!(self, cq_flags))),
            overflow: theirs(at!(self, cq_overflow)),
            status: theirs(at!(self, cq_overflow)),
            slots: at!(self, cqes).cast(),
            mask: SIZE - 1,
        };
        // SAFETY: the parts are fields of `Shared`, and outlive the queue.
        unsafe { Cq::new(parts) }
    }

    /// Stores a slot in the CQ, if there is room.
    fn post_slot(&self, slot: C::Slot) -> bool {
        let tail = get!(self, cq_tail);
        if tail.wrapping_sub(get!(self, cq_head)) == SIZE {
            return false;
        }
        let mut cqes = get!(self, cqes);
        cqes[(tail % SIZE) as usize] = slot;
        set!(self, cqes, cqes);
        set!(self, cq_tail, tail.wrapping_add(1));
        true
    }
}

impl Kernel {
    fn new(start: u32) -> Self {
        Self::with_slots(start, entry(0), Cqe::from_raw(io_uring_cqe::ZEROED))
    }

    /// Consumes one entry, if one is published.
    fn take(&self) -> Option<u64> {
        let head = get!(self, sq_head);
        if head == get!(self, sq_tail) {
            return None;
        }
        let sqe = get!(self, sqes)[(head % SIZE) as usize];
        set!(self, sq_head, head.wrapping_add(1));
        Some(sqe.user_data())
    }

    fn take_all(&self) -> Vec<u64> {
        core::iter::from_fn(|| self.take()).collect()
    }

    /// Posts one completion, if there is room.
    fn post(&self, user_data: u64) -> bool {
        self.post_slot(Cqe::from_raw(io_uring_cqe { user_data, ..io_uring_cqe::ZEROED }))
    }
}

impl<S: SqEntry, C: CqEntry> Drop for Kernel<S, C> {
    fn drop(&mut self) {
        // SAFETY: leaked from a box in `new`; the queues over it are no longer used.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

fn ours(word: NonNull<u32>) -> Ours {
    // SAFETY: a field of `Shared`, which outlives the queues of a test; one thread.
    unsafe { Ours::new(word.cast()) }
}

fn theirs(word: NonNull<u32>) -> Theirs {
    // SAFETY: a field of `Shared`, which outlives the queues of a test; one thread.
    unsafe { Theirs::new(word.cast()) }
}

fn entry(user_data: u64) -> Sqe {
    Sqe::new(Opcode::NOP).with_user_data(user_data)
}

fn push_many(sq: &mut Sq<Sqe>, entries: core::ops::Range<u64>) {
    entries.for_each(|n| sq.push(entry(n)).unwrap());
}
