//! Any answer to set-up; see `tests/checks/setup.rs`.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::setup::check(input));
