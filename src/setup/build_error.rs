//! Every reason why a ring cannot be made, and what to do about it.
#![forbid(unsafe_code)]

use core::fmt;

use rustix::io::Errno;

use crate::entry::explain::ErrnoText;
use crate::ring::layout::LayoutError;
use crate::setup::builder::{MAX_CQ_ENTRIES, MAX_ENTRIES, MemoryNeeded};
use crate::setup::flags::TABLE;
use crate::sys::{SetupFlags, io_uring_params};

/// Why a ring could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BuildError {
    /// Flags that the kernel refuses together. It was not asked.
    Contradiction(Contradiction),
    /// No submission entries, or more than [`MAX_ENTRIES`] without
    /// [`Builder::clamp`](crate::Builder::clamp). The kernel was not asked.
    Entries {
        /// The number asked for.
        entries: u32,
    },
    /// No completion entries, fewer than submission entries, or more than [`MAX_CQ_ENTRIES`]
    /// without [`Builder::clamp`](crate::Builder::clamp). The kernel was not asked.
    CqEntries {
        /// The number of submission entries asked for.
        entries: u32,
        /// The number of completion entries asked for.
        cq_entries: u32,
    },
    /// Raw flags for which there is a method that does the rest of it. The kernel was not
    /// asked.
    NeedsMethod {
        /// The flags.
        flags: SetupFlags,
    },
    /// Raw flags that this crate does not know, and that might change where things are in the
    /// ring's memory: [`Builder::unknown_flags`](crate::Builder::unknown_flags) takes them. The
    /// kernel was not asked.
    UnknownFlags {
        /// The flags.
        flags: SetupFlags,
    },
    /// Flags that a [`SafeRing`](crate::jobs::SafeRing) cannot have: with IOPOLL, operations cannot
    /// be cancelled. The kernel was not asked.
    NotForJobs {
        /// The flags.
        flags: SetupFlags,
    },
    /// What was asked for is of use to one thread only, and the ring would be free to go to
    /// another. The kernel was not asked.
    NeedsOneThread {
        /// The flags, or none if it was the registered descriptor.
        flags: SetupFlags,
    },
    /// The memory provided is too small, or not aligned to pages.
    Memory {
        /// What is needed.
        needed: MemoryNeeded,
    },
    /// `ENOSYS`: this kernel has no io_uring, or a seccomp filter (of a container or a sandbox)
    /// answers as if it had none.
    NotSupported,
    /// The kernel's io_uring is older than that of Linux 5.9: `IORING_FEAT_POLL_32BITS` is missing.
    /// The oldest kernel that this crate is tested on is Linux 5.10. The ring was closed again.
    TooOld,
    /// `EPERM`: this process may not use io_uring. A sysctl, a seccomp filter or a security module
    /// forbids it, or the kernel is older than Linux 5.13 and SQPOLL needs privileges.
    NotPermitted,
    /// `EACCES`: a security module (SELinux, AppArmor, Smack) or a seccomp filter forbids it.
    AccessDenied,
    /// A ring can be made, and another system call that a ring needs was refused. From
    /// [`Capabilities::of_kernel`](crate::Capabilities::of_kernel).
    CallRefused {
        /// The call.
        call: SystemCall,
        /// The answer: `EPERM`, `EACCES` or `ENOSYS` from a policy, or another one that this call
        /// never gives on its own.
        errno: Errno,
    },
    /// `ENOMEM`: no memory, or more locked memory than is allowed. Rings count towards
    /// RLIMIT_MEMLOCK on Linux 6.16 to 7.1, and not on 5.10, 6.1, 6.12, 7.2 and 7.3; registered
    /// buffers always do.
    OutOfMemory,
    /// `EINVAL`: this kernel does not know one of the flags, or refuses an argument.
    Invalid {
        /// The flags asked for.
        flags: SetupFlags,
    },
    /// `EMFILE` or `ENFILE`: too many open files.
    TooManyFiles(Errno),
    /// `EBADF` or `ENXIO`: the descriptor of the ring to attach to is not open.
    AttachWq(Errno),
    /// Any other answer of `io_uring_setup(2)`.
    Setup(Errno),
    /// The rings could not be mapped.
    Map(Errno),
    /// Set-up returned what cannot be right.
    Layout(LayoutError),
    /// The ring's descriptor could not be registered with the thread. `EINVAL` before Linux
    /// 5.18, `EBUSY` when 16 are registered already.
    RegisterRingFd(Errno),
}

