//! BPF filters for requests: the kernel's `bpf_filter.h`.

#![allow(non_camel_case_types, reason = "the C names")]

use core::fmt;

use crate::{BpfCmd, BpfFilterFlags, Opcode, SharedPtr, SqeFlags};

/// What a filter sees of a request.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_bpf_ctx {
    /// The `user_data` of the entry.
    pub user_data: u64,
    /// The opcode of the entry.
    pub opcode: Opcode,
    /// The flags of the entry.
    pub sqe_flags: SqeFlags,
    /// How many bytes of `pdu` are used.
    pub pdu_size: u8,
    /// Zero.
    pub pad: [u8; 5],
    /// The arguments of the operation.
    pub pdu: bpf_ctx_pdu,
}

/// The arguments of the operation of an [`io_uring_bpf_ctx`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union bpf_ctx_pdu {
    /// Of [`SOCKET`](Opcode::SOCKET).
    pub socket: bpf_ctx_socket_pdu,
    /// Of [`OPENAT`](Opcode::OPENAT) and [`OPENAT2`](Opcode::OPENAT2).
    pub open: bpf_ctx_open,
}

/// [`bpf_ctx_socket`], and the rest of the union.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct bpf_ctx_socket_pdu {
    /// The socket.
    pub socket: bpf_ctx_socket,
    /// Zero: the rest of the union.
    pub __rest: [u32; 3],
}

/// The socket to be made.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct bpf_ctx_socket {
    /// `AF_*`.
    pub family: u32,
    /// `SOCK_*`.
    pub r#type: u32,
    /// The protocol.
    pub protocol: u32,
}

/// The file to be opened, as an [`open_how`](crate::open_how).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct bpf_ctx_open {
    /// `O_*`.
    pub flags: u64,
    /// The mode of a new file.
    pub mode: u64,
    /// `RESOLVE_*`.
    pub resolve: u64,
}

impl fmt::Debug for bpf_ctx_pdu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: every bit pattern is valid in every arm, and each is the whole 24 bytes.
        let open = unsafe { self.open };
        write!(f, "[{:#x}, {:#x}, {:#x}]", open.flags, open.mode, open.resolve)
    }
}

/// A filter of one opcode.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_bpf_filter {
    /// The opcode, an [`Opcode`] number.
    pub opcode: u32,
    /// How to handle the other opcodes, and a size that differs.
    pub flags: BpfFilterFlags,
    /// How many instructions the filter has.
    pub filter_len: u32,
    /// How many bytes of [`io_uring_bpf_ctx::pdu`] the filter expects.
    pub pdu_size: u8,
    /// Zero.
    pub resv: [u8; 3],
    /// The instructions: `struct sock_filter`.
    pub filter_ptr: SharedPtr,
    /// Zero.
    pub resv2: [u64; 5],
}

/// The argument of [`REGISTER_BPF_FILTER`](crate::RegisterOp::REGISTER_BPF_FILTER).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_bpf {
    /// The command.
    pub cmd_type: BpfCmd,
    /// Zero.
    pub cmd_flags: u16,
    /// Zero.
    pub resv: u32,
    /// The argument of the command.
    pub arg: bpf_arg,
}

/// The argument of an [`io_uring_bpf`].
#[repr(C)]
#[derive(Clone, Copy)]
pub union bpf_arg {
    /// Of [`BpfCmd::FILTER`].
    pub filter: io_uring_bpf_filter,
}

impl fmt::Debug for bpf_arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // SAFETY: the only arm, and every bit pattern is valid in it.
        let filter = unsafe { self.filter };
        filter.fmt(f)
    }
}
