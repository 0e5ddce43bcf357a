//! When operations that go on come to an end, and which of them post no completion.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use core::time::Duration;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixStream;

use crate::common::process::{in_child, limit};
use crate::common::{PATIENCE, reap, require};
use crate::op_common;
use crate::op_common::{
    AS_OF_6_0, AS_OF_6_7, AS_OF_6_11, assert_quiet, cancel, connect, leaked, listener, pipe,
    provide, reap_told, ring, start, start_all, tcp_pair, unix_pair,
};
use ringbolt::ops::{
    Accept, MsgHdr, Nop, PollAdd, PollUpdate, Read, ReadMultishot, Recv, RecvMsg, SendMsgZc,
    SendZc, Timeout,
};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_send_buffer_size};
use ringbolt::rustix::net::{AddressFamily, SocketType, socket};
use ringbolt::sys::{Features, Opcode, PollFlags, SetupFlags, TimeoutFlags};
use ringbolt::{Cqe, IoUring, LocalIoUring, Sqe, Timespec};
use rustix::io::Errno;

const IN: EventFlags = EventFlags::IN;

/// Goal: a multishot poll reports what is new, and not what is left.
/// Method: half of what is in a pipe is read; nothing comes until more is written.
#[test]
fn a_multishot_poll_is_silent_about_what_is_left() {
    require!(op: op_common::AS_OF_5_15);
    let (mut reader, mut writer) = pipe();
    let mut ring = ring();
    // SAFETY: no memory is named, and the pipe stays until the ring is closed.
    unsafe { start(&mut ring, PollAdd::new(&reader, IN).multishot().sqe(1)) };
    for _ in 0..3 {
        writer.write_all(b"0123456789").expect("room in the pipe");
        let cqe = reap(&mut ring, 1).remove(0);
        assert_eq!((cqe.result(), cqe.has_more()), (Ok(IN.bits()), true));
        reader.read_exact(&mut [0; 5]).expect("half of it");
        std::thread::sleep(Duration::from_millis(50));
        assert_quiet(&mut ring);
    }
}

#[test]
fn level_triggered_polls_are_refused() {
    let (reader, mut writer) = pipe();
    writer.write_all(b"x").expect("room in the pipe");
    let mut ring = ring();
    let level = PollFlags::ADD_LEVEL;
    let refused = [
        PollAdd::new(&reader, IN).flags(level).sqe(1),
        PollAdd::new(&reader, IN).multishot().flags(level).sqe(1),
        PollUpdate::new(1).events(IN).flags(level).sqe(1).into(),
    ];
    for entry in refused {
        // SAFETY: no memory is named, and the pipe stays.
        unsafe { start(&mut ring, entry) };
        assert_eq!(reap_told(&mut ring, 1), [(1, Err(Errno::INVAL))], "{entry:?}");
    }
}

/// What multishot operations wait for, and the means to bring it.
struct Sources {
    listener: TcpListener,
    streams: (UnixStream, UnixStream),
    pipe: (File, File),
    header: MsgHdr,
    soon: Timespec,
}

const GROUP: u16 = 7;

impl Sources {
    fn new() -> Self {
        let soon = Timespec::from(Duration::from_millis(5));
        let (listener, _) = listener();
        Self { listener, streams: unix_pair(), pipe: pipe(), header: MsgHdr::EMPTY, soon }
    }

    /// Each kind of operation that goes on, with `user_data` 1000.
    fn entries(&self) -> [Sqe; 7] {
        let receive = Recv::provided(&self.streams.0, GROUP).multishot();
        let forever = Timeout::new(&raw const self.soon).flags(TimeoutFlags::MULTISHOT);
        [
            PollAdd::new(&self.streams.0, IN).multishot().sqe(1000),
            Accept::new(&self.listener).multishot().sqe(1000),
            receive.sqe(1000),
            receive.bundle().sqe(1000),
            RecvMsg::multishot(&self.streams.0, &raw const self.header, GROUP).sqe(1000),
            ReadMultishot::new(&self.pipe.0, GROUP).sqe(1000),
            forever.sqe(1000),
        ]
    }

    /// Brings what each of them waits for.
    fn bring(&mut self) -> TcpStream {
        self.streams.1.write_all(b"abc").expect("room");
        self.pipe.1.write_all(b"abc").expect("room in the pipe");
        let stream = connect(self.listener.local_addr().expect("it is bound"));
        std::thread::sleep(Duration::from_millis(20));
        stream
    }
}

