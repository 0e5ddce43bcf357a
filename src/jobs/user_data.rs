//! What the user data of a safe ring mean.
//!
//! | bits | |
//! |---|---|
//! | 0 to 23 | the number of the place |
//! | 24 | the completion makes a descriptor |
//! | 25 | the completion takes a slot of the file table |
//! | 26 | the operation may complete more than once |
//! | 27 | the completion may have a provided buffer |
//! | 28 to 30 | which link of a chain, from 1; 0 for an operation alone |
//! | 31 | idle: nothing is in flight |
//! | 32 to 63 | how often the place has been in flight, modulo 2^32 |
//!
//! Going in flight and coming back are both an addition of [`TURN`]: it flips the idle bit and
//! carries into the upper half every second time. So the user data of an operation that is in
//! flight alone, and is nothing special, are less than 2^24 in their lower half, and one comparison
//! sorts out everything else.
#![forbid(unsafe_code)]

use crate::ops::lent::Makes;

/// The bits of a place's number.
pub(super) const PLACE: u64 = 0xff_ffff;
/// The completion makes a descriptor.
pub(super) const DESCRIPTOR: u64 = 1 << 24;
/// The completion takes a slot of the file table.
pub(super) const SLOT: u64 = 1 << 25;
/// The operation may complete more than once.
pub(super) const MULTI: u64 = 1 << 26;
/// The completion may have a provided buffer.
pub(super) const BUFFER: u64 = 1 << 27;
/// Nothing is in flight.
pub(super) const IDLE: u64 = 1 << 31;
/// What is added to go in flight, and again to come back.
pub(super) const TURN: u64 = IDLE;
/// The bits that say which link of a chain.
const LINK: u64 = 0b111 << 28;
/// Everything that is said about an operation in flight, and not about its place.
const KINDS: u64 = DESCRIPTOR | SLOT | MULTI | BUFFER | LINK;
/// The lower half of what belongs to no place, but to the front itself.
const CONTROL: u64 = PLACE | IDLE;

/// The largest number of places: the numbers after it stand for no place.
pub(super) const MAX_PLACES: u32 = 0xff_fffe;

/// How many links a chain can have.
pub(super) const MAX_LINKS: usize = 7;

/// Completions of the front itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// Of a cancellation by user data.
    Cancel,
    /// Of a cancellation of everything.
    CancelAll,
    /// Of the poll that a waker wakes.
    Wake,
    /// Of a close of a slot.
    Close,
}

impl Control {
    /// The user data.
    pub(super) const fn user_data(self) -> u64 {
        let kind = match self {
            Self::Cancel => 0,
            Self::CancelAll => 1,
            Self::Wake => 2,
            Self::Close => 3,
        };
        kind << 32 | CONTROL
    }

    /// What `user_data` stand for, if they belong to the front itself.
    pub(super) const fn of(user_data: u64) -> Option<Self> {
        if user_data & (PLACE | IDLE) != CONTROL {
            return None;
        }
        match user_data >> 32 {
            0 => Some(Self::Cancel),
            1 => Some(Self::CancelAll),
            2 => Some(Self::Wake),
            3 => Some(Self::Close),
            _ => None,
        }
    }
}

/// The number of the place, if there is one with so large a number.
#[inline(always)]
pub(super) const fn place(user_data: u64) -> u32 {
    (user_data & PLACE) as u32
}

/// Which link of a chain, from 1; 0 for an operation alone.
#[inline(always)]
pub(super) const fn link(user_data: u64) -> usize {
    (user_data >> 28 & 0b111) as usize
}

/// The same without what is said about the operation.
#[inline(always)]
pub(super) const fn plain(user_data: u64) -> u64 {
    user_data & !KINDS
}

/// The user data of link `nth`, counted from 0.
#[inline(always)]
pub(super) const fn of_link(user_data: u64, nth: usize) -> u64 {
    // At most 7 links: `Jobs::start_chain`.
    user_data | (nth as u64 + 1) << 28
}

/// The bit for what a completion makes.
#[inline(always)]
pub(super) const fn makes(makes: Makes) -> u64 {
    match makes {
        Makes::Nothing => 0,
        Makes::Descriptor => DESCRIPTOR,
        Makes::Slot => SLOT,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        BUFFER, Control, DESCRIPTOR, IDLE, MAX_LINKS, MAX_PLACES, MULTI, SLOT, TURN, link, of_link,
        place, plain,
    };

    #[test]
    fn two_turns_are_one_generation() {
        let idle = 7 | IDLE;
        let flying = idle + TURN;
        assert_eq!((flying & IDLE, place(flying), flying >> 32), (0, 7, 1));
        let back = flying + TURN;
        assert_eq!((back & IDLE, place(back), back >> 32), (IDLE, 7, 1));
    }

    #[test]
    fn links_and_kinds_leave_the_place_alone() {
        let base = 5 << 32 | u64::from(MAX_PLACES - 1);
        for nth in 0..MAX_LINKS {
            let user_data = of_link(base, nth) | DESCRIPTOR | SLOT | MULTI | BUFFER;
            assert_eq!((link(user_data), plain(user_data)), (nth + 1, base));
            assert_eq!(Control::of(user_data), None);
        }
    }

    #[test]
    fn what_belongs_to_the_front_is_no_place() {
        for control in [Control::Cancel, Control::CancelAll, Control::Wake, Control::Close] {
            let user_data = control.user_data();
            assert_eq!(Control::of(user_data), Some(control));
            assert!(place(user_data) > MAX_PLACES);
        }
        assert_eq!(Control::of(9 << 32 | Control::Cancel.user_data()), None);
    }
}
