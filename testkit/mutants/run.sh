#!/bin/sh
# Breaks the core in one way after the other and says how long the simulator takes to find it.
# `testkit/mutants/run.sh [NAME...]`: all, or those named. The core's files are put back whatever happens.
set -eu
cd "$(dirname "$0")/../.."
if [ -n "$(git status --porcelain -- engine/core)" ]; then
    echo "engine/core has changes of its own: commit or stash them first" >&2
    exit 1
fi
restore() { git checkout -q -- engine/core; }
trap restore EXIT
trap "exit 130" INT TERM
# Link-time optimisation takes longer than what is measured here.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/mutants"
[ $# -gt 0 ] || set -- $(basename -s .patch testkit/mutants/*.patch)
survived=0
for name; do
    git apply "testkit/mutants/$name.patch"
    cargo build --quiet --release -p roundtrip-testkit --example seeds
    echo "== $name"
    # A patch may name rates of faults in its first line: what it breaks takes several of a kind in one history.
    faults=$(sed -n '1s/^faults: //p' "testkit/mutants/$name.patch")
    if timeout 60 "$CARGO_TARGET_DIR/release/examples/seeds" 1000000 $faults; then
        echo "not found" >&2
        survived=1
    elif [ $? -eq 124 ]; then
        echo "not found within 60 s" >&2
        survived=1
    fi
    restore
done
exit $survived