/// Completions of the operations in question that have come in; those of accepts are closed.
fn taken(ring: &mut LocalIoUring) -> Vec<Cqe> {
    let mut taken = Vec::new();
    for _ in 0..8 {
        ring.get_events().expect("what is due comes in");
        taken.extend(ring.completion().drain().filter(|cqe| cqe.user_data() == 1000));
    }
    taken
}

/// Goal: a multishot operation whose completion finds the queue full ends, loses nothing, and its
/// last completion says so.
/// Method: a queue of four, filled twice over; then the event; then another one, which is not seen.
#[test]
fn a_full_completion_queue_ends_operations_that_go_on() {
    require!(op: AS_OF_6_11);
    require!(feature: Features::NODROP);
    let deferred = SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN;
    for flags in [SetupFlags::empty(), deferred] {
        for which in 0..Sources::new().entries().len() {
            let mut sources = Sources::new();
            let builder = IoUring::builder().flags(flags).cq_entries(4);
            let mut ring = builder.build_local(4).expect("a ring");
            let memory = leaked::<512>().as_mut_ptr();
            let give = ringbolt::ops::ProvideBuffers::new(memory, 64, 8, GROUP, 0).sqe(0);
            // SAFETY: the memory is leaked, and not looked at.
            unsafe { start(&mut ring, give) };
            assert_eq!(reap_told(&mut ring, 1), [(0, Ok(0))]);
            let entry = sources.entries()[which];
            // SAFETY: `sources` stays longer than the ring is used.
            unsafe { start(&mut ring, entry) };
            for user_data in 0..8 {
                ring.submission().push_safe(Nop::new().sqe(user_data)).expect("room");
                assert_eq!(ring.submit(), Ok(1));
            }
            let _peer = sources.bring();
            let mut first = taken(&mut ring);
            let times_out = entry.opcode() == Opcode::TIMEOUT;
            if times_out {
                // On a slow machine it is up before the queue is full.
                first.retain(|cqe| !cqe.has_more());
            }
            assert_eq!(first.len(), 1, "{entry:?}, {flags:?}: {first:?}");
            assert!(!first[0].has_more(), "{entry:?}, {flags:?}: {first:?}");
            let failed = first[0].result().err();
            assert_eq!(failed, times_out.then_some(Errno::TIME), "the event itself is not lost");
            if entry.opcode() == Opcode::ACCEPT {
                drop(op_common::owned(first[0].result()));
            }
            let _peer = sources.bring();
            assert!(taken(&mut ring).is_empty(), "{entry:?} goes on");
        }
    }
}

/// Goal: a multishot accept without descriptors ends, and says so, and can be begun anew.
/// Method: two descriptors more than are open, and three connections.
#[test]
fn a_multishot_accept_ends_when_there_are_no_descriptors_left() {
    require!(op: op_common::AS_OF_5_19);
    in_child("a_multishot_accept_ends_when_there_are_no_descriptors_left", || {
        let (listener, address) = listener();
        let peers: Vec<TcpStream> = (0..3).map(|_| connect(address)).collect();
        let mut ring = ring();
        let next = listener.try_clone().expect("a descriptor").as_raw_fd();
        let room = libc::rlim_t::try_from(next).expect("not negative") + 2;
        // The limit that counts is the one at the submission: this one, not the next.
        limit(libc::RLIMIT_NOFILE, room);
        // SAFETY: no memory is named, and the listener stays.
        unsafe { start(&mut ring, Accept::new(&listener).multishot().sqe(1)) };
        let cqes = reap(&mut ring, 3);
        let outcome: Vec<_> = cqes.iter().map(|cqe| (cqe.result().err(), cqe.has_more())).collect();
        assert_eq!(outcome, [(None, true), (None, true), (Some(Errno::MFILE), false)]);
        assert_quiet(&mut ring);
        cqes[..2].iter().for_each(|cqe| drop(op_common::owned(cqe.result())));
        // SAFETY: as above.
        unsafe { start(&mut ring, Accept::new(&listener).multishot().sqe(2)) };
        let cqe = reap(&mut ring, 1).remove(0);
        assert!(cqe.result().is_ok() && cqe.has_more(), "the connection has waited: {cqe:?}");
        drop(peers);
    });
}

