//! What a test can do that no kernel should: write invalid words and slots, and return invalid
//! values.
//!
//! The program reads and writes slots without atomics, as the rules of the rings allow. After it
//! was given false values, those rules no longer separate the accesses of the two sides. Then the
//! kernel uses slots only on the thread to which the program's side is bound, where the two cannot
//! run at the same time.
#![forbid(unsafe_code)]

use std::thread;

use crate::sys::{Opcode, io_uring_params, io_uring_sqe};

use super::operation::Plan;
use super::requests::{Chain, Request, Work};
use super::state::Ring;
use super::{Kernel, Word};

/// The panic message for a test that would cause a data race.
pub(super) const NEEDS_ONE_THREAD: &str = "this would race with the program, which may use the \
    ring on another thread: build the ring by `build_local`, and call this on the same thread";

/// The panic message for a test that would end the jobs of safe code behind the kernel's back.
const HAS_JOBS: &str = "the ring has jobs: what is false on it would end the borrows of safe code \
    before their time. Use an `IoUring`";

/// Which false values the program was given.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lies {
    /// A position of the submission queue.
    pub(super) sq: bool,
    /// A position of the completion queue.
    pub(super) cq: bool,
    /// The layout.
    pub(super) layout: bool,
}

impl Ring {
    /// Whether this is the thread to which the program's side is bound.
    fn is_alone(&self) -> bool {
        self.stays == Some(thread::current().id())
    }

    /// Whether this side may read entries while the program runs. It always may in a call that
    /// submits, because the program makes that call.
    pub(super) fn may_take(&self) -> bool {
        !self.lies.sq || self.is_alone()
    }

    /// Whether this side may fill slots while the program runs.
    pub(super) fn may_post(&self) -> bool {
        !self.lies.cq || self.is_alone()
    }

    /// Whether the ring may be accessed outside its own system calls.
    pub(super) fn may_be_reached(&self) -> bool {
        !self.lies.layout || self.is_alone()
    }

    /// A shared word. 0 if the program might use that memory for something else.
    pub(super) fn word(&self, word: Word) -> u32 {
        if self.may_be_reached() { self.memory.load(word) } else { 0 }
    }

    /// Panics if jobs rely on the ring.
    pub(super) fn may_lie(&self) {
        assert!(!self.has_jobs, "{HAS_JOBS}");
    }

    /// Leaves the ring to jobs of the safe front: from now on nothing false is written to it.
    /// Panics if something was.
    pub(super) fn keep_honest(&mut self) {
        assert!(self.trusted && self.forged.is_empty(), "{HAS_JOBS}");
        self.has_jobs = true;
    }

    /// Records that a completion was posted which the program may mistake for that of an operation.
    pub(super) fn forge(&mut self, user_data: u64) {
        self.may_lie();
        self.forget_forged();
        if self.moves_memory(user_data) {
            self.trusted = false;
        }
        self.forged.push(user_data);
    }

    /// Marks the ring as tampered with if a completion was forged for this entry.
    pub(super) fn doubt(&mut self, sqe: &io_uring_sqe) {
        if self.forged.is_empty() {
            return;
        }
        self.forget_forged();
        type O = Opcode;
        let moves =
            matches!(sqe.opcode, O::READ | O::WRITE | O::READV | O::WRITEV | O::READ_MULTISHOT);
        if moves && self.forged.contains(&sqe.user_data) {
            self.trusted = false;
        }
    }

    /// Forgets those that the program has popped, according to its head.
    fn forget_forged(&mut self) {
        if self.ready() == 0 && self.completions.overflown.is_empty() {
            self.forged.clear();
        }
    }

    /// Whether a transfer with this `user_data` has not completed.
    fn moves_memory(&self, user_data: u64) -> bool {
        let requests = &self.requests;
        let is_one = |request: &Request| {
            request.user_data == user_data && matches!(request.plan, Plan::Transfer(_))
        };
        let has_one = |chain: &Chain| chain.iter().any(is_one);
        requests.flights.iter().any(|flight| has_one(&flight.chain))
            || has_one(&requests.open)
            || requests.deferred.iter().any(has_one)
            || requests.work.iter().any(|work| match work {
                Work::Start(chain) | Work::Finish(chain, _) => has_one(chain),
                Work::Cancel(..) | Work::Shot(..) => false,
            })
    }

