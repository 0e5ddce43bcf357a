//! Free-running counters: a position wraps at 2^32, and a slot is a masked position.
//!
//! The heads and tails of both queues count entries since the ring was made, and do not wrap at the
//! size of the queue. Every comparison of two of them is a wrapping subtraction, which is written
//! only here.
#![forbid(unsafe_code)]

/// The value of a head or a tail: how many entries it has ever advanced by, modulo 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) u32);

impl Position {
    /// The number of entries from `earlier` to this position.
    #[inline(always)]
    pub(crate) const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The position `count` entries later.
    #[inline(always)]
    pub(crate) const fn advance(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The position `count` entries earlier.
    #[inline(always)]
    pub(crate) const fn back(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// The index of the slot at this position, at most `mask`.
    #[inline(always)]
    pub(crate) const fn slot(self, mask: u32) -> usize {
        // A u32 always fits a usize: the crate compiles only for 32 and 64 bits.
        (self.0 & mask) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    const LAST: Position = Position(u32::MAX);

    #[test]
    fn distance_is_correct_across_the_wrap() {
        assert_eq!(LAST.advance(3).since(LAST), 3);
        assert_eq!(LAST.advance(3), Position(2));
        assert_eq!(Position(2).back(3), LAST);
    }

    #[test]
    fn distance_is_zero_only_between_equal_positions() {
        assert_eq!(LAST.since(LAST), 0);
        assert_eq!(LAST.since(LAST.advance(1)), u32::MAX);
    }

    #[test]
    fn slots_are_consecutive_across_the_wrap() {
        assert_eq!(LAST.slot(7), 7);
        assert_eq!(LAST.advance(1).slot(7), 0);
        assert_eq!(LAST.slot(0), 0);
    }
}
