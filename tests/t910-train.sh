#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vittrain, whole runs: bad options, a run that was cut off ends as if it had not been,
# signals and the clock, forks, a loss that is not finite.
train=${top_builddir:-.}/vittrain
mpiexec=${MPIEXEC:-mpiexec}
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
[ -x "$train" ] || skip_all 'this build has no vittrain'
command -v "$mpiexec" >/dev/null 2>&1 ||
    skip_all "nothing here starts MPI programs (MPIEXEC=$mpiexec)"

# run RANKS ARGUMENT..: leaves out, err, and the status of every rank, sorted, in status;
# the ranks' process numbers in pids.
run() {
    ranks=$1
    shift
    : >"$folder/pids"
    "$mpiexec" -n "$ranks" sh -c 'pids=$1; shift; "$@" & echo $! >>"$pids"
        wait $!; echo "::$?" >&2' \
        sh "$folder/pids" "$train" "$@" >"$folder/out" 2>"$folder/all" </dev/null
    sed -n 's/^::\(.*\)/\1/p' "$folder/all" | sort | tr '\n' ' ' >"$folder/status"
    grep '^vittrain' "$folder/all" >"$folder/err"
}

status_is() {
    [ "$(cat "$folder/status")" = "$1" ]
}

said() {
    [ "$(wc -l <"$folder/err")" -eq 1 ] && grep -q -- "$1" "$folder/err"
}

refused() {
    words=$1
    shift
    run 2 "$@"
    status_is '2 2 ' && said "$words"
    ok "$* ends with 2 and says .. $words .."
}

refused 'did you mean --shape' --shap=B
refused 'too small for 2 data ranks' --shape=mu --batch=1 --mesh=2x1
refused 'is for 4 ranks' --shape=mu --mesh=2x2
refused 'is no HDF5 file' --shape=mu --data="$0"
refused 'none.h5 cannot be read' --shape=mu --data="$folder/none.h5"
refused 'holdout=fractal holds the images that are trained on' --shape=mu --holdout=fractal
refused 'same file' --shape=mu --jsonl="$folder/one" --records="$folder/one"
refused 'same file' --shape=mu --out="$folder" --json="$folder/log.jsonl"
refused 'measures no machine' --shape=mu --machine-out="$folder/machine.json"
[ "$($train --help | awk 'length > 80' | wc -l)" -eq 0 ]
ok 'the help is 80 columns wide'

# A model so small that a step takes a few milliseconds.
model='--shape=32/2/64/2 --image=16 --patch=4 --classes=8 --batch=8 --lr=3e-3'

run 2 $model --batch=1 --steps=1
status_is '0 0 ' && grep -q 'mesh 1x2' "$folder/out"
ok 'one image goes onto two model ranks'

# What timing chose is taken over on the same mesh, and chosen anew on another.
unfolded() {
    tr -s '\n ' ' ' <"$folder/out"
}
tuned() {
    unfolded | sed -n 's/.* tuned \(progress [^;]*; \(now\|as before\|anew\)\).*/\1/p'
}
run 2 $model --mesh=1x2 --tune --steps=2 --out="$folder/tuned"
[ "$(grep -v "$folder" "$folder/out" | awk 'length > 80' | wc -l)" -eq 0 ] &&
    grep -q '^step 2/2 ' "$folder/out" && grep -q '^ *loss  *lr  *norm ' "$folder/out"
ok 'its lines are 80 columns wide, those of steps a table'
first=$(tuned)
run 2 $model --mesh=1x2 --tune --steps=3 --out="$folder/tuned"
[ "${first##*; }" = now ] && [ "$(tuned)" = "${first%now}as before" ]
ok 'a run that goes on takes over what timing chose'
! grep -q 'last bits' "$folder/out"
ok 'and says nothing of other bits'
run 2 $model --mesh=1x2 --progress=none --tune --steps=3 --out="$folder/tuned"
tuned | grep -q '^progress none, .*; as before$'
ok 'but for what it is told to do otherwise'
run 2 $model --mesh=2x1 --tune --steps=4 --out="$folder/tuned"
tuned | grep -q '; anew$'
ok 'and not onto another mesh'
unfolded | grep -qF 'last bits may be others than without the stop: mesh 1x2 (now 2x1), data ranks of a node 1 (now 2)'
ok 'where it says what may change the last bits'

