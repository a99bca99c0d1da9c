# shellcheck shell=sh disable=SC2034,SC2154
# SPDX-License-Identifier: BSD-3-Clause
# What the tests on the cluster share.  Sourced with $hosts and $rate set: the script is
# started anew on host0 of such a cluster, or skipped.
build=${top_builddir:-.}
tests=$(cd "${srcdir:-.}/tests" && pwd)
if [ "$1" != on-host0 ]; then
    [ -x "$build/vitbench" ] || {
        echo '1..0 # SKIP vitbench is not built'
        exit 0
    }
    if ! why=$(sh "$tests/cluster.sh" "$hosts" "$rate" true 2>&1); then
        echo "1..0 # SKIP ${why:-no cluster}"
        exit 0
    fi
    exec sh "$tests/cluster.sh" "$hosts" "$rate" sh "$0" on-host0
fi
# shellcheck source=tests/tap.sh
. "$tests/tap.sh"

# vitbench [OPTION ..]: one rank of one thread on every host; leaves $status.
vitbench() {
    mpirun -n "$hosts" "$build/vitbench" --threads=1 "$@" </dev/null >"$folder/out" 2>&1
    status=$?
}
