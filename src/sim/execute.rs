//! Executing requests: transfers, timeouts, cancelling.

use rustix::io::Errno;

use crate::sys::{CancelFlags, CqeFlags, io_uring_cqe};

use super::Pace;
use super::completion::Completion;
use super::files::{Range, TransferFault};
use super::operation::{Key, Plan, Time, Transfer};
use super::requests::{Chain, Flight, Outcome, Timer, Work};
use super::state::{Ring, World};

impl Ring {
    /// Starts the first request of a chain.
    pub(super) fn start(&mut self, world: &mut World, chain: Chain) {
        let Some(request) = chain.front() else { return };
        if let Some(errno) = request.refused {
            return self.finish(world, chain, Outcome::error(errno));
        }
        match &request.plan {
            Plan::Nop { result, extra, file, buffer, later } => {
                let unknown = file.is_some_and(|file| !world.files.contains_key(&file));
                // There are no registered buffers.
                let error =
                    if unknown { Some(Errno::BADF) } else { buffer.then_some(Errno::FAULT) };
                let result = error.map_or(*result, |errno| -errno.raw_os_error());
                let outcome =
                    Outcome { result, failed: result < 0, extra: *extra, ..Outcome::new(Ok(0)) };
                if *later {
                    self.requests.work.push_back(Work::Finish(chain, outcome));
                } else {
                    self.finish(world, chain, outcome);
                }
            }
            Plan::Transfer(Transfer { multishot: false, .. }) if world.pace == Pace::Inline => {
                let outcome = self.transfer(world, &chain);
                self.finish(world, chain, outcome);
            }
            Plan::Transfer(_) => {
                self.fly(world, chain, None);
                self.shoot_all(world);
            }
            Plan::Timeout { time, count, .. } => {
                let count =
                    (*count > 0).then(|| self.completions.counted.wrapping_add((*count).into()));
                let timer = Timer { at: time.instant(world.now), count };
                self.fly(world, chain, Some(timer));
            }
            // Alone it is refused, and after another it is not started.
            Plan::LinkTimeout(_) => self.finish(world, chain, Outcome::error(Errno::INVAL)),
            Plan::TimeoutRemove { user_data, time } => {
                let result = self.remove_timeout(world, *user_data, *time);
                self.finish(world, chain, Outcome::new(result));
            }
            Plan::Cancel(key) => {
                let result = self.cancel(world, *key);
                self.finish(world, chain, Outcome::new(result));
            }
            Plan::Fail(errno) => {
                let outcome = Outcome::error(*errno);
                self.finish(world, chain, outcome);
            }
        }
    }

    /// Puts a chain in flight whose first request waits for something.
    fn fly(&mut self, world: &World, chain: Chain, timer: Option<Timer>) {
        let limit = chain.get(1).and_then(|next| match &next.plan {
            Plan::LinkTimeout(time) => Some(time.instant(world.now)),
            _ => None,
        });
        self.requests.flights.push(Flight { chain, timer, limit });
    }

    /// Completes the last request in flight, which reads again and again, until it ends: if
    /// operations complete when they are submitted.
    fn shoot_all(&mut self, world: &mut World) {
        let count = self.requests.flights.len();
        while world.pace == Pace::Inline && self.requests.flights.len() == count {
            self.complete(world, count - 1);
        }
    }

    /// Carries out one read of a request that reads again and again. Returns false if it was the
    /// last one, which [`Self::complete`] completes with the outcome.
    fn shoot(&mut self, chain: &Chain, outcome: Outcome) -> bool {
        let Some(request) = chain.front() else { return false };
        let goes_on = matches!(request.plan, Plan::Transfer(Transfer { multishot: true, .. }));
        if !goes_on || outcome.result <= 0 || self.room() == 0 {
            return false;
        }
        let flags = outcome.flags | CqeFlags::MORE;
        let user_data = request.user_data;
        let cqe = io_uring_cqe { user_data, res: outcome.result, flags, ..io_uring_cqe::ZEROED };
        let shot = Completion { cqe, extra: None, counts: true };
        self.requests.work.push_back(Work::Shot(shot));
        true
    }

