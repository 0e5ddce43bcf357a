//! The naive model: what the program and the kernel have between them, as lists of values.
//!
//! It knows how many slots there are and what has which width, and no head, tail or mask. Only
//! for entries of two slots, which are not to be cut by the end of a queue, does it count how
//! many slots were ever used, in numbers that never wrap.

use std::collections::VecDeque;

use ringbolt::sim::Fault;
use ringbolt::sys::{CqeFlags, io_uring_cqe};

use super::config::{Config, Width};
use super::op::Op;

/// What is pushed and not taken.
pub(crate) struct Submissions {
    pub(crate) capacity: u32,
    pub(crate) entries: VecDeque<Entry>,
    /// How many of them, the oldest, are published.
    pub(crate) published: usize,
    /// How many slots were ever used up to the next free one.
    place: u64,
    mixed: bool,
    polled: bool,
    pub(crate) rewinds: bool,
}

/// An entry that is pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The bytes that the kernel is to read.
    pub(crate) image: Image,
    pub(crate) slots: u32,
    /// What it was made of; `None` if it only fills a slot.
    pub(crate) origin: Option<Origin>,
}

/// What an entry was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) op: Op,
    pub(crate) user_data: u64,
}

/// An entry as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) head: [u8; 64],
    pub(crate) payload: Option<[u8; 64]>,
}

/// Why entries are not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Full,
    OpenChain,
    TooMany,
    /// The ring cannot be used.
    Unusable,
}

/// What is posted and not popped.
pub(crate) struct Completions {
    pub(crate) capacity: u32,
    slots: VecDeque<Posted>,
    /// How many slots, the oldest, the program has seen.
    known: u32,
    /// Slots whose completions are popped and that the kernel has not got back.
    unreturned: u32,
    /// Slots given back, ever.
    returned: u64,
    /// How many slots were ever used up to the next free one.
    place: u64,
    /// Completions that wait for room.
    pub(crate) overflown: VecDeque<Completion>,
    /// How many were lost.
    pub(crate) lost: u32,
    mixed: bool,
}

/// What is in the completion queue.
#[derive(Clone, Debug)]
enum Posted {
    Completion(Completion),
    Filler,
}

/// A completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) user_data: u64,
    pub(crate) result: i32,
    pub(crate) flags: CqeFlags,
    /// The other words of one of 32 bytes.
    pub(crate) extra: Option<[u64; 2]>,
}

/// All of it.
pub(crate) struct Model {
    pub(crate) sq: Submissions,
    pub(crate) cq: Completions,
    /// What goes wrong with the next calls.
    pub(crate) faults: VecDeque<Fault>,
    /// The polling thread sleeps.
    pub(crate) asleep: bool,
    /// The next resize that succeeds returns a layout that cannot be right.
    pub(crate) breaks_resize: bool,
    /// Such a resize has made the ring unusable. Nothing else is known from then on.
    pub(crate) is_unusable: bool,
}

impl Model {
    /// An empty ring of so many slots.
    pub(crate) fn new(config: &Config, entries: u32, cq_entries: u32) -> Self {
        let rewinds = config.rewinding();
        let place = if rewinds { 0 } else { u64::from(config.start) };
        let sq = Submissions {
            capacity: entries,
            entries: VecDeque::new(),
            published: 0,
            place,
            mixed: config.sq == Width::Mixed,
            polled: config.is_polled(),
            rewinds,
        };
        let cq = Completions {
            capacity: cq_entries,
            slots: VecDeque::new(),
            known: 0,
            unreturned: 0,
            returned: place,
            place,
            overflown: VecDeque::new(),
            lost: 0,
            mixed: config.cq == Width::Mixed,
        };
        let faults = VecDeque::new();
        Self { sq, cq, faults, asleep: false, breaks_resize: false, is_unusable: false }
    }
}

fn slots<'e>(entries: impl Iterator<Item = &'e Entry>) -> u32 {
    entries.map(|entry| entry.slots).sum()
}

impl Submissions {
    /// Filled slots.
    pub(crate) fn len(&self) -> u32 {
        slots(self.entries.iter())
    }

    pub(crate) fn room(&self) -> u32 {
        self.capacity - self.len()
    }

    /// Filled slots that are not published.
    pub(crate) fn unpublished(&self) -> u32 {
        slots(self.entries.iter().skip(self.published))
    }

    /// What a tail that counts all slots ever published would say.
    pub(crate) fn tail(&self) -> u64 {
        self.place - u64::from(self.unpublished())
    }

    /// Queues all of `entries` or none, with `filler` before them if one is needed.
    pub(crate) fn push(&mut self, entries: Vec<Entry>, filler: &Entry) -> Result<(), Refusal> {
        let linked = |entry: &Entry| entry.origin.is_some_and(|origin| origin.op.is_linked());
        if entries.last().is_some_and(linked) {
            return Err(Refusal::OpenChain);
        }
        let mut group = entries;
        if self.would_cut(&group) {
            group.insert(0, filler.clone());
        }
        let slots = slots(group.iter());
        self.fits(slots)?;
        self.place += u64::from(slots);
        self.entries.extend(group);
        Ok(())
    }

    /// Whether there is room for so many slots.
    pub(crate) fn fits(&self, slots: u32) -> Result<(), Refusal> {
        match slots {
            _ if slots > self.capacity => Err(Refusal::TooMany),
            _ if slots > self.room() => Err(Refusal::Full),
            _ => Ok(()),
        }
    }

    /// Whether an entry of two slots would be cut by the end of the queue.
    fn would_cut(&self, entries: &[Entry]) -> bool {
        let mut place = self.place;
        entries.iter().any(|entry| {
            let first = place % u64::from(self.capacity);
            place += u64::from(entry.slots);
            self.mixed && entry.slots == 2 && first + 1 == u64::from(self.capacity)
        })
    }

