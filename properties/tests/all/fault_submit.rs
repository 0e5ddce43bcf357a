//! Submits that are refused at any point: queued entries stay queued or are taken back, and are
//! never submitted twice.

#![allow(clippy::indexing_slicing, reason = "a panic fails the test")]

use std::collections::VecDeque;

use crate::common::process::refuse_call;
use crate::common::{reap, require};
use crate::fault_common::{Ledger, push_together};
use crate::op_common::assert_quiet;
use crate::trial;
use proptest::collection::vec;
use proptest::prelude::*;
use ringbolt::ops::{Nop, RawOp};
use ringbolt::sys::{EnterFlags, Opcode, SetupFlags};
use ringbolt::{Builder, EnterArg, IoUring, PushError, Sqe, SubmitError};
use rustix::io::Errno;

const ENTRIES: u32 = 16;

/// Flags that every kernel refuses before it reads an entry.
const REFUSED: EnterFlags = EnterFlags::from_bits_retain(1 << 31);

/// Errors that the kernel may return without having submitted anything.
const ANSWERS: [Errno; 7] = [
    Errno::AGAIN,
    Errno::BUSY,
    Errno::INTR,
    Errno::NOMEM,
    Errno::BADFD,
    Errno::OWNERDEAD,
    Errno::BADR,
];

/// Entries that are pushed together.
#[derive(Clone, Debug)]
struct Push {
    /// The number of entries; more than one are linked.
    count: usize,
    /// Whether the kernel refuses the entry when it reads it.
    bad: bool,
    /// Whether they are put into a reservation.
    reserved: bool,
}

impl Push {
    fn any() -> impl Strategy<Value = Self> {
        let count = prop_oneof![6 => Just(1), 3 => 2..6_usize];
        (count, 0..6, any::<bool>()).prop_map(|(count, kind, reserved)| {
            let bad = count == 1 && kind == 5;
            Self { count, bad, reserved }
        })
    }

    fn entries(&self, ids: &[u64]) -> Vec<Sqe> {
        let last = ids.len() - 1;
        let entry = |(place, id): (usize, &u64)| match self.bad {
            true => RawOp::new(Opcode::from_raw(u8::MAX)).sqe(*id),
            false if place == last => Nop::new().sqe(*id).into(),
            false => Sqe::from(Nop::new().sqe(*id)).link(),
        };
        ids.iter().enumerate().map(entry).collect()
    }
}

/// A step of a program in which calls fail.
#[derive(Clone, Debug)]
enum Step {
    /// Several pushes, all through the same half.
    Push(Vec<Push>),
    Flush,
    Submit,
    /// A submit whose flags are refused.
    RefusedFlags,
    /// A submit that a filter fails with an errno, with or without a wait.
    Refused(usize, bool),
    /// Takes back the entries of this many pushes.
    TakeBack(usize),
    Rollback,
    Reap,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => vec(Push::any(), 1..5).prop_map(Step::Push),
        1 => Just(Step::Flush),
        3 => Just(Step::Submit),
        1 => Just(Step::RefusedFlags),
        1 => (0..ANSWERS.len(), any::<bool>()).prop_map(|(n, waits)| Step::Refused(n, waits)),
        2 => (1..4_usize).prop_map(Step::TakeBack),
        1 => Just(Step::Rollback),
        2 => Just(Step::Reap),
    ]
}

/// Entries that were pushed together and not submitted: their numbers, and whether they are
/// invalid.
type Pushed = (Vec<u64>, bool);

/// A ring, and its expected contents.
struct Program {
    ring: IoUring,
    submit_all: bool,
    queued: VecDeque<Pushed>,
    /// Entries that were submitted and not reaped, with their expected results.
    due: Vec<(u64, Result<u32, Errno>)>,
    ledger: Ledger,
    /// How many were taken back.
    back: usize,
}

impl Program {
    fn new(builder: &Builder) -> Self {
        let ring = builder.build(ENTRIES).expect("a ring");
        let submit_all = ring.setup_flags().contains(SetupFlags::SUBMIT_ALL);
        let (queued, due, ledger) = (VecDeque::new(), Vec::new(), Ledger::new(0));
        Self { ring, submit_all, queued, due, ledger, back: 0 }
    }

