//! Why the kernel did not take entries, or did not wait, and what to do about it.
#![forbid(unsafe_code)]

use core::fmt;

use rustix::io::Errno;

use crate::entry::explain::ErrnoText;

/// Why the kernel was entered in vain, and what became of the entries.
///
/// What is still queued stays so: submit again, or take it back with
/// [`SubmissionQueue::pop_back`](crate::SubmissionQueue::pop_back). Until either has
/// happened, the memory that those entries name has to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubmitError {
    /// What the kernel answered, or `EOPNOTSUPP` where the kernel was not asked, because it
    /// lacks what the call needs (see the call's documentation).
    pub errno: Errno,
    /// Entries that the kernel took all the same.
    pub taken: u32,
    /// Entries that are pushed and that the kernel has not taken.
    pub queued: u32,
}

/// What to do after a [`SubmitError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Advice {
    /// Nothing is wrong: call again. `EINTR`, `EAGAIN` and, after a timed wait, `ETIME`.
    Retry,
    /// Take completions off the queue, then call again. `EBUSY`, `EBADR`.
    Reap,
    /// The same call would fail the same way.
    Stop,
}

impl SubmitError {
    /// Whether to call again, to reap first, or to stop.
    pub fn advice(&self) -> Advice {
        match self.errno {
            Errno::INTR | Errno::AGAIN | Errno::TIME => Advice::Retry,
            Errno::BUSY | Errno::BADR => Advice::Reap,
            _ => Advice::Stop,
        }
    }

    /// Whether a timed wait ended because its time was up. `ETIME`.
    pub fn is_timeout(&self) -> bool {
        self.errno == Errno::TIME
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cause = match self.errno {
            Errno::INTR => "a signal came while waiting",
            Errno::TIME => "the time to wait is up",
            Errno::AGAIN => "the kernel is short of memory for requests",
            Errno::BUSY => "completions overflow: reap some first",
            Errno::BADR => "completions were dropped for lack of memory",
            Errno::EXIST => "the ring belongs to another thread (SINGLE_ISSUER)",
            Errno::BADFD => "the ring is disabled",
            Errno::OWNERDEAD => "the polling thread of the ring has died",
            Errno::CHILD => {
                "the ring belongs to the process that made it, and this is a child of that: make a \
                 new ring"
            }
            Errno::STALE => "a failed resize made the ring unusable: make a new ring",
            Errno::PERM => {
                "io_uring_enter was refused (EPERM): the seccomp filter of a container or sandbox, \
                 or a security module, forbids the call"
            }
            Errno::ACCESS => {
                "io_uring_enter was refused (EACCES): a security module (SELinux, AppArmor) or a \
                 seccomp filter forbids the call"
            }
            Errno::NOSYS => {
                "io_uring_enter was refused (ENOSYS) although a ring was made: the seccomp filter \
                 of a container or sandbox answers as if the call did not exist"
            }
            Errno::OPNOTSUPP => "this kernel lacks what the call needs",
            _ => "io_uring_enter failed",
        };
        let Self { errno, taken, queued } = self;
        let errno = ErrnoText(*errno);
        write!(f, "{cause} ({errno}); {taken} entries taken, {queued} still queued")
    }
}

impl core::error::Error for SubmitError {}

#[cfg(feature = "std")]
impl From<SubmitError> for std::io::Error {
    /// Keeps the errno, so that [`raw_os_error`](std::io::Error::raw_os_error) returns it. The text
    /// of `SubmitError` and its numbers of entries are lost: print it before converting, or keep
    /// it and lose the errno by [`std::io::Error::other`].
    fn from(error: SubmitError) -> Self {
        error.errno.into()
    }
}

#[cfg(test)]
mod tests {
    use super::{Advice, Errno, SubmitError};

    #[test]
    fn an_error_says_what_to_do_and_what_is_left() {
        let error = |errno| SubmitError { errno, taken: 1, queued: 2 };
        assert_eq!(error(Errno::INTR).advice(), Advice::Retry);
        assert_eq!(error(Errno::AGAIN).advice(), Advice::Retry);
        assert_eq!(error(Errno::BUSY).advice(), Advice::Reap);
        assert_eq!(error(Errno::BADF).advice(), Advice::Stop);
        for errno in [Errno::PERM, Errno::ACCESS, Errno::NOSYS] {
            let text = std::format!("{}", error(errno));
            assert!(text.contains("refused") && text.contains("seccomp"), "{text}");
        }
        let text = std::format!("{}", error(Errno::BUSY));
        assert!(text.contains("reap"), "{text}");
        assert!(text.contains("1 entries taken, 2 still queued"), "{text}");
    }

    #[cfg(feature = "std")]
    #[test]
    fn an_io_error_keeps_the_errno_or_the_text() {
        let error = SubmitError { errno: Errno::BADR, taken: 1, queued: 2 };
        let converted = std::io::Error::from(error);
        assert_eq!(converted.raw_os_error(), Some(Errno::BADR.raw_os_error()));
        let kept = std::format!("{}", std::io::Error::other(error));
        assert_eq!(kept, std::format!("{error}"));
        assert!(kept.contains("(EBADR (53)"), "{kept}");
    }
}
