//! The operations, one plain struct each.
//!
//! What an operation cannot do without is an argument of its `new`; the rest is set by
//! methods, in the words of the man page. `sqe(user_data)` makes the entry, and is the only
//! way out: what an operation's completion is to be recognised by cannot be forgotten. Flags
//! that mean the same for every operation are set on the [`Sqe`].
//!
//! A method that takes flags adds them to those that are set, in every operation: to set two
//! flags, call it once with both, or once with each. Any other method replaces what was set by an
//! earlier call of the same method. So do the methods of [`RawOp`], which set fields.
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
//! // SAFETY: `file` and `buf` stay, and `buf` is not touched, until the completion is popped.
//! unsafe { ring.submission().push(read) }?;
//! ring.submit_and_wait(1)?;
//! let cqe = ring.completion().pop().ok_or("no completion")?;
//! assert_eq!(cqe.user_data(), 1);
//! assert!(cqe.result()? > 0);
//! # Ok(())
//! # }
//! ```
//!
//! # What must stay, and until when
//!
//! Pushing is unsafe because an operation names memory and descriptors by number. Unless an
//! operation says otherwise, both must stay until its last completion has been popped. Some
//! memory is only read while the entry is taken, that is until the submit that hands it over
//! has returned (with SQPOLL: until the queue's head has gone past it); with
//! [`Features::SUBMIT_STABLE`](crate::sys::Features::SUBMIT_STABLE), since Linux 5.5, that
//! goes for timespecs, vectors, paths and addresses. Where an operation's documentation says
//! *until taken*, this is meant.
//!
//! # Support
//!
//! Each operation says since which kernel there is one. Ask
//! [`Registrar::probe`](crate::register::Registrar::probe) what the running kernel has; one
//! that it has not completes with `EINVAL`.

mod cancel;
mod cmd;
mod epoll;
mod fs;
mod futex;
mod msg;
mod msg_ring;
mod net;
mod path;
mod pipe;
mod poll;
mod range;
mod raw;
mod recv;
mod rw;
mod send;
mod table;
mod timeout;
mod xattr;

pub use cancel::{AsyncCancel, CancelFile};
pub use cmd::{BlockDiscard, SocketCommand, UringCmd, UringCmd80};
pub use epoll::{EpollCtl, EpollWait};
pub use fs::{Close, Fsync, OpenAt, Statx};
pub use futex::{ChildInfo, FutexWait, FutexWaitv, FutexWake, WaitId};
pub use msg::MsgHdr;
pub use msg_ring::{MsgRing, MsgRingFd};
pub use net::{Accept, Bind, Connect, Listen, Shutdown, Socket};
pub use path::{LinkAt, MkdirAt, OpenAt2, RenameAt, SymlinkAt, UnlinkAt};
pub use pipe::{Pipe, Splice, Tee};
pub use poll::{PollAdd, PollRemove, PollUpdate};
pub use range::{Fadvise, Fallocate, Ftruncate, Madvise, SyncFileRange};
pub use raw::{Nop, Nop128, RawOp};
pub use recv::{Recv, RecvMsg, RecvZc};
pub use rw::{
    Read, ReadFixed, ReadMultishot, Readv, ReadvFixed, Write, WriteFixed, Writev, WritevFixed,
};
pub use send::{Send, SendMsg, SendMsgZc, SendZc};
pub use table::{FilesUpdate, FixedFdInstall, ProvideBuffers, RemoveBuffers};
pub use timeout::{LinkTimeout, Timeout, TimeoutRemove, TimeoutUpdate};
pub use xattr::{FGetXattr, FSetXattr, GetXattr, SetXattr};

pub use crate::target::{DestSlot, Fixed, IoVec, Target};

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

/// An entry for `opcode` that acts on no file, which the kernel wants said with -1.
#[inline(always)]
const fn on_none(opcode: Opcode) -> Sqe {
    on(opcode, Target::Fd(-1))
}

/// Adds flags of the operation to those that `sqe` has.
#[inline(always)]
const fn add_flags(sqe: &mut Sqe, flags: u32) {
    sqe.set_op_flags(sqe.op_flags() | flags);
}

/// Gives operations that wrap their entry the way out of it.
macro_rules! sqe {
    ($($op:ident),+ => $entry:ty, $wrap:expr) => {$(
        impl $op {
            /// The entry, with what its completions are to be recognised by.
            #[inline(always)]
            pub const fn sqe(self, user_data: u64) -> $entry {
                $wrap(self.0.with_user_data(user_data))
            }
        }
    )+};
    ($($op:ident),+) => { sqe!($($op),+ => $crate::entry::Sqe, core::convert::identity); };
}
use sqe;
