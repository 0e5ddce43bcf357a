//! What an operation can act on: [`IntoTarget`], and [`IntoFd`] where it takes no slot.
#![forbid(unsafe_code)]

use rustix::fd::{AsFd, AsRawFd as _, BorrowedFd, RawFd};

use crate::entry::{SafeSqe, Sqe};

use super::{Fixed, Target};

/// Keeps the traits from being implemented elsewhere: what makes a [`SafeSqe`] is decided here.
pub trait Sealed {}

/// What an operation can act on: a reference to anything that has a descriptor, a [`Target`] or a
/// [`Fixed`] slot. Sealed.
///
/// Its type decides whether an operation that names no memory is pushed safely. A slot is a number
/// in the ring's own table, which keeps its file open. A descriptor can be closed before its entry
/// is submitted, and its number can then be that of a file that other code has opened.
///
/// A function that takes any of these, and pushes what it makes of it unsafely, takes an
/// `impl Into<Target>`, and hands the [`Target`] on.
///
/// ```compile_fail,E0277
/// use ringbolt::ops::{Fsync, Target};
///
/// let by_number = Fsync::new(Target::Fd(1)).sqe(1);
/// let fd = 1;
/// let refused = Fsync::new(fd).sqe(1);
/// ```
#[diagnostic::on_unimplemented(
    message = "an operation cannot act on a `{Self}`",
    label = "expected a reference to something with a descriptor, a `Target` or a `Fixed`",
    note = "write `Target::Fd(fd)` for a descriptor by its number, and `Fixed(slot)` for a slot of \
            the ring's file table",
    note = "a file is passed by reference: `&file`"
)]
pub trait IntoTarget: Sealed {
    /// What [`sqe`](super::Fsync::sqe) of an operation makes that acts on this and names no memory:
    /// a [`SafeSqe`] for a [`Fixed`] slot, an [`Sqe`] for anything else.
    type Entry;

    /// The same for an operation that acts on this and on `Other`.
    type EntryWith<Other: IntoTarget>;

    /// The target.
    fn into_target(self) -> Target;
}

impl Sealed for Fixed {}

impl IntoTarget for Fixed {
    type Entry = SafeSqe;
    type EntryWith<Other: IntoTarget> = Other::Entry;

    #[inline(always)]
    fn into_target(self) -> Target {
        Target::Fixed(self)
    }
}

impl Sealed for Target {}

impl IntoTarget for Target {
    type Entry = Sqe;
    type EntryWith<Other: IntoTarget> = Sqe;

    #[inline(always)]
    fn into_target(self) -> Target {
        self
    }
}

impl Sealed for BorrowedFd<'_> {}

impl IntoTarget for BorrowedFd<'_> {
    type Entry = Sqe;
    type EntryWith<Other: IntoTarget> = Sqe;

    #[inline(always)]
    fn into_target(self) -> Target {
        self.into()
    }
}

#[diagnostic::do_not_recommend]
impl<F: AsFd> Sealed for &F {}

#[diagnostic::do_not_recommend]
impl<F: AsFd> IntoTarget for &F {
    type Entry = Sqe;
    type EntryWith<Other: IntoTarget> = Sqe;

    #[inline(always)]
    fn into_target(self) -> Target {
        self.into()
    }
}

/// The forms of an operation whose entry the program pushes itself: `X<Sqe>`, pushed unsafely, and
/// `X<SafeSqe>`. Sealed.
///
/// Options that change what an operation names, or how often it completes, are theirs alone: the
/// forms for the [safe front](crate::jobs) have types for that.
pub trait Pushed: SealedForm {}

/// Keeps [`Pushed`] from being implemented elsewhere.
pub trait SealedForm {}

impl SealedForm for Sqe {}
impl SealedForm for SafeSqe {}
impl Pushed for Sqe {}
impl Pushed for SafeSqe {}

/// Keeps [`IntoFd`] from being implemented elsewhere.
pub trait SealedFd {}

/// What an operation takes that wants a descriptor, and no slot: anything that has a descriptor,
/// borrowed or by reference, or a [`Target::Fd`] for a descriptor by its number. Sealed.
///
/// A [`Target::Fixed`] stands for no descriptor: the kernel answers `EBADF`, unless it has no use
/// for the descriptor, as with an absolute path.
///
/// ```
/// use ringbolt::ops::{Target, UnlinkAt};
/// use ringbolt::rustix::fs::{AtFlags, CWD};
///
/// let path = c"gone".as_ptr();
/// let by_number = UnlinkAt::new(Target::Fd(7), path, AtFlags::empty()).sqe(1);
/// assert_eq!(by_number.fd(), 7);
/// let in_working_directory = UnlinkAt::new(CWD, path, AtFlags::empty()).sqe(1);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a descriptor",
    label = "expected something with a descriptor, or a `Target::Fd`",
    note = "write `Target::Fd(fd)` for a descriptor by its number"
)]
pub trait IntoFd: SealedFd {
    /// The number of the descriptor.
    fn into_fd(self) -> RawFd;
}

impl SealedFd for Target {}

impl IntoFd for Target {
    #[inline(always)]
    fn into_fd(self) -> RawFd {
        match self {
            Self::Fd(fd) => fd,
            Self::Fixed(_) => -1,
        }
    }
}

#[diagnostic::do_not_recommend]
impl<F: AsFd> SealedFd for F {}

#[diagnostic::do_not_recommend]
impl<F: AsFd> IntoFd for F {
    #[inline(always)]
    fn into_fd(self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}
