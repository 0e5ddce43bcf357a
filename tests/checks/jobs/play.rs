//! [`Player`]: plays a program on a ring, beside the model.

use core::cell::Cell;
use core::time::Duration;
use std::rc::Rc;

use ringbolt::jobs::{Event, Jobs, Key, OwnedJobs, Place, Refused, SafeRing};
use ringbolt::rustix::io::Errno;
use ringbolt::sys::SetupFlags;
use ringbolt::{AnyThread, Builder, OneThread};

use super::super::bytes::Bytes;
use super::book::{Book, Where, guard, panic};
use super::flight::{Flight, Form};
use super::start::{restart, start};
use super::value::{LINKS, Plan, Value};
use super::world::World;

/// How often what was meant to happen has happened.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) started: u64,
    pub(crate) refused: u64,
    pub(crate) events: u64,
    pub(crate) chains: u64,
    pub(crate) forgotten: u64,
    pub(crate) restarts: u64,
    pub(crate) refused_restarts: u64,
    pub(crate) panics: u64,
    pub(crate) bombs: u64,
    pub(crate) cancels: u64,
    pub(crate) stale_cancels: u64,
    pub(crate) scopes: u64,
    pub(crate) owned: u64,
    pub(crate) drained: u64,
    pub(crate) late_shutdowns: u64,
    pub(crate) leaked: u64,
    pub(crate) nested: u64,
}

impl Tally {
    fn all(&mut self) -> [(&'static str, &mut u64); 17] {
        [
            ("started", &mut self.started),
            ("refused", &mut self.refused),
            ("events", &mut self.events),
            ("chains", &mut self.chains),
            ("forgotten", &mut self.forgotten),
            ("restarts", &mut self.restarts),
            ("refused_restarts", &mut self.refused_restarts),
            ("panics", &mut self.panics),
            ("bombs", &mut self.bombs),
            ("cancels", &mut self.cancels),
            ("stale_cancels", &mut self.stale_cancels),
            ("scopes", &mut self.scopes),
            ("owned", &mut self.owned),
            ("drained", &mut self.drained),
            ("late_shutdowns", &mut self.late_shutdowns),
            ("leaked", &mut self.leaked),
            ("nested", &mut self.nested),
        ]
    }

    pub(crate) fn add(&mut self, mut other: Self) {
        self.all().into_iter().zip(other.all()).for_each(|((_, sum), (_, more))| *sum += *more);
    }

    /// Fails if something never happened.
    pub(crate) fn assert_everything_has_happened(mut self) {
        for (name, count) in self.all() {
            assert!(*count > 0, "nothing was {name}");
        }
    }
}

/// A ring that is used by one thread, or by any.
trait Threads: Sized {
    fn ring(builder: &Builder<'_>, entries: u32) -> SafeRing<Self>;
}

impl Threads for OneThread {
    fn ring(builder: &Builder<'_>, entries: u32) -> SafeRing<Self> {
        SafeRing::build_local(builder, entries).expect("a ring")
    }
}

impl Threads for AnyThread {
    fn ring(builder: &Builder<'_>, entries: u32) -> SafeRing<Self> {
        SafeRing::build(builder, entries).expect("a ring")
    }
}

/// What plays a program on one ring.
pub(crate) struct Player<'p, 'i> {
    bytes: &'p mut Bytes<'i>,
    tally: &'p mut Tally,
    world: World,
    book: Rc<Book>,
    leaks: bool,
    depth: u32,
    /// The values that the program has.
    held: Vec<Value>,
    flights: Vec<(Key, Flight)>,
    /// Every key of these jobs.
    keys: Vec<Key>,
    /// How many entries the ring has.
    slots: u32,
    /// The value that the next call drops.
    shown: Option<usize>,
}

impl<'p, 'i> Player<'p, 'i> {
    pub(crate) fn new(
        bytes: &'p mut Bytes<'i>,
        tally: &'p mut Tally,
        world: World,
        leaks: bool,
    ) -> Self {
        Self {
            bytes,
            tally,
            book: Rc::new(Book::new(world.kernel().cloned())),
            world,
            leaks,
            depth: 0,
            held: Vec::new(),
            flights: Vec::new(),
            keys: Vec::new(),
            slots: 0,
            shown: None,
        }
    }

    /// Plays the program, or a part of it on this ring.
    pub(crate) fn play(mut self) {
        match self.bytes.below(8) {
            0..4 => self.ring::<OneThread>(SetupFlags::empty()),
            4 | 5 => self.ring::<AnyThread>(SetupFlags::empty()),
            6 => self.ring::<AnyThread>(SetupFlags::COOP_TASKRUN),
            _ => self.ring::<AnyThread>(SetupFlags::SQPOLL),
        }
        for value in self.held.drain(..) {
            let id = value.id;
            guard(move || drop(value));
            assert_eq!(self.book.find(id), Where::Gone);
        }
        self.book.check_end();
    }

    fn ring<Th: Threads>(&mut self, flags: SetupFlags) {
        let entries = 1 << self.bytes.below(4);
        let ring = Th::ring(&self.world.builder().flags(flags), entries);
        self.slots = ring.entries().0;
        let mut places: Vec<Place<Value>> = Vec::new();
        let count = self.places();
        places.resize_with(count as usize, Place::new);
        let mut ring = Some(ring);
        for _ in 0..4 {
            let Some(mut this) = ring.take() else { return };
            ring = if self.bytes.bool() {
                self.scope(&mut this, &mut places);
                Some(this)
            } else {
                self.owned(this)
            };
            if self.bytes.is_empty() {
                return;
            }
        }
    }

