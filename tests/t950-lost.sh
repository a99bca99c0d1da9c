#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Ranks that are lost in the middle of a run: killed, stopped, or told to end.  The job
# ends by itself and soon, its status and its last words say what happened, and nothing
# of it is left behind.
build=${top_builddir:-.}
ranks=4
program=$build/vitbench
shape='--shape=96/2/192/6 --image=42 --patch=14'
limit=60 # seconds that no job may last
if [ ! -x "$build/vitbench" ]; then
    echo "1..0 # SKIP vitbench is not built"
    exit 0
fi
folder=$(mktemp -d) || exit 99
n=0

# The processes of the ranks, which say who they are before they become vitbench.
pid_of() {
    cat "$folder/rank.$1" 2>/dev/null
}

is_left() {
    for file in "$folder"/rank.*; do
        pid=$(cat "$file" 2>/dev/null)
        [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && return 0
    done
    return 1
}

clean_up() {
    for file in "$folder"/rank.*; do
        pid=$(cat "$file" 2>/dev/null)
        [ -n "$pid" ] && kill -KILL "$pid" 2>/dev/null
    done
    [ -n "$job" ] && kill -KILL "$job" 2>/dev/null
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 99' HUP INT TERM

ok() {
    if [ $? -eq 0 ]; then verdict=ok; else verdict='not ok'; fi
    n=$((n + 1))
    echo "$verdict $n - $1"
    if [ "$verdict" != ok ]; then
        echo "# status $status after $seconds s"
        sed 's/^/# /' "$folder/out"
    fi
}

# start [OPTION ..]: far more steps than there is time for, and wait for the fifth.
start() {
    rm -f "$folder"/rank.* "$folder"/steps "$folder"/result
    timeout $limit "${MPIEXEC:-mpiexec}" -n $ranks sh -c '
        rank=${OMPI_COMM_WORLD_RANK:-${PMIX_RANK:-${PMI_RANK:-$SLURM_PROCID}}}
        echo $$ >"$0/rank.$rank"
        exec "$@"' "$folder" "$program" $shape --batch=4 --threads=1 --no-check \
        --steps=1000000 --jsonl="$folder/steps" --json="$folder/result" "$@" \
        </dev/null >"$folder/out" 2>&1 &
    job=$!
    tries=0
    until [ "$(wc -l 2>/dev/null <"$folder/steps")" -ge 5 ] 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || break
        sleep 0.1
    done
    began=$(date +%s)
}

# finish: leaves status and seconds.  A rank may outlive its job for a moment.
finish() {
    wait "$job"
    status=$?
    job=
    seconds=$(($(date +%s) - began))
    tries=0
    while is_left && [ $tries -lt 50 ]; do
        tries=$((tries + 1))
        sleep 0.1
    done
    is_left || rm -f "$folder"/rank.* # the numbers may be other processes' soon
}

# ended_by_itself: 'timeout' says 124, or 137 if it had to kill, which a killed rank does
# as well: hence the seconds.
ended_by_itself() {
    [ $status -ne 0 ] && [ $status -ne 124 ] && [ $seconds -lt $((limit - 35)) ]
}

# The guard's status; or, where Hydra has to kill the rank that is stopped, that of this.
hang_is_said() {
    [ $status -eq 3 ] || { [ $status -eq 9 ] && grep -q 'EXIT CODE: 9' "$folder/out"; }
}

# A rank that is gone.
for mesh in 1x4 4x1; do
    start --mesh=$mesh --stall-timeout=10
    kill -KILL "$(pid_of 1)"
    finish
    ended_by_itself
    ok "killed on $mesh: the job ends with a bad status"
    ! grep -q 'is VALID' "$folder/out"
    ok 'and no result is called valid'
    if grep -q 'EXIT STRING: Killed' "$folder/out"; then
        n=$((n + 1))
        echo "ok $n - and it is said that it was rank 1 # SKIP MPICH's mpiexec names no rank"
    else
        grep -Eqi 'rank 1([^0-9]|$)' "$folder/out"
        ok 'and it is said that it was rank 1'
    fi
    ! is_left
    ok 'and nothing is left'
done

# A rank that does not answer: each of the others says what it has waited for.
for mesh in 1x4 2x2; do
    start --mesh=$mesh --stall-timeout=5
    kill -STOP "$(pid_of 1)"
    finish
    ended_by_itself && hang_is_said
    ok "stopped on $mesh: the hang guard ends the job with status 3"
    grep 'nothing has moved for' "$folder/out" >"$folder/words"
    waits='5 seconds, in phase timed steps, waiting for [a-z_]+'
    for rank in 0 2 3; do
        [ "$(grep -Ec "rank $rank on .* $waits ((from|to) rank [0-3]|among ranks 0 to 3)$" \
            "$folder/words")" -eq 1 ]
        ok "and rank $rank says, once, in what phase it waits for whom"
    done
    [ "$(wc -l <"$folder/words")" -eq 3 ] &&
        grep -Eq '((from|to) rank 1|among ranks 0 to 3)$' "$folder/words"
    ok 'and the stopped one says nothing, but is waited for'
    ! is_left
    ok 'and nothing is left'
done

# A batch system that wants its nodes back tells one rank, or all of them.
for told in 2 '0 1 2 3'; do
    start --mesh=2x2
    for rank in $told; do
        kill -TERM "$(pid_of "$rank")"
    done
    finish
    [ $status -eq 3 ] && [ $seconds -lt 15 ]
    ok "SIGTERM to $told: status 3"
    grep -q '^Final Summary::.* INVALID, INCOMPLETE' "$folder/out"
    ok 'and the last line says INCOMPLETE'
    "$build/tests/schema_check" "${srcdir:-.}/bench/schema.json" "$folder/result" \
        >>"$folder/out" 2>&1 && grep -q 'INCOMPLETE' "$folder/result" &&
        grep -q '"exit_status": 3' "$folder/result"
    ok 'and so says the JSON, which obeys the schema'
    ! is_left
    ok 'and nothing is left'
done

# The same of messages that pass through the host's memory, from and to a GPU.
if [ -x "$build/tests/emu/vitbench" ]; then
    ranks=2
    program=$build/tests/emu/vitbench
    shape='--shape=16/1/32/2 --image=8 --patch=4 --classes=10'
    for mesh in 1x2 ${TEST_LONG:+2x1}; do
        start --device=cuda --dtype=f32 --tune=off --mesh=$mesh --stall-timeout=3
        kill -STOP "$(pid_of 1)"
        finish
        ended_by_itself && hang_is_said
        ok "stopped on $mesh with GPUs: the hang guard ends the job with status 3"
        grep -Eq "rank 0 on .* waiting for [a-z_]+ (from|to) rank 1$" \
            "$folder/out"
        ok 'and rank 0 says that it waits for rank 1'
        ! is_left
        ok 'and nothing is left'
    done
fi
echo "1..$n"
