//! Requests: entries that were taken, on their way through chains and drains to completions.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::vec::Vec;

use rustix::io::Errno;

use crate::sys::{CqeFlags, Opcode, SetupFlags, SqStatus, SqeFlags, io_uring_cqe};

use super::Pace;
use super::completion::Completion;
use super::operation::Plan;
use super::state::{Ring, World};

/// An entry that was taken.
pub(super) struct Request {
    pub(super) opcode: Opcode,
    pub(super) flags: SqeFlags,
    pub(super) user_data: u64,
    pub(super) plan: Plan,
    /// It was refused when taken, and will complete with this.
    pub(super) refused: Option<Errno>,
    /// At the head of a chain: it waits for everything before it.
    pub(super) drains: bool,
}

/// A request and those linked behind it.
pub(super) type Chain = VecDeque<Request>;

/// A chain whose first request has started and is not complete.
pub(super) struct Flight {
    pub(super) chain: Chain,
    pub(super) timer: Option<Timer>,
}

/// When a timeout fires.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    pub(super) at: i128,
    /// The count of completions that ends it.
    pub(super) count: Option<u64>,
}

/// How an operation ended.
#[derive(Clone, Copy)]
pub(super) struct Outcome {
    pub(super) result: i32,
    pub(super) failed: bool,
    pub(super) flags: CqeFlags,
    pub(super) extra: Option<[u64; 2]>,
    /// Whether the completion counts for timeouts.
    pub(super) counts: bool,
}

/// What is done by the program's thread when it is in the kernel: task work.
pub(super) enum Work {
    /// Starts the first request of a chain.
    Start(Chain),
    /// Completes it.
    Finish(Chain, Outcome),
    /// Completes a request that is cancelled with its chain, silently or not.
    Cancel(Request, Outcome, bool),
}

/// All requests of a ring.
#[derive(Default)]
pub(super) struct Requests {
    /// The chain that is being taken.
    pub(super) open: Chain,
    /// What has started, the oldest first.
    pub(super) flights: Vec<Flight>,
    pub(super) work: VecDeque<Work>,
    /// Chains that wait for a drain, in order.
    pub(super) deferred: VecDeque<Chain>,
    /// Requests that are neither complete nor deferred.
    pub(super) running: usize,
    /// Whether chains are deferred.
    pub(super) draining: bool,
    /// The next chain waits for all before it.
    pub(super) drain_next: bool,
    /// Drains are refused, from the first entry on that skips its completion.
    pub(super) no_drains: bool,
    /// How many timeouts have fired.
    pub(super) fired: u64,
}

impl Outcome {
    /// Success with a result, or failure.
    pub(super) fn new(result: Result<i32, Errno>) -> Self {
        Self {
            result: result.unwrap_or_else(|errno| -errno.raw_os_error()),
            failed: result.is_err(),
            flags: CqeFlags::empty(),
            extra: None,
            counts: true,
        }
    }

    pub(super) fn error(errno: Errno) -> Self {
        Self::new(Err(errno))
    }
}

impl Ring {
    /// Lets a chain go that was taken whole.
    pub(super) fn queue(&mut self, world: &mut World, mut chain: Chain) {
        let Some(head) = chain.front_mut() else { return };
        if let Some(errno) = head.refused {
            // None of a chain is started that has a bad entry, however they are linked.
            head.flags.remove(SqeFlags::IO_HARDLINK);
            self.requests.running += chain.len();
            self.finish(world, chain, Outcome::error(errno));
        } else if self.requests.draining {
            let drains = head.drains;
            self.requests.deferred.push_back(chain);
            self.queue_deferred();
            if !drains && self.requests.deferred.is_empty() {
                self.requests.draining = false;
            }
        } else {
            self.requests.running += chain.len();
            self.start(world, chain);
        }
    }

    /// Completes the first request of a chain, and goes on with the rest of it.
    pub(super) fn finish(&mut self, world: &World, mut chain: Chain, outcome: Outcome) {
        let Some(request) = chain.pop_front() else { return };
        let skips = request.flags.contains(SqeFlags::CQE_SKIP_SUCCESS);
        if outcome.failed && !request.flags.contains(SqeFlags::IO_HARDLINK) {
            for linked in chain.drain(..) {
                let cause = linked.refused.unwrap_or(Errno::CANCELED);
                // One that would have been silent speaks for all that are cancelled with it.
                self.requests.work.push_back(Work::Cancel(linked, Outcome::error(cause), skips));
            }
        } else if !chain.is_empty() {
            self.requests.work.push_back(Work::Start(chain));
        }
        self.conclude(world, &request, outcome, skips && !outcome.failed);
    }

    /// Posts the completion of a request, unless it is silent, and forgets the request.
    fn conclude(&mut self, world: &World, request: &Request, outcome: Outcome, silent: bool) {
        if !silent {
            let Outcome { result, flags, extra, counts, .. } = outcome;
            let user_data = request.user_data;
            let cqe = io_uring_cqe { user_data, res: result, flags, ..io_uring_cqe::ZEROED };
            self.post_completion(world, Completion { cqe, extra, counts });
        }
        self.requests.running -= 1;
        self.queue_deferred();
    }

    /// Starts deferred chains as far as their drains allow.
    fn queue_deferred(&mut self) {
        let (mut seen, mut first) = (false, true);
        while let Some(chain) = self.requests.deferred.front() {
            seen |= chain.front().is_some_and(|head| head.drains);
            if (seen || first) && self.requests.running > 0 {
                return;
            }
            first = false;
            if let Some(chain) = self.requests.deferred.pop_front() {
                self.requests.running += chain.len();
                self.requests.work.push_back(Work::Start(chain));
            }
        }
    }

    /// Does what was put off for the program's thread.
    pub(super) fn run_work(&mut self, world: &mut World) {
        // It ends: each round starts or completes a request, and makes none.
        while let Some(work) = self.requests.work.pop_front() {
            match work {
                Work::Start(chain) => self.start(world, chain),
                Work::Finish(chain, outcome) => self.finish(world, chain, outcome),
                Work::Cancel(request, outcome, silent) => {
                    self.conclude(world, &request, outcome, silent);
                }
            }
        }
    }

    /// Tells the program, if it asked for that, whether work waits for it to enter the kernel.
    pub(super) fn show_work(&self, world: &World) {
        if !self.setup.contains(SetupFlags::TASKRUN_FLAG) {
            return;
        }
        let flights = &self.requests.flights;
        let done = world.pace == Pace::WhenWaited && flights.iter().any(|f| f.timer.is_none());
        if done || !self.requests.work.is_empty() {
            self.raise(SqStatus::TASKRUN);
        } else {
            self.lower(SqStatus::TASKRUN);
        }
    }
}
