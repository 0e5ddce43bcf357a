//! The runner: each action on the real queues over the simulated kernel, and on the model.
//!
//! After each action everything that can be asked is compared. At the end all that is in flight
//! is completed and taken, and the accounts are settled.

use core::cell::Cell;
use core::marker::PhantomData;
use core::mem::MaybeUninit;

use ringbolt::sim::{Fault, Kernel, Pace, Word};
use ringbolt::sys::{Opcode, SqStatus, io_uring_cqe};
use ringbolt::{Builder, OneThread, PushError, Sqe, SubmissionQueue};

use super::Script;
use super::action::{Action, Call, DrainFate, Fate};
use super::config::{Config, Width};
use super::kinds::{Completed, Submitted, refusal, taken};
use super::ledger::{Ledger, file};
use super::model::{Completion, Entry, Model, Origin, Refusal};
use super::op::{Op, READ_FROM, WRITE_TO};
use super::provided::Provided;
use super::resize::check_unusable;
use super::rings::{Queues, Rings};

/// A ring and all that is known of it.
pub(super) struct Runner<S, C> {
    rings: PhantomData<(S, C)>,
    pub(super) kernel: Kernel,
    pub(super) model: Model,
    pub(super) config: Config,
    pub(super) provided: Provided,
    pub(super) ledger: Ledger,
}

thread_local! {
    /// Whether a panic of this thread is one of many on the way to the smallest script.
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Has this thread say nothing where a script fails, or say it again.
pub(crate) fn be_quiet(quiet: bool) {
    IS_QUIET.set(quiet);
}

/// Says on a panic where the script was.
struct Place<'s> {
    script: &'s Script,
    step: usize,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() && !IS_QUIET.get() {
            eprintln!("at action {} of this script:\n{}", self.step, self.script);
        }
    }
}

/// Runs a script. Panics if something is not as it should be.
pub(crate) fn run(script: &Script) {
    let builder = script.config.builder();
    match script.config.sq {
        Width::Narrow => run_wide(script, &builder),
        Width::Wide => run_wide(script, &builder.sqe128()),
        Width::Mixed => run_wide(script, &builder.sqe_mixed()),
    }
}

fn run_wide<S: Submitted>(script: &Script, builder: &Builder<S>) {
    match script.config.cq {
        Width::Narrow => run_on(script, builder),
        Width::Wide => run_on(script, &builder.clone().cqe32()),
        Width::Mixed => run_on(script, &builder.clone().cqe_mixed()),
    }
}

fn run_on<S: Submitted, C: Completed>(script: &Script, builder: &Builder<S, C>) {
    let mut place = Place { script, step: 0 };
    // The ring is closed before the memory that entries name goes.
    let (mut runner, mut rings) = Runner::new(&script.config, builder);
    let mut actions = script.actions.iter().peekable();
    while let Some(mut action) = actions.next() {
        place.step += 1;
        if action.needs_ring() {
            runner.step_of_ring(&mut rings, action);
            runner.check(&mut rings.queues());
            continue;
        }
        let mut queues = rings.queues();
        loop {
            runner.step(&mut queues, action);
            runner.check(&mut queues);
            if let Action::Forget(half) = action {
                queues.forget(*half);
                break;
            }
            let next = actions.next_if(|next| script.config.holds && !next.needs_ring());
            let Some(next) = next else { break };
            place.step += 1;
            action = next;
        }
    }
    place.step += 1;
    runner.finish(&mut rings);
}

impl<S: Submitted, C: Completed> Runner<S, C> {
    fn new(config: &Config, builder: &Builder<S, C>) -> (Self, Rings<S, C>) {
        let kernel = Kernel::starting_at(config.start);
        kernel.put_file(READ_FROM, file());
        kernel.put_file(WRITE_TO, Vec::new());
        kernel.record_entries(true);
        kernel.record_completions(true);
        let ring = builder.clone().simulated(&kernel).build_local(config.entries());
        let ring = ring.expect("flags that go together");
        let params = ring.params();
        let mut runner = Self {
            model: Model::new(config, params.sq_entries, params.cq_entries),
            rings: PhantomData,
            kernel,
            config: *config,
            provided: Provided::new(config),
            ledger: Ledger::default(),
        };
        runner.set_pace(Pace::Inline);
        (runner, Rings::Whole(ring))
    }

