//! Operations in flight, and completing them, even after their ring was closed.
#![forbid(unsafe_code)]

use super::Kernel;
use super::buffers::Group;
use super::state::{Ring, State, World};

impl Kernel {
    /// Returns how many operations are in flight: started and not complete.
    ///
    /// Operations that wait for others of their chain, or for a drain, are not started. Operations
    /// of rings that were closed count, except timeouts.
    pub fn in_flight(&self) -> usize {
        let state = self.state();
        state.closing.iter().chain(&state.ring).map(Ring::in_flight).sum()
    }

    /// Completes the operation in flight with the index `nth`, in the order in which they started.
    /// Returns false if there are not that many.
    ///
    /// Index 0 is the oldest; operations of rings that were closed come first. A timeout completes
    /// as if its time had expired.
    ///
    /// With COOP_TASKRUN the program sees the completion after its next system call; with
    /// DEFER_TASKRUN, after the next one that asks for completions. Operations of rings that were
    /// closed are executed, but their completions are not visible.
    pub fn complete(&self, nth: usize) -> bool {
        let mut state = self.state();
        match state.complete_closed(nth) {
            Ok(()) => true,
            Err(nth) => state.with_ring(false, |ring, world| ring.complete(world, nth)),
        }
    }

    /// Cancels the operations in flight of rings that were closed, as a kernel does some time after
    /// closing. Returns how many operations it cancelled.
    ///
    /// From then on the kernel does not use the memory of these operations.
    pub fn finish_closing(&self) -> usize {
        let closing = core::mem::take(&mut self.state().closing);
        closing.iter().map(Ring::in_flight).sum()
    }
}

impl State {
    /// Closes the ring. It is kept as long as it has operations in flight.
    pub(super) fn close(&mut self) {
        let Some(mut ring) = self.ring.take() else { return };
        ring.close();
        if ring.in_flight() > 0 && !self.orphaned {
            self.closing.push(ring);
        }
    }

    /// Executes an operation of a closed ring. If there are not that many, returns the index among
    /// the others.
    fn complete_closed(&mut self, mut nth: usize) -> Result<(), usize> {
        for ring in &mut self.closing {
            if nth < ring.in_flight() {
                ring.complete_closed(&mut self.world, nth);
                self.closing.retain(|ring| ring.in_flight() > 0);
                return Ok(());
            }
            nth -= ring.in_flight();
        }
        Err(nth)
    }
}

impl Ring {
    fn in_flight(&self) -> usize {
        self.requests.flights.len()
    }

    /// Drops everything except operations in flight that may use the program's memory.
    fn close(&mut self) {
        let requests = &mut self.requests;
        requests.open.clear();
        requests.work.clear();
        requests.deferred.clear();
        requests.flights.retain(|flight| flight.timer.is_none());
        requests.flights.iter_mut().for_each(|flight| flight.chain.truncate(1));
        // The program need no longer keep memory that it provided for rings of buffers.
        self.groups.retain(|_, group| Group::is_lent(group));
    }

    fn complete_closed(&mut self, world: &mut World, nth: usize) {
        let flight = self.requests.flights.remove(nth);
        // No program is left to receive the completion.
        let _ = self.transfer(world, &flight.chain);
    }
}
