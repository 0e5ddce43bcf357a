//! [`Player`]: plays a program on a ring, beside the model.

use core::time::Duration;
use std::rc::Rc;

use ringbolt::jobs::{Jobs, Key, OwnedJobs, Place, SafeRing};
use ringbolt::ops::Group;
use ringbolt::sys::SetupFlags;
use ringbolt::{AnyThread, Builder, OneThread};

use super::super::bytes::Bytes;
use super::book::{Book, Where, guard, panic};
use super::flight::{Flight, Form};
use super::pool::{BUFFER, Pool};
use super::tally::Tally;
use super::value::Value;
use super::world::World;

/// A ring that is used by one thread, or by any.
pub(super) trait Threads: Sized {
    /// Whether such rings have provided buffers.
    const PROVIDES: bool;

    fn ring(builder: &Builder<'_>, entries: u32) -> SafeRing<Self>;

    /// A group of `count` provided buffers, if such rings have any.
    fn provide(jobs: &mut Jobs<'_, '_, Value, Self>, count: u16) -> Option<Group>;
}

impl Threads for OneThread {
    const PROVIDES: bool = true;

    fn ring(builder: &Builder<'_>, entries: u32) -> SafeRing<Self> {
        SafeRing::build_local(builder, entries).expect("a ring")
    }

    fn provide(jobs: &mut Jobs<'_, '_, Value, Self>, count: u16) -> Option<Group> {
        Some(jobs.provide(count, BUFFER).expect("a group"))
    }
}

impl Threads for AnyThread {
    const PROVIDES: bool = false;

    fn ring(builder: &Builder<'_>, entries: u32) -> SafeRing<Self> {
        SafeRing::build(builder, entries).expect("a ring")
    }

    fn provide(_: &mut Jobs<'_, '_, Value, Self>, _: u16) -> Option<Group> {
        None
    }
}

/// What plays a program on one ring.
pub(crate) struct Player<'p, 'i> {
    pub(super) bytes: &'p mut Bytes<'i>,
    pub(super) tally: &'p mut Tally,
    pub(super) world: World,
    pub(super) book: Rc<Book>,
    pub(super) leaks: bool,
    pub(super) depth: u32,
    /// The values that the program has.
    pub(super) held: Vec<Value>,
    pub(super) flights: Vec<(Key, Flight)>,
    /// Every key of these jobs.
    pub(super) keys: Vec<Key>,
    /// How many entries the ring has.
    pub(super) slots: u32,
    pub(super) polled: bool,
    /// The value that the next call drops.
    pub(super) shown: Option<usize>,
    pub(super) pool: Pool,
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
            polled: false,
            shown: None,
            pool: Pool::default(),
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
        self.pool.check();
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
        self.polled = flags.contains(SetupFlags::SQPOLL);
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

    fn scope<Th: Threads>(&mut self, ring: &mut SafeRing<Th>, places: &mut [Place<Value>]) {
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
    fn owned<Th: Threads>(&mut self, ring: SafeRing<Th>) -> Option<SafeRing<Th>> {
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
                let flight = self.flights.iter().find(|(other, _)| *other == key);
                let (_, flight) = flight.expect("the key of a job in flight");
                // The kernel may be writing to the value of any other.
                assert_eq!(running.value(key).is_some(), flight.form == Form::Multi);
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
        self.pool.end();
    }

    /// Plays until the program says that these jobs end.
    fn turns<Th: Threads>(&mut self, jobs: &mut Jobs<'_, '_, Value, Th>) {
        if self.bytes.below(3) == 0 {
            self.provide(jobs);
        }
        for _ in 0..80 {
            if self.bytes.is_empty() {
                break;
            }
            match self.bytes.below(25) {
                0..7 => self.start(jobs),
                7..11 => self.take(jobs),
                11..13 => self.wait(jobs),
                13..15 => drop(self.call(jobs, |jobs| jobs.submit().is_ok())),
                15 => drop(self.call(jobs, |jobs| jobs.submit_and_wait(0).is_ok())),
                16 => self.cancel(jobs),
                17 => self.cancel_stale(jobs),
                18..20 => self.world.stir(self.bytes),
                20 => self.world.fail(self.bytes),
                21 => self.pool.give_back(self.bytes.u8()),
                22 if self.bytes.bool() => self.provide(jobs),
                22 => drop(self.held.pop().map(|value| guard(move || drop(value)))),
                23 if self.depth < 2 => {
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
}
