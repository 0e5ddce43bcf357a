#!/usr/bin/env bash
# The tests pass on other kernels: Debian's, which are fetched and unpacked, not installed, and run
# in qemu without help from the processor. Prints how many tests passed, were skipped, and failed on
# each, what was missing where, and each failure; target/kernels/matrix.tsv has every test. A test
# that fails, a program that hangs, and a warning of the kernel fail.
#
#     ci/kernels.sh [--only PATTERN] [--test NAME] [--limit SECONDS] [VERSION[/arm64]...]
#
# VERSION is the beginning of a version, as 6.12, or `newest`. The pattern is one of the test
# programs, the name a part of the names of tests. Needs root, the packages qemu-system-x86 (for
# arm64: qemu-system-arm), cpio and e2fsprogs, and the targets *-unknown-linux-musl of rustup.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

work=$PWD/target/kernels
only=. limit=600 part=
while [[ ${1-} == --* ]]; do
    case $1 in
    --only) only=$2 ;;
    --test) part=$2 ;;
    --limit) limit=$2 ;;
    *) fail "what is $1?" ;;
    esac
    shift 2
done
for program in cpio apt-get dpkg-deb /sbin/mke2fs; do
    command -v "$program" > /dev/null || fail "$program is missing: see the head of this script"
done
[ $# -gt 0 ] || set -- 5.10 6.1 6.12 6.18 newest newest/arm64
mkdir -p "$work"

# Unpacks the newest kernel of a version for an architecture of Debian's to $work/NAME, and prints
# NAME: what the package is called without `linux-image-`.
fetch() {
    local version=$1 arch=$2 wanted name package
    debian "$arch" || fail "no list of packages from deb.debian.org"
    case $version in
    newest) wanted='[0-9.]+' ;;
    *) wanted="${version//./\\.}(\\.[0-9]+)*" ;;
    esac
    # The number of a build of Debian's follows `-` or `+deb`: 6.1.0-56, 6.12.118+deb13.
    name=$(apt-cache "${APT[@]}" pkgnames linux-image- |
        grep -E "^linux-image-$wanted(-[0-9]+|\+deb[0-9.]+)-cloud-$arch\$" | sort -V | tail -n 1)
    [ -n "$name" ] || fail "Debian has no kernel $version for $arch"
    name=${name#linux-image-}
    if [ ! -d "$work/$name" ]; then
        rm -rf "$work/fetched" && mkdir "$work/fetched"
        # Since 7.3 the kernel itself is in a package of its own.
        package=linux-binary-$name
        [ "$(apt-cache "${APT[@]}" pkgnames "$package")" = "$package" ] || package=linux-image-$name
        (cd "$work/fetched" && apt-get "${APT[@]}" download "$package" > /dev/null)
        dpkg-deb -x "$work"/fetched/*.deb "$work/fetched/files"
        [ -n "$(find "$work/fetched/files" -name 'vmlinuz*')" ] || fail "no kernel in $package"
        mv "$work/fetched/files" "$work/$name"
    fi
    echo "$name"
}

# Builds all test programs and examples for a target, static, and an initramfs with them.
image() {
    local target=$1 arch=$2 root=$work/root-$2 name path
    export CARGO_TARGET_DIR=$work/build CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0
    # Every instruction is emulated.
    export CARGO_PROFILE_DEV_OPT_LEVEL=1 RINGBOLT_PATIENCE=60
    export RUSTFLAGS="-Ctarget-feature=+crt-static -Cstrip=symbols"
    [ "$arch" = amd64 ] || RUSTFLAGS+=" -Clinker=rust-lld -Clinker-flavor=ld.lld"
    rm -rf "$root" && mkdir -p "$root"/{bin,proc,sys,dev,etc,tmp,t/debug/{deps,examples}}
    cargo test --no-run --workspace --all-features --lib --tests --target "$target" \
        --message-format=json > "$work/built"
    sed -nE 's/.*"profile":\{[^}]*"test":true\}.*"executable":"([^"]+)".*/\1/p' "$work/built" |
        while read -r path; do
            name=$(basename "${path%-*}")
            # They ask no kernel.
            case $name in house | miri_catches | values) continue ;; esac
            cp "$path" "$root/t/debug/deps/$name"
            echo "$name"
        done | sort > "$root/t/list"
    cargo build --workspace --all-features --examples --target "$target"
    find "$CARGO_TARGET_DIR/$target/debug/examples" -maxdepth 1 -type f -perm -1 ! -name '*-*' \
        -exec cp {} "$root/t/debug/examples" \;
    unset CARGO_TARGET_DIR RUSTFLAGS RINGBOLT_PATIENCE
    # Tests read the sources from where they were built.
    pwd > "$root/t/manifest"
    mkdir -p "$root$PWD" && git archive HEAD | tar x -C "$root$PWD"
    cp "$(busybox_for "$arch")" "$root/bin/busybox"
    cp ci/kernels/init ci/kernels/report.awk "$root"
    chmod +x "$root/init"
    printf 'root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n' > "$root/etc/passwd"
    (cd "$root" && find . | cpio --quiet -o -H newc) > "$work/$arch.cpio"
    rm -rf "$root"
}

