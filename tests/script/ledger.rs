//! The accounts of a script: what was pushed, in which chains the kernel took it, what came of it,
//! and the memory that goes with it.

use std::collections::{BTreeMap, BTreeSet};

use ringbolt::rustix::io::Errno;
use ringbolt::sys::SqeFlags;

use super::model::{Completion, Origin};
use super::op::{Kind, Link, Op};

/// All accounts.
#[derive(Default)]
pub(crate) struct Ledger {
    /// The entry or completion made last.
    number: u64,
    /// What entries that are not done name.
    memory: BTreeMap<u64, Memory>,
    /// What the kernel took, in its chains.
    chains: Vec<Vec<Origin>>,
    /// Completions that belong to no entry, and were not popped.
    strangers: BTreeSet<u64>,
    /// What was posted for entries.
    posted: BTreeMap<u64, Completion>,
    /// Whose completions were popped, and whose were lost.
    popped: BTreeSet<u64>,
    lost: BTreeSet<u64>,
    /// What the file that is written to should hold.
    written: Vec<u8>,
}

/// Memory that the kernel uses while an entry is in flight: nobody looks at it meanwhile.
struct Memory {
    start: *mut u8,
    len: usize,
}

/// The result of an operation: how much it did, or the errno, negative.
type Outcome = Result<usize, i32>;

/// The length of the file that is read from.
const FILE_LEN: u8 = 200;

const CANCELED: i32 = -Errno::CANCELED.raw_os_error();
const INVAL: i32 = -Errno::INVAL.raw_os_error();

/// What is in the file that is read from.
pub(crate) fn file() -> Vec<u8> {
    read(0, FILE_LEN.into())
}

/// What a read of `len` bytes at `at` gives.
pub(crate) fn read(at: usize, len: usize) -> Vec<u8> {
    let there = (0..FILE_LEN).skip(at).take(len);
    there.map(|at| at.wrapping_mul(7) ^ 0x5a).collect()
}

/// What an entry that is recognised by `user_data` writes.
fn pattern(user_data: u64, len: u8) -> Vec<u8> {
    let bytes = user_data.to_le_bytes();
    (0..len).map(|at| bytes[usize::from(at % 8)] ^ at).collect()
}

impl Memory {
    fn new(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        Self { start: Box::into_raw(bytes.into_boxed_slice()).cast(), len }
    }

    /// What is in it; it is gone then.
    fn into_bytes(self) -> Vec<u8> {
        let this = core::mem::ManuallyDrop::new(self);
        let slice = core::ptr::slice_from_raw_parts_mut(this.start, this.len);
        // SAFETY: `new` made it of a box of that length, and nothing else frees it.
        unsafe { Box::from_raw(slice) }.into_vec()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let Self { start, len } = *self;
        drop(Self { start, len }.into_bytes());
    }
}

