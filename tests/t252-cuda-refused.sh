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
    "$program" --device=cuda "$@" --classes=10 --dtype=bf16 --steps=3 --warmup=1 \
        --seconds=0.1 --threads=1 </dev/null >"$folder/out" 2>&1
}
tiny='--shape=16/1/32/2 --image=8 --patch=4 --batch=4'

run --shape=24/3/40/3 --image=16 --patch=8 --batch=2 && grep -q 'is VALID' "$folder/out"
ok 'plans are for biases and auxiliary matrices as aligned as those they were made with'

for refused in plans products first; do
    EMU_REFUSE=$refused
    export EMU_REFUSE
    run $tiny && grep -q 'is VALID' "$folder/out"
    ok "a run passes its checks where the library refuses $refused"
done
EMU_REFUSE=all
run $tiny
[ $? -ne 0 ] && grep -q 'cuBLASLt has no product of bf16 to .*: an emulated error' \
    "$folder/out"
ok 'a product that nothing can do is named'
finish
