//! `cargo bench`: all groups, or those whose cases match the argument.

fn main() {
    // Cargo says so when it benchmarks, and not when it tests.
    if !std::env::args().any(|arg| arg == "--bench") {
        println!("nothing to test here: run `cargo bench`");
        return;
    }
    let scratch = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    ringbolt_benches::run(scratch.parent().unwrap_or(scratch));
}
