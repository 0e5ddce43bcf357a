//! AArch64: `svc 0` with the number in `x8`. The kernel keeps every register except `x0`, and the
//! flags.
//!
//! Scalable vectors are the exception: the kernel keeps only the lower 128 bits of `z0` to `z31`,
//! and neither the predicates nor `ffr`. A program compiled for SVE must not hold values in them
//! across the call, so on such targets they are all listed as changed; the compiler never holds a
//! value in `ffr`.

use core::arch::asm;

use super::{Numbers, Word};

pub(super) const NUMBERS: Numbers = Numbers { setup: 425, enter: 426, register: 427 };
pub(super) const IOC_NONE: u32 = 0;
pub(super) const SIGSET_BYTES: u32 = 8;

/// # Safety
///
/// That of the system call `nr`.
#[cfg(not(target_feature = "sve"))]
#[inline(always)]
pub(super) unsafe fn syscall(nr: usize, args: [Word; 6]) -> isize {
    let [a0, a1, a2, a3, a4, a5] = args;
    let answer: isize;
    // SAFETY: every register that changes is listed; memory is as the caller promises.
    unsafe {
        asm!(
            "svc 0",
            in("x8") nr,
            inlateout("x0") a0 => answer,
            in("x1") a1,
            in("x2") a2,
            in("x3") a3,
            in("x4") a4,
            in("x5") a5,
            options(nostack, preserves_flags),
        );
    }
    answer
}

/// # Safety
///
/// That of the system call `nr`.
#[cfg(target_feature = "sve")]
#[inline(always)]
#[rustfmt::skip]
pub(super) unsafe fn syscall(nr: usize, args: [Word; 6]) -> isize {
    let [a0, a1, a2, a3, a4, a5] = args;
    let answer: isize;
    // SAFETY: every register that changes is listed; memory is as the caller promises.
    unsafe {
        asm!(
            "svc 0",
            in("x8") nr,
            inlateout("x0") a0 => answer,
            in("x1") a1,
            in("x2") a2,
            in("x3") a3,
            in("x4") a4,
            in("x5") a5,
            lateout("p0") _, lateout("p1") _, lateout("p2") _, lateout("p3") _,
            lateout("p4") _, lateout("p5") _, lateout("p6") _, lateout("p7") _,
            lateout("p8") _, lateout("p9") _, lateout("p10") _, lateout("p11") _,
            lateout("p12") _, lateout("p13") _, lateout("p14") _, lateout("p15") _,
            lateout("v0") _, lateout("v1") _, lateout("v2") _, lateout("v3") _,
            lateout("v4") _, lateout("v5") _, lateout("v6") _, lateout("v7") _,
            lateout("v8") _, lateout("v9") _, lateout("v10") _, lateout("v11") _,
            lateout("v12") _, lateout("v13") _, lateout("v14") _, lateout("v15") _,
            lateout("v16") _, lateout("v17") _, lateout("v18") _, lateout("v19") _,
            lateout("v20") _, lateout("v21") _, lateout("v22") _, lateout("v23") _,
            lateout("v24") _, lateout("v25") _, lateout("v26") _, lateout("v27") _,
            lateout("v28") _, lateout("v29") _, lateout("v30") _, lateout("v31") _,
            options(nostack, preserves_flags),
        );
    }
    answer
}
