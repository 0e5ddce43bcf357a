//! Entries that are tied together: links, hard links, drains, and what is skipped on success.

use core::mem::MaybeUninit;
use std::ffi::CString;
use std::fs::File;
use std::io::Write as _;

use crate::common::{TempDir, complete, require};
use crate::op_common::{
    AS_OF_6_0, AS_OF_6_11, Told, accept, assert_quiet, leaked, listener, pipe, reap_sorted,
    reap_told, ring, start, start_all,
};
use ringbolt::ops::{Connect, Fsync, IoVec, Nop, OpenAt, RawOp, Read, Readv, Statx, Target, Write};
use ringbolt::rustix::fd::{FromRawFd as _, OwnedFd};
use ringbolt::rustix::fs::{AtFlags, CWD, Mode, OFlags, StatxFlags};
use ringbolt::rustix::io::Errno;
use ringbolt::rustix::net::addr::{SocketAddrArg as _, SocketAddrStorage};
use ringbolt::rustix::net::{AddressFamily, SocketType, socket};
use ringbolt::sys::{Features, Opcode, SetupFlags, SqeFlags};
use ringbolt::{IoUring, PushError, Sqe};

const CANCELED: Result<u32, Errno> = Err(Errno::CANCELED);

fn nop(id: u64) -> Sqe {
    Nop::new().sqe(id).into()
}

/// An entry that fails when it is carried out: there is no such descriptor.
fn failing(id: u64) -> Sqe {
    Fsync::new(Target::Fd(-1)).sqe(id)
}

/// An entry that the kernel refuses when it is handed over.
fn refused(id: u64) -> Sqe {
    RawOp::new(Opcode::from_raw(255)).sqe(id)
}

/// An empty file, open for reading and writing.
fn empty_file() -> (TempDir, File) {
    let dir = TempDir::new();
    let path = dir.file("empty", b"");
    let file = File::options().read(true).write(true).open(path).expect("it was just made");
    (dir, file)
}

/// Submits entries that name no memory, and tells what became of them, in the order it came.
fn run(ring: &mut IoUring, entries: &[Sqe], completions: usize) -> Vec<Told> {
    // SAFETY: the entries name no memory, and no file that anybody has.
    unsafe { start_all(ring, entries) };
    let told = reap_told(ring, completions);
    assert_quiet(ring);
    told
}

/// liburing: link.
#[test]
fn a_chain_runs_in_order() {
    // Goal: each entry sees what the one before it did. Method: write, then read it back; each
    // in a worker, where nothing else would keep them in order.
    let (_dir, file) = empty_file();
    let mut ring = ring();
    for round in 0..50 {
        let mut buf = [0_u8; 8];
        let word = u64::to_ne_bytes(round);
        let chain = [
            Write::new(&file, word.as_ptr(), 8).offset(0).sqe(1).force_async().link(),
            Fsync::new(&file).data_only().sqe(2).force_async().link(),
            Read::new(&file, buf.as_mut_ptr(), 8).offset(0).sqe(3).force_async(),
        ];
        // SAFETY: `file`, `word` and `buf` stay until all three completions are there.
        unsafe { start_all(&mut ring, &chain) };
        assert_eq!(reap_told(&mut ring, 3), [(1, Ok(8)), (2, Ok(0)), (3, Ok(8))]);
        assert_eq!(buf, word, "in round {round}");
    }
}

/// liburing: link.
#[test]
fn what_is_behind_a_failure_is_cancelled() {
    require!(feature: Features::LINKED_FILE);
    let mut ring = ring();
    let chain = [nop(1).link(), failing(2).link(), nop(3).link(), nop(4), nop(5)];
    let mut told = run(&mut ring, &chain, 5);
    // What is behind the chain runs, before or after its end.
    told.retain(|told| *told != (5, Ok(0)));
    assert_eq!(told, [(1, Ok(0)), (2, Err(Errno::BADF)), (3, CANCELED), (4, CANCELED)]);
}

