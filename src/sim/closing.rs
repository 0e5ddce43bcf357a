//! Operations in flight: completing them, also after their ring was closed.
#![forbid(unsafe_code)]

use super::Kernel;
use super::buffers::Group;
use super::state::{Ring, State, World};

impl Kernel {
    /// How many operations are in flight: started and not complete. Those that wait for others of
    /// their chain, or for a drain, are not started. Those of rings that were closed count, except
    /// timeouts.
    pub fn in_flight(&self) -> usize {
        let state = self.state();
        state.closing.iter().chain(&state.ring).map(Ring::in_flight).sum()
    }

    /// Completes the operation in flight that is `nth` in the order of their start, 0 the oldest;
    /// those of rings that were closed come first. A timeout completes as if its time was up.
    /// Returns false if there are not so many.
    ///
    /// With DEFER_TASKRUN or COOP_TASKRUN the program sees the completion after its next system
    /// call; with DEFER_TASKRUN, after one that asks for completions. Operations of rings that were
    /// closed are carried out, and nobody sees their completions.
    pub fn complete(&self, nth: usize) -> bool {
        let mut state = self.state();
        match state.complete_closed(nth) {
            Ok(()) => true,
            Err(nth) => state.with_ring(false, |ring, world| ring.complete(world, nth)),
        }
    }

    /// Cancels what rings that were closed have in flight, as a kernel does some time after they
    /// were closed. It uses no memory of those rings' programs from then on. Returns how many
    /// operations it cancelled.
    pub fn finish_closing(&self) -> usize {
        let closing = core::mem::take(&mut self.state().closing);
        closing.iter().map(Ring::in_flight).sum()
    }
}

impl State {
    /// Closes the ring, which stays while it has something in flight.
    pub(super) fn close(&mut self) {
        let Some(mut ring) = self.ring.take() else { return };
        ring.close();
        if ring.in_flight() > 0 && !self.orphaned {
            self.closing.push(ring);
        }
    }

    /// Carries an operation of a closed ring out. If there are not so many, returns which it is of
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

    /// Forgets all but what is in flight and may use memory of the program's.
    fn close(&mut self) {
        let requests = &mut self.requests;
        requests.open.clear();
        requests.work.clear();
        requests.deferred.clear();
        requests.flights.retain(|flight| flight.timer.is_none());
        requests.flights.iter_mut().for_each(|flight| flight.chain.truncate(1));
        // The program need not keep memory of its own for rings of buffers any longer.
        self.groups.retain(|_, group| Group::is_lent(group));
    }

    fn complete_closed(&mut self, world: &mut World, nth: usize) {
        let flight = self.requests.flights.remove(nth);
        // Nobody is there to be told.
        let _ = self.transfer(world, &flight.chain);
    }
}
