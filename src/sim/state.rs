//! The state of a simulated kernel: its world, which outlives rings, and its ring.
#![forbid(unsafe_code)]

use core::fmt;
use std::boxed::Box;
use std::collections::{BTreeMap, VecDeque};
use std::thread::ThreadId;
use std::vec::Vec;

use rustix::io::Errno;

use crate::sys::{SetupFlags, io_uring_params};

use super::buffers::Group;
use super::completion::Completions;
use super::files::{File, Name, TransferFault};
use super::hostile::Lies;
use super::memory::Memory;
use super::program::Program;
use super::requests::Requests;
use super::{Fault, Pace, Taken, Word};

/// A simulated kernel.
pub(super) struct State {
    /// The initial value of a ring's positions.
    pub(super) position: u32,
    pub(super) world: World,
    pub(super) ring: Option<Ring>,
    /// Rings that were closed with operations in flight, oldest first.
    pub(super) closing: Vec<Ring>,
    /// Whether no handle is left: then the kernel is freed with its ring.
    pub(super) orphaned: bool,
    pub(super) setup_faults: VecDeque<Errno>,
    /// Changes the values that the next set-up returns.
    pub(super) answer: Option<Answer>,
    /// Changes the values that the next resize returns.
    pub(super) resize_answer: Option<Answer>,
}

/// A function that changes the values that a set-up or a resize returns.
pub(super) type Answer = Box<dyn FnOnce(&mut io_uring_params) + Send>;

/// Everything except rings.
pub(super) struct World {
    pub(super) pace: Pace,
    pub(super) files: BTreeMap<Name, File>,
    /// Virtual time, in nanoseconds; never negative.
    pub(super) now: i128,
    pub(super) faults: VecDeque<Fault>,
    pub(super) transfer_faults: VecDeque<TransferFault>,
    pub(super) register_faults: VecDeque<Errno>,
    /// How many cancellations find what they are for with a device, which goes on.
    pub(super) refused_cancels: u32,
    pub(super) lose_overflow: bool,
    pub(super) recording: bool,
    pub(super) recording_completions: bool,
    pub(super) taken: Vec<Taken>,
}

/// A ring, from the kernel's side.
pub(super) struct Ring {
    pub(super) setup: SetupFlags,
    pub(super) memory: Memory,
    /// Memory from before the ring was resized, which the program unmaps later.
    pub(super) retired: Vec<Memory>,
    /// Set up with R_DISABLED, and not enabled yet.
    pub(super) disabled: bool,
    /// With SINGLE_ISSUER, the thread that may submit.
    pub(super) owner: Option<ThreadId>,
    /// Whether entries are those that the program pushed, and completions those that the kernel
    /// posted. False if a test may have written others.
    pub(super) trusted: bool,
    /// Whether jobs of the safe front rely on the ring, so that no test may falsify it.
    pub(super) has_jobs: bool,
    /// The thread to which the ring, and everything borrowed from it, is bound, if it is bound.
    pub(super) stays: Option<ThreadId>,
    /// Which false values the program was given.
    pub(super) lies: Lies,
    /// The `user_data` of completions that belong to no entry and that the program may not have
    /// popped yet.
    pub(super) forged: Vec<u64>,
    pub(super) thread: PollThread,
    /// The position up to which entries are consumed.
    pub(super) sq_head: u32,
    pub(super) completions: Completions,
    pub(super) requests: Requests,
    /// Provided buffers, by group.
    pub(super) groups: BTreeMap<u16, Group>,
}

/// The polling thread of an SQPOLL ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PollThread {
    Awake,
    Asleep,
    Dead,
}

impl State {
    pub(super) fn new(position: u32) -> Self {
        let world = World {
            pace: Pace::default(),
            files: BTreeMap::new(),
            now: 0,
            faults: VecDeque::new(),
            transfer_faults: VecDeque::new(),
            register_faults: VecDeque::new(),
            refused_cancels: 0,
            lose_overflow: false,
            recording: false,
            recording_completions: false,
            taken: Vec::new(),
        };
        Self {
            position,
            world,
            ring: None,
            closing: Vec::new(),
            orphaned: false,
            setup_faults: VecDeque::new(),
            answer: None,
            resize_answer: None,
        }
    }

    /// Changes the ring outside any system call. Returns `none` if there is no ring.
    pub(super) fn with_ring<T>(
        &mut self,
        none: T,
        act: impl FnOnce(&mut Ring, &mut World) -> T,
    ) -> T {
        let Some(ring) = &mut self.ring else { return none };
        if !ring.may_be_reached() {
            return none;
        }
        let result = act(ring, &mut self.world);
        if !ring.setup.intersects(SetupFlags::DEFER_TASKRUN | SetupFlags::COOP_TASKRUN) {
            // The kernel interrupts the program for this.
            ring.run_work(&mut self.world);
        }
        ring.show_work(&self.world);
        result
    }
}

impl Ring {
    /// How the program's memory is accessed for entries.
    pub(super) fn program(&self) -> Program {
        Program { trusted: self.trusted }
    }

    pub(super) fn is_polled(&self) -> bool {
        self.setup.contains(SetupFlags::SQPOLL)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("pace", &self.world.pace)
            .field("files", &self.world.files)
            .field("faults", &self.world.faults)
            .field("ring", &self.ring)
            .field("closing", &self.closing)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |word| self.word(word);
        f.debug_struct("Ring")
            .field("setup", &self.setup)
            .field("sq_head", &word(Word::SqHead))
            .field("sq_tail", &word(Word::SqTail))
            .field("sq_flags", &word(Word::SqFlags))
            .field("cq_head", &word(Word::CqHead))
            .field("cq_tail", &word(Word::CqTail))
            .field("overflown", &self.completions.overflown.len())
            .field("in_flight", &self.requests.flights.len())
            .field("drained", &self.requests.deferred.len())
            .field("thread", &self.is_polled().then_some(self.thread))
            .finish_non_exhaustive()
    }
}
