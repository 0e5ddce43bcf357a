//! Every memory ordering in the crate.
//!
//! Each word of a ring has one writer. [`Ours`] is a word that this side writes, and [`Theirs`] one
//! that it only reads. The rules are those that the kernel states at the top of
//! `io_uring/io_uring.c`, from the point of view of this side:
//!
//! - R1: stores to a submission entry happen before the store of the SQ tail that covers it
//!   ([`Ours::publish`]).
//! - R2: the load of the SQ head happens before stores to the slots that it frees
//!   ([`Theirs::observe`]).
//! - R3: the load of the CQ tail happens before loads of the entries that it covers
//!   ([`Theirs::observe`]).
//! - R4: loads of completion entries happen before the store of the CQ head that frees them
//!   ([`Ours::publish`]).
//! - R5: with SQPOLL, the store of the SQ tail happens before the load of the SQ flags
//!   ([`publish_before_peek`]). Otherwise the polling thread could fall asleep without seeing a
//!   published entry, and this side would not wake it. The kernel does the opposite: it sets
//!   NEED_WAKEUP, then loads the tail. So at least one side sees the store of the other.
//! - R6: stores to an entry of a buffer ring happen before the store of its tail that covers it
//!   ([`OursShort::publish`]).
//!
//! [`Mark`] and [`Latest`] distinguish processes and order nothing.
//!
//! No other module uses an [`Ordering`]: call sites only choose the role of a word. Under loom each
//! rule has a test that is named after it, and `ci/weaken.sh` checks that each test fails without
//! its rule.

use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use super::atomic::{self, AtomicU16, AtomicU32, fence};
use super::position::Position;

/// A shared word that only this side writes.
#[derive(Debug)]
pub(crate) struct Ours(NonNull<AtomicU32>);

/// A shared word that only the other side writes.
#[derive(Debug)]
pub(crate) struct Theirs(NonNull<AtomicU32>);

/// A shared word of 16 bits that only this side writes: the tail of a buffer ring.
#[derive(Debug)]
pub(crate) struct OursShort(NonNull<AtomicU16>);

impl OursShort {
    /// Takes the role of the writer of `word`.
    ///
    /// # Safety
    ///
    /// As for [`Ours::new`].
    pub(crate) const unsafe fn new(word: NonNull<AtomicU16>) -> Self {
        Self(word)
    }

    /// Hands over everything before `tail` to the other side (R6).
    #[inline(always)]
    pub(crate) fn publish(&self, tail: u16) {
        // SAFETY: valid, aligned and only used atomically, by the contract of `new`.
        unsafe { self.0.as_ref() }.store(tail, Ordering::Release);
    }
}

impl Ours {
    /// Takes the role of the writer of `word`.
    ///
    /// # Safety
    ///
    /// Until the value is last used, `word` is valid for reads and writes, aligned, accessed only
    /// atomically, and written only through this value.
    pub(crate) const unsafe fn new(word: NonNull<AtomicU32>) -> Self {
        Self(word)
    }

    /// A word that nothing reads: the tail or head of a queue that can no longer be used.
    pub(crate) fn unread() -> Self {
        Self(atomic::unread())
    }

    /// The value that this side last stored.
    #[inline(always)]
    pub(crate) fn get(&self) -> u32 {
        self.word().load(Ordering::Relaxed)
    }

    /// Hands over everything before `position` to the other side (R1, R4).
    #[inline(always)]
    pub(crate) fn publish(&self, position: Position) {
        self.word().store(position.0, Ordering::Release);
    }

    /// Stores flags. It orders nothing else.
    #[inline(always)]
    pub(crate) fn set(&self, flags: u32) {
        self.word().store(flags, Ordering::Relaxed);
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU32 {
        // SAFETY: valid, aligned and only used atomically, by the contract of `new`.
        unsafe { self.0.as_ref() }
    }
}

impl Theirs {
    /// Takes the role of a reader of `word`.
    ///
    /// # Safety
    ///
    /// Until the value is last used, `word` is valid for reads, aligned, and accessed only
    /// atomically.
    pub(crate) const unsafe fn new(word: NonNull<AtomicU32>) -> Self {
        Self(word)
    }

    /// A word that stays 0: the head of a queue that the other side reads from its start each time.
    pub(crate) fn zero() -> Self {
        Self(atomic::zero())
    }

    /// Loads the other side's position. Everything that it did before is visible after this (R2,
    /// R3).
    #[inline(always)]
    pub(crate) fn observe(&self) -> Position {
        Position(self.word().load(Ordering::Acquire))
    }

    /// Loads the word and orders nothing: for flags and counts that are only hints.
    #[inline(always)]
    pub(crate) fn peek(&self) -> u32 {
        self.word().load(Ordering::Relaxed)
    }

    #[inline(always)]
    fn word(&self) -> &AtomicU32 {
        // SAFETY: valid, aligned and only used atomically, by the contract of `new`.
        unsafe { self.0.as_ref() }
    }
}

/// Orders [`Ours::publish`] of the SQ tail before [`Theirs::peek`] at the SQ flags (R5).
#[inline(always)]
pub(crate) fn publish_before_peek() {
    fence(Ordering::SeqCst);
}

/// A byte that is set in one process and clear in others. It orders nothing: a thread that does not
/// see it set yet uses the next one.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Mark(AtomicU8);

impl Mark {
    /// A mark that is set from the start.
    pub(crate) const fn set_from_the_start() -> Self {
        Self(AtomicU8::new(1))
    }

    /// Sets it.
    pub(crate) fn set(&self) {
        self.0.store(1, Ordering::Relaxed);
    }

    /// Whether it is set.
    #[inline(always)]
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}

/// The address of a [`Mark`] that is never freed.
#[derive(Debug)]
pub(crate) struct Latest(AtomicPtr<Mark>);

impl Latest {
    /// No mark yet.
    pub(crate) const fn none() -> Self {
        Self(AtomicPtr::new(core::ptr::null_mut()))
    }

    /// The mark.
    pub(crate) fn get(&self) -> Option<&'static Mark> {
        // SAFETY: null, or from a reference that is valid forever, by the type of `replace`.
        unsafe { self.0.load(Ordering::Relaxed).as_ref() }
    }

    /// Replaces the mark with `new` if it is `old`. Returns whether it was.
    pub(crate) fn replace(&self, old: Option<&'static Mark>, new: &'static Mark) -> bool {
        let old = old.map_or(core::ptr::null(), core::ptr::from_ref).cast_mut();
        let new = core::ptr::from_ref(new).cast_mut();
        self.0.compare_exchange(old, new, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}
