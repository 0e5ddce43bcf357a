//! The table from ring numbers to simulated kernels, and the system calls by that number.
//!
//! A kernel stays in the table as long as it has a handle or a ring.

use core::ffi::c_void;
use std::boxed::Box;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::CWD;
use rustix::io::Errno;

use crate::ring::map::RingMemory;
use crate::sys::{EnterFlags, io_uring_params};

use super::state::State;

type Shared = Arc<Mutex<State>>;

static TABLE: Mutex<Table> = Mutex::new(Table {
    last: i32::MIN,
    kernels: BTreeMap::new(),
    descriptors: BTreeMap::new(),
    spare: Vec::new(),
});

struct Table {
    /// The number that was assigned last.
    last: i32,
    kernels: BTreeMap<i32, Shared>,
    /// Those that were requested, by the number of their ring.
    descriptors: BTreeMap<i32, BorrowedFd<'static>>,
    /// Those of rings that are closed.
    spare: Vec<BorrowedFd<'static>>,
}

/// What the clones of a `Kernel` share.
pub(super) struct Handle {
    number: i32,
    state: Shared,
}

impl Handle {
    pub(super) fn new(state: State) -> Self {
        let state = Arc::new(Mutex::new(state));
        let mut table = lock(&TABLE);
        let number = table.free_number();
        table.last = number;
        table.kernels.insert(number, Arc::clone(&state));
        Self { number, state }
    }

    pub(super) fn number(&self) -> i32 {
        self.number
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Either this or the closing of the ring removes the kernel, whichever comes last: both
        // record it under the kernel's lock.
        let mut state = self.state();
        state.orphaned = true;
        // Nothing can complete their operations in flight any more.
        state.closing.clear();
        let unused = state.ring.is_none();
        drop(state);
        if unused {
            lock(&TABLE).kernels.remove(&self.number);
        }
    }
}

impl Table {
    /// Returns the next number below -1 that no kernel has; after the last one numbers start again.
    fn free_number(&self) -> i32 {
        let after = (i32::MIN..-1).filter(|number| *number > self.last);
        let from_start = i32::MIN..-1;
        let mut numbers = after.chain(from_start);
        let free = numbers.find(|number| !self.kernels.contains_key(number));
        free.expect("2^31 kernels do not fit in memory")
    }
}

/// Locks a mutex, even if a test panicked while it held the lock.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn find(number: i32) -> Result<Shared, Errno> {
    lock(&TABLE).kernels.get(&number).cloned().ok_or(Errno::BADF)
}

/// `io_uring_setup(2)`. The error is a positive errno.
///
/// `stays` means that the ring, and everything borrowed from it, stays on this thread.
pub(crate) fn setup(
    number: i32,
    entries: u32,
    params: &mut io_uring_params,
    stays: bool,
) -> Result<i32, i32> {
    let mut set_up = || {
        let shared = find(number)?;
        let prepared = lock(&shared).prepare(entries, params, stays)?;
        // Not under the lock: the function that the test provided may use its kernel.
        let ring = prepared.answer(params)?;
        lock(&shared).install(ring)
    };
    set_up().map_err(Errno::raw_os_error)?;
    Ok(number)
}

/// Returns the memory of the ring, in place of mapping it.
pub(crate) fn map(number: i32) -> Result<RingMemory, Errno> {
    let shared = find(number)?;
    let state = lock(&shared);
    let ring = state.ring.as_ref().ok_or(Errno::BADF)?;
    Ok(ring.memory.shared())
}

/// `close(2)`: frees the ring. Operations in flight continue, and keep their ring.
pub(crate) fn close(number: i32) {
    let Ok(shared) = find(number) else { return };
    let mut state = lock(&shared);
    state.close();
    let unused = state.orphaned;
    drop(state);
    let mut table = lock(&TABLE);
    if let Some(descriptor) = table.descriptors.remove(&number) {
        table.spare.push(descriptor);
    }
    if unused {
        table.kernels.remove(&number);
    }
}

/// Leaves the ring to jobs of the safe front: from now on nothing false is written to it.
///
/// # Panics
///
/// If something was.
pub(crate) fn keep_honest(number: i32) {
    let Ok(shared) = find(number) else { return };
    if let Some(ring) = &mut lock(&shared).ring {
        ring.keep_honest();
    }
}

/// A descriptor that represents a ring, and is never closed: after the ring is closed, another ring
/// reuses it. It is an eventfd that is never signalled.
///
/// Under Miri, and if the process has no more descriptors, it is `CWD`, which refers to no file.
pub(crate) fn descriptor(number: i32) -> BorrowedFd<'static> {
    if cfg!(miri) {
        return CWD;
    }
    let mut table = lock(&TABLE);
    if let Some(descriptor) = table.descriptors.get(&number) {
        return *descriptor;
    }
    let spare = table.spare.pop().inspect(|descriptor| {
        // Its previous user may have signalled it.
        let _ = rustix::io::read(descriptor, &mut [0; 8]);
    });
    let Some(descriptor) = spare.or_else(open) else { return CWD };
    table.descriptors.insert(number, descriptor);
    descriptor
}

fn open() -> Option<BorrowedFd<'static>> {
    let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).ok()?;
    let eventfd: &'static OwnedFd = Box::leak(Box::new(eventfd));
    Some(eventfd.as_fd())
}

/// `io_uring_enter(2)`. The error is a positive errno.
///
/// # Safety
///
/// As for [`io_uring_enter`](crate::sys::io_uring_enter).
pub(crate) unsafe fn enter(
    number: i32,
    to_submit: u32,
    min_complete: u32,
    flags: EnterFlags,
    arg: *const c_void,
    arg_size: usize,
) -> Result<u32, i32> {
    let shared = find(number).map_err(Errno::raw_os_error)?;
    let mut state = lock(&shared);
    // SAFETY: the caller keeps the contract.
    let entered = unsafe { state.enter(to_submit, min_complete, flags, arg, arg_size) };
    entered.map_err(Errno::raw_os_error)
}

/// `io_uring_register(2)`. The error is a positive errno.
///
/// # Safety
///
/// As for [`io_uring_register`](crate::sys::io_uring_register).
pub(crate) unsafe fn register(
    number: i32,
    op: u32,
    arg: *mut c_void,
    nr_args: u32,
) -> Result<u32, i32> {
    let shared = find(number).map_err(Errno::raw_os_error)?;
    let mut state = lock(&shared);
    // SAFETY: the caller keeps the contract.
    let registered = unsafe { state.register(op, arg, nr_args) };
    registered.map_err(Errno::raw_os_error)
}
