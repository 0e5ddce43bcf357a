#!/usr/bin/env bash
# The loom tests of ci/loom.sh pass, and no ordering is there for nothing: each is weakened in turn,
# in a copy of the sources, and the tests of the rules that it is said to keep have to fail.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

order=src/ring/order.rs
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
tar --exclude=./target --exclude=./fuzz/target --exclude=./benches/target --exclude=./.git \
    -cf - . | tar -C "$copy" -xf -
# The copy shares what it depends on with ci/loom.sh, and by its version nothing of its own: what is
# built here is weakened, and Cargo would take it for a build of the sources.
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
[ -n "$version" ] || fail "Cargo.toml has no version"
sed -i "/^\[package\]/,/^\[/s/^version.workspace = true/version = \"$version-weakened\"/" "$copy/Cargo.toml"
grep -q -- '-weakened"$' "$copy/Cargo.toml" || fail "the copy has the version of the sources"
# Nor is a build of an earlier copy one of this.
touch "$copy/$order"

# One line for each ordering above Relaxed: line, ordering, the rules that the documentation of its
# function names.
orderings() {
    awk '
        /^ *\/\/\/ / { doc = doc $0; next }
        /Ordering::(Release|Acquire|AcqRel|SeqCst)/ {
            match($0, /Ordering::[A-Za-z]+/)
            printf "%d %s", NR, substr($0, RSTART + 10, RLENGTH - 10)
            while (match(doc, /R[0-9]+/)) {
                printf " %s", tolower(substr(doc, RSTART, RLENGTH))
                doc = substr(doc, RSTART + RLENGTH)
            }
            print ""
        }
        /^ *(pub|fn|impl|})/ && !/fn / { doc = "" }
        /^ *}/ { doc = "" }
    ' "$order"
}

loom() {
    (cd "$copy" && RUSTFLAGS="--cfg loom" cargo test --release -p ringbolt --lib ring::loom 2>&1)
}
export CARGO_TARGET_DIR=$PWD/target/loom

say "as it is"
loom > "$copy/log" || { cat "$copy/log"; fail "the loom tests fail without any change"; }

held=""
while read -r line ordering rules; do
    # A fence that orders nothing is not allowed: the next weaker one is.
    case $ordering in
        SeqCst) weaker=AcqRel ;;
        *) weaker=Relaxed ;;
    esac
    say "$order:$line: $ordering becomes $weaker (rules: $rules)"
    [ -n "$rules" ] || fail "$order:$line keeps no rule by its documentation"
    sed "${line}s/Ordering::$ordering/Ordering::$weaker/" "$order" > "$copy/$order"
    if loom > "$copy/log"; then
        fail "no test noticed"
    fi
    for rule in $rules; do
        grep "^test ring::loom::${rule}_.* FAILED" "$copy/log" \
            || { tail -n 40 "$copy/log"; fail "the test of $rule did not notice"; }
    done
    held="$held $rules"
done < <(orderings)

# Every rule that the header states is kept by something.
for rule in $(sed -n 's/^\/\/! - \(R[0-9]*\):.*/\1/p' "$order" | tr 'R' 'r'); do
    case " $held " in
        *" $rule "*) ;;
        *) fail "no ordering in $order keeps $rule" ;;
    esac
done
