//! The kernel's side of the completion queue: posting, padding, overflow.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering;
use std::collections::VecDeque;
use std::vec::Vec;

use crate::sys::{CqeFlags, SetupFlags, SqStatus, io_uring_cqe};

use super::state::{Ring, World};
use super::{Posted, Word};

/// What was posted, and what could not be posted.
pub(super) struct Completions {
    /// The position up to which slots are filled.
    pub(super) tail: u32,
    /// Completions that wait for room, in order.
    pub(super) overflown: VecDeque<Completion>,
    /// Whether completions were lost and this was not reported to the program yet.
    pub(super) lost: bool,
    /// How many completions there were that count for timeouts: those of timeouts that fired do
    /// not.
    pub(super) counted: u64,
    /// The recorded completions, if they are recorded.
    pub(super) record: Vec<Posted>,
}

/// A completion that is not in the queue yet.
#[derive(Clone, Copy)]
pub(super) struct Completion {
    pub(super) cqe: io_uring_cqe,
    pub(super) extra: Option<[u64; 2]>,
    pub(super) counts: bool,
}

impl Completions {
    pub(super) fn new(tail: u32) -> Self {
        Self { tail, overflown: VecDeque::new(), lost: false, counted: 0, record: Vec::new() }
    }
}

impl Ring {
    /// Posts a completion that belongs to no request.
    pub(super) fn post(
        &mut self,
        world: &World,
        cqe: io_uring_cqe,
        extra: Option<[u64; 2]>,
    ) -> bool {
        self.forge(cqe.user_data);
        self.post_completion(world, Completion { cqe, extra, counts: true })
    }

    /// Posts a completion, or keeps it until there is room. Returns whether it is in the queue.
    pub(super) fn post_completion(&mut self, world: &World, mut completion: Completion) -> bool {
        if self.setup.contains(SetupFlags::CQE32) {
            completion.extra.get_or_insert([0; 2]);
        } else if !self.setup.contains(SetupFlags::CQE_MIXED) {
            completion.extra = None;
        } else if completion.extra.is_some() {
            completion.cqe.flags |= CqeFlags::F_32;
        }
        // No completion overtakes those that wait.
        let fits = self.completions.overflown.is_empty() && self.place(&completion);
        let lost = !fits && world.lose_overflow;
        if world.recording_completions {
            let Completion { cqe, extra, .. } = completion;
            self.completions.record.push(Posted { cqe, extra, lost });
        }
        if lost {
            self.memory.word(Word::CqOverflow).fetch_add(1, Ordering::Relaxed);
            self.completions.lost = true;
        } else if !fits {
            self.completions.overflown.push_back(completion);
            self.raise(SqStatus::CQ_OVERFLOW);
        }
        fits
    }

    /// Posts a padding entry.
    pub(super) fn post_filler(&mut self) -> bool {
        self.may_lie();
        let room = self.room() > 0;
        if room {
            self.fill_slot();
            self.show_tail();
        }
        room
    }

    /// Moves overflown completions into the queue, until it is full.
    pub(super) fn flush_overflow(&mut self) {
        if self.completions.overflown.is_empty() {
            return;
        }
        while let Some(oldest) = self.completions.overflown.front().copied() {
            if !self.place(&oldest) {
                return;
            }
            self.completions.overflown.pop_front();
        }
        self.lower(SqStatus::CQ_OVERFLOW);
    }

    /// The number of slots that the program has not consumed, according to its head.
    pub(super) fn ready(&self) -> u32 {
        self.completions.tail.wrapping_sub(self.memory.load(Word::CqHead))
    }

    /// How many slots are free, or 0 if this side must not fill any.
    pub(super) fn room(&self) -> u32 {
        if !self.may_post() {
            return 0;
        }
        // The program's head may be beyond the tail.
        self.memory.cq_entries - self.ready().min(self.memory.cq_entries)
    }

    /// Stores a completion in the queue, if there is room.
    fn place(&mut self, completion: &Completion) -> bool {
        let slots = if self.is_double(completion) { 2 } else { 1 };
        let last = self.memory.cq_entries - 1;
        if slots == 2 && self.completions.tail % self.memory.cq_entries == last {
            // The end of the queue would split it.
            if self.room() == 0 {
                return false;
            }
            self.fill_slot();
            self.show_tail();
        }
        if self.room() < slots {
            return false;
        }
        self.memory.put_cqe(self.completions.tail, completion.cqe, completion.extra);
        self.completions.tail = self.completions.tail.wrapping_add(slots);
        self.show_tail();
        self.completions.counted += u64::from(completion.counts);
        self.fire_counted();
        true
    }

    /// Whether a completion takes two slots.
    fn is_double(&self, completion: &Completion) -> bool {
        self.setup.contains(SetupFlags::CQE_MIXED) && completion.extra.is_some()
    }

    /// Fills the next slot, which is free, with padding.
    fn fill_slot(&mut self) {
        let filler = io_uring_cqe { flags: CqeFlags::SKIP, ..io_uring_cqe::ZEROED };
        let wide = self.setup.contains(SetupFlags::CQE32).then_some([0; 2]);
        self.memory.put_cqe(self.completions.tail, filler, wide);
        self.completions.tail = self.completions.tail.wrapping_add(1);
    }

    /// Publishes what was posted.
    fn show_tail(&self) {
        self.memory.store(Word::CqTail, self.completions.tail);
    }

    /// Sets flags for the program.
    pub(super) fn raise(&self, flags: SqStatus) {
        self.memory.word(Word::SqFlags).fetch_or(flags.bits(), Ordering::Relaxed);
    }

    /// Clears flags for the program.
    pub(super) fn lower(&self, flags: SqStatus) {
        self.memory.word(Word::SqFlags).fetch_and(!flags.bits(), Ordering::Relaxed);
    }
}