    /// What takes the whole ring.
    fn step_of_ring(&mut self, rings: &mut Rings<S, C>, action: &Action) {
        if self.model.is_unusable {
            return self.try_out_ring(rings, action);
        }
        match action {
            Action::Call(call) => self.call_ring(rings, *call),
            Action::IntoHalves => rings.take_apart(),
            Action::Resize { entries, cq_entries } => self.resize(rings, *entries, *cq_entries),
            Action::AddBuffers { count, len } => {
                self.provided.add(&rings.registrar(), *count, *len);
            }
            _ => {}
        }
    }

    fn step(&mut self, queues: &mut Queues<'_, S, C>, action: &Action) {
        if self.model.is_unusable {
            return self.try_out(queues, action);
        }
        match action {
            Action::Push(op) => self.push(&mut queues.sq, *op),
            Action::PushAll(ops) => self.push_all(queues, ops),
            Action::Reserve { room, ops, fate } => self.reserve(queues, *room, ops, *fate),
            Action::PopBack => self.pop_back(queues),
            Action::Rollback => self.rollback(queues),
            Action::Flush => {
                let fresh = self.model.sq.publish();
                assert_eq!(queues.sq.flush(), fresh, "entries new to the kernel");
            }
            Action::Call(call) => self.call(queues, *call),
            Action::WaitForRoom => self.wait_for_room(queues),
            Action::Pop => self.pop(queues),
            Action::Peek => {
                let next = queues.cq.peek().map(|cqe| cqe.completion());
                assert_eq!(next, self.model.cq.peek(), "the next completion");
            }
            Action::Drain { count, fate } => self.drain(queues, *count, *fate),
            Action::PopInto(room) => self.pop_into(queues, *room),
            Action::Sync => {
                queues.cq.sync();
                self.model.cq.give_back();
            }
            Action::Cross { op, want } => self.cross(queues, *op, *want),
            _ => self.step_of_kernel(queues, action),
        }
    }

    /// What the kernel does, and buffers.
    fn step_of_kernel(&mut self, queues: &mut Queues<'_, S, C>, action: &Action) {
        match action {
            Action::BreakResize(how) => self.break_resize(*how),
            Action::Fault(fault) => self.fault(*fault),
            Action::Post { result } => self.post(*result, false),
            Action::PostWide { result } => self.post(*result, true),
            Action::PostFiller if self.config.cq == Width::Mixed => {
                assert_eq!(self.kernel.post_filler(), self.model.cq.fill(), "room for a filler");
            }
            // The model tells what is lost from what is not by where slots end.
            Action::LoseOverflow(lose) if self.config.cq != Width::Mixed => {
                self.kernel.lose_overflow(*lose);
            }
            Action::Pace(pace) => self.set_pace(*pace),
            Action::Complete(nth) => {
                self.kernel.complete((*nth).into());
            }
            Action::Poll => {
                let slots = self.kernel.poll();
                assert_eq!(self.absorb_taken(), slots, "what the polling thread has taken");
            }
            Action::FallAsleep => {
                let idle = self.config.is_polled() && self.model.sq.published == 0;
                self.model.asleep |= idle;
                assert_eq!(self.kernel.fall_asleep(), idle || self.model.asleep);
            }
            Action::PublishBuffers { with_completions } => {
                let given = with_completions.then_some(&mut queues.cq);
                if self.provided.publish(given) && *with_completions {
                    self.model.cq.give_back();
                }
            }
            Action::Reclaim(count) => self.provided.reclaim(*count),
            Action::Bundle { count, part } => self.provided.bundle(*count, *part),
            _ => {}
        }
        self.absorb_posted();
    }

