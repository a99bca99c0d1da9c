#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vitprobe as a user meets it: a run of vittrain is probed on one rank and on more with the
# same errors, its record is completed, features go through a file, images of another
# size are taken; and what is wrong gets one sentence and its status.
build=${top_builddir:-.}
vitprobe=$build/vitprobe
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
[ -x "$vitprobe" ] || skip_all 'vitprobe is not built: there is no HDF5 or no LAPACK'

# run RANKS ARGUMENT..: leaves out, err and status.
run() {
    ranks=$1
    shift
    if [ "$ranks" -gt 1 ]; then
        "${MPIEXEC:-mpiexec}" -n "$ranks" "$vitprobe" "$@" >"$folder/out" \
            2>"$folder/err" </dev/null
    else
        "$vitprobe" "$@" >"$folder/out" 2>"$folder/err" </dev/null
    fi
    status=$?
}

# refuses STATUS WORDS ARGUMENT..: one sentence with these words.
refuses() {
    wanted=$1
    words=$2
    shift 2
    run 1 "$@"
    short=$(echo "$*" | sed "s#$folder/##g")
    [ $status -eq "$wanted" ] && grep -q -- "$words" "$folder/err" &&
        [ "$(wc -l <"$folder/err")" -eq 1 ]
    ok "$short ends with $wanted and says .. $words .."
}

# The table of errors in out.
table() {
    sed -n '/^  shots/,$p' "$folder/out"
}

"$build/vitdata" synth "$folder/set.h5" --n=120 --classes=4 --image=8 >"$folder/out" \
    2>"$folder/err"
ok "a set is made"
"$build/vittrain" --shape=24/2/32/4 --image=8 --patch=2 --data="$folder/set.h5" \
    --steps=3 --batch=8 --threads=1 --id=run --out="$folder/run" \
    --records="$folder/records.jsonl" >"$folder/out" 2>"$folder/err"
ok "and a model is trained on it"
few="--shots=1,5 --seeds=0,1 --l2=1024,1 --threads=1"
set="--checkpoint=$folder/run --data=$folder/set.h5 --threads=1"
ask="$set $few"

