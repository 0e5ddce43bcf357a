//! [`Op`]: an entry of a script, and the entry of the queue that it becomes.

use ringbolt::ops::{Fixed, Nop, RawOp, Read, Write};
use ringbolt::sys::{Opcode, SqeFlags};
use ringbolt::{Sqe, Sqe128};

use super::form::{Reader, Result, Writer};

/// An entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) kind: Kind,
    pub(crate) link: Link,
    pub(crate) flags: SqeFlags,
}

/// What an entry asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing, with this for its result.
    Nop { result: i16 },
    /// The same, with two words more in its completion, if it can have them.
    NopWithWords { result: i16 },
    /// An entry of two slots, if the queue has such.
    Double { result: i16 },
    /// The same, made from one of 64 bytes: its opcode alone makes it wide.
    Stray { result: i16 },
    /// An entry of one slot, made from one of 128 bytes in a queue that has both: the opcode alone
    /// makes it narrow.
    Cut { result: i16 },
    /// A command for a driver, made from one of 128 bytes with the narrow opcode, and refused.
    Command,
    /// A read from the file.
    Read { at: u8, len: u8 },
    /// A write to the other file.
    Write { at: u8, len: u8 },
    /// A read from the file into a provided buffer.
    ReadProvided { at: u8, len: u8 },
    /// What no kernel knows. Ends a chain, so that it stands alone.
    Unknown,
}

/// How an entry is tied to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    None,
    Soft,
    Hard,
}

/// The kinds, without what they carry.
const KINDS: [&str; 10] =
    ["nop", "read", "write", "words", "double", "provided", "unknown", "stray", "cut", "command"];
const LINKS: [(&str, Link); 3] =
    [("alone", Link::None), ("link", Link::Soft), ("hard", Link::Hard)];
const FLAGS: [(&str, SqeFlags); 4] = [
    ("plain", SqeFlags::empty()),
    ("async", SqeFlags::ASYNC),
    ("skip", SqeFlags::CQE_SKIP_SUCCESS),
    ("skip_async", SqeFlags::CQE_SKIP_SUCCESS.union(SqeFlags::ASYNC)),
];

/// The fixed slot of the file that is read from, and of the one that is written to.
pub(crate) const READ_FROM: Fixed = Fixed(0);
pub(crate) const WRITE_TO: Fixed = Fixed(1);
/// The group of provided buffers.
pub(crate) const GROUP: u16 = 5;

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Nop { .. } => "nop",
            Self::NopWithWords { .. } => "words",
            Self::Double { .. } => "double",
            Self::Stray { .. } => "stray",
            Self::Cut { .. } => "cut",
            Self::Command => "command",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::ReadProvided { .. } => "provided",
            Self::Unknown => "unknown",
        }
    }
}

/// The two words of a completion that has such.
fn words(user_data: u64) -> [u64; 2] {
    [!user_data, user_data.swap_bytes()]
}

/// The last 64 bytes of an entry of 128.
fn payload(user_data: u64) -> [u8; 64] {
    let bytes = user_data.to_be_bytes();
    core::array::from_fn(|index| bytes[index % 8].wrapping_add(bytes[index / 8]))
}

impl Op {
    pub(crate) fn read(from: &mut impl Reader) -> Result<Self> {
        let kind = match KINDS[from.choose(&KINDS)?] {
            "nop" => Kind::Nop { result: from.signed()? },
            "words" => Kind::NopWithWords { result: from.signed()? },
            "double" => Kind::Double { result: from.signed()? },
            "stray" => Kind::Stray { result: from.signed()? },
            "cut" => Kind::Cut { result: from.signed()? },
            "command" => Kind::Command,
            "read" => Kind::Read { at: from.small(256)?, len: from.small(32)? },
            "write" => Kind::Write { at: from.small(256)?, len: from.small(32)? },
            "provided" => Kind::ReadProvided { at: from.small(256)?, len: from.small(32)? },
            _ => Kind::Unknown,
        };
        Ok(Self { kind, link: from.one_of(&LINKS)?, flags: from.one_of(&FLAGS)? })
    }

