//! Entries with any arguments, completions of any bytes; see `tests/checks/encoding`.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::encoding::check(input));
