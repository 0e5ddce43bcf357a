//! What the tests of operations share: waits in one line, pipes, and signs of a kernel's age.

#![allow(dead_code, reason = "each test file uses a part of it")]

use core::mem::MaybeUninit;
use core::net::{Ipv4Addr, SocketAddr};
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;

use ringbolt::ops::{AsyncCancel, PollAdd, ProvideBuffers};
use ringbolt::rustix::event::epoll::EventFlags;
use ringbolt::rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use ringbolt::rustix::fd::{AsFd, FromRawFd, OwnedFd};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::net::sockopt::{Timeout, set_socket_timeout};
use ringbolt::sys::Opcode;
use ringbolt::{CqEntry, IoUring, SafeSqe, SqEntry, Sqe};

use crate::common::process::bounded;
use crate::common::{PATIENCE, complete, reap};

/// Operations by which to tell a kernel's age, where a flag came that it cannot be asked about.
pub(crate) const AS_OF_5_15: Opcode = Opcode::MKDIRAT;
pub(crate) const AS_OF_5_19: Opcode = Opcode::SOCKET;
pub(crate) const AS_OF_6_0: Opcode = Opcode::SEND_ZC;
pub(crate) const AS_OF_6_7: Opcode = Opcode::READ_MULTISHOT;
pub(crate) const AS_OF_6_11: Opcode = Opcode::BIND;
pub(crate) const AS_OF_6_15: Opcode = Opcode::EPOLL_WAIT;

/// What a completion tells: whose it is, and what came of it.
pub(crate) type Told = (u64, Result<u32, Errno>);

/// A small ring with default settings.
pub(crate) fn ring() -> IoUring {
    IoUring::new(8).expect("these tests need a kernel with io_uring")
}

/// Whether the eventfd of a ring with deferred work counts each time, and not only the first. For
/// `require!(repaired: eventfds_count_again(), COUNTS_AGAIN)`.
pub(crate) fn eventfds_count_again() -> bool {
    let mut ring = IoUring::local(8).expect("a ring");
    let event = eventfd(0, EventfdFlags::CLOEXEC).expect("an eventfd");
    ring.registrar().register_eventfd(&event).expect("registered");
    (0..2).all(|_| {
        let (reader, mut writer) = pipe();
        // SAFETY: no memory is named, and the pipe stays until the poll has completed.
        unsafe { start(&mut ring, PollAdd::new(&reader, EventFlags::IN).sqe(1)) };
        writer.write_all(b"x").expect("room in the pipe");
        let second = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
        let counts = poll(&mut [PollFd::new(&event, PollFlags::IN)], Some(&second)) == Ok(1);
        reap(&mut ring, 1);
        if counts {
            rustix::io::read(&event, &mut [0; 8]).expect("a count");
        }
        counts
    })
}

/// What a kernel lacks where [`eventfds_count_again`] says no.
pub(crate) const COUNTS_AGAIN: &str = "eventfds of deferred work that count more than once";

/// Submits an entry that need not complete at once.
///
/// # Safety
///
/// As for [`ringbolt::SubmissionQueue::push`].
pub(crate) unsafe fn start<S: SqEntry, C: CqEntry, T>(
    ring: &mut IoUring<S, C, T>,
    entry: impl Into<S>,
) {
    // SAFETY: the caller's promise, passed on.
    unsafe { ring.submission().push(entry) }.expect("the queue has room");
    assert_eq!(ring.submit(), Ok(1));
}

/// Submits entries together.
///
/// # Safety
///
/// As for [`ringbolt::SubmissionQueue::push`], for each entry.
pub(crate) unsafe fn start_all<S: SqEntry, C: CqEntry, T>(
    ring: &mut IoUring<S, C, T>,
    entries: &[S],
) {
    // SAFETY: the caller's promise, passed on.
    unsafe { ring.submission().push_all(entries) }.expect("the queue has room");
    assert_eq!(ring.submit().map(usize::try_from), Ok(Ok(entries.len())));
}

/// What the next `want` completions tell, in the order in which they come.
pub(crate) fn reap_told<S: SqEntry, C: CqEntry, T>(
    ring: &mut IoUring<S, C, T>,
    want: usize,
) -> Vec<Told> {
    reap(ring, want).iter().map(|cqe| (cqe.as_cqe().user_data(), cqe.as_cqe().result())).collect()
}

/// What the next `want` completions tell, by `user_data`, for those that come in any order.
pub(crate) fn reap_sorted<S: SqEntry, C: CqEntry, T>(
    ring: &mut IoUring<S, C, T>,
    want: usize,
) -> Vec<Told> {
    let mut told = reap_told(ring, want);
    told.sort_by_key(|(user_data, _)| *user_data);
    told
}

/// Fails the test if a completion is there that nobody has asked for.
pub(crate) fn assert_quiet<S: SqEntry, C: CqEntry, T>(ring: &mut IoUring<S, C, T>) {
    ring.get_events().expect("what is due comes in");
    let cqe = ring.completion().pop();
    assert!(cqe.is_none(), "a completion too many: {cqe:?}");
}

/// Submits an entry that anybody may push, and takes its completion, the next that comes.
pub(crate) fn complete_safe<S, C, T>(ring: &mut IoUring<S, C, T>, entry: SafeSqe) -> C
where
    S: SqEntry + From<SafeSqe>,
    C: CqEntry,
{
    ring.submission().push_safe(entry).expect("the queue has room");
    assert_eq!(ring.submit(), Ok(1));
    reap(ring, 1).remove(0)
}

