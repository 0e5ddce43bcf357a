#!/usr/bin/env bash
# How much of the queues, of submitting, of building and of decoding the tests reach that need no
# kernel: lines and branches, file by file. Fails below 95% of the lines of src/ring.
#
# What maps memory needs a kernel: src/ring/map.rs is told of, and not counted.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

command -v cargo-llvm-cov > /dev/null || cargo install cargo-llvm-cov --locked
rustup component add llvm-tools --toolchain nightly > /dev/null

export CARGO_LLVM_COV_TARGET_DIR=$PWD/target/coverage
cargo +nightly llvm-cov clean --workspace
run() {
    cargo +nightly llvm-cov --no-report --branch --all-features "$@"
}
# The one test of the library's that makes system calls is left out.
run --lib -- --skip queues_that_are_mapped_apart --skip sim::tests::real
# Nor is the one of these that makes any.
run -p ringbolt-properties -- scripts:: bytes:: --skip every_entry_is_accounted_for
cargo +nightly llvm-cov report --branch --json --output-path target/coverage.json > /dev/null

python3 - <<'PYTHON'
import json
import os
import sys

wanted = ("src/ring/", "src/enter/", "src/uring/submission.rs", "src/uring/completion.rs", "src/setup/builder.rs",
          "src/ops/message.rs", "src/entry/")
files = json.load(open("target/coverage.json"))["data"][0]["files"]
print(f"{'file':32} {'lines':>14} {'branches':>14}")
covered = total = 0
for file in sorted(files, key=lambda file: file["filename"]):
    path = os.path.relpath(file["filename"])
    if not path.startswith(wanted) or "/tests/" in path or path.endswith("loom.rs"):
        continue
    parts = []
    for kind in ("lines", "branches"):
        part = file["summary"][kind]
        parts.append(f"{part['covered']}/{part['count']} {part['percent']:3.0f}%")
    print(f"{path:32} {parts[0]:>14} {parts[1]:>14}")
    if path.startswith("src/ring/") and path != "src/ring/map.rs":
        covered += file["summary"]["lines"]["covered"]
        total += file["summary"]["lines"]["count"]
share = 100 * covered / total
print(f"src/ring without map.rs: {covered} of {total} lines, {share:.1f}%")
sys.exit(share < 95)
PYTHON
