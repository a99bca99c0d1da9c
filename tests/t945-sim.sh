#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vitbench-sim: four simulated ranks post the messages of four real ones, in their order;
# a job of many ranks sends what a dry run counts; nothing depends on the values of what
# is not computed; more bandwidth is never slower; bad input ends with one sentence.
. "${srcdir:-.}/tests/tap.sh"
build=${top_builddir:-.}
[ -x "$build/vitbench-sim" ] || skip_all 'SimGrid is not part of this build'
machines=${srcdir:-.}/src/plan/machines
sim() {
    timeout 300 "$build/vitbench-sim" --machine="$machines/cpu-cluster.json" "$@" \
        >"$folder/out" 2>&1
}

# messages TRACE: "rank what bytes peer" of every message, in each rank's order by kind:
# how the kinds fall between each other is for the clock to say.
messages() {
    sed -n 's/.*"name":"\([a-z_]* [a-z]*\) .*"cat":"messages".*"pid":\([0-9]*\),.*"bytes":\([0-9]*\),"peer":\([0-9]*\),"order":\([0-9]*\).*/\2 \5 \1 \3 \4/p' \
        "$1" | sort -k1,1n -k3,3 -k2,2n | awk '{ print $1, $3, $4, $5, $6 }'
}

model='--shape=64/3/128/4 --image=32 --patch=8 --classes=10 --batch=8 --steps=1 --warmup=0'
for mesh in 4x1 1x4 2x2; do
    # shellcheck disable=SC2086
    timeout 100 "${MPIEXEC:-mpiexec}" -n 4 "$build/vitbench" $model --mesh=$mesh \
        --no-check --no-tune --overlap=ring --device=cpu:ref --progress=none \
        --seconds=0.1 --trace="$folder/real" >"$folder/out" 2>&1
    # shellcheck disable=SC2086
    sim --ranks=4 $model --mesh=$mesh --overlap=ring --trace="$folder/simulated"
    messages "$folder/real" >"$folder/real.txt"
    messages "$folder/simulated" >"$folder/simulated.txt"
    [ "$(wc -l <"$folder/real.txt")" -gt 40 ] &&
        cmp "$folder/real.txt" "$folder/simulated.txt" >>"$folder/out"
    ok "on $mesh the same messages are posted in the same order"
done

