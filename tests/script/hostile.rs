//! A hostile other side: any value in any shared word, any completion, any answer to set-up, in
//! between every safe call.
//!
//! Nothing is compared: what comes out is wrong data at most. No call panics, each ends, and none
//! gives more than there are slots. That none reads or writes out of bounds, Miri and
//! AddressSanitizer see.

use core::fmt;
use core::mem::MaybeUninit;
use core::time::Duration;
use std::time::Instant;

use ringbolt::sim::{Kernel, Word};
use ringbolt::sys::{Features, SetupFlags, io_uring_cqe, io_uring_params};
use ringbolt::{Builder, LocalIoUring};

use super::action::{Action, DrainFate, Fate};
use super::bytes::Bytes;
use super::config::{Config, Width};
use super::kinds::{Completed, Submitted};
use super::ledger::Ledger;
use super::op::Op;
use super::provided::Provided;
use super::resize::break_layout;
use super::rings::{Queues, Rings};

/// A ring, what set-up says of it, and what happens to it.
#[derive(Clone)]
pub(crate) struct Script {
    config: Config,
    /// What set-up returns otherwise than it should: fields of [`FIELDS`].
    answers: Vec<(u8, Value)>,
    steps: Vec<Step>,
}

/// One step of either side.
#[derive(Clone, Debug)]
enum Step {
    /// What the program calls, or an honest kernel does.
    Do(Action),
    /// A shared word gets a value.
    Word(Word, Value),
    /// The head of the submission queue goes back by so many entries.
    HeadBack(u8),
    /// The next resize returns a field of [`FIELDS`] otherwise than it should.
    Resized(u8, Value),
    /// A slot of the completion queue gets any bytes.
    Completion(u8, [u8; 32]),
    /// The ring of provided buffers does.
    Buffers(u16, [u8; 16]),
}

/// A number.
#[derive(Clone, Copy, Debug)]
enum Value {
    Is(u32),
    /// So much more than what is there.
    MoreBy(i32),
}

/// A field of what set-up returns.
type Field = fn(&mut io_uring_params) -> &mut u32;

/// The fields of what set-up returns that are plain numbers.
const FIELDS: [Field; 16] = [
    |params| &mut params.sq_entries,
    |params| &mut params.cq_entries,
    |params| &mut params.sq_off.head,
    |params| &mut params.sq_off.tail,
    |params| &mut params.sq_off.ring_mask,
    |params| &mut params.sq_off.ring_entries,
    |params| &mut params.sq_off.flags,
    |params| &mut params.sq_off.dropped,
    |params| &mut params.sq_off.array,
    |params| &mut params.cq_off.head,
    |params| &mut params.cq_off.tail,
    |params| &mut params.cq_off.ring_mask,
    |params| &mut params.cq_off.ring_entries,
    |params| &mut params.cq_off.overflow,
    |params| &mut params.cq_off.cqes,
    |params| &mut params.cq_off.flags,
];

/// The fields that are flags come behind those of [`FIELDS`].
const FLAGS: u8 = 16;
const FEATURES: u8 = 17;

/// What a [`Step::Do`] starts with.
pub(super) const DO: u8 = 7;

/// What a [`Step::HeadBack`] starts with.
pub(super) const HEAD_BACK: u8 = 8;

/// The most steps.
const MOST_STEPS: usize = 300;

/// How long a call may take: it is over at once, or it loops.
const PATIENCE: Duration = Duration::from_secs(2);

/// Runs the script that any bytes are.
pub(crate) fn check(input: &[u8]) {
    Script::from_bytes(input).run();
}

impl Value {
    fn read(bytes: &mut Bytes<'_>) -> Self {
        match bytes.below(6) {
            0 => Self::MoreBy(near(bytes.u8())),
            1 => Self::MoreBy(near(bytes.u8()) * 4),
            2 => Self::Is(bytes.u8().into()),
            3 => Self::Is(u32::MAX - u32::from(bytes.u8())),
            4 => Self::Is(1 << bytes.below(32)),
            _ => Self::Is(bytes.u32()),
        }
    }

    const fn of(self, there: u32) -> u32 {
        match self {
            Self::Is(value) => value,
            Self::MoreBy(more) => there.wrapping_add_signed(more),
        }
    }
}

/// A number around 0: the smaller the byte, the nearer. 0, -1, 1, -2, 2 and so on.
fn near(byte: u8) -> i32 {
    let half = i32::from(byte / 2);
    if byte % 2 == 0 { half } else { -1 - half }
}

