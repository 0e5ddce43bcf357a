//! 32-bit x86: `int 0x80`, which keeps every register except `eax`.
//!
//! Three of the six argument registers cannot be operands: `ebp` may be the frame pointer, and the
//! compiler reserves `ebx` and `esi`. So all six are loaded from memory, and the three are saved on
//! the stack during the call.

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
    let answer: isize;
    // SAFETY: every register that changes is listed or restored, `push` and `pop` are in pairs,
    // `edi` is overwritten last because the others are read through it, and `mov`, `push` and `pop`
    // do not touch the flags; memory is as the caller promises.
    unsafe {
        asm!(
            "push ebx",
            "push esi",
            "push ebp",
            "mov ebx, [edi]",
            "mov ecx, [edi + 4]",
            "mov edx, [edi + 8]",
            "mov esi, [edi + 12]",
            "mov ebp, [edi + 20]",
            "mov edi, [edi + 16]",
            "int 0x80",
            "pop ebp",
            "pop esi",
            "pop ebx",
            inlateout("eax") nr => answer,
            inout("edi") args.as_ptr() => _,
            out("ecx") _,
            out("edx") _,
            options(preserves_flags),
        );
    }
    answer
}
