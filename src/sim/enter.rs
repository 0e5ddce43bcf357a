//! `io_uring_enter(2)`: submitting and waiting, in virtual time.

use core::ffi::c_void;
use std::thread;

use rustix::io::Errno;

use crate::sys::{__kernel_timespec, EnterFlags, SetupFlags, io_uring_getevents_arg};

use super::Fault;
use super::operation::nanos;
use super::program::ARGUMENTS;
use super::state::{PollThread, Ring, State, World};

/// The flags of a call that there are.
const FLAGS: u32 = 0xff;

/// How a wait ends but by completions.
#[derive(Default)]
struct Limits {
    /// When the time is up.
    deadline: Option<i128>,
    /// From when on one completion will do.
    contented: Option<i128>,
    /// A signal comes at once.
    interrupted: Option<Errno>,
    /// How many slots the polling thread may take meanwhile.
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
            // A call that does not take all that it should does not wait.
            && entered == Ok(to_submit);
        let mut result = entered;
        if waits {
            // SAFETY: the caller's promise.
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
    /// What a call on an SQPOLL ring does beside waiting for completions.
    fn enter_polled(&mut self, world: &mut World, flags: EnterFlags) -> Result<(), Errno> {
        if self.thread == PollThread::Dead {
            return Err(Errno::OWNERDEAD);
        }
        if flags.contains(EnterFlags::SQ_WAKEUP) {
            self.wake();
        }
        if flags.contains(EnterFlags::SQ_WAIT) && self.is_full() {
            self.poll(world, u32::MAX);
            if self.is_full() {
                // Its thread sleeps.
                return Err(Errno::DEADLK);
            }
        }
        Ok(())
    }

    /// Takes entries for a call.
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
            // No memory for the first.
            return Err(Errno::AGAIN);
        }
        let taken = if to_submit > 0 { self.submit(world, to_submit, most) } else { 0 };
        if !self.setup.contains(SetupFlags::DEFER_TASKRUN) {
            self.run_work(world);
        }
        Ok(taken)
    }

    /// What a call returns that took `taken` entries and then waited.
    fn tell(&mut self, taken: u32, waited: Result<(), Errno>) -> Result<u32, Errno> {
        let Err(errno) = waited else { return Ok(taken) };
        // That it took entries could not be told by an error if there is no head to see.
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

    /// Whether this is the thread that the ring belongs to, if to any.
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
            // What is there makes up for the rest.
            Err(errno) if errno != Errno::DEADLK && self.ready() > 0 => Ok(()),
            waited => waited,
        }
    }

    /// Lets things happen until there are `want` completions.
    fn wait_on(&mut self, world: &mut World, want: u32, limits: Limits) -> Result<(), Errno> {
        let Limits { deadline, mut contented, poll, .. } = limits;
        // What a single thread can have published.
        let mut poll = poll.min(self.memory.sq_entries);
        let (fired, first) = (self.requests.fired, self.completions.tail);
        let mut one_will_do = false;
        // It ends: each round takes entries, of which `poll` are left, or lets a timeout fire, or
        // reaches a limit.
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

    /// Does all that can be done by now, and brings in what is in flight if so asked.
    fn come_round(&mut self, world: &mut World, brings_in: bool) {
        // It ends: each round starts or completes requests, and makes none.
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

/// How a wait is limited, by the arguments of its call.
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
        // There is no region registered.
        return Err(Errno::FAULT);
    }
    if !flags.contains(EnterFlags::EXT_ARG) {
        // Signals to block: none come.
        return if arg.is_null() || arg_size == 8 { Ok(limits) } else { Err(Errno::INVAL) };
    }
    if arg_size != size_of::<io_uring_getevents_arg>() {
        return Err(Errno::INVAL);
    }
    // SAFETY: valid for reads, by the contract; any bytes are such an argument.
    let arg = unsafe { ARGUMENTS.read(arg.cast::<io_uring_getevents_arg>()) }?;
    if arg.min_wait_usec > 0 {
        limits.contented = Some(world.now + i128::from(arg.min_wait_usec) * 1000);
    }
    if arg.ts.addr() != 0 {
        let time: *const __kernel_timespec = arg.ts.as_ptr().cast_const().cast();
        // SAFETY: valid for reads, by the contract; any bytes are a time.
        let time = nanos(unsafe { ARGUMENTS.read(time) }?);
        let absolute = flags.contains(EnterFlags::ABS_TIMER);
        limits.deadline = Some(if absolute { time } else { world.now.saturating_add(time) });
    }
    Ok(limits)
}
