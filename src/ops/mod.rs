//! The operations, one plain struct each.
//!
//! What an operation cannot do without is an argument of its `new`; the rest is set by
//! methods, in the words of the man page. `sqe(user_data)` makes the entry, and is the only
//! way out: the `user_data` of a completion cannot be forgotten. Flags
//! that mean the same for every operation are set on the [`Sqe`].
//!
//! A method that takes flags adds them to those that are set, in every operation: to set two
//! flags, call it once with both, or once with each. Any other method replaces what was set by an
//! earlier call of the same method. So do the methods of [`Sqe`] that set fields.
//!
//! ```
//! use ringbolt::IoUring;
//! use ringbolt::ops::Read;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ring = IoUring::new(8)?;
//! let file = std::fs::File::open("Cargo.toml")?;
//! let mut buf = [0; 64];
//!
//! let read = Read::new(&file, buf.as_mut_ptr(), 64).offset(0).sqe(1);
//! // SAFETY: `file` and `buf` stay, and `buf` is not touched, until the completion is popped:
//! // the loop below does not end before that.
//! unsafe { ring.submission().push(read) }?;
//! while ring.wait_for(1).is_err() {}
//! let cqe = ring.completion().pop().ok_or("no completion")?;
//! assert_eq!(cqe.user_data(), 1);
//! assert!(cqe.result()? > 0);
//! # Ok(())
//! # }
//! ```
//!
//! An operation that is made and not pushed does nothing, and the compiler warns:
//!
//! ```compile_fail
//! #![deny(unused_must_use)]
//! ringbolt::ops::Nop::new();
//! ```
//!
//! # What must stay, and until when
//!
//! Pushing is unsafe because an operation names memory and descriptors by number. Unless an
//! operation says otherwise, both must stay until its last completion has been popped. Some
//! memory is only read while the entry is taken, that is until the submit that hands it over
//! has returned (with SQPOLL: until the queue's head has gone past it); with
//! [`Features::SUBMIT_STABLE`](crate::sys::Features::SUBMIT_STABLE), since Linux 5.5, that
//! applies to timespecs, vectors, paths and addresses. Where an operation's documentation says
//! *until taken*, this is meant.
//!
//! # What is pushed safely
//!
//! [`push_safe`](crate::SubmissionQueue::push_safe) takes a [`SafeSqe`](crate::SafeSqe), which
//! `sqe` makes of an operation that names no memory, if it acts
//!
//! - on no file: [`Nop`], [`Socket`], [`AsyncCancel`], [`PollRemove`], [`PollUpdate`],
//!   [`TimeoutRemove`], [`RemoveBuffers`];
//! - or on a [`Fixed`] slot: [`Accept`] without a peer's address, [`Listen`], [`Shutdown`],
//!   [`PollAdd`], [`Fsync`], [`Fallocate`], [`Ftruncate`], [`SyncFileRange`], [`Fadvise`],
//!   [`Splice`] and [`Tee`] between two slots, [`Close::fixed`], [`FixedFdInstall`];
//!   [`Read::provided`], [`Recv::provided`], [`ReadMultishot`] and [`RecvZc`], whose memory was
//!   lent by unsafe code, and comes back by their completions; [`SocketCommand`] that asks for a
//!   count or for time stamps.
//!
//! The type of the argument decides: `Fsync::new(Fixed(0))` is a `Fsync<SafeSqe>`. On a descriptor,
//! `Fsync::new(&file)` is a `Fsync<Sqe>`, and is pushed unsafely: nothing keeps `file` open until
//! the entry is submitted, and its number may be that of another file by then. On a [`Target`] it
//! is the same, since that can be either.
//!
//! ```
//! use ringbolt::IoUring;
//! use ringbolt::ops::{Fixed, Fsync};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut ring = IoUring::new(8)?;
//! let file = std::fs::File::open("Cargo.toml")?;
//! ring.registrar().register_files(&[(&file).into()])?;
//! ring.submission().push_safe(Fsync::new(Fixed(0)).sqe(1))?;
//! ring.submit_and_wait(1)?;
//! assert_eq!(ring.completion().pop().map(|cqe| cqe.result()), Some(Ok(0)));
//! # Ok(())
//! # }
//! ```
//!
//! What names memory is not pushed like that, on a slot or not:
//!
//! ```compile_fail,E0308
//! # use ringbolt::{IoUring, ops::{Fixed, Read}};
//! # let mut ring = IoUring::new(8).unwrap();
//! # let mut buf = [0; 64];
//! ring.submission().push_safe(Read::new(Fixed(0), buf.as_mut_ptr(), 64).sqe(1)).unwrap();
//! ```
//!
//! Neither is what acts on a descriptor, nor what has been given memory after the slot:
//!
//! ```compile_fail,E0308
//! # use ringbolt::{IoUring, ops::Fsync};
//! # let mut ring = IoUring::new(8).unwrap();
//! # let file = std::fs::File::open("Cargo.toml").unwrap();
//! ring.submission().push_safe(Fsync::new(&file).sqe(1)).unwrap();
//! ```
//!
//! ```compile_fail,E0308
//! # use ringbolt::{IoUring, ops::{Accept, Fixed}};
//! # let mut ring = IoUring::new(8).unwrap();
//! # let (address, len) = (core::ptr::null_mut(), core::ptr::null_mut());
//! ring.submission().push_safe(Accept::new(Fixed(0)).peer(address, len).sqe(1)).unwrap();
//! ```
//!
//! # What has no safe form
//!
//! `X::lent` of an operation borrows what it names, and makes an entry for a job of the
//! [safe front](crate::jobs). These have no such form:
//!
//! | operation | reason |
//! |---|---|
//! | [`AsyncCancel`], [`CancelFile`], [`PollRemove`], [`TimeoutRemove`] | they name other jobs by user data or by file; [`Jobs::cancel`](crate::jobs::Jobs::cancel) names one by its key |
//! | [`PollUpdate`], [`TimeoutUpdate`] | they change an operation of another job, or its user data |
//! | [`MsgRing`], [`MsgRingFd`] | they post completions with any user data, and so claim that an operation has ended |
//! | [`ProvideBuffers`], [`RemoveBuffers`] | their memory stays lent after the completion |
//! | [`FilesUpdate`] | it replaces slots that others own |
//! | [`RecvZc`] | its memory is registered by unsafe code, and stays lent after the completion |
//! | [`Madvise`] | it changes memory without a borrow of it: `MADV_DONTNEED` empties it |
//! | [`UringCmd`], [`UringCmd80`] | what they do is up to a driver |
//! | [`Nop128`] | it is for rings with mixed entries |
//! | [`RawOp`] | it can be anything |
//!
//! Of [`SocketCommand`], time stamps have none: they complete more than once, and have completions
//! of 32 bytes. Neither have addresses of sockets.
//!
//! # Support
//!
//! The documentation of each operation gives the first kernel that has it. Ask
//! [`Registrar::probe`](crate::register::Registrar::probe) what the running kernel has. An
//! operation that it lacks completes with `EINVAL`.