    /// Calls `scribble` with the memory. Panics on a thread that must not.
    fn scribble(&mut self, scribble: impl FnOnce(&Self)) {
        self.may_lie();
        assert!(self.is_alone(), "{NEEDS_ONE_THREAD}");
        self.trusted = false;
        scribble(self);
    }
}

impl Kernel {
    /// Changes the values that the next set-up returns.
    ///
    /// The ring itself does not change, only the values that the program gets. The program's memory
    /// is as long as the changed values require, unless a region would be longer than 64 KiB.
    ///
    /// The ring does not touch the program's memory, and other threads cannot access it through
    /// this kernel, see the [module](super).
    ///
    /// # Panics
    ///
    /// The next set-up panics unless it is by [`build_local`](crate::Builder::build_local), and if
    /// it is for a [`SafeRing`](crate::jobs::SafeRing).
    pub fn answer_setup_with(&self, change: impl FnOnce(&mut io_uring_params) + Send + 'static) {
        self.state().answer = Some(std::boxed::Box::new(change));
    }

    /// Changes the values that the next successful resize returns, as
    /// [`answer_setup_with`](Self::answer_setup_with) does for a set-up.
    ///
    /// `change` must not use this kernel, because it would wait for itself.
    pub fn answer_resize_with(&self, change: impl FnOnce(&mut io_uring_params) + Send + 'static) {
        self.state().resize_answer = Some(std::boxed::Box::new(change));
    }

    /// Returns a shared word of the ring, or 0 if there is no ring.
    pub fn word(&self, word: Word) -> u32 {
        self.state().ring.as_ref().map_or(0, |ring| ring.word(word))
    }

    /// Overwrites a shared word of the ring, with any value.
    ///
    /// The kernel's own counts of consumed entries and posted completions do not change. After a
    /// change of a head or a tail, the ring does not touch the program's memory, and uses slots
    /// only on its own thread, see the [module](super).
    ///
    /// # Panics
    ///
    /// Panics if the ring is a [`SafeRing`](crate::jobs::SafeRing).
    pub fn set_word(&self, word: Word, value: u32) {
        self.state().with_ring((), |ring, _| {
            ring.may_lie();
            match word {
                Word::SqHead | Word::SqTail => ring.lies.sq = true,
                Word::CqHead | Word::CqTail => ring.lies.cq = true,
                _ => {}
            }
            ring.trusted &= !(ring.lies.sq || ring.lies.cq);
            ring.memory.store(word, value);
        });
    }

    /// Overwrites a slot of the completion queue with as many of `bytes` as fit. `slot` is reduced
    /// modulo the number of slots.
    ///
    /// From then on the ring does not touch the program's memory, see the [module](super).
    ///
    /// # Panics
    ///
    /// Panics unless the ring was built by [`build_local`](crate::Builder::build_local), on this
    /// thread, and if it is a [`SafeRing`](crate::jobs::SafeRing).
    pub fn scribble_cqe(&self, slot: u32, bytes: &[u8]) {
        self.state().with_ring((), |ring, _| {
            ring.scribble(|ring| ring.memory.scribble_cqe(slot, bytes));
        });
    }

    /// Overwrites the memory of words and completions from `offset` on with as many of `bytes` as
    /// fit.
    ///
    /// This is the memory that the program has mapped, whatever layout it was given. `offset` is
    /// reduced modulo its length.
    ///
    /// From then on the ring does not touch the program's memory, and uses slots only on its own
    /// thread, see the [module](super).
    ///
    /// # Panics
    ///
    /// As for [`scribble_cqe`](Self::scribble_cqe).
    pub fn scribble_rings(&self, offset: u32, bytes: &[u8]) {
        self.state().with_ring((), |ring, _| {
            ring.scribble(|ring| ring.memory.scribble_rings(offset, bytes));
            ring.lies = Lies { sq: true, cq: true, layout: true };
        });
    }

    /// Overwrites a slot of the submission queue with as many of `bytes` as fit. `slot` is reduced
    /// modulo the number of slots.
    ///
    /// From then on the ring does not touch the program's memory, see the [module](super).
    ///
    /// # Panics
    ///
    /// As for [`scribble_cqe`](Self::scribble_cqe).
    pub fn scribble_sqe(&self, slot: u32, bytes: &[u8]) {
        self.state().with_ring((), |ring, _| {
            ring.scribble(|ring| ring.memory.scribble_sqe(slot, bytes));
        });
    }
}
