//! `io_uring_enter(2)`: submitting and waiting, in virtual time.

use core::ffi::c_void;
use std::thread;

use rustix::io::Errno;

use crate::sys::{__kernel_timespec, EnterFlags, SetupFlags, io_uring_getevents_arg};

use super::Fault;
use super::operation::nanos;
use super::program::ARGUMENTS;
use super::state::{PollThread, Ring, State, World};

/// The flags of a call that are supported.
const FLAGS: u32 = 0xff;

/// How a wait ends, other than by completions.
#[derive(Default)]
struct Limits {
    /// The time at which it ends.
    deadline: Option<i128>,
    /// The time after which one completion is enough.
    contented: Option<i128>,
    /// A signal interrupts it immediately.
    interrupted: Option<Errno>,
    /// How many slots the polling thread may consume during the wait.
    poll: u32,
}

impl State {
    /// `io_uring_enter(2)`.
    ///
    /// # Safety
    ///
    /// As for [`io_uring_enter`](crate::sys::io_uring_enter).
    pub(super) unsafe fn enter(
        &mut self,
        to_submit: u32,
        want: u32,
        flags: EnterFlags,
        arg: *const c_void,
        arg_size: usize,
    ) -> Result<u32, Errno> {
        let world = &mut self.world;
        let fault = world.faults.pop_front();
        if let Some(Fault::Refuse(errno)) = fault {
            return Err(errno);
        }
        if flags.bits() & !FLAGS != 0 || flags.contains(EnterFlags::REGISTERED_RING) {
            return Err(Errno::INVAL);
        }
        let ring = self.ring.as_mut().ok_or(Errno::BADF)?;
        if ring.disabled {
            return Err(Errno::BADFD);
        }
        let entered = if ring.is_polled() {
            ring.enter_polled(world, flags).map(|()| to_submit)
        } else {
            ring.enter_to_submit(world, to_submit, fault)
        };
        let waits = flags.contains(EnterFlags::GETEVENTS)
            // A call that consumes fewer entries than requested does not wait.
            && entered == Ok(to_submit);
        let mut result = entered;
        if waits {
            // SAFETY: the caller keeps the contract.
            let limits = unsafe { limits(world, flags, arg, arg_size) };
            let waited = limits.and_then(|mut limits| {
                match fault {
                    Some(Fault::Interrupt(errno)) => limits.interrupted = Some(errno),
                    Some(Fault::Short(most)) => limits.poll = most,
                    _ => {}
                }
                ring.wait(world, want, limits)
            });
            result = ring.tell(to_submit, waited);
        }
        ring.show_work(world);
        result
    }
}

impl Ring {
    /// Does everything that a call on an SQPOLL ring does, except waiting for completions.
    fn enter_polled(&mut self, world: &mut World, flags: EnterFlags) -> Result<(), Errno> {
        if self.thread == PollThread::Dead {
            return Err(Errno::OWNERDEAD);
        }
        if flags.contains(EnterFlags::SQ_WAKEUP) {
            self.wake();
        }
        if flags.contains(EnterFlags::SQ_WAIT) {
            // Even if there is room: who asks for more than one slot asks again until there is.
            self.poll(world, u32::MAX);
            if self.is_full() {
                // Its thread sleeps.
                return Err(Errno::DEADLK);
            }
        }
        Ok(())
    }

    /// Consumes entries for a call.
    fn enter_to_submit(
        &mut self,
        world: &mut World,
        to_submit: u32,
        fault: Option<Fault>,
    ) -> Result<u32, Errno> {
        let most = if let Some(Fault::Short(most)) = fault { most } else { u32::MAX };
        if to_submit > 0 && !self.may_submit() {
            return Err(Errno::EXIST);
        }
        if to_submit > 0 && most == 0 {
            // There is no memory for the first entry.
            return Err(Errno::AGAIN);
        }
        let taken = if to_submit > 0 { self.submit(world, to_submit, most) } else { 0 };
        if !self.setup.contains(SetupFlags::DEFER_TASKRUN) {
            self.run_work(world);
        }
        Ok(taken)
    }

    /// The result of a call that consumed `taken` entries and then waited.
    fn tell(&mut self, taken: u32, waited: Result<(), Errno>) -> Result<u32, Errno> {
        let Err(errno) = waited else { return Ok(taken) };
        // With SQ_REWIND the program sees no head: an error would hide that entries were consumed.
        let rewinds = self.setup.contains(SetupFlags::SQ_REWIND);
        if errno == Errno::DEADLK && !(rewinds && taken > 0) {
            return Err(errno);
        }
        if taken > 0 {
            return Ok(taken);
        }
        if errno == Errno::BADR {
            self.completions.lost = false;
        }
        Err(errno)
    }

