#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# cuBLASLt may refuse what its manual allows: an epilogue, when a product is planned or when
# it is done; an algorithm that it offered itself.  The device cuda then takes another way,
# and is as right as before; where there is none it says so.  On the emulated GPU
# (tests/emu), whose library refuses what EMU_REFUSE names.
# shellcheck source=tests/emu_tap.sh
. "${srcdir:-.}/tests/emu_tap.sh"
emulated vitbench

run() {
    "$program" --device=cuda "$@" --classes=10 --dtype=bf16 --steps=$steps --warmup=1 \
        --seconds=0.1 --threads=1 </dev/null >"$folder/out" 2>&1
}
steps=3
tiny='--shape=16/1/32/2 --image=8 --patch=4 --batch=4'

run --shape=24/3/40/3 --image=16 --patch=8 --batch=2 && grep -q 'is VALID' "$folder/out"
ok 'plans are for biases and auxiliary matrices as aligned as those they were made with'

for refused in plans products first; do
    EMU_REFUSE=$refused
    export EMU_REFUSE
    run $tiny && grep -q 'is VALID' "$folder/out"
    ok "a run passes its checks where the library refuses $refused"
done
EMU_REFUSE=second
run $tiny --json="$folder/second.json" && grep -q 'is VALID' "$folder/out" &&
    grep -q '"x W [^"]*": "fastest (.* s, first 1[ .]' "$folder/second.json" &&
    ! grep -q '"x [^"]*": "first' "$folder/second.json"
ok 'nor less where it refuses the algorithm that was the fastest'
# In turn: a bias, GELU, its slope, sums for a bias's gradient; by cublasLtEpilogue_t, and as
# the JSON names products that have them.
unset EMU_REFUSE
steps=1
run $tiny --json="$folder/all.json"
for epilogue in '4 bias' '164 gelu' "192 gelu'" '256 sums'; do
    name=" ${epilogue#* }[ ,\"]"
    EMU_REFUSE="plans ${epilogue% *}" run $tiny --json="$folder/one.json" &&
        grep -q 'is VALID' "$folder/out" && grep -q "$name" "$folder/all.json" &&
        ! grep -q "$name" "$folder/one.json" &&
        EMU_REFUSE="products ${epilogue% *}" run $tiny && grep -q 'is VALID' "$folder/out"
    ok "${epilogue#* } can be refused alone, when it is planned and when it is done"
done
export EMU_REFUSE
EMU_REFUSE=all
run $tiny
[ $? -ne 0 ] && grep -q 'cuBLASLt has no product of bf16 to .*: an emulated error' \
    "$folder/out"
ok 'a product that nothing can do is named'
unset EMU_REFUSE

# The real way to the library, and one that has nothing but its names.
cc=$(sed -n 's/^CC = //p' "$build/Makefile")
flags=$(sed -n 's/^CUDA_CPPFLAGS = //p' "$build/Makefile")
cat >"$folder/open.c" <<'EOF'
#include "src/dev/cuda_load.h"
#include "src/base/err.h"
void err_keep(const char *text, ...)
{
    (void)text;
}
int main(void)
{
    struct cuda_lt lt;

    for (int i = 0; i < 3; i++, cuda_lt_close(&lt))
        if (cuda_lt_open(&lt) != 0)
            return 1;
    return 0;
}
EOF
{
    grep -o 'X([A-Z][A-Za-z]*)' "${srcdir:-.}/src/dev/cuda_load.h" |
        sed 's/X(\(.*\))/void cublasLt\1(void);\nvoid cublasLt\1(void) {}/'
    echo '#include <stdio.h>'
    echo '__attribute__((constructor)) static void say(void) { puts("loaded"); }'
} >"$folder/lt.c"
major=$(printf '#include <cublasLt.h>\nCUBLAS_VER_MAJOR\n' | $cc -E -P $flags - | tail -n 1)
$cc -shared -fPIC -o "$folder/libcublasLt.so.$major" "$folder/lt.c" >"$folder/out" 2>&1 &&
    $cc -DHAVE_CONFIG_H -I"$build" -I"${srcdir:-.}" $flags -o "$folder/open" "$folder/open.c" \
        "${srcdir:-.}/src/dev/cuda_load.c" -ldl >"$folder/out" 2>&1 &&
    LD_LIBRARY_PATH=$folder "$folder/open" >"$folder/out" &&
    [ "$(grep -c '^loaded' "$folder/out")" -eq 1 ]
ok 'the library is loaded once, however often devices are opened'
finish
