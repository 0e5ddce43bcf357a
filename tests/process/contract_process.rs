//! What rings do to other calls of the process, and what goes over to programs and privileges.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::fs::File;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;

use crate::common::process::{bounded, in_child};
use crate::common::{PATIENCE, TempDir, complete, reap, require};
use crate::op_common;
use crate::op_common::{
    AS_OF_5_19, COUNTS_AGAIN, assert_quiet, c_path, complete_safe, connect, eventfds_count_again,
    leaked, listener, owned, pipe, reap_sorted, reap_told, ring, start,
};
use ringbolt::ops::{
    Accept, AsyncCancel, Close, FilesUpdate, Fixed, FixedFdInstall, Fsync, LinkTimeout, MsgRing,
    Nop, OpenAt, OpenAt2, Pipe, PollAdd, ProvideBuffers, Read, Recv, RemoveBuffers, Shutdown,
    Socket, Splice, Statx, Timeout,
};
use ringbolt::register::FileSlot;
use ringbolt::rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use ringbolt::rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use ringbolt::rustix::fs::{AtFlags, CWD, OFlags, StatxFlags};
use ringbolt::rustix::io::{FdFlags, fcntl_getfd, read};
use ringbolt::rustix::net::{AddressFamily, Shutdown as How, SocketFlags, SocketType};
use ringbolt::rustix::pipe::PipeFlags;
use ringbolt::sys::{FixedFdFlags, Opcode, SetupFlags, SqStatus, open_how};
use ringbolt::{Builder, IoUring, LocalIoUring, Sqe, Timespec};
use rustix::io::Errno;

/// Goal: a polling thread keeps the credentials that its ring was made with.
/// Method: a file of root's, which is opened after the process has given its privileges up.
#[test]
fn a_polling_thread_keeps_the_credentials_that_its_ring_was_made_with() {
    // SAFETY: the call has no precondition.
    require!(machine: unsafe { libc::geteuid() } == 0, "privileges to give up");
    require!(setup: SetupFlags::SQPOLL);
    in_child("a_polling_thread_keeps_the_credentials_that_its_ring_was_made_with", || {
        let dir = TempDir::new();
        let path = dir.file("secret", b"secret");
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).expect("ours");
        std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("ours");
        let mut plain = ring();
        let mut polled = IoUring::builder().sqpoll(1).build(8).expect("a ring");
        // SAFETY: a number only.
        assert_eq!(unsafe { libc::setgid(65_534) }, 0);
        // SAFETY: a number only.
        assert_eq!(unsafe { libc::setuid(65_534) }, 0);
        assert!(File::open(&path).is_err(), "the process may not");
        let path = c_path(&path);
        let open = OpenAt::new(CWD, path.as_ptr(), OFlags::RDONLY).sqe(1);
        // SAFETY: the path stays until this returns.
        let opened = unsafe { complete(&mut plain, open) };
        assert_eq!(opened.result(), Err(Errno::ACCESS), "nor may a plain ring");
        // SAFETY: as above.
        let opened = unsafe { complete(&mut polled, open) };
        drop(owned(opened.result()));
        let now = polled.registrar().register_personality().expect("an id");
        // SAFETY: as above.
        let opened = unsafe { complete(&mut polled, open.with_personality(now)) };
        assert_eq!(opened.result(), Err(Errno::ACCESS), "with the credentials of now");
    });
}

/// Whether programs that are executed inherit a descriptor.
fn is_inherited(fd: impl AsFd) -> bool {
    !fcntl_getfd(fd).expect("it is open").contains(FdFlags::CLOEXEC)
}

/// The descriptor that `entry` makes.
fn made(ring: &mut IoUring, entry: impl Into<Sqe>) -> OwnedFd {
    // SAFETY: the callers keep what it names until this returns.
    owned(unsafe { complete(ring, entry.into()) }.result())
}

