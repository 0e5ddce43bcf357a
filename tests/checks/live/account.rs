//! What each entry was told, and whether that is what it had to be.

use core::fmt;

use ringbolt::ops::AsyncCancel;
use ringbolt::rustix::io::Errno;
use ringbolt::sys::{CqeFlags, Opcode, SqeFlags};
use ringbolt::{Cqe, SafeSqe, Sqe};

use super::world::close;

/// The `user_data` of the first entry. Others are counted from there.
const FIRST: u64 = 0x5eed_0000;
/// The `user_data` of the message that the first entry sends, if it sends one.
const MESSAGE: u64 = 0xcafe_0000;
/// The `user_data` of what cancels, in the end, what still waits.
const CANCEL: u64 = 0xdead_0000;

/// What is special about an entry's completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One completion; what fails is negative.
    Plain,
    /// One completion, and one that is short of so many bytes is a failure.
    Transfer(u32),
    /// One completion, `ETIME` of which is a failure, unless it is said not to be.
    Timer { is_success: bool },
    /// One completion, whatever becomes of the chain that it is to end.
    LinkTimeout,
    /// Several completions, all with [`CqeFlags::MORE`] but the last.
    Multishot,
    /// One completion, and if that says so a notification.
    ZeroCopy,
    /// Each success is a descriptor to close; several completions if it is multishot.
    Opens { multishot: bool },
    /// Closes this descriptor.
    Closes(i32),
    /// Posts another completion.
    Message,
}

/// How an entry is tied to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    Last,
    Soft,
    Hard,
}

/// An entry, and what it was told.
struct Entry {
    sqe: Sqe,
    kind: Kind,
    tie: Tie,
    skips: bool,
    /// The completions without `MORE`, notifications aside.
    last: Option<i32>,
    /// The first completion of those that have `MORE`.
    first: Option<i32>,
    more: u32,
    notifications: u32,
    messages: u32,
}

/// All entries of an input, in the order of their chains.
#[derive(Debug)]
pub(super) struct Account {
    options: u8,
    is_polled: bool,
    /// Cancellations that were sent, and that were told of.
    sent: u32,
    answered: u32,
    entries: Vec<Entry>,
    opened: Vec<i32>,
}

/// What has become of a chain, as far as one has followed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chain {
    Runs,
    /// An entry failed: those behind are cancelled.
    Broken,
    /// An entry failed that skips success: those behind are cancelled, and not told.
    Silent,
}

