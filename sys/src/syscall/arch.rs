//! The architectures that no file here is for.

use super::Word;

compile_error!(
    "ringbolt-sys: no system call instruction for this target; it knows Linux on x86_64, x86, \
     aarch64, arm, riscv64, loongarch64, s390x and powerpc64"
);

/// # Safety
///
/// Never called: the crate does not build. It is here so that the message above stands alone.
pub(super) unsafe fn syscall(_nr: usize, _args: [Word; 6]) -> isize {
    0
}