    /// Completes the request in flight with the index `nth`, in the order in which they started.
    pub(super) fn complete(&mut self, world: &mut World, nth: usize) -> bool {
        if nth >= self.requests.flights.len() {
            return false;
        }
        let flight = self.requests.flights.remove(nth);
        if flight.timer.is_some() {
            self.fire(flight.chain);
        } else {
            let outcome = self.transfer(world, &flight.chain);
            if self.shoot(&flight.chain, outcome) {
                self.requests.flights.insert(nth, flight);
            } else {
                self.requests.work.push_back(Work::Finish(flight.chain, outcome));
            }
        }
        true
    }

    /// Completes the operations in flight that complete when a call asks for completions. Returns
    /// whether there were any.
    pub(super) fn bring_in(&mut self, world: &mut World) -> bool {
        let mut any = false;
        while world.pace != Pace::Held {
            let nth = self.requests.flights.iter().position(|flight| flight.timer.is_none());
            let Some(nth) = nth else { break };
            any |= self.complete(world, nth);
        }
        any
    }

    /// Executes the transfer that is the first request of `chain`.
    pub(super) fn transfer(&mut self, world: &mut World, chain: &Chain) -> Outcome {
        let Some(Plan::Transfer(transfer)) = chain.front().map(|request| &request.plan) else {
            return Outcome::error(Errno::INVAL);
        };
        let mut flags = CqeFlags::empty();
        let mut wanted = transfer.ranges.iter().map(|range| range.len).sum();
        let result = self.moved(world, transfer, &mut wanted, &mut flags);
        let short = result.is_ok_and(|moved| moved < wanted);
        // A transfer has less than 2^31 bytes.
        let result = result.map(|moved| i32::try_from(moved).unwrap_or(i32::MAX));
        let outcome = Outcome::new(result);
        Outcome { flags, failed: outcome.failed || short, ..outcome }
    }

    /// Executes a transfer and returns how many bytes it moved. Stores the picked buffer in
    /// `flags`, and the full number of bytes in `wanted`.
    fn moved(
        &mut self,
        world: &mut World,
        transfer: &Transfer,
        wanted: &mut usize,
        flags: &mut CqeFlags,
    ) -> Result<usize, Errno> {
        let program = self.program();
        let file = world.files.get_mut(&transfer.file).ok_or(Errno::BADF)?;
        let limit = match world.transfer_faults.pop_front() {
            Some(TransferFault::Fail(errno)) => return Err(errno),
            Some(TransferFault::Short(limit)) => limit,
            None => usize::MAX,
        };
        let picked: [Range; 1];
        let mut ranges = transfer.ranges.as_slice();
        if let Some(group) = transfer.group {
            if !program.trusted {
                return Err(Errno::FAULT);
            }
            let group = self.groups.get_mut(&group).ok_or(Errno::NOBUFS)?;
            let buffer = group.pick(*wanted)?;
            *flags = buffer.flags;
            *wanted = buffer.range.len;
            picked = [buffer.range];
            ranges = &picked;
        }
        if transfer.write {
            // SAFETY: the program keeps the ranges valid until the request is complete, by the
            // contract of pushing.
            unsafe { file.write(program, transfer.at, ranges, limit) }
        } else {
            // SAFETY: as above; provided buffers by the contract of adding them.
            unsafe { file.read(program, transfer.at, ranges, limit) }
        }
    }

    /// Makes a timeout fire.
    fn fire(&mut self, chain: Chain) {
        let is_success = chain.front().is_some_and(|request| {
            matches!(request.plan, Plan::Timeout { etime_is_success: true, .. })
        });
        let failed = !is_success;
        self.requests.fired += 1;
        let outcome = Outcome { failed, counts: false, ..Outcome::error(Errno::TIME) };
        self.requests.work.push_back(Work::Finish(chain, outcome));
    }

    /// Makes the timeouts that are due fire, in the order of their times.
    pub(super) fn fire_due(&mut self, world: &World) {
        while let Some((nth, at)) = self.next_timer() {
            if at > world.now {
                return;
            }
            let mut flight = self.requests.flights.remove(nth);
            if flight.limit != Some(at) {
                self.fire(flight.chain);
            } else if let Some(limited) = flight.chain.pop_front() {
                self.end_limit(&mut flight.chain, Errno::TIME);
                flight.chain.push_front(limited);
                let outcome = Outcome::error(Errno::CANCELED);
                self.requests.work.push_back(Work::Finish(flight.chain, outcome));
            }
        }
    }

