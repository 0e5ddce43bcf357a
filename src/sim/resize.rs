//! `IORING_REGISTER_RESIZE_RINGS`: changes the sizes of the queues and keeps their contents.
#![forbid(unsafe_code)]

use rustix::io::Errno;

use crate::sys::{SetupFlags, io_uring_params};

use super::Word;
use super::memory::Memory;
use super::setup::sizes;
use super::state::Ring;

/// The words that are copied, besides the positions.
const CARRIED: [Word; 4] = [Word::SqFlags, Word::SqDropped, Word::CqFlags, Word::CqOverflow];

impl Ring {
    /// Changes the sizes of the ring, and returns the new layout.
    pub(super) fn resize(&mut self, params: &mut io_uring_params) -> Result<(), Errno> {
        let known = SetupFlags::CQSIZE | SetupFlags::CLAMP;
        if !self.setup.contains(SetupFlags::DEFER_TASKRUN)
            // Linux 6.18 does not report the new offset of the array.
            || !self.setup.contains(SetupFlags::NO_SQARRAY)
            || !params.flags.difference(known).is_empty()
        {
            return Err(Errno::INVAL);
        }
        let widths = SetupFlags::SQE_MIXED | SetupFlags::CQE_MIXED;
        let setup = params.flags | self.setup.intersection(widths);
        let (sq_entries, cq_entries) = sizes(params.sq_entries, params.cq_entries, setup)?;
        let memory = Memory::new(self.setup, sq_entries, cq_entries, 0)?;
        let old = &self.memory;
        carry(old, Word::SqHead, Word::SqTail, sq_entries, |at| memory.copy_sqe(old, at))?;
        carry(old, Word::CqHead, Word::CqTail, cq_entries, |at| memory.copy_cqe(old, at))?;
        for word in [Word::SqHead, Word::SqTail, Word::CqHead, Word::CqTail] {
            memory.store(word, old.load(word));
        }
        for word in CARRIED {
            memory.store(word, old.load(word));
        }
        memory.describe(params);
        params.flags = self.setup;
        self.retired.push(core::mem::replace(&mut self.memory, memory));
        Ok(())
    }
}

/// Copies the entries between a head and a tail, if there is room for them.
fn carry(old: &Memory, head: Word, tail: Word, room: u32, copy: impl Fn(u32)) -> Result<(), Errno> {
    let (head, tail) = (old.load(head), old.load(tail));
    let count = tail.wrapping_sub(head);
    if count > room {
        return Err(Errno::OVERFLOW);
    }
    for index in 0..count {
        copy(head.wrapping_add(index));
    }
    Ok(())
}
