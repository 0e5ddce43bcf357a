//! One thread writes a message into each of many pipes or socket pairs, and reads each.
//!
//! Readiness costs a call for each message twice, and one to find out who is ready. To a ring
//! both sides of many channels go at once: what has been written before can be read inline, so
//! that a batch is over when it has been submitted. The other way with a ring is to be told of
//! what comes, by multishot receives into provided buffers.

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::messages::{Channels, Kind, Numbers};
use super::rings;
use super::watch::Watch;
use crate::contest::{Case, Contest, Who};

/// How many there are.
const COUNTS: [u32; 3] = [1, 32, 1000];

/// Holds the cases.
pub(super) fn run(contest: &mut Contest) {
    for kind in [Kind::Pipe, Kind::Unix] {
        for is_multishot in [false, true] {
            for count in COUNTS {
                hold(contest, kind, is_multishot, count);
            }
        }
    }
}

fn hold(contest: &mut Contest, kind: Kind, is_multishot: bool, count: u32) {
    let variant = match (kind, is_multishot) {
        (kind, false) => kind.name(),
        (Kind::Pipe, true) => "pipe-multishot",
        (Kind::Unix, true) => "unix-multishot",
    };
    let Some(mut case) = contest.case("net", variant, count, count) else { return };
    let name = case.name();
    // Those of rings are closed when they are registered. And some for everything else.
    if let Err(most) = allow_descriptors(3 * 2 * u64::from(count) + 100) {
        contest.note(format!("skipped: {name} needs more than {most} descriptors"));
        return;
    }
    let entered = if is_multishot {
        Channels::open(kind, count).and_then(|channels| rings::enter_multishot(&mut case, channels))
    } else {
        enter_inline(&mut case, kind, count)
    };
    match entered.and_then(|()| enter_epoll(&mut case, Channels::open(kind, count)?)) {
        Ok(()) => {}
        Err(errno) => panic!("{name}: {errno}"),
    }
    if !is_multishot && count == 32 {
        case.headline();
    }
    contest.hold(case);
}

fn enter_inline(case: &mut Case<'_>, kind: Kind, count: u32) -> Result<(), Errno> {
    rings::enter_ours(case, Channels::open(kind, count)?)?;
    rings::enter_floor(case, Channels::open(kind, count)?)?;
    rings::enter_peer(case, Channels::open(kind, count)?)?;
    enter_calls(case, Channels::open(kind, count)?);
    Ok(())
}

/// Lets the process open so many files, or says how many it may at the most.
fn allow_descriptors(count: u64) -> Result<(), u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= count) {
        return Ok(());
    }
    let raised = Rlimit { current: Some(count), maximum: limit.maximum };
    let most = limit.maximum.unwrap_or(u64::MAX);
    setrlimit(Resource::Nofile, raised).map_err(|_| most)
}

/// Writes all, then waits for events and reads what they tell, as an event loop does.
///
/// Edge-triggered, it is 1 to 4 % slower here.
fn enter_epoll(case: &mut Case<'_>, channels: Channels) -> Result<(), Errno> {
    let Channels { kind, receivers, senders } = channels;
    let mut watch = Watch::new(&receivers)?;
    case.enter(Who::Epoll, move |turns| {
        let mut numbers = Numbers::default();
        let mut message = [0; 64];
        for _ in 0..turns {
            for sender in &senders {
                kind.send(sender, &numbers.next());
            }
            let mut left = receivers.len();
            while left > 0 {
                for index in watch.ready() {
                    let receiver = receivers.get(index).expect("one of them");
                    kind.receive(receiver, &mut message);
                    numbers.take(&message);
                    left -= 1;
                }
            }
        }
        numbers.check(turns * receivers.len() as u64);
    });
    Ok(())
}

/// Writes and reads, each channel in its turn, as one who knows that the message is there.
fn enter_calls(case: &mut Case<'_>, channels: Channels) {
    let Channels { kind, receivers, senders } = channels;
    case.enter(Who::Calls, move |turns| {
        let mut numbers = Numbers::default();
        let mut message = [0; 64];
        for _ in 0..turns {
            for (receiver, sender) in receivers.iter().zip(&senders) {
                kind.send(sender, &numbers.next());
                kind.receive(receiver, &mut message);
                numbers.take(&message);
            }
        }
        numbers.check(turns * receivers.len() as u64);
    });
}