# $ask, $set and $few are words.
# shellcheck disable=SC2086
{
    run 1 $ask --records="$folder/records.jsonl"
    table >"$folder/one"
    [ $status -eq 0 ] && [ "$(wc -l <"$folder/one")" -eq 5 ] &&
        grep -q 'LAPACK on one rank' "$folder/out"
    ok "a folder's newest checkpoint is probed"
    [ "$(grep -c '"id": "run"' "$folder/records.jsonl")" -eq 2 ] &&
        tail -n 1 "$folder/records.jsonl" |
        grep '"compute": [1-9].*"loss": [0-9].*"err_1shot": 0.*"err_10shot": null' |
        grep -q '"examples": 24,.*"devices": 1,'
    ok "the run's record gets errors and keeps what it had"
    run 1 $set --shots=10 --records="$folder/records.jsonl"
    tail -n 1 "$folder/records.jsonl" |
        grep -q '"err_1shot": 0.*"err_5shot": 0.*"err_10shot": 0'
    ok "errors with other numbers of shots, too"
    "$build/vittrain" --shape=24/2/32/4 --image=8 --patch=2 --data="$folder/set.h5" \
        --steps=6 --cooldown-at=2 --cooldown-steps=1 --save-every=4 --holdout=0.25 \
        --batch=8 --threads=1 --out="$folder/forked" --records="$folder/forked.jsonl" \
        >"$folder/out" 2>"$folder/err"
    top1=$(sed -n 's/^step 6  held out: .*top-1 \([0-9.]*\) .* 30 images/\1/p' "$folder/out")
    for from in forked forked/fork-2 forked/ckpt-00000004.h5; do
        run 1 $ask --checkpoint="$folder/$from" --records="$folder/forked.jsonl"
    done
    sed -n 's/.*"id": "\([^"]*\)".*"examples": \([0-9]*\).*"err_1shot": \([0n]\).*/\1 \2 \3/p' \
        "$folder/forked.jsonl" | sed "s/$(sed -n '$s/.*"id": "\([^@]*\)@4".*/\1/p' \
            "$folder/forked.jsonl")/ID/" >"$folder/ids"
    printf '%s\n' 'ID.2 24 n' 'ID 48 n' 'ID 48 0' 'ID.2 24 0' 'ID@4 32 0' |
        cmp -s - "$folder/ids"
    ok "errors go to the record of the run, of its fork, or of a step on the way"
    refuses 2 'seen 48 images, this one has 24' $ask --checkpoint="$folder/forked/fork-2" \
        --id="$(sed -n '2s/.*"id": "\([^"]*\)".*/\1/p' "$folder/forked.jsonl")" \
        --records="$folder/forked.jsonl"
    [ ! -s "$folder/out" ]
    ok "and a record of another length is refused before the work"
    run 2 --checkpoint="$folder/forked" --data="$folder/set.h5" --method=head
    [ -n "$top1" ] && grep -q "30 images: .*top-1 $top1 %" "$folder/out"
    ok "what the run has held out is tested on"
    run 2 --checkpoint="$folder/forked" --method=head --test-examples=64
    [ $status -eq 0 ] && grep -q '64 images: loss' "$folder/out" &&
        ! grep -q '^  features' "$folder/out"
    ok "the classifier alone needs no images to learn from"
    run 4 $ask --mesh=2x2
    table | cmp -s - "$folder/one"
    ok "a 2x2 mesh has the same errors"
    run 1 $ask --seeds=0,1,2,3,4,5,123456789012
    [ "$(table | wc -l)" -eq 15 ] && [ "$(table | wc -L)" -le 80 ]
    ok "a table of many seeds goes on below"
    run 2 $ask --solver=lapack --features-out="$folder/f.h5" --logits-out="$folder/l.h5"
    table | cmp -s - "$folder/one"
    ok "two ranks with LAPACK have"
    run 3 --features="$folder/f.h5" $few
    table | cmp -s - "$folder/one"
    ok "and so has the file of features on three"
    "$build/vitdata" info "$folder/l.h5" >"$folder/out" 2>"$folder/err" &&
        grep -q 'features   4$' "$folder/out"
    ok "logits are as many as classes"
    [ -c /dev/full ] && "$vitprobe" $ask >/dev/full 2>"$folder/err" </dev/null
    [ $? -eq 3 ] || [ ! -c /dev/full ]
    ok "what nobody can hear ends with 3"
    run 1 $ask --feature=block:0
    [ $status -eq 0 ] && grep -q 'block:0 of 120' "$folder/out"
    ok "a block's features can be taken"
    run 2 $set --method=lbfgs
    [ $status -eq 0 ] && grep -q 'chosen$' "$folder/out"
    ok "logistic regression chooses a penalty"
    run 2 $set --method=sgd --epochs=2 --learn-batch=16
    [ $status -eq 0 ] && grep -q '14 steps of 16' "$folder/out"
    ok "gradient descent has its steps"
    run 2 $set --method=head --image=16 --patch=4
    [ $status -eq 0 ] && grep -q 'patches resized from 2 to 4' "$folder/out" &&
        grep -q '12 images: loss' "$folder/out"
    ok "the classifier is tested on larger patches"
    run 1 $set --method=head --image=12 --no-interpolate
    [ $status -eq 0 ] && grep -q 'positions as initialised' "$folder/out"
    ok "and without positions"
    mkdir "$folder/all"
    "$build/vittrain" --shape=24/2/32/4 --image=8 --patch=2 --data="$folder/set.h5" \
        --steps=1 --batch=8 --threads=1 --holdout=0 --out="$folder/all" \
        >"$folder/out" 2>"$folder/err"
    ln -s "$folder/set.h5" "$folder/all/same.h5"
    run 1 --checkpoint="$folder/all" --data="$folder/all/same.h5" $few
    [ $status -eq 0 ] && grep -q 'trained on images of .*same.h5 that' "$folder/err"
    ok "a set that was trained on as a whole is known by another name"
    run 1 $ask
    [ $status -eq 0 ] && [ ! -s "$folder/err" ]
    ok "where images were held out nothing is said"
    run 1 $ask --test=0.3
    [ $status -eq 0 ] && grep -q 'trained on images of .*set.h5 that' "$folder/err"
    ok "but where fewer were than are tested on"
    run 1 $ask --test="$folder/all/same.h5"
    [ $status -eq 0 ] && grep -q 'trained on images of .*same.h5 that' "$folder/err"
    ok "and where the set is tested on as a whole"
    "$build/vittrain" --shape=24/2/32/4 --image=12 --patch=3 --classes=3 --steps=1 \
        --batch=2 --threads=1 --holdout=0 --init="$folder/run" \
        >"$folder/out" 2>"$folder/err" &&
        grep -q 'starts from .*patches resized from 2 to 3.*classifier as init' \
            "$folder/out"
    ok "vittrain starts from it for other patches and classes, and says so"
    run 1 --shape=24/1/32/4 --image=8 --patch=4 --classes=3 $few --test-examples=20
    [ $status -eq 0 ] && grep -q '30 to learn from, 20 to test on, 3 classes' \
        "$folder/out"
    ok "an untrained model is probed on fractals"
    run 2 --shape=24/1/32/4 --image=8 --patch=4 --classes=20 --shots=1,2 --test-examples=20
    grep -q '^ *1  *20  ' "$folder/out" && grep -q '^ *2  *40  ' "$folder/out"
    ok "and learns from as many of every class as are asked for"
    run 1 --shape=24/1/32/4 --image=8 --patch=4 --classes=5 --examples=20 --shots=20 \
        --l2=1e-6 --seeds=0 --test-examples=20 --threads=1
    grep -q '^ *20 *20  .* [1-9][0-9]\.[0-9]*$' "$folder/out"
    ok "fractals to test on are others: 20 that it had learnt it would all know"
    refuses 2 'images are too many' --shape=24/1/32/4 --image=8 --patch=4 --classes=20 \
        --shots=1000000000000000
    refuses 2 'No such file' --checkpoint="$folder/none" $few
    refuses 2 'no complete checkpoint' --checkpoint="$folder" $few
    refuses 2 'not an HDF5\|no HDF5' --checkpoint="$folder/out" $few
    refuses 2 'blocks 0 to 1' $ask --feature=block:2
    refuses 2 'holds images' --features="$folder/set.h5" $few
    refuses 2 'holds features' --checkpoint="$folder/run" --data="$folder/f.h5" $few
    refuses 2 'of 24 numbers to learn from, and of 4' --features="$folder/f.h5" \
        --test="$folder/l.h5" $few
    refuses 2 'smaller than a patch' $ask --image=1
    refuses 3 'cannot be written' $ask --records="$folder/none/r.jsonl"
    refuses 3 'f.h5 cannot be written: No such file' $ask \
        --features-out="$folder/none/f.h5"
    [ ! -s "$folder/out" ]
    ok "before anything is computed"
    refuses 3 'it is not a file' $ask --logits-out=/dev/null
    refuses 2 'lr is for --method=sgd' $ask --lr=0.1
    refuses 2 'select is for --method=lbfgs' $ask --select=0.2
    refuses 2 'solver is for --method=ridge' $set --method=head --solver=lapack
    refuses 2 'shots is for --method=ridge' $set --method=lbfgs --shots=3
    refuses 2 'l2 is for --method=ridge and' $set --method=sgd --l2=1
    refuses 2 'test-examples is for fractals' $ask --test-examples=9
    refuses 2 'feature is for a model' --features="$folder/f.h5" --feature=block:0
    refuses 2 'examples is for images to learn' --checkpoint="$folder/run" --method=head \
        --data=fractal --examples=9
    refuses 2 'feature is for features' $set --method=head --feature=block:0
    refuses 2 'interpolate is for a --checkpoint' --shape=mu --data="$folder/set.h5" --interpolate
    "$build/vitdata" synth "$folder/five.h5" --n=20 --classes=5 --image=8 >"$folder/out"
    refuses 2 'five.h5 has 5 classes, more than 4' $ask --test="$folder/five.h5"
    refuses 2 'test=0: expected a share above 0, at most 1' $ask --test=0
    run 1 --shape=24/2/32/4 --image=8 --patch=2 --data="$folder/five.h5" --method=none \
        --features-out="$folder/f5.h5"
    refuses 2 'f5.h5 has 5 classes, more than 4' --features="$folder/f.h5" \
        --test="$folder/f5.h5" $few
    for test in f f5; do
        run 1 --features="$folder/f5.h5" --test="$folder/$test.h5" --method=lbfgs \
            --threads=1
        sed -n 's/^  classifier *\(loss .*\) error .*/\1/p' "$folder/out" >"$folder/$test"
    done
    grep -q loss "$folder/f" && ! cmp -s "$folder/f" "$folder/f5"
    ok "a classifier is tested on others than it has learnt from"
    refuses 2 'id is for --records' $ask --id=name
    refuses 2 'same file' $ask --features-out="$folder/x.h5" --logits-out="$folder/x.h5"
    refuses 2 'would be written over' $ask --features-out="$folder/set.h5"
    refuses 2 'asks for none of these' $set --shots=2,3 --records="$folder/r.jsonl"
    refuses 2 'no errors for --records' $set --method=none --features-out="$folder/x.h5" \
        --records="$folder/r.jsonl"
}
finish
