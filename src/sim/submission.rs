//! The kernel's side of the submission queue: consuming entries, and the polling thread.
#![forbid(unsafe_code)]

use core::sync::atomic::{Ordering, fence};

use rustix::io::Errno;

use crate::sys::{Opcode, SetupFlags, SqStatus, SqeFlags, io_uring_sqe};

use super::operation::{KNOWN, Plan, plan};
use super::requests::{Chain, Request};
use super::state::{PollThread, Ring, World};
use super::{Taken, Word};

/// An entry from the queue, and whether its position is valid.
struct Found {
    taken: Taken,
    slots: u32,
    misplaced: bool,
}

/// The supported flags of entries.
const SQE_FLAGS: u8 = 0x7f;

impl Ring {
    /// Consumes entries of at most `limit` slots, and stops after it has consumed `most`. Returns
    /// how many slots it consumed: entries are consumed whole.
    pub(super) fn submit(&mut self, world: &mut World, limit: u32, most: u32) -> u32 {
        let rewinds = self.setup.contains(SetupFlags::SQ_REWIND);
        if rewinds {
            self.sq_head = 0;
        }
        let wanted = limit.min(if rewinds { self.memory.sq_entries } else { self.published() });
        let mut left = wanted;
        while left > 0 && wanted - left < most {
            let Some(found) = self.find(left) else { break };
            left -= found.slots;
            if !self.accept(world, &found) && !self.setup.contains(SetupFlags::SUBMIT_ALL) {
                break;
            }
        }
        // An open link ends here.
        let open = core::mem::take(&mut self.requests.open);
        self.queue(world, open);
        if !rewinds {
            self.memory.store(Word::SqHead, self.sq_head);
        }
        wanted - left
    }

    /// The number of slots that are published and not consumed, at most the number of slots of the
    /// queue.
    fn published(&self) -> u32 {
        let tail = self.memory.load(Word::SqTail);
        tail.wrapping_sub(self.sq_head).min(self.memory.sq_entries)
    }

    /// Returns the next entry, or `None` for an index out of range, which is dropped.
    fn find(&mut self, left: u32) -> Option<Found> {
        let next = self.next_slot();
        let slot = self.memory.index(next);
        if slot >= self.memory.sq_entries {
            self.memory.word(Word::SqDropped).fetch_add(1, Ordering::Relaxed);
            return None;
        }
        let sqe = self.memory.sqe(slot);
        let mut found = Found { taken: Taken { sqe, payload: None }, slots: 1, misplaced: false };
        let wide = matches!(sqe.opcode, Opcode::NOP128 | Opcode::URING_CMD128);
        if self.setup.contains(SetupFlags::SQE128) {
            found.taken.payload = Some(self.memory.payload(slot));
        } else if wide {
            let mixed = self.setup.contains(SetupFlags::SQE_MIXED);
            if mixed && left >= 2 && slot + 1 < self.memory.sq_entries {
                found.taken.payload = Some(self.memory.payload(slot));
                found.slots = 2;
                self.next_slot();
            } else {
                found.misplaced = true;
            }
        }
        Some(found)
    }

    fn next_slot(&mut self) -> u32 {
        let slot = self.sq_head % self.memory.sq_entries;
        self.sq_head = self.sq_head.wrapping_add(1);
        slot
    }

    /// Makes a request from an entry, and queues it or the chain that it ends. Returns false for an
    /// invalid entry that ends the submission.
    fn accept(&mut self, world: &mut World, found: &Found) -> bool {
        if world.recording {
            world.taken.push(found.taken);
        }
        let sqe = &found.taken.sqe;
        let linked = sqe.flags.intersects(SqeFlags::IO_LINK | SqeFlags::IO_HARDLINK);
        let mut request = Request {
            opcode: sqe.opcode,
            flags: sqe.flags,
            user_data: sqe.user_data,
            plan: Plan::Fail(Errno::INVAL),
            refused: None,
            drains: false,
        };
        let checked = if found.misplaced { Err(Errno::INVAL) } else { self.check(sqe) };
        request.drains = *checked.as_ref().unwrap_or(&false);
        self.doubt(sqe);
        let planned = checked.and_then(|_| plan(self.program(), self.setup, sqe));
        match planned.and_then(|plan| self.fit(plan)) {
            Ok(plan) => request.plan = plan,
            Err(errno) => {
                request.refused = Some(errno);
                // The chain is not started, but is still consumed to its end.
                if let Some(head) = self.requests.open.front_mut() {
                    head.refused.get_or_insert(Errno::CANCELED);
                }
            }
        }
        let good = request.refused.is_none() || linked;
        self.requests.open.push_back(request);
        if !linked {
            let chain: Chain = core::mem::take(&mut self.requests.open);
            self.queue(world, chain);
        }
        good
    }