/// A system call of io_uring, for [`BuildError::CallRefused`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemCall {
    /// `io_uring_setup(2)`.
    Setup,
    /// `io_uring_enter(2)`.
    Enter,
    /// `io_uring_register(2)`.
    Register,
}

/// Set-up flags that do not go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contradiction {
    /// A flag that has no meaning without another.
    Needs {
        /// The flag.
        flag: SetupFlags,
        /// The flags. At least one of them is needed.
        one_of: SetupFlags,
    },
    /// Flags that exclude each other.
    Excludes {
        /// One of them.
        flag: SetupFlags,
        /// The others.
        others: SetupFlags,
    },
}

impl Contradiction {
    /// The first rule of the kernel that `flags` break: see [`TABLE`].
    pub(crate) fn find(flags: SetupFlags) -> Option<Self> {
        let asked = || TABLE.iter().filter(|row| flags.contains(row.flag));
        let needs = asked().find(|row| !row.needs.is_empty() && !flags.intersects(row.needs));
        let needs = needs.map(|row| Self::Needs { flag: row.flag, one_of: row.needs });
        needs.or_else(|| {
            let row = asked().find(|row| flags.intersects(row.excludes))?;
            Some(Self::Excludes { flag: row.flag, others: flags.intersection(row.excludes) })
        })
    }
}

impl BuildError {
    /// What a refusal of `io_uring_setup(2)` means.
    pub(crate) fn refused(errno: Errno, params: &io_uring_params) -> Self {
        match errno {
            Errno::NOSYS => Self::NotSupported,
            Errno::PERM => Self::NotPermitted,
            Errno::ACCESS => Self::AccessDenied,
            Errno::NOMEM => Self::OutOfMemory,
            Errno::INVAL => Self::Invalid { flags: params.flags },
            Errno::MFILE | Errno::NFILE => Self::TooManyFiles(errno),
            Errno::BADF | Errno::NXIO if params.flags.contains(SetupFlags::ATTACH_WQ) => {
                Self::AttachWq(errno)
            }
            other => Self::Setup(other),
        }
    }

    /// The kernel's errno, if the kernel was asked; `ENOSYS` for [`TooOld`](Self::TooOld), by which
    /// programs know that they have to do without io_uring.
    pub const fn errno(&self) -> Option<Errno> {
        match self {
            Self::NotSupported | Self::TooOld => Some(Errno::NOSYS),
            Self::NotPermitted => Some(Errno::PERM),
            Self::AccessDenied => Some(Errno::ACCESS),
            Self::OutOfMemory => Some(Errno::NOMEM),
            Self::Invalid { .. } => Some(Errno::INVAL),
            Self::TooManyFiles(errno)
            | Self::AttachWq(errno)
            | Self::Setup(errno)
            | Self::CallRefused { errno, .. }
            | Self::Map(errno)
            | Self::RegisterRingFd(errno) => Some(*errno),
            _ => None,
        }
    }
}