impl Ledger {
    fn next(&mut self) -> u64 {
        self.number += 1;
        // Odd, so that all differ; of all bits, so that none goes unseen.
        self.number.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// A completion that belongs to no entry.
    pub(crate) fn stranger(&mut self) -> u64 {
        let user_data = self.next();
        self.strangers.insert(user_data);
        user_data
    }

    /// A number for an entry, and memory for it.
    pub(crate) fn open(&mut self, op: Op) -> (Origin, *mut u8) {
        let user_data = self.next();
        let memory = Memory::new(match op.kind {
            Kind::Read { len, .. } => vec![0xee; len.into()],
            Kind::Write { len, .. } => pattern(user_data, len),
            _ => Vec::new(),
        });
        let start = memory.start;
        self.memory.insert(user_data, memory);
        (Origin { op, user_data }, start)
    }

    /// An entry was not queued, or was taken back: nobody uses its memory.
    pub(crate) fn close(&mut self, origin: Origin) {
        self.memory.remove(&origin.user_data).expect("an entry that was opened");
    }

    /// The kernel took these together.
    pub(crate) fn taken(&mut self, batch: &[Origin]) {
        let mut chain = Vec::new();
        for origin in batch {
            chain.push(*origin);
            if !origin.op.is_linked() {
                self.chains.push(core::mem::take(&mut chain));
            }
        }
        // A link that is open ends with the submission.
        if !chain.is_empty() {
            self.chains.push(chain);
        }
    }

    /// The kernel posted a completion of an entry of the script.
    pub(crate) fn posted(&mut self, origin: Origin, completion: Completion, lost: bool) {
        let user_data = origin.user_data;
        let twice = self.posted.insert(user_data, completion);
        assert_eq!(twice, None, "{origin:?} completed twice");
        if lost {
            self.lost.insert(user_data);
        }
        if let (Kind::Write { at, len }, Ok(moved)) = (origin.op.kind, outcome(completion)) {
            let bytes = pattern(user_data, len);
            let end = usize::from(at) + moved;
            if moved > 0 {
                self.written.resize(self.written.len().max(end), 0);
                self.written[at.into()..end].copy_from_slice(&bytes[..moved]);
            }
        }
    }

    /// The kernel lost a completion that belongs to no entry.
    pub(crate) fn lost(&mut self, completion: &Completion) {
        self.strangers.remove(&completion.user_data);
    }

    /// The entry that a completion belongs to; `None` if it is a stranger's.
    pub(crate) fn origin(&self, completion: &Completion) -> Option<Origin> {
        let mut taken = self.chains.iter().rev().flatten();
        let origin = taken.find(|origin| origin.user_data == completion.user_data).copied();
        let stranger = self.strangers.contains(&completion.user_data);
        assert!(origin.is_some() != stranger, "{completion:?} of nobody");
        origin
    }

    /// The program popped a completion: its memory is the program's again. Returns the entry that
    /// it belongs to, if to any.
    pub(crate) fn popped(&mut self, completion: &Completion) -> Option<Origin> {
        let user_data = completion.user_data;
        if self.strangers.remove(&user_data) {
            return None;
        }
        assert!(self.popped.insert(user_data), "{completion:?} was delivered twice");
        assert_eq!(self.posted.get(&user_data), Some(completion), "not what was posted");
        let origin = self.origin(completion).expect("not a stranger");
        let memory = self.memory.remove(&user_data).expect("memory that was kept");
        check_memory(origin, completion, memory);
        Some(origin)
    }

    /// Nothing is in flight or queued any more: all accounts are balanced.
    pub(crate) fn settle(&mut self, file: Vec<u8>) {
        for user_data in self.posted.keys() {
            let popped = self.popped.contains(user_data);
            assert!(popped != self.lost.contains(user_data), "{user_data:#x} was not delivered");
        }
        assert!(self.strangers.is_empty(), "{:?} were not delivered", self.strangers);
        assert_eq!(file, self.written, "the file that was written to");
        for chain in &self.chains {
            self.check_chain(chain);
        }
        self.memory.clear();
    }

    /// Whether a chain has the completions that it must have.
    fn check_chain(&self, chain: &[Origin]) {
        let posted = |origin: &Origin| self.posted.get(&origin.user_data);
        if chain.iter().any(|origin| origin.op.kind == Kind::Unknown) {
            // None of it runs.
            for completion in chain.iter().filter_map(posted) {
                let refused = [Err(INVAL), Err(CANCELED)];
                assert!(refused.contains(&outcome(*completion)), "{chain:?}: {completion:?}");
            }
            return;
        }
        let (mut broken, mut silent) = (false, false);
        for origin in chain {
            let skips = origin.op.flags.contains(SqeFlags::CQE_SKIP_SUCCESS);
            let result = posted(origin).map(|completion| outcome(*completion));
            if broken {
                let expected = (!silent).then_some(Err(CANCELED));
                assert_eq!(result, expected, "{origin:?} behind what failed, in {chain:?}");
                continue;
            }
            let (expected, failed) = own_result(origin.op, result);
            let expected = if skips && !failed { None } else { Some(expected) };
            assert_eq!(result, expected, "{origin:?} in {chain:?}");
            if failed && origin.op.link != Link::Hard {
                (broken, silent) = (true, skips);
            }
        }
    }
}

/// The result of an operation that is not cancelled, and whether its chain breaks of it.
fn own_result(op: Op, told: Option<Outcome>) -> (Outcome, bool) {
    match op.kind {
        Kind::Nop { result }
        | Kind::NopWithWords { result }
        | Kind::Double { result }
        | Kind::Stray { result }
        | Kind::Cut { result } => {
            let result = to_outcome(result.into());
            (result, result.is_err())
        }
        Kind::Read { at, len } => {
            let moved = read(at.into(), len.into()).len();
            (Ok(moved), moved < len.into())
        }
        Kind::Write { len, .. } => (Ok(len.into()), false),
        // What there was to pick is looked at when the completion is posted.
        Kind::ReadProvided { .. } => {
            let told = told.expect("a read into provided buffers does not skip its completion");
            (told, told.is_err())
        }
        Kind::Unknown => (Err(INVAL), true),
        Kind::Command => (Err(-Errno::OPNOTSUPP.raw_os_error()), true),
    }
}

fn to_outcome(raw: i32) -> Outcome {
    usize::try_from(raw).map_err(|_| raw)
}

/// What a completion says of its operation.
pub(crate) fn outcome(completion: Completion) -> Outcome {
    to_outcome(completion.result)
}

/// Whether the memory of an entry that completed holds what it should.
fn check_memory(origin: Origin, completion: &Completion, memory: Memory) {
    let (len, bytes) = (memory.len, memory.into_bytes());
    match (origin.op.kind, outcome(*completion)) {
        (Kind::Read { at, .. }, Ok(moved)) => {
            let mut expected = read(at.into(), moved);
            expected.resize(len, 0xee);
            assert_eq!(bytes, expected, "what {origin:?} has read");
        }
        (Kind::Read { .. }, Err(_)) => assert_eq!(bytes, vec![0xee; len], "{origin:?} failed"),
        (Kind::Write { len, .. }, _) => assert_eq!(bytes, pattern(origin.user_data, len)),
        _ => {}
    }
}
