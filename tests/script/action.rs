//! [`Action`]: what the program or the kernel does next, with its two forms.

use ringbolt::rustix::io::Errno;
use ringbolt::sim::{Fault, Pace};

use super::form::{Reader, Result, Writer};
use super::op::Op;

/// One step of either side. Where it makes no sense, it does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Pushes an entry.
    Push(Op),
    /// Pushes entries together.
    PushAll(Vec<Op>),
    /// Sets room aside, puts entries there, and then commits, drops or forgets it.
    Reserve { room: u8, ops: Vec<Op>, fate: Fate },
    /// Takes the entry pushed last back.
    PopBack,
    /// Takes back all that can be.
    Rollback,
    /// Shows the kernel what is pushed.
    Flush,
    /// Enters the kernel.
    Call(Call),
    /// Waits for room in a queue that is polled.
    WaitForRoom,
    /// Takes a completion.
    Pop,
    /// Looks at the next completion.
    Peek,
    /// Takes up to `count` completions of an iteration, and then leaves it, forgets it or goes
    /// on to its end.
    Drain { count: u8, fate: DrainFate },
    /// Copies up to so many completions.
    PopInto(u8),
    /// Gives slots back.
    Sync,
    /// Borrows a half, or both, and forgets it.
    Forget(Half),
    /// Uses both halves crosswise.
    Cross { op: Op, want: u8 },
    /// Takes the ring apart for good.
    IntoHalves,
    /// Gives the ring other sizes; 0 completion slots are the default.
    Resize { entries: u8, cq_entries: u8 },
    /// The next resize that succeeds returns a layout that cannot be right: which one.
    BreakResize(u8),
    /// The next call goes wrong.
    Fault(Fault),
    /// Posts a completion that belongs to no entry.
    Post { result: i16 },
    /// The same with two more words.
    PostWide { result: i16 },
    /// Posts an entry that only fills a slot.
    PostFiller,
    /// From now on completions that do not fit are lost, or are not.
    LoseOverflow(bool),
    /// When reads and writes complete.
    Pace(Pace),
    /// Completes an operation in flight.
    Complete(u8),
    /// The polling thread looks once.
    Poll,
    /// The polling thread falls asleep.
    FallAsleep,
    /// Adds provided buffers of so many bytes.
    AddBuffers { count: u8, len: u8 },
    /// Shows the kernel the buffers added, or does so together with giving slots back.
    PublishBuffers { with_completions: bool },
    /// Reports up to so many completions that name buffers, one by one.
    Reclaim(u8),
    /// Reports up to `count` such completions together, as that of a bundle, in two iterations, the
    /// first of which goes through `part` of the buffers.
    Bundle { count: u8, part: u8 },
}

/// What becomes of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Commit,
    Drop,
    Forget,
}

/// What becomes of an iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DrainFate {
    End,
    Leave,
    Forget,
}

/// What is borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Submission,
    Completion,
    Both,
}

/// A way to enter the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) kind: CallKind,
    /// Completions to wait for, where the call waits.
    pub(crate) want: u8,
    /// By a half of the ring, not by the ring, which gives slots back first.
    pub(crate) by_half: bool,
}

/// The calls that enter the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallKind {
    Submit,
    SubmitAndWait,
    SubmitAndWaitTimeout,
    SubmitAndWaitMinTimeout,
    /// `submit_with` GETEVENTS.
    SubmitAndGetEvents,
    Wait,
    WaitTimeout,
    GetEvents,
}

/// Entries in one go, at the most.
const MOST_OPS: u16 = 6;
/// Completions to wait for or to take, less one at the most.
const MOST: u16 = 40;
/// Slots of a ring to resize to.
const MOST_SLOTS: u16 = 65;

const FATES: [(&str, Fate); 3] =
    [("commit", Fate::Commit), ("drop", Fate::Drop), ("forget", Fate::Forget)];
const DRAIN_FATES: [(&str, DrainFate); 3] =
    [("end", DrainFate::End), ("leave", DrainFate::Leave), ("forget", DrainFate::Forget)];
const HALVES: [(&str, Half); 3] =
    [("submission", Half::Submission), ("completion", Half::Completion), ("both", Half::Both)];
const BY_HALF: [(&str, bool); 2] = [("ring", false), ("half", true)];
const CALLS: [(&str, CallKind); 8] = [
    ("submit", CallKind::Submit),
    ("submit_and_wait", CallKind::SubmitAndWait),
    ("submit_and_wait_timeout", CallKind::SubmitAndWaitTimeout),
    ("submit_and_wait_min_timeout", CallKind::SubmitAndWaitMinTimeout),
    ("submit_and_get_events", CallKind::SubmitAndGetEvents),
    ("wait", CallKind::Wait),
    ("wait_timeout", CallKind::WaitTimeout),
    ("get_events", CallKind::GetEvents),
];
const PACES: [(&str, Pace); 3] =
    [("inline", Pace::Inline), ("when_waited", Pace::WhenWaited), ("held", Pace::Held)];
