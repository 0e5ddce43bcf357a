#!/usr/bin/env bash
# Programs that misuse the safe front do not compile, each for the reason that is written beside
# it, and programs that use it well do. The texts are those of the stable compiler.
#
#     TRYBUILD=overwrite ci/ui.sh    writes the texts again
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --check --manifest-path ui/Cargo.toml
cargo test --manifest-path ui/Cargo.toml --target-dir target/ui
