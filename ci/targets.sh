#!/usr/bin/env bash
# The crates compile for every architecture they claim, layout assertions included, and say
# one clear thing on others.
#
# With `full`, std is built from source where rustup has none, and the crates with what needs it.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
check() {
    cargo check --workspace --lib --all-features --target-dir target/cross "$@"
}
say "$TARGETS"
# Together, by all processors; if one fails, each by itself says which.
# Without quotes: one word each.
if ! check $(printf -- '--target %s ' $TARGETS); then
    for target in $TARGETS; do
        say "$target"
        check --target "$target"
    done
    fail "the targets compile by themselves, and not together"
fi
std=core,alloc features="--no-default-features --features owned"
[ "${1:-}" != full ] || std=core,alloc,std features=--all-features
for target in $SOURCE_TARGETS; do
    say "$target with $std"
    cargo +nightly check -p ringbolt --lib $features -Z "build-std=$std" \
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
