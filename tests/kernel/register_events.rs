//! An eventfd that is signalled on completions, and completions posted to a ring from outside.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::fs::File;
use std::io::Write as _;

use crate::common::process::bounded;
use crate::common::{PATIENCE, reap, require};
use crate::op_common::{assert_quiet, pipe, reap_told, ring, start};
use ringbolt::IoUring;
use ringbolt::ops::{Fixed, MsgRing, Nop, PollAdd};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd};
use ringbolt::rustix::fd::{AsFd, OwnedFd};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{CqFlags, CqeFlags, RegisterOp, SetupFlags};

/// Sends to rings of the test, which expects the message.
fn send_message(message: MsgRing) -> Result<(), Errno> {
    // SAFETY: each test recognises the completions of its ring as messages.
    unsafe { ringbolt::register::send_message(message) }.map_err(Errno::from)
}

fn event() -> OwnedFd {
    eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).expect("an eventfd")
}

/// How much was added to the eventfd since it was last read.
fn count(event: &OwnedFd) -> u64 {
    let mut count = [0; 8];
    match rustix::io::read(event, &mut count) {
        Ok(8) => u64::from_ne_bytes(count),
        Err(Errno::AGAIN) => 0,
        other => panic!("an eventfd is read whole: {other:?}"),
    }
}

/// Submits `number` entries together, and pops their completions.
fn nops(ring: &mut IoUring, number: u32) {
    for _ in 0..number {
        ring.submission().push_safe(Nop::new().sqe(1)).expect("room");
    }
    assert_eq!(ring.submit(), Ok(number));
    reap(ring, number as usize);
}

/// Starts a poll that waits, ends it by writing a byte, and pops its completion.
fn poll(ring: &mut IoUring) {
    let (reader, mut writer) = pipe();
    // SAFETY: no memory is used, and the pipe stays until the completion is there.
    unsafe { start(ring, PollAdd::new(&reader, EventFlags::IN).sqe(2)) };
    assert_quiet(ring);
    writer.write_all(b"x").expect("room in the pipe");
    assert_eq!(reap_told(ring, 1)[0].0, 2);
}

/// Makes a worker thread execute an entry, and pops its completion.
fn work(ring: &mut IoUring) {
    ring.submission().push_safe(Nop::new().sqe(3).force_async()).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    assert_eq!(reap_told(ring, 1), [(3, Ok(0))]);
}

/// liburing: eventfd.
#[test]
fn an_eventfd_is_signalled_once_for_completions_posted_together() {
    let (mut ring, event) = (ring(), event());
    nops(&mut ring, 1);
    assert_eq!(ring.registrar().register_eventfd(&event), Ok(()));
    assert_eq!(count(&event), 0, "earlier completions are not counted");
    for _ in 0..3 {
        nops(&mut ring, 1);
    }
    assert_eq!(count(&event), 3);
    poll(&mut ring);
    assert_eq!(count(&event), 1);
    work(&mut ring);
    assert_eq!(count(&event), 1);
    nops(&mut ring, 5);
    assert_eq!(count(&event), 1, "once for five completions");
}

#[test]
fn an_async_eventfd_is_signalled_only_for_completions_of_workers() {
    let (mut ring, event) = (ring(), event());
    assert_eq!(ring.registrar().register_eventfd_async(&event), Ok(()));
    nops(&mut ring, 3);
    assert_eq!(count(&event), 0);
    poll(&mut ring);
    assert_eq!(count(&event), 0, "later, but on this thread");
    work(&mut ring);
    assert_eq!(count(&event), 1);
    // The eventfd is signalled for all completions again.
    assert_eq!(ring.registrar().unregister_eventfd(), Ok(()));
    assert_eq!(ring.registrar().register_eventfd(&event), Ok(()));
    poll(&mut ring);
    assert_eq!(count(&event), 1);
}

