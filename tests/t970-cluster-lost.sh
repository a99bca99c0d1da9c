#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Hosts that are lost in the middle of a run across a network, the launcher's too: no
# cable, no power, no answer.  The job ends by itself, in time, with a bad status, and one line of ours at most
# says what was waited for.
hosts=2
rate=1gbit
# shellcheck source=tests/cluster_tap.sh
. "${srcdir:-.}/tests/cluster_tap.sh"
# shellcheck source=tests/cluster_lost.sh
. "$tests/cluster_lost.sh"
ranks=2

for mesh in 1x2 2x1; do
    start --mesh=$mesh --stall-timeout=5
    ip -n switch link set port1 down
    ends $((5 + 2 + tcp + 10))
    [ "$(cat "$folder/words")" -eq 1 ] &&
        grep '^vitbench: rank 0 on host0: nothing has moved for 5 seconds' "$folder/out" |
        grep -Eq ' (from|to) rank 1$'
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
note "$(grep '^vitbench: rank' "$folder/out")"
recover

# The launcher's own host: nobody is left to end the ranks elsewhere but themselves.
gone() {
    while [ -n "$(rank_on host1)" ] && [ $(($(date +%s) - began)) -le "$1" ]; do
        sleep 0.5
    done
    seconds=$(($(date +%s) - began))
    [ -z "$(rank_on host1)" ]
    ok "the rank on host1 has ended after $seconds of at most $1 seconds"
}

start --mesh=1x2 --stall-timeout=300
ip -n switch link set port0 down
began=$(date +%s)
gone $((2 * tcp + 20))
ends $((2 * tcp + 20 + tcp))
ip -n switch link set port0 up
recover

start --mesh=2x1 --stall-timeout=300
ip -n switch link set port0 down
for pid in $(ps -o pid= --ppid "$job") $(rank_on host0) "$job"; do
    kill -KILL "$pid" 2>/dev/null
done
wait "$job" 2>/dev/null
began=$(date +%s)
gone $((2 * tcp + 20))
ip -n switch link set port0 up
recover
finish
