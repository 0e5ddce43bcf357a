//! Faults that are provoked while a lot is in flight: signals, overflow, a starved polling thread,
//! and everything cancelled at once.

#[path = "../common/mod.rs"]
mod common;
#[path = "../fault_common/mod.rs"]
mod fault_common;
#[path = "../op_common/mod.rs"]
mod op_common;

mod fault_cancel;
mod fault_overflow;
mod fault_owned;
mod fault_signals;
mod fault_sqpoll;
