//! What holds for any input: random scripts and bytes, with the simulated kernel and the running
//! one.

#[path = "../../../tests/checks/mod.rs"]
mod checks;
#[path = "../../../tests/common/mod.rs"]
mod common;
#[path = "../../../tests/fault_common/mod.rs"]
mod fault_common;
#[path = "../../../tests/op_common/mod.rs"]
mod op_common;

mod bytes;
mod differential;
mod differential_common;
mod fault_submit;
mod scripts;
mod trial;
