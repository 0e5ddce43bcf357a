//! The queries and answers of [`REGISTER_QUERY`](crate::RegisterOp::REGISTER_QUERY): the kernel's
//! `query.h`.

#![allow(non_camel_case_types, reason = "the C names")]

use crate::{QueryOp, SharedPtr, ZcrxFeatures};

/// One query; several form a linked list.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_query_hdr {
    /// The next query, or null.
    pub next_entry: SharedPtr,
    /// The memory for the answer.
    pub query_data: SharedPtr,
    /// The kind of the query.
    pub query_op: QueryOp,
    /// The room for the answer in bytes. The kernel replaces it with the number of bytes that it
    /// filled.
    pub size: u32,
    /// Filled in by the kernel: 0, or a negated errno.
    pub result: i32,
    /// Zero.
    pub __resv: [u32; 3],
}

/// The answer to [`QueryOp::OPCODES`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_query_opcode {
    /// How many [`Opcode`](crate::Opcode)s the kernel has.
    pub nr_request_opcodes: u32,
    /// How many [`RegisterOp`](crate::RegisterOp)s the kernel has.
    pub nr_register_opcodes: u32,
    /// Its [`Features`](crate::Features).
    pub feature_flags: u64,
    /// The [`SetupFlags`](crate::SetupFlags) that it accepts.
    pub ring_setup_flags: u64,
    /// The [`EnterFlags`](crate::EnterFlags) that it accepts.
    pub enter_flags: u64,
    /// The [`SqeFlags`](crate::SqeFlags) that it accepts.
    pub sqe_flags: u64,
    /// How many [`QueryOp`]s the kernel has.
    pub nr_query_opcodes: u32,
    /// Zero.
    pub __pad: u32,
}

/// The answer to [`QueryOp::ZCRX`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_query_zcrx {
    /// The [`ZcrxRegFlags`](crate::ZcrxRegFlags) that it accepts.
    pub register_flags: u64,
    /// The [`ZcrxAreaFlags`](crate::ZcrxAreaFlags) that it accepts.
    pub area_flags: u64,
    /// How many [`ZcrxCtrlOp`](crate::ZcrxCtrlOp)s the kernel has.
    pub nr_ctrl_opcodes: u32,
    /// Its optional features.
    pub features: ZcrxFeatures,
    /// The size of the refill ring's header, in bytes.
    pub rq_hdr_size: u32,
    /// The alignment of that header, in bytes.
    pub rq_hdr_alignment: u32,
    /// Zero.
    pub __resv2: u64,
}

/// The answer to [`QueryOp::ZCRX_EVENT`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_query_zcrx_event {
    /// The events that it reports: bit `n` for the [`ZcrxEvent`](crate::ZcrxEvent) `n`.
    pub event_flags: u32,
    /// The size of its [`zcrx_stats`](crate::zcrx_stats), in bytes.
    pub stats_size: u32,
    /// The alignment of [`zcrx_event_desc::stats_offset`](crate::zcrx_event_desc::stats_offset).
    pub stats_off_alignment: u32,
    /// Zero.
    pub __resv1: u32,
    /// Zero.
    pub __resv2: [u64; 4],
}

/// The answer to [`QueryOp::SCQ`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct io_uring_query_scq {
    /// The size of the header before the completion entries, in bytes.
    pub hdr_size: u64,
    /// The alignment of that header, in bytes.
    pub hdr_alignment: u64,
}
