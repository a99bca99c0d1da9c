#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Hosts that are lost in the middle of a run across a network: no cable, no power, no
# answer.  The job ends by itself, in time, with a bad status, and one line of ours at most
# says what was waited for.
hosts=2
rate=1gbit
# shellcheck source=tests/cluster_tap.sh
. "${srcdir:-.}/tests/cluster_tap.sh"
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
    timeout $limit mpirun -n 2 "$build/vitbench" --threads=1 --shape=96/2/192/6 \
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

for mesh in 1x2 2x1; do
    start --mesh=$mesh --stall-timeout=5
    ip -n switch link set port1 down
    ends $((5 + 2 + tcp + 10))
    [ "$(cat "$folder/words")" -eq 1 ] &&
        grep '^vitbench: rank 0 on host0: nothing has moved for 5 seconds' "$folder/out" |
        grep -Eq '((from|to) rank 1|among ranks)$'
    ok 'without its cable host1 is waited for, in one line'
    recover
done

start --mesh=1x2 --stall-timeout=300
ip -n switch link set port1 down
ends $((2 * tcp + 20))
[ "$(cat "$folder/words")" -le 1 ] &&
    grep -Eq 'is lost: it has not answered for|Connection timed out' "$folder/out"
ok 'long before the guard, what TCP knows ends it'
recover

# A rank that is stopped has a kernel that answers, for longer than TCP waits; and then it
# has not, where nothing but the question whether it lives is under way.
start --mesh=1x2 --stall-timeout=300
kill -STOP "$(rank_on host1)"
sleep $((tcp + 6))
kill -0 $job && ! grep -q '^vitbench: rank' "$folder/out"
ok 'a rank that is stopped is not taken for a lost host'
ip -n switch link set port1 down
began=$(date +%s)
ends $((2 * tcp + 20))
[ "$(cat "$folder/words")" -eq 1 ] &&
    grep -q '^vitbench: rank 0 on host0: the host at 10\.77\.0\.2 is lost' "$folder/out"
ok 'a host that is lost while nothing travels is missed, in one line'
recover

start --mesh=2x1 --stall-timeout=300
for pid in $(ip netns pids host1); do
    kill -KILL "$pid"
done
ends 20
[ "$(cat "$folder/words")" -le 1 ]
ok 'a host without power is missed at once'
recover

start --mesh=1x2 --stall-timeout=5
kill -STOP "$(rank_on host1)"
ends 20
[ $status -eq 3 ] && [ "$(cat "$folder/words")" -eq 1 ] &&
    grep '^vitbench: rank 0 on host0: ' "$folder/out" |
    grep -Eq ' waiting for [a-z_]+ (from|to) rank 1$'
ok 'a rank that is stopped is named by the other one'
recover
finish