#[test]
fn descriptors_that_operations_make_are_inherited_unless_a_flag_says_otherwise() {
    require!(op: Opcode::FIXED_FD_INSTALL);
    let mut ring = ring();
    let path = c"/dev/null".as_ptr();
    let (listener, address) = listener();
    let _peers = [connect(address), connect(address)];
    for on_exec in [false, true] {
        let flag = if on_exec { OFlags::CLOEXEC } else { OFlags::empty() };
        let opened = made(&mut ring, OpenAt::new(CWD, path, flag).sqe(1));
        assert_eq!(is_inherited(opened), !on_exec, "OpenAt");

        let how = open_how { flags: u64::from(flag.bits()), ..open_how::ZEROED };
        let opened = made(&mut ring, OpenAt2::new(CWD, path, &raw const how).sqe(1));
        assert_eq!(is_inherited(opened), !on_exec, "OpenAt2");

        let flag = if on_exec { SocketFlags::CLOEXEC } else { SocketFlags::empty() };
        let new = Socket::new(AddressFamily::INET, SocketType::STREAM).flags(flag);
        assert_eq!(is_inherited(made(&mut ring, new.sqe(1))), !on_exec, "Socket");
        let accepted = made(&mut ring, Accept::new(&listener).flags(flag).sqe(1));
        assert_eq!(is_inherited(accepted), !on_exec, "Accept");
    }
    ring.registrar().register_files(&[FileSlot::from(&listener)]).expect("a table");
    let install = FixedFdInstall::new(Fixed(0));
    assert!(!is_inherited(made(&mut ring, install.sqe(1))), "unlike the others");
    let install = install.flags(FixedFdFlags::NO_CLOEXEC);
    assert!(is_inherited(made(&mut ring, install.sqe(1))));
}

#[test]
fn pipes_that_operations_make_are_inherited_unless_a_flag_says_otherwise() {
    require!(op: Opcode::PIPE);
    let mut ring = ring();
    for flags in [PipeFlags::empty(), PipeFlags::CLOEXEC] {
        let mut ends = [-1; 2];
        let make = Pipe::new(&raw mut ends).flags(flags).sqe(1);
        // SAFETY: the place stays until this returns.
        assert_eq!(unsafe { complete(&mut ring, make) }.result(), Ok(0));
        for end in ends {
            let end = owned(u32::try_from(end).map_err(|_| Errno::BADF));
            assert_eq!(is_inherited(end), flags.is_empty());
        }
    }
}

/// What `epoll_wait(2)` comes to while a read of a ring becomes ready, and the ring: closing one
/// interrupts the thread, too.
fn epoll_while_ready(builder: &Builder) -> (Result<usize, Errno>, LocalIoUring) {
    let (reader, mut writer) = pipe();
    let mut ring = builder.build_local(8).expect("a ring");
    // SAFETY: the memory is leaked, and the pipe stays until the read has completed.
    unsafe { start(&mut ring, Read::new(&reader, leaked::<1>().as_mut_ptr(), 1).sqe(1)) };
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        writer.write_all(b"x").expect("room in the pipe");
        writer
    });
    let set = epoll::create(CreateFlags::CLOEXEC).expect("a set");
    let (silent, _writer) = pipe();
    epoll::add(&set, &silent, EventData::new_u64(1), EventFlags::IN).expect("added");
    let time = rustix::event::Timespec { tv_sec: 0, tv_nsec: 400_000_000 };
    let mut events = Vec::with_capacity(1);
    let room = rustix::buffer::spare_capacity(&mut events);
    let outcome = epoll::wait(&set, room, Some(&time));
    drop(other.join().expect("it ends"));
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(1))]);
    (outcome, ring)
}

/// Goal: rings whose work is not deferred interrupt other calls of their thread.
/// Method: a thread that sleeps in epoll_wait(2) on something that does not come.
#[test]
fn work_of_a_ring_ends_other_calls_of_its_thread_unless_it_is_deferred() {
    let deferred = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    require!(setup: deferred);
    in_child("work_of_a_ring_ends_other_calls_of_its_thread_unless_it_is_deferred", || {
        let (by_default, _ring) = epoll_while_ready(&IoUring::builder());
        assert_eq!(by_default, Err(Errno::INTR));
        let (cooperating, _ring2) = epoll_while_ready(&IoUring::builder().coop_taskrun());
        assert_eq!(cooperating, Err(Errno::INTR));
        let (put_off, _ring3) = epoll_while_ready(&IoUring::builder().flags(deferred));
        assert_eq!(put_off, Ok(0));
    });
}

/// How long an eventfd is given that is not to count.
const SOON: Duration = Duration::from_millis(200);