/// Goal: which operations refuse to be skipped, which are silent, and which pay no attention.
/// Method: one of each, with what it waits for there already.
#[test]
fn skipping_is_refused_by_some_operations_and_ignored_by_those_that_go_on() {
    require!(op: AS_OF_6_7);
    require!(feature: Features::CQE_SKIP);
    let mut sources = Sources::new();
    let _peer = sources.bring();
    let (ours, _theirs) = tcp_pair();
    let bytes = leaked::<4>().as_mut_ptr();
    let header = MsgHdr::EMPTY;
    let (reader, _writer) = pipe();
    let refused = [
        PollAdd::new(&sources.streams.0, IN).multishot().sqe(1),
        SendZc::new(&ours, bytes, 4).sqe(1),
        SendMsgZc::new(&ours, &raw const header).sqe(1),
    ];
    for entry in refused {
        let mut ring = ring();
        // SAFETY: the memory is leaked; the files stay until the completion.
        unsafe { start(&mut ring, entry.skip_success()) };
        assert_eq!(reap_told(&mut ring, 1), [(1, Err(Errno::INVAL))], "{entry:?}");
        assert_quiet(&mut ring);
    }
    for which in 1..sources.entries().len() {
        let mut sources = Sources::new();
        let _peer = sources.bring();
        let entry = sources.entries()[which];
        let mut ring = ring();
        provide::<64>(&mut ring, GROUP, 8);
        // SAFETY: the memory stays as long as `sources`, which outlives the ring.
        unsafe { start(&mut ring, entry.skip_success()) };
        let cqe = reap(&mut ring, 1).remove(0);
        assert!(cqe.has_more(), "{entry:?}: {cqe:?}");
        if entry.opcode() == Opcode::ACCEPT {
            drop(op_common::owned(cqe.result()));
        }
    }
    // Not even which buffer was used is reported.
    let mut ring = ring();
    provide::<64>(&mut ring, GROUP, 8);
    // SAFETY: no memory of ours is named, and the socket stays.
    unsafe { start(&mut ring, Recv::provided(&sources.streams.0, GROUP).sqe(1).skip_success()) };
    std::thread::sleep(Duration::from_millis(20));
    assert_quiet(&mut ring);
    // What fails is reported.
    let fails = Read::new(&reader, core::ptr::null_mut(), 4).sqe(3).skip_success();
    // SAFETY: no memory is at that address.
    unsafe { start(&mut ring, fails) };
    cancel(&mut ring, 3, 4);
    let told = reap_told(&mut ring, 2);
    assert!(told.contains(&(3, Err(Errno::CANCELED))), "{told:?}");
}

#[test]
fn a_ring_on_which_an_entry_was_skipped_refuses_to_drain_for_good() {
    require!(feature: Features::CQE_SKIP);
    let mut ring = ring();
    let drain = |id| Sqe::from(Nop::new().sqe(id).drain());
    // SAFETY: nothing is named.
    unsafe { start(&mut ring, drain(1)) };
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(0))]);
    // SAFETY: nothing is named.
    unsafe { start(&mut ring, Nop::new().sqe(2).skip_success()) };
    for id in [3, 4] {
        // SAFETY: nothing is named.
        unsafe { start(&mut ring, drain(id)) };
        assert_eq!(reap_told(&mut ring, 1), [(id, Err(Errno::OPNOTSUPP))]);
    }
    assert_quiet(&mut ring);
}

/// A connection whose receiving end takes little at a time.
fn narrow() -> (TcpStream, TcpStream) {
    let (listener, address) = listener();
    set_socket_recv_buffer_size(&listener, 4096).expect("a socket");
    let ours = connect(address);
    let (theirs, _) = op_common::accept(&listener);
    (ours, theirs)
}

/// Writes to `socket` until it takes nothing more, for a while.
fn fill(mut socket: &TcpStream) {
    socket.set_nonblocking(true).expect("a socket");
    for _ in 0..10 {
        while socket.write(&[0; 65_536]).is_ok() {}
        std::thread::sleep(Duration::from_millis(10));
    }
    socket.set_nonblocking(false).expect("a socket");
}