    /// Shows the kernel all. Returns how many slots are new to it.
    pub(crate) fn publish(&mut self) -> u32 {
        let fresh = self.unpublished();
        self.published = self.entries.len();
        fresh
    }

    /// Takes back the entry pushed last, if the kernel cannot have it.
    pub(crate) fn pop_back(&mut self) -> Option<Entry> {
        if self.polled && self.published == self.entries.len() {
            return None;
        }
        let entry = self.entries.pop_back()?;
        self.place -= u64::from(entry.slots);
        self.published = self.published.min(self.entries.len());
        Some(entry)
    }

    /// The kernel takes the oldest entry, which is published.
    pub(crate) fn take(&mut self) -> Option<Entry> {
        self.published = self.published.checked_sub(1)?;
        self.entries.pop_front()
    }

    /// A call that took something is over: a queue that rewinds starts over.
    pub(crate) fn start_over(&mut self) {
        if self.rewinds {
            self.place = u64::from(self.len());
        }
    }
}

impl Completion {
    /// What the kernel posts, as it says itself.
    pub(crate) fn new(cqe: &io_uring_cqe, extra: Option<[u64; 2]>) -> Self {
        Self { user_data: cqe.user_data, result: cqe.res, flags: cqe.flags, extra }
    }
}

impl Posted {
    const fn slots(&self, mixed: bool) -> u32 {
        match self {
            Self::Completion(Completion { extra: Some(_), .. }) if mixed => 2,
            _ => 1,
        }
    }
}

impl Completions {
    /// Filled slots, of which completions were not popped.
    pub(crate) fn len(&self) -> u32 {
        self.slots.iter().map(|posted| posted.slots(self.mixed)).sum()
    }

    /// Filled slots that the kernel sees.
    pub(crate) fn seen_by_kernel(&self) -> u32 {
        self.len() + self.unreturned
    }

    /// Whether nothing is there, nor waits for room.
    pub(crate) fn is_idle(&self) -> bool {
        self.slots.is_empty() && self.overflown.is_empty()
    }

    /// What a head that counts all slots ever given back would say.
    pub(crate) const fn head(&self) -> u64 {
        self.returned
    }

    /// Posts a completion, or keeps it until there is room. One that is lost is counted.
    pub(crate) fn post(&mut self, completion: Completion, lost: bool) {
        if lost {
            let fits = self.overflown.is_empty() && self.place(completion);
            assert!(!fits, "{completion:?} was lost and had room");
            self.lost += 1;
        } else if !self.overflown.is_empty() || !self.place(completion) {
            self.overflown.push_back(completion);
        }
    }

    /// Moves completions that have overflown into the queue, as far as there is room.
    pub(crate) fn flush_overflow(&mut self) {
        while let Some(oldest) = self.overflown.front().copied() {
            if !self.place(oldest) {
                break;
            }
            self.overflown.pop_front();
        }
    }

    /// Fills a slot with nothing, if there is room.
    pub(crate) fn fill(&mut self) -> bool {
        let fits = self.seen_by_kernel() < self.capacity;
        if fits {
            self.slots.push_back(Posted::Filler);
            self.place += 1;
        }
        fits
    }

    fn place(&mut self, completion: Completion) -> bool {
        let posted = Posted::Completion(completion);
        let slots = posted.slots(self.mixed);
        let is_last = (self.place + 1) % u64::from(self.capacity) == 0;
        if slots == 2 && is_last && !self.fill() {
            return false;
        }
        let fits = self.seen_by_kernel() + slots <= self.capacity;
        if fits {
            self.slots.push_back(posted);
            self.place += u64::from(slots);
        }
        fits
    }

    /// The program looks at what is there.
    pub(crate) fn look(&mut self) {
        self.known = self.len();
    }

    /// Slots that the program has seen.
    pub(crate) const fn known(&self) -> u32 {
        self.known
    }

    /// The program gives back what it has popped.
    pub(crate) fn give_back(&mut self) {
        self.returned += u64::from(self.unreturned);
        self.unreturned = 0;
    }

    /// Pops the next completion of those that the program has seen.
    pub(crate) fn pop_known(&mut self) -> Option<Completion> {
        while self.known > 0 {
            let posted = self.slots.pop_front().expect("what was seen is there");
            let slots = posted.slots(self.mixed);
            self.known -= slots;
            self.unreturned += slots;
            if let Posted::Completion(completion) = posted {
                return Some(completion);
            }
        }
        None
    }

    /// Pops the next completion, and gives its slots back.
    pub(crate) fn pop(&mut self) -> Option<Completion> {
        let before = self.unreturned;
        let popped = self.pop_known().or_else(|| {
            self.look();
            self.pop_known()
        });
        if self.unreturned != before {
            self.give_back();
        }
        popped
    }

    /// The next completion, which stays; what only fills slots before it goes.
    pub(crate) fn peek(&mut self) -> Option<Completion> {
        let before = self.unreturned;
        let next = self.peek_known().or_else(|| {
            self.look();
            self.peek_known()
        });
        if self.unreturned != before {
            self.give_back();
        }
        next
    }

    fn peek_known(&mut self) -> Option<Completion> {
        while self.known > 0 {
            match self.slots.front().expect("what was seen is there") {
                Posted::Completion(completion) => return Some(*completion),
                Posted::Filler => {
                    self.slots.pop_front();
                    self.known -= 1;
                    self.unreturned += 1;
                }
            }
        }
        None
    }

    /// The queue has another number of slots, and all else is as it was.
    pub(crate) fn resize(&mut self, capacity: u32) {
        self.give_back();
        self.known = 0;
        self.capacity = capacity;
    }
}
