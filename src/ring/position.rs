//! Free-running counters: a position wraps at 2^32, a slot is a position masked.
//!
//! Heads and tails of both queues count entries since the ring was made and never stop at
//! the queue's size. Every comparison between two of them is a wrapping subtraction, and it
//! is written here, once.
#![forbid(unsafe_code)]

/// How many entries have ever gone past a head or a tail, modulo 2^32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position(pub(crate) u32);

impl Position {
    /// Entries from `earlier` up to here.
    #[inline(always)]
    pub(crate) const fn since(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// The position `count` entries on.
    #[inline(always)]
    pub(crate) const fn advance(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }

    /// The position `count` entries back.
    #[inline(always)]
    pub(crate) const fn back(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }

    /// The index of the slot that this position names, at most `mask`.
    #[inline(always)]
    pub(crate) const fn slot(self, mask: u32) -> usize {
        // A u32 always fits a usize: the crate is built for 32 and 64 bits only.
        (self.0 & mask) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    const LAST: Position = Position(u32::MAX);

    #[test]
    fn distance_is_right_across_the_wrap() {
        assert_eq!(LAST.advance(3).since(LAST), 3);
        assert_eq!(LAST.advance(3), Position(2));
        assert_eq!(Position(2).back(3), LAST);
    }

    #[test]
    fn distance_is_zero_only_between_equals() {
        assert_eq!(LAST.since(LAST), 0);
        assert_eq!(LAST.since(LAST.advance(1)), u32::MAX);
    }

    #[test]
    fn slots_follow_each_other_across_the_wrap() {
        assert_eq!(LAST.slot(7), 7);
        assert_eq!(LAST.advance(1).slot(7), 0);
        assert_eq!(LAST.slot(0), 0);
    }
}