/// liburing: eventfd-reg.
#[test]
fn registering_a_second_eventfd_is_ebusy_and_removing_a_missing_one_enxio() {
    let (ring, event) = (ring(), event());
    let registrar = ring.registrar();
    assert_eq!(registrar.unregister_eventfd().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(registrar.register_eventfd(&event), Ok(()));
    assert_eq!(registrar.register_eventfd(&event).map_err(Errno::from), Err(Errno::BUSY));
    assert_eq!(
        registrar.register_eventfd_async(self::event()).map_err(Errno::from),
        Err(Errno::BUSY)
    );
    assert_eq!(registrar.unregister_eventfd(), Ok(()));
    assert_eq!(registrar.unregister_eventfd().map_err(Errno::from), Err(Errno::NXIO));
    assert_eq!(registrar.register_eventfd_async(&event), Ok(()), "and again");
    assert_eq!(registrar.register_eventfd(&event).map_err(Errno::from), Err(Errno::BUSY));
}

#[test]
fn registering_a_file_that_is_not_an_eventfd_is_einval() {
    let ring = ring();
    let file = File::open("Cargo.toml").expect("the package's own");
    assert_eq!(ring.registrar().register_eventfd(&file).map_err(Errno::from), Err(Errno::INVAL));
    assert_eq!(
        ring.registrar().register_eventfd_async(&ring).map_err(Errno::from),
        Err(Errno::INVAL)
    );
    assert_eq!(ring.registrar().unregister_eventfd().map_err(Errno::from), Err(Errno::NXIO));
}

#[test]
fn an_unregistered_eventfd_is_not_signalled() {
    let (mut ring, event) = (ring(), event());
    ring.registrar().register_eventfd(&event).expect("an eventfd");
    nops(&mut ring, 1);
    ring.registrar().unregister_eventfd().expect("it is there");
    assert_eq!(count(&event), 1);
    nops(&mut ring, 1);
    poll(&mut ring);
    assert_eq!(count(&event), 0);
}

#[test]
fn the_ring_holds_its_own_reference_to_the_eventfd() {
    let (mut ring, event) = (ring(), event());
    let again = event.try_clone().expect("a second descriptor");
    ring.registrar().register_eventfd(&event).expect("an eventfd");
    drop(event);
    nops(&mut ring, 1);
    assert_eq!(count(&again), 1);
}

/// liburing: eventfd-disable.
#[test]
fn notifications_are_turned_off_and_on_without_a_system_call() {
    let (mut ring, event) = (ring(), event());
    ring.registrar().register_eventfd(&event).expect("an eventfd");
    let mut switch = |disabled, told| {
        assert_eq!(ring.completion().set_eventfd_disabled(disabled), Ok(()));
        assert_eq!(ring.completion().flags().contains(CqFlags::EVENTFD_DISABLED), disabled);
        nops(&mut ring, 1);
        assert_eq!(count(&event), told, "at once");
        poll(&mut ring);
        assert_eq!(count(&event), told, "later");
    };
    switch(false, 1);
    switch(true, 0);
    switch(true, 0);
    switch(false, 1);
    // Completions posted while notifications were off are not signalled later.
    assert_eq!(count(&event), 0);
}

#[test]
fn notifications_can_be_turned_off_before_an_eventfd_is_registered() {
    let (mut ring, event) = (ring(), event());
    assert_eq!(ring.completion().set_eventfd_disabled(true), Ok(()));
    ring.registrar().register_eventfd(&event).expect("an eventfd");
    nops(&mut ring, 1);
    assert_eq!(count(&event), 0);
    assert_eq!(ring.completion().set_eventfd_disabled(false), Ok(()));
    nops(&mut ring, 1);
    assert_eq!(count(&event), 1);
}

/// liburing: defer-taskrun.
#[test]
fn an_eventfd_is_signalled_when_deferred_work_is_pending() {
    // A ring that defers work signals the eventfd when work is pending: otherwise a thread that
    // waits only for the eventfd would wait forever.
    let flags = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    require!(setup: flags);
    let mut ring = IoUring::builder().flags(flags).build_local(8).expect("a ring");
    let event = event();
    ring.registrar().register_eventfd(&event).expect("an eventfd");
    let (reader, mut writer) = pipe();
    // SAFETY: no memory is used, and the pipe stays until the completion is there.
    unsafe { start(&mut ring, PollAdd::new(&reader, EventFlags::IN).sqe(2)) };
    assert_eq!(count(&event), 0);
    writer.write_all(b"x").expect("room in the pipe");
    // Some kernels signal it later.
    let mut polled = [PollFd::new(&event, PollFlags::IN)];
    let time = PATIENCE.try_into().expect("a short time");
    assert_eq!(rustix::event::poll(&mut polled, Some(&time)), Ok(1));
    assert_eq!(count(&event), 1);
    assert!(ring.completion().is_empty());
    assert_eq!(reap_told(&mut ring, 1)[0].0, 2);
}

/// liburing: msg-ring.
#[test]
fn a_thread_without_a_ring_posts_a_completion() {
    require!(register: RegisterOp::REGISTER_SEND_MSG_RING);
    let mut ring = ring();
    for (result, user_data) in [(0, 0), (7, u64::MAX), (i32::MAX, 1 << 63)] {
        let message = MsgRing::new(&ring, result, user_data);
        bounded(move || assert_eq!(send_message(message), Ok(())));
        let result = u32::try_from(result).expect("positive");
        assert_eq!(reap_told(&mut ring, 1), [(user_data, Ok(result))]);
    }
    // Any number can be sent, and the receiver sees some of them as errors.
    assert_eq!(send_message(MsgRing::new(&ring, -libc::ECANCELED, 3)), Ok(()));
    assert_eq!(reap_told(&mut ring, 1), [(3, Err(Errno::CANCELED))]);
    assert_quiet(&mut ring);
}

#[test]
fn a_message_carries_flags() {
    require!(register: RegisterOp::REGISTER_SEND_MSG_RING);
    let mut ring = ring();
    let flags = CqeFlags::from_bits_retain(1 << 20) | CqeFlags::MORE;
    assert_eq!(send_message(MsgRing::new(&ring, 1, 2).cqe_flags(flags)), Ok(()));
    let cqe = reap(&mut ring, 1).remove(0);
    assert_eq!((cqe.user_data(), cqe.result(), cqe.flags()), (2, Ok(1), flags));
}

#[test]
fn a_message_wakes_the_thread_that_waits() {
    require!(register: RegisterOp::REGISTER_SEND_MSG_RING);
    let mut ring = ring();
    let sent = ring.as_fd().try_clone_to_owned().expect("a second descriptor");
    let message = MsgRing::new(&sent, 5, 6);
    let waiter = std::thread::spawn(move || reap_told(&mut ring, 1));
    std::thread::sleep(core::time::Duration::from_millis(20));
    assert_eq!(send_message(message), Ok(()));
    assert_eq!(waiter.join().expect("no panic"), [(6, Ok(5))]);
}

#[test]
fn a_ring_bound_to_one_thread_receives_messages_from_others() {
    require!(register: RegisterOp::REGISTER_SEND_MSG_RING);
    let mut ring = IoUring::local(8).expect("a ring");
    let message = MsgRing::new(&ring, 5, 6);
    bounded(move || assert_eq!(send_message(message), Ok(())));
    assert_eq!(reap_told(&mut ring, 1), [(6, Ok(5))]);
}

/// liburing: msg-ring-overflow.
#[test]
fn messages_beyond_the_queues_room_are_kept() {
    require!(register: RegisterOp::REGISTER_SEND_MSG_RING);
    let mut ring = ring();
    let number = 2 * ring.completion().capacity();
    for user_data in 0..number {
        let user_data = u64::from(user_data);
        assert_eq!(send_message(MsgRing::new(&ring, 0, user_data)), Ok(()), "{user_data}");
    }
    let told: Vec<_> = reap(&mut ring, number as usize).iter().map(|c| c.user_data()).collect();
    assert_eq!(told, (0..u64::from(number)).collect::<Vec<_>>());
}

#[test]
fn a_message_to_a_file_or_a_disabled_ring_is_ebadfd() {
    require!(register: RegisterOp::REGISTER_SEND_MSG_RING);
    let file = File::open("Cargo.toml").expect("the package's own");
    assert_eq!(send_message(MsgRing::new(&file, 0, 1)), Err(Errno::BADFD));
    let disabled = IoUring::builder().build_disabled(8).expect("a ring");
    assert_eq!(send_message(MsgRing::new(&disabled, 0, 1)), Err(Errno::BADFD));
    let mut ring = disabled.enable().expect("a ring without restrictions");
    assert_eq!(send_message(MsgRing::new(&ring, 0, 1)), Ok(()));
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(0))]);
    // Without a ring to send from, a fixed slot belongs to no table.
    assert_eq!(send_message(MsgRing::new(Fixed(0), 0, 1)), Err(Errno::INVAL));
    let closed = ringbolt::ops::Target::Fd(i32::MAX);
    assert_eq!(send_message(MsgRing::new(closed, 0, 1)), Err(Errno::BADF));
}