# The path of a static busybox for an architecture.
busybox_for() {
    if [ ! -e "$work/busybox-$1" ]; then
        debian "$1"
        rm -rf "$work/fetched" && mkdir "$work/fetched"
        (cd "$work/fetched" && apt-get "${APT[@]}" download "busybox-static:$1" > /dev/null)
        dpkg-deb -x "$work"/fetched/*.deb "$work/fetched/files"
        cp "$(find "$work/fetched/files" -path '*/bin/busybox' -type f)" "$work/busybox-$1"
    fi
    echo "$work/busybox-$1"
}

# Boots a kernel; $work/NAME.console has what it says.
boot() {
    local name=$1 arch=$2 disk=$work/$1.disk qemu console
    case $arch in
    amd64) qemu="qemu-system-x86_64 -machine q35 -cpu max" console=ttyS0 ;;
    arm64) qemu="qemu-system-aarch64 -machine virt -cpu max,pauth-impdef=on" console=ttyAMA0 ;;
    esac
    rm -f "$disk" && truncate -s 1500M "$disk" && /sbin/mke2fs -q -t ext4 "$disk"
    # Without quotes: one word each. Three times the limit of a program is more than all take.
    timeout -k 5 $((limit * 3)) $qemu -accel tcg,thread=multi,tb-size=512 -smp 2 -m 3072 \
        -kernel "$(find "$work/$name" -name 'vmlinuz*')" -initrd "$work/$arch.cpio" \
        -nographic -nodefaults -no-reboot -serial stdio \
        -drive "if=none,id=a,format=raw,cache=unsafe,file=$disk" \
        -device nvme,serial=a,drive=a,max_ioqpairs=8 \
        -append "console=$console panic=-1 quiet loglevel=4 log_buf_len=4M rdinit=/init \
            mitigations=off nvme.poll_queues=2 limit=$limit only=$only part=$part" \
        < /dev/null > "$work/$name.console" 2>&1 || echo "qemu ended with $?"
    rm -f "$disk"
    sed -i 's/\r$//' "$work/$name.console"
    sed -n "s/^ROW\t/$name\t/p" "$work/$name.console" > "$work/$name.tsv"
}

# Prints what a run came to; not 0 if anything is wrong.
summary() {
    local name=$1 console=$work/$1.console rows=$work/$1.tsv
    grep '^GUEST' "$console" || true
    awk -F'\t' -v name="$name" '
        { count[$4]++ }
        END { printf "%s: %d passed, %d skipped, %d failed\n",
            name, count["passed"], count["skipped"], count["failed"] }' "$rows"
    awk -F'\t' '$4 == "skipped" { count[$5]++ } END { for (what in count)
        printf "  %d skipped: %s\n", count[what], what }' "$rows" | sort -k1,1nr -k3
    awk -F'\t' '$4 == "failed" { print "  FAILED " $2 " " $3 ": " $5 }' "$rows"
    sed -n 's/^PROGRAM \(.*\) hung .*/  HUNG \1/p; s/^STACK /    /p' "$console"
    awk '/^PROGRAM/ && $3 != "hung" && $3 != 0 { print "  exit code " $3 " of " $2 }' "$console"
    grep '^KERNEL' "$console" | sort | uniq -c || true
    if grep -q '^GUEST ends' "$console" &&
        ! grep -qE '^KERNEL|^PROGRAM [^ ]+ ([^0]|0[^ ])' "$console"; then
        return 0
    fi
    grep -q '^GUEST ends' "$console" || tail -n 20 "$console"
    return 1
}

failed=()
names=()
for word in "$@"; do
    arch=amd64 target=x86_64-unknown-linux-musl qemu=qemu-system-x86_64
    [[ $word != */arm64 ]] ||
        arch=arm64 target=aarch64-unknown-linux-musl qemu=qemu-system-aarch64
    command -v $qemu > /dev/null || fail "$qemu is missing: see the head of this script"
    rustup target list --installed | grep -qx "$target" || rustup target add "$target"
    if [ ! -e "$work/$arch.built" ]; then
        say "building for $target"
        image $target $arch
        : > "$work/$arch.built"
    fi
    name=$(fetch "${word%/*}" $arch)
    say "$name"
    started=$SECONDS
    boot "$name" $arch
    summary "$name" || failed+=("$name")
    echo "  $((SECONDS - started)) s"
    names+=("$name")
done
rm -f "$work"/*.built
for name in "${names[@]}"; do
    cat "$work/$name.tsv"
done > "$work/matrix.tsv"
[ "${#failed[@]}" = 0 ] || fail "the tests on ${failed[*]}"