/// Whether an eventfd is readable within some time; its count is taken then.
fn counts_within(event: &OwnedFd, time: Duration) -> bool {
    let mut polled = [PollFd::new(event, PollFlags::IN)];
    let time = time.try_into().expect("a short time");
    match poll(&mut polled, Some(&time)) {
        Ok(0) | Err(Errno::INTR) => false,
        ready => {
            assert_eq!(ready, Ok(1));
            read(event, &mut [0; 8]) == Ok(8)
        }
    }
}

/// Whether an eventfd is readable soon, or at last on a kernel that is late.
fn counts(event: &OwnedFd) -> bool {
    counts_within(event, PATIENCE)
}

/// Goal: the eventfd of a ring with deferred work counts work, once, until that has been run.
/// Method: two reads become ready one after the other, and the ring is entered only then.
#[test]
fn the_eventfd_of_a_ring_with_deferred_work_counts_once_until_that_is_run() {
    require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
    require!(repaired: eventfds_count_again(), COUNTS_AGAIN);
    let mut ring = IoUring::local(8).expect("a ring");
    let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).expect("an eventfd");
    ring.registrar().register_eventfd(&event).expect("it is registered");
    let mut pipes = [pipe(), pipe(), pipe()];
    for ((reader, _), id) in pipes.iter().zip(0..) {
        // SAFETY: the memory is leaked, and the pipes stay longer than the ring.
        unsafe { start(&mut ring, Read::new(reader, leaked::<1>().as_mut_ptr(), 1).sqe(id)) };
    }
    pipes[0].1.write_all(b"x").expect("room in the pipe");
    assert!(counts(&event));
    assert!(ring.completion().is_empty(), "there is nothing to pop yet");
    pipes[1].1.write_all(b"x").expect("room in the pipe");
    assert!(!counts_within(&event, SOON), "it has counted before");
    ring.get_events().expect("the work is run");
    assert_eq!(reap_sorted(&mut ring, 2), [(0, Ok(1)), (1, Ok(1))]);
    // Running the work may count as well.
    counts_within(&event, SOON);
    pipes[2].1.write_all(b"x").expect("room in the pipe");
    assert!(counts(&event), "now it counts again");
}

#[test]
fn an_eventfd_that_is_turned_on_again_says_nothing_of_what_came_before() {
    let mut ring = ring();
    let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).expect("an eventfd");
    ring.registrar().register_eventfd(&event).expect("it is registered");
    ring.completion().set_eventfd_disabled(true).expect("a kernel since 5.8");
    ring.submission().push_safe(Nop::new().sqe(1)).expect("room");
    assert_eq!(ring.submit(), Ok(1));
    ring.completion().set_eventfd_disabled(false).expect("as before");
    assert!(!counts_within(&event, SOON) && !ring.completion().is_empty());
}

/// Goal: a ring that polls devices refuses everything else.
/// Method: one of each kind, and `EINVAL` for each; those that it carries out succeed.
#[test]
fn a_ring_that_polls_devices_refuses_what_cannot_be_polled() {
    require!(op: AS_OF_5_19);
    require!(setup: SetupFlags::IOPOLL);
    bounded(|| {
        let mut ring = IoUring::builder().iopoll().build(8).expect("a ring");
        let other = op_common::ring();
        let (reader, writer) = pipe();
        let (ours, _theirs) = op_common::unix_pair();
        let (bytes, path) = (leaked::<512>().as_mut_ptr(), c"/dev/null".as_ptr());
        let soon = Timespec::new(0, 1);
        let refused = [
            OpenAt::new(CWD, path, OFlags::RDONLY).sqe(1),
            Statx::new(CWD, path, AtFlags::empty(), StatxFlags::empty(), bytes.cast()).sqe(1),
            Close::fixed(Fixed(0)).sqe(1).into(),
            Fsync::new(&reader).sqe(1),
            Recv::new(&ours, bytes, 4).sqe(1),
            Shutdown::new(&ours, How::Both).sqe(1),
            PollAdd::new(&writer, EventFlags::OUT).sqe(1),
            Splice::new(&reader, &writer, 1).sqe(1),
            Timeout::new(&raw const soon).sqe(1),
            AsyncCancel::any().sqe(1).into(),
            Socket::new(AddressFamily::INET, SocketType::STREAM).sqe(1).into(),
        ];
        for entry in refused {
            // SAFETY: the memory is leaked, and files and time stay until this returns.
            let cqe = unsafe { complete(&mut ring, entry) };
            assert_eq!(cqe.result(), Err(Errno::INVAL), "{entry:?}");
        }
        let allowed = [
            Nop::new().sqe(1).into(),
            MsgRing::new(&other, 0, 0).sqe(1),
            ProvideBuffers::new(bytes, 8, 4, 7, 0).sqe(1),
        ];
        for entry in allowed {
            // SAFETY: as above.
            let cqe = unsafe { complete(&mut ring, entry) };
            assert!(cqe.result().is_ok(), "{entry:?}: {cqe:?}");
        }
        ring.registrar().register_files_sparse(2).expect("a table");
        let slots = [FileSlot::EMPTY];
        let update = FilesUpdate::new(Fixed(0), slots.as_ptr(), 1).sqe(1);
        // SAFETY: the array stays until this returns.
        assert_eq!(unsafe { complete(&mut ring, update) }.result(), Ok(1));
        let removed = complete_safe(&mut ring, RemoveBuffers::new(4, 7).sqe(1));
        assert_eq!(removed.result(), Ok(4));
    });
}

