#!/usr/bin/env bash
# The tests pass on 32 bits: a 32-bit program on this 64-bit kernel.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
no_skips

export CARGO_TARGET_DIR=target/x86
# Random scripts find on 64 bits what they find, mostly.
export RINGBOLT_CASES=${RINGBOLT_CASES:-300}
# Without doctests, which say the same on 64 bits. Some tests run the examples.
cargo build --workspace --all-features --examples --target i686-unknown-linux-gnu
cargo test --workspace --all-features --lib --tests --target i686-unknown-linux-gnu
cargo test --release -p ringbolt-sys --target i686-unknown-linux-gnu
