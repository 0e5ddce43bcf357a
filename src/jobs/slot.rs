//! Slots of the ring's file table that have an owner: [`Slot`].
#![forbid(unsafe_code)]

use alloc::rc::Rc;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::ops::Deref;

use rustix::io::Errno;

use crate::entry::{CqEntry, OneWidth, SqEntry};
use crate::ops::Fixed;
use crate::ops::lent::On;
use crate::uring::thread::OneThread;

use super::table::Jobs;

/// The ring's file table: what is to be emptied.
#[derive(Debug)]
pub(super) struct Files {
    /// As long as the table, so that nothing is allocated later.
    pending: RefCell<Vec<u32>>,
}

impl Files {
    /// Whether there is a slot to empty.
    #[inline]
    pub(super) fn has_pending(&self) -> bool {
        !self.pending.borrow().is_empty()
    }

    /// A slot to empty.
    pub(super) fn next_pending(&self) -> Option<u32> {
        self.pending.borrow_mut().pop()
    }

    /// Notes a slot to empty.
    pub(super) fn give_back(&self, slot: u32) {
        let mut pending = self.pending.borrow_mut();
        // Each slot has one owner, so that it is here once.
        if pending.len() < pending.capacity() {
            pending.push(slot);
        }
    }
}

/// A file in a slot of the ring's file table, which an operation has opened or accepted into it.
///
/// From [`Event::slot`](super::Event::slot). It derefs to the number of the slot, a [`Fixed`], by
/// which operations name the file. When it is dropped, the next submission closes the file and
/// frees the slot. It stays on the ring's thread: it is not `Send`.
#[derive(Debug)]
pub struct Slot {
    files: Rc<Files>,
    slot: Fixed,
}

impl Slot {
    /// The owner of `slot`.
    pub(super) fn new(files: &Rc<Files>, slot: u32) -> Self {
        Self { files: Rc::clone(files), slot: Fixed(slot) }
    }
}

impl Deref for Slot {
    type Target = Fixed;

    fn deref(&self) -> &Fixed {
        &self.slot
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let Fixed(slot) = self.slot;
        self.files.give_back(slot);
    }
}

impl<'a> From<&'a Slot> for On<'a> {
    fn from(slot: &'a Slot) -> Self {
        slot.slot.into()
    }
}

impl<T, S, C> Jobs<'_, '_, T, OneThread, S, C>
where
    S: SqEntry + OneWidth,
    C: CqEntry + OneWidth,
{
    /// Makes the ring's file table, with `slots` free slots: operations with
    /// [`DestSlot::Alloc`](crate::ops::DestSlot::Alloc) put what they open or accept into one of
    /// them. Since Linux 5.19.
    ///
    /// # Errors
    ///
    /// | errno | cause |
    /// |---|---|
    /// | `EBUSY` | the ring has a table |
    /// | `EINVAL` | 0 slots, or a kernel before 5.19 |
    /// | `EMFILE` | more than the limit on open files (`RLIMIT_NOFILE`) |
    /// | `ENOMEM` | no memory |
    pub fn reserve_files(&mut self, slots: u32) -> Result<(), Errno> {
        self.hide();
        let len = usize::try_from(slots).map_err(|_| Errno::NOMEM)?;
        let mut pending = Vec::new();
        pending.try_reserve_exact(len).map_err(|_| Errno::NOMEM)?;
        self.inner.ring.registrar().register_files_sparse(slots).map_err(Errno::from)?;
        self.inner.owned.files = Some(Rc::new(Files { pending: RefCell::new(pending) }));
        Ok(())
    }
}
