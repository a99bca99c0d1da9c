#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The job scripts without a batch system: PBS and the trainer are a few lines each, that
# do what a campaign needs of them.
# shellcheck disable=SC2154
build=$(cd "${top_builddir:-.}" && pwd)
tests=$(cd "${srcdir:-.}/tests" && pwd)
# shellcheck source=tests/tap.sh
. "$tests/tap.sh"
jobs=$build/jobs
export VIT_JOBS="$jobs" PATH="$folder/bin:$build:$PATH"
cd "$folder" || exit 99
mkdir bin

# script NAME: what is read becomes a command.
script() {
    {
        echo '#!/bin/sh'
        cat
    } >"bin/$1"
    chmod +x "bin/$1"
}

# ---- as they are -----------------------------------------------------------------------

for file in "$jobs"/*.sh "$jobs"/*.sbatch "$jobs"/*.pbs; do
    sh -n "$file" >out 2>&1 && ! grep -E '@[a-zA-Z]+@' "$file" >>out
    ok "${file##*/} is a script, with its paths filled in"
done
if command -v shellcheck >/dev/null; then
    shellcheck -s sh "$jobs"/*.sh "$jobs"/*.sbatch "$jobs"/*.pbs >out 2>&1
    ok 'shellcheck has nothing to say'
else
    skip 'shellcheck has nothing to say' 'it is missing'
fi

# As on a Cray.
(
    . "$jobs/launch.sh"
    vit_mpi=mpich vit_mpiexec='' SLURM_JOB_ID=1
    vit_launcher
) >out 2>&1
[ "$(cat out)" = srun ]
ok 'where MPI has no launcher of its own, srun starts the ranks'

# As a module command reads it.
if command -v tclsh >/dev/null; then
    cat >read.tcl <<'EOF'
foreach command {module-whatis conflict setenv prepend-path} {
    proc $command {args} "puts \"$command \$args\""
}
source $argv
EOF
    unset MANPATH
    tclsh read.tcl "$jobs/modulefile" >out 2>&1
    [ $? -eq 0 ] && grep -q '^prepend-path PATH /' out && ! grep -q MANPATH out
    ok 'the module leaves man its usual pages'
    MANPATH=/pages tclsh read.tcl "$jobs/modulefile" >out 2>&1
    [ $? -eq 0 ] && grep -q '^prepend-path MANPATH /' out
    ok 'and adds to those that were chosen'
else
    skip 'the module leaves man its usual pages' 'tclsh is missing'
fi

# The launcher says what it was told of cores.
for launcher in srun mpirun; do
    script $launcher <<'EOF'
[ "$1" = --mpi=list ] && echo 'plugins: pmix' && exit
echo "${0##*/} $1, ${SRUN_CPUS_PER_TASK:-none}, ${OMPI_MCA_hwloc_base_binding_policy:-bound}"
EOF
done
# with_cores CPUS RANKS: what srun and mpirun hear of the cores of a rank in a job.
with_cores() {
    (
        unset OMPI_MCA_hwloc_base_binding_policy PRTE_MCA_hwloc_default_binding_policy
        export SLURM_JOB_ID=1 SLURM_CPUS_PER_TASK="$1" SLURM_NTASKS="$2"
        . "$jobs/launch.sh"
        vit_mpi=openmpi
        launch vitbench
        VIT_LAUNCHER="mpirun -n $2"
        launch vitbench
    ) | tr '\n' ' ' >out
}
with_cores 2 1
[ "$(cat out)" = 'srun --mpi=pmix, 2, none mpirun -n, 2, none ' ]
ok 'both launchers let a rank of several cores have them'
with_cores 2 4 && grep -q 'mpirun -n, 2, bound' out && with_cores 1 2 &&
    [ "$(cat out)" = 'srun --mpi=pmix, none, bound mpirun -n, none, bound ' ]
ok 'and choose themselves where that is not needed'
(
    export SLURM_JOB_ID=1 SLURM_NNODES=3
    . "$jobs/launch.sh"
    vit_ranks
) >out 2>&1
[ "$(cat out)" = 3 ]
ok 'mpirun is told of a rank a node where sbatch was told of no tasks, as srun has it'
rm bin/srun bin/mpirun

# ---- PBS -------------------------------------------------------------------------------

# Four seconds of walltime on a clock that stands still, of which three are the notice: the
# one before lasts until the trainer listens, any other time for too long.  And qsub that
# remembers what it was given.
script qstat <<'EOF'
echo 'Job Id: 12.server'
echo '    Job_Name = run'
echo '    Account_Name = science'
echo '    Resource_List.place = scatter'
echo '    Resource_List.select = 8:ncpus=64:mpiprocs=64:mem=400gb+1:ncpus=2:mem=1'
printf '\tgb:mpiprocs=2\n'
echo '    Resource_List.walltime = 00:00:04'
echo '    project = _pbs_project_default'
EOF
script qsub <<'EOF'
echo "$@" >>qsubs
EOF
script date <<'EOF'
echo 1000
EOF
nap=$(command -v sleep)
script sleep <<EOF
case \$1 in
0.1) exec "$nap" 0.1 ;;
1) ;;
*) exec "$nap" 60 ;;
esac
tries=0
until [ -e listens ] || [ \$tries -ge 300 ]; do
    "$nap" 0.1
    tries=\$((tries + 1))