impl Account {
    pub(super) const fn new(options: u8, is_polled: bool) -> Self {
        Self { options, is_polled, sent: 0, answered: 0, entries: Vec::new(), opened: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether entries may skip success. On a ring where one has, none may drain.
    pub(super) const fn skips(&self) -> bool {
        self.options & 1 != 0
    }

    /// Whether entries may drain. What would cancel on a polled ring must not be held back.
    pub(super) const fn drains(&self) -> bool {
        !self.skips() && !self.is_polled
    }

    pub(super) const fn is_polled(&self) -> bool {
        self.is_polled
    }

    /// An entry that cancels one of those that nobody was told the end of, another each time.
    pub(super) fn cancel(&mut self) -> Option<SafeSqe> {
        let open: Vec<_> = self.entries.iter().filter(|entry| entry.last.is_none()).collect();
        let at = usize::try_from(self.sent).expect("a small number").checked_rem(open.len())?;
        let cancel = AsyncCancel::of_user_data(open[at].sqe.user_data()).sqe(CANCEL);
        self.sent += 1;
        Some(cancel)
    }

    /// Whether to give what is in flight some time to end by itself.
    pub(super) const fn waits(&self) -> bool {
        self.options & 2 != 0
    }

    /// The `user_data` for the entry after those there are, or of an earlier one.
    pub(super) fn user_data(&self, at: usize) -> u64 {
        FIRST + u64::try_from(at).expect("an index")
    }

    /// The `user_data` of the message that the next entry sends.
    pub(super) fn message(&self) -> u64 {
        MESSAGE + u64::try_from(self.len()).expect("an index")
    }

    pub(super) fn add(&mut self, sqe: Sqe, kind: Kind, tie: Tie, skips: bool) {
        assert_eq!(sqe.user_data(), self.user_data(self.len()));
        self.entries.push(Entry {
            sqe,
            kind,
            tie,
            skips,
            last: None,
            first: None,
            more: 0,
            notifications: 0,
            messages: 0,
        });
    }

    /// Takes a completion down, and fails if the entry has none such coming.
    pub(super) fn tell(&mut self, cqe: Cqe) {
        let number = |from: u64| {
            let at = cqe.user_data().checked_sub(from).and_then(|at| usize::try_from(at).ok());
            at.filter(|at| *at < self.entries.len())
        };
        let (entry, message) = (number(FIRST), number(MESSAGE));
        if let Some(at) = message {
            let entry = &mut self.entries[at];
            assert_eq!(entry.kind, Kind::Message, "{cqe:?} of {entry:#?}");
            assert_eq!((cqe.result(), cqe.flags()), (Ok(7), CqeFlags::empty()), "{cqe:?}");
            entry.messages += 1;
            return;
        }
        if cqe.user_data() == CANCEL {
            assert!(self.answered < self.sent && !cqe.has_more(), "{cqe:?}");
            self.answered += 1;
            return;
        }
        let at = entry.unwrap_or_else(|| panic!("nobody's completion: {cqe:?}"));
        let entry = &mut self.entries[at];
        entry.tell(cqe);
        if matches!(entry.kind, Kind::Opens { .. }) && cqe.result().is_ok() {
            self.opened.push(cqe.raw_result());
        }
    }

    /// Whether each entry was told of that has to be, and each cancellation.
    pub(super) fn is_settled(&self) -> bool {
        !self.misses() && self.sent == self.answered
    }

    /// Fails unless each entry was told what it had to be, and no more.
    pub(super) fn expect_all(&self) {
        self.follow(&mut |entry, chain, before| {
            if let Some(fault) = entry.fault(chain, before) {
                panic!("{fault}: {:#x} of {self:#?}", entry.sqe.user_data());
            }
        });
    }

    /// Whether something is missing that an entry has to be told.
    pub(super) fn misses(&self) -> bool {
        let mut misses = false;
        self.follow(&mut |entry, chain, before| misses |= entry.is_missing(chain, before));
        misses
    }

    /// Goes along each chain, and says of each entry what has become of its chain before it, and
    /// before the entry that it is a timeout of.
    fn follow(&self, with: &mut dyn FnMut(&Entry, Chain, Chain)) {
        let (mut chain, mut before) = (Chain::Runs, Chain::Runs);
        for entry in &self.entries {
            with(entry, chain, before);
            before = chain;
            if chain == Chain::Runs && entry.tie == Tie::Soft && entry.has_failed() {
                chain = if entry.skips { Chain::Silent } else { Chain::Broken };
            }
            if entry.tie == Tie::Last {
                (chain, before) = (Chain::Runs, Chain::Runs);
            }
        }
    }

    /// Closes the descriptors that entries made, and those that they were to close and did not.
    pub(super) fn close(self) {
        for fd in self.opened {
            close(fd);
        }
        for entry in &self.entries {
            if let Kind::Closes(fd) = entry.kind {
                match entry.last {
                    Some(0) => {}
                    // Not told at all is cancelled, too: this kind skips no success.
                    None => close(fd),
                    Some(res) if res == -Errno::CANCELED.raw_os_error() => close(fd),
                    _ => panic!("cannot close: {entry:#?}"),
                }
            }
        }
    }
}

impl fmt::Debug for Entry {
    /// In a line: an account has many of these.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sqe, kind, tie, skips: _, last, first, more, notifications, messages } = self;
        write!(f, "{:#x} {:?} {:?}", sqe.user_data(), sqe.opcode(), sqe.flags())?;
        write!(f, " fd {} len {} {kind:?} {tie:?}:", sqe.fd(), sqe.len())?;
        write!(f, " last {last:?}, first {first:?}, {more} more")?;
        write!(f, ", {notifications} notifications, {messages} messages")
    }
}

impl Entry {
    fn tell(&mut self, cqe: Cqe) {
        if let Some(objection) = self.objection(cqe) {
            panic!("{objection}: {cqe:?} of {self:#?}");
        }
        if cqe.is_notification() {
            self.notifications += 1;
        } else if cqe.has_more() {
            self.more += 1;
            self.first = self.first.or(Some(cqe.raw_result()));
        } else {
            self.last = Some(cqe.raw_result());
        }
    }

