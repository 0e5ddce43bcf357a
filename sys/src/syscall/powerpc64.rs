//! 64-bit PowerPC, either byte order: `sc` with the number in `r0`.
//!
//! An error is a positive errno in `r3` and the summary overflow bit of `cr0`; this module negates
//! the errno, as the kernel does on every other architecture. The call changes the registers that a
//! function may change, except the link register and the condition fields other than `cr0`.
//!
//! It needs Rust 1.95, the first version whose `asm!` supports the architecture.

use core::arch::asm;

use super::{Numbers, Word};

pub(super) const NUMBERS: Numbers = Numbers { setup: 425, enter: 426, register: 427 };
pub(super) const IOC_NONE: u32 = 1 << 29;
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
            "sc",
            "bns+ 2f",
            "neg 3, 3",
            "2:",
            inlateout("r0") nr => _,
            inlateout("r3") a0 => answer,
            inlateout("r4") a1 => _,
            inlateout("r5") a2 => _,
            inlateout("r6") a3 => _,
            inlateout("r7") a4 => _,
            inlateout("r8") a5 => _,
            lateout("r9") _,
            lateout("r10") _,
            lateout("r11") _,
            lateout("r12") _,
            lateout("cr0") _,
            lateout("ctr") _,
            lateout("xer") _,
            options(nostack),
        );
    }
    answer
}