mod accept;
mod address;
mod cancel;
mod cmd;
mod epoll;
mod fs;
mod futex;
mod into_target;
pub(crate) mod lent;
mod made;
mod message;
mod msg;
mod msg_ring;
mod net;
mod open;
mod path;
mod pipe;
mod pipe_ends;
mod poll;
mod range;
mod raw;
pub(crate) mod received;
mod recv;
mod rw;
mod rw_fixed;
mod send;
mod send_zc;
mod socket_option;
mod statx;
mod table;
pub(crate) mod target;
#[cfg(test)]
mod tests;
pub(crate) mod time;
mod timeout;
mod transfer;
mod vectored;
mod vectors;
mod xattr;

pub use accept::Accept;
pub use address::Address;
pub use cancel::{AsyncCancel, CancelFile};
pub use cmd::{BlockDiscard, SocketCommand, UringCmd, UringCmd80};
pub use epoll::{EpollCtl, EpollWait};
pub use fs::{Close, Fsync};
pub use futex::{ChildInfo, FutexWait, FutexWaitv, FutexWake, FutexWord, WaitId};
pub use into_target::{IntoFd, IntoTarget, Pushed};
pub use lent::{
    Bytes, FixedBytes, FixedSpan, Group, InGroup, InSlot, Lent, Multi, MultiIn, On, OnFd, Once, Op,
    OpIn, Span, ZeroCopy, ZeroCopyIn,
};
pub use message::{Incoming, Message, MessageRoom, Outgoing};
pub use msg::MsgHdr;
pub use msg_ring::{MsgRing, MsgRingFd};
pub use net::{Bind, Connect, Listen, Shutdown, Socket};
pub use open::{OpenAt, OpenAt2};
pub use path::{LinkAt, MkdirAt, RenameAt, SymlinkAt, UnlinkAt};
pub use pipe::{Pipe, Splice, Tee};
pub use pipe_ends::PipeEnds;
pub use poll::{PollAdd, PollRemove, PollUpdate};
pub use range::{Fadvise, Fallocate, Ftruncate, Madvise, SyncFileRange};
pub use raw::{Nop, Nop128, RawOp};
pub use recv::{Recv, RecvMsg, RecvZc};
pub use rw::{Read, ReadMultishot, Write};
pub use rw_fixed::{ReadFixed, WriteFixed};
pub use send::{Send, SendMsg};
pub use send_zc::{SendMsgZc, SendZc};
pub use socket_option::SocketOption;
pub use statx::Statx;
pub use table::{FilesUpdate, FixedFdInstall, ProvideBuffers, RemoveBuffers};
pub use timeout::{LinkTimeout, Timeout, TimeoutRemove, TimeoutUpdate};
pub use vectored::{Readv, ReadvFixed, Writev, WritevFixed};
pub use vectors::{FixedPieces, FixedSpans, Pieces, Spans, Vectors};
pub use xattr::{FGetXattr, FSetXattr, GetXattr, SetXattr};

