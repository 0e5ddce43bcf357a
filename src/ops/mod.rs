//! The operations, one plain struct each.
//!
//! What an operation cannot do without is an argument of its `new`; the rest is set by
//! methods, in the words of the man page. `sqe(user_data)` makes the entry, and is the only
//! way out: what an operation's completion is to be recognised by cannot be forgotten. Flags
//! that mean the same for every operation are set on the [`Sqe`].
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
mod rw;
mod table;
mod timeout;
mod xattr;

use core::ffi::c_void;

use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

pub use cancel::AsyncCancel;
pub use cmd::{BlockDiscard, SocketCommand, UringCmd, UringCmd80};
pub use epoll::{EpollCtl, EpollWait};
pub use fs::{Close, Fsync, OpenAt, Statx};
pub use futex::{ChildInfo, FutexWait, FutexWaitv, FutexWake, WaitId};
pub use msg::{MsgHdr, RecvMsg, RecvZc, SendMsg, SendMsgZc, SendZc};
pub use msg_ring::{MsgRing, MsgRingFd};
pub use net::{Accept, Bind, Connect, Listen, Recv, Send, Shutdown, Socket};
pub use path::{LinkAt, MkdirAt, OpenAt2, RenameAt, SymlinkAt, UnlinkAt};
pub use pipe::{Pipe, Splice, Tee};
pub use poll::{PollAdd, PollRemove, PollUpdate};
pub use range::{Fadvise, Fallocate, Ftruncate, Madvise, SyncFileRange};
pub use raw::{Nop, Nop128, RawOp};
pub use rw::{
    Read, ReadFixed, ReadMultishot, Readv, ReadvFixed, Write, WriteFixed, Writev, WritevFixed,
};
pub use table::{FilesUpdate, FixedFdInstall, ProvideBuffers, RemoveBuffers};
pub use timeout::{LinkTimeout, Timeout, TimeoutRemove, TimeoutUpdate};
pub use xattr::{FGetXattr, FSetXattr, GetXattr, SetXattr};

use crate::entry::Sqe;
use crate::sys::{IORING_FILE_INDEX_ALLOC, Opcode, SqeFlags};

/// A slot of the ring's file table, as
/// [`register_files`](crate::register::Registrar::register_files) filled it.
#[doc(alias = "direct")]
#[doc(alias = "registered")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fixed(pub u32);

/// What an operation acts on: a descriptor or a fixed slot.
///
/// Made from a reference to anything that has a descriptor, or from a [`Fixed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A descriptor, by number.
    Fd(RawFd),
    /// A slot of the ring's file table.
    Fixed(Fixed),
}

impl<F: AsFd> From<&F> for Target {
    #[inline(always)]
    fn from(file: &F) -> Self {
        Self::Fd(file.as_fd().as_raw_fd())
    }
}

impl From<BorrowedFd<'_>> for Target {
    #[inline(always)]
    fn from(fd: BorrowedFd<'_>) -> Self {
        Self::Fd(fd.as_raw_fd())
    }
}

impl From<Fixed> for Target {
    #[inline(always)]
    fn from(slot: Fixed) -> Self {
        Self::Fixed(slot)
    }
}

/// Where in the ring's file table an operation puts a file that it opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DestSlot {
    /// Into this slot; what is there is closed. The completion's result is 0.
    At(Fixed),
    /// Into a free slot, since Linux 5.19; the completion's result is its number. `ENFILE` if
    /// there is none.
    Alloc,
}

impl DestSlot {
    /// The kernel's way to say it: 0 is no slot at all, so that slots count from 1.
    #[inline(always)]
    pub(crate) const fn file_index(self) -> u32 {
        match self {
            // A slot beyond any table stays one, and does not become "any".
            Self::At(Fixed(slot)) if slot >= IORING_FILE_INDEX_ALLOC - 1 => {
                IORING_FILE_INDEX_ALLOC - 1
            }
            Self::At(Fixed(slot)) => slot + 1,
            Self::Alloc => IORING_FILE_INDEX_ALLOC,
        }
    }
}

/// A range of memory, `struct iovec`: the same layout as that of C and of `std::io::IoSlice`.
#[doc(alias = "iovec")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct IoVec {
    /// Where it starts.
    pub base: *mut c_void,
    /// Its length in bytes.
    pub len: usize,
}

// SAFETY: an address and a length; who may use what is there is said by those who are given
// one in unsafe code.
unsafe impl core::marker::Send for IoVec {}
// SAFETY: as above.
unsafe impl Sync for IoVec {}

impl IoVec {
    /// No memory: an empty slot in a table of buffers.
    pub const EMPTY: Self = Self { base: core::ptr::null_mut(), len: 0 };

    /// `len` bytes from `base` on.
    pub const fn new(base: *mut u8, len: usize) -> Self {
        Self { base: base.cast(), len }
    }
}

impl From<&mut [u8]> for IoVec {
    fn from(bytes: &mut [u8]) -> Self {
        Self::new(bytes.as_mut_ptr(), bytes.len())
    }
}

impl From<&[u8]> for IoVec {
    /// For operations that only read the memory.
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes.as_ptr().cast_mut(), bytes.len())
    }
}

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
