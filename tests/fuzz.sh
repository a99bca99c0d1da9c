#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: fuzz.sh BUILD SECONDS
# Have BUILD's programs read damaged image files, weights of other programs in both
# formats, and sets, SECONDS each.  The valid files are those of tests/data and what is
# made of them.
build=$1
seconds=$2
data=${srcdir:-.}/tests/data
export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1
"$build/tests/fuzz_decode" --seconds="$seconds" "$data"/*.jpg "$data"/*.png || exit 1

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
again() { # FILE OUT: through a checkpoint, so that it is not compressed
    "$build/vitckpt" import "$1" "$folder/one.h5" --shape=40/2/72/4 >"$folder/said" &&
        "$build/vitckpt" export "$folder/one.h5" "$2" >"$folder/said"
}
"$build/tests/fuzz_exchange" --seconds="$seconds" "$data"/exchange-*.safetensors &&
    again "$data/exchange-22b.npz" "$folder/22b.npz" &&
    again "$data/exchange-cls.safetensors" "$folder/cls.npz" &&
    again "$data/exchange-map.safetensors" "$folder/map.npz" &&
    "$build/tests/fuzz_exchange" --seconds="$seconds" "$data"/exchange-*.npz \
        "$folder"/*.npz || exit 1
for i in 0 1; do
    mkdir -p "$folder/in/$i"
    cp "$data"/bars*.jpg "$data"/bars*.png "$folder/in/$i"
done
printf 'in/0/bars.jpg 0 2\nin/1/bars-grey.jpg 1\n' >"$folder/list"
"$build/vitdata" pack "$folder/files.h5" --from="$folder/in" &&
    "$build/vitdata" pack "$folder/many.h5" --from="$folder/list" &&
    "$build/vitdata" synth "$folder/images.h5" --n=12 --classes=3 --image=8 &&
    "$build/tests/fuzz_set" --seconds="$seconds" "$folder"/*.h5
