//! [`Book`]: where each value is, by the model, and whether it may be dropped there.

use core::cell::{Cell, RefCell};
use core::panic::AssertUnwindSafe;
use std::panic::{catch_unwind, resume_unwind};

use ringbolt::sim::Kernel;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// The program has it.
    Held,
    /// Its operation is in flight.
    Flying,
    /// Its job is over, and the jobs have it: the next call drops it.
    Shown,
    /// It was dropped.
    Gone,
    /// It was leaked with its jobs.
    Leaked,
}

/// Where each value of a ring's is, by its number.
#[derive(Debug)]
pub(crate) struct Book {
    places: RefCell<Vec<Where>>,
    /// Whether jobs are being ended, so that values of operations in flight are dropped.
    pub(crate) ends: Cell<bool>,
    /// The kernel, if it is simulated, to ask what is in flight.
    kernel: Option<Kernel>,
}

/// The payload of a panic that a program makes on purpose.
pub(crate) struct Planned;

/// Panics on purpose, without a message.
pub(crate) fn panic() -> ! {
    resume_unwind(Box::new(Planned));
}

thread_local! {
    /// Whether a check has failed while a panic was unwinding.
    static IS_WRONG: Cell<bool> = const { Cell::new(false) };
}

/// Runs the checks of a destructor. If one fails while a panic is unwinding, that is noted.
pub(crate) fn conclude(checks: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(checks)) {
        if !std::thread::panicking() {
            resume_unwind(payload);
        }
        IS_WRONG.set(true);
    }
}

/// Fails if a check has failed while a panic was unwinding.
pub(crate) fn check_conclusions() {
    assert!(!IS_WRONG.take(), "a check has failed: see above");
}

/// Runs `act`. `None` if it panics on purpose.
pub(crate) fn guard<R>(act: impl FnOnce() -> R) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(act)) {
        Ok(result) => Some(result),
        Err(payload) if payload.is::<Planned>() => None,
        Err(payload) => resume_unwind(payload),
    }
}

impl Book {
    pub(crate) fn new(kernel: Option<Kernel>) -> Self {
        Self { places: RefCell::default(), ends: Cell::new(false), kernel }
    }

    /// The number of a new value, which the program has.
    pub(crate) fn add(&self) -> usize {
        let mut places = self.places.borrow_mut();
        places.push(Where::Held);
        places.len() - 1
    }

    pub(crate) fn find(&self, id: usize) -> Where {
        self.places.borrow()[id]
    }

    pub(crate) fn put(&self, id: usize, place: Where) {
        let before = core::mem::replace(&mut self.places.borrow_mut()[id], place);
        assert_ne!(before, Where::Gone, "value {id} is {place:?} after it was dropped");
    }

    /// Fails unless each value was dropped, or leaked with its jobs.
    pub(crate) fn check_end(&self) {
        for (id, place) in self.places.borrow().iter().enumerate() {
            assert!(matches!(place, Where::Gone | Where::Leaked), "value {id} is {place:?}");
        }
    }

    /// Notes that a value is dropped.
    pub(crate) fn bury(&self, id: usize) {
        let place = self.find(id);
        let may_be = match place {
            Where::Held | Where::Shown => true,
            Where::Flying => self.ends.get(),
            Where::Gone | Where::Leaked => false,
        };
        assert!(may_be, "value {id} is dropped while it is {place:?}");
        if place == Where::Flying {
            let in_flight = self.kernel.as_ref().map_or(0, Kernel::in_flight);
            assert_eq!(in_flight, 0, "value {id} is dropped, and operations are in flight");
        }
        self.put(id, Where::Gone);
    }
}