    fn len(&self) -> usize {
        self.queued.iter().map(|(ids, _)| ids.len()).sum()
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Push(ref pushes) => self.push(pushes),
            Step::Flush => {
                self.ring.submission().flush();
            }
            Step::Submit => self.submit(),
            Step::RefusedFlags => {
                let told = self.ring.submit_with(0, REFUSED, EnterArg::None);
                self.refused(Errno::INVAL, told);
            }
            Step::Refused(answer, waits) => {
                let errno = ANSWERS[answer];
                let waits = waits || self.queued.is_empty();
                let ring = &mut self.ring;
                // A filter can be removed only by ending its thread.
                let told = std::thread::scope(|scope| {
                    let refused = scope.spawn(move || {
                        refuse_call(libc::SYS_io_uring_enter, errno);
                        if waits { ring.submit_and_wait(1) } else { ring.submit() }
                    });
                    refused.join().expect("a thread that was refused")
                });
                self.refused(errno, told);
            }
            Step::TakeBack(pushes) => (0..pushes).for_each(|_| self.take_back()),
            Step::Rollback => {
                assert_eq!(self.ring.submission().rollback() as usize, self.len());
                self.back += self.len();
                self.queued.clear();
            }
            Step::Reap => self.reap(),
        }
        assert_eq!(self.ring.submission().len() as usize, self.len(), "after {step:?}");
    }

    /// Pushes entries one after another, all through the same half.
    fn push(&mut self, pushes: &[Push]) {
        let mut submission = self.ring.submission();
        for push in pushes {
            let queued: usize = self.queued.iter().map(|(ids, _)| ids.len()).sum();
            let fits = queued + push.count <= ENTRIES as usize;
            let ids: Vec<u64> = (self.ledger.opened() as u64..).take(push.count).collect();
            // SAFETY: the entries refer to nothing.
            match unsafe { push_together(&mut submission, &push.entries(&ids), push.reserved) } {
                Ok(()) => assert!(fits),
                Err(PushError::Full(())) => {
                    assert!(!fits);
                    continue;
                }
                Err(other) => panic!("{other}"),
            }
            let opened: Vec<u64> = ids.iter().map(|_| self.ledger.open()).collect();
            assert_eq!(opened, ids);
            self.queued.push_back((ids, push.bad));
            assert_eq!(submission.len() as usize, queued + push.count);
        }
    }

    /// Takes back the entries of the last push: all of them, because a chain must not be split.
    fn take_back(&mut self) {
        let Some((ids, _)) = self.queued.pop_back() else {
            assert!(self.ring.submission().pop_back().is_none());
            return;
        };
        for id in ids.iter().rev() {
            let entry = self.ring.submission().pop_back().expect("an entry");
            assert_eq!(entry.user_data(), *id);
        }
        self.back += ids.len();
    }

    /// Checks that a refused submit has done nothing.
    fn refused(&mut self, errno: Errno, told: Result<u32, SubmitError>) {
        let error = told.expect_err("a call that is refused");
        assert_eq!((error.errno, error.taken, error.queued as usize), (errno, 0, self.len()));
    }

    fn submit(&mut self) {
        let before = self.len();
        while let Some((ids, bad)) = self.queued.pop_front() {
            let result = if bad { Err(Errno::INVAL) } else { Ok(0) };
            self.due.extend(ids.into_iter().map(|id| (id, result)));
            if bad && !self.submit_all {
                // The kernel stops after it.
                break;
            }
        }
        let taken = before - self.len();
        assert_eq!(self.ring.submit().map(|taken| taken as usize), Ok(taken));
    }

    fn reap(&mut self) {
        let mut told: Vec<_> = reap(&mut self.ring, self.due.len())
            .iter()
            .map(|cqe| (cqe.user_data(), cqe.result()))
            .collect();
        told.sort_by_key(|(id, _)| *id);
        assert_eq!(told, self.due);
        self.due.clear();
        told.iter().for_each(|(id, _)| self.ledger.note(*id));
    }
}

/// Executes random steps, and counts at the end what happened to each entry.
fn loses_nothing(builder: Builder, cases: u32) {
    let config = ProptestConfig { cases: trial::cases(cases), ..ProptestConfig::default() };
    let show = |steps: &Vec<Step>| {
        let lines: Vec<_> = steps.iter().map(|step| format!("{step:?}")).collect();
        lines.join("\n")
    };
    trial::on_any(config, &vec(step(), 1..60), show, |steps| {
        let mut program = Program::new(&builder);
        steps.iter().for_each(|step| program.step(step));
        // One submit for each invalid entry, and one for the entries after the last.
        for _ in 0..=ENTRIES {
            program.step(&Step::Submit);
        }
        program.step(&Step::Reap);
        // Each entry was either reaped or taken back, but not both.
        assert_eq!(program.ledger.left(), program.back);
        assert_quiet(&mut program.ring);
        assert_eq!(program.ring.completion().overflow(), 0);
    });
}

/// Goal: whatever is refused, and whenever, each entry is submitted once or taken back once.
/// Method: random pushes, refusals and rollbacks are compared with a list of the expected entries.
#[test]
fn a_refused_submit_neither_loses_nor_repeats_entries() {
    loses_nothing(IoUring::builder().cq_entries(2048), 500);
}

/// Goal: the same for a ring without an index array that does not stop at invalid entries.
/// Method: as above.
#[test]
fn a_refused_submit_loses_no_entries_without_an_index_array() {
    let flags = SetupFlags::NO_SQARRAY | SetupFlags::SUBMIT_ALL;
    require!(setup: flags);
    loses_nothing(IoUring::builder().flags(flags).cq_entries(2048), 500);
}

/// Goal: the same for a ring whose queue starts at the first slot in each submit.
/// Method: as above.
#[test]
fn a_refused_submit_loses_no_entries_in_a_rewinding_queue() {
    let flags = SetupFlags::NO_SQARRAY | SetupFlags::SQ_REWIND;
    require!(setup: flags);
    loses_nothing(IoUring::builder().flags(flags).cq_entries(2048), 500);
}
