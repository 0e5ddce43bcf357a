//! [`Value`]: what a job keeps, the operations that borrow from it, and whether it is intact.

use core::cell::Cell;
use std::rc::Rc;

use ringbolt::Timespec;
use ringbolt::ops::{
    Group, LinkTimeout, MultiIn, Nop, OpIn, Read, ReadMultishot, Span, Timeout, Write,
};
use ringbolt::rustix::io::Errno;

use super::super::bytes::Bytes;
use super::book::{Book, conclude, panic};
use super::world::{Source, Targets};

/// The bytes of one operation.
const PIECE: usize = 4;

/// How many operations a job has at the most.
pub(crate) const LINKS: usize = 7;

/// What no operation writes.
const FILL: u8 = 0xee;

const CANARY: u64 = 0x7269_6e67_626f_6c74;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Completes with this.
    Nop(i32),
    Read(Source, usize),
    Write,
    /// Takes some time.
    Timeout,
    /// Limits the operation before it, to little time or to more than there is.
    Limit(bool),
    /// Reads into a provided buffer. The group may be one that is gone.
    Take(Source, usize, Group, bool),
}

/// An operation of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) what: What,
    pub(crate) hard: bool,
    aside: bool,
}

/// The operations of a job.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    steps: [Step; LINKS],
    count: usize,
}

/// A value. Its bytes are in it, so that moving it would be seen.
#[derive(Debug)]
pub(crate) struct Value {
    front: u64,
    bytes: [u8; PIECE * LINKS],
    middle: u64,
    pub(crate) id: usize,
    plan: Plan,
    /// The bytes as they were when the job was over: nobody writes to them after that.
    seen: Cell<Option<[u8; PIECE * LINKS]>>,
    /// Whether dropping it panics.
    bomb: bool,
    targets: Targets,
    times: Times,
    book: Rc<Book>,
    back: u64,
}

/// The times that operations borrow.
#[derive(Debug)]
struct Times {
    short: Timespec,
    limit: Timespec,
    long: Timespec,
}

impl Step {
    const NONE: Self = Self { what: What::Nop(0), hard: false, aside: false };

    fn read(bytes: &mut Bytes<'_>, before: Option<Self>) -> Self {
        let byte = bytes.u8();
        let can_be_limited = before
            .is_some_and(|step| matches!(step.what, What::Nop(_) | What::Read(..) | What::Write));
        let what = match byte % 10 {
            8 => What::Timeout,
            9 if can_be_limited => What::Limit(bytes.bool()),
            0 | 1 => What::Nop(i32::from(bytes.u8()) << 8 | 1),
            2 => What::Nop(-i32::from(bytes.below(60)) - 1),
            3 => What::Write,
            4 | 5 => What::Read(Source::Slow, 0),
            // Some of them reach the end of the file, and one is beyond it.
            _ => What::Read(Source::Ready, usize::from(bytes.below(202))),
        };
        Self { what, hard: byte & 0x30 == 0x30, aside: byte & 0xc0 == 0xc0 }
    }

    /// How many bytes it transfers if nothing is in the way.
    fn wants(self) -> usize {
        if matches!(self.what, What::Read(..) | What::Write) { PIECE } else { 0 }
    }

    /// Whether a result breaks a soft link.
    pub(crate) fn fails(self, result: Result<u32, Errno>) -> bool {
        result.is_ok_and(|len| (len as usize) < self.wants()) || result.is_err()
    }

    /// Whether it ends by itself.
    pub(crate) fn is_sure(self) -> bool {
        !matches!(self.what, What::Read(Source::Slow, _) | What::Take(Source::Slow, ..))
    }

    fn op<'a, 's: 'a>(
        self,
        targets: &'a Targets,
        span: Span<'a>,
        times: &'a Times,
    ) -> OpIn<'a, 's> {
        let op = match self.what {
            What::Nop(result) => Nop::new().inject_result(result).op(),
            What::Read(source, offset) => {
                Read::lent(targets.source(source), span).offset(offset as u64).op()
            }
            What::Write => Write::lent(targets.sink(), span).op(),
            What::Timeout => Timeout::lent(&times.short).op(),
            What::Limit(false) => LinkTimeout::lent(&times.limit).op(),
            What::Limit(true) => LinkTimeout::lent(&times.long).op(),
            What::Take(source, offset, group, _) => {
                let op = Read::group(targets.source(source), 0, group);
                op.offset(offset as u64).op()
            }
        };
        let op = if self.aside && self.wants() > 0 { op.force_async() } else { op };
        if self.hard { op.hard_link() } else { op }
    }

    /// What is in its bytes after `result`.
    fn leaves(self, result: Result<u32, Errno>) -> [u8; PIECE] {
        let mut piece = [FILL; PIECE];
        // Of a quiet chain: it has done all that it was asked for.
        let result = if result == Err(Errno::NODATA) { Ok(4) } else { result };
        if let (What::Read(source, offset), Ok(len)) = (self.what, result) {
            let got = source.bytes(offset, len as usize);
            assert_eq!(got.len(), len as usize, "more than there is");
            piece[..got.len()].copy_from_slice(&got);
        }
        piece
    }
}

