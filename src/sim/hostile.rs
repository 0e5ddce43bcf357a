//! What a test does to the program that no kernel should: wrong words, slots and answers.
//!
//! The program reads and writes slots without atomics, as the rules of the rings allow. Once it was
//! lied to, those rules no longer keep the two sides apart. Then the kernel uses slots only on the
//! thread that the program's side cannot leave, where the two take turns by themselves.
#![forbid(unsafe_code)]

use std::thread;

use crate::sys::{Opcode, io_uring_params, io_uring_sqe};

use super::operation::Plan;
use super::requests::{Chain, Request, Work};
use super::state::Ring;
use super::{Kernel, Word};

/// Why a test may not do that.
pub(super) const NEEDS_ONE_THREAD: &str = "this would race with the program, which may use the \
    ring on another thread: build the ring by `build_local`, and call this on the same thread";

/// What the program was told that is not so.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lies {
    /// Where entries begin or end.
    pub(super) sq: bool,
    /// Where completions begin or end.
    pub(super) cq: bool,
    /// Where things are.
    pub(super) layout: bool,
}

impl Ring {
    /// Whether this is the thread that the program's side stays on.
    fn is_alone(&self) -> bool {
        self.stays == Some(thread::current().id())
    }

    /// Whether this side may read entries beside the program. In a call that submits, it always
    /// may: that is the program's own.
    pub(super) fn may_take(&self) -> bool {
        !self.lies.sq || self.is_alone()
    }

    /// Whether this side may fill slots beside the program.
    pub(super) fn may_post(&self) -> bool {
        !self.lies.cq || self.is_alone()
    }

    /// Whether anything of the ring may be reached but by its own system calls.
    pub(super) fn may_be_reached(&self) -> bool {
        !self.lies.layout || self.is_alone()
    }

    /// A shared word. 0 if the program uses the words for something else.
    pub(super) fn word(&self, word: Word) -> u32 {
        if self.may_be_reached() { self.memory.load(word) } else { 0 }
    }

    /// Notes that a completion was posted that may be taken for that of an operation.
    pub(super) fn forge(&mut self, user_data: u64) {
        self.forget_forged();
        if self.moves_memory(user_data) {
            self.trusted = false;
        }
        self.forged.push(user_data);
    }

    /// Distrusts an entry that a completion was forged for.
    pub(super) fn doubt(&mut self, sqe: &io_uring_sqe) {
        if self.forged.is_empty() {
            return;
        }
        self.forget_forged();
        type O = Opcode;
        let moves = matches!(sqe.opcode, O::READ | O::WRITE | O::READV | O::WRITEV);
        if moves && self.forged.contains(&sqe.user_data) {
            self.trusted = false;
        }
    }

    /// Forgets those that the program has taken by what it says.
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
                Work::Cancel(..) => false,
            })
    }

    /// Lets `scribble` at the memory, for a thread that may.
    fn scribble(&mut self, scribble: impl FnOnce(&Self)) {
        assert!(self.is_alone(), "{NEEDS_ONE_THREAD}");
        self.trusted = false;
        scribble(self);
    }
}

impl Kernel {
    /// Lets `change` at what the next set-up returns. The ring stays what it is: the program is
    /// told something else, and gets memory that ends where that does, if it is no more than
    /// 64 KiB a region.
    ///
    /// The ring does not touch memory of the program's, and other threads do not reach it by this
    /// kernel, see the [module](super).
    ///
    /// # Panics
    ///
    /// The next set-up panics unless it is that of
    /// [`build_local`](crate::Builder::build_local).
    pub fn answer_setup_with(&self, change: impl FnOnce(&mut io_uring_params) + Send + 'static) {
        self.state().answer = Some(std::boxed::Box::new(change));
    }

    /// Lets `change` at what the next resize returns that succeeds, as
    /// [`answer_setup_with`](Self::answer_setup_with) does for a set-up. `change` must not use this
    /// kernel, which waits for it.
    pub fn answer_resize_with(&self, change: impl FnOnce(&mut io_uring_params) + Send + 'static) {
        self.state().resize_answer = Some(std::boxed::Box::new(change));
    }

    /// A shared word of the ring. 0 if there is none.
    pub fn word(&self, word: Word) -> u32 {
        self.state().ring.as_ref().map_or(0, |ring| ring.word(word))
    }

    /// Overwrites a shared word of the ring, with any value.
    ///
    /// The kernel's own count of what it has taken and posted stays what it is. After a change of
    /// a head or a tail, the ring does not touch memory of the program's, and uses slots on its own
    /// thread only, see the [module](super).
    pub fn set_word(&self, word: Word, value: u32) {
        self.state().with_ring((), |ring, _| {
            match word {
                Word::SqHead | Word::SqTail => ring.lies.sq = true,
                Word::CqHead | Word::CqTail => ring.lies.cq = true,
                _ => {}
            }
            ring.trusted &= !(ring.lies.sq || ring.lies.cq);
            ring.memory.store(word, value);
        });
    }

    /// Overwrites a slot of the completion queue with `bytes`, as many as fit. `slot` is taken
    /// modulo their number.
    ///
    /// The ring does not touch memory of the program's from then on, see the [module](super).
    ///
    /// # Panics
    ///
    /// Unless the ring was built by [`build_local`](crate::Builder::build_local), on this thread.
    pub fn scribble_cqe(&self, slot: u32, bytes: &[u8]) {
        self.state().with_ring((), |ring, _| {
            ring.scribble(|ring| ring.memory.scribble_cqe(slot, bytes));
        });
    }

    /// Overwrites the memory of words and completions from `offset` on with `bytes`, as many as
    /// fit: of all that the program has of it, wherever it was told that something is. `offset` is
    /// taken modulo its length.
    ///
    /// The ring does not touch memory of the program's from then on, and uses slots on its own
    /// thread only, see the [module](super).
    ///
    /// # Panics
    ///
    /// As [`scribble_cqe`](Self::scribble_cqe).
    pub fn scribble_rings(&self, offset: u32, bytes: &[u8]) {
        self.state().with_ring((), |ring, _| {
            ring.scribble(|ring| ring.memory.scribble_rings(offset, bytes));
            ring.lies = Lies { sq: true, cq: true, layout: true };
        });
    }

    /// Overwrites a slot of the submission queue with `bytes`, as many as fit. `slot` is taken
    /// modulo their number.
    ///
    /// The ring does not touch memory of the program's from then on, see the [module](super).
    ///
    /// # Panics
    ///
    /// As [`scribble_cqe`](Self::scribble_cqe).
    pub fn scribble_sqe(&self, slot: u32, bytes: &[u8]) {
        self.state().with_ring((), |ring, _| {
            ring.scribble(|ring| ring.memory.scribble_sqe(slot, bytes));
        });
    }
}
