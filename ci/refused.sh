#!/usr/bin/env bash
# Where a host refuses io_uring, each test program says so in one line, fails no test and ends in
# seconds. The ways: a filter that answers EPERM, ENOSYS or EACCES, one that kills, no locked memory,
# and less of it than the tests need. Needs root. The doctests are left out: each is a program of its
# own, and needs a ring.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
rustc -O --edition 2024 -o "$scratch/with" ci/host/with.rs
# Users are somebody else here, who must reach it.
chmod 755 "$scratch"

cargo test --no-run --workspace --all-features --lib --tests --message-format=json |
    sed -nE 's/.*"profile":\{[^}]*"test":true\}.*"executable":"([^"]+)".*/\1/p' > "$scratch/programs"
[ -s "$scratch/programs" ] || fail "no test programs"

# Runs each program with the conditions, which `with` explains.
under() {
    say "$@"
    local program name status started=$SECONDS
    while read -r program; do
        name=$(basename "${program%-*}")
        # Those that make a ring only where a test needs one.
        case "$* $name" in
        *=kill\ ringbolt | *=kill\ syscalls | *=65536\ ringbolt | *=65536\ syscalls) continue ;;
        esac
        # The rules of the house ask no kernel.
        [ "$name" != house ] || continue
        status=0
        cp "$program" "$scratch/program"
        timeout 60 "$scratch/with" "$@" "$scratch/program" > "$scratch/log" 2>&1 < /dev/null ||
            status=$?
        if [ "$status" != 0 ]; then
            tail -n 30 "$scratch/log"
            fail "$name with $*: exit code $status"
        fi
        echo "$name: $(grep '^skipped: all' "$scratch/log" || grep '^test result' "$scratch/log")"
    done < "$scratch/programs"
    echo "$((SECONDS - started)) s"
}

for refusal in 1 38 13 kill; do
    under refuse=$refusal
done
under uid=65534 memlock=0
under uid=65534 memlock=65536

say "a refusal fails where no skip is wanted"
kernel=$(grep '/kernel-' "$scratch/programs")
if RINGBOLT_NO_SKIP=kernel "$scratch/with" refuse=1 "$kernel" > "$scratch/log"; then
    fail "the program passed"
fi
grep '^skipped: all.*RINGBOLT_NO_SKIP is kernel$' "$scratch/log"
