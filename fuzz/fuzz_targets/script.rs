//! Scripts of actions on the queues and on a model; see `tests/script`.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::script::check(input));
