#!/usr/bin/env bash
# The invariants of the safe front (src/jobs/mod.rs) are kept by something that tests notice: each
# is broken in turn, in a copy of the sources, and a test has to fail.
set -euo pipefail
cd "$(dirname "$0")/.."
. ci/lib.sh

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/mutants
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
copy=$scratch/copy
mkdir "$copy"
tar --exclude=./target --exclude=./fuzz/target --exclude=./benches/target --exclude=./.git \
    -cf - . | tar -C "$copy" -xf -
cp -r "$copy" "$scratch/root"
root=$scratch/root
export RINGBOLT_PROGRAMS=${RINGBOLT_PROGRAMS:-1500}

tests() {
    local what="--all-features --test jobs --test jobs_faults --test jobs_kernel
        --test jobs_net --test jobs_process --test jobs_random"
    # Without quotes: one word each. What never ends is noticed, too.
    cd "$copy"
    cargo test $what --no-run 2>&1 && timeout "${MUTANT_SECONDS:-120}" \
        cargo test $what --no-fail-fast -- --skip running_kernel 2>&1
}

# mutant NAME FILE FROM TO: replaces FROM, which stands in FILE once, by TO.
mutant() {
    local name=$1 file=$2 from=$3 to=$4
    say "$name"
    FROM=$from TO=$to perl -0777 -pe '
        BEGIN { $from = $ENV{FROM}; $to = $ENV{TO} }
        $count = () = /\Q$from\E/g;
        die "it stands there $count times\n" unless $count == 1;
        s/\Q$from\E/$to/;
    ' "$root/$file" > "$copy/$file" || fail "$file does not have it once: $from"
    if (tests) > "$copy/log"; then
        fail "no test noticed: $name"
    fi
    # A change that does not compile breaks nothing.
    if grep -q '^error: could not compile' "$copy/log"; then
        cat "$copy/log"
        fail "it does not compile: $name"
    fi
    grep -E '^test .* FAILED|has overflowed|signal:|has been running' "$copy/log" | sort -u | head -n 5
    cp "$root/$file" "$copy/$file"
}

say "as it is"
(tests) > "$copy/log" || { tail -n 60 "$copy/log"; fail "tests fail without any change"; }

mutant "J5: a scope ends without its drain" src/jobs/drain.rs \
    'if let Err(undrained) = self.jobs.drain(None) {' \
    'if let Err(undrained) = Ok::<(), Undrained>(()) {'
mutant "J5: places are freed although the ring has failed" src/jobs/drain.rs \
    'if self.inner.is_here() && self.drain(None).is_err() {' \
    'if self.inner.is_here() && self.drain(None).is_err() && false {'
mutant "J5: a drain cancels once" src/jobs/drain.rs \
    'self.cancel_everything();' \
    'if pause == PAUSES.0 { self.cancel_everything(); }'
mutant "J5: lost completions are not noticed" src/jobs/drain.rs \
    'if self.inner.ring.cq.overflow() != 0 {' \
    'if self.inner.ring.cq.overflow() == 7 {'
mutant "J5: the group of a scope outlives it" src/jobs/ring.rs \
    'self.owned.end_groups(self.ring.registrar());' \
    'let _ = self.ring.registrar();'
mutant "a process that did not make the ring drains it" src/jobs/ring.rs \
    'self.ring.handle.home().is_here()' \
    'self.ring.handle.home().is_here() || true'
mutant "a key names whatever job is in its place" src/jobs/key.rs \
    'place.job.get() == self.job' \
    'place.job.get() == self.job || true'
mutant "J4: a chain is over with its first link" src/jobs/place.rs \
    'self.missing.get() == 0
    }' \
    'true
    }'
mutant "J4: the last link of a chain is not waited for" src/jobs/chain.rs \
    'self.missing.set((1_u8 << count).wrapping_sub(1));' \
    'self.missing.set((1_u8 << count).wrapping_sub(1) >> 1);'
mutant "J4: a send that does not copy is over with its first completion" src/jobs/table.rs \
    'self.fly(place, place.user_data.get().wrapping_add(TURN) | MULTI, op.into_parts())' \
    'self.fly(place, place.user_data.get().wrapping_add(TURN), op.into_parts())'
mutant "J7: what an event owns is not given back before a restart" src/jobs/event.rs \
    'let Event { jobs, seen } = self.settled();
        let place = seen.place;
        jobs.ready(place, 1)?;
        // SAFETY: the job is done, so nothing is in flight' \
    'let Event { jobs, seen } = self.0;
        let place = seen.place;
        jobs.ready(place, 1)?;
        // SAFETY: the job is done, so nothing is in flight'
mutant "J7: what an event owns is not given back when it is finished" src/jobs/event.rs \
    'let Event { jobs, seen } = self.settled();
        let value' \
    'let Event { jobs, seen } = self.0;
        let value'
mutant "J7: an event that was not finished is not dropped" src/jobs/table.rs \
    'drop(self.take_value(self.place(index)));' \
    'core::mem::forget(self.take_value(self.place(index)));'
mutant "a buffer is lent twice" src/jobs/pool.rs \
    'if left == Holders::NOBODY {' \
    'if left == Holders::NOBODY { self.pool.lend(self.id, used);'
mutant "a value whose destructor panics keeps the others" src/jobs/drain.rs \
    'fn drop(&mut self) {
        self.drop_them();' \
    'fn drop(&mut self) {'
