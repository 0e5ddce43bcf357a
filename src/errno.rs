//! From what the kernel answers to an [`Errno`].
#![forbid(unsafe_code)]

use rustix::io::Errno;

/// The error that a negative answer stands for.
///
/// `Errno` cannot hold what is none, and panics: an answer below -4095 is `EOVERFLOW`. The kernel
/// has none such, but what a completion carries is not always the kernel's.
#[cold]
#[inline(never)]
pub(crate) const fn errno_of(negative: i32) -> Errno {
    if negative < -4095 || negative >= 0 {
        return Errno::OVERFLOW;
    }
    Errno::from_raw_os_error(-negative)
}

#[cfg(test)]
mod tests {
    use super::{Errno, errno_of};

    #[test]
    fn no_answer_panics() {
        assert_eq!(errno_of(-1), Errno::PERM);
        assert_eq!(errno_of(-4095).raw_os_error(), 4095);
        for none in [-4096, i32::MIN, i32::MIN + 1, 0, 1] {
            assert_eq!(errno_of(none), Errno::OVERFLOW);
        }
    }
}
