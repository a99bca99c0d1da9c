#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Errors planted in whole runs of vitbench: each makes its check fail, and the run end
# FAILED with status 1 on all ranks.  The same runs without an error pass.
build=${top_builddir:-.}
if [ ! -x "$build/vitbench" ]; then
    echo "1..0 # SKIP vitbench is not built"
    exit 0
fi
out=t930-$$.out
n=0

# run RANKS MESH [OPTION ..]: leaves the one status of all ranks in status.  To the
# launcher all is well: it waits for a second where it is not.
run() {
    ranks=$1
    mesh=$2
    shift 2
    "${MPIEXEC:-mpiexec}" -n "$ranks" sh -c '"$@"; echo "::$?"' sh \
        "$build/vitbench" --shape=96/2/192/6 --image=42 --patch=14 --batch=4 \
        --threads=1 --steps=2 --warmup=1 --seconds=0.1 --mesh="$mesh" "$@" \
        </dev/null >$out 2>&1
    status=$(sed -n 's/^:://p' $out | sort -u)
    [ "$(grep -c '^::' $out)" -eq "$ranks" ] || status=none
}

verdict() {
    n=$((n + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2"
        sed 's/^/# /' $out
    fi
}

# passes RANKS MESH [OPTION ..]
passes() {
    run "$@"
    [ "$status" = 0 ] && ! grep -q FAILED $out && grep -q 'is VALID' $out
    verdict $? "clean on $2 $3"
}

# fails FAULT CHECK RANKS MESH [OPTION ..]: the line of CHECK says FAILED.
fails() {
    fault=$1
    check=$2
    shift 2
    VITBENCH_FAULT=$fault
    export VITBENCH_FAULT
    run "$@"
    unset VITBENCH_FAULT
    [ "$status" = 1 ] && grep -q "^  $check .* FAILED$" $out && grep -q 'is INVALID' $out
    verdict $? "$fault on $2 $3 makes $check fail (exit status $status)"
}

passes 2 1x2
passes 3 1x3 --overlap=plain
passes 2 2x1
for overlap in ring plain; do
    fails slice:1 self-test 2 1x2 --overlap=$overlap
    fails drop:0 self-test 2 1x2 --overlap=$overlap
done
fails slice:2 products 3 1x3
fails drop:1 products 3 1x3
fails moments:1 self-test 2 1x2
fails moments:0 self-test 2 1x2 --wiring=parallel
passes 2 2x1 --param-shard=none
passes 2 2x1 --remat=block --micro-batches=2
passes 3 3x1 --pool=gap --wiring=sequential
fails replica:1 replicas 2 2x1 --param-shard=none
fails replica:1 replicas 2 2x1
fails replica:1 replicas 2 2x1 --pool=gap --qk-norm=off
fails replica:0 replicas 2 1x2
for kind in gather_y gather_dx gather_dw scatter_y scatter_dx scatter_dw; do
    fails product:$kind:1 products 2 1x2
done
fails product:gather_y:0 overlap 2 1x2
fails product:scatter_dw:0 products 1 1x1 --dtype=f64

# told PHASE RANKS MESH CHECKS WORDS [OPTION ..]: a signal to the last rank as that phase
# begins ends all of them before there is more than CHECKS checks or a row.
told() {
    phase=$1
    on="$2 $3"
    checks=$4
    words=$5
    VITBENCH_FAULT=told:$phase:$(($2 - 1))
    export VITBENCH_FAULT
    shift 5
    # shellcheck disable=SC2086
    run $on "$@"
    unset VITBENCH_FAULT
    [ "$status" = 3 ] && grep -q "^  INCOMPLETE  *stopped by a signal$words$" $out &&
        [ "$(grep -c ' residual ' $out)" -eq "$checks" ] && grep -q 'INVALID, INCOMPLETE' $out
    verdict $? "told in phase '$phase' on $on it is the last one"
}

told 'choosing forms' 3 1x3 0 ''
told 'self-test' 3 1x3 0 ''
told 'opening the model' 2 2x1 1 ''
told 'timing products' 2 1x2 1 ' after 0 steps'
told 'warm-up' 3 3x1 1 ' after 0 steps'
told 'timed steps' 2 1x2 1 ' after 1 step'
told 'checking replicas' 2 2x1 1 ' after 2 steps'
told 'checking products' 3 1x3 2 ' after 2 steps'
told 'writing the trace' 2 1x2 4 ' after 2 steps' --trace=$out.trace
[ ! -e $out.trace ]
verdict $? 'and there is no trace'
told 'proof of overlap' 3 1x3 4 ' after 2 steps'
input=data:input
grep -q '^#define HAVE_JPEG 1' "$build/config.h" || input=
for case in 'block:one block' gemm:products coll:collectives 'cmm:collective matmul' \
    $input machine:machine; do
    told "${case#*:}" 3 1x3 0 '' --case="${case%%:*}" --steps=0
done
if [ -z "$input" ]; then
    n=$((n + 1))
    echo "ok $n - told in phase 'input' # SKIP this build has no JPEG"
fi

# A number that is none, in one rank's part of a tensor.
for mesh in 1x2 2x1; do
    VITBENCH_FAULT=nan:1
    export VITBENCH_FAULT
    run 2 $mesh
    unset VITBENCH_FAULT
    [ "$status" = 1 ] && grep -q 'is INVALID' $out &&
        tr -s '\n ' ' ' <$out | grep -q 'not finite, first in [A-Za-z]'
    verdict $? "a NaN on $mesh is seen, and its tensor named"
done
rm -f $out
echo "1..$n"
