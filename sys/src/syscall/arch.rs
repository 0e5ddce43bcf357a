//! Architectures that are not supported.

use super::{Numbers, Word};

compile_error!(
    "ringbolt-sys: no system call instruction for this target; it knows Linux on x86_64, x86, \
     aarch64, arm, riscv64, loongarch64, s390x and powerpc64"
);

// What follows is never used: it exists so that the message above is the only error.
pub(super) const NUMBERS: Numbers = Numbers { setup: 0, enter: 0, register: 0 };
pub(super) const IOC_NONE: u32 = 0;
pub(super) const SIGSET_BYTES: u32 = 0;

/// # Safety
///
/// Never called: the crate does not build.
pub(super) unsafe fn syscall(_nr: usize, _args: [Word; 6]) -> isize {
    0
}
