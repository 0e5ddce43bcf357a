//! Messages in buffers of any bytes; see `tests/checks/message.rs`.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::message::check(input));
