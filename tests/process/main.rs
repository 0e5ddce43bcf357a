//! Subjects of which some tests run in a process of their own, on the running kernel: these fork,
//! set limits and filters, or count descriptors, mappings and threads.

#[path = "../common/mod.rs"]
mod common;
#[path = "../fault_common/mod.rs"]
mod fault_common;
#[path = "../op_common/mod.rs"]
mod op_common;

mod behaviour_process;
mod behaviour_syscalls;
mod behaviour_tables;
mod contract_multishot;
mod contract_process;
mod descriptor_numbers;
mod enter;
mod fault_descriptors;
mod fault_process;
mod fork;
mod hosts;
mod iterate;
mod no_mmap;
mod policies;
mod register_restrictions;
mod resize;
mod setup;
mod setup_errors;
mod sqpoll;
mod submit;