    /// Refuses a limit in time that limits nothing.
    fn fit(&self, plan: Plan) -> Result<Plan, Errno> {
        let limited = self.requests.open.back().map(|request| &request.plan);
        let is_astray = matches!(limited, None | Some(Plan::LinkTimeout(_)));
        if is_astray && matches!(plan, Plan::LinkTimeout(_)) {
            return Err(Errno::INVAL);
        }
        Ok(plan)
    }

    /// Checks what is the same for all operations. Returns whether the entry waits for all earlier
    /// ones.
    fn check(&mut self, sqe: &io_uring_sqe) -> Result<bool, Errno> {
        let requests = &mut self.requests;
        let mut drains = false;
        if !KNOWN.contains(&sqe.opcode) || sqe.flags.bits() & !SQE_FLAGS != 0 {
            return Err(Errno::INVAL);
        }
        let reads = matches!(sqe.opcode, Opcode::READ | Opcode::READV | Opcode::READ_MULTISHOT);
        if sqe.flags.contains(SqeFlags::BUFFER_SELECT) && !reads {
            return Err(Errno::OPNOTSUPP);
        }
        if sqe.flags.contains(SqeFlags::CQE_SKIP_SUCCESS) {
            requests.no_drains = true;
        }
        if sqe.flags.contains(SqeFlags::IO_DRAIN) {
            if requests.no_drains {
                return Err(Errno::OPNOTSUPP);
            }
            requests.draining = true;
            drains = true;
            if let Some(head) = requests.open.front_mut() {
                // In the middle of a chain, the whole chain waits, and so does everything after it.
                head.drains = true;
                requests.drain_next = true;
            }
        }
        if requests.drain_next && requests.open.is_empty() {
            requests.drain_next = false;
            requests.draining = true;
            drains = true;
        }
        let transfers = reads || matches!(sqe.opcode, Opcode::WRITE | Opcode::WRITEV);
        if (sqe.ioprio != 0 && !transfers) || sqe.personality != 0 {
            return Err(Errno::INVAL);
        }
        Ok(drains)
    }

    /// Runs one round of the polling thread, for at most `limit` slots.
    pub(super) fn poll(&mut self, world: &mut World, limit: u32) -> u32 {
        let awake = self.is_polled() && !self.disabled && self.thread == PollThread::Awake;
        if !awake || !self.may_take() {
            return 0;
        }
        let taken = self.submit(world, u32::MAX, limit);
        self.run_work(world);
        taken
    }

    /// Makes the polling thread fall asleep, unless entries are published.
    pub(super) fn fall_asleep(&mut self) -> bool {
        if !self.is_polled() || self.thread == PollThread::Dead {
            return false;
        }
        self.raise(SqStatus::NEED_WAKEUP);
        // Either the program sees the flag after publishing, or this side sees what it published.
        fence(Ordering::SeqCst);
        if self.published() > 0 && self.thread == PollThread::Awake {
            self.lower(SqStatus::NEED_WAKEUP);
            return false;
        }
        self.thread = PollThread::Asleep;
        true
    }

    /// Wakes the polling thread.
    pub(super) fn wake(&mut self) {
        if self.thread == PollThread::Asleep {
            self.thread = PollThread::Awake;
            self.lower(SqStatus::NEED_WAKEUP);
        }
    }

    /// Ends the polling thread, and with it what it has submitted.
    pub(super) fn kill_thread(&mut self) {
        if self.is_polled() {
            self.thread = PollThread::Dead;
            // Whoever submits is to enter, and to learn of it.
            self.raise(SqStatus::NEED_WAKEUP);
            self.cancel_flights();
        }
    }

    /// Whether the submission queue is full.
    pub(super) fn is_full(&self) -> bool {
        self.published() == self.memory.sq_entries
    }
}
