//! The atomics of the rings: core's, or loom's where loom plays through every interleaving.
//!
//! So the queues and [`super::order`] are the same code in both. Loom does not see plain memory:
//! [`will_read`] and [`will_write`] tell it of an entry that both sides use by turns, and are
//! nothing otherwise.
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

    /// A word that may be written and that nobody reads.
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
        /// What stands for each entry, by its address. Loom runs all its threads on one.
        static CELLS: RefCell<BTreeMap<usize, Rc<UnsafeCell<()>>>> = const {
            RefCell::new(BTreeMap::new())
        };
    }

    /// Has loom watch these entries, and no others, from here on.
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
