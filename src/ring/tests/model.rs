//! The queues compared with lists.

use core::mem::MaybeUninit;
use std::collections::VecDeque;
use std::vec;
use std::vec::Vec;

use proptest::prelude::*;

use super::{Kernel, SIZE, START, entry};

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

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => Just(Step::Push),
        1 => (0usize..6).prop_map(Step::PushAll),
        2 => Just(Step::Publish),
        1 => Just(Step::PopBack),
        2 => any::<bool>().prop_map(Step::Chain),
        1 => Just(Step::CloseChain),
        4 => Just(Step::Take),
        4 => Just(Step::Post),
        4 => Just(Step::Pop),
        1 => Just(Step::Peek),
        1 => (0usize..6).prop_map(Step::PopInto),
        1 => Just(Step::Sync),
    ];
    proptest::collection::vec(step, 0..if cfg!(miri) { 40 } else { 400 })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 3 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Goal: each entry that is pushed and each completion that is posted arrives once and in
    /// order. Method: random steps of the two sides are compared with queues of numbers.
    #[test]
    fn queues_behave_like_lists(start in START - 9..=u32::MAX, steps in steps()) {
        let kernel = Kernel::new(start);
        let (mut sq, mut cq) = (kernel.sq(), kernel.cq());
        let (mut pushed, mut posted) = (VecDeque::new(), VecDeque::new());
        let (mut shown, mut number, mut chain) = (0usize, 0u64, Vec::new());
        for step in steps {
            number += 1;
            match step {
                Step::Push => {
                    let fits = chain.is_empty() && pushed.len() < SIZE as usize;
                    prop_assert_eq!(sq.push(entry(number)).is_ok(), fits);
                    if fits { pushed.push_back(number); }
                }
                Step::PushAll(count) => {
                    let fits = pushed.len() + count <= SIZE as usize;
                    let fits = count == 0 || chain.is_empty() && fits;
                    let entries: Vec<_> = (0..count).map(|_| entry(number)).collect();
                    prop_assert_eq!(sq.push_list(&entries).is_ok(), fits);
                    if fits { pushed.extend(core::iter::repeat_n(number, count)); }
                }
                Step::Publish => {
                    prop_assert_eq!(sq.publish() as usize, pushed.len() - shown);
                    shown = pushed.len();
                }
                Step::PopBack => {
                    let back = sq.pop_back(false).map(|entry| entry.user_data());
                    prop_assert_eq!(back, chain.pop().or_else(|| pushed.pop_back()));
                    shown = shown.min(pushed.len());
                }
                Step::Chain(goes_on) => {
                    let linked = if goes_on { entry(number).link() } else { entry(number) };
                    let fits = pushed.len() + chain.len() < SIZE as usize;
                    prop_assert_eq!(sq.push_chained(linked).is_ok(), fits);
                    if fits { chain.push(number); }
                    if fits && !goes_on { pushed.extend(chain.drain(..)); }
                }
                Step::CloseChain => {
                    prop_assert_eq!(sq.close_chain() as usize, chain.len());
                    pushed.extend(chain.drain(..));
                }
                Step::Take => {
                    let taken = if shown > 0 { pushed.pop_front() } else { None };
                    shown = shown.saturating_sub(1);
                    prop_assert_eq!(kernel.take(), taken);
                }
                Step::Post => if kernel.post(number) { posted.push_back(number); },
                Step::Pop => {
                    prop_assert_eq!(cq.pop().map(|c| c.user_data()), posted.pop_front());
                }
                Step::Peek => {
                    prop_assert_eq!(cq.peek().map(|c| c.user_data()), posted.front().copied());
                }
                Step::PopInto(room) => {
                    let mut out = vec![MaybeUninit::uninit(); room];
                    let count = cq.pop_into(&mut cq.span(), &mut out);
                    prop_assert_eq!(count, room.min(posted.len()));
                    for cqe in &out[..count] {
                        // SAFETY: `pop_into` returns how many places it has written.
                        let cqe = unsafe { cqe.assume_init() };
                        prop_assert_eq!(Some(cqe.user_data()), posted.pop_front());
                    }
                }
                Step::Sync => cq.publish(),
            }
            prop_assert_eq!(sq.queued() as usize, pushed.len());
            prop_assert_eq!(sq.chained() as usize, chain.len());
            prop_assert_eq!(sq.room() as usize, SIZE as usize - pushed.len() - chain.len());
            prop_assert_eq!(cq.ready() as usize, posted.len());
        }
    }
}