    /// An entry of the ring's width, and what the model makes of it.
    pub(super) fn make(&mut self, op: Op) -> (S, Entry) {
        let op = op.normal(self.config.sq == Width::Mixed);
        let (origin, buffer) = self.ledger.open(op);
        let entry = S::entry(op, origin.user_data, buffer, self.config.cq != Width::Narrow);
        let (image, slots) = (entry.image(), entry.width());
        if self.config.sq == Width::Mixed {
            let second = op.second_slot(origin.user_data);
            let expected = if second.is_some() { 2 } else { 1 };
            assert_eq!((slots, image.payload), (expected, second), "{op:?}");
        }
        (entry, Entry { image, slots, origin: Some(origin) })
    }

    pub(super) fn make_all(&mut self, ops: &[Op]) -> (Vec<S>, Vec<Entry>) {
        ops.iter().map(|op| self.make(*op)).unzip()
    }

    /// Queues entries in the model. Those that are refused are not in use.
    fn model_push(&mut self, entries: Vec<Entry>) -> Result<(), Refusal> {
        let filler = S::from(Sqe::new(Opcode::NOP).skip_success());
        let filler = Entry { image: filler.image(), slots: 1, origin: None };
        let origins: Vec<_> = entries.iter().filter_map(|entry| entry.origin).collect();
        let pushed = self.model.sq.push(entries, &filler);
        if pushed.is_err() {
            origins.into_iter().for_each(|origin| self.ledger.close(origin));
        }
        pushed
    }

    pub(super) fn push(&mut self, sq: &mut SubmissionQueue<'_, S, OneThread>, op: Op) {
        let (entry, modelled) = self.make(op);
        // SAFETY: the ledger keeps what the entry names until its completion is popped, it is
        // taken back, or the ring is closed.
        let pushed = unsafe { sq.push(entry) };
        self.judge_push(entry, modelled, pushed);
    }

    /// Compares what came of a push.
    fn judge_push(&mut self, entry: S, modelled: Entry, pushed: Result<(), PushError<S>>) {
        let told = pushed.map_err(|error| {
            let refusal = refusal(&error);
            assert_eq!(error.into_entries().image(), entry.image(), "the entry comes back");
            refusal
        });
        assert_eq!(told, self.model_push(vec![modelled]), "push {entry:?}");
    }

    fn push_all(&mut self, queues: &mut Queues<'_, S, C>, ops: &[Op]) {
        let (entries, modelled) = self.make_all(ops);
        // SAFETY: as in `push`.
        let pushed = unsafe { queues.sq.push_all(&entries) };
        let pushed = pushed.map_err(|error| refusal(&error));
        assert_eq!(pushed, self.model_push(modelled), "push_all {ops:?}");
    }

    fn reserve(&mut self, queues: &mut Queues<'_, S, C>, room: u8, ops: &[Op], fate: Fate) {
        let (entries, mut modelled) = self.make_all(ops);
        // SAFETY: as in `push`.
        let put = unsafe { S::reserve(&mut queues.sq, room, &entries, fate) };
        let expected = self.model.sq.fits(room.into()).and_then(|()| {
            let kept = if fate == Fate::Commit { modelled.len().min(room.into()) } else { 0 };
            let unused = modelled.split_off(if put.is_some() { kept } else { 0 });
            unused.iter().filter_map(|e| e.origin).for_each(|o| self.ledger.close(o));
            self.model_push(core::mem::take(&mut modelled)).map(|()| ops.len().min(room.into()))
        });
        modelled.iter().filter_map(|entry| entry.origin).for_each(|o| self.ledger.close(o));
        if let Some(put) = put {
            assert_eq!(put, expected, "reserve {room} for {ops:?}");
        }
    }

    fn pop_back(&mut self, queues: &mut Queues<'_, S, C>) {
        if let Some(back) = S::pop_back(&mut queues.sq) {
            let expected = self.model.sq.pop_back();
            let image = expected.as_ref().map(|entry| &entry.image);
            assert_eq!(back.map(|entry| entry.image()).as_ref(), image, "the entry pushed last");
            self.close(expected);
        }
    }