    /// Returns the timeout that fires next, or what is limited by one, and the time.
    pub(super) fn next_timer(&self) -> Option<(usize, i128)> {
        let flights = self.requests.flights.iter().enumerate();
        let timers = flights.filter_map(|(nth, flight)| {
            let timer = flight.timer.map(|timer| timer.at);
            Some((nth, timer.into_iter().chain(flight.limit).min()?))
        });
        timers.min_by_key(|(_, at)| *at)
    }

    /// Completes the timeouts for which enough other operations have completed.
    pub(super) fn fire_counted(&mut self) {
        loop {
            let counted = self.completions.counted;
            let is_due = |flight: &Flight| {
                flight.timer.and_then(|timer| timer.count).is_some_and(|count| counted >= count)
            };
            let Some(nth) = self.requests.flights.iter().position(is_due) else { return };
            let flight = self.requests.flights.remove(nth);
            self.requests.fired += 1;
            let outcome = Outcome { counts: false, ..Outcome::new(Ok(0)) };
            self.requests.work.push_back(Work::Finish(flight.chain, outcome));
        }
    }

    /// Removes the first timeout with `user_data`, or changes its time.
    fn remove_timeout(
        &mut self,
        world: &World,
        user_data: u64,
        time: Option<Time>,
    ) -> Result<i32, Errno> {
        let is_meant = |flight: &Flight| {
            let same = flight.chain.front().is_some_and(|request| request.user_data == user_data);
            flight.timer.is_some() && same
        };
        let nth = self.requests.flights.iter().position(is_meant).ok_or(Errno::NOENT)?;
        if let Some(time) = time {
            if let Some(flight) = self.requests.flights.get_mut(nth) {
                // As in the kernel, the count is dropped.
                flight.timer = Some(Timer { at: time.instant(world.now), count: None });
            }
        } else {
            self.cancel_flight(nth);
        }
        Ok(0)
    }

    /// Cancels matching requests. Returns how many, if all were requested.
    fn cancel(&mut self, world: &mut World, key: Key) -> Result<i32, Errno> {
        type F = CancelFlags;
        if key.flags.contains(F::FD) && !world.files.contains_key(&key.file) {
            return Err(Errno::BADF);
        }
        let all = key.flags.intersects(F::ALL | F::ANY);
        let found = self.requests.flights.iter().filter(|flight| key.matches(flight)).count();
        if world.refused_cancels > 0 && found > 0 {
            world.refused_cancels -= 1;
            // There are less than 2^31 operations in flight.
            let found = i32::try_from(found).unwrap_or(i32::MAX);
            return if all { Ok(found) } else { Err(Errno::ALREADY) };
        }
        let mut count = 0;
        while let Some(nth) = self.requests.flights.iter().position(|flight| key.matches(flight)) {
            self.cancel_flight(nth);
            if !all {
                return Ok(0);
            }
            count += 1;
        }
        if all { Ok(count) } else { Err(Errno::NOENT) }
    }

    /// Cancels everything in flight.
    pub(super) fn cancel_flights(&mut self) {
        while !self.requests.flights.is_empty() {
            self.cancel_flight(0);
        }
    }

    fn cancel_flight(&mut self, nth: usize) {
        let flight = self.requests.flights.remove(nth);
        let outcome = Outcome::error(Errno::CANCELED);
        self.requests.work.push_back(Work::Finish(flight.chain, outcome));
    }
}

impl Key {
    fn matches(&self, flight: &Flight) -> bool {
        type F = CancelFlags;
        let Some(request) = flight.chain.front() else { return false };
        let file =
            if let Plan::Transfer(transfer) = &request.plan { Some(transfer.file) } else { None };
        let by_user_data =
            self.flags.contains(F::USERDATA) || !self.flags.intersects(F::FD | F::OP);
        self.flags.contains(F::ANY)
            || !((self.flags.contains(F::FD) && file != Some(self.file))
                || (self.flags.contains(F::OP)
                    && u32::from(request.opcode.as_raw()) != self.opcode)
                || (by_user_data && request.user_data != self.user_data))
    }
}
