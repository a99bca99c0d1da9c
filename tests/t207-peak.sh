#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The loops that measure a processor's peak do all the multiply-adds that they count: what
# the compiler proves to be constant it drops, and the peak seems higher than it is.
. "${srcdir:-.}/tests/tap.sh"

command -v objdump >/dev/null 2>&1 || skip_all "objdump is missing"
vitbench=${top_builddir:-.}/vitbench
[ -f "$vitbench" ] || skip_all "vitbench is not built"
objdump -d --no-show-raw-insn "$vitbench" >"$folder/code"

# multiplies FUNCTION: how many of its instructions multiply.
multiplies() {
    ${AWK:-awk} -v name="<$1>:" '$2 == name { is_in = 1; next } /^$/ { is_in = 0 }
        is_in && /vfmadd|mulp[sd]|vdpbf16ps|tdpbf16ps|fmla/ { n++ } END { print n + 0 }' "$folder/code"
}

# sums_of NAME: the constant.
sums_of() {
    sed -n "s/^enum {.* $1 = \([0-9]*\)[, ].*/\1/p" "${srcdir:-.}/src/dev/cpu_peak.c"
}

all=$(sums_of SUMS)
grep -q 'file format .*aarch64' "$folder/code" && all=$(sums_of ARM_SUMS)
for loop in fma_f32 fma_f64 mul_f32_avx mul_f64_avx fma_f32_avx2 fma_f64_avx2 \
    fma_f32_avx512 fma_f64_avx512 dot_bf16 tile_bf16 fma_f32_sve fma_f64_sve; do
    sums=$all
    [ $loop = tile_bf16 ] && sums=$(sums_of TILE_SUMS)
    n=$(multiplies $loop)
    if [ "$n" -le 1 ]; then
        skip "$loop multiplies $sums times a turn" "not there, or not unrolled"
        continue
    fi
    [ "$n" -eq "$sums" ]
    ok "$loop multiplies $sums times a turn: $n"
done
finish