    fn rollback(&mut self, queues: &mut Queues<'_, S, C>) {
        let slots = queues.sq.rollback();
        let before = self.model.sq.len();
        while let Some(entry) = self.model.sq.pop_back() {
            self.close(Some(entry));
        }
        assert_eq!(slots, before - self.model.sq.len(), "slots rolled back");
    }

    fn close(&mut self, entry: Option<Entry>) {
        if let Some(origin) = entry.and_then(|entry| entry.origin) {
            self.ledger.close(origin);
        }
    }

    pub(super) fn pop(&mut self, queues: &mut Queues<'_, S, C>) {
        let popped = queues.cq.pop().map(|cqe| cqe.completion());
        assert_eq!(popped, self.model.cq.pop(), "the completion popped");
        self.receive(popped);
    }

    pub(super) fn receive(&mut self, completions: impl IntoIterator<Item = Completion>) {
        for completion in completions {
            let origin = self.ledger.popped(&completion);
            origin.into_iter().for_each(|origin| self.provided.popped(origin, &completion));
        }
    }

    fn drain(&mut self, queues: &mut Queues<'_, S, C>, count: u8, fate: DrainFate) {
        self.model.cq.look();
        let mut drain = queues.cq.drain();
        let most = if fate == DrainFate::End { usize::MAX } else { count.into() };
        let mut popped = Vec::new();
        loop {
            let (least, bound) = drain.size_hint();
            let known = self.model.cq.known() as usize;
            let mixed = self.config.cq == Width::Mixed;
            assert_eq!((least, bound), (if mixed { 0 } else { known }, Some(known)));
            if popped.len() == most {
                break;
            }
            let next = drain.next().map(|cqe| cqe.completion());
            assert_eq!(next, self.model.cq.pop_known(), "the next of an iteration");
            let Some(next) = next else {
                self.model.cq.give_back();
                assert!(drain.next().is_none(), "it has ended");
                break;
            };
            popped.push(next);
        }
        if fate == DrainFate::Forget {
            core::mem::forget(drain);
        }
        self.receive(popped);
    }

    fn drain_to_the_end(&mut self, queues: &mut Queues<'_, S, C>) {
        self.drain(queues, 0, DrainFate::End);
        self.check(queues);
    }

    fn pop_into(&mut self, queues: &mut Queues<'_, S, C>, room: u8) {
        let mut out = vec![MaybeUninit::<C>::uninit(); room.into()];
        let count = queues.cq.pop_into(&mut out);
        self.model.cq.look();
        let expected: Vec<_> =
            core::iter::from_fn(|| self.model.cq.pop_known()).take(room.into()).collect();
        self.model.cq.give_back();
        assert_eq!(count, expected.len(), "completions popped together");
        for (place, expected) in out.iter().zip(&expected) {
            // SAFETY: `pop_into` says how many places are initialised.
            let cqe = unsafe { place.assume_init_read() };
            assert_eq!(cqe.completion(), *expected);
        }
        self.receive(expected);
    }

    /// Where completions of what was in flight are put off, nothing completes inline: it would
    /// overtake others that have picked their buffers before.
    fn set_pace(&mut self, pace: Pace) {
        let overtakes = self.config.is_deferred() && pace == Pace::Inline;
        self.kernel.set_pace(if overtakes { Pace::WhenWaited } else { pace });
    }

    fn fault(&mut self, fault: Fault) {
        // A few are enough.
        if self.model.faults.len() < 3 {
            self.kernel.fail_next(fault);
            self.model.faults.push_back(fault);
        }
    }

    fn post(&mut self, result: i16, wide: bool) {
        let user_data = self.ledger.stranger();
        let cqe = io_uring_cqe { user_data, res: result.into(), ..io_uring_cqe::ZEROED };
        if wide {
            self.kernel.post_wide(cqe, [user_data ^ 1, user_data ^ 2]);
        } else {
            self.kernel.post(cqe);
        }
    }

