//! Programs of jobs on the simulated kernel; see `tests/checks/jobs`.
#![no_main]

#[path = "../../tests/checks/mod.rs"]
mod checks;

libfuzzer_sys::fuzz_target!(|input: &[u8]| checks::jobs::check(input));
