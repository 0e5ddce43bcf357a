//! The three system calls.
//!
//! Nothing is added: no retry, no `errno` variable, no check of an argument. A failed call is the
//! positive errno that the kernel answered. The instruction itself is in one file for each
//! architecture, which this module picks.

use core::ffi::c_void;
use core::ptr::without_provenance_mut;

use crate::{EnterFlags, io_uring_params};

// Without a match, `arch.rs`: a compile error.
#[cfg_attr(
    all(target_os = "linux", target_arch = "x86_64", target_pointer_width = "64"),
    path = "x86_64.rs"
)]
#[cfg_attr(all(target_os = "linux", target_arch = "x86"), path = "x86.rs")]
#[cfg_attr(
    all(target_os = "linux", target_arch = "aarch64", target_pointer_width = "64"),
    path = "aarch64.rs"
)]
#[cfg_attr(all(target_os = "linux", target_arch = "arm"), path = "arm.rs")]
#[cfg_attr(all(target_os = "linux", target_arch = "riscv64"), path = "riscv64.rs")]
#[cfg_attr(all(target_os = "linux", target_arch = "loongarch64"), path = "loongarch64.rs")]
#[cfg_attr(all(target_os = "linux", target_arch = "s390x"), path = "s390x.rs")]
#[cfg_attr(all(target_os = "linux", target_arch = "powerpc64"), path = "powerpc64.rs")]
mod arch;

/// What the kernel answers to a call that failed: the errno, positive, such as 22 for `EINVAL`.
pub type RawErrno = i32;

/// An argument in a register. Numbers travel as pointers, since pointers must not travel as
/// numbers: the compiler has to see that the kernel gets hold of the memory.
type Word = *mut c_void;

// The numbers are the same on every architecture that `arch` knows.
const SYS_IO_URING_SETUP: usize = 425;
const SYS_IO_URING_ENTER: usize = 426;
const SYS_IO_URING_REGISTER: usize = 427;

const UNUSED: Word = number(0);

#[inline(always)]
const fn number(value: usize) -> Word {
    without_provenance_mut(value)
}

#[expect(clippy::cast_sign_loss, reason = "the bits are what counts: the kernel reads an int")]
#[inline(always)]
const fn descriptor(fd: i32) -> Word {
    number(fd as isize as usize)
}

#[inline(always)]
const fn word(value: u32) -> Word {
    number(value as usize)
}

/// Tells an answer from an error, which is -4095 to -1.
#[expect(clippy::cast_possible_truncation, reason = "all three calls answer an int")]
#[inline(always)]
const fn answer(raw: isize) -> Result<i32, RawErrno> {
    let raw = raw as i32;
    if raw < 0 { Err(raw.wrapping_neg()) } else { Ok(raw) }
}

/// As [`answer`], for a call whose answer is a count.
#[expect(clippy::cast_sign_loss, reason = "`answer` has taken the negative ones out")]
#[inline(always)]
const fn count(raw: isize) -> Result<u32, RawErrno> {
    match answer(raw) {
        Ok(count) => Ok(count as u32),
        Err(errno) => Err(errno),
    }
}

/// Makes a ring with at least `entries` submission entries; returns its descriptor, or its
/// registered index with
/// [`REGISTERED_FD_ONLY`](crate::SetupFlags::REGISTERED_FD_ONLY).
///
/// `io_uring_setup(2)`. Since Linux 5.1. The descriptor is closed on `execve(2)`.
///
/// # Errors
///
/// The positive errno. `ENOSYS`: the kernel has no io_uring. `EPERM`: it is switched off.
///
/// # Safety
///
/// - `params` is valid for reads and writes, or an address that is never mapped, which the kernel
///   answers with `EFAULT`.
/// - With [`NO_MMAP`](crate::SetupFlags::NO_MMAP), the memory that `params` names is the ring's
///   alone, and stays mapped until the ring is closed and the kernel has let go of it. Otherwise
///   the kernel writes to memory the program uses for something else.
#[inline(always)]
pub unsafe fn io_uring_setup(entries: u32, params: *mut io_uring_params) -> Result<i32, RawErrno> {
    let args = [word(entries), params.cast(), UNUSED, UNUSED, UNUSED, UNUSED];
    // SAFETY: the arguments are those of the call, in order; the caller keeps its contract.
    let raw = unsafe { arch::syscall(SYS_IO_URING_SETUP, args) };
    answer(raw)
}

/// Submits up to `to_submit` entries and waits for `min_complete` completions, as `flags` say;
/// returns how many entries the kernel took.
///
/// `io_uring_enter(2)`. Since Linux 5.1.
///
/// `fd` is a descriptor, or an index with
/// [`REGISTERED_RING`](crate::EnterFlags::REGISTERED_RING). What `arg` and `arg_size` are depends
/// on the flags: a signal mask and its size in bytes (both zero for none); with
/// [`EXT_ARG`](crate::EnterFlags::EXT_ARG), an
/// [`io_uring_getevents_arg`](crate::io_uring_getevents_arg); with
/// [`EXT_ARG_REG`](crate::EnterFlags::EXT_ARG_REG), an offset in bytes into the registered region.
///
/// # Errors
///
/// The positive errno. Entries that the kernel took before an error make the call succeed.
///
/// # Safety
///
/// - `arg` is what the flags say, and valid for reads during the call, or an address that is never
///   mapped.
/// - Every entry that the call submits keeps the contract of its operation: the memory and the
///   descriptors it names stay as they are until the kernel has completed it. Otherwise the
///   kernel reads and writes memory the program uses for something else.
#[inline(always)]
pub unsafe fn io_uring_enter(
    fd: i32,
    to_submit: u32,
    min_complete: u32,
    flags: EnterFlags,
    arg: *const c_void,
    arg_size: usize,
) -> Result<u32, RawErrno> {
    let args = [
        descriptor(fd),
        word(to_submit),
        word(min_complete),
        word(flags.bits()),
        arg.cast_mut(),
        number(arg_size),
    ];
    // SAFETY: the arguments are those of the call, in order; the caller keeps its contract.
    let raw = unsafe { arch::syscall(SYS_IO_URING_ENTER, args) };
    count(raw)
}

/// Registers, unregisters or asks; what the answer is depends on `op`.
///
/// `io_uring_register(2)`. Since Linux 5.1.
///
/// `op` is the number of a [`RegisterOp`](crate::RegisterOp). With
/// [`IORING_REGISTER_USE_REGISTERED_RING`](crate::IORING_REGISTER_USE_REGISTERED_RING) added,
/// `fd` is an index of the thread's registered rings. A few operations take -1 for no ring.
///
/// # Errors
///
/// The positive errno.
///
/// # Safety
///
/// - `arg` is what the operation takes, `nr_args` of them, valid for reads, and for writes if it
///   answers there; or an address that is never mapped. The same holds for what `arg` points to.
/// - Memory that the operation registers stays mapped, and is the kernel's as the operation says,
///   until it is unregistered and no request uses it. Otherwise the kernel reads and writes memory
///   the program uses for something else.
#[inline(always)]
pub unsafe fn io_uring_register(
    fd: i32,
    op: u32,
    arg: *mut c_void,
    nr_args: u32,
) -> Result<u32, RawErrno> {
    let args = [descriptor(fd), word(op), arg, word(nr_args), UNUSED, UNUSED];
    // SAFETY: the arguments are those of the call, in order; the caller keeps its contract.
    let raw = unsafe { arch::syscall(SYS_IO_URING_REGISTER, args) };
    count(raw)
}
