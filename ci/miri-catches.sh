#!/usr/bin/env bash
# Miri reports what breaks the contract of pushing, under both borrow models: each test of
# tests/miri_catches.rs fails, and for the right reason; the control passes.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

miri() {
    cargo +nightly miri test -p ringbolt --features sim --test miri_catches \
        --target-dir target/miri -- "$@"
}

# Runs one test, prints what Miri reports, and fails unless that is right.
check() {
    local test=$1 reason output
    case $test in
        *_is_not_reported)
            miri --exact --ignored "$test" > /dev/null 2>&1 || fail "$test failed"
            return
            ;;
        *_borrowed_again_*)
            # Of a pointer whose right to the memory has ended the two models say it differently.
            reason='Undefined Behavior: .*(not granting access|tag does not exist|is forbidden)'
            ;;
        *) reason='Undefined Behavior: .*has been freed, so this pointer is dangling' ;;
    esac
    if output=$(miri --exact --ignored "$test" 2>&1); then
        fail "$test: Miri reports nothing"
    fi
    grep -E "$reason" <<< "$output" || fail "$test: another report: $(tail -n 30 <<< "$output")"
}
export -f check miri fail

for model in "" "-Zmiri-tree-borrows"; do
    export MIRIFLAGS="-Zmiri-strict-provenance $model"
    tests=$(miri --list --ignored 2> /dev/null | sed -n 's/: test$//p')
    [ "$(wc -w <<< "$tests")" -ge 9 ] || fail "the tests are not there: $tests"
    say "$(wc -w <<< "$tests") tests $model"
    # Each is one thread's work.
    xargs -P "$(nproc)" -I '{}' bash -euo pipefail -c 'report=$(check "{}"); echo "{}: $report"' \
        <<< "$tests"
done
