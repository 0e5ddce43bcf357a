#!/usr/bin/env bash
# Each set of features compiles, with std also the tests and examples; the unit tests pass.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
for features in "" alloc owned; do
    say "features without std: ${features:-none}"
    cargo check --lib --no-default-features --features "$features"
done
for features in std sim "std,owned"; do
    say "features: $features"
    cargo check --all-targets --no-default-features --features "$features"
done
for features in std "std,owned"; do
    say "unit tests with features: $features"
    cargo test --lib --no-default-features --features "$features"
done
