//! The crate on the running kernel: each operation, each way to register, chains, waits, buffers,
//! and what the documentation promises.
//!
//! Tests that start processes, or that change or count what a process has once, are in
//! `tests/process`.

#[path = "../common/mod.rs"]
mod common;
#[path = "../op_common/mod.rs"]
mod op_common;

mod behaviour_chains;
mod behaviour_iopoll;
mod behaviour_queue;
mod behaviour_races;
mod behaviour_taskrun;
mod behaviour_waits;
mod buf_common;
mod buf_ring_bundles;
mod buf_ring_owner;
mod buf_ring_transfer;
mod chains;
mod close_when_idle;
mod contract_arguments;
mod contract_cancel;
mod contract_common;
mod contract_memory;
mod contract_messages;
mod local;
mod mixed_entries;
mod multishot_message;
mod no_unsafe;
mod op_cancel;
mod op_cmd;
mod op_epoll;
mod op_fs;
mod op_futex;
mod op_message;
mod op_msg_ring;
mod op_multishot;
mod op_net;
mod op_nop;
mod op_path;
mod op_pipe;
mod op_poll;
mod op_range;
mod op_rw;
mod op_table;
mod op_timeout;
mod op_transfer;
mod op_vectors;
mod op_xattr;
mod push;
mod queue_positions;
mod register_buf_ring;
mod register_buffers;
mod register_cancel;
mod register_clone;
mod register_control;
mod register_events;
mod register_files;
mod register_probe;
mod register_query;
mod register_refusals;
mod register_tags;
mod registered_fd;
mod registered_wait;
mod resize_wide;
mod skips;
mod threads;
mod variants;
mod wait;
mod wait_for;
mod wide_entries;
