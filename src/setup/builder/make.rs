//! The usual rings, by one call.
#![forbid(unsafe_code)]

use crate::setup::build_error::BuildError;
use crate::uring::{IoUring, LocalIoUring};

use super::Builder;

impl IoUring {
    /// Makes a ring with `entries` submission slots, rounded up to a power of two, and default
    /// settings.
    ///
    /// On such a ring, and on one with [`Builder::coop_taskrun`], an operation that becomes ready
    /// interrupts the thread that submitted it, as a signal without a handler would. Other system
    /// calls in which that thread sleeps may then end with `EINTR`: `epoll_wait(2)`, and reads
    /// and writes of sockets with `SO_RCVTIMEO` or `SO_SNDTIMEO` do; `poll(2)` and
    /// `clock_nanosleep(2)` are resumed by the kernel. Call those again, or make the ring by
    /// [`local`](Self::local): its work waits until the thread enters the ring. On a ring of any
    /// kind the start of a worker thread interrupts the thread too, and so may closing the ring.
    /// Some operations always go to workers, and a read that finds its pipe empty again and again,
    /// as others were quicker, does after 128 attempts.
    ///
    /// # Errors
    ///
    /// See [`BuildError`].
    #[doc(alias("io_uring_queue_init", "io_uring_queue_init_params"))]
    pub fn new(entries: u32) -> Result<Self, BuildError> {
        Self::builder().build(entries)
    }

    /// Makes the ring that a thread should use for its own work, with the flags that make it
    /// cheapest as far as this kernel has them: SINGLE_ISSUER, DEFER_TASKRUN, TASKRUN_FLAG,
    /// NO_SQARRAY, SUBMIT_ALL and a registered descriptor.
    ///
    /// See [`setup_flags`](Self::setup_flags) and [`is_fd_registered`](Self::is_fd_registered) for
    /// what the kernel granted. [`Builder::local`] makes such a ring with other sizes and options.
    ///
    /// With DEFER_TASKRUN, an operation that did not complete at once completes when the thread
    /// submits, waits or calls [`get_events`](Self::get_events), and not before. With TASKRUN_FLAG,
    /// `submit` and `get_events` see that there is something to bring in, and make a system call
    /// only then.
    ///
    /// # Event loops
    ///
    /// In a loop around epoll, poll or mio, watch an eventfd, registered by
    /// [`register_eventfd`](crate::register::Registrar::register_eventfd). The descriptor of the
    /// ring itself does not wake such a loop: the kernel signals it when a completion is posted,
    /// and on this ring that happens only when the thread enters the ring.
    ///
    /// After each wake-up, read the eventfd, then call `get_events` and pop completions in turns
    /// until there are none. Do the same after submitting. The example `event_loop` shows it with
    /// mio.
    ///
    /// # Errors
    ///
    /// See [`BuildError`]: those that no other flags would mend.
    pub fn local(entries: u32) -> Result<LocalIoUring, BuildError> {
        Self::builder().local(entries)
    }

    /// Default settings, to be changed.
    pub const fn builder() -> Builder<'static> {
        Builder::new()
    }
}
