#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: fuzz.sh BUILD SECONDS
# Have BUILD's programs read damaged files of every kind, SECONDS each.  The valid ones
# are those of tests/data and what is made of them.
build=$1
seconds=$2
source=${srcdir:-.}
data=$source/tests/data
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 1' HUP INT TERM

# fuzz KIND FILE..
fuzz() {
    kind=$1
    shift
    "$build/tests/fuzz_$kind" --seconds="$seconds" "$@" || exit 1
}

again() { # FILE OUT: through a checkpoint, so that it is not compressed
    "$build/vitckpt" import "$1" "$folder/one.h5" --shape=40/2/72/4 >"$folder/said" &&
        "$build/vitckpt" export "$folder/one.h5" "$2" >"$folder/said" || exit 1
}

# options NAME PROGRAM ARGUMENT..: all values, those of nobody as well.
options() {
    name=$1
    shift
    "$@" --print-config | sed -E 's/^#([a-z0-9-]+ = .)/\1/' >"$folder/$name.conf" || exit 1
}

fuzz decode "$data"/*.jpg "$data"/*.png

fuzz exchange "$data"/exchange-*.safetensors
again "$data/exchange-22b.npz" "$folder/22b.npz"
again "$data/exchange-cls.safetensors" "$folder/cls.npz"
again "$data/exchange-map.safetensors" "$folder/map.npz"
fuzz exchange "$data"/exchange-*.npz "$folder"/*.npz
fuzz ckpt "$folder/one.h5"

for i in 0 1; do
    mkdir -p "$folder/in/$i"
    cp "$data"/bars*.jpg "$data"/bars*.png "$folder/in/$i"
done
printf 'in/0/bars.jpg 0 2\nin/1/bars-grey.jpg 1\n' >"$folder/list"
mkdir "$folder/sets"
"$build/vitdata" pack "$folder/sets/files.h5" --from="$folder/in" &&
    "$build/vitdata" pack "$folder/sets/many.h5" --from="$folder/list" &&
    "$build/vitdata" synth "$folder/sets/images.h5" --n=12 --classes=3 --image=8 || exit 1
fuzz set "$folder"/sets/*.h5

options bench "$build/vitbench" --shape=So400m,mu --batch=64 --mesh=2x4 --ranks=8
options dry "$build/vitbench" --shape=768/12/3072/12 --ranks=64 --machine=h200
options train "$build/vittrain" --shape=mu --steps=5K --cooldown-at=1K --warmup-steps=100
options probe "$build/vitprobe" --data=fractal --shape=mu
fuzz options "$folder"/*.conf "$data"/result-good.json

plan() {
    "$build/vitfit" plan --out="$folder/plan" "$@" >"$folder/said" || exit 1
}
plan --grid --width=416,512 --depth=6,8 --mlp=768
"$build/vitfit" fit "$data/chinchilla-isoflop.csv" --law=chinchilla --bootstrap=0 \
    --flops=flops --json="$folder/fit.json" >"$folder/said" || exit 1
sed 's/"done": *false/"status":"done","err_10shot":0.31/' "$folder/plan/plan.jsonl" \
    >"$folder/records.jsonl"
printf 'width,depth,mlp,compute,err_10shot,id\n608,10,928,1e18,0.4,a\n' >"$folder/runs.csv"
printf '{"step":1,"loss":3}\n{"step":2,"loss":2,"fork":4}\n' >"$folder/log.jsonl"
printf '0,255,17,3,1\n9,8,7,6,0\n' >"$folder/table.csv"
options plan "$build/vitfit" plan --grid --width=416,512 --depth=6 --mlp=768
options shape "$build/vitfit" shape --budget=1e20
fuzz text "$folder/plan/plan.jsonl" "$folder/fit.json" "$folder/records.jsonl" \
    "$folder/runs.csv" "$folder/log.jsonl" "$folder/table.csv" "$folder/list" \
    "$folder/plan.conf" "$folder/shape.conf" \
    "$data"/chinchilla-isoflop.csv "$source"/src/plan/machines/*.json
