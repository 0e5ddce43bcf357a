#!/usr/bin/env bash
# Every benchmark runs, and nothing is allocated after set-up: one quick pass, of the cases that match
# an expression if one is given. Its figures mean little; `cargo bench` on a quiet machine takes
# those that count.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo test --manifest-path benches/Cargo.toml --lib --target-dir target/benches
RINGBOLT_BENCH_QUICK=1 cargo bench -- "${1:-.}"
