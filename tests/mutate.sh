#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Do the tests see small errors?  Usage: mutate.sh [LIST SOURCE], in a build folder that is
# up to date.
#
# Copies the sources, makes one small edit at a time, builds the tests named beside it and
# runs them.  A mutant is killed when one of them fails, having passed without the edit.
# One that survives, does not compile, or is no different from the original fails this
# script.  Takes up to half a minute a mutant.  With SOURCE, which is this build's alone,
# edits are made there.
set -u
list=${1:-mutants.sh}
source=${2:-../source}
if [ $# -eq 0 ]; then
    options=$(./config.status --config) || exit 99
    rm -rf mutants
    mkdir -p mutants/build
    make distdir distdir=mutants/source >mutants/distdir.log 2>&1 || exit 99
    cd mutants/build || exit 99
    eval "../source/configure $options CFLAGS='-g -O1'" >configure.log 2>&1 || exit 99
    make -j2 check TESTS= >make.log 2>&1 || exit 99
fi

killed=0
failed=0
clean=

# failure_of TEST SECONDS: the first verdict that says it failed, or ran for so long.
failure_of() {
    srcdir=$source MPIEXEC=${MPIEXEC:-mpiexec} TEST_TIMEOUT=$2 \
        sh "$source/tests/run.sh" "tests/$1" 2>&1 | grep -a -m 1 '^not ok'
}

# Every test passes as long as nothing is edited.  A mutant's may take a minute, and four
# times as long: what ends later hangs, and is not only disturbed.
need_clean() {
    for test in "$@"; do
        case " $clean " in *" $test "*) continue ;; esac
        make "tests/$test" >make.log 2>&1 || exit 99
        start=$(date +%s)
        if failure=$(failure_of "$test" 600); then
            echo "$test fails without any edit: $failure"
            exit 99
        fi
        echo $((60 + 4 * ($(date +%s) - start))) >"limit-$test"
        clean="$clean $test"
    done
}

# Build and run tests until one fails, and say which in $verdict.
judge() {
    if cmp -s original "$file"; then
        verdict='NOT AN EDIT'
    elif ! make -j2 $(printf 'tests/%s ' "$@") >make.log 2>&1; then
        verdict='DOES NOT COMPILE'
    else
        for test in "$@"; do
            if failure=$(failure_of "$test" "$(cat "limit-$test")"); then
                verdict="$test, ${failure#not ok }"
                return 0
            fi
        done
        verdict="SURVIVED $*"
    fi
    return 1
}

# mutant WHAT FILE SED-EXPRESSION TEST ..
mutant() {
    what=$1
    file=$source/$2
    edit=$3
    shift 3
    need_clean "$@"
    printf '%s: %s\n' "${file#"$source"/}" "$what"
    cp -p "$file" original
    sed "$edit" original >"$file"
    if judge "$@"; then
        killed=$((killed + 1))
    else
        failed=$((failed + 1))
    fi
    printf '    %.100s\n' "$verdict"
    cat original >"$file"
}

# shellcheck source=tests/mutants.sh
. "$source/tests/$list"

rm -f original
echo "$killed killed, $failed not"
[ $failed -eq 0 ]
