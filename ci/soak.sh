#!/usr/bin/env bash
# Everything at once, for some minutes (1): each byte is compared, each completion is accounted for,
# and neither descriptors nor memory grow.
#
#     ci/soak.sh [MINUTES]
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh
no_skips
RINGBOLT_SOAK=$((60 * ${1:-1})) cargo test --release --all-features --test soak -- --nocapture
