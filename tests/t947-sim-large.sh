#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# RUN long
# vitbench-sim, large: 512 ranks of all 48 blocks of 22B send what a dry run counts, and the
# model's step is the simulated one within 5 %, for meshes of 128 ranks on two machines.
. "${srcdir:-.}/tests/tap.sh"
build=${top_builddir:-.}
[ -x "$build/vitbench-sim" ] || skip_all 'SimGrid is not part of this build'
machines=${srcdir:-.}/src/plan/machines

# large MACHINE RANKS OPTION..: simulated and planned.
large() {
    file=$machines/$1.json ranks=$2
    shift 2
    timeout 1200 "$build/vitbench-sim" --machine="$file" --ranks="$ranks" --shape=22B "$@" \
        --json="$folder/run" >"$folder/out" 2>&1 &&
        "$build/vitbench" --dry-run --machine="$file" --ranks="$ranks" --shape=22B "$@" \
            --json="$folder/dry" >"$folder/dry.out"
}

# sum MEMBER: of all kinds of messages of the run.
sum() {
    sed -n '/"comm"/,/"check"/s/.*"'"$1"'": \([0-9]*\).*/\1/p' "$folder/run" |
        awk '{ n += $1 } END { printf "%.0f\n", n }'
}

large h200 512 --overlap=ring &&
    [ "$(sum messages)" = "$(json_after "$folder/dry" messages_per_step messages_per_step)" ] &&
    [ "$(sum bytes)" = "$(json_after "$folder/dry" bytes_per_step bytes_per_step)" ]
ok '512 ranks of 22B send as many messages and bytes as a dry run counts'

for machine in h200 frontier; do
    for mesh in 128x1 64x2 32x4 16x8 8x16; do
        rm -f "$folder/run"
        large $machine 128 --layers=3 --batch=2048 --mesh=$mesh --overlap=ring
        simulated=$(json_after "$folder/run" '"steps"' median)
        model=$(json_after "$folder/dry" step_s step_s)
        holds "0 < $model && 0.95 * $simulated < $model && $model < 1.05 * $simulated"
        ok "$machine, $mesh: $model s by the model, $simulated s simulated"
    done
done
finish
