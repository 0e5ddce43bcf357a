//! Waiting for readiness, once or each time.

use std::fs::File;
use std::io::{Read as _, Write as _};

use crate::common::{complete, reap, require};
use crate::op_common::{
    AS_OF_5_15, AS_OF_5_19, Told, accept, assert_quiet, complete_safe, connect, listener, pipe,
    reap_sorted, reap_told, ring, start, unix_pair,
};
use ringbolt::ops::{AsyncCancel, Fixed, PollAdd, PollRemove, PollUpdate, Target};
use ringbolt::register::FileSlot;
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::event::{EventfdFlags, eventfd};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::PollFlags;
use ringbolt::{Cqe, IoUring};

const IN: EventFlags = EventFlags::IN;
const OUT: EventFlags = EventFlags::OUT;

/// A result of a poll.
const fn ready(events: EventFlags) -> Result<u32, Errno> {
    Ok(events.bits())
}

/// A counter that is readable while it is not 0.
fn counter() -> File {
    eventfd(0, EventfdFlags::CLOEXEC).expect("an eventfd").into()
}

fn raise(mut counter: &File) {
    counter.write_all(&1_u64.to_ne_bytes()).expect("it has room");
}

fn reset(mut counter: &File) {
    counter.read_exact(&mut [0; 8]).expect("it is not 0");
}

/// Removes the poll, and tells both completions.
fn remove(ring: &mut IoUring, user_data: u64, id: u64) -> Vec<Told> {
    ring.submission().push_safe(PollRemove::new(user_data).sqe(id)).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    reap_sorted(ring, 2)
}

/// liburing: poll.
#[test]
fn a_poll_tells_the_events_that_are_there() {
    let (ours, mut theirs) = unix_pair();
    let mut ring = ring();
    let mut outcome = |events| {
        // SAFETY: the socket stays until `complete` returns; no memory is named.
        unsafe { complete(&mut ring, PollAdd::new(&ours, events).sqe(1)) }.result()
    };
    assert_eq!(outcome(IN | OUT), ready(OUT));
    theirs.write_all(b"x").expect("room in the socket");
    assert_eq!(outcome(IN | OUT), ready(IN | OUT));
    assert_eq!(outcome(IN), ready(IN));
    assert_eq!(outcome(OUT), ready(OUT));
    drop(theirs);
    let all = outcome(IN | EventFlags::RDHUP).expect("the peer is gone");
    let all = EventFlags::from_bits_retain(all);
    assert!(all.contains(IN | EventFlags::RDHUP | EventFlags::HUP), "{all:?}");
}

/// liburing: poll.
#[test]
fn a_poll_waits_until_the_event_comes() {
    let counter = counter();
    let mut ring = ring();
    // SAFETY: the counter stays; no memory is named.
    unsafe { start(&mut ring, PollAdd::new(&counter, IN).sqe(1)) };
    assert_quiet(&mut ring);
    raise(&counter);
    assert_eq!(reap_told(&mut ring, 1), [(1, ready(IN))]);
    // Once is once.
    reset(&counter);
    raise(&counter);
    assert_quiet(&mut ring);
}

#[test]
fn hang_ups_are_waited_for_unasked() {
    let (reader, writer) = pipe();
    let mut ring = ring();
    // SAFETY: the pipe stays; no memory is named.
    unsafe { start(&mut ring, PollAdd::new(&reader, EventFlags::PRI).sqe(1)) };
    assert_quiet(&mut ring);
    drop(writer);
    assert_eq!(reap_told(&mut ring, 1), [(1, ready(EventFlags::HUP))]);
    let (reader, writer) = pipe();
    drop(reader);
    // SAFETY: as above.
    let cqe = unsafe { complete(&mut ring, PollAdd::new(&writer, EventFlags::empty()).sqe(2)) };
    assert_eq!(cqe.result(), ready(EventFlags::ERR));
}

