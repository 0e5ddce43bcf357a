#!/usr/bin/env bash
# The tests pass, and none is skipped for lack of something that a kernel as new as this one has.
#
# On a kernel that was built without some of it, run the command of the README by itself: it skips
# and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
no_skips

command=$(sed -n 's/^\(cargo test .*\)$/\1/p' README.md | head -n 1)
[ -n "$command" ] || fail "README.md does not say how to run the tests"
say "$command"
$command
say "with default features"
cargo check --all-targets
# What a system call does to registers shows only where the compiler makes use of them.
cargo test --release -p ringbolt-sys
