#!/usr/bin/env bash
# The README's first command works, and the reading is done by io_uring.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say "the command of the README"
command=$(sed -n 's/^\(cargo run --release --example cat .*\)$/\1/p' README.md | head -n 1)
[ -n "$command" ] || fail "README.md does not say how to run the main job"
$command > "$scratch/out"
cmp Cargo.toml "$scratch/out"

say "no read(2) of the file"
strace -f -e trace=openat,read,readv,pread64,preadv,preadv2,io_uring_enter -o "$scratch/trace" \
    target/release/examples/cat Cargo.toml > "$scratch/out"
cmp Cargo.toml "$scratch/out"
grep -q io_uring_enter "$scratch/trace" || fail "io_uring_enter was not called"
# The loader reads libraries and the runtime reads /proc; after set-up there is only enter.
sed '1,/io_uring_enter/d' "$scratch/trace" > "$scratch/rest"
! grep -E ' (read|readv|pread64|preadv|preadv2)\(' "$scratch/rest" \
    || fail "a file was read by a plain system call"
echo "io_uring_enter: $(grep -c io_uring_enter "$scratch/trace")"
