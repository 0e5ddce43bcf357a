//! Scripts performed by a ring.

use core::iter::from_fn;

use ringbolt::ops::{Fixed, RawOp, Read, ReadFixed, Readv, Target, Write, WriteFixed, Writev};
use ringbolt::register::FileSlot;
use ringbolt::sys::{Opcode, SetupFlags};
use ringbolt::{Advice, Cqe, IoUring, LocalIoUring, PushError, Sqe};

use super::memory::{Files, Memory};
use super::plan::{Batch, NO_FD, Plan, Step, Told, nowhere};
use super::script::{Form, OnFile, Op, Place, Script, Then};
use crate::common::reap;
use crate::fault_common::{Deadline, push_together};
use crate::op_common::assert_quiet;

/// A kind of ring.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Default,
    Local,
    Polled,
}

impl Kind {
    fn ring(self, script: &Script) -> LocalIoUring {
        let builder = IoUring::builder();
        let builder = if script.tight { builder.cq_entries(script.entries) } else { builder };
        let ring = match self {
            Self::Default => builder.build_local(script.entries),
            Self::Local => IoUring::local(script.entries),
            Self::Polled => builder.sqpoll(1).build_local(script.entries),
        };
        ring.expect("a ring")
    }
}

/// A ring with the files and the memory that its operations are on.
struct Performer<'p> {
    ring: LocalIoUring,
    files: &'p Files,
    memory: &'p mut Memory,
    told: Vec<(u64, Told)>,
}

/// Carries `plan` out by a ring of its own. Returns what the completions tell.
pub(crate) fn perform(
    kind: Kind,
    script: &Script,
    plan: &Plan,
    files: &Files,
    memory: &mut Memory,
) -> Vec<(u64, Told)> {
    let ring = kind.ring(script);
    let slots = [(&files.read_write).into(), (&files.read_only).into(), FileSlot::EMPTY];
    ring.registrar().register_files(&slots).expect("a table of files");
    let halves = memory.halves();
    // SAFETY: the memory stays until it is freed, which is when it is unregistered.
    unsafe { ring.registrar().register_buffers(&halves) }.expect("a table of buffers");
    let mut performer = Performer { ring, files, memory, told: Vec::new() };
    let mut due = 0;
    for batch in &plan.batches {
        if batch.awaits {
            performer.settle(due);
        }
        performer.push(batch);
        due += batch.steps.iter().filter(|step| step.told.is_some()).count();
        performer.then(batch.then);
    }
    performer.settle(due);
    let Performer { mut ring, told, .. } = performer;
    assert_quiet(&mut ring);
    assert_eq!((ring.completion().overflow(), ring.submission().dropped()), (0, 0));
    ring.registrar().unregister_buffers().expect("they were registered");
    told
}

