#!/usr/bin/env bash
# Each fuzz target runs for so many seconds, from its seeds and the inputs that were found before,
# and finds nothing. Needs the nightly compiler and cargo-fuzz.
#
#     ci/fuzz.sh SECONDS
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

seconds=${1:-30}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "usage: ci/fuzz.sh SECONDS"
jobs=$(nproc)
root=$PWD
# Where several jobs leave their logs.
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

say "formatting and lints"
cargo fmt --check --manifest-path fuzz/Cargo.toml
cargo clippy --manifest-path fuzz/Cargo.toml --all-targets -- -D warnings

say "seeds"
RINGBOLT_WRITE_CORPUS="$PWD/fuzz/corpus" cargo test -p ringbolt-properties -- \
    --exact bytes::seeds_are_written_where_the_fuzzer_looks_for_them

targets=$(cargo +nightly fuzz list)
[ -n "$targets" ] || fail "there is no fuzz target"
say "building"
# All at once, by all processors.
cargo +nightly fuzz build
found=""
for target in $targets; do
    say "$target: $seconds s"
    workers=$jobs
    # What an input does on this kernel is not to depend on another that is at work.
    [ "$target" != live ] || workers=1
    # The exit status of several jobs is not that of the worst: what counts is what is left.
    artifacts=fuzz/artifacts/$target
    mkdir -p "$artifacts"
    before=$(ls "$artifacts")
    log=$scratch/$target.log
    status=0
    (
        cd "$scratch"
        cargo +nightly fuzz run --fuzz-dir "$root/fuzz" "$target" -- -max_total_time="$seconds" \
            -max_len=1024 -timeout=20 -rss_limit_mb=2048 -jobs="$workers" -workers="$workers"
    ) > "$log" 2>&1 || status=$?
    new=$(comm -13 <(sort <<< "$before") <(ls "$artifacts" | sort))
    if [ "$status" -ne 0 ] || [ -n "$new" ]; then
        cat "$log"
        for file in $new; do
            printf '\nfound: %s\n' "$artifacts/$file"
            echo "  again:         cargo +nightly fuzz run $target $artifacts/$file"
            echo "  shorter:       cargo +nightly fuzz tmin $target $artifacts/$file"
            echo "  make a test:   mkdir -p tests/data/fuzz/$target &&" \
                "cp $artifacts/$file tests/data/fuzz/$target/"
        done
        found="$found $target"
    else
        grep -hE '^(#[0-9]+[[:space:]]DONE|Done )' "$log" || tail -n 3 "$log"
    fi
done
[ -z "$found" ] || fail "inputs were found for:$found"
