//! Scripts of reads and writes, and how to make any of them.

use core::fmt;

use proptest::collection::vec;
use proptest::prelude::*;

/// The longest transfer in bytes: more than a page.
pub(crate) const LONGEST: usize = 6000;

/// Offsets that are meant to be inside a file, or beyond its end by not much.
pub(crate) const FAR: u64 = 40_000;

/// How an operation names its memory.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    /// By an address and a length.
    Plain,
    /// As vectors, cut where these say, in parts of 256.
    Vectors(Vec<u8>),
    /// As no vector at all, which makes the operation one of no bytes.
    NoVectors,
    /// As a part of a registered buffer.
    Registered,
    /// By an address where there is no memory.
    Nowhere,
}

/// Which file an operation is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnFile {
    /// The one that is open for reading and writing.
    ReadWrite,
    /// The same one, opened again for reading only.
    ReadOnly,
    /// None: a number that no descriptor has, or a slot that is empty.
    None,
}

/// Where in the file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place {
    /// At an offset.
    At(u64),
    /// At the file position.
    Position,
}

/// A read or a write.
#[derive(Clone, Debug)]
pub(crate) struct Op {
    pub(crate) writes: bool,
    pub(crate) form: Form,
    pub(crate) file: OnFile,
    /// By its slot in the table of files, not by its descriptor.
    pub(crate) fixed: bool,
    pub(crate) place: Place,
    pub(crate) len: usize,
    /// The tie to the next operation is a hard one.
    pub(crate) hard: bool,
    pub(crate) drains: bool,
    pub(crate) skips: bool,
    pub(crate) by_worker: bool,
    /// The kernel does not know the operation.
    pub(crate) unknown: bool,
}

/// What a program does after it has pushed a chain.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Then {
    Nothing,
    Flush,
    Submit,
    /// Submits, and takes the completions that are there.
    Reap,
}

/// Operations that are linked, or a single one.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    pub(crate) ops: Vec<Op>,
    pub(crate) then: Then,
    /// It is put into a reservation, not pushed at once.
    pub(crate) reserved: bool,
}

/// Chains that may be carried out at the same time, after all that is before them.
#[derive(Clone, Debug)]
pub(crate) struct Phase {
    /// The program waits for what is before; otherwise the first chain drains.
    pub(crate) awaited: bool,
    pub(crate) chains: Vec<Chain>,
}

/// What a program does with a file.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// The file's first bytes: as many.
    pub(crate) file_len: usize,
    /// Where the file position stands at first.
    pub(crate) position: u64,
    /// The ring has this many entries.
    pub(crate) entries: u32,
    /// It has as few completion slots as a ring can have.
    pub(crate) tight: bool,
    /// Entries may be skipped; otherwise they may drain. The two do not go together.
    pub(crate) skips: bool,
    pub(crate) phases: Vec<Phase>,
}

impl Script {
    pub(crate) fn any() -> impl Strategy<Value = Self> {
        let sizes = (prop_oneof![Just(0), 1..LONGEST, 20_000..20_001usize], 0..FAR);
        let ring = (prop_oneof![Just(4u32), Just(8), Just(64)], any::<bool>());
        (sizes, ring, any::<bool>(), vec(phase(), 1..6)).prop_map(
            |((file_len, position), (entries, tight), skips, phases)| Self {
                file_len,
                position,
                entries,
                tight,
                skips,
                phases,
            },
        )
    }
}

/// A line for the file and the ring, and one for each chain and each of its operations.
impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file_len, position, entries, tight, skips, phases } = self;
        write!(f, "file_len={file_len} position={position} entries={entries} ")?;
        writeln!(f, "tight={tight} skips={skips}")?;
        for Phase { awaited, chains } in phases {
            writeln!(f, "phase awaited={awaited}")?;
            for Chain { ops, then, reserved } in chains {
                writeln!(f, "  chain then={then:?} reserved={reserved}")?;
                ops.iter().try_for_each(|op| writeln!(f, "    {op:?}"))?;
            }
        }
        Ok(())
    }
}

fn phase() -> impl Strategy<Value = Phase> {
    let chains = prop_oneof![2 => vec(chain(), 1..2), 3 => vec(chain(), 2..5)];
    (any::<bool>(), chains).prop_map(|(awaited, chains)| Phase { awaited, chains })
}

fn chain() -> impl Strategy<Value = Chain> {
    let then = prop_oneof![
        3 => Just(Then::Nothing),
        1 => Just(Then::Flush),
        2 => Just(Then::Submit),
        1 => Just(Then::Reap),
    ];
    (vec(op(), 1..5), then, any::<bool>()).prop_map(|(ops, then, reserved)| Chain {
        ops,
        then,
        reserved,
    })
}

/// True once in `times`; a failing script is made shorter by way of false.
fn seldom(times: u32) -> impl Strategy<Value = bool> {
    (0..times).prop_map(move |n| n + 1 == times)
}

fn op() -> impl Strategy<Value = Op> {
    let form = prop_oneof![
        8 => Just(Form::Plain),
        6 => vec(any::<u8>(), 0..6).prop_map(Form::Vectors),
        6 => Just(Form::Registered),
        1 => Just(Form::NoVectors),
        1 => Just(Form::Nowhere),
    ];
    let file = prop_oneof![
        20 => Just(OnFile::ReadWrite),
        4 => Just(OnFile::ReadOnly),
        1 => Just(OnFile::None),
    ];
    // Near the end of what there can be, beyond it, and the last before the file position's.
    let strange = prop_oneof![Just(i64::MAX as u64 - 5), Just(1 << 63), Just(u64::MAX - 1)];
    let place = prop_oneof![
        12 => (0..FAR).prop_map(Place::At),
        5 => Just(Place::Position),
        1 => strange.prop_map(Place::At),
    ];
    let len = prop_oneof![
        1 => Just(0),
        5 => 1..64usize,
        4 => 1..LONGEST,
        1 => Just(4096),
    ];
    let flags = (seldom(3), seldom(6), seldom(3), seldom(6), seldom(40));
    (any::<bool>(), form, (file, any::<bool>()), place, len, flags).prop_map(
        |(writes, form, (file, fixed), place, len, (hard, drains, skips, by_worker, unknown))| Op {
            writes,
            form,
            file,
            fixed,
            place,
            len,
            hard,
            drains,
            skips,
            by_worker,
            unknown,
        },
    )
}
