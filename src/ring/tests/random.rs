//! Random numbers, and the cases of a test that are made of them.

use core::fmt::Debug;
use core::hash::{BuildHasher as _, Hasher as _};
use core::ops::RangeInclusive;
use std::hash::RandomState;
use std::vec::Vec;

/// A generator of Knuth's, of which the upper half is used.
#[derive(Clone)]
pub(super) struct Random(u64);

impl Random {
    /// Any number.
    pub(super) fn any(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        u32::from_ne_bytes(*self.0.to_be_bytes().first_chunk().expect("eight bytes"))
    }

    /// A number below `end`.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        self.any() % end
    }

    /// A number in `range`, which does not hold every number.
    pub(super) fn within(&mut self, range: RangeInclusive<u32>) -> u32 {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    /// As many of what `make` makes as there are below `end`.
    pub(super) fn list<T>(&mut self, end: u32, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let count = self.below(end);
        (0..count).map(|_| make(self)).collect()
    }
}

/// Says on a panic what the test was run on.
struct Shown<'i, I: Debug>(&'i I);

impl<I: Debug> Drop for Shown<'_, I> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            std::eprintln!("it fails for {:?}", self.0);
        }
    }
}

/// Runs `test` on `cases` random inputs, which `make` makes: the argument says where the length of
/// a list in it ends. It grows to `longest`, so that the first input which fails is a short one.
/// Each run has other inputs.
pub(super) fn on_any<I: Debug>(
    cases: u32,
    longest: u32,
    make: impl Fn(&mut Random, u32) -> I,
    test: impl Fn(&I),
) {
    let mut random = Random(RandomState::new().build_hasher().finish());
    for case in 0..cases {
        let input = make(&mut random, 1 + case * longest / cases);
        let shown = Shown(&input);
        test(&input);
        drop(shown);
    }
}
