//! s390x: `svc 0` with the number in `r1`. The kernel keeps every register except `r2`, and the
//! condition code.

use core::arch::asm;

use super::{Numbers, Word};

pub(super) const NUMBERS: Numbers = Numbers { setup: 425, enter: 426, register: 427 };
pub(super) const IOC_NONE: u32 = 0;
pub(super) const SIGSET_BYTES: u32 = 8;

/// # Safety
///
/// That of the system call `nr`.
#[inline(always)]
pub(super) unsafe fn syscall(nr: usize, args: [Word; 6]) -> isize {
    let [a0, a1, a2, a3, a4, a5] = args;
    let answer: isize;
    // SAFETY: every register that changes is listed; memory is as the caller promises.
    unsafe {
        asm!(
            "svc 0",
            in("r1") nr,
            inlateout("r2") a0 => answer,
            in("r3") a1,
            in("r4") a2,
            in("r5") a3,
            in("r6") a4,
            in("r7") a5,
            options(nostack, preserves_flags),
        );
    }
    answer
}
