#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# What run.sh makes of a script: its verdicts, whatever shell and options its user has
# otherwise, and a failure where it ends badly or without its plan.
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
mkdir "$folder/tests"

# runs WORDS: a script of them, for one to whom SHELL is a program of another kind.
runs() {
    echo "$1" >"$folder/tests/t.sh"
    SHELL=/bin/false VITBENCH_STEPS=1 SLURM_JOB_ID=1 PBS_JOBID=1 SBATCH_QOS=1 TMPDIR="$folder/a blank" srcdir=$folder \
        sh "${srcdir:-.}/tests/run.sh" "$folder/tests/t.sh" >"$folder/out" 2>&1
}

# gave VERDICTS: "1 ok, 0 not ok"
gave() {
    [ "$(grep -c '^ok ' "$folder/out") ok, $(grep -c '^not ok ' "$folder/out") not ok" = "$1" ]
}

runs 'echo "ok 1 - it runs"; echo 1..1'
gave '1 ok, 0 not ok'
ok 'a script is run by sh'
runs 'echo "ok 1 - ${VITBENCH_STEPS:-as it is}${TMPDIR:-}"; echo 1..1'
grep -q '^ok 1 - as it is$' "$folder/out"
ok 'without options of its user, or a blank in TMPDIR'
runs 'echo "ok 1 - ${SLURM_JOB_ID:-${PBS_JOBID:-${SBATCH_QOS:-none}}}"; echo 1..1'
grep -q '^ok 1 - none$' "$folder/out"
ok 'nor is it the job that it may run in'
runs 'echo "ok 1 - it runs"; echo 1..1; exit 3'
gave '1 ok, 1 not ok' && grep -q 'exit status 3' "$folder/out"
ok 'one that ends with another status than 0 has failed'
runs 'echo "ok 1 - it runs"'
gave '1 ok, 1 not ok' && grep -q 'stopped without its plan' "$folder/out"
ok 'so has one that stops without its plan'
finish
