#!/usr/bin/env bash
# The queues and the ABI's types under Miri: no undefined behaviour on a small machine, a big
# one, and a big-endian one.
set -euo pipefail
cd "$(dirname "$0")/.."
export MIRIFLAGS="-Zmiri-strict-provenance"
cargo +nightly miri test -p ringbolt --lib --target-dir target/miri
cargo +nightly miri test -p ringbolt-sys --lib --target s390x-unknown-linux-gnu \
    --target-dir target/miri
cargo +nightly miri test -p ringbolt-sys --lib --target i686-unknown-linux-gnu \
    --target-dir target/miri