impl Step {
    fn read(bytes: &mut Bytes<'_>) -> Self {
        match bytes.below(10) {
            0 | 1 => Self::Word(bytes.one_of(&Word::ALL), Value::read(bytes)),
            2 => Self::Completion(bytes.u8(), bytes.array()),
            3 if bytes.below(4) == 0 => Self::Buffers(bytes.u16(), bytes.array()),
            HEAD_BACK => Self::HeadBack(bytes.below(8) + 1),
            9 => Self::Resized(bytes.below(FEATURES + 1), Value::read(bytes)),
            _ => Self::Do(Action::read(bytes).expect("any bytes are an action")),
        }
    }

    /// The action, if it takes the whole ring.
    const fn needs_ring(&self) -> Option<&Action> {
        match self {
            Self::Do(action) if action.needs_ring() => Some(action),
            _ => None,
        }
    }
}

/// The ring, what set-up says of it, and one step a line.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, answers, steps } = self;
        let mut line = String::new();
        config.write(&mut line);
        write!(f, "\n{}\nset-up returns {answers:?}", line.trim_start())?;
        steps.iter().try_for_each(|step| write!(f, "\n{step:?}"))
    }
}

impl Script {
    pub(crate) fn from_bytes(input: &[u8]) -> Self {
        let mut bytes = Bytes::new(input);
        let config = Config::read(&mut bytes).expect("any bytes are a ring");
        // Most often set-up is answered truly: a ring that is not there finds nothing.
        let lies = bytes.below(8).saturating_sub(5);
        let answers = (0..lies).map(|_| (bytes.below(18), Value::read(&mut bytes))).collect();
        let mut steps = Vec::new();
        while !bytes.is_empty() && steps.len() < MOST_STEPS {
            steps.push(Step::read(&mut bytes));
        }
        Self { config, answers, steps }
    }

    pub(crate) fn run(&self) {
        let builder = self.config.builder();
        match self.config.sq {
            Width::Narrow => self.run_wide(&builder),
            Width::Wide => self.run_wide(&builder.sqe128()),
            Width::Mixed => self.run_wide(&builder.sqe_mixed()),
        }
    }

    fn run_wide<S: Submitted>(&self, builder: &Builder<S>) {
        match self.config.cq {
            Width::Narrow => self.run_on(builder),
            Width::Wide => self.run_on(&builder.clone().cqe32()),
            Width::Mixed => self.run_on(&builder.clone().cqe_mixed()),
        }
    }

    fn run_on<S: Submitted, C: Completed>(&self, builder: &Builder<S, C>) {
        let kernel = Kernel::starting_at(self.config.start);
        if !self.answers.is_empty() {
            let answers = self.answers.clone();
            kernel.answer_setup_with(move |params| answer(params, &answers));
        }
        let ring = builder.clone().simulated(&kernel).build_local(self.config.entries());
        let ring = match ring {
            Ok(ring) => ring,
            Err(error) => {
                assert!(!self.answers.is_empty(), "{error}");
                assert!(!error.to_string().is_empty());
                return;
            }
        };
        let mut victim = Victim::new(self.config, kernel, ring);
        victim.suffer(&self.steps);
    }
}

/// Changes what set-up returns.
fn answer(params: &mut io_uring_params, answers: &[(u8, Value)]) {
    for &(field, value) in answers {
        match field {
            FLAGS => {
                let flags = value.of(params.flags.bits());
                params.flags = SetupFlags::from_bits_retain(flags);
            }
            FEATURES => {
                let features = value.of(params.features.bits());
                params.features = Features::from_bits_retain(features);
            }
            _ => {
                let place = FIELDS[usize::from(field)](params);
                *place = value.of(*place);
            }
        }
    }
}

/// A ring with a hostile other side.
pub(crate) struct Victim<S: Submitted, C: Completed> {
    rings: Rings<S, C>,
    rest: Rest,
}

/// What there is beside the ring, which is closed first.
struct Rest {
    kernel: Kernel,
    config: Config,
    provided: Provided,
    /// Keeps what entries name, to the end.
    ledger: Ledger,
}

impl<S: Submitted, C: Completed> Victim<S, C> {
    pub(crate) fn new(config: Config, kernel: Kernel, ring: LocalIoUring<S, C>) -> Self {
        // From here on the kernel follows no address, as none can be answered for.
        kernel.scribble_sqe(0, &[]);
        let provided = Provided::new(&config);
        let rest = Rest { provided, ledger: Ledger::default(), config, kernel };
        Self { rings: Rings::Whole(ring), rest }
    }