/// Starts to cancel what was submitted with `user_data`; the cancellation completes as `id`.
pub(crate) fn cancel<C: CqEntry, T>(ring: &mut IoUring<Sqe, C, T>, user_data: u64, id: u64) {
    let cancel = AsyncCancel::of_user_data(user_data).sqe(id);
    ring.submission().push_safe(cancel).expect("the queue has room");
    assert_eq!(ring.submit(), Ok(1));
}

/// A path as C has it.
pub(crate) fn c_path(path: impl AsRef<OsStr>) -> CString {
    CString::new(path.as_ref().as_bytes()).expect("a path without NUL")
}

/// The descriptor that an operation made, by the result of its completion.
pub(crate) fn owned(result: Result<u32, Errno>) -> OwnedFd {
    let fd = i32::try_from(result.expect("a descriptor")).expect("descriptors are small");
    // SAFETY: a completion told it: the kernel has just made it for this process, and nobody
    // else has seen it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Gives the kernel `count` buffers of `N` bytes as `group`, with ids from 0 on.
pub(crate) fn provide<const N: usize>(ring: &mut IoUring, group: u16, count: u16) -> &'static [u8] {
    let memory: &'static mut [u8] = Box::leak(vec![b'-'; N * usize::from(count)].into());
    let len = u32::try_from(N).expect("a small buffer");
    let provide = ProvideBuffers::new(memory.as_mut_ptr(), len, count, group, 0).sqe(0);
    // SAFETY: the memory is leaked; what is read of it belongs to buffers that came back.
    assert_eq!(unsafe { complete(ring, provide) }.result(), Ok(0));
    memory
}

/// The two ends of a pipe: the one to read from, the one to write to.
pub(crate) fn pipe() -> (File, File) {
    let mut ends = [-1; 2];
    // SAFETY: room for two descriptors, valid for writes during the call.
    let result = unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) };
    assert_eq!(result, 0, "a pipe");
    let [reader, writer] = ends.map(|fd| {
        // SAFETY: the call above made the descriptor, and nobody else knows it.
        File::from(unsafe { OwnedFd::from_raw_fd(fd) })
    });
    (reader, writer)
}

/// Bounds each wait of this side's own for data or for a connection: operations of a ring are
/// not held to it.
pub(crate) fn patient<S: AsFd>(socket: S) -> S {
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).expect("a socket");
    socket
}

/// A listener at a port of its own, and where that is.
pub(crate) fn listener() -> (TcpListener, SocketAddr) {
    let listener = patient(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    patient(TcpStream::connect(address).expect("somebody listens"))
}

pub(crate) fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let (peer, from) = listener.accept().expect("a connection");
    (patient(peer), from)
}

/// The two ends of a TCP connection.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let (listener, address) = listener();
    let ours = connect(address);
    let (theirs, _) = accept(&listener);
    (ours, theirs)
}

/// A socket for datagrams, at a port of its own.
pub(crate) fn udp() -> UdpSocket {
    patient(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"))
}

/// Two connected sockets.
pub(crate) fn unix_pair() -> (UnixStream, UnixStream) {
    let (one, two) = UnixStream::pair().expect("two sockets");
    (patient(one), patient(two))
}

/// All that is left in a pipe whose other end is closed.
pub(crate) fn rest_of(mut reader: File) -> Vec<u8> {
    bounded(move || {
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).expect("an end to read");
        rest
    })
}

/// Memory that outlives every test, so that an operation in flight may keep it.
pub(crate) fn leaked<const N: usize>() -> &'static mut [u8; N] {
    Box::leak(Box::new([b'-'; N]))
}

/// Runs `body`, and tells whether it raised SIGPIPE on this thread.
///
/// Rust's runtime has programs ignore the signal. One that is blocked is kept all the same, for
/// whoever unblocks it; it is looked for there.
pub(crate) fn raises_sigpipe(body: impl FnOnce()) -> bool {
    let pipe_alone = signal_set(&[libc::SIGPIPE]);
    let mut before = signal_set(&[]);
    // SAFETY: both sets are initialised, and valid during the call.
    let blocked = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &pipe_alone, &mut before) };
    assert_eq!(blocked, 0);
    body();
    let at_once = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: set and time are initialised, and valid during the call; null is for no details.
    let taken = unsafe { libc::sigtimedwait(&pipe_alone, core::ptr::null_mut(), &at_once) };
    // SAFETY: as for the call that blocked it.
    let restored =
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &before, core::ptr::null_mut()) };
    assert_eq!(restored, 0);
    taken == libc::SIGPIPE
}

fn signal_set(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: valid for writes.
    assert_eq!(unsafe { libc::sigemptyset(set.as_mut_ptr()) }, 0);
    // SAFETY: the call above initialised it.
    let mut set = unsafe { set.assume_init() };
    for signal in signals {
        // SAFETY: initialised, and valid for writes.
        assert_eq!(unsafe { libc::sigaddset(&mut set, *signal) }, 0);
    }
    set
}

/// Nothing but `left` is in flight: each completes when its pipe is written to.
pub(crate) fn finish(ring: &mut IoUring, pipe: &mut (File, File), left: &[u64]) {
    assert_quiet(ring);
    for id in left {
        pipe.1.write_all(b"12345678").expect("room in the pipe");
        let cqe = reap(ring, 1).remove(0);
        assert!(cqe.result().is_ok(), "{cqe:?}");
        assert!(left.contains(&cqe.user_data()), "{cqe:?} and {id} of {left:?}");
    }
    assert_quiet(ring);
}
