//! The kernel's side of a ring, played by the program.
//!
//! A ring's memory can be mapped twice. Through the second view a benchmark does what the
//! kernel would do (take entries, post completions), so that filling and reaping are measured
//! alone, on real rings, through whatever interface they have. The kernel is never entered, and
//! does not notice.

use core::sync::atomic::{AtomicU32, Ordering};

use ringbolt::sys::io_uring_params;
use rustix::fd::AsFd;
use rustix::io::Errno;

use crate::floor::Map;

/// A second view of a ring's queues.
#[derive(Debug)]
pub struct View {
    sq_head: *const AtomicU32,
    sq_tail: *const AtomicU32,
    cq_head: *const AtomicU32,
    cq_tail: *const AtomicU32,
    _map: Map,
}

impl View {
    /// Maps the queues of `ring`, which set-up answered with `params`, once more, and fills every
    /// completion slot: slot `n` with what `completion` makes of `n`.
    ///
    /// # Errors
    ///
    /// Those of `mmap(2)`.
    pub fn new<C: Copy>(
        ring: impl AsFd,
        params: &io_uring_params,
        completion: impl Fn(u32) -> C,
    ) -> Result<Self, Errno> {
        let map = Map::queues::<C>(ring.as_fd(), params)?;
        let size = u32::try_from(size_of::<C>()).map_err(|_| Errno::INVAL)?;
        for slot in 0..params.cq_entries {
            let place = map.at::<C>(params.cq_off.cqes + slot * size);
            // SAFETY: inside the mapping; nothing was posted, so that nobody reads it.
            unsafe { place.write(completion(slot)) };
        }
        Ok(Self {
            sq_head: map.word(params.sq_off.head),
            sq_tail: map.word(params.sq_off.tail),
            cq_head: map.word(params.cq_off.head),
            cq_tail: map.word(params.cq_off.tail),
            _map: map,
        })
    }

    /// Takes all entries that were published.
    #[inline(always)]
    pub fn take_all(&self) {
        // SAFETY: a word of the mapping, which `self` keeps.
        unsafe { &*self.sq_head }.store(load(self.sq_tail), Ordering::Release);
    }

    /// Posts `count` completions: those that lie in the next slots already.
    #[inline(always)]
    pub fn post(&self, count: u32) {
        let tail = load(self.cq_tail).wrapping_add(count);
        // SAFETY: a word of the mapping, which `self` keeps.
        unsafe { &*self.cq_tail }.store(tail, Ordering::Release);
    }

    /// How many entries were published in all, modulo 2^32.
    pub fn published(&self) -> u32 {
        load(self.sq_tail)
    }

    /// How many completions were given back in all, modulo 2^32.
    pub fn given_back(&self) -> u32 {
        load(self.cq_head)
    }
}

#[inline(always)]
fn load(word: *const AtomicU32) -> u32 {
    // SAFETY: a word of the mapping, which the caller keeps.
    unsafe { &*word }.load(Ordering::Acquire)
}