#[test]
fn a_listener_is_ready_when_a_connection_waits() {
    let (listener, address) = listener();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&listener)]).expect("a slot");
    // SAFETY: the registered file stays; no memory is named.
    unsafe { start(&mut ring, PollAdd::new(Fixed(0), IN).sqe(1)) };
    assert_quiet(&mut ring);
    let _client = connect(address);
    assert_eq!(reap_told(&mut ring, 1), [(1, ready(IN))]);
    let _accepted = accept(&listener);
}

#[test]
fn a_multishot_poll_tells_each_event_until_it_is_removed() {
    require!(op: AS_OF_5_15);
    let counter = counter();
    let mut ring = ring();
    // SAFETY: the counter stays; no memory is named.
    unsafe { start(&mut ring, PollAdd::new(&counter, IN).multishot().sqe(1)) };
    assert_quiet(&mut ring);
    for _ in 0..3 {
        raise(&counter);
        let cqe = reap(&mut ring, 1).remove(0);
        assert_eq!((cqe.user_data(), cqe.result(), cqe.has_more()), (1, ready(IN), true));
        reset(&counter);
        assert_quiet(&mut ring);
    }
    ring.submission().push_safe(PollRemove::new(1).sqe(2)).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    let mut last = reap(&mut ring, 2);
    last.sort_by_key(Cqe::user_data);
    let told: Vec<_> = last.iter().map(|cqe| (cqe.result(), cqe.has_more())).collect();
    assert_eq!(told, [(Err(Errno::CANCELED), false), (Ok(0), false)]);
    raise(&counter);
    assert_quiet(&mut ring);
}

#[test]
fn a_poll_that_is_removed_is_ecanceled() {
    let (first, second) = (counter(), counter());
    let mut ring = ring();
    // They differ in their highest bit alone.
    let (one, two) = (1, 1 << 63 | 1);
    for (id, counter) in [(one, &first), (two, &second)] {
        // SAFETY: the counters stay; no memory is named.
        unsafe { start(&mut ring, PollAdd::new(counter, IN).sqe(id)) };
    }
    assert_eq!(remove(&mut ring, two, 3), [(3, Ok(0)), (two, Err(Errno::CANCELED))]);
    raise(&second);
    assert_quiet(&mut ring);
    // The other one waits as before.
    raise(&first);
    assert_eq!(reap_told(&mut ring, 1), [(one, ready(IN))]);
}

#[test]
fn removing_what_is_not_there_is_enoent() {
    let mut ring = ring();
    for user_data in [0, 1, u64::MAX] {
        ring.submission().push_safe(PollRemove::new(user_data).sqe(7)).expect("room");
        assert_eq!(ring.submit(), Ok(1));
        assert_eq!(reap_told(&mut ring, 1), [(7, Err(Errno::NOENT))], "{user_data}");
    }
}

#[test]
fn a_poll_can_be_cancelled_like_anything_else() {
    require!(op: AS_OF_5_19);
    let counter = counter();
    let mut ring = ring();
    let by_file = AsyncCancel::of_file(&counter).sqe(2);
    for cancel in [AsyncCancel::of_user_data(1).sqe(2).into(), by_file] {
        // SAFETY: the counter stays; no memory is named.
        unsafe { start(&mut ring, PollAdd::new(&counter, IN).sqe(1)) };
        // SAFETY: the counter stays open; no memory is named.
        unsafe { start(&mut ring, cancel) };
        assert_eq!(reap_sorted(&mut ring, 2), [(1, Err(Errno::CANCELED)), (2, Ok(0))]);
    }
}

#[test]
fn what_is_not_open_is_ebadf() {
    let mut ring = ring();
    for target in [Target::Fd(-1), Target::Fd(i32::MAX), Target::Fixed(Fixed(0))] {
        // SAFETY: nothing is named that anybody has.
        let cqe = unsafe { complete(&mut ring, PollAdd::new(target, IN).sqe(1)) };
        assert_eq!(cqe.result(), Err(Errno::BADF), "{target:?}");
    }
}