impl From<LayoutError> for BuildError {
    fn from(error: LayoutError) -> Self {
        Self::Layout(error)
    }
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs { flag, one_of } => {
                write!(f, "{} needs ", Names(*flag))?;
                f.write_str(if one_of.iter().count() > 1 { "one of " } else { "" })?;
                write!(f, "{}", Names(*one_of))
            }
            Self::Excludes { flag, others } => {
                write!(f, "{} does not go together with {}", Names(*flag), Names(*others))
            }
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Contradiction(contradiction) => {
                write!(f, "contradictory set-up flags: {contradiction}")
            }
            Self::Entries { .. } | Self::CqEntries { .. } => {
                self.fmt_sizes(f)?;
                let hint = "; `Builder::clamp` cuts more down to that";
                f.write_str(if self.is_too_many() { hint } else { "" })
            }
            Self::NeedsMethod { flags } => write!(
                f,
                "{} cannot be asked for by raw bits: use the methods of `Builder` that take \
                 what belongs to it",
                Names(*flags)
            ),
            Self::UnknownFlags { flags } => write!(
                f,
                "{} are set-up flags that this version of ringbolt does not know: they might \
                 change where things are in the memory of a ring, and are taken by \
                 `Builder::unknown_flags` only, which is unsafe",
                Names(*flags)
            ),
            Self::NotForJobs { flags } => {
                write!(f, "a ring of the safe front cannot have {flags:?}")
            }
            Self::NeedsOneThread { flags } if flags.is_empty() => f.write_str(
                "a registered ring descriptor is of use to one thread only: build with \
                 `build_local`",
            ),
            Self::NeedsOneThread { flags } => write!(
                f,
                "a ring with {} is of use to one thread only: build with `build_local`, or with \
                 `build_disabled` and enable it there",
                Names(*flags)
            ),
            Self::Memory { needed } => write!(
                f,
                "the memory provided is too small or misaligned: {} bytes are needed for the \
                 rings and {} for the entries, both page-aligned",
                needed.rings, needed.sqes
            ),
            _ => self.fmt_answer(f),
        }
    }
}

impl BuildError {
    /// Sizes that no ring can have, without advice.
    pub(crate) fn fmt_sizes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entries { entries } => {
                write!(f, "{entries} submission entries: a ring has 1 to {MAX_ENTRIES}")
            }
            Self::CqEntries { entries, cq_entries } => write!(
                f,
                "{cq_entries} completion entries for {entries} submission entries: a ring has at \
                 least as many, and at most {MAX_CQ_ENTRIES}"
            ),
            other => fmt::Display::fmt(other, f),
        }
    }

    /// Whether [`Builder::clamp`](crate::Builder::clamp) would help.
    const fn is_too_many(&self) -> bool {
        match self {
            Self::Entries { entries } => *entries > MAX_ENTRIES,
            Self::CqEntries { cq_entries, .. } => *cq_entries > MAX_CQ_ENTRIES,
            _ => false,
        }
    }

    /// The kernel's answer, and what may have caused it.
    fn fmt_answer(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSupported => f.write_str(
                "io_uring_setup is missing or refused (ENOSYS): the kernel has no io_uring (it is \
                 older than Linux 5.1, or built without CONFIG_IO_URING), or the seccomp filter of \
                 a container or sandbox answers as if it had none",
            ),
            Self::TooOld => f.write_str(
                "the io_uring of this kernel is too old: it is that of Linux 5.8 or older \
                 (IORING_FEAT_POLL_32BITS is missing), and Linux 5.10 or later is needed",
            ),
            Self::NotPermitted => f.write_str(
                "io_uring is not permitted here: io_uring_setup was refused (EPERM). Sysctl \
                 kernel.io_uring_disabled is 2, or 1 for processes outside \
                 kernel.io_uring_group; or a seccomp filter (of a container, say) or a security \
                 module forbids it; or this is SQPOLL without CAP_SYS_NICE before Linux 5.13",
            ),
            Self::AccessDenied => f.write_str(
                "io_uring is not permitted here: io_uring_setup was refused (EACCES) by a \
                 security module (SELinux, AppArmor, Smack) or a seccomp filter",
            ),
            Self::CallRefused { call, errno } if policy(*errno) => write!(
                f,
                "{call} was refused ({}), though a ring can be made: the seccomp filter of a \
                 container or sandbox, or a security module, forbids the call",
                ErrnoText(*errno)
            ),
            Self::CallRefused { call, errno } => write!(f, "{call} failed: {}", ErrnoText(*errno)),
            Self::OutOfMemory => f.write_str(
                "no memory for the ring (ENOMEM): raise the limit on locked memory (ulimit -l), \
                 grant CAP_IPC_LOCK, or ask for fewer entries",
            ),
            Self::Invalid { flags } => refused(f, *flags),
            Self::TooManyFiles(errno) => {
                let errno = ErrnoText(*errno);
                write!(f, "no descriptor left for the ring ({errno}): raise ulimit -n")
            }
            Self::AttachWq(errno) => {
                let errno = ErrnoText(*errno);
                write!(f, "the descriptor of the ring to attach to is not open ({errno})")
            }
            Self::Setup(errno) => write!(f, "io_uring_setup failed: {}", ErrnoText(*errno)),
            Self::Map(errno) => {
                write!(f, "the rings could not be mapped: {}", ErrnoText(*errno))
            }
            Self::Layout(error) => fmt::Display::fmt(error, f),
            Self::RegisterRingFd(Errno::BUSY) => f.write_str(
                "this thread has registered 16 ring descriptors already, which is the most (EBUSY)",
            ),
            Self::RegisterRingFd(errno) => write!(
                f,
                "the ring's descriptor could not be registered, which needs Linux 5.18: {}",
                ErrnoText(*errno)
            ),
            _ => f.write_str("the ring could not be made"),
        }
    }
}

