#!/usr/bin/env bash
# Every benchmark runs, and nothing is allocated after set-up: one quick pass, whose figures mean
# little; `cargo bench` on a quiet machine takes those that count.
#
#     ci/benches.sh            lints, unit tests of the harness, and all cases
#     ci/benches.sh EXPRESSION the cases that match
set -euo pipefail
cd "$(dirname "$0")/.."
if [ $# -eq 0 ]; then
    cargo clippy --manifest-path benches/Cargo.toml --all-targets --target-dir target/benches \
        -- -D warnings
    cargo test --manifest-path benches/Cargo.toml --lib --target-dir target/benches
fi
RINGBOLT_BENCH_QUICK=1 cargo bench -- "${1:-.}"