const LOSES: [(&str, bool); 2] = [("keep", false), ("lose", true)];
const WITH: [(&str, bool); 2] = [("alone", false), ("with_completions", true)];

/// How a call goes wrong.
#[derive(Clone, Copy)]
enum FaultKind {
    Refuse,
    Short,
    Interrupt,
}

const FAULTS: [(&str, FaultKind); 3] = [
    ("refuse", FaultKind::Refuse),
    ("short", FaultKind::Short),
    ("interrupt", FaultKind::Interrupt),
];
const ERRNOS: [(&str, Errno); 6] = [
    ("EINTR", Errno::INTR),
    ("EAGAIN", Errno::AGAIN),
    ("EBUSY", Errno::BUSY),
    ("EBADR", Errno::BADR),
    ("ENOMEM", Errno::NOMEM),
    ("EINVAL", Errno::INVAL),
];

/// The words for actions. Their order is that of the byte form, simple ones first: a test case
/// shrinks towards them.
pub(crate) const NAMES: [&str; 31] = [
    "push",
    "call",
    "pop",
    "flush",
    "push_all",
    "reserve",
    "pop_back",
    "rollback",
    "peek",
    "drain",
    "pop_into",
    "sync",
    "forget",
    "cross",
    "fault",
    "post",
    "post_wide",
    "post_filler",
    "overflow",
    "pace",
    "complete",
    "poll",
    "fall_asleep",
    "wait_for_room",
    "resize",
    "into_halves",
    "add_buffers",
    "publish_buffers",
    "bundle",
    "reclaim",
    "break_resize",
];

impl Action {
    /// Whether it takes the whole ring: no half can be borrowed meanwhile.
    pub(crate) const fn needs_ring(&self) -> bool {
        matches!(
            self,
            Self::Call(Call { by_half: false, .. })
                | Self::IntoHalves
                | Self::Resize { .. }
                | Self::AddBuffers { .. }
        )
    }

    pub(crate) fn read(from: &mut impl Reader) -> Result<Self> {
        let name = NAMES[from.choose(&NAMES)?];
        Ok(match name {
            "push" => Self::Push(Op::read(from)?),
            "push_all" => Self::PushAll(read_ops(from)?),
            "reserve" => Self::Reserve {
                fate: from.one_of(&FATES)?,
                room: from.small(MOST)?,
                ops: read_ops(from)?,
            },
            "pop_back" => Self::PopBack,
            "rollback" => Self::Rollback,
            "flush" => Self::Flush,
            "call" => Self::Call(Call {
                kind: from.one_of(&CALLS)?,
                want: from.small(MOST)?,
                by_half: from.one_of(&BY_HALF)?,
            }),
            "wait_for_room" => Self::WaitForRoom,
            "pop" => Self::Pop,
            "peek" => Self::Peek,
            "drain" => Self::Drain { count: from.small(MOST)?, fate: from.one_of(&DRAIN_FATES)? },
            "pop_into" => Self::PopInto(from.small(MOST)?),
            "sync" => Self::Sync,
            "forget" => Self::Forget(from.one_of(&HALVES)?),
            "cross" => Self::Cross { want: from.small(4)?, op: Op::read(from)? },
            "into_halves" => Self::IntoHalves,
            "resize" => Self::Resize {
                entries: from.small(MOST_SLOTS)?,
                cq_entries: from.small(MOST_SLOTS)?,
            },
            "bundle" => Self::Bundle { count: from.small(8)?, part: from.small(8)? },
            "reclaim" => Self::Reclaim(from.small(8)?),
            "break_resize" => Self::BreakResize(from.small(4)?),
            _ => Self::read_of_kernel(name, from)?,
        })
    }

    /// What the kernel does, and buffers.
    fn read_of_kernel(name: &str, from: &mut impl Reader) -> Result<Self> {
        Ok(match name {
            "fault" => Self::Fault(match from.one_of(&FAULTS)? {
                FaultKind::Refuse => Fault::Refuse(from.one_of(&ERRNOS)?),
                FaultKind::Short => Fault::Short(from.small(MOST)?.into()),
                FaultKind::Interrupt => Fault::Interrupt(from.one_of(&ERRNOS)?),
            }),
            "post" => Self::Post { result: from.signed()? },
            "post_wide" => Self::PostWide { result: from.signed()? },
            "post_filler" => Self::PostFiller,
            "overflow" => Self::LoseOverflow(from.one_of(&LOSES)?),
            "pace" => Self::Pace(from.one_of(&PACES)?),
            "complete" => Self::Complete(from.small(8)?),
            "poll" => Self::Poll,
            "fall_asleep" => Self::FallAsleep,
            "add_buffers" => Self::AddBuffers { count: from.small(8)?, len: from.small(32)? },
            "publish_buffers" => Self::PublishBuffers { with_completions: from.one_of(&WITH)? },
            _ => unreachable!("{name} is not one of NAMES"),
        })
    }

