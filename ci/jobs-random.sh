#!/usr/bin/env bash
# Random programs of jobs get their values back: a million on the simulated kernel, and a hundred
# thousand on the running one.
#
#     ci/jobs-random.sh [SIMULATED [RUNNING [SEED]]]
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
no_skips

simulated=${1:-1000000}
running=${2:-100000}
export RINGBOLT_SEED=${3:-0}
jobs_random() {
    RINGBOLT_PROGRAMS=$1 cargo test --release --all-features --test jobs_random -- \
        --exact "programs_get_their_values_back_from_the_$2_kernel" --nocapture
}

say "$simulated programs on the simulated kernel, from seed $RINGBOLT_SEED on"
jobs_random "$simulated" simulated
say "$running programs on the running kernel"
jobs_random "$running" running
