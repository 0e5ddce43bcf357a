//! Requests: consumed entries, from chains and drains to their completions.
#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::vec::Vec;

use rustix::io::Errno;

use crate::sys::{CqeFlags, Opcode, SetupFlags, SqStatus, SqeFlags, io_uring_cqe};

use super::Pace;
use super::completion::Completion;
use super::operation::Plan;
use super::state::{Ring, World};

/// An entry that was consumed.
pub(super) struct Request {
    pub(super) opcode: Opcode,
    pub(super) flags: SqeFlags,
    pub(super) user_data: u64,
    pub(super) plan: Plan,
    /// Set if the entry was refused when it was consumed: it completes with this errno.
    pub(super) refused: Option<Errno>,
    /// On the first request of a chain: the chain waits for everything before it.
    pub(super) drains: bool,
}

/// A request and those that are linked after it.
pub(super) type Chain = VecDeque<Request>;

/// A chain whose first request has started and not completed.
pub(super) struct Flight {
    pub(super) chain: Chain,
    pub(super) timer: Option<Timer>,
    /// When the timeout that is linked after it cancels it.
    pub(super) limit: Option<i128>,
}

/// When a timeout fires.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timer {
    pub(super) at: i128,
    /// The number of completions that ends it.
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

/// Task work: done by the program's thread when it is in the kernel.
pub(super) enum Work {
    /// Starts the first request of a chain.
    Start(Chain),
    /// Posts a completion of a request that goes on.
    Shot(Completion),
    /// Completes it.
    Finish(Chain, Outcome),
    /// Completes a request that is cancelled with its chain, with or without a completion.
    Cancel(Request, Outcome, bool),
}

/// All requests of a ring.
#[derive(Default)]
pub(super) struct Requests {
    /// The chain that is being consumed.
    pub(super) open: Chain,
    /// The requests that have started, oldest first.
    pub(super) flights: Vec<Flight>,
    pub(super) work: VecDeque<Work>,
    /// Chains that wait for a drain, in order.
    pub(super) deferred: VecDeque<Chain>,
    /// Requests that are neither complete nor deferred.
    pub(super) running: usize,
    /// Whether chains are deferred.
    pub(super) draining: bool,
    /// Whether the next chain waits for everything before it.
    pub(super) drain_next: bool,
    /// Whether drains are refused: they are after the first entry that skips its completion.
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
    /// Starts or defers a chain that was consumed completely.
    pub(super) fn queue(&mut self, world: &mut World, mut chain: Chain) {
        let Some(head) = chain.front_mut() else { return };
        if let Some(errno) = head.refused {
            // No request of a chain with an invalid entry is started, whatever its links are.
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

    /// Completes the first request of a chain, and continues with the rest of it.
    pub(super) fn finish(&mut self, world: &World, mut chain: Chain, outcome: Outcome) {
        let Some(request) = chain.pop_front() else { return };
        let skips = request.flags.contains(SqeFlags::CQE_SKIP_SUCCESS);
        if chain.front().is_some_and(|next| matches!(next.plan, Plan::LinkTimeout(_))) {
            // It was in time.
            self.end_limit(&mut chain, Errno::CANCELED);
        }
        if outcome.failed && !request.flags.contains(SqeFlags::IO_HARDLINK) {
            for linked in chain.drain(..) {
                let cause = linked.refused.unwrap_or(Errno::CANCELED);
                // If the failed request would have skipped its completion, only it posts one, and
                // those that are cancelled with it do not.
                self.requests.work.push_back(Work::Cancel(linked, Outcome::error(cause), skips));
            }
        } else if !chain.is_empty() {
            self.requests.work.push_back(Work::Start(chain));
        }
        self.conclude(world, &request, outcome, skips && !outcome.failed);
    }

    /// Completes the timeout that is the first request of a chain: that never breaks a link.
    pub(super) fn end_limit(&mut self, chain: &mut Chain, errno: Errno) {
        if let Some(limit) = chain.pop_front() {
            let silent = limit.flags.contains(SqeFlags::CQE_SKIP_SUCCESS);
            let errno = limit.refused.unwrap_or(errno);
            self.requests.work.push_back(Work::Cancel(limit, Outcome::error(errno), silent));
        }
    }

    /// Posts the completion of a request, unless it is skipped, and drops the request.
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

    /// Starts the deferred chains that no drain holds back any more.
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

    /// Runs the task work.
    pub(super) fn run_work(&mut self, world: &mut World) {
        // The loop ends: each round starts or completes a request, and makes no new one.
        while let Some(work) = self.requests.work.pop_front() {
            match work {
                Work::Start(chain) => self.start(world, chain),
                Work::Shot(completion) => _ = self.post_completion(world, completion),
                Work::Finish(chain, outcome) => self.finish(world, chain, outcome),
                Work::Cancel(request, outcome, silent) => {
                    self.conclude(world, &request, outcome, silent);
                }
            }
        }
    }

    /// Sets or clears the flag that task work is pending, if the program requested it.
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
