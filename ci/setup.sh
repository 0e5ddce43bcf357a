#!/usr/bin/env bash
# Installs what the checks need and a bare machine with rustup lacks.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

rustup component add rustfmt clippy
rustup toolchain install "$MSRV" --profile minimal --no-self-update
rustup toolchain install nightly --profile minimal --no-self-update \
    --component miri --component rust-src
for target in $TARGETS; do
    rustup target add "$target"
done
packages="strace valgrind gcc g++ gcc-multilib libc6-dev"
# Without quotes: one word each.
if ! dpkg -s $packages > /dev/null 2>&1; then
    apt-get update
    apt-get install -y --no-install-recommends $packages
fi
command -v cargo-fuzz > /dev/null || cargo install cargo-fuzz --locked
