#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: desk.sh DIR [CONF]
#
# A whole campaign at desk scale in DIR, with the .conf files of the folder CONF (jobs/desk):
# under a Slurm of one node where root may have one, else right here, two runs at a time.
# The first call is killed, with what it had running, when some runs are done; the next
# one takes it to its end.  Called again it goes on with what is not done.
# Environment: top_builddir, srcdir.
build=$(cd "${top_builddir:-.}" && pwd)
source=$(cd "${srcdir:-.}" && pwd)
dir=$1
conf=${2:-$source/jobs/desk}
[ -n "$dir" ] || {
    echo 'desk.sh: give a folder' >&2
    exit 2
}
if [ "$VIT_LOCAL" != yes ] && [ "$3" != in-slurm ]; then
    mkdir -p "$dir" || exit
    dir=$(cd "$dir" && pwd)
    conf=$(cd "$conf" && pwd)
    if why=$(sh "$source/tests/slurm.sh" 2 true 2>&1); then
        exec sh "$source/tests/slurm.sh" 2 sh "$0" "$dir" "$conf" in-slurm
    fi
    echo "desk.sh: ${why:-no Slurm}: without one" >&2
    export VIT_LOCAL=yes
fi
export VIT_JOBS="$build/jobs" PATH="$build:$PATH" VIT_AT_ONCE=2
export VIT_SBATCH='--ntasks=1 --time=60' VIT_POLL=2
[ "$(id -u)" -ne 0 ] || export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1

mkdir -p "$dir" && cp "$conf"/*.conf "$dir" || exit
start=$(date +%s)

# done_runs: records so far.
done_runs() {
    cat "$dir"/records.jsonl "$dir"/*/records.jsonl 2>/dev/null | wc -l
}

if [ ! -e "$dir/killed" ]; then
    sh "$VIT_JOBS/campaign.sh" "$dir" &
    campaign=$!
    until [ "$(done_runs)" -ge 12 ] || ! kill -0 $campaign 2>/dev/null; do
        sleep 0.5
    done
    kill -KILL $campaign
    [ ! -s "$dir/grid/job" ] || scancel "$(cat "$dir/grid/job")"
    echo "desk.sh: killed after $(($(date +%s) - start)) s, $(done_runs) records"
    touch "$dir/killed"
fi
sh "$VIT_JOBS/campaign.sh" "$dir"
status=$?
echo "desk.sh: $(($(date +%s) - start)) s, $(done_runs) records, status $status"
exit $status
