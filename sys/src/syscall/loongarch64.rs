//! 64-bit LoongArch: `syscall 0` with the number in `a7`. The kernel keeps every register but
//! `a0` and the temporaries, `t0` to `t8`.

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
            "syscall 0",
            in("$a7") nr,
            inlateout("$a0") a0 => answer,
            in("$a1") a1,
            in("$a2") a2,
            in("$a3") a3,
            in("$a4") a4,
            in("$a5") a5,
            lateout("$t0") _,
            lateout("$t1") _,
            lateout("$t2") _,
            lateout("$t3") _,
            lateout("$t4") _,
            lateout("$t5") _,
            lateout("$t6") _,
            lateout("$t7") _,
            lateout("$t8") _,
            options(nostack, preserves_flags),
        );
    }
    answer
}
