//! What a [`Player`] does in one turn, and what it expects of it.

use core::cell::Cell;

use ringbolt::jobs::{Event, Jobs, Key, Received, Refused};
use ringbolt::ops::Group;
use ringbolt::rustix::io::Errno;

use super::book::{Where, guard, panic};
use super::flight::{Flight, Form};
use super::play::{Player, Threads};
use super::start::{restart, start};
use super::value::{LINKS, Plan, Step, Value, What};
use super::world::Source;

impl Player<'_, '_> {
    /// Makes a call, which drops what is shown. `None` if that panics.
    pub(super) fn call<'j, J, R>(
        &mut self,
        jobs: &'j mut J,
        call: impl FnOnce(&'j mut J) -> R,
    ) -> Option<R> {
        let result = guard(move || call(jobs));
        if let Some(id) = self.shown.take() {
            assert_eq!(self.book.find(id), Where::Gone, "value {id} was shown");
        }
        self.tally.bombs += u64::from(result.is_none());
        result
    }

    fn form(&mut self) -> (Form, Plan) {
        let forms = [
            Form::Alone,
            Form::Alone,
            Form::Chain,
            Form::Quiet,
            Form::Take,
            Form::Take,
            Form::Multi,
        ];
        let mut form = self.bytes.one_of(&forms);
        if matches!(form, Form::Take | Form::Multi) {
            let wish = if self.bytes.below(4) > 0 { self.pool.group } else { self.pool.stale };
            let source =
                if form == Form::Take && self.bytes.bool() { Source::Ready } else { Source::Slow };
            if let Some(group) = wish {
                let lives = self.pool.group == Some(group);
                self.tally.stale_groups += u64::from(!lives);
                let offset = if source == Source::Ready { self.bytes.below(202) } else { 0 };
                return (form, Plan::take(source, offset.into(), group, lives));
            }
            form = Form::Alone;
        }
        let most = if form == Form::Alone { 1 } else { LINKS };
        (form, Plan::read(self.bytes, most))
    }