#[test]
fn a_failure_that_is_injected_breaks_a_chain_like_any_other() {
    require!(op: AS_OF_6_11);
    let mut ring = ring();
    let bad = Nop::new().inject_result(-Errno::IO.raw_os_error()).sqe(1).link();
    let told = run(&mut ring, &[bad.into(), nop(2)], 2);
    assert_eq!(told, [(1, Err(Errno::IO)), (2, CANCELED)]);
    let good = Nop::new().inject_result(7).sqe(1).link();
    assert_eq!(run(&mut ring, &[good.into(), nop(2)], 2), [(1, Ok(7)), (2, Ok(0))]);
}

#[test]
fn a_short_read_breaks_a_chain() {
    let (_dir, mut file) = empty_file();
    file.write_all(b"1234").expect("room for four bytes");
    let mut ring = ring();
    for (len, behind) in [(4, Ok(0)), (5, CANCELED)] {
        let mut buf = [0_u8; 8];
        let chain = [Read::new(&file, buf.as_mut_ptr(), len).offset(0).sqe(1).link(), nop(2)];
        // SAFETY: `file` and `buf` stay until both completions are there.
        unsafe { start_all(&mut ring, &chain) };
        assert_eq!(reap_told(&mut ring, 2), [(1, Ok(4)), (2, behind)], "{len} bytes");
    }
}

#[test]
fn a_hard_link_goes_on_after_a_failure() {
    require!(feature: Features::LINKED_FILE);
    let mut ring = ring();
    let chain = [failing(1).hard_link(), failing(2).hard_link(), nop(3)];
    let bad = Err(Errno::BADF);
    assert_eq!(run(&mut ring, &chain, 3), [(1, bad), (2, bad), (3, Ok(0))]);
    // A link behind a hard link is as soft as ever.
    let chain = [failing(1).hard_link(), failing(2).link(), nop(3)];
    assert_eq!(run(&mut ring, &chain, 3), [(1, bad), (2, bad), (3, CANCELED)]);
}

#[test]
fn a_hard_link_waits_all_the_same() {
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let read = Read::new(&reader, leaked::<8>().as_mut_ptr(), 8).sqe(1);
    // SAFETY: the buffer stays for ever, and the pipe until both have completed.
    unsafe { start_all(&mut ring, &[read.hard_link(), nop(2)]) };
    assert_quiet(&mut ring);
    writer.write_all(b"abc").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 2), [(1, Ok(3)), (2, Ok(0))]);
}

#[test]
fn a_drain_waits_for_all_before_it_and_holds_back_all_behind_it() {
    require!(op: AS_OF_6_11);
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let read = Read::new(&reader, leaked::<8>().as_mut_ptr(), 8).sqe(1);
    // SAFETY: the buffer stays for ever, and the pipe until all have completed.
    unsafe { start_all(&mut ring, &[read, nop(2), nop(3).drain(), nop(4)]) };
    // SAFETY: the entry names nothing.
    unsafe { start(&mut ring, nop(5)) };
    assert_eq!(reap_told(&mut ring, 1), [(2, Ok(0))], "it comes before the drain");
    assert_quiet(&mut ring);
    writer.write_all(b"abc").expect("room in the pipe");
    let told = reap_told(&mut ring, 4);
    assert_eq!(told.get(..2), Some(&[(1, Ok(3)), (3, Ok(0))][..]), "{told:?}");
    assert_eq!(told.get(2..), Some(&[(4, Ok(0)), (5, Ok(0))][..]), "{told:?}");
}

#[test]
fn what_is_forced_to_a_worker_completes_the_same() {
    let (_dir, mut file) = empty_file();
    file.write_all(b"1234").expect("room for four bytes");
    let mut ring = ring();
    let mut buf = [0_u8; 4];
    let read = Read::new(&file, buf.as_mut_ptr(), 4).offset(0).sqe(1).force_async();
    // SAFETY: `file` and `buf` stay until `complete` returns.
    let cqe = unsafe { complete(&mut ring, read) };
    assert_eq!((cqe.result(), &buf), (Ok(4), b"1234"));
    assert_eq!(run(&mut ring, &[nop(2).force_async()], 1), [(2, Ok(0))]);
}