    /// Whether the ring is not bound to a thread, or is bound to this one.
    pub(super) fn may_submit(&self) -> bool {
        self.owner.is_none_or(|owner| owner == thread::current().id())
    }

    /// Waits for `want` completions.
    fn wait(&mut self, world: &mut World, want: u32, limits: Limits) -> Result<(), Errno> {
        if self.setup.contains(SetupFlags::DEFER_TASKRUN) && !self.may_submit() {
            return Err(Errno::EXIST);
        }
        let want = want.min(self.memory.cq_entries);
        self.come_round(world, limits.interrupted.is_none());
        if self.ready() >= want {
            return Ok(());
        }
        let waited = match limits.interrupted {
            Some(errno) => Err(errno),
            None => self.wait_on(world, want, limits),
        };
        match waited {
            // The completions that are ready are enough.
            Err(errno) if errno != Errno::DEADLK && self.ready() > 0 => Ok(()),
            waited => waited,
        }
    }

    /// Advances the simulation until there are `want` completions.
    fn wait_on(&mut self, world: &mut World, want: u32, limits: Limits) -> Result<(), Errno> {
        let Limits { deadline, mut contented, poll, .. } = limits;
        // The most that a single thread can have published.
        let mut poll = poll.min(self.memory.sq_entries);
        let (fired, first) = (self.requests.fired, self.completions.tail);
        let mut one_will_do = false;
        // The loop ends: each round consumes some of the at most `poll` entries, or makes a timeout
        // fire, or reaches a limit.
        loop {
            if self.completions.lost {
                return Err(Errno::BADR);
            }
            let head = self.sq_head;
            self.poll(world, poll);
            let polled = self.sq_head.wrapping_sub(head);
            poll = poll.saturating_sub(polled);
            if polled == 0 {
                let timer = self.next_timer().map(|(_, at)| at);
                let next = [timer, deadline, contented].into_iter().flatten().min();
                world.now = world.now.max(next.ok_or(Errno::DEADLK)?);
                self.fire_due(world);
            }
            self.come_round(world, true);
            if contented.is_some_and(|at| at <= world.now) {
                contented = None;
                one_will_do = true;
            }
            let enough = self.ready() >= want || self.requests.fired != fired;
            if enough || (one_will_do && self.completions.tail != first) {
                return Ok(());
            }
            if deadline.is_some_and(|at| at <= world.now) {
                return Err(Errno::TIME);
            }
        }
    }

    /// Does everything that can be done at this time, and completes what is in flight if requested.
    fn come_round(&mut self, world: &mut World, brings_in: bool) {
        // The loop ends: each round starts or completes requests, and makes no new ones.
        loop {
            self.run_work(world);
            self.flush_overflow();
            let more = brings_in && self.bring_in(world);
            if !more && self.requests.work.is_empty() {
                return;
            }
        }
    }
}

/// Returns the limits of a wait from the arguments of its call.
///
/// # Safety
///
/// As for [`io_uring_enter`](crate::sys::io_uring_enter).
unsafe fn limits(
    world: &World,
    flags: EnterFlags,
    arg: *const c_void,
    arg_size: usize,
) -> Result<Limits, Errno> {
    let mut limits = Limits { poll: u32::MAX, ..Limits::default() };
    if flags.contains(EnterFlags::EXT_ARG_REG) {
        // No region is registered.
        return Err(Errno::FAULT);
    }
    if !flags.contains(EnterFlags::EXT_ARG) {
        // The signal mask is ignored, because there are no signals.
        return if arg.is_null() || arg_size == 8 { Ok(limits) } else { Err(Errno::INVAL) };
    }
    if arg_size != size_of::<io_uring_getevents_arg>() {
        return Err(Errno::INVAL);
    }
    // SAFETY: valid for reads, by the contract; every bit pattern is valid.
    let arg = unsafe { ARGUMENTS.read(arg.cast::<io_uring_getevents_arg>()) }?;
    if arg.min_wait_usec > 0 {
        limits.contented = Some(world.now + i128::from(arg.min_wait_usec) * 1000);
    }
    if arg.ts.addr() != 0 {
        let time: *const __kernel_timespec = arg.ts.as_ptr().cast_const().cast();
        // SAFETY: valid for reads, by the contract; every bit pattern is a time.
        let time = nanos(unsafe { ARGUMENTS.read(time) }?);
        let absolute = flags.contains(EnterFlags::ABS_TIMER);
        limits.deadline = Some(if absolute { time } else { world.now.saturating_add(time) });
    }
    Ok(limits)
}
