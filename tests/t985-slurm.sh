#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The job scripts of jobs/ under a Slurm of one node: they find their launcher, pass
# options, results and signals on, and are queued again when there is more to do.
# shellcheck disable=SC2154,SC2181
build=$(cd "${top_builddir:-.}" && pwd)
tests=$(cd "${srcdir:-.}/tests" && pwd)
if [ "$1" != in-slurm ]; then
    [ -x "$build/vitbench" ] || {
        echo '1..0 # SKIP vitbench is not built'
        exit 0
    }
    if ! why=$(sh "$tests/slurm.sh" 2 true 2>&1); then
        echo "1..0 # SKIP ${why:-no Slurm}"
        exit 0
    fi
    exec sh "$tests/slurm.sh" 2 sh "$0" in-slurm
fi
# shellcheck source=tests/tap.sh
. "$tests/tap.sh"
jobs=$build/jobs
export VIT_JOBS="$jobs" PATH="$folder/bin:$build:$PATH"
unset TMPDIR
cd "$folder" || exit 99
mkdir bin

# A trainer that needs two goes: told to stop, it saves and ends with 75; what it finds
# saved it takes to its end.
cat >bin/vittrain <<'EOF'
#!/bin/sh
echo "vittrain $*"
trap 'echo saved; echo half >state; exit 75' USR1
[ -f state ] && echo "goes on from $(cat state)" && exit 0
echo begun >>log
tries=0
while [ $tries -lt 600 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
exit 9
EOF
chmod +x bin/vittrain

# submit SCRIPT OPTION ..: with sbatch's options before; leaves $job.
submit() {
    : >out
    job=$(sbatch --parsable --output=out --time=5 "$@" 2>err)
    [ -n "$job" ] || cat err >>out
}

# field NAME: of what Slurm says of the job.
field() {
    scontrol show job "$job" 2>/dev/null | tr ' ' '\n' | sed -n "s/^$1=//p" | head -n 1
}

# becomes STATE [SECONDS]
becomes() {
    tries=0
    until [ "$(field JobState)" = "$1" ]; do
        tries=$((tries + 1))
        [ $tries -lt $((${2:-60} * 5)) ] || return 1
        sleep 0.2
    done
}

# says WORDS: the job, within a while.
says() {
    await 30 grep -- "$1" out
}

tiny='--shape=mu --mesh=2x1 --batch=4 --steps=2 --threads=1 --no-check'
endless='--shape=mu --mesh=2x1 --batch=4 --steps=1000000 --threads=1 --no-check
    --progress-report=0.5'

for launcher in '' "${MPIEXEC:-mpirun} -n 2"; do
    export VIT_LAUNCHER="$launcher"
    by=${launcher:-srun}
    # shellcheck disable=SC2086
    submit "$jobs/bench.sbatch" $tiny
    becomes COMPLETED && grep -q '= 2 ranks' out && grep -q '^Final Summary' out
    ok "the benchmark runs on two ranks by $by"
    grep -q '"exit_status": 0' "vitbench-$job.json"
    ok 'and leaves its JSON'
    submit "$jobs/bench.sbatch" --shape=none
    becomes FAILED && [ "$(field ExitCode)" = 2:0 ]
    ok 'a wrong option ends the job with 2'
    # shellcheck disable=SC2086
    submit "$jobs/bench.sbatch" $endless
    says 'step [0-9]* of about' && scancel --signal=USR1 --batch "$job"
    becomes FAILED && grep -q 'INVALID, INCOMPLETE' out && [ "$(field ExitCode)" = 3:0 ]
    ok 'a signal to the script reaches the ranks, which write what they have'
done
unset VIT_LAUNCHER

# shellcheck disable=SC2086
submit --time=1 --signal=B:USR1@40 "$jobs/bench.sbatch" $endless
says 'step [0-9]* of about' && {
    ! srun --mpi=list 2>&1 | grep -q pmix || ls -d /run/slurm/spmix_appdir_* >listed
}
ok 'a step has its folders where they go with this Slurm, even if it is killed'
becomes FAILED 100 && grep -q 'INVALID, INCOMPLETE' out && [ "$(field ExitCode)" = 3:0 ]
ok 'the signal before the end of the allocation reaches the ranks, too'

cat >bare.sbatch <<EOF
#!/bin/sh
PATH=$build:\$PATH
. "$jobs/launch.sh"
launch vitbench $tiny
EOF
submit --export=NONE --ntasks=2 bare.sbatch
becomes COMPLETED && grep -q '^Final Summary' out
ok 'srun has the environment of the script, of whatever sbatch has let in'

for launcher in '' "${MPIEXEC:-mpirun} -n 1"; do
    export VIT_LAUNCHER="$launcher"
    rm -f state log
    submit --ntasks-per-node=1 "$jobs/train.sbatch" --out=run --steps=10
    says 'vittrain --resume=auto --out=run --steps=10'
    ok "the trainer is started by ${launcher:-srun}"
    await 10 test -s log
    scancel --signal=USR1 --batch "$job"
    says saved && says 'goes on from half' && becomes COMPLETED
    ok 'told to stop, it saves, is queued again, and goes on to its end'
    [ "$(field Restarts)" = 1 ] && [ "$(wc -l <log)" -eq 1 ]
    ok 'all in one job, whose output was kept'
done
rm -f state log
VIT_RESTARTS=0 submit --ntasks-per-node=1 "$jobs/train.sbatch" --out=run
says vittrain && sleep 1 && scancel --signal=USR1 --batch "$job"
becomes FAILED && [ "$(field ExitCode)" = 75:0 ]
ok 'a job that may not start again ends with 75'

# An array, of which the last task has the array's own number.
cat >array.sbatch <<'EOF'
#!/bin/sh
#SBATCH --requeue
#SBATCH --open-mode=append
. "$VIT_JOBS/launch.sh"
cd "task$SLURM_ARRAY_TASK_ID" || exit
launch vittrain
again $?
EOF
rm -f task*
mkdir task1 task2
VIT_LAUNCHER='env' submit --array=1-2 --ntasks=1 array.sbatch
await 60 test -s task1/log
await 60 test -s task2/log
array=$job
job=${array}_2
scancel --signal=USR1 --batch "$job"
says 'goes on from half' && becomes COMPLETED && [ "$(field Restarts)" = 1 ]
ok 'the last task of an array saves, is queued again, and goes on'
job=${array}_1
[ "$(field Restarts)" = 0 ] && [ "$(wc -l <task1/log)" -eq 1 ]
ok 'while the other task is left at work'
scancel "$array"

# The trainer itself.
unset VIT_LAUNCHER
rm bin/vittrain
if [ -x "$build/vittrain" ]; then
    submit "$jobs/train.sbatch" --shape=mu --image=32 --patch=8 --classes=10 --batch=8 \
        --data=noise --steps=1000000 --threads=1 --mesh=2x1 --out=real --log-every=5
    says '^step 10/' && scancel --signal=USR1 --batch "$job"
    says 'goes on *from real/ckpt-0'
    ok 'vittrain saves, is queued again, and goes on from there'
    [ "$(field Restarts)" = 1 ] && ls real/ckpt-*.h5 >/dev/null
    ok 'in the same job'
    scancel "$job"
    becomes CANCELLED
    ok 'and can be cancelled'
else
    skip 'vittrain saves, is queued again, and goes on from there' 'it is not built'
fi

# A campaign, whose runs are the tasks of an array.
if [ ! -x "$build/vitfit" ]; then
    skip 'a campaign as an array' 'vitfit is not built'
    finish
    exit
fi
# shellcheck source=tests/campaign_tap.sh
. "$tests/campaign_tap.sh"
make_trainer bin/vittrain
make_sweep sweep
touch sweep/slow
export VIT_POLL=0.5 VIT_SBATCH='--time=30 --ntasks=1'
sh "$jobs/campaign.sh" sweep >out 2>&1 &
await 20 test -s sweep/begun
kill -KILL $!
wait $! 2>/dev/null
first=$(cat sweep/job)
ok "a campaign is killed while its array, job $first, is at work"
rm sweep/slow
# Slurm answers every other time only, as one that is busy does.
cat >bin/squeue <<EOF
#!/bin/sh
echo >>$folder/asked
[ \$((\$(wc -l <$folder/asked) % 2)) -eq 0 ] || exit 1
exec $(command -v squeue) "\$@"
EOF
chmod +x bin/squeue
sh "$jobs/campaign.sh" sweep >out 2>&1
[ $? -eq 0 ] && grep -q "runs are in job $first$" out &&
    ! grep -q '"done": *false' sweep/plan.jsonl
ok 'called again it waits for that one, and where Slurm does not answer it asks again'
[ "$(sort sweep/begun | uniq -d | wc -l)" -eq 0 ] && grep -q 'shape *--shape=' out
ok 'and ends with a shape, no run done twice'
finish
