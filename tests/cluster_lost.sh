# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: BSD-3-Clause
# What the tests of hosts that are lost share: a run on the first $ranks hosts that would go
# on for long, and its end.  Sourced after cluster_tap.sh.
limit=120 # seconds that no job may last
tcp=14    # after which a packet that is not acknowledged breaks its connection

# The process of the rank on a host.
rank_on() {
    ip netns pids "$1" | while read -r pid; do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = vitbench ] && echo "$pid"
    done
}

# start [OPTION ..]: far more steps than there is time for, and wait for the fifth.
start() {
    rm -f "$folder/steps"
    timeout $limit mpirun -n "$ranks" "$build/vitbench" --threads=1 --shape=96/2/192/6 \
        --image=42 --patch=14 --batch=4 --no-check --steps=1000000 \
        --jsonl="$folder/steps" "$@" </dev/null >"$folder/out" 2>&1 &
    job=$!
    tries=0
    until [ "$(wc -l 2>/dev/null <"$folder/steps")" -ge 5 ] 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || break
        sleep 0.1
    done
    [ $tries -lt 300 ]
    ok "a run with $* is under way"
    began=$(date +%s)
}

# ends SECONDS: leaves $status, and tells the processes that are left.
ends() {
    wait $job
    status=$?
    seconds=$(($(date +%s) - began))
    [ $status -ne 0 ] && [ $status -ne 124 ] && [ $seconds -le "$1" ]
    ok "the job ends after $seconds of at most $1 seconds with status $status"
    grep -c '^vitbench: rank' "$folder/out" >"$folder/words"
    ! grep -q 'is VALID' "$folder/out"
    ok 'and is not VALID'
}

# Whatever the lost host still does is no more of anybody's concern.
recover() {
    for pid in $(ip netns pids host1); do
        kill -KILL "$pid" 2>/dev/null
    done
    ip -n switch link set port1 up
    sleep 1
    [ -z "$(rank_on host0)" ]
    ok 'nothing of it is left on the host that remains'
}
