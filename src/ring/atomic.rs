//! The atomic types of the rings: core's, or loom's in the loom tests, which run every
//! interleaving.
//!
//! The queues and [`super::order`] are the same code in both cases. Loom does not see accesses to
//! plain memory: [`will_read`] and [`will_write`] report to it the accesses to entries that both
//! sides use in turns. Without loom they do nothing.
#![forbid(unsafe_code)]

#[cfg(not(all(loom, test)))]
pub(super) use cores::{AtomicU16, AtomicU32, fence, unread, will_read, will_write, zero};
#[cfg(all(loom, test))]
pub(super) use looms::{AtomicU16, AtomicU32, fence, unread, will_read, will_write, zero};

#[cfg(not(all(loom, test)))]
mod cores {
    use core::ptr::NonNull;
    pub(in crate::ring) use core::sync::atomic::{AtomicU16, AtomicU32, fence};

    /// A word that stays 0.
    pub(in crate::ring) fn zero() -> NonNull<AtomicU32> {
        static ZERO: AtomicU32 = AtomicU32::new(0);
        NonNull::from(&ZERO)
    }

    /// A word that may be written and that nothing reads.
    pub(in crate::ring) fn unread() -> NonNull<AtomicU32> {
        static UNREAD: AtomicU32 = AtomicU32::new(0);
        NonNull::from(&UNREAD)
    }

    #[inline(always)]
    pub(in crate::ring) fn will_read<T>(_entry: *const T) {}

    #[inline(always)]
    pub(in crate::ring) fn will_write<T>(_entry: *const T) {}
}

#[cfg(all(loom, test))]
pub(super) mod looms {
    use core::cell::RefCell;
    use core::ptr::NonNull;
    use std::boxed::Box;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    use loom::cell::UnsafeCell;
    pub(in crate::ring) use loom::sync::atomic::{AtomicU16, AtomicU32, fence};

    std::thread_local! {
        /// The loom cell that represents each entry, by address. Loom runs all its threads on one
        /// thread.
        static CELLS: RefCell<BTreeMap<usize, Rc<UnsafeCell<()>>>> = const {
            RefCell::new(BTreeMap::new())
        };
    }

    /// Makes loom watch these entries from now on, and no others.
    pub(in crate::ring) fn watch<T>(first: *const T, count: usize) {
        let cell = |n| (first.wrapping_add(n).addr(), Rc::new(UnsafeCell::new(())));
        CELLS.with(|cells| *cells.borrow_mut() = (0..count).map(cell).collect());
    }

    pub(in crate::ring) fn zero() -> NonNull<AtomicU32> {
        NonNull::from(Box::leak(Box::new(AtomicU32::new(0))))
    }

    pub(in crate::ring) fn unread() -> NonNull<AtomicU32> {
        zero()
    }

    pub(in crate::ring) fn will_read<T>(entry: *const T) {
        cell(entry.addr()).with(|_| ());
    }

    pub(in crate::ring) fn will_write<T>(entry: *const T) {
        cell(entry.addr()).with_mut(|_| ());
    }

    fn cell(address: usize) -> Rc<UnsafeCell<()>> {
        CELLS.with(|cells| Rc::clone(cells.borrow().get(&address).expect("a watched entry")))
    }
}
