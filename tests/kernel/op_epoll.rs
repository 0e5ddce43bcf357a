//! epoll sets, changed and waited for by a ring.
#![allow(clippy::indexing_slicing, reason = "a wrong index is a failed test")]

use std::fs::File;
use std::io::{Read as _, Write as _};

use crate::common::{TempDir, complete, require};
use crate::op_common::{assert_quiet, cancel, pipe, reap_sorted, reap_told, ring, start};
use ringbolt::ops::{EpollCtl, EpollWait, Fixed};
use ringbolt::register::FileSlot;
use ringbolt::rustix::event::Timespec;
use ringbolt::rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use ringbolt::rustix::fd::OwnedFd;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::Opcode;
use ringbolt::{IoUring, Sqe};

const DONE: Result<u32, Errno> = Ok(0);

fn new_set() -> OwnedFd {
    epoll::create(CreateFlags::CLOEXEC).expect("an epoll set")
}

fn event(flags: EventFlags, data: u64) -> Event {
    Event { flags, data: EventData::new_u64(data) }
}

/// What an entry comes to.
fn result(ring: &mut IoUring, sqe: Sqe) -> Result<u32, Errno> {
    // SAFETY: the caller keeps all that the entry names until this returns.
    unsafe { complete(ring, sqe) }.result()
}

/// The events of a set that are there now, as the system call of old tells them.
fn ready(set: &OwnedFd) -> Vec<(EventFlags, u64)> {
    let mut events = [event(EventFlags::empty(), 0); 4];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    let count = epoll::wait(set, &mut events, Some(&at_once)).expect("a set");
    told(&events[..count])
}

fn told(events: &[Event]) -> Vec<(EventFlags, u64)> {
    events.iter().map(|event| (event.flags, event.data.u64())).collect()
}

#[test]
fn a_file_is_added_changed_and_taken_out() {
    require!(op: Opcode::EPOLL_CTL);
    let (reader, mut writer) = pipe();
    let set = new_set();
    let mut ring = ring();
    writer.write_all(b"x").expect("room in the pipe");
    let (read, none) = (event(EventFlags::IN, u64::MAX - 1), event(EventFlags::PRI, 7));
    let add = EpollCtl::add(&set, &reader, &read).sqe(1);
    assert_eq!(result(&mut ring, add), DONE);
    assert_eq!(ready(&set), [(EventFlags::IN, u64::MAX - 1)]);
    assert_eq!(result(&mut ring, add), Err(Errno::EXIST));
    assert_eq!(result(&mut ring, EpollCtl::modify(&set, &reader, &none).sqe(2)), DONE);
    assert_eq!(ready(&set), []);
    assert_eq!(result(&mut ring, EpollCtl::modify(&set, &reader, &read).sqe(2)), DONE);
    assert_eq!(ready(&set).len(), 1);
    let delete = EpollCtl::delete(&set, &reader).sqe(3);
    assert_eq!(result(&mut ring, delete), DONE);
    assert_eq!(ready(&set), []);
    assert_eq!(result(&mut ring, delete), Err(Errno::NOENT));
    let modify = EpollCtl::modify(&set, &reader, &read).sqe(4);
    assert_eq!(result(&mut ring, modify), Err(Errno::NOENT));
}

#[test]
fn changes_that_cannot_be_say_why() {
    require!(op: Opcode::EPOLL_CTL);
    let dir = TempDir::new();
    let regular = File::open(dir.file("data", b"")).expect("it was just made");
    let (reader, writer) = pipe();
    let set = new_set();
    let read = event(EventFlags::IN, 1);
    let nowhere = core::ptr::without_provenance(8);
    let table = [
        (EpollCtl::add(&set, &regular, &read), Errno::PERM),
        (EpollCtl::add(&set, &set, &read), Errno::INVAL),
        (EpollCtl::add(&reader, &writer, &read), Errno::INVAL),
        (EpollCtl::add(&set, &reader, nowhere), Errno::FAULT),
    ];
    for (change, errno) in table {
        assert_eq!(result(&mut ring(), change.sqe(1)), Err(errno), "{change:?}");
    }
}

