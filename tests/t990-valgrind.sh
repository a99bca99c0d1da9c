#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# A tiny run of vitbench on two ranks under valgrind's memcheck: no invalid access, no
# decision on bytes that nobody wrote, nothing lost.  oneDNN's copying loops are so long
# that valgrind can take only a part of one at a time.
# RUN long
build=${top_builddir:-.}
if [ -z "$VALGRIND" ]; then
    echo "1..0 # SKIP valgrind is missing"
    exit 0
fi
if [ ! -x "$build/vitbench" ]; then
    echo "1..0 # SKIP vitbench is not built"
    exit 0
fi
# Open MPI says which of its own doings are harmless.
suppressions=
for file in /usr/share/openmpi/openmpi-valgrind.supp \
    "$(dirname "$(dirname "$(command -v "$MPIEXEC")")")/share/openmpi/openmpi-valgrind.supp"
do
    [ -f "$file" ] && suppressions=--suppressions=$file
done
for mesh in 1x2 2x1; do
    "$MPIEXEC" -n 2 "$VALGRIND" -q --error-exitcode=9 --keep-debuginfo=yes \
        --leak-check=full --show-leak-kinds=definite \
        --errors-for-leak-kinds=definite --vex-guest-max-insns=25 $suppressions \
        --suppressions="${srcdir:-.}/tests/valgrind.supp" \
        "$build/vitbench" --shape=50/2/70/5 --image=28 --classes=10 --batch=4 \
        --mesh=$mesh --steps=1 --warmup=1 >valgrind-$mesh.out 2>&1
    status=$?
    if [ $status -eq 0 ] && ! grep -q '^==[0-9]*== ' valgrind-$mesh.out; then
        echo "ok - a $mesh mesh is clean"
    else
        echo "not ok - a $mesh mesh is clean (exit status $status)"
        sed 's/^/# /' valgrind-$mesh.out
    fi
    rm -f valgrind-$mesh.out
done
echo "1..2"
