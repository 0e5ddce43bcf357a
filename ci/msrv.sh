#!/usr/bin/env bash
# The oldest compiler that Cargo.toml promises builds the crates, and programs that use the safe
# front.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
cargo "+$MSRV" check --workspace --lib --all-features --target-dir target/msrv
cargo "+$MSRV" check --manifest-path ui/Cargo.toml --bins --target-dir target/msrv
