#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Training on the device cuda, on a GPU that is emulated (tests/emu), where pictures come as
# bytes and images are made there: it follows the same training on cpu:ref, whose cores make
# them.  Losses and norms are sums of f32 numbers in another order: 1e-5 of them is some
# eighty roundings.
# shellcheck source=tests/emu_tap.sh
. "${srcdir:-.}/tests/emu_tap.sh"
emulated vittrain

# run NAME RANKS [OPTION ..]
run() {
    name=$1
    ranks=$2
    shift 2
    "${MPIEXEC:-mpiexec}" -n "$ranks" "$program" --out="$folder/$name" \
        --shape=8/1/16/2 --image=8 --patch=4 --classes=10 --batch=4 --steps=3 \
        --log-every=1 --dtype=f32 --threads=1 --data="$folder/set.h5" --holdout=0.25 \
        --augment=crop+flip --mixup=0.3 --label-smoothing=0.1 "$@" \
        </dev/null >"$folder/out" 2>&1
}

# Losses, norms and what held-out images say in log $2 differ by no more than $3 of
# themselves from those of $1; there are three steps.
same() {
    for log in "$1" "$2"; do
        sed -e 's/"eval_loss"/"loss"/; s/"top1"/"grad_norm"/' \
            -e 's/.*"loss": *\([^,]*\),.*"grad_norm": *\([^,]*\),.*/\1 \2/' \
            "$folder/$log/log.jsonl" >"$folder/$log.numbers"
    done
    paste -d ' ' "$folder/$1.numbers" "$folder/$2.numbers" >"$folder/out"
    ${AWK:-awk} -v most="$3" '
        function apart(a, b) { return a > b ? a - b : b - a }
        { bad += !($1 > 0 && NF == 4 && apart($1, $3) <= most * $1 &&
                   apart($2, $4) <= most * $2) }
        END { exit bad > 0 || NR != 4 }' "$folder/out"
}

"$build/vitdata" synth "$folder/set.h5" --n=40 --classes=10 --quality=90 --image=21 \
    </dev/null >"$folder/out" 2>&1 && run cpu 1 --device=cpu:ref
ok 'a training on the cores'
run gpu 1 --device=cuda
same cpu gpu 1e-5
ok 'one on a GPU, with crops, mixup and graphs, follows it'
run 1x2 2 --device=cuda --mesh=1x2 --micro-batches=2
same cpu 1x2 1e-5
ok 'and so does one on 1x2 in micro-batches'

# What was sent ahead of an evaluation is one micro-batch of the next step alone.
run micro 1 --device=cuda --micro-batches=2 &&
    run looks 1 --device=cuda --micro-batches=2 --eval-every=1 &&
    sed '/"eval_loss"/{$!d;}' "$folder/looks/log.jsonl" >"$folder/log" &&
    mv "$folder/log" "$folder/looks/log.jsonl" && same micro looks 0
ok 'evaluations between steps of micro-batches change nothing'

run again 1 --device=cuda --steps=1 && run again 1 --device=cuda &&
    sed 2d "$folder/again/log.jsonl" >"$folder/log" && # held-out images at its first end
    mv "$folder/log" "$folder/again/log.jsonl" && same gpu again 0 &&
    "$build/vitckpt" diff "$folder/gpu/ckpt-00000003.h5" \
        "$folder/again/ckpt-00000003.h5" >"$folder/out" 2>&1
ok 'one that is stopped and goes on has the same bits'
finish