    /// Goes through the steps that any bytes are.
    pub(crate) fn survive(&mut self, input: &[u8]) {
        let mut bytes = Bytes::new(input);
        let mut steps = Vec::new();
        while !bytes.is_empty() {
            steps.push(Step::read(&mut bytes));
        }
        self.suffer(&steps);
    }

    fn suffer(&mut self, steps: &[Step]) {
        let Self { rings, rest } = self;
        let mut steps = steps.iter().peekable();
        while let Some(mut step) = steps.next() {
            if let Some(action) = step.needs_ring() {
                in_time(step, || rest.act_on_ring(rings, action));
                look(&mut rings.queues());
                continue;
            }
            let mut queues = rings.queues();
            loop {
                in_time(step, || rest.step(&mut queues, step));
                look(&mut queues);
                let held = |next: &&Step| rest.config.holds && next.needs_ring().is_none();
                let Some(next) = steps.next_if(held) else { break };
                step = next;
            }
            if let Step::Do(Action::Forget(half)) = step {
                queues.forget(*half);
            }
        }
    }
}

/// Makes a step. Fails if it takes longer than one that ends can.
fn in_time(step: &Step, make: impl FnOnce()) {
    let start = Instant::now();
    make();
    assert!(cfg!(miri) || start.elapsed() < PATIENCE, "{step:?} takes too long");
}

impl Rest {
    /// What takes the whole ring.
    fn act_on_ring<S: Submitted, C: Completed>(
        &mut self,
        rings: &mut Rings<S, C>,
        action: &Action,
    ) {
        match action {
            Action::Call(call) => {
                let _ = rings.call(*call);
            }
            Action::IntoHalves => rings.take_apart(),
            Action::Resize { entries, cq_entries } => {
                if let Rings::Whole(ring) = rings {
                    let cq = (*cq_entries > 0).then_some((*cq_entries).into());
                    let _ = ring.resize((*entries).into(), cq);
                }
            }
            Action::AddBuffers { count, len } => {
                self.provided.add_blindly(&rings.registrar(), *count, *len);
            }
            _ => {}
        }
        if let Rings::Whole(ring) = rings {
            assert!(!format!("{ring:?}").is_empty());
        }
    }

    fn step<S: Submitted, C: Completed>(&mut self, queues: &mut Queues<'_, S, C>, step: &Step) {
        match step {
            Step::Do(action) => self.act(queues, action),
            Step::Word(word, value) => {
                let value = value.of(self.kernel.word(*word));
                self.kernel.set_word(*word, value);
            }
            Step::HeadBack(count) => {
                let head = self.kernel.word(Word::SqHead);
                self.kernel.set_word(Word::SqHead, head.wrapping_sub((*count).into()));
            }
            Step::Resized(field, value) => {
                let answers = [(*field, *value)];
                self.kernel.answer_resize_with(move |params| answer(params, &answers));
            }
            Step::Completion(slot, bytes) => self.kernel.scribble_cqe((*slot).into(), bytes),
            Step::Buffers(at, bytes) => self.provided.scribble((*at).into(), bytes),
        }
    }

    fn entry<S: Submitted>(&mut self, op: Op) -> S {
        let (origin, buffer) = self.ledger.open(op);
        S::entry(op, origin.user_data, buffer, self.config.cq != Width::Narrow)
    }

    fn entries<S: Submitted>(&mut self, ops: &[Op]) -> Vec<S> {
        ops.iter().map(|op| self.entry(*op)).collect()
    }

    fn act<S: Submitted, C: Completed>(&mut self, queues: &mut Queues<'_, S, C>, action: &Action) {
        match action {
            Action::Push(op) => {
                let entry = self.entry::<S>(*op);
                // SAFETY: what the entry names stays to the end.
                let _ = unsafe { queues.sq.push(entry) };
            }
            Action::PushAll(ops) => {
                let entries = self.entries::<S>(ops);
                // SAFETY: as above.
                let pushed = unsafe { queues.sq.push_all(&entries) };
                let slots: u32 = entries.iter().map(S::width).sum();
                assert!(pushed.is_err() || slots <= queues.sq.capacity(), "{slots} slots");
            }
            Action::Reserve { room, ops, fate } => self.reserve(queues, *room, ops, *fate),
            Action::PopBack => {
                S::pop_back(&mut queues.sq);
            }
            Action::Rollback => {
                assert!(queues.sq.rollback() <= queues.sq.capacity());
            }
            Action::Flush => {
                queues.sq.flush();
            }
            Action::Call(call) => {
                let _ = queues.call(*call);
            }
            Action::WaitForRoom => {
                let _ = queues.sq.wait_for_room();
            }
            Action::Cross { op, .. } => {
                let entry = self.entry::<S>(*op);
                let Queues { sq, cq } = queues;
                // SAFETY: as above.
                for _ in cq.drain().map(|_| unsafe { sq.push(entry) }) {}
            }
            _ => self.take(queues, action),
        }
    }