/// liburing: skip-cqe.
#[test]
fn skipped_on_success_means_no_completion_but_for_a_failure() {
    require!(feature: Features::CQE_SKIP);
    let mut ring = ring();
    let alone = [nop(1).skip_success(), nop(2)];
    assert_eq!(run(&mut ring, &alone, 1), [(2, Ok(0))]);
    let bad = Err(Errno::BADF);
    assert_eq!(run(&mut ring, &[failing(1).skip_success()], 1), [(1, bad)]);

    let chain = [nop(1).skip_success().link(), nop(2).skip_success().link(), nop(3)];
    assert_eq!(run(&mut ring, &chain, 1), [(3, Ok(0))]);
    // What is cancelled has failed.
    let chain = [failing(1).link(), nop(2).skip_success().link(), nop(3)];
    assert_eq!(run(&mut ring, &chain, 3), [(1, bad), (2, CANCELED), (3, CANCELED)]);
}

/// liburing: skip-cqe.
#[test]
fn behind_a_failure_that_was_to_be_skipped_nothing_is_told() {
    require!(feature: Features::CQE_SKIP);
    let mut ring = ring();
    let chain = [nop(1).link(), failing(2).skip_success().link(), nop(3).link(), nop(4)];
    assert_eq!(run(&mut ring, &chain, 2), [(1, Ok(0)), (2, Err(Errno::BADF))]);
}

#[test]
fn a_chain_across_the_end_of_the_queue_is_one_chain() {
    let mut ring = ring();
    for offset in 0..8 {
        // Wherever the chain begins, its first entry decides over the last.
        let chain = [failing(1).link(), nop(2).link(), nop(3).link(), nop(4)];
        let told = run(&mut ring, &chain, 4);
        let cancelled = [2, 3, 4].map(|id| (id, CANCELED));
        assert_eq!(told.first(), Some(&(1, Err(Errno::BADF))), "at {offset}");
        assert_eq!(told.get(1..), Some(&cancelled[..]), "at {offset}");
        // One entry more than a round, so that the next chain begins one slot further.
        for id in 0..5 {
            assert_eq!(run(&mut ring, &[nop(id)], 1), [(id, Ok(0))]);
        }
    }
}

#[test]
fn a_chain_that_does_not_fit_is_not_pushed_in_part() {
    let mut ring = ring();
    for id in 0..6 {
        ring.submission().push_safe(Nop::new().sqe(id)).expect("room");
    }
    let chain = [failing(10).link(), nop(11).link(), nop(12)];
    // SAFETY: the entries name nothing.
    let full = unsafe { ring.submission().push_all(&chain) };
    assert_eq!(full, Err(PushError::Full(())));
    assert_eq!((ring.submission().len(), ring.submit()), (6, Ok(6)));
    assert_eq!(reap_told(&mut ring, 6), (0..6).map(|id| (id, Ok(0))).collect::<Vec<_>>());
    let told = run(&mut ring, &chain, 3);
    assert_eq!(told, [(10, Err(Errno::BADF)), (11, CANCELED), (12, CANCELED)]);
}

#[test]
fn two_chains_submitted_together_do_not_touch_each_other() {
    let mut ring = ring();
    let chains = [failing(1).link(), nop(2), nop(3).link(), nop(4)];
    // SAFETY: the entries name nothing.
    unsafe { start_all(&mut ring, &chains) };
    let told = reap_sorted(&mut ring, 4);
    assert_eq!(told, [(1, Err(Errno::BADF)), (2, CANCELED), (3, Ok(0)), (4, Ok(0))]);
}

/// liburing: submit-link-fail.
#[test]
fn a_chain_refused_in_the_middle_is_taken_whole() {
    let mut ring = ring();
    let entries = [nop(1).link(), refused(2).link(), nop(3), nop(4)];
    // SAFETY: the entries name nothing.
    unsafe { start_all(&mut ring, &entries) };
    assert_eq!(ring.submission().len(), 0);
    // The kernel sees the flaw before it starts, so that not even the first one runs.
    let told = reap_sorted(&mut ring, 4);
    assert_eq!(told, [(1, CANCELED), (2, Err(Errno::INVAL)), (3, CANCELED), (4, Ok(0))]);
}

