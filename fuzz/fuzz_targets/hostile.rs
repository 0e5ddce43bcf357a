//! Any value in any shared word; see `tests/script/hostile.rs`.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::script::hostile::check(input));
