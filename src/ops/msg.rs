//! What a message is made of: [`MsgHdr`].

use core::ffi::c_void;

use crate::entry::Sqe;
use crate::sys::{Opcode, SharedPtr};

use super::{IoVec, Target, on};

/// What a message is made of, `struct msghdr` as the kernel has it.
#[doc(alias = "msghdr")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MsgHdr {
    /// The address of the peer, or null.
    pub name: *mut c_void,
    /// Its length in bytes; for receiving, the room that there is.
    pub name_len: u32,
    /// The buffers.
    pub vectors: *const IoVec,
    /// How many there are.
    pub vector_count: usize,
    /// Control messages, or null.
    pub control: *mut c_void,
    /// Their length in bytes; for receiving, the room that there is.
    pub control_len: usize,
    /// `MSG_` flags of what was received.
    pub flags: u32,
}

// SAFETY: addresses and lengths; who may use what is there is said by the operations.
unsafe impl Send for MsgHdr {}
// SAFETY: as above.
unsafe impl Sync for MsgHdr {}

impl MsgHdr {
    /// No address, no buffer, no control message.
    pub const EMPTY: Self = Self {
        name: core::ptr::null_mut(),
        name_len: 0,
        vectors: core::ptr::null(),
        vector_count: 0,
        control: core::ptr::null_mut(),
        control_len: 0,
        flags: 0,
    };
}

/// An entry about a message.
#[inline(always)]
pub(super) const fn message(opcode: Opcode, socket: Target, header: SharedPtr) -> Sqe {
    let mut sqe = on(opcode, socket);
    sqe.set_addr(header);
    // One header; the kernel insists on it nowhere, and its own tools say so.
    sqe.set_len(1);
    sqe
}
