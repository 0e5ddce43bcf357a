#!/usr/bin/env bash
# The hot paths take as few instructions as code written by hand, or nearly: counted, not timed,
# in the release profile as users have it.
set -euo pipefail
cd "$(dirname "$0")/.."
# An incremental build is divided into other units, and inlines less.
export CARGO_INCREMENTAL=0
unset RUSTFLAGS CARGO_PROFILE_RELEASE_LTO CARGO_PROFILE_RELEASE_CODEGEN_UNITS
cargo run --release --manifest-path benches/Cargo.toml --target-dir target/benches \
    --bin instructions
