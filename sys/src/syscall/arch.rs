//! Architectures that are not supported.

use super::Word;

compile_error!(
    "ringbolt-sys: no system call instruction for this target; it knows Linux on x86_64, x86, \
     aarch64, arm, riscv64, loongarch64, s390x and powerpc64"
);

/// # Safety
///
/// Never called: the crate does not build. It exists so that the message above is the only error.
pub(super) unsafe fn syscall(_nr: usize, _args: [Word; 6]) -> isize {
    0
}