/// liburing: submit-link-fail.
#[test]
fn a_chain_refused_at_its_end_stops_the_submit_behind_it() {
    require!(op: AS_OF_6_0);
    let mut ring = ring();
    let entries = [nop(1).link(), refused(2), nop(3), nop(4)];
    // SAFETY: the entries name nothing.
    unsafe { ring.submission().push_all(&entries) }.expect("room");
    assert_eq!(ring.submit(), Ok(2), "the chain, and nothing behind it");
    assert_eq!(ring.submission().len(), 2);
    assert_eq!(reap_sorted(&mut ring, 2), [(1, CANCELED), (2, Err(Errno::INVAL))]);
    assert_eq!(ring.submit(), Ok(2));
    assert_eq!(reap_sorted(&mut ring, 2), [(3, Ok(0)), (4, Ok(0))]);
}

#[test]
fn with_submit_all_a_refused_chain_stops_nothing() {
    require!(setup: SetupFlags::SUBMIT_ALL);
    let mut ring = IoUring::builder().submit_all().build(8).expect("the kernel takes the flag");
    // SAFETY: the entries name nothing.
    unsafe { start_all(&mut ring, &[nop(1).link(), refused(2), nop(3)]) };
    let told = reap_sorted(&mut ring, 3);
    assert_eq!(told, [(1, CANCELED), (2, Err(Errno::INVAL)), (3, Ok(0))]);
}

#[test]
fn a_polling_thread_takes_chains_whole() {
    let mut ring = IoUring::builder().sqpoll(50).build(8).expect("a ring");
    for _ in 0..20 {
        let chain = [failing(1).link(), nop(2).link(), nop(3)];
        // SAFETY: the entries name nothing.
        unsafe { ring.submission().push_all(&chain) }.expect("the thread has made room");
        ring.submit().expect("the thread is awake, or woken");
        let told = reap_told(&mut ring, 3);
        assert_eq!(told, [(1, Err(Errno::BADF)), (2, CANCELED), (3, CANCELED)]);
    }
}

#[test]
fn a_link_flag_that_was_put_in_by_hand_is_seen() {
    let mut ring = ring();
    for flags in [SqeFlags::IO_LINK, SqeFlags::IO_HARDLINK] {
        let open = nop(1).with_flags(flags);
        assert!(open.is_linked());
        // SAFETY: the entry names nothing.
        let error = unsafe { ring.submission().push(open) }.expect_err("an open chain");
        assert!(matches!(error, PushError::OpenChain(_)), "{error:?}");
    }
    assert_eq!(ring.submit(), Ok(0));
}

/// Overwrites what the kernel was shown, so that a second look at it would go wrong.
fn scribble<T>(shown: &mut [MaybeUninit<T>]) {
    for place in shown {
        // SAFETY: valid for writes, and uninitialised memory may hold any bytes.
        unsafe { place.as_mut_ptr().write_bytes(0x5a, 1) };
    }
}

/// liburing: submit-reuse.
#[test]
fn vectors_may_be_reused_right_after_submit() {
    require!(feature: Features::SUBMIT_STABLE);
    let (reader, mut writer) = pipe();
    let mut ring = ring();
    let (one, two) = (leaked::<2>(), leaked::<4>());
    let mut vectors = [&mut one[..], &mut two[..]].map(|buf| MaybeUninit::new(IoVec::from(buf)));
    let read = Readv::new(&reader, vectors.as_ptr().cast(), 2).sqe(1);
    // SAFETY: the buffers stay for ever, and the vectors until the entry is taken.
    unsafe { start(&mut ring, read) };
    scribble(&mut vectors);
    assert_quiet(&mut ring);
    writer.write_all(b"abcdef").expect("room in the pipe");
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(6))]);
    assert_eq!((&*one, &*two), (b"ab", b"cdef"));
}