run 1 $model --dtype=f64 --device=cpu:ref --steps=1 --out="$folder/f64"
run 1 $model --dtype=f64 --device=cpu:ref --steps=2 --out="$folder/f64"
status_is '0 ' && unfolded | grep -q 'last bits .*: checkpoints round f64 to f32'
ok 'f64 does not go on with its last bits'

# A set says how many classes it has, also to a run whose options come from a file.
for set in one two; do
    for class in a $set z; do
        mkdir -p "$folder/$set/$class"
        cp "${srcdir:-.}/tests/data/bars.png" "$folder/$set/$class/1.png"
        cp "${srcdir:-.}/tests/data/bars-grey.png" "$folder/$set/$class/2.png"
    done
    "${train%vittrain}vitdata" pack "$folder/$set.h5" --from="$folder/$set" >/dev/null 2>&1
done
if [ -f "$folder/two.h5" ]; then
    packed="--data=$folder/one.h5 --shape=mu --image=32 --batch=4 --steps=1"
    run 1 $packed --print-config
    cp "$folder/out" "$folder/printed"
    run 1 --config="$folder/printed"
    status_is '0 ' && unfolded | grep -q ' 3 classes, batch 4'
    ok 'printed options make the same run'
    refused 'class 1 is one in .*, and two in ' $packed --holdout="$folder/two.h5"
    ln -s one.h5 "$folder/same.h5"
    refused 'same.h5 holds the images that are trained on' $packed --holdout="$folder/same.h5"
    run 2 $packed --out="$folder/packed"
    run 2 $packed --steps=2 --out="$folder/packed"
    status_is '0 0 '
    ok 'a run goes on with its set'
    "${train%vittrain}vitckpt" list "$folder/packed/ckpt-00000002.h5" >"$folder/out" 2>&1 &&
        grep -q '^  --classes=3$' "$folder/out" &&
        grep -q '^  set [0-9a-f]\{16\}$' "$folder/out"
    ok 'and its checkpoint is listed with the classes of the set, and its digest'
    run 1 $packed --init="$folder/packed"
    grep -c 'held out here' "$folder/err" >"$folder/seen"
    run 2 $packed --init="$folder/packed" --holdout=0.4
    grep -c 'packed was trained on images that are held out here' "$folder/err" >>"$folder/seen"
    run 1 $packed --init="$folder/packed" --data=fractal --classes=3
    grep -c 'held out here' "$folder/err" >>"$folder/seen"
    run 1 $packed --init="$folder/packed" --holdout="$folder/one.h5" --data=fractal --classes=3
    grep -c 'held out here' "$folder/err" >>"$folder/seen"
    [ "$(paste -s -d ' ' "$folder/seen")" = '0 1 0 1' ]
    ok 'what is held out is told where --init has seen it'
    mv "$folder/one/z/2.png" "$folder/one/z/0.png"
    "${train%vittrain}vitdata" pack "$folder/one.h5" --from="$folder/one" >/dev/null 2>&1
    refused 'holds other images than in the run that is to go on' $packed --steps=3 \
        --out="$folder/packed"
    cp "$folder/one.h5" "$folder/apart.h5"
    apart="--data=fractal --classes=3 --shape=mu --image=32 --batch=4 --holdout=$folder/apart.h5"
    run 1 $apart --steps=1 --out="$folder/apart"
    mv "$folder/one/z/0.png" "$folder/one/z/3.png"
    "${train%vittrain}vitdata" pack "$folder/apart.h5" --from="$folder/one" >/dev/null 2>&1
    refused 'holdout=.*apart.h5 holds other images than in the run' $apart --steps=2 \
        --out="$folder/apart"
else
    skip 'printed options make the same run' 'vitdata packs no PNG files here'