    /// How many places: few, and sometimes none.
    fn places(&mut self) -> u32 {
        self.bytes.one_of(&[1, 2, 3, 4, 6, 8, 16, 0])
    }

    fn scope<Th>(&mut self, ring: &mut SafeRing<Th>, places: &mut [Place<Value>]) {
        self.tally.scopes += 1;
        let left = guard(|| {
            ring.scope(places, |jobs| {
                self.turns(jobs);
                self.book.ends.set(true);
                if self.bytes.below(4) == 0 {
                    panic();
                }
            });
        });
        self.tally.panics += u64::from(left.is_none());
        self.ended(Where::Gone);
    }

    /// Returns the ring, if it can be had back.
    fn owned<Th>(&mut self, ring: SafeRing<Th>) -> Option<SafeRing<Th>> {
        self.tally.owned += 1;
        let mut jobs = ring.into_jobs(self.places());
        self.turns(&mut jobs);
        self.book.ends.set(true);
        match self.bytes.below(5) {
            0 if self.leaks => {
                self.tally.leaked += 1;
                core::mem::forget(jobs);
                self.ended(Where::Leaked);
                None
            }
            0 | 1 => {
                guard(|| drop(jobs));
                self.ended(Where::Gone);
                None
            }
            2 => self.shut_down(jobs, Duration::ZERO),
            _ => self.shut_down(jobs, Duration::from_secs(10)),
        }
    }

    fn shut_down<Th>(
        &mut self,
        jobs: OwnedJobs<Value, Th>,
        time: Duration,
    ) -> Option<SafeRing<Th>> {
        let mut stopped = guard(|| jobs.shutdown(time));
        if let Some(Err(running)) = stopped {
            assert_eq!(time, Duration::ZERO, "{running}");
            self.tally.late_shutdowns += 1;
            for key in running.keys() {
                assert!(self.flights.iter().any(|(other, _)| *other == key), "{key:?}");
                assert!(running.value(key).is_none(), "the kernel may write to it");
            }
            self.world.settle();
            stopped = guard(|| running.wait(Duration::from_secs(10)));
        }
        self.ended(Where::Gone);
        let stopped = stopped?;
        Some(stopped.unwrap_or_else(|running| panic!("{running}")))
    }

    /// The jobs are over: their values are `gone`.
    fn ended(&mut self, gone: Where) {
        self.book.ends.set(false);
        let flying = self.flights.drain(..).map(|(_, flight)| flight.id);
        for id in flying.chain(self.shown.take()) {
            self.tally.drained += 1;
            if gone == Where::Leaked {
                self.book.put(id, gone);
            }
            assert_eq!(self.book.find(id), gone, "value {id}");
        }
        self.keys.clear();
    }

    /// Plays until the program says that these jobs end.
    fn turns<Th>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        for _ in 0..80 {
            if self.bytes.is_empty() {
                break;
            }
            match self.bytes.below(24) {
                0..7 => self.start(jobs),
                7..11 => self.take(jobs),
                11..13 => self.wait(jobs),
                13..15 => drop(self.call(jobs, |jobs| jobs.submit().is_ok())),
                15 => drop(self.call(jobs, |jobs| jobs.submit_and_wait(0).is_ok())),
                16 => self.cancel(jobs),
                17 => self.cancel_stale(jobs),
                18..20 => self.world.stir(self.bytes),
                20 => self.world.fail(self.bytes),
                21 => drop(self.held.pop().map(|value| guard(move || drop(value)))),
                22 if self.depth < 2 => {
                    self.tally.nested += 1;
                    let world = self.world.another();
                    let player = Player::new(self.bytes, self.tally, world, self.leaks);
                    Player { depth: self.depth + 1, ..player }.play();
                }
                _ => break,
            }
        }
        if self.bytes.below(3) > 0 {
            self.finish(jobs);
        }
    }

    /// Makes a call, which drops what is shown. `None` if that panics.
    fn call<'j, J, R>(&mut self, jobs: &'j mut J, call: impl FnOnce(&'j mut J) -> R) -> Option<R> {
        let result = guard(move || call(jobs));
        if let Some(id) = self.shown.take() {
            assert_eq!(self.book.find(id), Where::Gone, "value {id} was shown");
        }
        self.tally.bombs += u64::from(result.is_none());
        result
    }

    fn form(&mut self) -> (Form, Plan) {
        let form = self.bytes.one_of(&[Form::Alone, Form::Alone, Form::Chain, Form::Quiet]);
        let most = if form == Form::Alone { 1 } else { LINKS };
        (form, Plan::read(self.bytes, most))
    }

    fn start<Th>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
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
                self.flights.push((key, Flight { id, form, plan, asked: false }));
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

    fn take<Th>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        let event = self.call(jobs, Jobs::next).flatten();
        if let Some(event) = event {
            self.event(event, true);
        }
    }

    fn wait<Th>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
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
    fn event<Th>(&mut self, event: Event<'_, '_, '_, Value, Th>, again: bool) {
        self.tally.events += 1;
        let (key, id) = (event.key(), event.id);
        let at = self.flights.iter().position(|(other, _)| *other == key);
        let (_, flight) = self.flights.swap_remove(at.expect("an event of a job in flight"));
        assert_eq!(flight.id, id, "the value of another job");
        let mut done = event.expect_done();
        let count = flight.plan.steps().len();
        let results: Vec<_> = (0..count).map(|nth| done.result_of(nth)).collect();
        assert_eq!(done.result_of(count), Err(Errno::INVAL));
        flight.check(&results);
        done.complete(&results);
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

    fn cancel<Th>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
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
    fn cancel_stale<Th>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
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
    fn finish<Th>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        let patience = self.world.patience();
        for _ in 0..2000 {
            self.world.settle();
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
    }
}
