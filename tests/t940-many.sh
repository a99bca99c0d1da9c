#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# RUN alone
#
# Whole runs on 64 ranks, whatever the number of cores: models that are sharded as widely
# as their heads allow, and meshes that are mostly data axis.  All checks are on.
build=${top_builddir:-.}
ranks=64
if [ ! -x "$build/vitbench" ]; then
    echo "1..0 # SKIP vitbench is not built"
    exit 0
fi
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
n=0

# passes MESH BATCH SHAPE [OPTION ..]: status 0, and each of the four checks has passed.
passes() {
    mesh=$1
    batch=$2
    shape=$3
    shift 3
    n=$((n + 1))
    "${MPIEXEC:-mpiexec}" -n $ranks "$build/vitbench" --mesh="$mesh" --batch="$batch" \
        --shape="$shape" --image=42 --patch=14 --threads=1 --steps=1 --warmup=1 \
        --seconds=0.1 --no-tune "$@" </dev/null >"$folder/out" 2>&1
    status=$?
    good=$(grep -c '^  \(self-test\|products\|overlap\|replicas\) .* PASSED$' "$folder/out")
    if [ $status -eq 0 ] && [ "$good" -eq 4 ] && ! grep -q FAILED "$folder/out" &&
        grep -q '^Final Summary::vitbench result is VALID' "$folder/out"; then
        echo "ok $n - $shape on $mesh $*"
    else
        echo "not ok $n - $shape on $mesh $* (exit status $status, $good checks passed)"
        sed 's/^/# /' "$folder/out"
    fi
}

passes 64x1 64 mu
[ -z "$TEST_LONG" ] || passes 32x2 32 mu
passes 8x8 8 64/2/128/8
passes 8x8 9 64/1/128/8 --overlap=plain --wiring=parallel
echo "1..$n"
