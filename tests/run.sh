#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: run.sh TEST
# Run one test program or script and print its verdicts as one TAP stream.  The source of
# a program may say, near its top,
#
#   /* RUN np=1,2,4 [threads=2] [alone] [long] */
#
# and is then started by $MPIEXEC once for each count of ranks; a script says "# RUN ..".
# Tests marked 'long' are skipped unless $TEST_LONG is set.  One marked 'alone', for what it
# measures or for its many ranks, waits until no other runs, and others wait for it, where
# 'make -j' runs several at a time.  A run that takes longer than $TEST_TIMEOUT seconds
# (240; long ones ten times that) is ended, and has failed.
test=$1
name=$(basename "$test" .sh)
source=${srcdir:-.}/tests/$name.c
[ -f "$source" ] || source=${srcdir:-.}/tests/$name.sh
line=$(sed -n '1,20s/^.*RUN \(.*\)$/\1/p' "$source" | head -n 1)
limit=${TEST_TIMEOUT:-240}
counts=
sharing=-s
for word in $line; do
    case $word in
    np=*) counts=$(echo "${word#np=}" | tr ',' ' ') ;;
    threads=*) OMP_NUM_THREADS=${word#threads=} ;;
    alone) sharing=-x ;;
    long)
        if [ -z "$TEST_LONG" ]; then
            echo "1..0 # SKIP long: make check-long runs it"
            exit 0
        fi
        limit=$((limit * 10))
        ;;
    esac
done
if [ -n "$counts" ] && ! command -v "${MPIEXEC:-mpiexec}" >/dev/null 2>&1; then
    echo "1..0 # SKIP nothing here starts MPI programs (MPIEXEC=$MPIEXEC)"
    exit 0
fi

# Numbers have a point, whatever the user's language, and options are what tests say.  A
# job that this may be in is not the tests' job, to queue again or to spread ranks over.
export LC_ALL=C
for name in $(env | sed -n -E \
    's/^((VITBENCH|VIT|SLURM|SBATCH|SRUN|SQUEUE|PBS)_[A-Z0-9_]*)=.*/\1/p'); do
    unset "$name"
done
# Commands in files of tests are given as words: their folder has no blank.
case ${TMPDIR:-} in *[[:space:]]*) unset TMPDIR ;; esac

# Many ranks share few cores here, perhaps as root in a container.  Each MPI ignores the
# others' variables: OMPI_ is Open MPI's, PRTE_ of its launcher from 5.0 on, I_MPI_ Intel's.
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_mpi_yield_when_idle=1 OMPI_MCA_btl_base_warn_component_unused=0
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
export PRTE_MCA_hwloc_default_binding_policy=none
export I_MPI_PIN=0 I_MPI_THREAD_YIELD=3 I_MPI_THREAD_SLEEP=0
# Where there is no fabric Open MPI need not look for one: a quarter of a second a start.
[ -d /sys/class/infiniband ] || export OMPI_MCA_pml="${OMPI_MCA_pml-ob1}"
export OMP_WAIT_POLICY=passive OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

# One run: $1 ranks, or none for a plain start.  The status follows the output.
start() {
    case $test in
    *.sh) set -- "$1" sh "$test" ;;
    *) set -- "$1" "$test" ;;
    esac
    if [ -n "$1" ]; then
        set -- "$1" "${MPIEXEC:-mpiexec}" -n "$@"
    fi
    shift
    timeout -k 10 "$limit" "$@" </dev/null 2>&1 9>&-
    echo "run.sh: status $?"
}

# Whoever holds the lock runs; where nothing locks files, all do.
exec 9<"$0"
flock $sharing 9 2>/dev/null

# Number the verdicts through, name the ranks, and count a run that ended badly, or
# without its plan, as a failure.
for np in ${counts:-none}; do
    [ "$np" = none ] && np=
    echo "run.sh: np $np"
    start "$np"
done | ${AWK:-awk} -v limit="$limit" '
    function say(verdict, text) { print verdict " " ++n " - " prefix text }
    /^run.sh: np/ {
        prefix = NF > 2 ? "np=" $3 ": " : ""
        runs++
        failed = verdicts = skipped = 0
        plan = -1
        next
    }
    /^run.sh: status/ {
        if ($3 == 124)
            say("not ok", "ended after " limit " seconds")
        else if ($3 == 137)
            say("not ok", "killed, perhaps after " limit " seconds")
        else if (!skipped && $3 != 0 && !failed)
            say("not ok", "exit status " $3)
        else if (!skipped && plan != verdicts)
            say("not ok", plan < 0 ? "stopped without its plan" : \
                "gave " verdicts " verdicts of " plan)
        next
    }
    /^(not )?ok / {
        verdict = $0 ~ /^not/ ? "not ok" : "ok"
        failed += verdict == "not ok"
        verdicts++
        sub(/^(not )?ok *[0-9]* *-? */, "")
        say(verdict, $0)
        next
    }
    /^1\.\.0 # SKIP/ {
        skipped = 1
        reason = substr($0, 12)
        skips++
        next
    }
    /^1\.\.[0-9]+$/ { plan = substr($0, 4) + 0; next }
    { print }
    END {
        if (n == 0 && skips == runs)
            print "1..0 # SKIP" reason
        else
            print "1.." n + 0
    }'