    /// Compares what the kernel has taken with what was published. Returns how many slots.
    pub(super) fn absorb_taken(&mut self) -> u32 {
        let mut slots = 0;
        let mut batch: Vec<Origin> = Vec::new();
        for one in self.kernel.taken() {
            let entry = self.model.sq.take();
            let entry = entry.expect("the kernel took what was not published");
            assert_eq!(taken(&one), entry.image, "what the kernel took");
            slots += entry.slots;
            batch.extend(entry.origin);
        }
        self.ledger.taken(&batch);
        slots
    }

    /// Takes over what the kernel says that it has posted.
    pub(super) fn absorb_posted(&mut self) {
        for posted in self.kernel.posted() {
            let completion = Completion::new(&posted.cqe, posted.extra);
            self.model.cq.post(completion, posted.lost);
            if let Some(origin) = self.ledger.origin(&completion) {
                self.ledger.posted(origin, completion, posted.lost);
                self.provided.posted(origin, &completion);
                if posted.lost {
                    self.provided.lost(origin);
                }
            } else if posted.lost {
                self.ledger.lost(&completion);
            }
        }
    }

    /// Compares all that can be asked without changing anything.
    fn check(&mut self, queues: &mut Queues<'_, S, C>) {
        if self.model.is_unusable {
            return check_unusable(queues);
        }
        let Queues { sq, cq } = queues;
        let Self { kernel, model: Model { sq: m, cq: n, asleep, .. }, .. } = self;
        assert_eq!((sq.len(), sq.is_empty()), (m.len(), m.len() == 0), "entries queued");
        assert_eq!((sq.room(), sq.is_full()), (m.room(), m.room() == 0), "room for entries");
        assert_eq!((sq.capacity(), sq.dropped()), (m.capacity, 0), "capacity, entries dropped");
        assert_eq!((cq.len(), cq.is_empty()), (n.len(), n.len() == 0), "completions that wait");
        assert_eq!((cq.capacity(), cq.overflow()), (n.capacity, n.lost), "capacity, overflow");
        let status = sq.status();
        assert_eq!(status.contains(SqStatus::CQ_OVERFLOW), !n.overflown.is_empty());
        assert_eq!(status.contains(SqStatus::NEED_WAKEUP), *asleep);
        // The low half of what is counted without end.
        let low = |count: u64| count & u64::from(u32::MAX);
        assert_eq!(u64::from(kernel.word(Word::CqHead)), low(n.head()), "slots given back");
        if !m.rewinds {
            assert_eq!(u64::from(kernel.word(Word::SqTail)), low(m.tail()), "entries published");
        }
        self.provided.check();
    }

    /// Brings everything to an end, and settles the accounts.
    fn finish(&mut self, rings: &mut Rings<S, C>) {
        if self.model.is_unusable {
            // What is in flight keeps its memory until the ring is closed.
            return;
        }
        self.set_pace(Pace::Inline);
        // Each round takes entries up to a bad one, or uses up a fault, or empties the queue.
        for _ in 0..1000 {
            // A call that goes wrong may leave work undone of which nothing is to be seen.
            let sound = self.model.faults.is_empty();
            while self.kernel.complete(0) {}
            self.absorb_posted();
            self.call_ring(rings, Call::PLAIN);
            self.kernel.poll();
            self.absorb_taken();
            self.absorb_posted();
            self.call_ring(rings, Call::BRING_IN);
            self.drain_to_the_end(&mut rings.queues());
            let idle = self.kernel.in_flight() == 0;
            if sound && idle && self.model.sq.len() == 0 && self.model.cq.is_idle() {
                self.ledger.settle(self.kernel.file(WRITE_TO).expect("it was put there"));
                self.provided.check_head(&rings.registrar());
                return;
            }
        }
        panic!("it does not come to an end: {:?}", self.kernel);
    }
}