impl Plan {
    /// Of `most` operations at the most, one at the least.
    pub(crate) fn read(bytes: &mut Bytes<'_>, most: usize) -> Self {
        let count = 1 + usize::from(bytes.u8()) % most;
        let mut steps = [Step::NONE; LINKS];
        let mut before = None;
        for step in steps.iter_mut().take(count) {
            *step = Step::read(bytes, before);
            before = Some(*step);
        }
        Self { steps, count }
    }

    /// One read into a provided buffer.
    pub(crate) fn take(source: Source, offset: usize, group: Group, lives: bool) -> Self {
        let mut steps = [Step::NONE; LINKS];
        steps[0].what = What::Take(source, offset, group, lives);
        Self { steps, count: 1 }
    }

    /// Notes that there is a group again which an operation names that was started without.
    pub(crate) fn revive(&mut self, there: Option<Group>) {
        if let What::Take(_, _, group, lives) = &mut self.steps[0].what {
            *lives |= there == Some(*group);
        }
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps[..self.count]
    }
}

impl Value {
    pub(crate) fn new(book: &Rc<Book>, targets: Targets, bomb: bool) -> Self {
        let id = book.add();
        let canary = CANARY ^ id as u64;
        Self {
            front: canary,
            bytes: [FILL; PIECE * LINKS],
            middle: canary,
            id,
            plan: Plan { steps: [Step::NONE; LINKS], count: 1 },
            seen: Cell::new(None),
            bomb,
            targets,
            times: Times {
                short: Timespec::new(0, 100_000),
                limit: Timespec::new(0, 200_000),
                long: Timespec::new(3600, 0),
            },
            book: Rc::clone(book),
            back: canary,
        }
    }

    /// Gives it other operations.
    pub(crate) fn plan(&mut self, plan: Plan) {
        self.check();
        self.seen.set(None);
        self.bytes = [FILL; PIECE * LINKS];
        self.plan = plan;
    }

    /// The operation, for a job of one.
    pub(crate) fn op<'s>(&mut self) -> OpIn<'_, 's> {
        let [op] = self.ops();
        op
    }

    /// The first `N` operations.
    pub(crate) fn ops<'s, const N: usize>(&mut self) -> [OpIn<'_, 's>; N] {
        let Self { targets, bytes, plan, times, .. } = self;
        let (targets, times, span) = (&*targets, &*times, Span::from(bytes));
        core::array::from_fn(|nth| {
            plan.steps[nth].op(targets, span.after(nth * PIECE).first(PIECE), times)
        })
    }

    /// Reads into provided buffers, again and again.
    pub(crate) fn multi<'s>(&self) -> MultiIn<'_, 's> {
        let What::Take(source, _, group, _) = self.plan.steps()[0].what else {
            panic!("no multishot operation: {:?}", self.plan)
        };
        ReadMultishot::lent(self.targets.source(source), group).multi()
    }

    /// Fails unless nobody wrote to what is not an operation's, and nobody to anything since the
    /// job was over.
    pub(crate) fn check(&self) {
        let canary = CANARY ^ self.id as u64;
        assert_eq!([self.front, self.middle, self.back], [canary; 3], "value {}", self.id);
        if let Some(seen) = self.seen.get() {
            assert_eq!(self.bytes, seen, "value {} was written to after its job", self.id);
        }
    }

    /// The job is over, with these results: what is in its bytes is what they say.
    pub(crate) fn complete(&self, results: &[Result<u32, Errno>]) {
        self.check();
        let mut expected = [FILL; PIECE * LINKS];
        let pieces = expected.chunks_exact_mut(PIECE);
        for ((piece, step), result) in pieces.zip(self.plan.steps()).zip(results) {
            piece.copy_from_slice(&step.leaves(*result));
        }
        assert_eq!(self.bytes, expected, "value {}: {:?}, {results:?}", self.id, self.plan);
        self.seen.set(Some(self.bytes));
    }

    /// The operations were ended: each piece has a part of what it asked for.
    fn check_pieces(&self) {
        for (piece, step) in self.bytes.chunks_exact(PIECE).zip(self.plan.steps) {
            let is_left = |len: usize| {
                let there = if let What::Read(source, offset) = step.what {
                    source.bytes(offset, PIECE).len()
                } else {
                    0
                };
                let len = u32::try_from(len.min(there)).unwrap_or(0);
                piece == step.leaves(Ok(len))
            };
            assert!((0..=PIECE).any(is_left), "value {}: {piece:?} of {step:?}", self.id);
        }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        conclude(|| {
            self.check();
            self.check_pieces();
            self.book.bury(self.id);
        });
        if self.bomb && !std::thread::panicking() {
            panic();
        }
    }
}
