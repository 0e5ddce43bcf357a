//! What needs no kernel: the rules of the house, and operations and entries as values.

mod aliases;
mod behaviours;
mod flags_add;
mod guide;
mod migration;
mod op_values;
mod reach;
mod scripts;
#[cfg(all(target_endian = "little", target_pointer_width = "64"))]
mod sqe_cases;
mod sqe_encoding;
mod tidy;
