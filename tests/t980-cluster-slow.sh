#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A rank that computes slowly is named with its host, in whatever mesh; ten runs in which
# none is slow name nobody.
hosts=2
rate=10gbit
# shellcheck source=tests/cluster_tap.sh
. "${srcdir:-.}/tests/cluster_tap.sh"
if [ "$(getconf _NPROCESSORS_ONLN)" -lt 2 ]; then
    skip_all 'two ranks need two cores'
fi

# run MESH [FAULT]
run() {
    VITBENCH_FAULT=$2
    export VITBENCH_FAULT
    vitbench --shape=192/2/768/3 --patch=16 --batch=8 --mesh="$1" --no-check \
        --steps=16 --seconds=0.01
    unset VITBENCH_FAULT
}

for rank in 0 1; do
    for mesh in 1x2 2x1; do
        run $mesh slow:$rank
        [ $status -eq 0 ] && grep -q "STRAGGLER *rank $rank on host$rank takes" "$folder/out"
        ok "rank $rank on host$rank, made slow, is named on $mesh"
        [ "$(grep -v '^vitbench:' "$folder/out" | grep -c ' takes ')" -eq 1 ]
        ok 'and the other one is not'
        note "$(grep -A 1 STRAGGLER "$folder/out" | tr -s ' \n' ' ')"
    done
done
for i in 1 2 3 4 5 6 7 8 9 10; do
    if [ $((i % 2)) -eq 0 ]; then mesh=1x2; else mesh=2x1; fi
    run $mesh
    [ $status -eq 0 ] && ! grep -q STRAGGLER "$folder/out"
    ok "quiet run $i names nobody"
    note "$(grep '^  ranks' "$folder/out")"
done
finish