#[test]
fn paths_may_be_reused_right_after_submit() {
    require!(op: AS_OF_6_0);
    require!(feature: Features::SUBMIT_STABLE);
    let dir = TempDir::new();
    let path = dir.file("name", b"12345");
    let path =
        CString::new(path.into_os_string().into_encoded_bytes()).expect("a path without NUL");
    let mut copies = [path.clone(), path].map(CString::into_bytes_with_nul);
    let mut ring = ring();
    let [to_open, to_stat] = copies.each_ref().map(|path| path.as_ptr().cast());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let stat = Box::leak(Box::new(MaybeUninit::uninit())).as_mut_ptr();
    let (at, mask) = (AtFlags::empty(), StatxFlags::SIZE);
    let entries = [
        OpenAt::new(CWD, to_open, flags).mode(Mode::empty()).sqe(1).force_async(),
        Statx::new(CWD, to_stat, at, mask, stat).sqe(2).force_async(),
    ];
    // SAFETY: the paths stay until the entries are taken, and the buffer for ever.
    unsafe { start_all(&mut ring, &entries) };
    for path in &mut copies {
        path.fill(b'!');
    }
    let told = reap_sorted(&mut ring, 2);
    let [(1, Ok(fd)), (2, Ok(0))] = told[..] else { panic!("{told:?}") };
    // SAFETY: the kernel has just made the descriptor for this process.
    drop(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).expect("a small number")) });
}

#[test]
fn addresses_may_be_reused_right_after_submit() {
    require!(feature: Features::SUBMIT_STABLE);
    let (listener, address) = listener();
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).expect("a socket");
    let mut storage = [MaybeUninit::<SocketAddrStorage>::uninit()];
    let place = storage.as_mut_ptr().cast();
    // SAFETY: room for an address of any kind.
    let len = unsafe { address.write_sockaddr(place) };
    let mut ring = ring();
    let connect = Connect::new(&socket, place, len).sqe(1).force_async();
    // SAFETY: the socket stays, and the address until the entry is taken.
    unsafe { start(&mut ring, connect) };
    scribble(&mut storage);
    assert_eq!(reap_told(&mut ring, 1), [(1, Ok(0))]);
    drop(accept(&listener));
}

/// Goal: a chain that is pushed one by one runs as one, whatever is submitted in the meantime.
/// Method: rings of each kind; reads into one buffer, which end in order only if they are linked.
#[test]
fn a_chain_that_is_pushed_one_by_one_runs_as_one() {
    require!(setup: SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN);
    let builders = [
        IoUring::builder(),
        IoUring::builder().sqpoll(1),
        IoUring::builder().flags(SetupFlags::SINGLE_ISSUER | SetupFlags::DEFER_TASKRUN),
    ];
    for builder in builders {
        let mut ring = builder.build_local(4).expect("a ring");
        for round in 0..20 {
            ring.submission().push_safe(Nop::new().sqe(0)).expect("room");
            for id in 1..4 {
                // SAFETY: a NOP refers to no memory.
                unsafe { ring.submission().push_chained(nop(id).link()) }.expect("room");
            }
            // SAFETY: as above.
            let error = unsafe { ring.submission().push_chained(nop(4)) }.expect_err("no room");
            assert!(matches!(error, PushError::Full(_)), "{error:?}");
            assert_eq!(ring.wait_for(1), Ok(()));
            assert_eq!(ring.completion().drain().map(|c| c.user_data()).collect::<Vec<_>>(), [0]);
            assert_eq!(ring.submit(), Ok(0), "the chain is not queued");
            let error = ring.submission().push_safe(Nop::new().sqe(9)).expect_err("an open chain");
            assert!(error.to_string().contains("push_chained"), "{error}");
            if round % 2 == 0 {
                // SAFETY: a NOP refers to no memory.
                unsafe { ring.submission().push_chained(failing(4)) }.expect("room");
                assert_eq!(ring.wait_for(4), Ok(()));
            } else {
                assert_eq!(ring.submission().close_chain(), 3);
                assert_eq!(ring.wait_for(3), Ok(()));
            }
            let ids: Vec<_> = ring.completion().drain().map(|c| c.user_data()).collect();
            let last = if round % 2 == 0 { 4 } else { 3 };
            assert_eq!(ids, (1..=last).collect::<Vec<_>>());
        }
    }
}
