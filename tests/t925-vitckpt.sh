#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vitckpt as a user meets it: whole files, different ones, damaged ones and foreign ones,
# each with its status and at most one sentence, alone and on two ranks.
build=${top_builddir:-.}
vitckpt=$build/vitckpt
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
[ -x "$vitckpt" ] || skip_all 'vitckpt is not built: there is no HDF5'

# run ARGUMENT..: leaves out, err and status.
run() {
    "$vitckpt" "$@" >"$folder/out" 2>"$folder/err" </dev/null
    status=$?
}

# gives STATUS WORDS ARGUMENT..: the words are in the output or in the one sentence.
gives() {
    wanted=$1
    words=$2
    shift 2
    run "$@"
    short=$(echo "$*" | sed "s#$folder/##g")
    [ $status -eq "$wanted" ] && grep -q -- "$words" "$folder/out" "$folder/err" &&
        [ "$(wc -l <"$folder/err")" -eq $((wanted > 0)) ]
    ok "$short ends with $wanted and says .. $words .."
}

# Byte $2 of file $1 becomes another one.
damage() {
    byte=$(od -An -tu1 -j"$2" -N1 "$1" | tr -d ' ')
    printf "\\$(printf %o $((byte ^ 16)))" |
        dd of="$1" bs=1 seek="$2" conv=notrunc 2>/dev/null
}

"$build/tests/ckpt_make" "$folder/run" 7 8 2 >"$folder/out" 2>"$folder/err"
ok "checkpoints are made"
a=$folder/run/ckpt-00000007.h5
b=$folder/run/ckpt-00000008.h5

gives 0 'Usage: vitckpt list' --help
gives 2 'lost.h5 cannot be read: No such file' list "$folder/lost.h5"
gives 0 '^vitckpt [0-9]' --version
gives 2 'expected list, verify, diff, export or import'
gives 2 'none of list, verify, diff' lost "$a"
gives 2 'takes two files, not 1' diff "$a"
gives 0 '^step 7, 7 examples' list "$a"
gives 0 '^  --lr=0.001$' list "$a"
gives 0 '^[0-9a-f]\{16\}  \[194, 53\]  *params/a/matrix$' list "$a"
gives 0 '10 datasets are as they were written' verify "$a"
gives 0 '10 datasets are the same' diff "$a" "$a"
gives 1 'differ in 10 datasets' diff "$a" "$b"
gives 1 'opt/f64: [0-9]* of 480 differ, by [0-9]* at most' diff "$a" "$b"

# One number that is none, in the share of one of some ranks.
cp "$a" "$folder/nan.h5"
printf '\377\377\377\377' |
    dd of="$folder/nan.h5" bs=1 seek=$((($(wc -c <"$a") - 3000) / 4 * 4)) conv=notrunc \
        2>/dev/null
for ranks in 1 2 3; do
    "${MPIEXEC:-mpiexec}" -n $ranks "$vitckpt" diff "$a" "$folder/nan.h5" \
        >"$folder/out" 2>"$folder/err" </dev/null
    grep -q '^opt/f64: 1 of 480 differ, by nan at most, nan of norm' "$folder/out"
    ok "$ranks ranks say nan where a number is none"
done

cp "$a" "$folder/flipped.h5"
damage "$folder/flipped.h5" $(($(wc -c <"$a") - 3000))
gives 2 '1 of 10 datasets are damaged' verify "$folder/flipped.h5"
cp "$a" "$folder/described.h5"
damage "$folder/described.h5" 60
gives 2 'described.h5' list "$folder/described.h5"
head -c 100000 "$a" >"$folder/cut.h5"
gives 2 'truncated file' verify "$folder/cut.h5"
echo 'no checkpoint' >"$folder/text.h5"
gives 2 'no HDF5 file' list "$folder/text.h5"
gives 3 'cannot be read' list /proc/self/mem
gives 2 'No such file' verify "$folder/none.h5"
gives 2 'is not a file' list "$folder"

"${MPIEXEC:-mpiexec}" -n 2 "$vitckpt" verify "$b" >"$folder/out" 2>"$folder/err" &&
    [ "$(grep -c 'as they were written' "$folder/out")" -eq 1 ]
ok "two ranks verify together and print once"
"${MPIEXEC:-mpiexec}" -n 2 "$vitckpt" verify "$folder/flipped.h5" >"$folder/out" \
    2>"$folder/err"
[ $? -eq 2 ] && [ "$(grep -c '^vitckpt: ' "$folder/err")" -eq 1 ]
ok "and say once what is damaged"

data=${srcdir:-.}/tests/data
shape=--shape=40/2/72/4
gives 0 'from timm: 24 tensors, .* cls pooling, image 32, patch 8, 10 classes' \
    import "$data/exchange-cls.safetensors" "$folder/cls.h5" "$shape"
gives 0 '^  --gelu=exact$' list "$folder/cls.h5"
gives 0 'as they were written' verify "$folder/cls.h5"
gives 0 '32 arrays with the names of timm' export "$folder/cls.h5" "$folder/cls.safetensors"
gives 0 'norms with 1e-6, 4 heads$' export "$folder/cls.h5" "$folder/cls.safetensors"
run export "$folder/cls.h5" "$folder/cls.npz"
if grep -q 'libzip is missing' "$folder/err"; then
    skip 'big_vision has the heads in its shapes' 'this build has no .npz'
else
    grep -q 'norms with 1e-6$' "$folder/out"
    ok 'big_vision has the heads in its shapes'
fi
gives 0 '30 arrays' export "$folder/cls.h5" "$folder/bare.safetensors" --no-head
gives 0 'tanh GELU' import "$folder/cls.safetensors" "$folder/tanh.h5" "$shape" --gelu=tanh
gives 0 'are the same' diff "$folder/cls.h5" "$folder/tanh.h5"
gives 2 '.head.weight. is missing' import "$folder/bare.safetensors" "$folder/b.h5" "$shape"
gives 0 '7 classes (a new classifier)' import "$folder/bare.safetensors" "$folder/b.h5" \
    "$shape" --classes=7
gives 2 'import needs --shape' import "$folder/cls.safetensors" "$folder/none.h5"
gives 2 'a name that ends in .h5' import "$folder/cls.h5" "$folder/none" "$shape"
gives 2 'cls_token' import "$folder/cls.safetensors" "$folder/none.h5" "$shape" --pool=gap
gives 2 '--scan is for .npz' export "$folder/cls.h5" "$folder/none.safetensors" --scan
gives 2 'a name that ends in .npz or .safetensors' export "$folder/cls.h5" "$folder/none.pt"
gives 2 "--scan is not for 'list'" list "$folder/cls.h5" --scan
gives 2 'does not hold a model' export "$a" "$folder/none.safetensors"
gives 3 'none.safetensors cannot be written' export "$folder/cls.h5" "$folder/lost/none.safetensors"
gives 3 'none.h5 cannot be written' import "$folder/cls.safetensors" "$folder/lost/none.h5" "$shape"
! ls "$folder" | grep -q 'none\|part'
ok "what fails leaves no file"
"${MPIEXEC:-mpiexec}" -n 2 "$vitckpt" import "$folder/cls.safetensors" "$folder/two.h5" \
    "$shape" >"$folder/out" 2>"$folder/err" &&
    [ "$(grep -c 'from timm: 24' "$folder/out")" -eq 1 ] &&
    run diff "$folder/two.h5" "$folder/cls.h5" && [ $status -eq 0 ]
ok "two ranks import once, and the same"
finish
