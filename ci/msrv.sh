#!/usr/bin/env bash
# The oldest compiler that Cargo.toml promises builds the crates.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
cargo "+$MSRV" check --workspace --lib --all-features --target-dir target/msrv