# What ranks read from the device that computes nothing are zeros, or, with this fault, any
# numbers: the operations, messages and waits of every rank stay as they are, to the last
# digit of their times.
for form in '2x2 ring adamw sigmoid' '4x1 ring adafactor softmax' '1x4 bidir sgd softmax' \
    '6x2 plain adafactor sigmoid'; do
    # shellcheck disable=SC2086
    set -- $form
    for seed in 0 1 2; do
        [ $seed -eq 0 ] || VITBENCH_FAULT=values:$seed
        export VITBENCH_FAULT
        # shellcheck disable=SC2086
        sim --ranks=$((${1%x*} * ${1#*x})) $model --batch=12 --mesh="$1" --overlap="$2" \
            --optimizer="$3" --loss="$4" --remat=block --micro-batches=2 --steps=2 \
            --trace="$folder/values$seed" --jsonl="$folder/steps$seed"
        unset VITBENCH_FAULT
    done
    [ "$(grep -c '"cat":"messages"' "$folder/values0")" -gt 100 ] &&
        cmp "$folder/values0" "$folder/values1" >>"$folder/out" &&
        cmp "$folder/values0" "$folder/values2" >>"$folder/out" &&
        ! cmp -s "$folder/steps0" "$folder/steps1" &&
        ! cmp -s "$folder/steps1" "$folder/steps2"
    ok "$1, $2, $3, $4: whatever the values, the same is done and sent at the same time"
done

# counts RANKS MESH SHAPE BATCH [OPTION ..]: what a simulated run sends is what a dry run
# counts.
counts() {
    run="--ranks=$1 --mesh=$2 --shape=$3 --batch=$4"
    shift 4
    # shellcheck disable=SC2086
    sim $model $run "$@" --json="$folder/run" &&
        "$build/vitbench" --dry-run $run --image=32 --patch=8 --classes=10 "$@" --no-tune \
            --machine="$machines/cpu-cluster.json" --json="$folder/dry" >"$folder/dry.out"
    for what in messages bytes; do
        sent=$(sed -n '/"comm"/,/"check"/s/.*"'$what'": \([0-9]*\).*/\1/p' "$folder/run" |
            awk '{ n += $1 } END { printf "%.0f\n", n }')
        [ "$sent" = "$(json_after "$folder/dry" ${what}_per_step ${what}_per_step)" ] || return 1
    done
}
counts 512 128x4 64/1/128/4 128
ok 'on 512 ranks as many messages and bytes are sent as a dry run counts'
counts 224 224x1 64/1/128/4 224
[ "$(json_after "$folder/run" '"mesh"' near)" -eq 56 ] &&
    [ "$(json_after "$folder/dry" '"mesh"' near)" -eq 56 ]
ok 'likewise where 56 data ranks of a node exchange first'
counts 24 8x3 64/1/128/4 32 --dtype=bf16 --ring-wire=f32 --grad-wire=bf16
ok 'in bf16 with other formats on the wire, too'
counts 96 16x6 192/2/384/6 32
ok 'and on 96, of uneven halves'
! grep -q '"host": "[^n]' "$folder/run" && grep -q '"host": "node[0-9]*"' "$folder/run"
ok 'slow ranks are on nodes of the model'
grep -q '"simulated": true' "$folder/run" && grep -q 'is SIMULATED' "$folder/out"
ok 'the result is marked as simulated'

# first TRACE: microseconds of the first slice that rank 0 receives.
first() {
    sed -n 's/.*"name":"act_gather from .*"pid":0,.*"dur":\([0-9.]*\),.*/\1/p' "$1" | head -1
}

# within FILE: messages in a node stay there, whatever lies outside; a step of half the
# images on half the ranks has the same first one.
within() {
    for ranks in 4 8; do
        timeout 100 "$build/vitbench-sim" --machine="$1" $model --batch=$((ranks * 64)) \
            --ranks=$ranks --mesh=$((ranks / 4))x4 --overlap=plain \
            --trace="$folder/nodes$ranks" >"$folder/out" 2>&1
    done
    one=$(first "$folder/nodes4") two=$(first "$folder/nodes8")
    holds "0 < $one && $one < 1.01 * $two && $two < 1.01 * $one"
}
sed 's/"ranks_per_node": [0-9]*/"ranks_per_node": 4/' "$machines/frontier.json" \
    >"$folder/lanes.json"
sed 's/"ranks_per_node": [0-9]*/"ranks_per_node": 4/
     s/"ranks_per_package": [0-9]*/"ranks_per_package": 2/' "$machines/cpu-cluster.json" \
    >"$folder/packages.json"
within "$folder/lanes.json"
ok 'a node with two lanes keeps its messages within'
within "$folder/packages.json"
ok 'so does one of two packages'

sed 's/"beta_s_per_byte": \([0-9.e-]*\)/"beta_s_per_byte": 1e-8/' \
    "$machines/cpu-cluster.json" >"$folder/slow.json"
fast=$(json_after "$folder/run" '"steps"' median)
timeout 100 "$build/vitbench-sim" --machine="$folder/slow.json" --ranks=96 $model \
    --shape=192/2/384/6 --mesh=16x6 --batch=32 --json="$folder/slow" >"$folder/out" 2>&1
slow=$(json_after "$folder/slow" '"steps"' median)
holds "$fast < $slow"
ok "slow links make slow steps: $fast s, $slow s"

# A simulated GPU holds what a planned one does, and no more than it has.
gpus="--machine=$machines/h200.json"
gpu="--ranks=8 --mesh=4x2 --shape=So400m --layers=2 --batch=64 --overlap=ring"
# shellcheck disable=SC2086
timeout 100 "$build/vitbench-sim" "$gpus" $gpu --json="$folder/run" >"$folder/out" 2>&1 &&
    "$build/vitbench" --dry-run "$gpus" $gpu --json="$folder/dry" >"$folder/dry.out"
held=$(json_after "$folder/run" '"memory"' predicted)
[ "$held" -gt 0 ] &&
    [ "$held" = "$(json_after "$folder/dry" bytes_per_rank bytes_per_rank)" ] &&
    [ "$(json_after "$folder/run" '"predicted": {' step_s)" = \
        "$(json_after "$folder/dry" step_s step_s)" ]
ok "of a GPU a simulation predicts what a dry run plans, $held bytes"
timeout 100 "$build/vitbench-sim" "$gpus" --shape=22B --batch=8 >"$folder/out" 2>&1
[ $? -eq 3 ] && grep -q 'not enough memory: 48 blocks .* 141.* GB' "$folder/out"
ok 'one of eight GPUs has its own memory, not all of a node'

# Who only waits can move all messages meanwhile, how many there may be at a time.
for busy in 0 1; do
    cat >"$folder/busy$busy.json" <<END
{ "name": "idle", "source": "made up", "nodes": 1, "ranks_per_node": 8, "cores": 8,
  "memory_bytes": 1000000000000, "peak": { "f32": 1e30 }, "mem_bw": 1e30, "kernels": [],
  "links": [ { "level": "core", "alpha_s": 0, "beta_s_per_byte": 1e-9, "busy": $busy } ],
  "topology": { "kind": "shared" }, "progress": "full" }
END
done
for form in '1x4 plain' '1x2 ring' '1x4 bidir'; do
    # shellcheck disable=SC2086
    set -- $form
    for busy in 0 1; do
        timeout 100 "$build/vitbench-sim" --machine="$folder/busy$busy.json" $model \
            --ranks=$((${1%x*} * ${1#*x})) --mesh="$1" --overlap="$2" \
            --json="$folder/busy" >"$folder/out" 2>&1
        eval "seconds$busy=$(json_after "$folder/busy" '"steps"' median)"
    done
    # shellcheck disable=SC2154
    holds "0 < $seconds0 && $seconds1 < 1.001 * $seconds0"
    ok "$form: cores that only wait move messages meanwhile, $seconds0 and $seconds1 s"
done

refuses() {
    words=$1
    shift
    sim "$@"
    [ $? -eq 2 ] && grep -q -- "$words" "$folder/out" &&
        [ "$(grep -c . "$folder/out")" -eq 1 ]
    ok "'$*' is refused in one sentence"
}
refuses 'only --case=step' --case=coll
refuses '--check' --check
refuses 'from 1 to' --ranks=0
refuses 'one device' --ranks=4 --device=cpu:ref
refuses 'cannot be --official' --ranks=4 --official
sim --machine=/nowhere.json
[ $? -eq 2 ] && grep -q '/nowhere.json cannot be read: No such file' "$folder/out"
ok 'a machine file that is missing is named'
sed 's/"op_s"/"ops"/' "$machines/cpu-cluster.json" >"$folder/misspelt.json"
for program in vitbench-sim 'vitbench --dry-run'; do
    # shellcheck disable=SC2086
    "$build"/$program --ranks=4 --machine="$folder/misspelt.json" >"$folder/out" 2>&1
    [ $? -eq 2 ] && grep -q "'ops' is unknown" "$folder/out" &&
        [ "$(grep -c . "$folder/out")" -eq 1 ]
    ok "a field of a machine file that $program does not know is refused"
done
mkdir "$folder/a blank"
# shellcheck disable=SC2086
TMPDIR="$folder/a blank" sim --ranks=4 $model --mesh=2x2 --trace="$folder/blank" &&
    grep -q '"cat":"messages"' "$folder/blank"
ok 'temporary files may belong into a folder with a blank in its name'
# A simulation of minutes, told to end.
mkdir "$folder/tmp"
has_options() {
    ls "$folder"/tmp/*/options
}
for signal in HUP TERM USR1; do
    TMPDIR=$folder/tmp "$build/vitbench-sim" --machine="$machines/h200.json" --shape=22B \
        --ranks=512 --batch=4096 --steps=100 >"$folder/out" 2>&1 &
    await 10 has_options
    sleep 0.5
    kill -$signal $!
    wait $!
    [ $? -eq 3 ] && [ -z "$(ls "$folder/tmp")" ]
    ok "$signal ends a simulation with 3, and leaves nothing"
done
"$build/vitbench-sim" --help >"$folder/out" && grep -q -- '--ranks' "$folder/out"
ok '--help says what there is'
tr -s '\n ' ' ' <"$folder/out" | grep -q 'one rank of cpu-cluster, and one step without' &&
    VIT_MACHINES=$machines "$build/vitbench-sim" --shape=mu --image=32 --patch=8 \
        --batch=8 >"$folder/out" 2>&1 &&
    grep -q 'steps  *1 after 0 warm-up' "$folder/out" &&
    grep -q '1 simulated node of cpu-cluster, 1 rank' "$folder/out"
ok 'and so it is, where nothing else is asked for'
! readelf -d "$build/vitbench-ranks" 2>/dev/null |
    grep -E 'libmpi|libhdf5|libblis|scalapack|dnnl' >"$folder/out"
ok 'simulated ranks are linked without MPI, HDF5, BLIS, ScaLAPACK, oneDNN'
finish
