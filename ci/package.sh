#!/usr/bin/env bash
# The crates can be published: what goes into the packages builds by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo package --workspace --exclude ringbolt-properties "$@"
for package in ringbolt ringbolt-sys; do
    files=$(cargo package --list -p "$package" "$@")
    for file in README.md LICENSE-MIT LICENSE-APACHE; do
        grep -qx "$file" <<< "$files" || { echo "$package lacks $file" >&2; exit 1; }
    done
done
