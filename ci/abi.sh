#!/usr/bin/env bash
# The tables of the kernel's ABI in sys/tests/data are those of the newest kernel headers that
# Debian has, on 64 and 32 bits: whatever is missing or different is printed, and fails. With a
# folder as the argument, the headers are those in it: `ci/abi.sh /usr/include`. Needs gcc, and
# gcc-multilib for 32 bits; fetches a package and installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

constants=sys/tests/data/constants.tsv
layout=sys/tests/data/layout.tsv
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Prints where the headers of the newest package are, after unpacking it.
fetch() {
    local version
    debian amd64 || exit 1
    # Without names of candidates, which are not released.
    version=$(apt-cache "${APT[@]}" madison linux-libc-dev |
        awk -F'|' '{ gsub(/ /, "", $2); print $2 }' | grep -v '~rc\|~exp' | sort -V | tail -n 1)
    [ -n "$version" ] || fail "no package linux-libc-dev"
    echo "linux-libc-dev $version" >&2
    (cd "$scratch" && apt-get "${APT[@]}" download "linux-libc-dev=$version" > /dev/null)
    dpkg-deb -x "$scratch"/linux-libc-dev_*.deb "$scratch/headers"
    echo "$scratch/headers/usr/include"
}

# What a C program with these headers says, compiled with the options that follow.
compiled() {
    local program=$1
    shift
    # Not the headers of the machine: theirs come first.
    gcc "$@" -w -I"$include" -I"$include/x86_64-linux-gnu" -o "$program.out" "$program" &&
        "$program.out"
}

include=${1:-$(fetch)}
[ -e "$include/linux/io_uring.h" ] || fail "no linux/io_uring.h in $include"

headers() {
    echo '#include <stdio.h>'
    echo '#include <stddef.h>'
    echo '#include <linux/io_uring.h>'
    for header in zcrx query mock_file bpf_filter; do
        [ ! -e "$include/linux/io_uring/$header.h" ] || echo "#include <linux/io_uring/$header.h>"
    done
}

say "constants"
status=0
headers > "$scratch/all.c"
preprocessed() {
    gcc -E "$@" -I"$include" -I"$include/x86_64-linux-gnu" "$scratch/all.c"
}
# Macros that have a value, and enumerators, of those names that stand in the headers of io_uring.
{
    preprocessed -dM | awk '/^#define [A-Z_][A-Z0-9_]* ./ { print $2 }'
    preprocessed -P | tr ',{}' '\n\n\n' |
        sed -nE 's/^[[:space:]]*([A-Z_][A-Z0-9_]*)[[:space:]]*(=.*)?$/\1/p'
} | sort -u > "$scratch/defined"
grep -ohwE '[A-Z_][A-Z0-9_]+' "$include"/linux/io_uring.h "$include"/linux/io_uring/*.h | sort -u |
    comm -12 - "$scratch/defined" > "$scratch/there"
tail -n +2 "$constants" | cut -f 2 | sort -u > "$scratch/ours"
# Other kinds of names than those that the table has are not io_uring's.
if comm -23 "$scratch/there" "$scratch/ours" | grep -E '^_*(IO|ZCRX)' > "$scratch/missing"; then
    sed 's/^/missing in the table: /' "$scratch/missing"
    status=1
fi
if comm -13 "$scratch/there" "$scratch/ours" | grep . > "$scratch/gone"; then
    sed 's/^/missing in the headers: /' "$scratch/gone"
    status=1
fi
{
    headers
    echo 'int main(void) {'
    echo '#define SHOW(name) printf(#name "\t%llu\n", \
        (unsigned long long)(name) & (sizeof(name) < 8 ? 0xffffffffULL : ~0ULL))'
    comm -12 "$scratch/there" "$scratch/ours" | sed 's/.*/SHOW(&);/'
    echo '}'
} > "$scratch/constants.c"
# A negative value stands there as the 32 bits that it has.
tail -n +2 "$constants" |
    awk -F'\t' '{ print $2 "\t" ($3 ~ /^-/ ? sprintf("%.0f", 4294967296 + $3) : $3) }' |
    sort > "$scratch/expected"
for bits in 64 32; do
    if ! compiled "$scratch/constants.c" -m$bits | sort > "$scratch/constants.$bits"; then
        fail "gcc -m$bits: is gcc-multilib installed?"
    fi
    if ! comm -13 "$scratch/expected" "$scratch/constants.$bits" | grep . \
        > "$scratch/different"; then
        echo "$bits bits: $(wc -l < "$scratch/constants.$bits") values agree"
        continue
    fi
    sed "s/^/$bits bits, the headers say: /" "$scratch/different"
    status=1
done

say "layouts"
# Where liburing's headers differ, the kernel's count.
kernels_rows() {
    tail -n +2 "$layout" | grep -v 'liburing2.15$'
}
{
    headers
    echo '#define SHOW(name, one, other) printf(name "\t%zu\t%zu\n", one, other)'
    echo '#define TYPE(type, name) SHOW(name, sizeof(type), _Alignof(type))'
    echo '#define FIELD(type, field, name) \
        SHOW(name, offsetof(type, field), sizeof(((type *)0)->field))'
    echo 'int main(void) {'
    # A struct's size and alignment; a field's offset and size. What has a `>` in its name, or a
    # size of 0, is compared as a part of its struct.
    kernels_rows | awk -F'\t' '
        $1 == "S" { print "TYPE(" $3 " " $4 ", \"" $4 "\");" }
        $1 == "F" && $5 !~ />/ && $7 > 0 {
            print "FIELD(" $3 " " $4 ", " $5 ", \"" $4 "." $5 "\");"
        }'
    echo '}'
} > "$scratch/layout.c"
for bits in 64 32; do
    kernels_rows | awk -F'\t' -v bits=$bits '
        $1 == "S" {
            size = $7; align = $8
            if (bits == 32 && match($12, /size=[0-9]+,align=[0-9]+/)) {
                split($12, part, /[=,]/); size = part[2]; align = part[4]
            }
            print $4 "\t" size "\t" align
        }
        $1 == "F" && $5 !~ />/ && $7 > 0 { print $4 "." $5 "\t" $6 "\t" $7 }' |
        sort > "$scratch/expected"
    if ! compiled "$scratch/layout.c" -m$bits | sort > "$scratch/layout.$bits"; then
        fail "gcc -m$bits: a struct or a field is missing"
    fi
    if ! comm -13 "$scratch/expected" "$scratch/layout.$bits" | grep . > "$scratch/different"; then
        echo "$bits bits: $(wc -l < "$scratch/layout.$bits") sizes and offsets agree"
        continue
    fi
    sed "s/^/$bits bits, the headers say: /" "$scratch/different"
    status=1
done

# Structs of the headers that the table does not have.
preprocessed -P |
    grep -oE '\bstruct (io_uring|zcrx|io_ring|io_cqring|io_sqring)[a-z0-9_]*' |
    cut -d ' ' -f 2 | sort -u > "$scratch/there"
tail -n +2 "$layout" | cut -f 4 | sort -u > "$scratch/ours"
if comm -23 "$scratch/there" "$scratch/ours" | grep . > "$scratch/missing"; then
    sed 's/^/a struct that is missing in the table: /' "$scratch/missing"
    status=1
fi
[ "$status" = 0 ] || fail "the tables are not those of these headers"
