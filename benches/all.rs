//! `cargo bench`: runs the benchmarks of the package in `benches/`, with the same arguments.
//!
//! They are a package of their own so that nobody else has to compile what they compare with.

use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    // Cargo says so when it benchmarks, and not when it tests.
    let args: Vec<_> = std::env::args_os().skip(1).collect();
    if !args.iter().any(|arg| arg == "--bench") {
        return ExitCode::SUCCESS;
    }
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let target = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("benches");
    let status = Command::new(env!("CARGO"))
        .args(["bench", "--manifest-path"])
        .arg(root.join("benches/Cargo.toml"))
        .arg("--")
        // Cargo adds its own.
        .args(args.iter().filter(|arg| *arg != "--bench"))
        .env("CARGO_TARGET_DIR", target)
        .status();
    match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cargo cannot be started: {error}");
            ExitCode::FAILURE
        }
    }
}