    fn reserve<S: Submitted, C: Completed>(
        &mut self,
        queues: &mut Queues<'_, S, C>,
        room: u8,
        ops: &[Op],
        fate: Fate,
    ) {
        let entries = self.entries::<S>(ops);
        let capacity = queues.sq.capacity();
        // SAFETY: what the entries name stays to the end.
        let reserved = unsafe { S::reserve(&mut queues.sq, room, &entries, fate) };
        if let Some(Ok(_)) = reserved {
            assert!(u32::from(room) <= capacity, "{room} slots set aside of {capacity}");
        }
    }

    /// What is done to completions.
    fn take<S: Submitted, C: Completed>(&mut self, queues: &mut Queues<'_, S, C>, action: &Action) {
        match action {
            Action::Pop => {
                let popped = queues.cq.pop();
                popped.iter().for_each(|cqe| self.provided.reclaim_blindly(cqe));
                popped.into_iter().for_each(show);
            }
            Action::Peek => {
                queues.cq.peek().into_iter().for_each(show);
            }
            Action::Drain { count, fate } => {
                let capacity = queues.cq.capacity() as usize;
                let mut drain = queues.cq.drain();
                let most = if *fate == DrainFate::End { usize::MAX } else { (*count).into() };
                let taken = drain.by_ref().take(most).map(show).count();
                assert!(taken <= capacity, "{taken} completions in {capacity} slots");
                if *fate == DrainFate::Forget {
                    core::mem::forget(drain);
                }
            }
            Action::PopInto(room) => {
                let mut out = vec![MaybeUninit::<C>::uninit(); (*room).into()];
                let count = queues.cq.pop_into(&mut out);
                for place in &out[..count] {
                    // SAFETY: `pop_into` says how many places are initialised.
                    show(unsafe { place.assume_init_read() });
                }
            }
            Action::Sync => queues.cq.sync(),
            _ => self.serve(queues, action),
        }
    }

    /// What an honest kernel does, and buffers.
    fn serve<S: Submitted, C: Completed>(
        &mut self,
        queues: &mut Queues<'_, S, C>,
        action: &Action,
    ) {
        let kernel = &self.kernel;
        let cqe = io_uring_cqe::ZEROED;
        match action {
            Action::BreakResize(how) => {
                let how = *how;
                kernel.answer_resize_with(move |params| break_layout(params, how));
            }
            Action::Fault(fault) => kernel.fail_next(*fault),
            Action::Post { .. } => drop(kernel.post(cqe)),
            Action::PostWide { .. } => drop(kernel.post_wide(cqe, [1, 2])),
            Action::PostFiller => drop(kernel.post_filler()),
            Action::LoseOverflow(lose) => kernel.lose_overflow(*lose),
            Action::Pace(pace) => kernel.set_pace(*pace),
            Action::Complete(nth) => drop(kernel.complete((*nth).into())),
            Action::Poll => drop(kernel.poll()),
            Action::FallAsleep => drop(kernel.fall_asleep()),
            Action::PublishBuffers { with_completions } => {
                self.provided.publish(with_completions.then_some(&mut queues.cq));
            }
            Action::Bundle { count, part } => self.provided.ask((*count).into(), (*part).into()),
            _ => {}
        }
    }
}

/// Asks all that can be asked without changing anything.
#[allow(clippy::len_zero, reason = "whether the two say the same is what is asked")]
fn look<S: Submitted, C: Completed>(Queues { sq, cq }: &mut Queues<'_, S, C>) {
    assert!(sq.room() <= sq.capacity() && cq.len() <= cq.capacity());
    assert_eq!((sq.is_full(), sq.is_empty()), (sq.room() == 0, sq.len() == 0));
    assert_eq!(cq.is_empty(), cq.len() == 0);
    assert!(!format!("{sq:?} {cq:?} {:?}", sq.status()).is_empty());
    let _ = (sq.dropped(), cq.overflow(), cq.flags(), cq.set_eventfd_disabled(true));
}

/// Asks a completion all that can be asked.
fn show<C: Completed>(cqe: C) {
    let head = cqe.as_cqe();
    let _ = (head.result(), head.buffer_id(), head.zero_copy_usage(), head.has_more());
    assert!(!format!("{cqe:?} {:?}", cqe.completion()).is_empty());
}
