//! Provided buffers, and any bytes in their entries; see `tests/checks/buffers.rs`.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::buffers::check(input));
