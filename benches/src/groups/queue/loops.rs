//! The loop of the group, once for each contender: fill a batch, let it complete, reap it.

use io_uring::{cqueue, squeue};
use ringbolt::sys::{SetupFlags, io_uring_params};
use ringbolt::{CqEntry, IoUring, SqEntry};
use rustix::fd::{AsRawFd, BorrowedFd};

use crate::floor::Floor;
use crate::groups::Digest;
use crate::view::View;

/// How many entries go together, and how many the ring has room for.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    /// A power of two.
    pub size: u32,
    /// A power of two, at least as large.
    pub entries: u32,
}

impl Batch {
    /// The user data of slot `n`: each batch has those from 0 up.
    pub(super) const fn user_data(self, n: u32) -> u64 {
        (n % self.size) as u64
    }

    /// Fails unless the other side saw all that `turns` turns did since it was at `before`.
    pub(super) fn check(self, turns: u64, before: u32, now: u32) {
        let low = |n: u64| n & u64::from(u32::MAX);
        let expected = low(u64::from(before) + low(turns) * u64::from(self.size));
        assert_eq!(u64::from(now), expected, "the other side has not been shown everything");
    }
}

/// ringbolt's loop. `posted` makes what the completion queue holds, from user data.
pub(super) fn our_loop<S: SqEntry, C: CqEntry, P: Copy>(
    mut ring: IoUring<S, C>,
    batch: Batch,
    entry: impl Fn(u32) -> S,
    posted: impl Fn(u64) -> P,
) -> impl FnMut(u64) {
    let view = View::new(&ring, ring.params(), |n| posted(batch.user_data(n))).expect("a view");
    move |turns| {
        let mut digest = Digest::default();
        let before = view.published();
        for _ in 0..turns {
            let mut submission = ring.submission();
            for n in 0..batch.size {
                // SAFETY: the kernel is not entered, and never sees it.
                unsafe { submission.push(entry(n)) }.expect("room");
            }
            submission.flush();
            view.take_all();
            view.post(batch.size);
            for cqe in ring.completion().drain() {
                digest.add(cqe.as_cqe().user_data(), cqe.as_cqe().raw_result());
            }
        }
        digest.check(turns, batch.size);
        batch.check(turns, before, view.published());
        batch.check(turns, before, view.given_back());
    }
}

/// The loop by hand. `reap` takes all completions.
pub(super) fn floor_loop<S: Copy, C: Copy, P: Copy>(
    mut ring: Floor<S, C>,
    batch: Batch,
    entry: impl Fn(u32) -> S,
    posted: impl Fn(u64) -> P,
    reap: impl Fn(&mut Floor<S, C>, &mut Digest),
) -> impl FnMut(u64) {
    let view = View::new(&ring, ring.params(), |n| posted(batch.user_data(n))).expect("a view");
    move |turns| {
        let mut digest = Digest::default();
        let before = view.published();
        for _ in 0..turns {
            // SAFETY: the queue has room for a batch, and the one before was taken. The kernel
            // is not entered, and never sees the entries.
            unsafe { ring.fill(batch.size, &entry) };
            view.take_all();
            view.post(batch.size);
            reap(&mut ring, &mut digest);
        }
        digest.check(turns, batch.size);
        batch.check(turns, before, view.published());
        batch.check(turns, before, view.given_back());
    }
}

/// The loop of the `io-uring` crate, which does not tell where its queues lie: `params` are those
/// of a ring set up alike.
pub(super) fn peer_loop<S: squeue::EntryMarker, C: cqueue::EntryMarker, P: Copy>(
    mut ring: io_uring::IoUring<S, C>,
    params: io_uring_params,
    batch: Batch,
    entry: impl Fn(u32) -> S,
    posted: impl Fn(u64) -> P,
    read: impl Fn(&C) -> (u64, i32),
) -> impl FnMut(u64) {
    // SAFETY: open as long as `ring`, which is not closed meanwhile.
    let fd = unsafe { BorrowedFd::borrow_raw(ring.as_raw_fd()) };
    let view = View::new(fd, &params, |n| posted(batch.user_data(n))).expect("a view");
    move |turns| {
        let (_, mut submission, mut completion) = ring.split();
        let mut digest = Digest::default();
        let before = view.published();
        for _ in 0..turns {
            submission.sync();
            for n in 0..batch.size {
                // SAFETY: the kernel is not entered, and never sees it.
                unsafe { submission.push(&entry(n)) }.expect("room");
            }
            submission.sync();
            view.take_all();
            view.post(batch.size);
            completion.sync();
            for cqe in &mut completion {
                let (user_data, result) = read(&cqe);
                digest.add(user_data, result);
            }
            completion.sync();
        }
        digest.check(turns, batch.size);
        batch.check(turns, before, view.published());
        batch.check(turns, before, view.given_back());
    }
}

/// What set-up answers for so many entries with `flags`, which say how wide `S` and `C` are.
pub(super) fn params_of<S: Copy, C: Copy>(entries: u32, flags: SetupFlags) -> io_uring_params {
    *Floor::<S, C>::new(entries, flags).expect("a ring").params()
}
