//! Waking a thread that waits for events: [`Waker`].
#![forbid(unsafe_code)]

use alloc::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::io::{Errno, read, write};

use crate::entry::{CqEntry, OneWidth, SqEntry};

use super::table::Jobs;

/// Makes [`Jobs::wait_next`] return from another thread, without an event.
///
/// It can be sent, shared and cloned, and outlives the jobs: then it does nothing.
#[derive(Clone, Debug)]
pub struct Waker {
    eventfd: Arc<OwnedFd>,
}

/// The ring's side of a [`Waker`].
#[derive(Debug)]
pub(super) struct Alarm {
    eventfd: Arc<OwnedFd>,
    /// Whether a poll of it is queued or in flight.
    pub(super) is_armed: bool,
    /// Whether it was used, and nobody has seen that yet.
    pub(super) is_woken: bool,
}

impl Alarm {
    /// What is polled.
    pub(super) fn file(&self) -> &OwnedFd {
        &self.eventfd
    }

    /// The poll has completed.
    pub(super) fn completes(&mut self, result: i32) {
        self.is_armed = false;
        if result > 0 {
            self.is_woken = true;
            // Non-blocking: if nothing is there, another poll has seen it.
            let _ = read(&*self.eventfd, &mut [0; 8]);
        }
    }
}

impl Waker {
    /// Wakes the thread: its next or present [`Jobs::wait_next`] returns `Ok(None)` after the
    /// events that are ready. Several calls before that count as one.
    pub fn wake(&self) {
        // It fails only if 2^64 - 2 calls have not been seen.
        let _ = write(&*self.eventfd, &1_u64.to_ne_bytes());
    }
}

impl<T, Th, S, C> Jobs<'_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// A handle by which another thread makes [`wait_next`](Self::wait_next) return.
    ///
    /// From now on `wait_next` waits even if no job is in flight. Jobs on the same ring have one
    /// waker, of which this returns clones.
    ///
    /// # Errors
    ///
    /// `EMFILE`, `ENFILE` and `ENOMEM`, as `eventfd(2)`.
    pub fn waker(&mut self) -> Result<Waker, Errno> {
        self.hide();
        if let Some(alarm) = &self.inner.owned.waker {
            return Ok(Waker { eventfd: Arc::clone(&alarm.eventfd) });
        }
        let eventfd = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let waker = Waker { eventfd: Arc::clone(&eventfd) };
        self.inner.owned.waker = Some(Alarm { eventfd, is_armed: false, is_woken: false });
        Ok(waker)
    }
}
