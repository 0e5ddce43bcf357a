#!/usr/bin/env bash
# The tests pass, and none is skipped for lack of something that a kernel of this version has.
#
# On a kernel that was built without some of it, run `cargo test --workspace`, which skips and
# says so.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
no_skips

cargo test --workspace
cargo test --all-features
# What a system call does to registers shows only where the compiler makes use of them.
cargo test --release -p ringbolt-sys