done
EOF
script vittrain <<'EOF'
echo "vittrain $*"
trap 'echo saved; exit 75' USR1 TERM
touch listens
tries=0
while [ $tries -lt 100 ] && [ -z "$is_done" ]; do
    tries=$((tries + 1))
    sleep 0.1
done
exit ${is_done:-9}
EOF
export PBS_JOBID=12.server PBS_JOBNAME=run PBS_O_WORKDIR="$folder" VIT_NOTICE=3
export VIT_LAUNCHER=env PBS_O_QUEUE=long
sh "$jobs/train.pbs" >out 2>&1
[ $? -eq 0 ] && grep -q 'vittrain --resume=auto --out=run' out && grep -q saved out
ok 'a PBS job is told before its end, and the trainer saves'
[ "$(cat qsubs)" = "-v VIT_RESTART=1,VIT_JOBS,VIT_LAUNCHER,VIT_NOTICE -N run -q long -l \
select=8:ncpus=64:mpiprocs=64:mem=400gb+1:ncpus=2:mem=1gb:mpiprocs=2 -l place=scatter -l \
walltime=00:00:04 -A science $jobs/train.pbs" ]
ok 'and the job is submitted again, with all that qsub was told'
rm -f listens
VIT_RESTART=4 VIT_RESTARTS=4 sh "$jobs/train.pbs" >out 2>&1
[ $? -eq 75 ] && grep -q 'started again 4 times' out && [ "$(wc -l <qsubs)" -eq 1 ]
ok 'but not for ever'
rm -f listens bin/sleep
export VIT_NOTICE=4 # all of its time: there is no timer
sh "$jobs/train.pbs" >out 2>&1 &
await 30 test -e listens
kill -TERM $!
wait $!
[ $? -eq 75 ] && grep -q 'not queued again' out && [ "$(wc -l <qsubs)" -eq 1 ]
ok 'nor when it is cancelled'
is_done=0 sh "$jobs/train.pbs" >out 2>&1
[ $? -eq 0 ] && [ "$(wc -l <qsubs)" -eq 1 ]
ok 'nor when it is done'
is_done=1 sh "$jobs/train.pbs" >out 2>&1
[ $? -eq 1 ] && [ "$(wc -l <qsubs)" -eq 1 ]
ok 'nor when it failed'
sed -i 's/= 00:00:04/= 01:00:00/' bin/qstat
script date <<'EOF'
echo >>asked
echo $((1000 * $(wc -l <asked)))
EOF
cat >two.pbs <<'EOF'
. "$VIT_JOBS/launch.sh"
launch true
launch true
launch true
launch vittrain
again $?
EOF
sh two.pbs >out 2>&1
[ $? -eq 0 ] && [ ! -s out ] && [ "$(wc -l <qsubs)" -eq 2 ]
ok 'the end is that of the job: what has no time before it waits for the next one'
rm bin/date
unset PBS_JOBID PBS_JOBNAME PBS_O_QUEUE PBS_O_WORKDIR VIT_NOTICE VIT_LAUNCHER

# ---- a campaign ------------------------------------------------------------------------

if [ ! -x "$build/vitfit" ]; then
    skip 'a campaign from plan to shape' 'vitfit is not built'
    finish
    exit
fi

# shellcheck source=tests/campaign_tap.sh
. "$tests/campaign_tap.sh"
make_trainer bin/vittrain
make_sweep sweep
export VIT_LAUNCHER=env VIT_LOCAL=yes
campaign() {
    sh "$jobs/campaign.sh" sweep >out 2>&1
    status=$?
}

touch sweep/slow
setsid sh "$jobs/campaign.sh" sweep >out 2>&1 &
has_begun_two() {
    [ "$(wc -l <sweep/begun)" -ge 2 ]
}
await 20 has_begun_two
kill -KILL $!
wait $! 2>/dev/null
rm sweep/slow
[ "$(wc -l <sweep/begun)" -le 3 ] && [ ! -e sweep/fit.json ]
ok 'a campaign is killed in its second run'
campaign
runs=$(wc -l <sweep/plan.jsonl)
[ $status -eq 0 ] && [ "$(grep -c '"done": *true' sweep/plan.jsonl)" -eq "$runs" ]
ok 'called again it takes all runs to their end'
[ "$(sort -u sweep/begun | wc -l)" -eq "$runs" ] &&
    [ "$(wc -l <sweep/begun)" -le $((runs + 1)) ]
ok 'but those that were done'
[ -s sweep/fit.json ] && [ -s sweep/shape.json ] && grep -q 'shape *--shape=' out
ok 'and ends with a law and a shape'
before=$(wc -l <sweep/begun)
mkdir -p elsewhere/sweep
export CDPATH="$folder/elsewhere"
campaign
unset CDPATH
[ $status -eq 0 ] && [ "$(wc -l <sweep/begun)" -eq "$before" ] && [ -s sweep/shape.json ]
ok 'once more, it runs nothing, nor looks for its folder in CDPATH'