    pub(super) fn start<Th: Threads>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        let (form, plan) = self.form();
        let (is_new, panics) = (self.bytes.bool(), self.bytes.below(16) == 0);
        let bomb = self.bytes.below(16) == 0;
        let new = || Value::new(&self.book, self.world.targets(), bomb);
        let mut value = if is_new { new() } else { self.held.pop().unwrap_or_else(new) };
        value.plan(plan);
        let (id, is_made) = (value.id, Cell::new(false));
        let before = || {
            is_made.set(true);
            if panics {
                panic();
            }
        };
        let started = self.call(jobs, |jobs| start(jobs, value, form, &plan, before));
        self.note(id, form, plan, started, is_made.get());
    }

    /// Notes what became of a start.
    fn note(
        &mut self,
        id: usize,
        form: Form,
        plan: Plan,
        started: Option<Result<Key, Refused<Value>>>,
        is_made: bool,
    ) {
        match started {
            None if is_made => {
                self.tally.panics += 1;
                self.show(id);
            }
            // What was dropped first has panicked, and the value went with the arguments.
            None => assert_eq!(self.book.find(id), Where::Gone),
            Some(Ok(key)) => {
                assert!(!Flight::is_unfit(&plan, form), "{plan:?} was started");
                self.tally.started += 1;
                self.tally.chains += u64::from(form != Form::Alone);
                self.book.put(id, Where::Flying);
                let simulated = self.world.kernel().is_some();
                self.flights.push((
                    key,
                    Flight { id, form, plan, asked: false, simulated, polled: self.polled },
                ));
                self.keys.push(key);
            }
            Some(Err(Refused { value, cause })) => {
                self.tally.refused += 1;
                Flight::may_be_refused(&plan, form, self.slots, cause);
                assert_eq!(value.id, id, "another value came back");
                self.book.put(id, Where::Held);
                value.check();
                self.held.push(value);
            }
        }
    }

    fn show(&mut self, id: usize) {
        self.book.put(id, Where::Shown);
        self.shown = Some(id);
    }

    pub(super) fn take<Th: Threads>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        let event = self.call(jobs, Jobs::next).flatten();
        if let Some(event) = event {
            self.event(event, true);
        }
    }

    pub(super) fn wait<Th: Threads>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        let is_sure = self.flights.iter().any(|(_, flight)| flight.is_sure());
        if !is_sure && !self.flights.is_empty() && self.world.kernel().is_none() {
            // The running kernel would wait for ever.
            return;
        }
        match self.call(jobs, Jobs::wait_next) {
            Some(Ok(Some(event))) => self.event(event, true),
            Some(Ok(None)) => assert!(self.flights.is_empty(), "lost: {:?}", self.flights),
            // A simulated kernel reports that nothing would ever come, or fails as it was told to.
            Some(Err(error)) => assert!(self.world.kernel().is_some(), "{error}"),
            None => {}
        }
    }

    /// An event has come. `again` allows that its job is started again.
    fn event<Th: Threads>(&mut self, event: Event<'_, '_, '_, Value, Th>, again: bool) {
        self.tally.events += 1;
        let (key, id) = (event.key(), event.id);
        let at = self.flights.iter().position(|(other, _)| *other == key);
        let at = at.expect("an event of a job in flight");
        assert_eq!(self.flights[at].1.id, id, "the value of another job");
        self.flights[at].1.plan.revive(self.pool.group);
        if event.has_more() {
            return self.go_on(at, event);
        }
        let (_, flight) = self.flights.swap_remove(at);
        let mut done = event.expect_done();
        let count = flight.plan.steps().len();
        let results: Vec<_> = (0..count).map(|nth| done.result_of(nth)).collect();
        assert_eq!(done.result_of(count), Err(Errno::INVAL));
        flight.check(&results);
        done.complete(&results);
        self.tally.ran_dry += u64::from(results[0] == Err(Errno::NOBUFS));
        let is_limited = |step: &Step| matches!(step.what, What::Limit(_));
        self.tally.limited += u64::from(flight.plan.steps().iter().any(is_limited));
        if matches!(flight.form, Form::Take | Form::Multi) && self.bytes.bool() {
            let received = done.received();
            self.receive(flight.plan.steps()[0], results[0], received);
        }
        match self.bytes.below(8) {
            0..2 => {
                let value = done.finish();
                self.book.put(id, Where::Held);
                value.check();
                self.held.push(value);
            }
            2 => self.show(id),
            3 => {
                self.tally.forgotten += 1;
                self.show(id);
                core::mem::forget(done);
            }
            _ if again => {
                let (form, plan) = self.form();
                let panics = self.bytes.below(8) == 0;
                done.plan(plan);
                let restarted = guard(|| {
                    restart(done, form, &plan, || {
                        if panics {
                            panic();
                        }
                    })
                });
                self.tally.restarts += 1;
                if let Some(result) = &restarted {
                    self.tally.refused_restarts += u64::from(result.is_err());
                    assert!(result.as_ref().map_or(true, |other| *other == key), "another key");
                }
                self.note(id, form, plan, restarted, true);
            }
            _ => self.show(id),
        }
    }

    /// An event of a job that goes on.
    fn go_on<Th: Threads>(&mut self, at: usize, mut event: Event<'_, '_, '_, Value, Th>) {
        self.tally.went_on += 1;
        let flight = &self.flights[at].1;
        assert_eq!(flight.form, Form::Multi, "{flight:?} goes on");
        let (step, result) = (flight.plan.steps()[0], event.result());
        assert!(result.is_ok_and(|len| len > 0), "it goes on with {result:?}");
        event.check();
        match self.bytes.below(4) {
            0 => {}
            1 => core::mem::forget(event),
            _ => {
                let received = event.received();
                assert!(event.received().is_none(), "a second buffer");
                assert!(event.done().is_none());
                self.receive(step, result, received);
            }
        }
    }

    /// The program takes the buffer of an event.
    fn receive(&mut self, step: Step, result: Result<u32, Errno>, received: Option<Received>) {
        let What::Take(source, offset, _, lives) = step.what else { return };
        let len = result.unwrap_or(0) as usize;
        let Some(received) = received else {
            assert_eq!(len, 0, "there is no buffer with {result:?}");
            return;
        };
        assert!(lives, "a buffer of a group that is gone");
        self.tally.received += 1;
        self.pool.take(received, &source.bytes(offset, len));
    }

    pub(super) fn provide<Th: Threads>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        let count = self.bytes.one_of(&[1_u16, 2, 4]);
        if self.pool.group.is_none() && Th::PROVIDES {
            self.pool.group = self.call(jobs, |jobs| Th::provide(jobs, count)).flatten();
            self.pool.count = count.into();
        }
    }

    /// Every buffer of the group is with the kernel, when the program has none: each is taken.
    fn audit<Th: Threads>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>, group: Group) {
        self.tally.audits += 1;
        self.pool.give_all_back();
        let (mut count, mut is_dry) = (0, false);
        for _ in 0..64 {
            let mut value = Value::new(&self.book, self.world.targets(), false);
            value.plan(Plan::take(Source::Ready, 0, group, true));
            let id = value.id;
            self.world.settle();
            if let Err(refused) = jobs.start(value, Value::op) {
                drop(refused.value);
                continue;
            }
            self.book.put(id, Where::Flying);
            let mut done = loop {
                // A simulated kernel may fail as it was told to.
                let _ = jobs.submit_and_wait(1);
                if let Some(event) = jobs.next() {
                    break event.expect_done();
                }
            };
            let result = done.result();
            self.book.put(id, Where::Held);
            if let Ok(len) = result {
                count += 1;
                let received = done.received().expect("a buffer");
                self.pool.take(received, &Source::Ready.bytes(0, len as usize));
            }
            is_dry = result == Err(Errno::NOBUFS);
            drop(done.finish());
            if is_dry {
                break;
            }
        }
        assert!(is_dry && count == self.pool.count, "{count} of {} buffers", self.pool.count);
        self.pool.give_all_back();
    }

    pub(super) fn cancel<Th: Threads>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        if self.flights.is_empty() {
            return;
        }
        let at = usize::from(self.bytes.u8()) % self.flights.len();
        let key = self.flights[at].0;
        if let Some(Ok(())) = self.call(jobs, |jobs| jobs.cancel(key)) {
            self.tally.cancels += 1;
            self.flights[at].1.asked = true;
        }
    }

    /// Cancels by any key that there was: that of a job that is over cancels nobody.
    pub(super) fn cancel_stale<Th: Threads>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        if self.keys.is_empty() {
            return;
        }
        let key = self.keys[usize::from(self.bytes.u8()) % self.keys.len()];
        if let Some(Ok(())) = self.call(jobs, |jobs| jobs.cancel(key)) {
            let flight = self.flights.iter_mut().find(|(other, _)| *other == key);
            self.tally.stale_cancels += u64::from(flight.is_none());
            flight.into_iter().for_each(|(_, flight)| flight.asked = true);
        }
    }

    /// Lets everything complete, and takes all events.
    pub(super) fn finish<Th: Threads>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        let patience = self.world.patience();
        for _ in 0..2000 {
            self.world.settle();
            for at in 0..self.flights.len() {
                let (key, flight) = &self.flights[at];
                let key = *key;
                if flight.form == Form::Multi {
                    // It would go on as long as there are buffers.
                    let done = self.call(jobs, |jobs| jobs.cancel(key));
                    self.flights[at].1.asked |= done == Some(Ok(()));
                }
            }
            while let Some(event) = self.call(jobs, Jobs::next).unwrap_or_default() {
                self.event(event, false);
            }
            if self.flights.is_empty() {
                break;
            }
            self.call(jobs, |jobs| _ = jobs.submit_and_wait_timeout(1, patience));
        }
        assert!(self.flights.is_empty(), "lost: {:?}", self.flights);
        // What was shown last may panic.
        assert!(self.call(jobs, |jobs| jobs.next().is_none()).unwrap_or(true));
        assert!(jobs.is_empty(), "{jobs:?}");
        if let Some(group) = self.pool.group.filter(|_| jobs.capacity() > 0) {
            self.audit(jobs, group);
        }
    }
}