impl Performer<'_> {
    /// Pushes a chain whole, and makes room for it where there is none.
    fn push(&mut self, batch: &Batch) {
        let last = batch.steps.len() - 1;
        let mut entries = Vec::with_capacity(batch.steps.len());
        for (index, step) in batch.steps.iter().enumerate() {
            let entry = self.entry(step);
            entries.push(match (index == last, step.op.hard) {
                (true, _) => entry,
                (false, true) => entry.hard_link(),
                (false, false) => entry.link(),
            });
        }
        let deadline = Deadline::new();
        loop {
            let mut submission = self.ring.submission();
            // SAFETY: the files outlive the performer. The memory stays until it is freed, and
            // is not looked at before all has completed.
            match unsafe { push_together(&mut submission, &entries, batch.reserved) } {
                Ok(()) => return,
                Err(PushError::Full(())) => self.make_room(),
                Err(other) => panic!("{other}"),
            }
            deadline.check("room for a chain");
        }
    }

    /// The entry for a step, but for what ties it to the next.
    fn entry(&mut self, step: &Step) -> Sqe {
        let (op, place) = (&step.op, step.place);
        if op.writes {
            self.memory.fill(place, op.len);
        }
        let mut entry = self.transfer(op, place).with_user_data(place as u64);
        if op.unknown {
            entry = RawOp::new(Opcode::from_raw(u8::MAX)).sqe(place as u64);
        }
        if op.drains {
            entry = entry.drain();
        }
        if op.skips {
            entry = entry.skip_success();
        }
        if op.by_worker { entry.force_async() } else { entry }
    }

    fn transfer(&mut self, op: &Op, place: usize) -> Sqe {
        let target = self.target(op);
        let half = self.memory.half_of(place);
        let len = u32::try_from(op.len).expect("a short transfer");
        let start = match op.form {
            Form::Nowhere => nowhere(),
            _ => self.memory.place(place),
        };
        // What is not at an offset is at the file position.
        macro_rules! placed {
            ($op:expr) => {
                match op.place {
                    Place::At(offset) => $op.offset(offset).sqe(0),
                    Place::Position => $op.sqe(0),
                }
            };
        }
        match (&op.form, op.writes) {
            (Form::Plain | Form::Nowhere, false) => placed!(Read::new(target, start, len)),
            (Form::Plain | Form::Nowhere, true) => placed!(Write::new(target, start, len)),
            (Form::Registered, false) => placed!(ReadFixed::new(target, start, len, half)),
            (Form::Registered, true) => placed!(WriteFixed::new(target, start, len, half)),
            (Form::Vectors(_) | Form::NoVectors, writes) => {
                let (vectors, count) = self.memory.vectors(place, op);
                let count = u32::try_from(count).expect("a few vectors");
                if writes {
                    placed!(Writev::new(target, vectors, count))
                } else {
                    placed!(Readv::new(target, vectors, count))
                }
            }
        }
    }

    fn target(&self, op: &Op) -> Target {
        match (op.file, op.fixed) {
            (OnFile::ReadWrite, false) => (&self.files.read_write).into(),
            (OnFile::ReadWrite, true) => Fixed(0).into(),
            (OnFile::ReadOnly, false) => (&self.files.read_only).into(),
            (OnFile::ReadOnly, true) => Fixed(1).into(),
            (OnFile::None, false) => Target::Fd(NO_FD),
            (OnFile::None, true) => Fixed(2).into(),
        }
    }

    fn then(&mut self, then: Then) {
        match then {
            Then::Nothing => {}
            Then::Flush => {
                self.ring.submission().flush();
            }
            Then::Submit => self.submit(),
            Then::Reap => {
                self.submit();
                self.take();
            }
        }
    }

    /// Submits once; where completions have to be taken first, or later, does so.
    fn submit(&mut self) {
        let deadline = Deadline::new();
        while let Err(error) = self.ring.submit() {
            assert_ne!(error.advice(), Advice::Stop, "{error}");
            deadline.check("a submit");
            self.take();
        }
    }

    /// Has the kernel take entries.
    fn make_room(&mut self) {
        self.submit();
        self.take();
        // There may be room for one entry, and not for as many as it takes.
        self.ring.submission().wait_for_room().expect("room");
        std::thread::yield_now();
    }

    /// Takes the completions that are there.
    fn take(&mut self) {
        let ring = &mut self.ring;
        let there = from_fn(|| ring.completion().pop());
        self.told.extend(there.map(|cqe| (cqe.user_data(), cqe.result())));
    }

    /// Submits everything, and takes completions until there were `due` in all.
    fn settle(&mut self, due: usize) {
        self.submit();
        let polled = self.ring.setup_flags().contains(SetupFlags::SQPOLL);
        // An entry that is refused stops a submit, without SUBMIT_ALL: at most one for each.
        for _ in 0..self.ring.submission().len() {
            if !polled && !self.ring.submission().is_empty() {
                self.submit();
            }
        }
        assert!(polled || self.ring.submission().is_empty(), "the kernel has everything");
        self.take();
        let missing = due.checked_sub(self.told.len()).expect("a completion too many");
        let tell = |cqe: Cqe| (cqe.user_data(), cqe.result());
        self.told.extend(reap(&mut self.ring, missing).into_iter().map(tell));
    }
}
