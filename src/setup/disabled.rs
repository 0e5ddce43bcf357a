//! [`DisabledIoUring`]: a ring that does not accept entries yet.
#![forbid(unsafe_code)]

use core::fmt;

use rustix::fd::{AsFd, BorrowedFd};

use crate::entry::{CqEntry, Cqe, SqEntry, Sqe};
use crate::register::Registrar;
use crate::setup::build_error::BuildError;
use crate::setup::flags;
use crate::sys::io_uring_params;
use crate::uring::{IoUring, LocalIoUring};

/// A ring that is set up but not enabled: it does not accept entries yet.
///
/// [`Builder::build_disabled`](crate::Builder::build_disabled) returns it.
///
/// Restrictions can be registered only while the ring is disabled. The ring can be sent to the
/// thread that will use it; with SINGLE_ISSUER, that must be the thread which enables it.
#[derive(Debug)]
pub struct DisabledIoUring<S: SqEntry = Sqe, C: CqEntry = Cqe> {
    ring: IoUring<S, C>,
}

/// The error of enabling a ring. The ring is unchanged.
#[derive(Debug)]
pub struct EnableError<S: SqEntry = Sqe, C: CqEntry = Cqe> {
    /// The ring, still disabled.
    pub ring: DisabledIoUring<S, C>,
    /// The cause.
    pub cause: BuildError,
}

#[expect(clippy::result_large_err, reason = "the error returns the ring, without an allocator")]
impl<S: SqEntry, C: CqEntry> DisabledIoUring<S, C> {
    pub(crate) const fn new(ring: IoUring<S, C>) -> Self {
        Self { ring }
    }

    /// Returns the registrar, for what must be registered before the first entry.
    pub fn registrar(&self) -> Registrar<'_> {
        self.ring.registrar()
    }

    /// The parameters that set-up returned.
    pub const fn params(&self) -> &io_uring_params {
        self.ring.params()
    }

    /// Enables the ring for any thread.
    ///
    /// # Errors
    ///
    /// [`BuildError::NeedsOneThread`] for a ring with SINGLE_ISSUER: use
    /// [`enable_local`](Self::enable_local) for it. [`BuildError::Setup`] if the kernel refuses.
    #[doc(alias("io_uring_enable_rings", "IORING_REGISTER_ENABLE_RINGS"))]
    pub fn enable(self) -> Result<IoUring<S, C>, EnableError<S, C>> {
        let flags = self.ring.setup_flags().intersection(flags::one_thread());
        if !flags.is_empty() {
            return Err(EnableError { ring: self, cause: BuildError::NeedsOneThread { flags } });
        }
        self.enabled()
    }

    /// Enables the ring for the calling thread.
    ///
    /// # Errors
    ///
    /// [`BuildError::Setup`] if the kernel refuses.
    #[doc(alias("io_uring_enable_rings", "IORING_REGISTER_ENABLE_RINGS"))]
    pub fn enable_local(self) -> Result<LocalIoUring<S, C>, EnableError<S, C>> {
        self.enabled().map(IoUring::into_local)
    }

    fn enabled(self) -> Result<IoUring<S, C>, EnableError<S, C>> {
        match self.ring.registrar().enable() {
            Ok(()) => Ok(self.ring),
            Err(error) => Err(EnableError { ring: self, cause: BuildError::Setup(error.errno) }),
        }
    }
}

impl<S: SqEntry, C: CqEntry> AsFd for DisabledIoUring<S, C> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

impl<S: SqEntry, C: CqEntry> fmt::Display for EnableError<S, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ring could not be enabled: {}", self.cause)
    }
}

impl<S: SqEntry, C: CqEntry> core::error::Error for EnableError<S, C> {}
