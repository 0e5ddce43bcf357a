//! Code that the tests of faults share: a ledger of completions, rings of each kind.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::time::Instant;

use ringbolt::{Builder, Cqe, IoUring, PushError, Sqe, SubmissionQueue};

use crate::common::process::bounded;
use crate::common::{PATIENCE, timing};

/// Records which entries have completed, and that none completes twice.
#[derive(Debug)]
pub(crate) struct Ledger {
    seen: Vec<bool>,
    left: usize,
}

impl Ledger {
    /// For entries with `user_data` from 0 to `count`.
    pub(crate) fn new(count: usize) -> Self {
        Self { seen: vec![false; count], left: count }
    }

    /// One more entry. Returns its `user_data`.
    pub(crate) fn open(&mut self) -> u64 {
        self.seen.push(false);
        self.left += 1;
        self.seen.len() as u64 - 1
    }

    /// The number of entries that were opened.
    pub(crate) fn opened(&self) -> usize {
        self.seen.len()
    }

    /// Crosses an entry off.
    pub(crate) fn note(&mut self, user_data: u64) {
        let place = usize::try_from(user_data).expect("the user_data of an entry");
        let seen = self.seen.get_mut(place).expect("the user_data of an entry");
        assert!(!*seen, "{user_data} completed twice");
        *seen = true;
        self.left -= 1;
    }

    /// The number of entries that have not completed.
    pub(crate) fn left(&self) -> usize {
        self.left
    }
}

/// Pops the completions that are ready, and crosses them off.
pub(crate) fn take<T>(ring: &mut IoUring<Sqe, Cqe, T>, ledger: &mut Ledger) -> Vec<Cqe> {
    let there: Vec<_> = core::iter::from_fn(|| ring.completion().pop()).collect();
    there.iter().for_each(|cqe| ledger.note(cqe.user_data()));
    there
}

/// Pushes entries with the method for their number, or puts them into a reservation.
///
/// # Safety
///
/// As for [`SubmissionQueue::push_all`].
pub(crate) unsafe fn push_together<T>(
    submission: &mut SubmissionQueue<'_, Sqe, T>,
    entries: &[Sqe],
    reserved: bool,
) -> Result<(), PushError<()>> {
    if reserved {
        let mut room = submission.reserve(entries.len())?;
        for entry in entries {
            // SAFETY: the caller's promise, passed on.
            unsafe { room.put(*entry) }.expect("as many as were reserved");
        }
        return room.commit();
    }
    let [single] = *entries else {
        // SAFETY: the caller's promise, passed on.
        return unsafe { submission.push_all(entries) };
    };
    // SAFETY: the caller's promise, passed on.
    match unsafe { submission.push(single) } {
        Err(PushError::Full(back)) => {
            assert_eq!(back.user_data(), single.user_data());
            Err(PushError::Full(()))
        }
        pushed => pushed.map_err(|error| panic!("{error}")),
    }
}

/// Builders of rings with default flags, with deferred work, and with a polling thread.
pub(crate) fn on_each_kind(test: fn(Builder)) {
    timing::on_each_kind(test);
    bounded(move || test(IoUring::builder().sqpoll(1)));
}

/// Fails a test that waits too long.
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn new() -> Self {
        Self(Instant::now() + PATIENCE)
    }

    pub(crate) fn check(&self, what: &str) {
        assert!(Instant::now() < self.0, "timed out waiting for {what}");
    }
}
