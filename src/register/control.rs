//! How a ring's requests run: credentials, worker threads, clocks, busy polling.

use rustix::io::Errno;

use crate::sys::{NapiOp, NapiTracking, RegisterOp, io_uring_clock_register, io_uring_napi};

use super::{RegisterError, Registrar, count};

/// The clock that timed waits use, for [`Registrar::set_clock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// `CLOCK_MONOTONIC`, which stops while the machine is suspended.
    Monotonic,
    /// `CLOCK_BOOTTIME`, which includes the time that the machine is suspended.
    Boottime,
}

/// How the kernel polls network devices while a thread waits, for [`Registrar::set_napi`].
#[doc(alias = "io_uring_napi")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Napi {
    /// How long to poll before sleeping, in microseconds. Values above 10,000 count as 10,000.
    pub busy_poll_usec: u32,
    /// Whether the interrupts of the device stay off while it is polled.
    pub prefer_busy_poll: bool,
    /// Who selects the devices to poll: the kernel, or the program by
    /// [`add_napi_id`](Registrar::add_napi_id).
    pub tracking: NapiTracking,
}

impl Registrar<'_> {
    /// Registers the credentials of the calling thread. `IORING_REGISTER_PERSONALITY`, since Linux
    /// 5.6.
    ///
    /// Returns the id for [`Sqe::with_personality`](crate::Sqe::with_personality), which is never
    /// 0.
    ///
    /// With SQPOLL, entries without a personality run with the credentials that the ring was made
    /// with, even after `setuid(2)`. A process that gives up privileges should do so before it
    /// makes the ring. Otherwise it must register its new credentials afterwards and set them on
    /// each entry.
    ///
    /// ```
    /// use ringbolt::{IoUring, ops::Nop};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let id = ring.registrar().register_personality()?;
    /// let entry = Nop::new().sqe(1).with_personality(id);
    /// # let _ = entry;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EBUSY` if 65,535 credentials are registered already.
    #[doc(alias("io_uring_register_personality", "IORING_REGISTER_PERSONALITY"))]
    pub fn register_personality(&self) -> Result<u16, RegisterError> {
        let op = RegisterOp::REGISTER_PERSONALITY;
        // SAFETY: the operation takes no argument.
        let id = unsafe { self.ask(op, core::ptr::null_mut(), 0) }?;
        u16::try_from(id).map_err(|_| RegisterError { op, errno: Errno::OVERFLOW })
    }

    /// Drops registered credentials. `IORING_UNREGISTER_PERSONALITY`, since Linux 5.6.
    ///
    /// Entries in flight keep theirs.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let id = ring.registrar().register_personality()?;
    /// ring.registrar().unregister_personality(id)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` if no credentials have this id.
    #[doc(alias("io_uring_unregister_personality", "IORING_UNREGISTER_PERSONALITY"))]
    pub fn unregister_personality(&self, id: u16) -> Result<(), RegisterError> {
        let null = core::ptr::null_mut();
        // SAFETY: the operation takes the id in place of a count, and uses no memory.
        unsafe { self.ask(RegisterOp::UNREGISTER_PERSONALITY, null, u32::from(id)) }?;
        Ok(())
    }

    /// Restricts worker threads to the CPUs in `mask`. `IORING_REGISTER_IOWQ_AFF`, since Linux
    /// 5.14.
    ///
    /// CPU `n` is bit `n % 8` of byte `n / 8`. On big-endian machines the bytes are in the order
    /// that they have in the kernel's `unsigned long` words.
    ///
    /// This applies to the workers of the calling thread, whichever ring they work for; with
    /// SQPOLL, to those of the polling thread. It affects workers that start after the call. CPUs
    /// that the machine does not have are ignored: a mask that has only such CPUs restricts
    /// nothing.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let cpus_0_and_2 = [0b101];
    /// # let cpus_0_and_2 = [0xff; 128]; // The machine may lack them.
    /// ring.registrar().set_worker_cpus(&cpus_0_and_2)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` for an empty mask, for CPUs that the thread may not use, and on a thread that has
    /// not yet made a ring or submitted anything.
    #[doc(alias("io_uring_register_iowq_aff", "IORING_REGISTER_IOWQ_AFF"))]
    pub fn set_worker_cpus(&self, mask: &[u8]) -> Result<(), RegisterError> {
        let op = RegisterOp::REGISTER_IOWQ_AFF;
        let (arg, len) = (mask.as_ptr().cast_mut().cast(), count(op, mask)?);
        // SAFETY: as many bytes as said, which the kernel only reads, during the call.
        unsafe { self.ask(op, arg, len) }?;
        Ok(())
    }

    /// Lets worker threads run on any CPU again. `IORING_UNREGISTER_IOWQ_AFF`, since Linux 5.14.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().reset_worker_cpus()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` on a thread that has not yet made a ring or submitted anything.
    #[doc(alias("io_uring_unregister_iowq_aff", "IORING_UNREGISTER_IOWQ_AFF"))]
    pub fn reset_worker_cpus(&self) -> Result<(), RegisterError> {
        // SAFETY: the operation takes no argument.
        unsafe { self.ask(RegisterOp::UNREGISTER_IOWQ_AFF, core::ptr::null_mut(), 0) }?;
        Ok(())
    }

    /// Limits the number of worker threads. `IORING_REGISTER_IOWQ_MAX_WORKERS`, since Linux 5.15.
    ///
    /// One limit is for bounded work (files, block devices), the other for unbounded work (sockets,
    /// pipes). 0 leaves a limit unchanged. Returns the previous limits, in the order of
    /// [`IoWqType`](crate::sys::IoWqType).
    ///
    /// The limits apply to each thread that uses the ring. Before Linux 6.4 they apply separately
    /// on each NUMA node.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// ring.registrar().set_max_workers(4, 8)?;
    /// let [bounded, unbounded] = ring.registrar().set_max_workers(0, 0)?;
    /// assert_eq!((bounded, unbounded), (4, 8));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` before Linux 5.15, and for limits beyond 2^31 - 1.
    #[doc(alias("io_uring_register_iowq_max_workers", "IORING_REGISTER_IOWQ_MAX_WORKERS"))]
    pub fn set_max_workers(&self, bounded: u32, unbounded: u32) -> Result<[u32; 2], Errno> {
        let mut limits = [bounded, unbounded];
        let arg = limits.as_mut_ptr().cast();
        // SAFETY: two numbers, valid for reads and writes during the call.
        unsafe { self.ask(RegisterOp::REGISTER_IOWQ_MAX_WORKERS, arg, 2) }?;
        Ok(limits)
    }

    /// Sets the clock that timed waits use; the default is [`Clock::Monotonic`].
    /// `IORING_REGISTER_CLOCK`, since Linux 6.12.
    ///
    /// ```
    /// use ringbolt::{IoUring, register::Clock, rustix::io::Errno};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// match ring.registrar().set_clock(Clock::Boottime) {
    ///     Err(error) if error.errno == Errno::INVAL => eprintln!("a kernel before 6.12"),
    ///     result => result?,
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` before Linux 6.12.
    #[doc(alias("io_uring_register_clock", "IORING_REGISTER_CLOCK"))]
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

    /// Makes the kernel poll network devices while a thread waits. `IORING_REGISTER_NAPI`, since
    /// Linux 6.9.
    ///
    /// Returns the previous settings.
    ///
    /// ```
    /// use ringbolt::{IoUring, register::Napi, sys::NapiTracking};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// let (busy_poll_usec, tracking) = (50, NapiTracking::DYNAMIC);
    /// let napi = Napi { busy_poll_usec, prefer_busy_poll: false, tracking };
    /// match ring.registrar().set_napi(napi) {
    ///     Ok(previous) => assert_eq!(previous.busy_poll_usec, 0),
    ///     Err(error) => eprintln!("{error}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EINVAL` for a ring with IOPOLL, for a tracking that the kernel does not know, and on a
    /// kernel without network busy polling.
    #[doc(alias("io_uring_register_napi", "IORING_REGISTER_NAPI"))]
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

    /// Stops the polling of network devices. `IORING_UNREGISTER_NAPI`, since Linux 6.9.
    ///
    /// Returns the previous settings, except for the tracking: the kernel does not report it, and
    /// it is always [`NapiTracking::DYNAMIC`] here.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// if let Err(error) = ring.registrar().unset_napi() {
    ///     eprintln!("{error}");
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`set_napi`](Self::set_napi).
    #[doc(alias("io_uring_unregister_napi", "IORING_UNREGISTER_NAPI"))]
    pub fn unset_napi(&self) -> Result<Napi, RegisterError> {
        let mut raw = io_uring_napi::ZEROED;
        self.napi(RegisterOp::UNREGISTER_NAPI, &mut raw)?;
        Ok(Napi::from_raw(&raw))
    }

    /// Adds a device queue to those that are polled with static tracking.
    /// `IO_URING_NAPI_STATIC_ADD_ID`, since Linux 6.13.
    ///
    /// The socket option `SO_INCOMING_NAPI_ID` returns the id of a queue.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// // Refused: tracking is not static.
    /// assert!(ring.registrar().add_napi_id(7).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `EEXIST` if the id was added already; `EINVAL` without static tracking or for an invalid id.
    #[doc(alias = "IO_URING_NAPI_STATIC_ADD_ID")]
    pub fn add_napi_id(&self, id: u32) -> Result<(), RegisterError> {
        self.napi_id(NapiOp::STATIC_ADD_ID, id)
    }

    /// Removes a device queue from those that are polled. `IO_URING_NAPI_STATIC_DEL_ID`, since
    /// Linux 6.13.
    ///
    /// ```
    /// use ringbolt::IoUring;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let ring = IoUring::new(8)?;
    /// // Refused: tracking is not static.
    /// assert!(ring.registrar().remove_napi_id(7).is_err());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// `ENOENT` if the id was not added; `EINVAL` without static tracking or for an invalid id.
    #[doc(alias = "IO_URING_NAPI_STATIC_DEL_ID")]
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
