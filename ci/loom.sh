#!/usr/bin/env bash
# The rules of memory ordering, one test each, in every interleaving of two threads.
set -euo pipefail
cd "$(dirname "$0")/.."
RUSTFLAGS="--cfg loom" cargo test --release -p ringbolt --lib --target-dir target/loom ring::loom
