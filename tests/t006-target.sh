#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A program that was compiled for instructions that the processor lacks ends with 3 and a
# sentence before main(): valgrind is such a processor, without AVX-512 or SVE.
# shellcheck disable=SC2086
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
build=${top_builddir:-.}
cc=$(sed -n 's/^CC = //p' "$build/Makefile")
[ -n "$VALGRIND" ] || skip_all 'valgrind is missing'
cat >"$folder/main.c" <<END
#include <stdio.h>
int main(void)
{
    puts("begun");
    return 0;
}
END

# starts FLAGS: what compiled with FLAGS says; its status in 'status'.
starts() {
    $cc $1 -DBUILD_CFLAGS="\"$1\"" -I"$build" -I"${srcdir:-.}" "${srcdir:-.}/src/base/target.c" "$folder/main.c" \
        -o "$folder/program" >"$folder/out" 2>&1 ||
        skip_all "the compiler does not take $1"
    "$VALGRIND" -q "$folder/program" >"$folder/out" 2>&1
    status=$?
}

starts '-O3'
[ $status -eq 0 ] && [ "$(cat "$folder/out")" = begun ]
ok 'a program for any processor starts'
new=-mavx512f lacks=avx512f
case $($cc -dumpmachine) in
aarch64*) new=-march=armv8.2-a+sve lacks='[a-z0-9]*' ;; # fp16 perhaps
esac
starts "-O3 $new"
[ $status -eq 3 ] && grep -q "^program: this processor has no $lacks, " "$folder/out" &&
    [ "$(wc -l <"$folder/out")" -eq 1 ]
ok 'one that may use what the processor lacks says so and ends with 3'
grep -q "(CFLAGS -O3 $new): build" "$folder/out"
ok 'with the flags that allowed it'

# The flags of this make, not those that configure was given.
MAKEFLAGS='' make -n -C "$build" -W "${srcdir:-.}/bench/env.c" bench/env.lo \
    CFLAGS='-O1 -DNAME=1' >"$folder/out" 2>&1
grep -q -e "'-DBUILD_CFLAGS=\"-O1 -DNAME=1\"'" "$folder/out"
ok 'a report names the flags that it was compiled with'
finish