#[test]
fn an_edge_is_told_and_what_stays_is_not() {
    require!(op: AS_OF_5_15);
    let counter = counter();
    raise(&counter);
    let mut ring = ring();
    let poll = PollAdd::new(&counter, IN | EventFlags::ET).multishot().sqe(1);
    // SAFETY: the counter stays; no memory is named.
    unsafe { start(&mut ring, poll) };
    let first = reap(&mut ring, 1).remove(0);
    assert_eq!((first.result(), first.has_more()), (ready(IN), true));
    // It stays readable, and that is no news.
    assert_quiet(&mut ring);
    raise(&counter);
    assert_eq!(reap_told(&mut ring, 1), [(1, ready(IN))]);
    assert_eq!(remove(&mut ring, 1, 2), [(1, Err(Errno::CANCELED)), (2, Ok(0))]);
}

/// Changes a poll that goes on waiting; what that comes to.
fn update(ring: &mut IoUring, update: PollUpdate) -> Result<u32, Errno> {
    let cqe = complete_safe(ring, update.sqe(99));
    assert_eq!(cqe.user_data(), 99, "{cqe:?}");
    cqe.result()
}

#[test]
fn a_poll_in_flight_waits_for_other_events_from_then_on() {
    require!(op: AS_OF_5_15);
    let (ours, mut theirs) = unix_pair();
    let mut ring = ring();
    // SAFETY: the socket stays; no memory is named.
    unsafe { start(&mut ring, PollAdd::new(&ours, IN).sqe(1)) };
    assert_quiet(&mut ring);
    let other = PollUpdate::new(1).events(EventFlags::RDHUP);
    assert_eq!(update(&mut ring, other), Ok(0));
    theirs.write_all(b"x").expect("room in the socket");
    assert_quiet(&mut ring);
    // What is there already is told at once.
    let push = PollUpdate::new(1).events(IN | OUT).sqe(2);
    ring.submission().push_safe(push).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap_sorted(&mut ring, 2), [(1, ready(IN | OUT)), (2, Ok(0))]);
}

#[test]
fn a_poll_in_flight_completes_with_another_user_data() {
    require!(op: AS_OF_5_15);
    let counter = counter();
    let mut ring = ring();
    // SAFETY: the counter stays; no memory is named.
    unsafe { start(&mut ring, PollAdd::new(&counter, IN).sqe(1)) };
    assert_eq!(update(&mut ring, PollUpdate::new(1).user_data(u64::MAX - 1)), Ok(0));
    let gone = PollUpdate::new(1).user_data(2);
    assert_eq!(update(&mut ring, gone), Err(Errno::NOENT), "it has another name now");
    raise(&counter);
    assert_eq!(reap_told(&mut ring, 1), [(u64::MAX - 1, ready(IN))]);
    assert_quiet(&mut ring);
}

#[test]
fn a_multishot_poll_is_changed_in_both_and_goes_on() {
    require!(op: AS_OF_5_15);
    let (ours, mut theirs) = unix_pair();
    let mut ring = ring();
    // SAFETY: the socket stays; no memory is named.
    unsafe { start(&mut ring, PollAdd::new(&ours, EventFlags::RDHUP).multishot().sqe(1)) };
    let both = PollUpdate::new(1).events(IN).user_data(2).flags(PollFlags::ADD_MULTI);
    assert_eq!(update(&mut ring, both), Ok(0));
    for _ in 0..3 {
        theirs.write_all(b"x").expect("room in the socket");
        let cqe = reap(&mut ring, 1).remove(0);
        assert_eq!((cqe.user_data(), cqe.result(), cqe.has_more()), (2, ready(IN), true));
    }
    assert_eq!(remove(&mut ring, 2, 3), [(2, Err(Errno::CANCELED)), (3, Ok(0))]);
}

#[test]
fn an_update_that_cannot_be_says_why() {
    require!(op: AS_OF_5_15);
    let mut ring = ring();
    let of_none = PollUpdate::new(7).events(IN);
    assert_eq!(update(&mut ring, of_none), Err(Errno::NOENT));
    let multi_alone = PollUpdate::new(7).flags(PollFlags::ADD_MULTI);
    assert_eq!(update(&mut ring, multi_alone), Err(Errno::INVAL), "nothing is changed");
    let unknown = of_none.flags(PollFlags::from_bits_retain(1 << 20));
    assert_eq!(update(&mut ring, unknown), Err(Errno::INVAL));
}
