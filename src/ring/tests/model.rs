//! The queues compared with lists.

use core::mem::MaybeUninit;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use super::random::{Random, on_any};
use super::{Kernel, SIZE, START, entry};
use crate::entry::{Cqe, Sqe};
use crate::ring::cq::Cq;
use crate::ring::sq::Sq;

/// One step of either side.
#[derive(Clone, Debug)]
enum Step {
    Push,
    PushAll(usize),
    Publish,
    PopBack,
    Chain(bool),
    CloseChain,
    Take,
    Post,
    Pop,
    Peek,
    PopInto(usize),
    Sync,
}

impl Step {
    fn any(random: &mut Random) -> Self {
        let few = |random: &mut Random| random.below(6) as usize;
        match random.below(25) {
            0..4 => Self::Push,
            4 => Self::PushAll(few(random)),
            5 | 6 => Self::Publish,
            7 => Self::PopBack,
            8 | 9 => Self::Chain(random.below(2) == 0),
            10 => Self::CloseChain,
            11..15 => Self::Take,
            15..19 => Self::Post,
            19..22 => Self::Pop,
            22 => Self::Peek,
            23 => Self::PopInto(few(random)),
            _ => Self::Sync,
        }
    }
}

/// Goal: each entry that is pushed and each completion that is posted arrives once and in
/// order. Method: random steps of the two sides are compared with queues of numbers.
#[test]
fn queues_behave_like_lists() {
    let (cases, longest) = if cfg!(miri) { (3, 40) } else { (1024, 400) };
    let make = |random: &mut Random, longest| {
        (random.within(START - 9..=u32::MAX), random.list(longest, Step::any))
    };
    on_any(cases, longest, make, |(start, steps)| behave_like_lists(*start, steps));
}

fn behave_like_lists(start: u32, steps: &[Step]) {
    let mut both = Both::new(start);
    for step in steps {
        both.number += 1;
        match *step {
            Step::Post | Step::Pop | Step::Peek | Step::PopInto(_) | Step::Sync => both.reap(step),
            _ => both.submit(step),
        }
        both.compare();
    }
}

/// The queues, and the lists that they are compared with.
struct Both {
    kernel: Kernel,
    sq: Sq<Sqe>,
    cq: Cq<Cqe>,
    /// Entries that the kernel has not taken; it is shown the first `shown` of them.
    pushed: VecDeque<u64>,
    shown: usize,
    /// A chain that is not complete.
    chain: Vec<u64>,
    /// Completions that were not reaped.
    posted: VecDeque<u64>,
    /// That of the step, which is what is pushed and posted in it.
    number: u64,
}

impl Both {
    fn new(start: u32) -> Self {
        let kernel = Kernel::new(start);
        let (sq, cq) = (kernel.sq(), kernel.cq());
        let (pushed, posted) = (VecDeque::new(), VecDeque::new());
        Self { kernel, sq, cq, pushed, shown: 0, chain: Vec::new(), posted, number: 0 }
    }

    /// A step on the submission queue.
    fn submit(&mut self, step: &Step) {
        let Self { sq, pushed, shown, chain, number, .. } = self;
        let (number, size) = (*number, SIZE as usize);
        match *step {
            Step::Push => {
                let fits = chain.is_empty() && pushed.len() < size;
                assert_eq!(sq.push(entry(number)).is_ok(), fits);
                pushed.extend(fits.then_some(number));
            }
            Step::PushAll(count) => {
                let fits = count == 0 || chain.is_empty() && pushed.len() + count <= size;
                let entries: Vec<_> = (0..count).map(|_| entry(number)).collect();
                assert_eq!(sq.push_list(&entries).is_ok(), fits);
                pushed.extend(core::iter::repeat_n(number, if fits { count } else { 0 }));
            }
            Step::Publish => {
                assert_eq!(sq.publish() as usize, pushed.len() - *shown);
                *shown = pushed.len();
            }
            Step::PopBack => {
                let back = sq.pop_back(false).map(|entry| entry.user_data());
                assert_eq!(back, chain.pop().or_else(|| pushed.pop_back()));
                *shown = (*shown).min(pushed.len());
            }
            Step::Chain(goes_on) => {
                let linked = if goes_on { entry(number).link() } else { entry(number) };
                let fits = pushed.len() + chain.len() < size;
                assert_eq!(sq.push_chained(linked).is_ok(), fits);
                chain.extend(fits.then_some(number));
                if fits && !goes_on {
                    pushed.extend(chain.drain(..));
                }
            }
            Step::CloseChain => {
                assert_eq!(sq.close_chain() as usize, chain.len());
                pushed.extend(chain.drain(..));
            }
            _ => {
                let taken = if *shown > 0 { pushed.pop_front() } else { None };
                *shown = shown.saturating_sub(1);
                assert_eq!(self.kernel.take(), taken);
            }
        }
    }

    /// A step on the completion queue.
    fn reap(&mut self, step: &Step) {
        let Self { cq, posted, number, .. } = self;
        match *step {
            Step::Post => posted.extend(self.kernel.post(*number).then_some(*number)),
            Step::Pop => assert_eq!(cq.pop().map(|c| c.user_data()), posted.pop_front()),
            Step::Peek => assert_eq!(cq.peek().map(|c| c.user_data()), posted.front().copied()),
            Step::PopInto(room) => {
                let mut out = vec![MaybeUninit::uninit(); room];
                let count = cq.pop_into(&mut cq.span(), &mut out);
                assert_eq!(count, room.min(posted.len()));
                for cqe in &out[..count] {
                    // SAFETY: `pop_into` returns how many places it has written.
                    let cqe = unsafe { cqe.assume_init() };
                    assert_eq!(Some(cqe.user_data()), posted.pop_front());
                }
            }
            _ => cq.publish(),
        }
    }

    fn compare(&self) {
        let Self { sq, cq, pushed, chain, posted, .. } = self;
        assert_eq!(sq.queued() as usize, pushed.len());
        assert_eq!(sq.chained() as usize, chain.len());
        assert_eq!(sq.room() as usize, SIZE as usize - pushed.len() - chain.len());
        assert_eq!(cq.ready() as usize, posted.len());
    }
}
