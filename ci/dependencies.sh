#!/usr/bin/env bash
# What a user compiles is what we say: no libc crate, no C, no build script of ours.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
allowed="bitflags linux-raw-sys memoffset ringbolt ringbolt-sys rustix static_assertions"
names=$(cargo tree -p ringbolt -e normal --all-features --target x86_64-unknown-linux-gnu \
    --prefix none --format '{p}' | cut -d' ' -f1 | sort -u)
for name in $names; do
    [[ " $allowed " == *" $name "* ]] || fail "$name is not a dependency to have"
done
echo "normal dependencies:" $names
for manifest in Cargo.toml sys/Cargo.toml; do
    ! grep -qE '^(build|links)' "$manifest" || fail "$manifest has a build script"
done
[ ! -e build.rs ] && [ ! -e sys/build.rs ] || fail "there is a build script"
