#!/usr/bin/env bash
# The crates compile for every architecture they claim, layout assertions included, and say
# one clear thing on others.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
for target in $TARGETS; do
    say "$target"
    cargo check --workspace --lib --all-features --target "$target" --target-dir target/cross
done
for target in $SOURCE_TARGETS; do
    say "$target"
    cargo +nightly check --workspace --lib --all-features -Z build-std=core,alloc,std \
        --target "$target" --target-dir target/cross-source
done
say "an architecture without system calls here"
if output=$(cargo +nightly check -p ringbolt-sys --lib -Z build-std=core \
    --target mips-unknown-linux-gnu --target-dir target/cross-source 2>&1); then
    fail "ringbolt-sys compiles for an architecture that it has no system calls for"
fi
errors=$(grep -c '^error: ringbolt' <<< "$output") || fail "no clear error: $output"
[ "$errors" = 1 ] || fail "$errors errors where one says it all: $output"
grep '^error: ringbolt' <<< "$output"