fi

# What must not depend on interruptions: losses and norms of the last 50 steps, with the
# 17 digits that tell all bits.
curve() {
    sed -n 's/^{"step":\([0-9]*\),.*"loss":\([^,]*\),.*"grad_norm":\([^,]*\),.*/\1 \2 \3/p' \
        "$1" | tail -n 50
}

# cut_off MESH OPTION..: a run, and the same once more from its step 20 on.
cut_off() {
    mesh=$1
    shift
    rm -rf "$folder/whole" "$folder/cut"
    run 2 $long "$@" --mesh="$mesh" --out="$folder/whole"
    status_is '0 0 ' && [ "$(curve "$folder/whole/log.jsonl" | wc -l)" -eq 50 ]
    ok "$*: a run of 70 steps on $mesh"
    mkdir "$folder/cut"
    cp "$folder/whole/ckpt-00000020.h5" "$folder/cut/"
    run 2 $long "$@" --mesh="$mesh" --out="$folder/cut"
    curve "$folder/whole/log.jsonl" >"$folder/a"
    curve "$folder/cut/log.jsonl" >"$folder/b"
    status_is '0 0 ' && cmp -s "$folder/a" "$folder/b"
    ok "gone on from step 20, the same losses and norms to the last bit"
}

long="$model --steps=70 --log-every=1 --mixup=0.3 --save-every=5 --keep=0"
cut_off 1x2 --optimizer=adamw
cut_off 2x1 --optimizer=adafactor --param-shard=full
rm -rf "$folder/cut/"ckpt-000000[3-7]*
run 1 $long --optimizer=adafactor --param-shard=none --out="$folder/cut"
curve "$folder/cut/log.jsonl" >"$folder/b"
status_is '0 ' && paste -d ' ' "$folder/a" "$folder/b" | awk '
    $1 != $4 || ($2 - $5) ^ 2 > 1e-6 * $2 ^ 2 { exit 1 } END { exit NR != 50 }'
ok 'on one rank, with all parameters whole, it is the same run'
rm -rf "$folder/whole" "$folder/cut"

run 2 $model --steps=30 --log-every=1 --jsonl="$folder/plain.jsonl" --mesh=2x1
run 2 $model --steps=30 --log-every=1 --mesh=2x1 --cooldown-at=10,20 --id=T --out="$folder/trunk" \
    --records="$folder/records" --trace="$folder/trace" --progress-report=1e-6 \
    --json="$folder/two.json"
