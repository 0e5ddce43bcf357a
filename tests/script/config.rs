//! [`Config`]: the ring that a script is for.

use ringbolt::sys::SetupFlags;
use ringbolt::{Builder, IoUring};

use super::form::{Reader, Result, Writer};

/// The widths of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Width {
    Narrow,
    Wide,
    Mixed,
}

/// Who takes entries, and when completions come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The thread that enters the kernel.
    Plain,
    /// A polling thread.
    SqPoll,
    /// As `Plain`; completions of what was in flight come when they are asked for.
    DeferTaskrun,
    /// As `DeferTaskrun`, and a flag says that there are some.
    TaskrunFlag,
}

/// The ring that a script is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) sq: Width,
    pub(crate) cq: Width,
    pub(crate) mode: Mode,
    /// With an index array.
    pub(crate) array: bool,
    /// SQ_REWIND, where it goes together with the rest.
    pub(crate) rewinds: bool,
    /// SUBMIT_ALL.
    pub(crate) submit_all: bool,
    /// Whether provided buffers are used up bit by bit.
    pub(crate) incremental: bool,
    /// Whether halves that were borrowed are held for as long as it goes, or are borrowed anew for
    /// each action.
    pub(crate) holds: bool,
    /// Submission slots asked for: 1 to 16.
    pub(crate) entries: u8,
    /// Completion slots asked for: up to 32, 0 for the default.
    pub(crate) cq_entries: u8,
    /// Where all positions start, if the ring does not rewind.
    pub(crate) start: u32,
}

const SQ: [(&str, Width); 3] =
    [("sqe", Width::Narrow), ("sqe128", Width::Wide), ("sqe_mixed", Width::Mixed)];
const CQ: [(&str, Width); 3] =
    [("cqe", Width::Narrow), ("cqe32", Width::Wide), ("cqe_mixed", Width::Mixed)];
const MODES: [(&str, Mode); 4] = [
    ("plain", Mode::Plain),
    ("sqpoll", Mode::SqPoll),
    ("defer_taskrun", Mode::DeferTaskrun),
    ("taskrun_flag", Mode::TaskrunFlag),
];
const YES: [(&str, bool); 2] = [("no", false), ("yes", true)];
/// Whether positions start at most [`NEAR`] before the wrap.
const BEFORE_WRAP: [(&str, bool); 2] = [("before_wrap", true), ("at", false)];
const NEAR: u32 = 40;

impl Config {
    pub(crate) fn read(from: &mut impl Reader) -> Result<Self> {
        Ok(Self {
            sq: from.name("sq")?.one_of(&SQ)?,
            cq: from.name("cq")?.one_of(&CQ)?,
            mode: from.name("mode")?.one_of(&MODES)?,
            array: from.name("index_array")?.one_of(&YES)?,
            rewinds: from.name("rewinds")?.one_of(&YES)?,
            submit_all: from.name("submit_all")?.one_of(&YES)?,
            incremental: from.name("incremental_buffers")?.one_of(&YES)?,
            holds: from.name("holds_halves")?.one_of(&YES)?,
            entries: from.name("entries")?.small(17)?.max(1),
            cq_entries: from.name("cq_entries")?.small(33)?,
            start: {
                let near = from.name("start")?.one_of(&BEFORE_WRAP)?;
                let end = if near { u64::from(NEAR) } else { 1 << 32 };
                let value = u32::try_from(from.number(end)?).expect("an end of at most 2^32");
                if near { value.wrapping_neg() } else { value }
            },
        })
    }

    pub(crate) fn write(&self, to: &mut impl Writer) {
        to.name("sq").one_of(&SQ, self.sq);
        to.name("cq").one_of(&CQ, self.cq);
        to.name("mode").one_of(&MODES, self.mode);
        to.name("index_array").one_of(&YES, self.array);
        to.name("rewinds").one_of(&YES, self.rewinds);
        to.name("submit_all").one_of(&YES, self.submit_all);
        to.name("incremental_buffers").one_of(&YES, self.incremental);
        to.name("holds_halves").one_of(&YES, self.holds);
        to.name("entries").small(self.entries, 17);
        to.name("cq_entries").small(self.cq_entries, 33);
        let before = self.start.wrapping_neg();
        let near = before < NEAR;
        to.name("start").one_of(&BEFORE_WRAP, near);
        if near {
            to.number(u64::from(before), u64::from(NEAR));
        } else {
            to.number(u64::from(self.start), 1 << 32);
        }
    }

    pub(crate) fn is_polled(&self) -> bool {
        self.mode == Mode::SqPoll
    }

    /// Whether the ring rewinds: it does if it goes together with the rest.
    pub(crate) fn rewinding(&self) -> bool {
        self.rewinds && !self.array && !self.is_polled()
    }

    /// How many submission slots are asked for: a ring with entries of two slots has two at least.
    pub(crate) fn entries(&self) -> u32 {
        let mixed = [self.sq, self.cq].contains(&Width::Mixed);
        u32::from(self.entries).max(if mixed { 2 } else { 1 })
    }

    /// Whether completions of what was in flight come when they are asked for.
    pub(crate) fn is_deferred(&self) -> bool {
        matches!(self.mode, Mode::DeferTaskrun | Mode::TaskrunFlag)
    }

    /// Whether the kernel shows that something waits to be brought in.
    pub(crate) fn shows_taskrun(&self) -> bool {
        self.mode == Mode::TaskrunFlag
    }

    /// What asks for such a ring, but for the widths of its entries.
    pub(crate) fn builder(&self) -> Builder<'static> {
        let mut flags = SetupFlags::empty();
        flags.set(SetupFlags::NO_SQARRAY, !self.array);
        flags.set(SetupFlags::SQ_REWIND, self.rewinding());
        flags.set(SetupFlags::SUBMIT_ALL, self.submit_all);
        flags.set(SetupFlags::SQPOLL, self.is_polled());
        let deferred = SetupFlags::DEFER_TASKRUN | SetupFlags::SINGLE_ISSUER;
        flags.set(deferred, self.is_deferred());
        flags.set(SetupFlags::TASKRUN_FLAG, self.mode == Mode::TaskrunFlag);
        let builder = IoUring::builder().flags(flags);
        // Fewer completion slots than submission slots are refused.
        let rounded = self.cq_entries.next_power_of_two();
        if self.cq_entries == 0 || u32::from(rounded) < self.entries().next_power_of_two() {
            return builder;
        }
        builder.cq_entries(self.cq_entries.into())
    }
}