# The last task of an array, which has the array's number, has a campaign of its own.
make_sweep inside
echo 60 >inside/slow
script scontrol <<'EOF'
echo "$@" >>"${0%/bin/*}/requeued"
EOF
export SLURM_JOB_ID=7 SLURM_ARRAY_JOB_ID=7 SLURM_ARRAY_TASK_ID=2
sh "$jobs/campaign.sh" inside >out 2>&1 &
await 40 test -s inside/begun
kill -TERM $!
wait $!
[ $? -eq 75 ] && grep -q saved inside/run-*.out && [ ! -e requeued ]
ok 'within a job it has its run saved, and the job is not queued again by that'
rm inside/slow
sh "$jobs/campaign.sh" inside >out 2>&1
[ $? -eq 0 ] && ! grep -q '"done": *false' inside/plan.jsonl &&
    [ "$(wc -l <inside/begun)" -eq $((runs + 1)) ]
ok 'nor does it take the number of its own task for those of its runs'
(
    unset VIT_LOCAL
    . "$jobs/launch.sh"
    again 75
) >out 2>&1
[ "$(cat requeued)" = 'requeue 7_2' ]
ok 'a job that is the last task of an array is queued again by itself'
unset SLURM_JOB_ID SLURM_ARRAY_JOB_ID SLURM_ARRAY_TASK_ID
rm bin/scontrol

# A job in another cluster, and a user whose squeue shows what runs.
make_sweep far
script sbatch <<'EOF'
echo 'Welcome!'
echo '12;north'
EOF
script squeue <<'EOF'
echo 'CLUSTER: north'
case "$* ${SQUEUE_STATES:-all}" in
*' -a -M north '*' all') ;;
*) exit ;;
esac
[ ! -e done ] || exit 0
touch done
for line in $(seq "$(wc -l <plan.jsonl)"); do
    sh array.sbatch "$line"
done >far.out 2>&1
echo 12
EOF
VIT_LOCAL=no VIT_POLL=0.1 SQUEUE_STATES=RUNNING sh "$jobs/campaign.sh" far >out 2>&1
[ $? -eq 0 ] && grep -q 'runs are in job 12;north' out && [ -s far/shape.json ]
ok 'a job is waited for in whatever cluster and partition it is'
rm bin/sbatch bin/squeue

make_sweep both
make_grid both
script unbound <<'EOF'
[ "$OMPI_MCA_hwloc_base_binding_policy" = none ] &&
    [ "$PRTE_MCA_hwloc_default_binding_policy" = none ] && [ "$I_MPI_PIN" = 0 ] ||
    touch is_bound
exec "$@"
EOF
(
    # To run.sh, none is bound.
    unset OMPI_MCA_hwloc_base_binding_policy PRTE_MCA_hwloc_default_binding_policy I_MPI_PIN
    VIT_LAUNCHER="$folder/bin/unbound" VIT_AT_ONCE=2 sh "$jobs/campaign.sh" both
) >out 2>&1
[ $? -eq 0 ] && grep -q '^x0 is 64/6/96' both/pareto.txt && [ -s both/joint.json ]
ok 'with a grid it finds x0, two runs at a time, and one law of all runs'
[ -z "$(find . -name is_bound)" ]
ok 'and no MPI binds them to the same cores'
[ "$(wc -l <both/trial/plan.jsonl)" -eq 6 ] && grep -q '^6 runs of 3 shapes' both/trial.txt &&
    grep -q '^From 64/6/96' both/shape.txt
ok 'and trains the shape that grows from it beside two others'
before=$(cat both/begun both/*/begun | wc -l)
VIT_AT_ONCE=2 sh "$jobs/campaign.sh" both >out 2>&1
[ $? -eq 0 ] && [ "$(cat both/begun both/*/begun | wc -l)" -eq "$before" ] &&
    [ "$before" -eq 42 ]
ok 'every run once, also when called again'

make_sweep small
make_grid small
rm small/trial.conf
sed -i 's/^steps.*/steps = 4000,8000/' small/sweep.conf
sh "$jobs/campaign.sh" small >out 2>&1
[ $? -eq 0 ] && grep -q 'the star has no law by itself' out && [ ! -e small/fit.json ] &&
    [ -s small/joint.json ] && [ -s small/shape.json ]
ok 'a star too small for a law of its own has one with the grid'

make_sweep again
echo 60 >again/slow
sh "$jobs/campaign.sh" again >out 2>&1 &
await 40 test -s again/begun
kill -TERM $!
wait $!
[ $? -eq 75 ] && grep -q 'called again it goes on' out && grep -q saved again/run-*.out
ok 'told to stop, it has the run saved, and ends with 75'
script vittrain <<'EOF'
exit 1
EOF
sh "$jobs/campaign.sh" again >out 2>&1
[ $? -eq 1 ] && grep -q 'runs are not done' out && [ ! -e again/fit.json ]
ok 'runs that fail are counted, and there is no law of the rest'
finish
