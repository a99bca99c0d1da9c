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
    run $tiny --json="$folder/$refused.json" && grep -q 'is VALID' "$folder/out"
    ok "a run passes its checks where the library refuses $refused"
done
grep -q ' gelu, where": "apart (.* s, within inf s)' "$folder/products.json" &&
    ! grep -q ', where": "within' "$folder/products.json"
ok 'what was refused was not the fastest'
EMU_REFUSE=second
run $tiny --json="$folder/second.json" && grep -q 'is VALID' "$folder/out" &&
    grep -q '"x W [^"]*": "first (1[ .].*, fastest 1[ .]' "$folder/second.json" &&
    ! grep -q '"x [^"]*": "fastest' "$folder/second.json"
ok 'nor less where it refuses the algorithm that was the fastest, which the JSON does not say'
# In turn: a bias, GELU, its slope, sums for a bias's gradient; by cublasLtEpilogue_t, and as
# the JSON names products that have them.
unset EMU_REFUSE
steps=1
run $tiny --json="$folder/all.json"
grep -q '"x W [^"]* bias added"' "$folder/all.json" &&
    grep -q "\"x W^T [^\"]* gelu'\"" "$folder/all.json" &&
    grep -q '"x^T dy [^"]* sums"' "$folder/all.json" &&
    grep -q '"x^T dy [^"]* sums, where"' "$folder/all.json"
ok 'products are named by what they are, and were timed where they may be in two places'
for epilogue in '4 bias' '164 gelu' "192 gelu'" '256 sums'; do
    name=" ${epilogue#* }[ ,\"]"
    EMU_REFUSE="plans ${epilogue% *}" run $tiny --json="$folder/one.json" &&
        grep -q 'is VALID' "$folder/out" && grep -q "$name" "$folder/all.json" &&
        ! grep -q "$name" "$folder/one.json" &&
        EMU_REFUSE="products ${epilogue% *}" run $tiny && grep -q 'is VALID' "$folder/out"
    ok "${epilogue#* } can be refused alone, when it is planned and when it is done"
done
export EMU_REFUSE
for refused in all plan; do
    EMU_REFUSE=$refused
    run $tiny
    [ $? -ne 0 ] && grep -q 'cuBLASLt has no product of bf16 to .*: an emulated error' \
        "$folder/out"
    ok "a product that nothing can do is named, in $refused"
done
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

# What MPI says of itself, in place of the one that is here: Open MPI that it was built for
# GPUs and has that on; MPICH that it supports them, which of Cray's is not enough.
cat >"$folder/said.h" <<'EOF'
#include <mpi.h>
#if __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#undef MPIX_CUDA_AWARE_SUPPORT
#undef MPIX_GPU_SUPPORT_CUDA
#ifdef OPEN_MPI_ALONE
#define MPIX_CUDA_AWARE_SUPPORT 1
#else
#define MPIX_GPU_SUPPORT_CUDA 0
#endif
#define says(what) (getenv(what) != NULL)
#define MPIX_Query_cuda_support() says("BUILT")
#define MPIX_GPU_query_support(kind, is) (*(is) = says("BUILT"), MPI_SUCCESS)
#define MPI_Get_library_version(text, length) \
    (*(length) = sprintf(text, "%s", says("CRAY") ? "CRAY MPICH" : "MPICH"))
#define MPI_T_cvar_get_index(name, at) \
    (*(at) = 0, strcmp(name, "opal_cuda_support") == 0 ? MPI_SUCCESS : MPI_ERR_OTHER)
#define MPI_T_cvar_handle_alloc(at, of, handle, count) (*(count) = 1, MPI_SUCCESS)
#define MPI_T_cvar_read(handle, value) (*(int *)(value) = says("ON"), MPI_SUCCESS)
#define MPI_T_cvar_handle_free(handle) 0
EOF
cat >"$folder/reach.c" <<'EOF'
#include "mesh/berth.h"
void mesh_mpi_died(int rc, const char *call)
{
    exit(rc + (call != NULL));
}
int main(void)
{
    puts(berth_mpi_reaches_gpus() ? "yes" : "no");
    return 0;
}
EOF
built() {
    $cc -include "$folder/said.h" "$1" -DHAVE_CONFIG_H -I"$build" -I"${srcdir:-.}" -O1 -w \
        -ffunction-sections -Wl,--gc-sections -o "$folder/reach" "$folder/reach.c" \
        "${srcdir:-.}/mesh/berth.c" >"$folder/out" 2>&1
}
# says yes|no WORD..: so says what was built, to which these are said.
says() {
    answer=$1
    shift
    [ "$(env "$@" "$folder/reach" 2>"$folder/out")" = "$answer" ]
}
built -DOPEN_MPI_ALONE && says yes BUILT= ON= && says no BUILT= && says no ON=
ok 'Open MPI reaches a GPU if it was built for that and has it on'
told=MPICH_GPU_SUPPORT_ENABLED
unset $told
built -DMPICH_ALONE && says yes BUILT= && says no ON= && says yes BUILT= CRAY= $told=1 &&
    says no BUILT= CRAY= $told=0 && says no BUILT= CRAY= && says no CRAY= $told=1 &&
    says yes BUILT= $told=0
ok "MPICH if it says so, and Cray's if it was told to, besides"
finish