curve "$folder/plain.jsonl" >"$folder/a"
grep -v '"fork"' "$folder/trunk/log.jsonl" >"$folder/trunk.jsonl"
curve "$folder/trunk.jsonl" >"$folder/b"
status_is '0 0 ' && [ "$(wc -l <"$folder/a")" -eq 30 ] && cmp -s "$folder/a" "$folder/b"
ok 'forks leave their trunk as it was'
[ -f "$folder/trunk/fork-10/ckpt-00000013.h5" ] &&
    [ -f "$folder/trunk/fork-20/ckpt-00000023.h5" ] &&
    [ "$(sed 's/.*"id": *"\([^"]*\)".*/\1/' "$folder/records" | tr '\n' ' ')" = \
        'T.10 T.20 T ' ]
ok 'and end in folders and records of their own'
grep -q '^step 3  traced in ' "$folder/out" && grep -q '"name":"gemm' "$folder/trace"
ok 'a traced step leaves the run as it was, and a time line'
grep -q '^vittrain: steps, 7 of 30 steps done' "$folder/all" &&
    grep -q '^vittrain: evaluation, 30 of 30 steps done' "$folder/all"
ok 'it says how far it is'
cp -R "$folder/trunk" "$folder/short"
rm "$folder/short/ckpt-00000020.h5" "$folder/short/ckpt-00000030.h5"
refused 'is of step 13, and the fork ends at step 12: ' $model --id=T --steps=20 \
    --cooldown-at=10 --out="$folder/short"
forked="$model --steps=6 --cooldown-at=3 --cooldown-steps=1 --save-every=2 --out=$folder/forked"
run 1 $forked --id=F --records=/dev/full
said 'the record cannot be written' && run 1 $forked --id=F --records="$folder/forks"
status_is '0 ' && grep -q '"id": "F.3"' "$folder/forks" && grep -q '"id": "F"' "$folder/forks"
ok 'a fork whose record cannot be written is made again'
run 2 $model --steps=12 --log-every=1 --jsonl="$folder/plain.jsonl" --mesh=1x2
run 2 $model --steps=12 --log-every=1 --mesh=1x2 --cooldown-at=10 --out="$folder/whole"
curve "$folder/plain.jsonl" >"$folder/a"
grep -v '"fork"' "$folder/whole/log.jsonl" >"$folder/trunk.jsonl"
curve "$folder/trunk.jsonl" >"$folder/b"
status_is '0 0 ' && [ "$(wc -l <"$folder/a")" -eq 12 ] && cmp -s "$folder/a" "$folder/b"
ok 'a fork leaves weights that stay packed as they were, too'
run 1 $model --steps=30 --lr=1e-3 --out="$folder/trunk"
status_is '2 ' && said 'is 0.001, but 0.003'
ok 'a run does not go on with another learning rate'
refused 'is of step 30, later than step 0 ' $model --resume=never --out="$folder/trunk"
refused 'is of step 30, later than step 13 ' $model --log-every=1 --id=T \
    --resume="$folder/trunk/fork-10" --out="$folder/trunk"
refused 'one holds no complete checkpoint' $model --resume="$folder/one" --id=T
run 1 $model --steps=30 --out="$folder/trunk"
status_is '0 ' && ! grep -q '^step 30/30' "$folder/out"
ok 'and one that was done has nothing to do'
run 1 $model --steps=31 --id=T --out="$folder/trunk" --records="$folder/records" \
    --json="$folder/one.json"
{
    sed -n 's/.*"seconds": //p' "$folder/two.json" "$folder/one.json"
    sed -n '$s/.*"device_seconds": \([^,]*\),.*/\1,/p' "$folder/records"
} >"$folder/spent"
status_is '0 ' && paste -s "$folder/spent" | tr -d , |
    awk '{ exit !($1 > 0 && $2 > $1 && $3 > $2 + $1 / 2) }'
ok 'one rank adds its seconds to those that each of two has taken'
[ "$(wc -l <"$folder/one.json")" -eq "$(grep -c '' "$folder/one.json")" ]
ok 'the JSON of it ends its last line'
run 2 $model --steps=32 --cooldown-at=10,20,25 --out="$folder/trunk"
status_is '0 0 ' && said '--cooldown-at=25: there is no fork from there to step 28, .* from step 31;'
ok 'a fork that should have left before is named'
# A step of no length leaves what training has learnt.
for how in '--augment=none' '--augment=crop+flip --mixup=0.5 --label-smoothing=0.1'; do
    run 1 $model --steps=1 --lr=1e-30 --init="$folder/whole" $how
    grep 'held out: ' "$folder/out"
done >"$folder/held"
status_is '0 ' && [ "$(wc -l <"$folder/held")" -eq 2 ] && [ "$(uniq "$folder/held" | wc -l)" -eq 1 ]
ok 'whatever is done to images, not to those held out'
refused 'head-bias=-3: the classifier is that of ' $model --steps=1 --init="$folder/whole" \
    --head-bias=-3
run 1 $model --steps=1 --init="$folder/whole" --head-bias=-3 --classes=9
status_is '0 ' && grep -q '^step 1/1  *3.4373 ' "$folder/out" # 9 ln(1 + e^-3) + 3
ok 'a classifier that starts anew has the bias that is given'

# Wait for the first line of a run.
await_step() {
    await 30 grep '^step' "$folder/out"
}

# signalled WORDS RANKS ARGUMENT..: wait for the first line of a run, then do WORDS.
signalled() {
    words=$1
    shift
    run "$@" &
    whole=$!
    await_step
    eval "$words"
    wait $whole
}

endless="$model --steps=1000000 --log-every=5 --out=$folder/stop"
: >"$folder/out"
signalled 'kill -USR1 $(cat "$folder/pids")' 4 $endless --mesh=2x2
status_is '75 75 75 75 ' && said 'stopped by a signal'
ok 'USR1 on a mesh 2x2: saved, and 75 everywhere'
step=$(ls "$folder/stop" | sed -n 's/ckpt-0*\([1-9][0-9]*\).h5/\1/p' | tail -n 1)
: >"$folder/out"
signalled 'kill -TERM $(cat "$folder/pids")' 2 $endless --mesh=1x2
status_is '75 75 ' && grep -q "goes on .* step $step\$" "$folder/out"
ok "TERM on 1x2, which had gone on from there: 75 again"
: >"$folder/out"
signalled 'kill -TERM $(head -n 1 "$folder/pids")' 2 $model --steps=1000000 --log-every=5
status_is '3 3 ' && said 'without --out nothing is saved'
ok 'told on one rank, without a folder: 3'
: >"$folder/out"
beside='VITBENCH_FAULT="told:choosing forms:0" "$mpiexec" -n 2 "$train" $endless \
    --mesh=1x2 --tune >"$folder/second" 2>&1 </dev/null
    second=$?'
signalled "$beside"'; kill -USR1 $(cat "$folder/pids")' 2 $endless --mesh=1x2
status_is '75 75 ' && [ $second -eq 3 ] &&
    grep -q 'stop is being written by another program, process' "$folder/second"
ok 'a second run in the folder of one that is under way, before it does anything: 3'
# What a disk does not give any more ends a run amid a step.
if [ -f "$folder/two.h5" ]; then
    : >"$folder/out"
    "$train" --shape=mu --image=32 --batch=4 --threads=1 --data="$folder/two.h5" --holdout=0 \
        --steps=1000000 --log-every=5 >"$folder/out" 2>"$folder/all" </dev/null &
    whole=$!
    await_step
    : >"$folder/two.h5"
    wait $whole
    status=$?
    grep '^vittrain' "$folder/all" >"$folder/err"
    [ $status -eq 3 ] && said '^vittrain: rank 0 on [^ ]*: .*two.h5 has become shorter'
    ok 'a set that cannot be read any more: 3'
else
    skip 'a set that cannot be read any more: 3' 'vitdata packs no PNG files here'
fi
: >"$folder/out"
signalled 'kill -KILL $(cat "$folder/pids")' 2 $endless --mesh=1x2
[ -f "$folder/stop/.lock" ]
ok 'what a killed run leaves'
run 2 $endless --mesh=2x1 --time-limit=2 --json="$folder/late.json"
status_is '75 75 ' && said 'the time limit'
ok 'the time limit: 75'
[ "$(grep -cE '"(loss|top1|ece)": null' "$folder/late.json")" -eq 3 ]
ok 'and no loss is told of images that were not looked at'

# told PHASE ARGUMENT..: a signal to the second of two ranks as that phase begins.
told() {
    VITBENCH_FAULT=told:$1:1
    export VITBENCH_FAULT
    shift
    run 2 $model --out="$folder/told" "$@"
    unset VITBENCH_FAULT
}

told 'choosing forms' --steps=8 --tune --mesh=1x2
status_is '75 75 ' && said 'stopped by a signal before the first step' &&
    [ "$(find "$folder/told" -name '*.h5*' | wc -l)" -eq 0 ]
ok 'told while forms are chosen: 75 before there is anything to save'
told evaluation --steps=8 --eval-every=4 --mesh=2x1
status_is '75 75 ' && said 'after step 4:' && [ -f "$folder/told/ckpt-00000004.h5" ] &&
    ! grep -q 'held out' "$folder/out"
ok 'told as an evaluation begins: 75 without it, and saved'
run 2 $model --steps=5 --eval-every=4 --mesh=2x1 --out="$folder/told"
status_is '0 0 ' && grep -q '^step 4  held out' "$folder/out"
ok 'it is made up for'
run 2 $model --steps=6 --eval-every=5 --mesh=2x1 --out="$folder/told"
status_is '0 0 ' && ! grep -q '^step 5  held out' "$folder/out"
ok 'and no other that was made'
told saving --steps=8 --mesh=2x1
status_is '0 0 ' && [ ! -s "$folder/err" ] && [ -f "$folder/told/ckpt-00000008.h5" ]
ok 'told while the last checkpoint is saved: it is, and the run is done'
forks='--steps=12 --log-every=1 --cooldown-at=4 --cooldown-steps=4 --mesh=2x1'
fork_curve() {
    grep '"fork":4' "$1/log.jsonl" >"$folder/fork.jsonl"
    curve "$folder/fork.jsonl"
}
run 2 $model $forks --out="$folder/forking"
fork_curve "$folder/forking" >"$folder/a"
rm -r "$folder/told"
told saving $forks --records="$folder/told.jsonl"
status_is '75 75 ' && said 'after step 4:' && [ -f "$folder/told/ckpt-00000004.h5" ] &&
    [ -f "$folder/told/fork-4/ckpt-00000005.h5" ]
ok 'told in a fork: 75, and trunk and fork are saved'
told evaluation $forks --records="$folder/told.jsonl"
status_is '75 75 ' && grep -q '^fork 6/8 ' "$folder/out" && ! grep -q '^fork 5/8 ' "$folder/out"
ok 'the fork goes on where it was, and is told again as its evaluation begins'
run 2 $model $forks --out="$folder/told" --records="$folder/told.jsonl"
fork_curve "$folder/told" >"$folder/b"
status_is '0 0 ' && [ "$(wc -l <"$folder/a")" -eq 4 ] && cmp -s "$folder/a" "$folder/b" &&
    [ "$(wc -l <"$folder/told.jsonl")" -eq 2 ]
ok 'the same losses and norms to the last bit, and one record'
rm "$folder/told/ckpt-00000012.h5"
run 2 $model $forks --out="$folder/told"
fork_curve "$folder/told" >"$folder/b"
status_is '0 0 ' && ! grep -q '^fork' "$folder/out" && cmp -s "$folder/a" "$folder/b" &&
    [ "$(grep -c '"eval_loss".*"fork":4' "$folder/told/log.jsonl")" -eq 1 ]
ok 'gone on from before a fork that is done, its lines stay'
rm -r "$folder/told"
told evaluation $forks --eval-every=6
status_is '75 75 ' && [ -f "$folder/told/fork-4/ckpt-00000006.h5" ] &&
    ! grep -q 'held out' "$folder/out"
ok 'a fork is told as it looks at held-out images on its way'
cp -r "$folder/told" "$folder/looked"
echo '{"step":6,"eval_loss":1,"fork":4}' >>"$folder/looked/log.jsonl"
run 2 $model $forks --eval-every=6 --out="$folder/told"
status_is '0 0 ' && grep -q '^fork 6  held out' "$folder/out" &&
    [ "$(grep -c '"eval_loss".*"fork":4' "$folder/told/log.jsonl")" -eq 2 ]
ok 'that is made up for, too'
run 2 $model $forks --eval-every=6 --out="$folder/looked"
status_is '0 0 ' && ! grep -q '^fork 6  held out' "$folder/out" &&
    [ "$(grep -c '"eval_loss".*"fork":4' "$folder/looked/log.jsonl")" -eq 2 ]
ok 'and what was made is not made twice'
mkdir "$folder/stale"
cp -R "$folder/told/fork-4" "$folder/stale/"
refused 'fork-4/.*: --lr is 0.001, but 0.003' $model $forks --lr=1e-3 --out="$folder/stale"
cp "$folder/stale/fork-4/"*.h5 "$folder/stale/"
echo cut >"$folder/stale/ckpt-00000008.h5"
run 2 $model --steps=12 --out="$folder/stale"
status_is '2 2 ' && grep -q 'none of the checkpoints in .* is whole' "$folder/err"
ok 'a run whose checkpoints are all damaged does not begin anew'
run 1 $model --steps=2 --resume=never --out="$folder/stale"
status_is '0 '
ok 'unless it is told to'
run 1 $model --steps=3 --time-limit=1000 --out="$folder/limit"
status_is '0 ' && grep -q '^step 1  saved ' "$folder/out"
ok 'a run with a limit tries how long a save takes'
run 1 $model --steps=5 --time-limit=1000 --out="$folder/limit"
status_is '0 ' && ! grep -q '^step 4  saved ' "$folder/out"
ok 'unless it goes on'
run 1 $model --steps=9 --save-every=1 --keep=0 --out="$folder/each"
status_is '0 ' && [ "$(grep -c ' saved ' "$folder/out")" -eq 9 ]
ok 'each checkpoint is told of where one outlasts a step'
sed -n 's/^{"step":\([0-9]*\),.*"seconds":\([^,]*\),.*/\1 \2/p' "$folder/stop/log.jsonl" |
    awk '$2 + 0 <= last { exit 1 } { last = $2 + 0 } END { exit last < 2 }'
ok 'the seconds of its lines have gone on through all of that'

if command -v gnuplot >/dev/null 2>&1; then
    mkdir "$folder/a user's"
    cp "$folder/trunk/log.jsonl" "$folder/a user's/"
    sh "${srcdir:-.}/src/train/vittrain-plot" "$folder/a user's/x.svg" \
        "$folder/a user's/log.jsonl" "$folder/stop/log.jsonl" >"$folder/out" 2>&1 &&
        grep -q 'a user.*s, held out' "$folder/a user's/x.svg" &&
        grep -q 'stop<' "$folder/a user's/x.svg" && grep -q '</svg>' "$folder/a user's/x.svg"
    ok 'a picture of two runs is drawn'
else
    skip 'a picture of two runs is drawn' 'gnuplot is missing'
fi

run 2 $model --steps=20 --lr=1e6 --weight-decay=1e6 --clip=0 --warmup-steps=0 \
    --out="$folder/nan" --save-every=1 --log-every=1 --records="$folder/failed"
lines=$(wc -l <"$folder/nan/log.jsonl")
status_is '1 1 ' && said "step $((lines + 1)): the loss .* not finite; the first tensor .*/"
ok 'a loss that is not finite: 1, with the step after the last line and a tensor'
grep -q '"status": "failed".*"loss": null' "$folder/failed"
ok 'and a record of the failure'
run 2 $model --steps=2 --lr=1e6 --clip=0 --warmup-steps=0 --cooldown-steps=0 \
    --schedule=constant --data=fractal --out="$folder/last" --records="$folder/failed"
status_is '1 1 ' && said 'step 2: the loss of held-out images is not finite' &&
    [ "$(tail -n 1 "$folder/failed" | grep -c '"status": "failed"')" -eq 1 ] &&
    [ ! -f "$folder/last/ckpt-00000002.h5" ]
ok 'held-out images are seen to be so too, and nothing of it is saved'

"$train" $model --steps=2 --out="$folder/unheard" 2>"$folder/err" <&- >&-
[ $? -eq 3 ] && said 'the output cannot be written' &&
    [ "$(find "$folder/unheard" -name '*.h5*' | wc -l)" -eq 0 ]
ok 'a run that nobody can hear ends before its steps, with 3'
deep=$(printf %049d 0)
long=$folder
while [ ${#long} -lt 900 ]; do
    long=$long/$deep
done
long=$long/$(printf "%0$((955 - ${#long}))d" 0) # there is room for names in it, not for forks
refused 'folder .*/fork-2 is too long' $model --steps=3 --cooldown-at=2 --cooldown-steps=1 \
    --out="$long"
[ ! -e "$folder/$deep" ]
ok 'and nothing is made'
run 2 $model --steps=2 --out="$folder/records/below"
status_is '3 3 ' && [ "$(wc -l <"$folder/err")" -eq 1 ]
ok 'a folder that cannot be made: 3'

finish
