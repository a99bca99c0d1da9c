#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Two hosts with a link of 1 Gbit/s: what a run says of its messages is what the network
# interfaces have sent, and overlap is measured, since there the cores move nothing.
# shellcheck disable=SC2016,SC2086
hosts=2
rate=1gbit
# shellcheck source=tests/cluster_tap.sh
. "${srcdir:-.}/tests/cluster_tap.sh"

# Bytes that each of the hosts has sent so far.
sent() {
    for host in host0 host1; do
        ip netns exec $host cat /sys/class/net/eth0/statistics/tx_bytes
    done | tr '\n' ' '
}

# pairs [OPTION ..]: vitbench with two ranks on every host.
pairs() {
    mpirun -n $((2 * hosts)) --map-by ppr:2:node --oversubscribe "$build/vitbench" \
        --threads=1 "$@" </dev/null >"$folder/out" 2>&1
    status=$?
}

# used COMMAND ..: bytes that a run has made each host send.
used() {
    before=$(sent)
    "$@"
    echo "$before $(sent)" | ${AWK:-awk} '{ print $3 - $1, $4 - $2 }'
}

model='--shape=384/2/1536/6 --patch=16 --batch=8'

# Two runs that differ by ten steps: all else that is sent cancels out; what tuning sends
# depends on what it times, so there is none.
for mesh in 1x2 2x1; do
    fixed="$model --mesh=$mesh --no-check --no-tune --warmup=1 --seconds=0.01"
    "$build/vitbench" --dry-run --ranks=2 $model --mesh=$mesh --json="$folder/plan" \
        >"$folder/out" 2>&1
    plan=$(json_after "$folder/plan" '{' bytes_per_step)
    ok "--dry-run plans a step on $mesh: $plan bytes a rank"
    few=$(used vitbench $fixed --steps=2) && [ -n "$few" ]
    ok 'a run crosses the link'
    many=$(used vitbench $fixed --steps=12)
    a_step=$(echo "$few $many" | ${AWK:-awk} '{ print ($3 - $1) / 10, ($4 - $2) / 10 }')
    for each in $a_step; do
        holds "$each >= $plan && $each <= 1.1 * $plan"
        ok "an interface has sent $each bytes a step: the plan, and headers"
    done
done

# Of two data ranks on a host each sends half of a group to the other and a quarter to the
# other host, which is a third of all and not, as round a ring, all that one of them sends.
fixed="$model --mesh=4x1 --no-check --no-tune --warmup=1 --seconds=0.01"
"$build/vitbench" --dry-run --ranks=4 $model --mesh=4x1 --json="$folder/plan" \
    >"$folder/out" 2>&1
plan=$(json_after "$folder/plan" '{' bytes_per_step)
few=$(used pairs $fixed --steps=2) many=$(used pairs $fixed --steps=12)
a_step=$(echo "$few $many" | ${AWK:-awk} '{ print ($3 - $1) / 10, ($4 - $2) / 10 }')
for each in $a_step; do
    holds "$each >= 2 / 3 * $plan && $each <= 1.1 * 2 / 3 * $plan"
    ok "with two ranks a host an interface sends $each bytes a step, of $plan a rank"
done
pairs $model --mesh=4x1 --steps=3 --seconds=0.5 --json="$folder/json"
[ $status -eq 0 ] && grep -q 'is VALID' "$folder/out" &&
    [ "$(json_after "$folder/json" '"mesh"' near)" -eq 2 ]
ok 'whose steps are right'

# Whole steps, with all checks; so many that one which something else disturbs does not make
# messages too small to tell.
vitbench $model --mesh=1x2 --steps=21 --seconds=2 --json="$folder/json"
[ $status -eq 0 ] && grep -q 'is VALID' "$folder/out" && grep -q 'host\[0-1\]' "$folder/out"
ok 'steps across the link are right'
grep -q '^  act_gather.* %' "$folder/out" && ! grep -q 'moved by the cores' "$folder/out"
ok 'and it is said which part of the messages was hidden'
note "$(grep '^  act_gather' "$folder/out")"
note "$(grep '^  act_scatter' "$folder/out")"

# Collective matmul alone: 1024 rows of 1152 columns, half of them on each host.
vitbench --case=cmm --shape=1152/1/4304/16 --batch=4 --mesh=1x2 --json="$folder/json"
[ $status -eq 0 ] && grep -q 'is VALID' "$folder/out"
ok 'collective matmuls across the link are right'
for way in gather scatter; do
    alone=$(json_after "$folder/json" "\"$way messages\"" seconds)
    least="(1024 * 576 * 4 / 125e6)"
    holds "$alone > 0.9 * $least"
    ok "the messages of a $way take what the link needs for them at least: $alone s"
    hidden=$(json_after "$folder/json" "\"$way ring\"" hidden)
    [ "$hidden" = null ] || holds "$hidden >= 0 && $hidden <= 1"
    ok "and of a ring's, a share is hidden, or it cannot be told: $hidden"
    [ "$hidden" = null ] || is_told=yes
    note "$way: plain $(json_after "$folder/json" "\"$way plain\"" seconds) s, ring $(
        json_after "$folder/json" "\"$way ring\"" seconds) s, products alone $(
        json_after "$folder/json" "\"$way products\"" seconds) s"
done
[ -n "$is_told" ]
ok 'one of them can be told'
finish
