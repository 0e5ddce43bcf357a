//! The system calls of a ring, made to whoever made the ring.
//!
//! That is the kernel; with the feature `sim` it is the simulated one for rings that go by a
//! number below -1, which no descriptor and no index has.

use core::ffi::{c_int, c_void};

#[cfg(feature = "sim")]
use crate::sim;
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
    #[cfg(feature = "sim")]
    if fd < -1 {
        // SAFETY: the caller's promise is what the simulated kernel demands, too.
        return unsafe { sim::enter(fd, to_submit, min_complete, flags, arg, arg_size) };
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
    if fd < -1 {
        // SAFETY: the caller's promise is what the simulated kernel demands, too.
        return unsafe { sim::register(fd, op, arg, nr_args) };
    }
    // SAFETY: the caller's promise is the kernel's demand.
    unsafe { sys::io_uring_register(fd, op, arg, nr_args) }
}