/// Whether an errno is the answer of a policy: of a filter, a security module or a sysctl.
pub(crate) fn policy(errno: Errno) -> bool {
    matches!(errno, Errno::PERM | Errno::ACCESS | Errno::NOSYS)
}

/// The possible causes of an `EINVAL`.
fn refused(f: &mut fmt::Formatter<'_>, flags: SetupFlags) -> fmt::Result {
    f.write_str("the kernel refuses the set-up (EINVAL)")?;
    let mut named = flags.iter_names();
    named.by_ref().for_each(drop);
    let unknown = named.remaining().bits();
    if unknown != 0 {
        // The kernel is likelier to lack what this crate does not know either.
        write!(f, ": it may not know {unknown:#x}, which has no name in this version of ringbolt")?;
    }
    if let Some((newest, since)) = flags.newest() {
        let start = if unknown == 0 { ": of the flags" } else { "; of the other flags" };
        write!(f, "{start}, {} came last, in Linux {since}", Names(newest))?;
    }
    if flags.contains(SetupFlags::SQ_AFF) {
        f.write_str("; or there is no such CPU for the polling thread")?;
    }
    if flags.contains(SetupFlags::ATTACH_WQ) {
        f.write_str("; or the ring to attach to is not one that can be shared")?;
    }
    Ok(())
}

impl fmt::Display for SystemCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Setup => "io_uring_setup",
            Self::Enter => "io_uring_enter",
            Self::Register => "io_uring_register",
        })
    }
}

impl core::error::Error for BuildError {}

#[cfg(feature = "std")]
impl From<BuildError> for std::io::Error {
    /// Keeps the errno where the kernel gave one, so that
    /// [`raw_os_error`](std::io::Error::raw_os_error) returns it, `ENOSYS` or `EPERM` for example.
    /// A `std::io::Error` holds either an errno or another error. The text of `BuildError`, which
    /// says more about the cause, is therefore lost in this case: print it before converting, or
    /// keep it and lose the errno by [`std::io::Error::other`].
    ///
    /// An error without an errno becomes one of the kind `InvalidInput`, which holds the
    /// `BuildError`.
    fn from(error: BuildError) -> Self {
        match error.errno() {
            Some(errno) => errno.into(),
            None => Self::new(std::io::ErrorKind::InvalidInput, error),
        }
    }
}

/// Flags by their kernel names.
struct Names(SetupFlags);

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names = self.0.iter_names();
        for (index, (name, _)) in names.by_ref().enumerate() {
            f.write_str(if index > 0 { ", " } else { "" })?;
            write!(f, "IORING_SETUP_{name}")?;
        }
        let unknown = names.remaining().bits();
        let gap = if self.0.bits() == unknown { "" } else { " " };
        if unknown != 0 { write!(f, "{gap}{unknown:#x}") } else { Ok(()) }
    }
}
