//! The chains of an input: which entries, and how they are tied.

use ringbolt::Sqe;
use ringbolt::ops::LinkTimeout;
use ringbolt::rustix::fd::BorrowedFd;
use ringbolt::sys::Opcode;

use super::MAX_ENTRIES;
use super::account::{Account, Kind, Tie};
use super::entries::{ALONE, Make, Maker, SPANS, TIED, nop};
use super::world::World;
use crate::checks::bytes::Bytes;

/// Bytes of an input that each entry takes for its arguments.
const ARGUMENTS: usize = 5;

/// How many kinds of entry there are.
pub(super) const KINDS: u8 = 50;
const _: () = assert!(TIED.len() + ALONE.len() == KINDS as usize);

/// Makes the next chain, and notes its entries in the account.
pub(super) fn chain(
    world: &mut World,
    account: &mut Account,
    ring: BorrowedFd<'_>,
    bytes: &mut Bytes<'_>,
) -> Vec<Sqe> {
    // With its timeout, an entry may be two.
    let room = (MAX_ENTRIES - account.len()).div_ceil(2);
    let len = (1 + usize::from(bytes.below(4))).min(room);
    let mut chain = Vec::new();
    for at in 0..len {
        let (kind, ties) = (usize::from(bytes.below(KINDS)), bytes.u8());
        let arguments = bytes.array::<ARGUMENTS>();
        let place = account.len();
        let other = usize::from(arguments[0]) % (place + 1);
        let mut maker = Maker {
            memory: world.memory,
            world: &mut *world,
            ring,
            place,
            id: account.user_data(place),
            other: account.user_data(other),
            message: account.message(),
            drains: account.drains(),
            ends_chain: false,
            arguments: Bytes::new(&arguments),
        };
        let (is_tied, make) = match (TIED.get(kind), ALONE.get(kind.wrapping_sub(TIED.len()))) {
            (Some(make), _) => (true, *make),
            // Alone, or not at all.
            (None, Some(make)) if at == 0 => (false, *make),
            _ => (true, nop as Make),
        };
        let (sqe, kind) = make(&mut maker);
        let is_last =
            at + 1 == len || !is_tied || maker.ends_chain || account.len() + 2 >= MAX_ENTRIES;
        tie(account, &mut chain, (sqe, kind), ties, is_last, is_tied);
        if is_last {
            break;
        }
    }
    chain
}

/// Adds an entry to the chain, with what it is told, and perhaps with a timeout.
fn tie(
    account: &mut Account,
    chain: &mut Vec<Sqe>,
    (mut sqe, kind): (Sqe, Kind),
    ties: u8,
    is_last: bool,
    is_tied: bool,
) {
    let strength = if ties & 1 != 0 { Tie::Hard } else { Tie::Soft };
    let is_timed = is_tied && ties & 6 == 6 && account.len() + 1 < MAX_ENTRIES;
    let own = if is_last && !is_timed { Tie::Last } else { strength };
    let mut skips = false;
    if ties & 8 != 0 {
        sqe = sqe.force_async();
    }
    if ties & 16 != 0 {
        // What skips success is told of by those behind it. What makes a descriptor has to tell.
        let is_told_of = own != Tie::Last && !is_timed || sqe.opcode() == Opcode::NOP;
        let can_skip =
            matches!(kind, Kind::Plain | Kind::Transfer(_) | Kind::Timer { .. } | Kind::Message);
        if account.drains() {
            sqe = sqe.drain();
        } else if account.skips() && can_skip && is_told_of && is_tied {
            (sqe, skips) = (sqe.skip_success(), true);
        }
    }
    let link = |sqe: Sqe, tie| match tie {
        Tie::Last => sqe,
        Tie::Soft => sqe.link(),
        Tie::Hard => sqe.hard_link(),
    };
    let sqe = link(sqe, own);
    chain.push(sqe);
    account.add(sqe, kind, own, skips);
    if is_timed {
        let span = &raw const SPANS[usize::from(ties >> 5) % SPANS.len()];
        let sqe = LinkTimeout::new(span).sqe(account.user_data(account.len()));
        let own = if is_last { Tie::Last } else { Tie::Soft };
        let sqe = link(sqe, own);
        chain.push(sqe);
        account.add(sqe, Kind::LinkTimeout, own, false);
    }
}
