#!/usr/bin/env bash
# What depending on ringbolt costs, beside io-uring: processor time of a clean release build, and
# bytes that a small program grows by. Each program completes one NOP. Prints; nothing is expected.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Makes a package: its name, its dependencies, its program.
package() {
    mkdir -p "$scratch/$1/src"
    cat > "$scratch/$1/Cargo.toml" <<TOML
[package]
name = "$1"
version = "0.0.0"
edition = "2024"
[dependencies]
$2
[profile.release]
strip = true
[workspace]
TOML
    cat > "$scratch/$1/src/main.rs"
}

package empty "" <<'RUST'
fn main() -> std::io::Result<()> {
    Err(std::io::Error::from_raw_os_error(std::process::id() as i32))
}
RUST
package safe "ringbolt = { path = \"$PWD\" }" <<'RUST'
use ringbolt::jobs::{OwnedJobs, SafeRing};
use ringbolt::ops::Nop;

fn main() -> std::io::Result<()> {
    let mut jobs: OwnedJobs<u32> = SafeRing::new(8)?.into_jobs(8);
    let _ = jobs.start(1, |_| Nop::new().op());
    while let Ok(Some(event)) = jobs.wait_next() {
        event.result()?;
    }
    Ok(())
}
RUST
package typed "ringbolt = { path = \"$PWD\" }" <<'RUST'
use ringbolt::IoUring;
use ringbolt::ops::Nop;

fn main() -> std::io::Result<()> {
    let mut ring = IoUring::new(8)?;
    ring.submission().push_safe(Nop::new().sqe(1)).map_err(std::io::Error::other)?;
    ring.submit_and_wait(1)?;
    ring.completion().pop().map_or(Ok(0), |cqe| cqe.result())?;
    Ok(())
}
RUST
package io-uring-program 'io-uring = "0.7"' <<'RUST'
fn main() -> std::io::Result<()> {
    let mut ring = io_uring::IoUring::new(8)?;
    let entry = io_uring::opcode::Nop::new().build().user_data(1);
    unsafe { ring.submission().push(&entry) }.map_err(std::io::Error::other)?;
    ring.submit_and_wait(1)?;
    let result = ring.completion().next().map_or(0, |cqe| cqe.result());
    if result < 0 { Err(std::io::Error::from_raw_os_error(-result)) } else { Ok(()) }
}
RUST

# The processor time of a clean build, in seconds, and the size of the program.
build() {
    cargo fetch -q --manifest-path "$scratch/$1/Cargo.toml"
    local seconds
    seconds=$({ TIMEFORMAT='%U %S'; time cargo build -q --release --offline \
        --manifest-path "$scratch/$1/Cargo.toml" --target-dir "$scratch/$1/target" 2> /dev/null; } \
        2>&1 | awk '{ print $1 + $2 }')
    echo "$seconds $(stat -c %s "$scratch/$1/target/release/$1")"
}

read -r _ empty <<< "$(build empty)"
printf '%-28s %12s %14s\n' "" "build, s" "added, bytes"
for name in safe typed io-uring-program; do
    read -r seconds bytes <<< "$(build $name)"
    case $name in
    safe) label="ringbolt, safe front" ;;
    typed) label="ringbolt, operations" ;;
    *) label="io-uring" ;;
    esac
    printf '%-28s %12s %14d\n' "$label" "$seconds" $((bytes - empty))
done