/// A set that waits for data in a pipe, which it knows as 42, and the pipe.
fn watched() -> (OwnedFd, File, File) {
    let (reader, writer) = pipe();
    let set = new_set();
    epoll::add(&set, &reader, EventData::new_u64(42), EventFlags::IN).expect("a pipe");
    (set, reader, writer)
}

/// Place for events, which outlives every test.
fn places() -> &'static mut [Event; 4] {
    Box::leak(Box::new([event(EventFlags::empty(), 0); 4]))
}

#[test]
fn a_wait_tells_the_events_that_are_there() {
    require!(op: Opcode::EPOLL_WAIT);
    let (set, _reader, mut writer) = watched();
    let (other, mut other_writer) = pipe();
    epoll::add(&set, &other, EventData::new_u64(43), EventFlags::IN).expect("a pipe");
    let mut ring = ring();
    writer.write_all(b"x").expect("room in the pipe");
    let events = places();
    let wait = EpollWait::new(&set, events.as_mut_ptr(), 4).sqe(1);
    assert_eq!(result(&mut ring, wait), Ok(1));
    assert_eq!(told(&events[..1]), [(EventFlags::IN, 42)]);
    other_writer.write_all(b"x").expect("room in the pipe");
    assert_eq!(result(&mut ring, wait), Ok(2));
    let mut both = told(&events[..2]);
    both.sort_by_key(|(_, data)| *data);
    assert_eq!(both, [(EventFlags::IN, 42), (EventFlags::IN, 43)]);
    let one = EpollWait::new(&set, events.as_mut_ptr(), 1).sqe(2);
    assert_eq!(result(&mut ring, one), Ok(1), "as many as there is room for");
}

#[test]
fn a_wait_lasts_until_an_event_comes_or_it_is_cancelled() {
    require!(op: Opcode::EPOLL_WAIT);
    let (set, mut reader, mut writer) = watched();
    let mut ring = ring();
    ring.registrar().register_files(&[FileSlot::from(&set)]).expect("a slot");
    let events = places();
    let wait = EpollWait::new(Fixed(0), events.as_mut_ptr(), 4).sqe(1);
    // SAFETY: the place is leaked, and read when it came back; the set stays.
    unsafe { start(&mut ring, wait) };
    assert_quiet(&mut ring);
    writer.write_all(b"x").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(1))]);
    assert_eq!(told(&events[..1]), [(EventFlags::IN, 42)]);

    reader.read_exact(&mut [0]).expect("a byte");
    // SAFETY: as above.
    unsafe { start(&mut ring, wait) };
    assert_quiet(&mut ring);
    cancel(&mut ring, 1, 2);
    assert_eq!(reap_sorted(&mut ring, 2), [(1, Err(Errno::CANCELED)), (2, DONE)]);
    writer.write_all(b"x").expect("room in the pipe");
    assert_eq!(ready(&set), [(EventFlags::IN, 42)], "the event is for others");
    assert_quiet(&mut ring);
}

#[test]
fn waits_that_cannot_be_say_why() {
    require!(op: Opcode::EPOLL_WAIT);
    let (set, reader, mut writer) = watched();
    writer.write_all(b"x").expect("room in the pipe");
    let at = places().as_mut_ptr();
    let nowhere = core::ptr::without_provenance_mut(8);
    let table = [
        (EpollWait::new(&reader, at, 4), Errno::INVAL),
        (EpollWait::new(&set, at, 0), Errno::INVAL),
        (EpollWait::new(Fixed(0), at, 4), Errno::BADF),
        (EpollWait::new(&set, nowhere, 4), Errno::FAULT),
    ];
    for (wait, errno) in table {
        assert_eq!(result(&mut ring(), wait.sqe(1)), Err(errno), "{wait:?}");
    }
}
