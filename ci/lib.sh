# What several checks share. Sourced, not run.

# The oldest compiler that builds the crates: the one that Cargo.toml promises.
MSRV=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml).0

# One target for each architecture whose std rustup installs.
TARGETS="x86_64-unknown-linux-gnu i686-unknown-linux-gnu aarch64-unknown-linux-gnu
armv7-unknown-linux-gnueabihf thumbv7neon-unknown-linux-gnueabihf riscv64gc-unknown-linux-gnu
s390x-unknown-linux-gnu powerpc64le-unknown-linux-gnu"

# Those whose std is built from source, by the nightly compiler.
SOURCE_TARGETS="loongarch64-unknown-linux-gnu"

say() {
    printf '\n== %s\n' "$*"
}

fail() {
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# Turns a test that is skipped for lack of a kernel feature into a failure, if the kernel has
# another that is as new; and provides what the machine has to be asked for.
no_skips() {
    export RINGBOLT_NO_SKIP=kernel
    if [ -w /proc/sys/vm/nr_hugepages ] && [ "$(cat /proc/sys/vm/nr_hugepages)" -lt 8 ]; then
        echo "setting vm.nr_hugepages to 8 for the test of rings in huge pages"
        echo 8 > /proc/sys/vm/nr_hugepages || true
    fi
}

# Makes APT the options by which apt-get and apt-cache know the packages of these suites of Debian,
# for an architecture of Debian's, whatever the machine has: the state is in target/apt. Fetches the
# lists unless that was done in the last hours.
debian() {
    local arch=$1 state=$PWD/target/apt/$1
    mkdir -p "$state"/lists/partial "$state"/archives/partial
    for suite in bullseye bookworm trixie trixie-backports sid; do
        echo "deb [check-valid-until=no] http://deb.debian.org/debian $suite main"
    done > "$state/sources.list"
    for suite in bullseye bookworm trixie; do
        echo "deb [check-valid-until=no] http://deb.debian.org/debian-security $suite-security main"
    done >> "$state/sources.list"
    APT=(-o "Dir::State=$state" -o "Dir::State::Lists=$state/lists" -o "Dir::State::Status=/dev/null"
        -o "Dir::Cache=$state" -o "Dir::Cache::Archives=$state/archives"
        -o "Dir::Etc::SourceList=$state/sources.list" -o "Dir::Etc::SourceParts=-"
        -o "APT::Sandbox::User=root" -o "APT::Architecture=$arch" -o "APT::Architectures=$arch"
        -o "Acquire::Retries=3" -o "Acquire::Languages=none")
    if [ -z "$(find "$state/fresh" -mmin -300 2> /dev/null)" ]; then
        apt-get "${APT[@]}" update > "$state/log" 2>&1 || { cat "$state/log" >&2; return 1; }
        touch "$state/fresh"
    fi
}