    pub(crate) fn write(&self, to: &mut impl Writer) {
        let index = NAMES.iter().position(|name| *name == self.name());
        to.choose(&NAMES, index.expect("an action has a name"));
        match self {
            Self::Push(op) => op.write(to),
            Self::PushAll(ops) => write_ops(ops, to),
            Self::Reserve { room, ops, fate } => {
                to.one_of(&FATES, *fate);
                to.small(*room, MOST);
                write_ops(ops, to);
            }
            Self::Call(Call { kind, want, by_half }) => {
                to.one_of(&CALLS, *kind);
                to.small(*want, MOST);
                to.one_of(&BY_HALF, *by_half);
            }
            Self::Drain { count, fate } => {
                to.small(*count, MOST);
                to.one_of(&DRAIN_FATES, *fate);
            }
            Self::PopInto(count) => to.small(*count, MOST),
            Self::Forget(half) => to.one_of(&HALVES, *half),
            Self::Cross { op, want } => {
                to.small(*want, 4);
                op.write(to);
            }
            Self::Resize { entries, cq_entries } => {
                to.small(*entries, MOST_SLOTS);
                to.small(*cq_entries, MOST_SLOTS);
            }
            Self::Bundle { count, part } => {
                to.small(*count, 8);
                to.small(*part, 8);
            }
            Self::Reclaim(count) => to.small(*count, 8),
            Self::BreakResize(how) => to.small(*how, 4),
            _ => self.write_of_kernel(to),
        }
    }

    fn write_of_kernel(&self, to: &mut impl Writer) {
        match self {
            Self::Fault(Fault::Refuse(errno)) => {
                to.choose(&FAULTS.map(|(name, _)| name), 0);
                to.one_of(&ERRNOS, *errno);
            }
            Self::Fault(Fault::Short(count)) => {
                to.choose(&FAULTS.map(|(name, _)| name), 1);
                to.number(u64::from(*count), u64::from(MOST));
            }
            Self::Fault(Fault::Interrupt(errno)) => {
                to.choose(&FAULTS.map(|(name, _)| name), 2);
                to.one_of(&ERRNOS, *errno);
            }
            Self::Post { result } | Self::PostWide { result } => to.signed(*result),
            Self::LoseOverflow(lose) => to.one_of(&LOSES, *lose),
            Self::Pace(pace) => to.one_of(&PACES, *pace),
            Self::Complete(nth) => to.small(*nth, 8),
            Self::AddBuffers { count, len } => {
                to.small(*count, 8);
                to.small(*len, 32);
            }
            Self::PublishBuffers { with_completions } => to.one_of(&WITH, *with_completions),
            _ => {}
        }
    }

    /// The word of [`NAMES`].
    const fn name(&self) -> &'static str {
        match self {
            Self::Push(_) => "push",
            Self::PushAll(_) => "push_all",
            Self::Reserve { .. } => "reserve",
            Self::PopBack => "pop_back",
            Self::Rollback => "rollback",
            Self::Flush => "flush",
            Self::Call(_) => "call",
            Self::WaitForRoom => "wait_for_room",
            Self::Pop => "pop",
            Self::Peek => "peek",
            Self::Drain { .. } => "drain",
            Self::PopInto(_) => "pop_into",
            Self::Sync => "sync",
            Self::Forget(_) => "forget",
            Self::Cross { .. } => "cross",
            Self::IntoHalves => "into_halves",
            Self::Resize { .. } => "resize",
            Self::Fault(_) => "fault",
            Self::Post { .. } => "post",
            Self::PostWide { .. } => "post_wide",
            Self::PostFiller => "post_filler",
            Self::LoseOverflow(_) => "overflow",
            Self::Pace(_) => "pace",
            Self::Complete(_) => "complete",
            Self::Poll => "poll",
            Self::FallAsleep => "fall_asleep",
            Self::AddBuffers { .. } => "add_buffers",
            Self::PublishBuffers { .. } => "publish_buffers",
            Self::Bundle { .. } => "bundle",
            Self::Reclaim(_) => "reclaim",
            Self::BreakResize(_) => "break_resize",
        }
    }
}

fn read_ops(from: &mut impl Reader) -> Result<Vec<Op>> {
    let count = from.small(MOST_OPS)?;
    (0..count).map(|_| Op::read(from)).collect()
}

fn write_ops(ops: &[Op], to: &mut impl Writer) {
    to.small(u8::try_from(ops.len()).expect("few entries"), MOST_OPS);
    for op in ops {
        op.write(to);
    }
}