/// A chain whose first entry fails: what comes after is cancelled, as far as it is in the chain.
fn failing(len: u64) -> Vec<Sqe> {
    let entry = |id| {
        let nop = if id == 0 { Nop::new().inject_result(-5) } else { Nop::new() };
        let entry = Sqe::from(nop.sqe(id));
        if id + 1 < len { entry.link() } else { entry }
    };
    (0..len).map(entry).collect()
}

/// How many of a chain of `len` are cancelled.
fn cancelled(ring: &mut IoUring, len: u64) -> usize {
    let end = std::time::Instant::now() + PATIENCE;
    while !ring.submission().is_empty() {
        assert!(std::time::Instant::now() < end, "the thread takes nothing");
        std::thread::sleep(Duration::from_millis(1));
    }
    // SAFETY: the entries name nothing.
    unsafe { ring.submission().push_all(&failing(len)) }.expect("room");
    ring.submit().expect("woken");
    let cqes = reap(ring, usize::try_from(len).expect("few"));
    assert_quiet(ring);
    cqes.iter().filter(|cqe| cqe.result() == Err(Errno::CANCELED)).count()
}

/// Goal: a polling thread that works for two rings cuts chains after eight entries.
/// Method: chains that fail at their start, with and without a second ring.
#[test]
fn a_polling_thread_that_is_shared_cuts_chains_after_eight_entries() {
    require!(setup: SetupFlags::SQPOLL);
    require!(op: Opcode::FTRUNCATE);
    bounded(|| {
        let first = IoUring::builder().sqpoll(1000).build(8).expect("a ring");
        let mut ring = IoUring::builder().sqpoll(1000).attach_wq(&first).build(32).expect("a ring");
        assert_eq!(cancelled(&mut ring, 2), 1);
        assert_eq!(cancelled(&mut ring, 8), 7, "whole");
        for len in [9, 16, 20, 32] {
            assert_eq!(cancelled(&mut ring, len), 7, "of {len}: the ninth starts");
        }
        assert!(!ring.submission().status().contains(SqStatus::CQ_OVERFLOW));
    });
    bounded(|| {
        let mut alone = IoUring::builder().sqpoll(1000).build(32).expect("a ring");
        for len in [9, 16, 20, 32] {
            assert_eq!(cancelled(&mut alone, len) as u64, len - 1, "whole");
        }
    });
}

/// A timeout that the cut separates from the entry it limits is refused.
#[test]
fn a_link_timeout_after_the_cut_is_refused() {
    require!(setup: SetupFlags::SQPOLL);
    bounded(|| {
        let first = IoUring::builder().sqpoll(1000).build(8).expect("a ring");
        let mut ring = IoUring::builder().sqpoll(1000).attach_wq(&first).build(32).expect("a ring");
        let hour = Timespec::new(3600, 0);
        let mut chain: Vec<Sqe> = (0..8).map(|id| Sqe::from(Nop::new().sqe(id)).link()).collect();
        chain.push(LinkTimeout::new(&raw const hour).sqe(8));
        // SAFETY: the time stays until all have completed.
        unsafe { ring.submission().push_all(&chain) }.expect("room");
        ring.submit().expect("woken");
        let told = reap_sorted(&mut ring, 9);
        assert_eq!(told[8], (8, Err(Errno::INVAL)));
        assert!(told[..8].iter().all(|(_, result)| *result == Ok(0)), "{told:?}");
    });
}
