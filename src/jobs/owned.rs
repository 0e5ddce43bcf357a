//! What a ring of the safe front owns for its jobs, and takes care of before a submission.
#![forbid(unsafe_code)]

use alloc::rc::Rc;
use alloc::vec::Vec;

use crate::entry::{CqEntry, OneWidth, SafeSqe, SqEntry};
use crate::ops::{Close, Fixed, PollAdd};
use crate::register::Registrar;
use crate::rustix::event::epoll::EventFlags;

use super::arena::Arena;
use super::owes::Lent;
use super::pool::{Pool, Received};
use super::slot::{Files, Slot};
use super::table::Jobs;
use super::user_data::Control;
use super::waker::Alarm;

/// What a ring owns for its jobs.
#[derive(Default)]
pub(super) struct Owned {
    pub(super) pools: Vec<Rc<Pool>>,
    pub(super) files: Option<Rc<Files>>,
    pub(super) waker: Option<Alarm>,
    /// The memory of registered buffers, which stays as long as the ring.
    pub(super) arena: Option<Rc<Arena>>,
}

impl Owned {
    /// Whether something has to be done before the next submission.
    #[inline(always)]
    pub(super) fn needs_care(&self) -> bool {
        self.files.as_ref().is_some_and(|files| files.has_pending())
            || self.waker.as_ref().is_some_and(|waker| !waker.is_armed)
    }

    /// Whether the waker was used since the last call.
    pub(super) fn take_wake(&mut self) -> bool {
        self.waker.as_mut().is_some_and(|waker| core::mem::take(&mut waker.is_woken))
    }

    /// The poll of the waker has completed.
    pub(super) fn note_wake(&mut self, result: i32) {
        if let Some(waker) = &mut self.waker {
            waker.completes(result);
        }
    }

    /// The poll of the waker was not submitted.
    pub(super) fn disarm(&mut self) {
        if let Some(waker) = &mut self.waker {
            waker.is_armed = false;
        }
    }

    /// Notes a slot of the file table that is to be emptied.
    pub(super) fn empty(&mut self, slot: u32) {
        if let Some(files) = &self.files {
            files.give_back(slot);
        }
    }

    /// The owner of a slot that an operation has filled.
    pub(super) fn own(&self, slot: u32) -> Option<Slot> {
        self.files.as_ref().map(|files| Slot::new(files, slot))
    }

    /// The buffer of a completion, in the usual case: see [`Pool::receive_one`].
    #[inline(always)]
    pub(super) fn receive_one(&self, lent: &Lent) -> Option<Received> {
        Pool::receive_one(self.pools.get(usize::from(lent.from.group))?, lent)
    }

    /// The first buffer that a completion names, if it is the kernel's. What is left of the
    /// completion stays in `lent`.
    #[inline]
    pub(super) fn receive(&mut self, lent: &mut Option<Lent>) -> Option<Received> {
        let group = lent.as_ref()?.from.group;
        Pool::receive(self.pools.get(usize::from(group))?, lent)
    }

    /// Ends the groups of provided buffers: their numbers may be used again, and their memory goes
    /// when the last [`Received`] has.
    pub(super) fn end_groups(&mut self, registrar: Registrar<'_>) {
        for pool in self.pools.drain(..) {
            Pool::end(pool, registrar);
        }
    }
}

impl<T, Th, S, C> Jobs<'_, '_, T, Th, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Empties slots that nobody owns any more, and arms the waker, as far as there is room.
    #[cold]
    pub(super) fn care(&mut self) {
        while let Some(files) = self.inner.owned.files.as_ref() {
            let Some(slot) = files.next_pending() else { break };
            let close = Close::fixed(Fixed(slot)).sqe(Control::Close.user_data());
            if !self.inner.push_control(close) {
                self.inner.owned.empty(slot);
                return;
            }
        }
        if let Some(waker) = self.inner.owned.waker.as_ref().filter(|waker| !waker.is_armed) {
            let poll = PollAdd::new(waker.file(), EventFlags::IN).sqe(Control::Wake.user_data());
            // A poll names no memory, and its file is kept open by the waker, which the ring owns.
            let is_armed = self.inner.push_control(SafeSqe::new(poll));
            if let Some(waker) = &mut self.inner.owned.waker {
                waker.is_armed = is_armed;
            }
        }
    }
}
