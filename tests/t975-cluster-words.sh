#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A host that several others miss at once: one rank says so, in one line, and the job ends.
hosts=4
rate=1gbit
# shellcheck source=tests/cluster_tap.sh
. "${srcdir:-.}/tests/cluster_tap.sh"
# shellcheck source=tests/cluster_lost.sh
. "$tests/cluster_lost.sh"
ranks=4

for mesh in 2x2 1x4 4x1; do
    start --mesh=$mesh --stall-timeout=300
    ip -n switch link set port1 down
    ends $((2 * tcp + 20))
    [ "$(cat "$folder/words")" -eq 1 ] &&
        grep -q 'the host at 10\.77\.0\.2 is lost' "$folder/out"
    ok 'of three ranks that miss a host one says so'
    recover
done
finish
