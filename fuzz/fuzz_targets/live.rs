//! Chains of operations on the running kernel; see `tests/checks/live`.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::live::check(input));