    pub(crate) fn write(self, to: &mut impl Writer) {
        let index = KINDS.iter().position(|name| *name == self.kind.name());
        to.choose(&KINDS, index.expect("a kind has a name"));
        match self.kind {
            Kind::Nop { result }
            | Kind::NopWithWords { result }
            | Kind::Double { result }
            | Kind::Stray { result }
            | Kind::Cut { result } => to.signed(result),
            Kind::Read { at, len } | Kind::Write { at, len } | Kind::ReadProvided { at, len } => {
                to.small(at, 256);
                to.small(len, 32);
            }
            Kind::Unknown | Kind::Command => {}
        }
        to.one_of(&LINKS, self.link);
        to.one_of(&FLAGS, self.flags);
    }

    /// The same, if it can be: entries of two slots only where there are such, and no silence of
    /// those whose completions tell what they did. Provided buffers are read into from where the
    /// file does not end.
    pub(crate) fn normal(mut self, has_doubles: bool) -> Self {
        match &mut self.kind {
            Kind::Double { result } | Kind::Stray { result } | Kind::Cut { result }
                if !has_doubles =>
            {
                self.kind = Kind::Nop { result: *result };
            }
            Kind::Command if !has_doubles => self.kind = Kind::Nop { result: 0 },
            Kind::ReadProvided { at, .. } => *at /= 2,
            _ => {}
        }
        if matches!(self.kind, Kind::Write { .. } | Kind::ReadProvided { .. }) {
            self.flags.remove(SqeFlags::CQE_SKIP_SUCCESS);
        }
        self
    }

    /// Whether the next entry is tied to this one.
    pub(crate) fn is_linked(self) -> bool {
        self.link != Link::None
    }

    /// The entry, recognised by `user_data`; a read or write is of `buffer`. Fields that the
    /// operation does not look at are filled with what `user_data` gives.
    pub(crate) fn sqe(self, user_data: u64, buffer: *mut u8, wide_cq: bool) -> Sqe {
        let noise = user_data.rotate_left(17);
        let nop = |result: i16| Nop::new().inject_result(i32::from(result));
        let mut sqe: Sqe = match self.kind {
            Kind::Nop { result }
            | Kind::Double { result }
            | Kind::Stray { result }
            | Kind::Cut { result } => nop(result).sqe(user_data).into(),
            Kind::Command => RawOp::new(Opcode::URING_CMD).sqe(user_data),
            Kind::NopWithWords { result } if wide_cq => {
                nop(result).cqe32(words(user_data)).sqe(user_data).into()
            }
            Kind::NopWithWords { result } => nop(result).sqe(user_data).into(),
            Kind::Read { at, len } => {
                Read::new(READ_FROM, buffer, len.into()).offset(at.into()).sqe(user_data)
            }
            Kind::Write { at, len } => {
                Write::new(WRITE_TO, buffer, len.into()).offset(at.into()).sqe(user_data)
            }
            Kind::ReadProvided { at, len } => {
                Read::provided(READ_FROM, len.into(), GROUP).offset(at.into()).sqe(user_data).into()
            }
            Kind::Unknown => RawOp::new(Opcode::from_raw(250)).sqe(user_data),
        };
        if let Kind::Nop { .. } = self.kind {
            sqe.set_off(noise);
            sqe.set_addr_raw(!noise);
            sqe.set_tail([noise ^ 1, noise ^ 2]);
        }
        let sqe = match self.link {
            Link::None => sqe,
            Link::Soft => sqe.link(),
            Link::Hard => sqe.hard_link(),
        };
        sqe.with_flags(self.flags)
    }

    /// The same as one of 128 bytes.
    pub(crate) fn sqe128(self, user_data: u64, buffer: *mut u8, wide_cq: bool) -> Sqe128 {
        let sqe = self.sqe(user_data, buffer, wide_cq);
        Sqe128 { sqe, payload: payload(user_data) }
    }

    /// What the kernel is to find in the second slot of the entry in a mixed queue.
    pub(crate) fn second_slot(self, user_data: u64) -> Option<[u8; 64]> {
        match self.kind {
            Kind::Double { .. } | Kind::Command => Some(payload(user_data)),
            Kind::Stray { .. } => Some([0; 64]),
            _ => None,
        }
    }
}
