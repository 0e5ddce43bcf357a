#!/usr/bin/env bash
# The crates build where there is no std at all: only `core` is made for them; and a program without
# std runs.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo +nightly check -p ringbolt --lib --no-default-features -Z build-std=core \
    --target x86_64-unknown-linux-gnu --target-dir target/no-std
cargo +nightly check -p ringbolt --lib --no-default-features --features owned \
    -Z build-std=core,alloc --target x86_64-unknown-linux-gnu --target-dir target/no-std

program=(cargo run -q --release --manifest-path examples/no_std/Cargo.toml --target-dir target/no-std)
[ "$("${program[@]}")" = "hello from a ring without std" ]
