//! The three system calls.
//!
//! Nothing is added: no retry, no `errno` variable, no check of an argument. A failed call returns
//! the kernel's errno as a positive number. All that depends on the architecture is in one file for
//! each of them, which this module selects: the instruction, and the constants that it re-exports.

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

/// The error of a failed call: the errno as a positive number, such as 22 for `EINVAL`.
pub type RawErrno = i32;

/// An argument in a register. Numbers are passed as pointers, because pointers must not be passed
/// as numbers: the compiler must see that the kernel gets access to the memory.
type Word = *mut c_void;

/// The numbers of the system calls. From `unistd.h`: most architectures have those of
/// `asm-generic`, MIPS and Alpha have others.
struct Numbers {
    setup: usize,
    enter: usize,
    register: usize,
}

/// The direction bits of an `ioctl` number without argument: `_IOC_NONE` of `ioctl.h`, shifted to
/// its place. They are not zero on PowerPC, MIPS, SPARC and Alpha.
pub(crate) const IOC_NONE: u32 = arch::IOC_NONE;

/// The size in bytes of the kernel's `sigset_t`, which is not that of the C library: the size that
/// [`io_uring_enter`] takes for a signal mask, and the `sigmask_sz` of
/// [`io_uring_getevents_arg`](crate::io_uring_getevents_arg). It is 16 on MIPS.
pub const SIGSET_BYTES: u32 = arch::SIGSET_BYTES;

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

/// Distinguishes a result from an error, which is -4095 to -1.
#[expect(clippy::cast_possible_truncation, reason = "all three calls answer an int")]
#[inline(always)]
const fn answer(raw: isize) -> Result<i32, RawErrno> {
    let raw = raw as i32;
    if raw < 0 { Err(raw.wrapping_neg()) } else { Ok(raw) }
}

/// As [`answer`], for a call whose result is a count.
#[expect(clippy::cast_sign_loss, reason = "`answer` returns negative results as errors")]
#[inline(always)]
const fn count(raw: isize) -> Result<u32, RawErrno> {
    match answer(raw) {
        Ok(count) => Ok(count as u32),
        Err(errno) => Err(errno),
    }
}

/// Makes a ring with at least `entries` submission entries.
///
/// Returns its descriptor, or with [`REGISTERED_FD_ONLY`](crate::SetupFlags::REGISTERED_FD_ONLY)
/// its registered index.
///
/// `io_uring_setup(2)`. Since Linux 5.1. The descriptor is closed on `execve(2)`.
///
/// # Errors
///
/// The positive errno. `ENOSYS`: the kernel has no io_uring. `EPERM`: io_uring is switched off.
///
/// # Safety
///
/// - `params` is valid for reads and writes, or is an address that is never mapped; then the call
///   fails with `EFAULT`.
/// - With [`NO_MMAP`](crate::SetupFlags::NO_MMAP), the memory that `params` refers to is used only
///   by the ring, and stays mapped until the ring is closed and the kernel has released it.
///   Otherwise the kernel writes to memory that the program uses for something else.
#[inline(always)]
pub unsafe fn io_uring_setup(entries: u32, params: *mut io_uring_params) -> Result<i32, RawErrno> {
    let args = [word(entries), params.cast(), UNUSED, UNUSED, UNUSED, UNUSED];
    // SAFETY: the arguments are those of the call, in order; the caller keeps its contract.
    let raw = unsafe { arch::syscall(arch::NUMBERS.setup, args) };
    answer(raw)
}

/// Submits up to `to_submit` entries and waits for `min_complete` completions, depending on
/// `flags`.
///
/// Returns how many entries were submitted.
///
/// `io_uring_enter(2)`. Since Linux 5.1.
///
/// `fd` is a descriptor, or with [`REGISTERED_RING`](crate::EnterFlags::REGISTERED_RING) an index.
/// The meaning of `arg` and `arg_size` depends on the flags: a signal mask and its size in bytes
/// (both zero for none); with [`EXT_ARG`](crate::EnterFlags::EXT_ARG), an
/// [`io_uring_getevents_arg`](crate::io_uring_getevents_arg); with
/// [`EXT_ARG_REG`](crate::EnterFlags::EXT_ARG_REG), an offset in bytes into the registered region.
///
/// # Errors
///
/// The positive errno. If entries were submitted before an error, the call succeeds.
///
/// # Safety
///
/// - `arg` is what the flags require, and valid for reads during the call, or is an address that is
///   never mapped.
/// - Every entry that the call submits keeps the contract of its operation: the memory and the
///   descriptors that it refers to stay as they are until the kernel has completed it. Otherwise
///   the kernel reads and writes memory that the program uses for something else.
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
    let raw = unsafe { arch::syscall(arch::NUMBERS.enter, args) };
    count(raw)
}

/// Registers or unregisters resources, or queries the kernel.
///
/// The meaning of the result depends on `op`.
///
/// `io_uring_register(2)`. Since Linux 5.1.
///
/// `op` is the number of a [`RegisterOp`](crate::RegisterOp). With
/// [`IORING_REGISTER_USE_REGISTERED_RING`](crate::IORING_REGISTER_USE_REGISTERED_RING) added, `fd`
/// is an index of the thread's registered rings. A few operations accept -1 for no ring.
///
/// # Errors
///
/// The positive errno.
///
/// # Safety
///
/// - `arg` points to `nr_args` arguments of the kind that the operation takes, valid for reads, and
///   for writes if the operation writes there; or it is an address that is never mapped. The same
///   applies to what the arguments point to.
/// - Memory that the operation registers stays mapped, and is used by the program only as the
///   operation allows, until it is unregistered and no request uses it. Otherwise the kernel reads
///   and writes memory that the program uses for something else.
#[inline(always)]
pub unsafe fn io_uring_register(
    fd: i32,
    op: u32,
    arg: *mut c_void,
    nr_args: u32,
) -> Result<u32, RawErrno> {
    let args = [descriptor(fd), word(op), arg, word(nr_args), UNUSED, UNUSED];
    // SAFETY: the arguments are those of the call, in order; the caller keeps its contract.
    let raw = unsafe { arch::syscall(arch::NUMBERS.register, args) };
    count(raw)
}
