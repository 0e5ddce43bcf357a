#!/usr/bin/env bash
# The queues, the simulated kernel and the ABI's types under Miri: no undefined behaviour, by either
# borrow model, with strict provenance; on a small machine, a big one, and a big-endian one.
#
# RINGBOLT_CASES says how many random scripts there are, MIRI_SEEDS how many interleavings of threads,
# MIRI_PROGRAMS how many programs of jobs.
# The unit tests that take random steps by the thousand are left out unless MIRI_FULL is set.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
export RINGBOLT_CASES=${RINGBOLT_CASES:-3}
miri() {
    cargo +nightly miri test --target-dir target/miri "$@"
}

say "stacked borrows"
export MIRIFLAGS="-Zmiri-strict-provenance -Zmiri-env-forward=RINGBOLT_CASES"
slow="--skip queues_behave_like_lists --skip no_word_makes --skip bundles_are"
[ -z "${MIRI_FULL:-}" ] || slow=""
# Without quotes: one word each.
miri -p ringbolt --all-features --lib -- $slow
miri -p ringbolt-properties -- scripts::

say "tree borrows"
MIRIFLAGS="$MIRIFLAGS -Zmiri-tree-borrows"
miri -p ringbolt --all-features --lib -- ring:: sim:: $slow
# Slower than stacked borrows: the written scripts ran above.
miri -p ringbolt-properties -- scripts::a_hostile

say "random programs of jobs, by both models"
for model in "" "-Zmiri-tree-borrows"; do
    MIRIFLAGS="-Zmiri-strict-provenance -Zmiri-env-forward=RINGBOLT_PROGRAMS $model" \
        RINGBOLT_PROGRAMS=${MIRI_PROGRAMS:-12} \
        miri -p ringbolt --all-features --test jobs_random -- simulated
done

say "several seeds of the scheduler"
MIRIFLAGS="-Zmiri-strict-provenance -Zmiri-many-seeds=0..${MIRI_SEEDS:-4}"
miri -p ringbolt --all-features --lib -- ring::tests::order

say "the ABI, big-endian and with 32 bits"
MIRIFLAGS="-Zmiri-strict-provenance"
for target in s390x-unknown-linux-gnu i686-unknown-linux-gnu; do
    miri -p ringbolt-sys --test values --target "$target"
done
miri -p ringbolt --all-features --lib --target s390x-unknown-linux-gnu -- \
    ring::tests::narrow ring::tests::mixed ring::tests::bufs::a entry::
