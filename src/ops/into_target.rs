//! What an operation can act on: [`IntoTarget`].
#![forbid(unsafe_code)]

use rustix::fd::{AsFd, BorrowedFd};

use crate::entry::{SafeSqe, Sqe};

use super::{Fixed, Target};

/// Keeps [`IntoTarget`] from being implemented elsewhere: what makes a [`SafeSqe`] is decided here.
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
