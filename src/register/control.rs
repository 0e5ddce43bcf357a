//! What a ring's requests run as and on: credentials, worker threads, clocks, busy polling.

use rustix::io::Errno;

use crate::sys::{NapiOp, NapiTracking, RegisterOp, io_uring_clock_register, io_uring_napi};

use super::{RegisterError, Registrar, count};

/// The clock that timed waits go by, for [`Registrar::set_clock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// `CLOCK_MONOTONIC`, which stands still while the machine sleeps.
    Monotonic,
    /// `CLOCK_BOOTTIME`, which does not.
    Boottime,
}

/// How the kernel polls network devices while a thread waits, for [`Registrar::set_napi`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Napi {
    /// How long to poll before sleeping, in microseconds. More than 10,000 count as that.
    pub busy_poll_usec: u32,
    /// Whether interrupts of the device stay off meanwhile.
    pub prefer_busy_poll: bool,
    /// How the devices to poll are found: by the kernel, or by
    /// [`add_napi_id`](Registrar::add_napi_id).
    pub tracking: NapiTracking,
}

impl Registrar<'_> {
    /// Registers this thread's credentials. Returns the id for
    /// [`Sqe::with_personality`](crate::Sqe::with_personality), which is never 0.
    /// `IORING_REGISTER_PERSONALITY`, since Linux 5.6.
    ///
    /// With SQPOLL, entries without a personality run with the credentials that the ring was made
    /// with, even after `setuid(2)`. A process that gives privileges up registers
    /// its new credentials afterwards, and puts them on each entry; better, it makes the ring
    /// afterwards.
    ///
    /// # Errors
    ///
    /// `EBUSY` when 65,535 are registered.
    pub fn register_personality(&self) -> Result<u16, RegisterError> {
        let op = RegisterOp::REGISTER_PERSONALITY;
        // SAFETY: the operation takes no argument.
        let id = unsafe { self.ask(op, core::ptr::null_mut(), 0) }?;
        u16::try_from(id).map_err(|_| RegisterError { op, errno: Errno::OVERFLOW })
    }

    /// Drops registered credentials. Entries in flight keep theirs.
    /// `IORING_UNREGISTER_PERSONALITY`, since Linux 5.6.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there are none of this id.
    pub fn unregister_personality(&self, id: u16) -> Result<(), RegisterError> {
        let null = core::ptr::null_mut();
        // SAFETY: the operation takes the id where others have a count, and no memory.
        unsafe { self.ask(RegisterOp::UNREGISTER_PERSONALITY, null, u32::from(id)) }?;
        Ok(())
    }

    /// Keeps worker threads on the CPUs of `mask`, where CPU `n` is bit `n % 8` of byte `n / 8`
    /// (on big-endian machines, of the byte that the kernel's words have there).
    /// `IORING_REGISTER_IOWQ_AFF`, since Linux 5.14.
    ///
    /// The workers are the calling thread's, for whatever ring they work; with SQPOLL, those of
    /// the polling thread. It goes for workers that start from now on. CPUs that the machine does
    /// not have are ignored: a mask of such alone binds to nothing.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a mask of no bytes, for CPUs that are not the thread's to use, and on a
    /// thread that has made no ring and submitted nothing yet.
    pub fn set_worker_cpus(&self, mask: &[u8]) -> Result<(), RegisterError> {
        let op = RegisterOp::REGISTER_IOWQ_AFF;
        let (arg, len) = (mask.as_ptr().cast_mut().cast(), count(op, mask)?);
        // SAFETY: as many bytes as said, which the kernel only reads, during the call.
        unsafe { self.ask(op, arg, len) }?;
        Ok(())
    }

    /// Lets worker threads run on any CPU again. `IORING_UNREGISTER_IOWQ_AFF`, since Linux 5.14.
    ///
    /// # Errors
    ///
    /// `EINVAL` on a thread that has made no ring and submitted nothing yet.
    pub fn reset_worker_cpus(&self) -> Result<(), RegisterError> {
        // SAFETY: the operation takes no argument.
        unsafe { self.ask(RegisterOp::UNREGISTER_IOWQ_AFF, core::ptr::null_mut(), 0) }?;
        Ok(())
    }

    /// Limits the numbers of worker threads: for bounded work (files, block devices), and for
    /// unbounded (sockets, pipes). 0 leaves a limit as it is. Returns the limits before,
    /// in the order of [`IoWqType`](crate::sys::IoWqType). `IORING_REGISTER_IOWQ_MAX_WORKERS`,
    /// since Linux 5.15.
    ///
    /// The numbers hold for each thread that uses the ring; before Linux 6.4, on each NUMA node.
    ///
    /// # Errors
    ///
    /// `EINVAL` before Linux 5.15, and for limits beyond 2^31 - 1.
    pub fn set_max_workers(&self, bounded: u32, unbounded: u32) -> Result<[u32; 2], Errno> {
        let mut limits = [bounded, unbounded];
        let arg = limits.as_mut_ptr().cast();
        // SAFETY: two numbers, valid for reads and writes during the call.
        unsafe { self.ask(RegisterOp::REGISTER_IOWQ_MAX_WORKERS, arg, 2) }?;
        Ok(limits)
    }

    /// Has timed waits go by another clock than the monotonic one. `IORING_REGISTER_CLOCK`, since
    /// Linux 6.12.
    ///
    /// # Errors
    ///
    /// `EINVAL` before Linux 6.12.
    pub fn set_clock(&self, clock: Clock) -> Result<(), RegisterError> {
        let clockid = match clock {
            Clock::Monotonic => 1,
            Clock::Boottime => 7,
        };
        let mut clock = io_uring_clock_register { clockid, ..io_uring_clock_register::ZEROED };
        let arg = (&raw mut clock).cast();
        // SAFETY: one struct, which the kernel only reads, during the call.
        unsafe { self.ask(RegisterOp::REGISTER_CLOCK, arg, 0) }?;
        Ok(())
    }

    /// Has the kernel poll network devices while a thread waits. Returns the settings before.
    /// `IORING_REGISTER_NAPI`, since Linux 6.9.
    ///
    /// # Errors
    ///
    /// `EINVAL` for a ring with IOPOLL, a kernel without network busy polling, or a tracking that
    /// it does not know.
    pub fn set_napi(&self, napi: Napi) -> Result<Napi, RegisterError> {
        let mut raw = io_uring_napi {
            busy_poll_to: napi.busy_poll_usec,
            prefer_busy_poll: u8::from(napi.prefer_busy_poll),
            opcode: NapiOp::REGISTER_OP,
            op_param: napi.tracking.as_raw(),
            ..io_uring_napi::ZEROED
        };
        self.napi(RegisterOp::REGISTER_NAPI, &mut raw)?;
        Ok(Napi::from_raw(&raw))
    }

    /// Ends the polling of network devices. Returns the settings before, of which the kernel
    /// leaves the tracking out: it is always said to be [`NapiTracking::DYNAMIC`].
    /// `IORING_UNREGISTER_NAPI`, since Linux 6.9.
    ///
    /// # Errors
    ///
    /// As [`set_napi`](Self::set_napi).
    pub fn unset_napi(&self) -> Result<Napi, RegisterError> {
        let mut raw = io_uring_napi::ZEROED;
        self.napi(RegisterOp::UNREGISTER_NAPI, &mut raw)?;
        Ok(Napi::from_raw(&raw))
    }

    /// Adds a device's queue, by the id that `SO_INCOMING_NAPI_ID` tells, to those that are
    /// polled with static tracking. `IO_URING_NAPI_STATIC_ADD_ID`, since Linux 6.13.
    ///
    /// # Errors
    ///
    /// `EEXIST`; `EINVAL` without static tracking or for an id that is none.
    pub fn add_napi_id(&self, id: u32) -> Result<(), RegisterError> {
        self.napi_id(NapiOp::STATIC_ADD_ID, id)
    }

    /// Takes a device's queue out of those that are polled. `IO_URING_NAPI_STATIC_DEL_ID`, since
    /// Linux 6.13.
    ///
    /// # Errors
    ///
    /// `ENOENT`; `EINVAL` without static tracking or for an id that is none.
    pub fn remove_napi_id(&self, id: u32) -> Result<(), RegisterError> {
        self.napi_id(NapiOp::STATIC_DEL_ID, id)
    }

    fn napi_id(&self, opcode: NapiOp, id: u32) -> Result<(), RegisterError> {
        let mut raw = io_uring_napi { opcode, op_param: id, ..io_uring_napi::ZEROED };
        self.napi(RegisterOp::REGISTER_NAPI, &mut raw)
    }

    fn napi(&self, op: RegisterOp, napi: &mut io_uring_napi) -> Result<(), RegisterError> {
        let arg = core::ptr::from_mut(napi).cast();
        // SAFETY: one struct, valid for reads and writes during the call.
        unsafe { self.ask(op, arg, 1) }?;
        Ok(())
    }
}

impl Napi {
    fn from_raw(raw: &io_uring_napi) -> Self {
        Self {
            busy_poll_usec: raw.busy_poll_to,
            prefer_busy_poll: raw.prefer_busy_poll != 0,
            tracking: NapiTracking::from_raw(raw.op_param),
        }
    }
}
