#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The layer line, read from the includes:
#
#   base < plan < dev < mesh < io < {vit, data, optim, ckpt} < step
#        < {bench, train, eval, exchange, fit, jobs}
#
# A file includes its own layer or a lower one; siblings do not include each other.
# Also: vendor headers stay in their place, files and their lines stay short, every source
# is listed for the build, and every mutant of tests/mutants.sh still changes its file.
cd "${srcdir:-.}" || exit 99

count=0
status=0
# check SENTENCE BREACHES: there must be none.
check() {
    count=$((count + 1))
    if [ -z "$2" ]; then
        echo "ok $count - $1"
    else
        echo "not ok $count - $1"
        echo "$2" | sed 's/^/# /'
        status=1
    fi
}

sources=$(find src mesh ckpt bench jobs -name '*.[ch]' -o -name '*.cu' -o -name '*.cuh' |
    grep -vE '/(version-git\.h|schema\.c)$' | sort)
tests=$(find tests -name '*.[ch]' -o -name '*.sh')

# "file included" for each of our own includes, then those that break the line.
crossings() {
    grep -H '^ *# *include *"' $sources |
        sed 's/^\([^:]*\):[^"]*"\([^"]*\)".*/\1 \2/' |
        ${AWK:-awk} '
        function layer(path,   part) {
            split(path, part, "/")
            return part[1] == "src" ? part[2] : part[1]
        }
        BEGIN {
            n = split("base plan dev mesh io vit,data,optim,ckpt step " \
                      "bench,train,eval,exchange,fit,jobs", level, " ")
            for (i = 1; i <= n; i++) {
                m = split(level[i], names, ",")
                for (j = 1; j <= m; j++)
                    height[names[j]] = i
            }
        }
        $2 == "config.h" { next }
        {
            from = layer($1)
            to = layer($2)
            if (!(from in height) || !(to in height))
                print $1 " includes " $2 ", which is in no layer"
            else if (from != to && height[to] >= height[from])
                print $1 " (" from ") includes " $2 " (" to ")"
        }'
}

# vendor HEADER ALLOWED: the files outside ALLOWED (a pattern) that include HEADER.
vendor() {
    check "$1 is included only in its place" \
        "$(grep -lE "^ *# *include *[<\"]$1" $sources | grep -vE "$2")"
}

unlisted() {
    for file in $sources $tests; do
        case $file in
        tests/t[0-9]*.c | tests/schema_check.c) file=${file%.c} ;;
        esac
        cat src/*/Makemodule.am ./*/Makemodule.am |
            grep -qE "(^|[[:space:]])$file([[:space:]]|\$)" || echo "$file"
    done
}

# Operations of devices that no machine file can name; gemm_gradients is two of them.
nameless() {
    ${AWK:-awk} '/^void dev_[a-z_]*\(/ { name = substr($2, 5); sub(/\(.*/, "", name) }
        /^ +(OPERATE|MOVE|MULTIPLY|ATTEND)\(s/ { print name }' src/dev/dev_ops.c src/dev/picture.c |
        while read -r name; do
            [ "$name" = gemm_gradients ] ||
                grep -q "[\" ]$name[\",]" src/plan/machine_file.c || echo "$name"
        done
}

wide() {
    ${AWK:-awk} 'length > 88 { print FILENAME ":" FNR " has " length " columns" }' \
        $sources $(find tests -name '*.[ch]' -o -name '*.cc')
}

mutant() {
    edited=$(sed "$3" "$2" 2>/dev/null) && [ "$edited" != "$(cat "$2")" ] || echo "$2: $1"
}

check "no file includes a higher layer or a sibling" "$(crossings)"
vendor 'mpi\.h' '^(mesh|src/(io|vit|data|optim|step|train|eval|exchange)|ckpt|bench)/'
vendor 'blis\.h' '^src/dev/(cpu_)?blis'
vendor 'hdf5\.h' '^src/io/'
vendor 'cuda' '^src/dev/cuda'
vendor 'dnnl' '^src/dev/cpu_onednn'
vendor 'zip\.h' '^src/exchange/npz'
vendor 'omp\.h' '^src/dev/|^bench/'
check "every C file includes config.h" \
    "$(grep -L '^#include "config.h"' $sources | grep '\.c$')"
check "no file has 600 lines" "$(wc -l $sources $tests |
    ${AWK:-awk} '$2 != "total" && $1 >= 600 { print $2 " has " $1 " lines" }')"
check "no line of C has more than 88 columns" "$(wide)"
check "machine files may name every operation" "$(nameless)"
check "every file is listed for the build" "$(unlisted)"
check "no sentence of a verdict runs a command, which would set what is judged" \
    "$(grep -nE '^[[:space:]]*ok .*\$\(' tests/*.sh)"
check "every mutant is an edit" "$(. tests/mutants.sh)"

echo "1..$count"
exit $status
