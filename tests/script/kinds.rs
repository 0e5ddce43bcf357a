//! The widths of entries, as what the runner needs to know of each.

use ringbolt::ops::Nop128;
use ringbolt::sim::Taken;
use ringbolt::sys::{NopFlags, Opcode};
use ringbolt::{
    CqEntry, Cqe, Cqe32, CqeMixed, OneWidth, PushError, SqEntry, Sqe, Sqe128, SqeMixed,
    SubmissionQueue,
};

use super::action::Fate;
use super::model::{Completion, Image, Refusal};
use super::op::{Kind, Op};

/// A width of submission entries.
pub(crate) trait Submitted: SqEntry {
    /// An entry of this width.
    fn entry(op: Op, user_data: u64, buffer: *mut u8, wide_cq: bool) -> Self;

    /// The bytes that the kernel is to read.
    fn image(&self) -> Image;

    /// How many slots it takes.
    fn width(&self) -> u32 {
        1
    }

    /// Takes an entry back, where entries have one width.
    fn pop_back<T>(queue: &mut SubmissionQueue<'_, Self, T>) -> Option<Option<Self>>;

    /// Sets room aside and puts entries there, where entries have one width. Returns how many
    /// were put.
    ///
    /// # Safety
    ///
    /// As for [`SubmissionQueue::push_all`].
    unsafe fn reserve<T>(
        queue: &mut SubmissionQueue<'_, Self, T>,
        room: u8,
        entries: &[Self],
        fate: Fate,
    ) -> Option<Result<usize, Refusal>>;
}

/// A width of completions.
pub(crate) trait Completed: CqEntry {
    /// What it says.
    fn completion(&self) -> Completion;
}

/// Why a push was refused.
pub(crate) fn refusal<E>(error: &PushError<E>) -> Refusal {
    match error {
        PushError::Full(_) => Refusal::Full,
        PushError::OpenChain(_) => Refusal::OpenChain,
        PushError::InChain(_) => unreachable!("scripts push chains whole"),
        PushError::TooMany(_) => Refusal::TooMany,
        PushError::Unusable(_) => Refusal::Unusable,
    }
}

/// What the kernel says it took.
pub(crate) fn taken(taken: &Taken) -> Image {
    Image { head: Sqe::from_raw(taken.sqe).to_bytes(), payload: taken.payload }
}

/// See [`Submitted::reserve`].
///
/// # Safety
///
/// As for [`SubmissionQueue::push_all`].
unsafe fn reserve<S: SqEntry + OneWidth, T>(
    queue: &mut SubmissionQueue<'_, S, T>,
    room: u8,
    entries: &[S],
    fate: Fate,
) -> Result<usize, Refusal> {
    let mut reserved = queue.reserve(room.into()).map_err(|error| refusal(&error))?;
    let mut put = 0;
    for entry in entries {
        assert_eq!(reserved.left(), u32::from(room) - put);
        // SAFETY: the caller's promise.
        match unsafe { reserved.put(*entry) } {
            Ok(()) => put += 1,
            Err(error) => assert_eq!((refusal(&error), reserved.left()), (Refusal::Full, 0)),
        }
    }
    match fate {
        Fate::Commit => reserved.commit().map_err(|error| refusal(&error))?,
        Fate::Drop => drop(reserved),
        Fate::Forget => core::mem::forget(reserved),
    }
    Ok(put as usize)
}

impl Submitted for Sqe {
    fn entry(op: Op, user_data: u64, buffer: *mut u8, wide_cq: bool) -> Self {
        op.sqe(user_data, buffer, wide_cq)
    }

    fn image(&self) -> Image {
        Image { head: self.to_bytes(), payload: None }
    }

    fn pop_back<T>(queue: &mut SubmissionQueue<'_, Self, T>) -> Option<Option<Self>> {
        Some(queue.pop_back())
    }

    unsafe fn reserve<T>(
        queue: &mut SubmissionQueue<'_, Self, T>,
        room: u8,
        entries: &[Self],
        fate: Fate,
    ) -> Option<Result<usize, Refusal>> {
        // SAFETY: the caller's promise.
        Some(unsafe { reserve(queue, room, entries, fate) })
    }
}

impl Submitted for Sqe128 {
    fn entry(op: Op, user_data: u64, buffer: *mut u8, wide_cq: bool) -> Self {
        op.sqe128(user_data, buffer, wide_cq)
    }

    fn image(&self) -> Image {
        Image { head: self.sqe.to_bytes(), payload: Some(self.payload) }
    }

    fn pop_back<T>(queue: &mut SubmissionQueue<'_, Self, T>) -> Option<Option<Self>> {
        Some(queue.pop_back())
    }

    unsafe fn reserve<T>(
        queue: &mut SubmissionQueue<'_, Self, T>,
        room: u8,
        entries: &[Self],
        fate: Fate,
    ) -> Option<Result<usize, Refusal>> {
        // SAFETY: the caller's promise.
        Some(unsafe { reserve(queue, room, entries, fate) })
    }
}

impl Submitted for SqeMixed {
    fn entry(op: Op, user_data: u64, buffer: *mut u8, wide_cq: bool) -> Self {
        let mut wide = op.sqe128(user_data, buffer, wide_cq);
        let result = match op.kind {
            Kind::Double { result } => result,
            // Of either width, with an opcode of the other.
            Kind::Cut { .. } | Kind::Command => return wide.into(),
            Kind::Stray { .. } => {
                wide.sqe.set_opcode(Opcode::NOP128);
                return wide.sqe.into();
            }
            _ => return wide.sqe.into(),
        };
        let flags = wide.sqe.flags();
        wide.sqe = Nop128::new().sqe(user_data).sqe.with_flags(flags);
        wide.sqe.set_len(u32::from_ne_bytes(i32::from(result).to_ne_bytes()));
        wide.sqe.set_op_flags(NopFlags::INJECT_RESULT.bits());
        wide.into()
    }

    fn image(&self) -> Image {
        if self.is_wide() { self.as_wide().image() } else { self.as_sqe().image() }
    }

    fn width(&self) -> u32 {
        if self.is_wide() { 2 } else { 1 }
    }

    fn pop_back<T>(_: &mut SubmissionQueue<'_, Self, T>) -> Option<Option<Self>> {
        None
    }

    unsafe fn reserve<T>(
        _: &mut SubmissionQueue<'_, Self, T>,
        _: u8,
        _: &[Self],
        _: Fate,
    ) -> Option<Result<usize, Refusal>> {
        None
    }
}

impl Completed for Cqe {
    fn completion(&self) -> Completion {
        Completion::new(self.as_raw(), None)
    }
}

impl Completed for Cqe32 {
    fn completion(&self) -> Completion {
        Completion::new(self.cqe.as_raw(), Some(self.extra))
    }
}

impl Completed for CqeMixed {
    fn completion(&self) -> Completion {
        match self {
            Self::Narrow(cqe) => cqe.completion(),
            Self::Wide(wide) => wide.completion(),
        }
    }
}