/// All completions of a zero-copy send: the result, whether more follows, whether it is the
/// notification.
fn zero_copy(entries: &[Sqe]) -> Vec<(Result<u32, Errno>, bool, bool)> {
    let mut ring = ring();
    // SAFETY: the callers keep sockets and memory until this returns; the memory is leaked.
    unsafe { start_all(&mut ring, entries) };
    if entries.iter().all(|entry| entry.user_data() == 1) {
        // Those that wait are ended; those that do not have completed already.
        std::thread::sleep(Duration::from_millis(20));
        ring.submission()
            .push_safe(ringbolt::ops::AsyncCancel::of_user_data(1).sqe(9))
            .expect("room");
        assert_eq!(ring.submit(), Ok(1));
    }
    let mut told = Vec::new();
    let end = std::time::Instant::now() + PATIENCE;
    while !told.iter().any(|(_, _, is_notification)| *is_notification) {
        assert!(std::time::Instant::now() < end, "no notification: {told:?}");
        let cqe = reap(&mut ring, 1).remove(0);
        if cqe.user_data() == 1 {
            told.push((cqe.result(), cqe.has_more(), cqe.is_notification()));
        }
    }
    ring.get_events().expect("what is due comes in");
    let more = ring.completion().drain().filter(|cqe| cqe.user_data() == 1).count();
    assert_eq!(more, 0, "after {told:?}");
    told
}

/// Goal: each end of a zero-copy send has both completions; only a chain that failed before it
/// leaves `MORE` out of the first.
/// Method: sends that succeed, that fail in several ways, that are cancelled while they wait.
#[test]
fn a_zero_copy_send_has_its_notification_however_it_ends() {
    require!(op: AS_OF_6_0);
    let bytes = leaked::<4>().as_mut_ptr();
    let (ours, _theirs) = tcp_pair();
    let (full, _peer) = narrow();
    // With its room fixed, the kernel does not make more of it later.
    set_socket_send_buffer_size(&full, 65_536).expect("a socket");
    fill(&full);
    let (unix, _other) = unix_pair();
    let (reader, _writer) = pipe();
    let unconnected = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let nowhere = core::ptr::without_provenance(16);
    let table = [
        (SendZc::new(&ours, bytes, 4), Ok(4)),
        (SendZc::new(&unconnected, bytes, 4), Err(Errno::PIPE)),
        (SendZc::new(&unix, bytes, 4), Err(Errno::OPNOTSUPP)),
        (SendZc::new(&reader, bytes, 4), Err(Errno::NOTSOCK)),
        (SendZc::new(&ours, nowhere, 4), Err(Errno::FAULT)),
        (SendZc::new(&ours, bytes, 4).fixed_buffer(3), Err(Errno::FAULT)),
        (SendZc::new(&full, bytes, 4), Err(Errno::CANCELED)),
    ];
    for (send, expected) in table {
        let told = zero_copy(&[send.sqe(1)]);
        assert_eq!(told, [(expected, true, false), (Ok(0), false, true)], "{send:?}");
    }
    let failing = Nop::new().inject_result(-5).sqe(2).link().into();
    let told = zero_copy(&[failing, SendZc::new(&ours, bytes, 4).sqe(1)]);
    assert_eq!(told, [(Err(Errno::CANCELED), false, false), (Ok(0), false, true)]);
}

/// Goal: the notification comes when the peer has the data, and may be long in coming.
/// Method: a peer that takes little at a time, and reads only when the send has completed.
#[test]
fn the_notification_of_a_zero_copy_send_waits_for_a_peer_that_does_not_read() {
    const LEN: u32 = 128 << 10;
    require!(op: AS_OF_6_0);
    let (ours, mut theirs) = narrow();
    let bytes = leaked::<{ LEN as usize }>().as_ptr();
    let mut ring = ring();
    // SAFETY: the memory is leaked, and the sockets stay until the notification.
    unsafe { start(&mut ring, SendZc::new(&ours, bytes, LEN).sqe(1)) };
    let cqe = reap(&mut ring, 1).remove(0);
    assert!(cqe.has_more());
    let sent = cqe.result().expect("bytes");
    std::thread::sleep(Duration::from_millis(100));
    assert_quiet(&mut ring);
    let mut got = vec![0; usize::try_from(sent).expect("few")];
    theirs.read_exact(&mut got).expect("what was sent");
    let cqe = reap(&mut ring, 1).remove(0);
    assert!(cqe.is_notification() && !cqe.has_more(), "{cqe:?}");
}
