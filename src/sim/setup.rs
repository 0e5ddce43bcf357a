//! `io_uring_setup(2)`: which rings can be made, and the values that are returned about them.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::thread;
use std::vec::Vec;

use rustix::io::Errno;

use crate::sys::{Features, SetupFlags, io_uring_params};

use super::completion::Completions;
use super::hostile::{Lies, NEEDS_ONE_THREAD};
use super::memory::Memory;
use super::requests::Requests;
use super::state::{Answer, PollThread, Ring, State};

/// A ring that was made and is not yet part of its kernel.
pub(super) struct Prepared {
    ring: Ring,
    answer: Option<Answer>,
}

/// The supported flags.
const KNOWN: SetupFlags = SetupFlags::SQPOLL
    .union(SetupFlags::SQ_AFF)
    .union(SetupFlags::CQSIZE)
    .union(SetupFlags::CLAMP)
    .union(SetupFlags::R_DISABLED)
    .union(SetupFlags::SUBMIT_ALL)
    .union(SetupFlags::COOP_TASKRUN)
    .union(SetupFlags::TASKRUN_FLAG)
    .union(SetupFlags::SQE128)
    .union(SetupFlags::CQE32)
    .union(SetupFlags::SINGLE_ISSUER)
    .union(SetupFlags::DEFER_TASKRUN)
    .union(SetupFlags::NO_SQARRAY)
    .union(SetupFlags::CQE_MIXED)
    .union(SetupFlags::SQE_MIXED)
    .union(SetupFlags::SQ_REWIND);

/// The features of Linux 6.18 that the simulated kernel has.
const FEATURES: Features = Features::SINGLE_MMAP
    .union(Features::NODROP)
    .union(Features::SUBMIT_STABLE)
    .union(Features::RW_CUR_POS)
    .union(Features::POLL_32BITS)
    .union(Features::SQPOLL_NONFIXED)
    .union(Features::EXT_ARG)
    .union(Features::CQE_SKIP)
    .union(Features::LINKED_FILE)
    .union(Features::MIN_TIMEOUT)
    .union(Features::NO_IOWAIT);

const MOST_ENTRIES: u32 = 32_768;

impl State {
    /// Makes a ring. Fails if there is one already, or if the parameters are invalid.
    pub(super) fn prepare(
        &mut self,
        entries: u32,
        params: &io_uring_params,
        stays: bool,
    ) -> Result<Prepared, Errno> {
        if let Some(errno) = self.setup_faults.pop_front() {
            return Err(errno);
        }
        if self.ring.is_some() {
            return Err(Errno::MFILE);
        }
        let setup = params.flags;
        check(setup)?;
        if params.resv != [0; 3] {
            return Err(Errno::INVAL);
        }
        let (sq_entries, cq_entries) = sizes(entries, params.cq_entries, setup)?;
        let rewinds = setup.contains(SetupFlags::SQ_REWIND);
        let position = if rewinds { 0 } else { self.position };
        let disabled = setup.contains(SetupFlags::R_DISABLED);
        let owned = setup.contains(SetupFlags::SINGLE_ISSUER) && !disabled;
        let answer = self.answer.take();
        assert!(stays || answer.is_none(), "{NEEDS_ONE_THREAD}");
        let lies = Lies { layout: answer.is_some(), ..Lies::default() };
        let ring = Ring {
            setup,
            memory: Memory::new(setup, sq_entries, cq_entries, position)?,
            retired: Vec::new(),
            disabled,
            owner: owned.then(|| thread::current().id()),
            trusted: answer.is_none(),
            has_jobs: false,
            stays: stays.then(|| thread::current().id()),
            lies,
            forged: Vec::new(),
            thread: PollThread::Awake,
            sq_head: position,
            completions: Completions::new(position),
            requests: Requests::default(),
            groups: BTreeMap::new(),
        };
        Ok(Prepared { ring, answer })
    }

    /// Takes over a new ring.
    pub(super) fn install(&mut self, ring: Ring) -> Result<(), Errno> {
        if self.ring.is_some() {
            return Err(Errno::MFILE);
        }
        self.ring = Some(ring);
        Ok(())
    }
}

impl Prepared {
    /// Fills in the values that set-up returns.
    pub(super) fn answer(mut self, params: &mut io_uring_params) -> Result<Ring, Errno> {
        self.ring.memory.describe(params);
        params.features = FEATURES;
        if let Some(change) = self.answer {
            change(params);
            self.ring.memory.fit(params)?;
        }
        Ok(self.ring)
    }
}

/// Refuses unsupported flags, and flags that contradict each other.
fn check(setup: SetupFlags) -> Result<(), Errno> {
    type F = SetupFlags;
    let has = |flags| setup.contains(flags);
    let work = F::COOP_TASKRUN | F::DEFER_TASKRUN;
    let bad = !setup.difference(KNOWN).is_empty()
        || (has(F::SQ_AFF) && !has(F::SQPOLL))
        || (has(F::SQPOLL) && setup.intersects(work | F::TASKRUN_FLAG | F::SQ_REWIND))
        || (has(F::TASKRUN_FLAG) && !setup.intersects(work))
        || (has(F::DEFER_TASKRUN) && !has(F::SINGLE_ISSUER))
        || has(F::CQE32 | F::CQE_MIXED)
        || has(F::SQE128 | F::SQE_MIXED)
        || (has(F::SQ_REWIND) && !has(F::NO_SQARRAY));
    if bad { Err(Errno::INVAL) } else { Ok(()) }
}

/// The sizes of the queues for the requested sizes.
pub(super) fn sizes(entries: u32, cq_entries: u32, setup: SetupFlags) -> Result<(u32, u32), Errno> {
    let round = |wanted: u32, most: u32| match wanted {
        0 => Err(Errno::INVAL),
        _ if wanted <= most => Ok(wanted.next_power_of_two()),
        _ if setup.contains(SetupFlags::CLAMP) => Ok(most),
        _ => Err(Errno::INVAL),
    };
    let sq = round(entries, MOST_ENTRIES)?;
    let asked = setup.contains(SetupFlags::CQSIZE);
    let cq = if asked { round(cq_entries, 2 * MOST_ENTRIES)? } else { 2 * sq };
    if cq < sq {
        return Err(Errno::INVAL);
    }
    // An entry of two slots would never fit.
    let least = |flag| if setup.contains(flag) { 2 } else { 1 };
    if sq < least(SetupFlags::SQE_MIXED) || cq < least(SetupFlags::CQE_MIXED) {
        return Err(Errno::OVERFLOW);
    }
    Ok((sq, cq))
}
