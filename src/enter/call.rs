//! The system calls of a ring, made to the kernel that made the ring.
//!
//! This is the seam to the simulated kernel: no other file outside `src/sim` depends on the feature
//! `sim`. The rings of a simulated kernel have numbers below -1, which no descriptor and no index
//! has; [`Simulated`] stands for such a number. Without the feature it has no value, so the
//! compiler removes what would be done with one.

use core::ffi::{c_int, c_void};

pub(crate) use self::seam::{BufferMemory, Simulated};
use crate::sys::{self, EnterFlags};

/// `io_uring_enter(2)`.
///
/// # Safety
///
/// As for [`sys::io_uring_enter`].
#[inline(always)]
pub(crate) unsafe fn enter(
    fd: c_int,
    to_submit: u32,
    min_complete: u32,
    flags: EnterFlags,
    arg: *const c_void,
    arg_size: usize,
) -> Result<u32, i32> {
    // A branch that the compiler removes only later costs 6 instructions at each call.
    #[cfg(feature = "sim")]
    if let Some(ring) = Simulated::find(fd) {
        // SAFETY: the caller's promise is what the simulated kernel demands, too.
        return unsafe { ring.enter(to_submit, min_complete, flags, arg, arg_size) };
    }
    // SAFETY: the caller's promise is the kernel's demand.
    unsafe { sys::io_uring_enter(fd, to_submit, min_complete, flags, arg, arg_size) }
}

/// `io_uring_register(2)`.
///
/// # Safety
///
/// As for [`sys::io_uring_register`].
#[inline]
pub(crate) unsafe fn register(
    fd: c_int,
    op: u32,
    arg: *mut c_void,
    nr_args: u32,
) -> Result<u32, i32> {
    #[cfg(feature = "sim")]
    if let Some(ring) = Simulated::find(fd) {
        // SAFETY: the caller's promise is what the simulated kernel demands, too.
        return unsafe { ring.register(op, arg, nr_args) };
    }
    // SAFETY: the caller's promise is the kernel's demand.
    unsafe { sys::io_uring_register(fd, op, arg, nr_args) }
}

/// With a simulated kernel.
#[cfg(feature = "sim")]
mod seam {
    use core::ffi::c_void;

    use rustix::fd::BorrowedFd;
    use rustix::io::Errno;

    use crate::ring::map::RingMemory;
    use crate::sim;
    use crate::sys::{EnterFlags, io_uring_params};

    pub(crate) use crate::sim::BufferMemory;

    /// A ring of a simulated kernel, or the kernel before it has made its ring.
    #[derive(Clone, Copy, Debug)]
    pub(crate) struct Simulated(pub(crate) i32);

    impl Simulated {
        /// The simulated ring that `fd` stands for.
        #[inline(always)]
        pub(crate) const fn find(fd: i32) -> Option<Self> {
            if fd < -1 { Some(Self(fd)) } else { None }
        }

        pub(crate) const fn number(self) -> i32 {
            self.0
        }

        pub(crate) fn setup(
            self,
            entries: u32,
            params: &mut io_uring_params,
            stays: bool,
        ) -> Result<Self, i32> {
            sim::setup(self.0, entries, params, stays).map(Self)
        }

        /// # Safety
        ///
        /// As for [`super::enter`].
        pub(crate) unsafe fn enter(
            self,
            to_submit: u32,
            want: u32,
            flags: EnterFlags,
            arg: *const c_void,
            size: usize,
        ) -> Result<u32, i32> {
            // SAFETY: the caller keeps the same contract.
            unsafe { sim::enter(self.0, to_submit, want, flags, arg, size) }
        }

        /// # Safety
        ///
        /// As for [`super::register`].
        pub(crate) unsafe fn register(
            self,
            op: u32,
            arg: *mut c_void,
            nr_args: u32,
        ) -> Result<u32, i32> {
            // SAFETY: the caller keeps the same contract.
            unsafe { sim::register(self.0, op, arg, nr_args) }
        }

        pub(crate) fn map(self) -> Result<RingMemory, Errno> {
            sim::map(self.0)
        }

        pub(crate) fn descriptor<'ring>(self) -> BorrowedFd<'ring> {
            sim::descriptor(self.0)
        }

        pub(crate) fn close(self) {
            sim::close(self.0);
        }

        pub(crate) fn keep_honest(self) {
            sim::keep_honest(self.0);
        }
    }

    impl<S: crate::entry::SqEntry, C: crate::entry::CqEntry> crate::Builder<'_, S, C> {
        /// Makes the ring in `kernel`, a simulated one, and makes no system call.
        pub fn simulated(mut self, kernel: &sim::Kernel) -> Self {
            self.simulated = Some(Simulated(kernel.number()));
            self
        }
    }
}

/// Without a simulated kernel: no value, and nothing that could be called.
#[cfg(not(feature = "sim"))]
mod seam {
    use core::ptr::NonNull;

    use rustix::fd::BorrowedFd;
    use rustix::io::Errno;

    use crate::ring::map::RingMemory;
    use crate::sys::io_uring_params;

    #[derive(Clone, Copy, Debug)]
    pub(crate) enum Simulated {}

    impl Simulated {
        #[inline(always)]
        pub(crate) const fn find(_fd: i32) -> Option<Self> {
            None
        }

        pub(crate) const fn number(self) -> i32 {
            match self {}
        }

        pub(crate) fn setup(
            self,
            _entries: u32,
            _params: &mut io_uring_params,
            _stays: bool,
        ) -> Result<Self, i32> {
            match self {}
        }

        pub(crate) fn map(self) -> Result<RingMemory, Errno> {
            match self {}
        }

        pub(crate) fn descriptor<'ring>(self) -> BorrowedFd<'ring> {
            match self {}
        }

        pub(crate) fn close(self) {
            match self {}
        }

        pub(crate) const fn keep_honest(self) {
            match self {}
        }
    }

    #[derive(Debug)]
    pub(crate) enum BufferMemory {}

    impl BufferMemory {
        /// Never called: there is no simulated ring to share the memory with.
        pub(crate) const fn new(_len: usize) -> Result<Self, Errno> {
            Err(Errno::OPNOTSUPP)
        }

        pub(crate) fn start(&self) -> NonNull<u8> {
            match *self {}
        }
    }
}
