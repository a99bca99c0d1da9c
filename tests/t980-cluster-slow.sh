#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# RUN alone
# A rank that computes slowly is named with its host, in whatever mesh; ten runs in which
# none is slow name nobody.
hosts=2
rate=10gbit
# shellcheck source=tests/cluster_tap.sh
. "${srcdir:-.}/tests/cluster_tap.sh"
if [ "$(getconf _NPROCESSORS_ONLN)" -lt 2 ]; then
    skip_all 'two ranks need two cores'
fi

# In how many of five looks others were running, more than the cores can stand.
looks=0
for i in 1 2 3 4 5; do
    running=$(sed 's|.* \([0-9]*\)/.*|\1|' /proc/loadavg)
    [ "$running" -le 2 ] || looks=$((looks + 1))
    sleep 0.2
done
if [ $looks -ge 3 ]; then
    skip_all "the machine is busy ($running processes run): who is slow is chance"
fi

options='--shape=192/2/768/3 --patch=16 --batch=8 --no-check --seconds=0.01'

# run STEPS MESH [FAULT]
run() {
    VITBENCH_FAULT=$3
    export VITBENCH_FAULT
    # shellcheck disable=SC2086
    vitbench $options --steps="$1" --mesh="$2"
    unset VITBENCH_FAULT
}

for rank in 0 1; do
    for mesh in 1x2 2x1; do
        run 32 $mesh slow:$rank
        [ $status -eq 0 ] && grep -q "STRAGGLER *rank $rank on host$rank takes" "$folder/out"
        ok "rank $rank on host$rank, made slow, is named on $mesh"
        [ "$(grep -c STRAGGLER "$folder/out")" -eq 1 ]
        ok 'and the other one is not'
        note "$(grep -A 1 STRAGGLER "$folder/out" | tr -s ' \n' ' ')"
    done
done

# Host 1 has a core that two others use, too.
if command -v taskset >/dev/null; then
    taskset -c 1 sh -c 'while :; do :; done' &
    others=$!
    taskset -c 1 sh -c 'while :; do :; done' &
    others="$others $!"
    here="$build/vitbench --threads=1 $options --steps=32 --mesh=2x1"
    # shellcheck disable=SC2086
    mpirun -n 1 taskset -c 0 $here : -n 1 taskset -c 1 $here </dev/null >"$folder/out" 2>&1
    grep -q 'STRAGGLER *rank 1 on host1 takes' "$folder/out"
    ok 'a rank that gets a third of its core is named'
    # shellcheck disable=SC2086
    kill $others
else
    skip 'a rank that gets a third of its core is named' 'taskset is missing'
fi

for i in 1 2 3 4 5 6 7 8 9 10; do
    if [ $((i % 2)) -eq 0 ]; then mesh=1x2; else mesh=2x1; fi
    run 16 $mesh
    [ $status -eq 0 ] && ! grep -q STRAGGLER "$folder/out"
    ok "quiet run $i names nobody"
    note "$(grep '^  ranks' "$folder/out")"
done
finish