    /// Why the entry cannot be told this now.
    fn objection(&self, cqe: Cqe) -> Option<&'static str> {
        let multishot = matches!(self.kind, Kind::Multishot | Kind::Opens { multishot: true });
        let zero_copy = self.kind == Kind::ZeroCopy;
        let objections = [
            (self.last.is_some() && !cqe.is_notification(), "told after the end"),
            (cqe.buffer_id().is_some() && !self.picks_buffer(), "a buffer that nobody asked for"),
        ];
        let of_kind = if cqe.is_notification() {
            [
                (!zero_copy || cqe.has_more(), "a notification of what is none"),
                (self.notifications != 0, "a second notification"),
            ]
        } else if cqe.has_more() {
            // A timer that fires again says so as each one does.
            let goes_on = cqe.result().is_ok() || self.sqe.opcode() == Opcode::TIMEOUT;
            [
                (!multishot && !zero_copy, "more of what happens once"),
                (
                    if multishot { !goes_on } else { self.more > 0 },
                    "more after a failure, or twice",
                ),
            ]
        } else {
            [(self.more > 0 && !multishot, "an end that was to be a notification"), (false, "")]
        };
        objections.iter().chain(&of_kind).find(|(holds, _)| *holds).map(|(_, why)| *why)
    }

    fn picks_buffer(&self) -> bool {
        self.sqe.flags().contains(SqeFlags::BUFFER_SELECT)
    }

    /// What the entry came to, if it was told.
    fn result(&self) -> Option<i32> {
        if self.kind == Kind::ZeroCopy { self.first.or(self.last) } else { self.last }
    }

    /// Whether those behind this entry are cancelled, if it is linked softly.
    fn has_failed(&self) -> bool {
        let Some(result) = self.result() else { return false };
        match self.kind {
            Kind::Transfer(len) => u32::try_from(result) != Ok(len),
            Kind::Timer { is_success: true } => result < 0 && result != -Errno::TIME.raw_os_error(),
            Kind::LinkTimeout => false,
            _ => result < 0,
        }
    }

    /// Whether this entry is to be told, of which none of the exceptions holds.
    fn is_owed(&self, chain: Chain, before: Chain) -> bool {
        match chain {
            // A link timeout answers for the entry before it, if that was carried out.
            Chain::Silent => self.kind == Kind::LinkTimeout && before == Chain::Runs,
            Chain::Broken => true,
            Chain::Runs => !self.skips || self.has_failed(),
        }
    }

    fn is_missing(&self, chain: Chain, before: Chain) -> bool {
        if !self.is_owed(chain, before) {
            return false;
        }
        match self.kind {
            Kind::ZeroCopy if self.more > 0 => self.notifications == 0,
            Kind::Message => self.last.is_none() || self.messages < self.sent(chain),
            _ => self.last.is_none(),
        }
    }

    /// How many messages it sent.
    fn sent(&self, chain: Chain) -> u32 {
        u32::from(chain == Chain::Runs && self.kind == Kind::Message && !self.has_failed())
    }

    /// What the entry was told wrongly.
    fn fault(&self, chain: Chain, before: Chain) -> Option<&'static str> {
        let told = self.last.is_some() || self.more > 0;
        let cancelled = Some(-Errno::CANCELED.raw_os_error());
        let is_answer = self.kind == Kind::LinkTimeout && before == Chain::Runs;
        let as_cancelled = (self.last, self.more) == (cancelled, 0);
        // Of a send that is cancelled behind a failure the notification comes all the same, and
        // nothing announces it (seen on 6.18).
        let unannounced = u32::from(chain != Chain::Runs && self.more == 0);
        let notified = self.more..=self.more + unannounced;
        let faults = [
            (told && !self.is_owed(chain, before), "told and was not to be"),
            (!told && self.is_owed(chain, before), "not told"),
            (self.messages != self.sent(chain), "another number of messages"),
            (
                self.kind == Kind::ZeroCopy && !notified.contains(&self.notifications),
                "another number of notifications",
            ),
            (chain == Chain::Broken && !is_answer && !as_cancelled, "not cancelled by a failure"),
        ];
        faults.iter().find(|(holds, _)| *holds).map(|(_, what)| *what)
    }
}
