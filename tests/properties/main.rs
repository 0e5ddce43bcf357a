//! What holds for any input: random scripts and bytes, in the simulated kernel and in the running
//! one.

#[path = "../checks/mod.rs"]
mod checks;
#[path = "../common/mod.rs"]
mod common;
#[path = "../fault_common/mod.rs"]
mod fault_common;
#[path = "../op_common/mod.rs"]
mod op_common;

mod bytes;
mod differential;
mod differential_common;
mod scripts;