pub use target::{DestSlot, Fixed, IoVec, Target};

use crate::entry::Sqe;
use crate::sys::{Opcode, SqeFlags};

/// An entry for `opcode` that acts on `target`.
#[inline(always)]
const fn on(opcode: Opcode, target: Target) -> Sqe {
    let mut sqe = Sqe::new(opcode);
    match target {
        Target::Fd(fd) => sqe.set_fd(fd),
        Target::Fixed(Fixed(slot)) => {
            // The field is signed, the slot is not: the bits are the same.
            sqe.set_fd(i32::from_ne_bytes(slot.to_ne_bytes()));
            sqe.set_flags(SqeFlags::FIXED_FILE);
        }
    }
    sqe
}

/// An entry for `opcode` that acts on no file: the kernel requires -1.
#[inline(always)]
const fn on_none(opcode: Opcode) -> Sqe {
    on(opcode, Target::Fd(-1))
}

/// Adds flags of the operation to those that `sqe` has.
#[inline(always)]
const fn add_flags(sqe: &mut Sqe, flags: u32) {
    sqe.set_op_flags(sqe.op_flags() | flags);
}

/// Adds flags to those that the field of the priority has, where it has flags.
#[inline(always)]
const fn add_ioprio(sqe: &mut Sqe, flags: u16) {
    sqe.set_ioprio(sqe.ioprio() | flags);
}

/// Gives operations that wrap their entry the way out of it.
macro_rules! sqe {
    ($($op:ident),+ => $entry:ty, $wrap:expr) => {$(
        impl $op {
            /// The entry, with the `user_data` of its completions.
            #[must_use = "an entry does nothing before it is pushed"]
            #[inline(always)]
            pub const fn sqe(self, user_data: u64) -> $entry {
                $wrap(self.0.with_user_data(user_data))
            }
        }
    )+};
    (either: $($op:ident),+) => {$(
        impl $op {
            /// The entry, with the `user_data` of its completions. It is pushed by
            /// [`push`](crate::SubmissionQueue::push), which is unsafe.
            #[must_use = "an entry does nothing before it is pushed"]
            #[inline(always)]
            pub const fn sqe(self, user_data: u64) -> $crate::entry::Sqe {
                self.0.with_user_data(user_data)
            }
        }

        impl $op<$crate::entry::SafeSqe> {
            /// The entry, with the `user_data` of its completions. It names no memory,
            /// and is pushed by [`push_safe`](crate::SubmissionQueue::push_safe).
            #[must_use = "an entry does nothing before it is pushed"]
            #[inline(always)]
            pub const fn sqe(self, user_data: u64) -> $crate::entry::SafeSqe {
                $crate::entry::SafeSqe::new(self.0.with_user_data(user_data))
            }
        }
    )+};
    ($($op:ident),+) => { sqe!($($op),+ => $crate::entry::Sqe, core::convert::identity); };
}
use sqe;

/// Gives operations whose operands are borrowed the way to their entry: `op` for those that
/// complete once. After its name stands what a completion makes: [`Makes`](lent::Makes).
macro_rules! op {
    ($($op:ident: $makes:ident),+) => {
        $(op!(impl $op, $crate::ops::Lent<'a>, $makes);)+
    };
    (in a slot: $($op:ident),+) => {
        $(op!(impl $op, $crate::ops::InSlot<$crate::ops::Lent<'a>>, Slot);)+
    };
    ($form:ty: $($op:ident, $makes:ident),+) => { $(op!(impl $op, $form, $makes);)+ };
    (impl $op:ident, $form:ty, $makes:ident) => {
        op!(impl $op, $form, $makes, core::convert::identity);
    };
    (impl $op:ident, $form:ty, $makes:ident, $as_lent:path) => {
        impl<'a> $op<$form> {
            /// The entry, for a job of the [safe front](crate::jobs).
            #[inline(always)]
            pub const fn op<'s>(self) -> $crate::ops::OpIn<'a, 's>
            where
                's: 'a,
            {
                $crate::ops::OpIn::new($as_lent(self.0), $crate::ops::lent::Makes::$makes)
            }
        }
    };
}
use op;

/// Gives operations the way to an entry that may complete more than once: `multi`. After the form
/// stands what a completion makes, and what makes the entry go on.
macro_rules! multi {
    ($op:ident<$form:ty>: $makes:ident, $go_on:path) => {
        impl<'a> $op<$form> {
            /// The entry that goes on after the first completion, for a job of the
            /// [safe front](crate::jobs).
            #[inline(always)]
            pub const fn multi<'s>(self) -> $crate::ops::MultiIn<'a, 's>
            where
                's: 'a,
            {
                $crate::ops::MultiIn::new($go_on(self.0), $crate::ops::lent::Makes::$makes)
            }
        }
    };
}
use multi;
