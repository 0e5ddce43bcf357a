//! From what the kernel answers to an [`Errno`].
#![forbid(unsafe_code)]

use rustix::io::Errno;

/// The error that a negative result of a completion stands for.
///
/// `Errno` panics on a value that is not an errno, so a result below -4095 becomes `EOVERFLOW`. The
/// kernel has no such results, but a completion may carry one that another ring sent.
#[cold]
#[inline(never)]
pub(crate) const fn errno_of(negative: i32) -> Errno {
    if negative < -4095 || negative >= 0 {
        return Errno::OVERFLOW;
    }
    Errno::from_raw_os_error(-negative)
}

/// The error of a system call of [`sys`](crate::sys), which returns it positive.
///
/// A supervisor (seccomp user notification, ptrace) may answer a call with any negative number.
/// What is not an errno becomes `EOVERFLOW`.
#[cold]
#[inline(never)]
pub(crate) const fn errno_of_call(positive: i32) -> Errno {
    errno_of(positive.wrapping_neg())
}

#[cfg(test)]
mod tests {
    use super::{Errno, errno_of, errno_of_call};

    #[test]
    fn a_number_that_is_not_an_errno_becomes_eoverflow() {
        assert_eq!((errno_of(-1), errno_of_call(1)), (Errno::PERM, Errno::PERM));
        assert_eq!(errno_of_call(4095).raw_os_error(), 4095);
        assert_eq!(errno_of(-4095).raw_os_error(), 4095);
        for none in [-4096, i32::MIN, i32::MIN + 1, 0, 1] {
            assert_eq!(errno_of(none), Errno::OVERFLOW);
            assert_eq!(errno_of_call(none.wrapping_neg()), Errno::OVERFLOW);
        }
    }
}
