# shellcheck shell=sh disable=SC2016
# SPDX-License-Identifier: BSD-3-Clause
# Test Anything Protocol for scripts that source this: '. "${srcdir:-.}/tests/tap.sh"'.
# What a command under test says goes to $folder/out, and perhaps $folder/err; the end of
# it is shown where a test fails.
folder=$(mktemp -d) || exit 99
trap 'rm -rf "$folder"' EXIT
trap 'exit 99' HUP INT TERM
count=0

# ok SENTENCE: the verdict is the last command's.
ok() {
    if [ $? -eq 0 ]; then verdict=ok; else verdict='not ok'; fi
    count=$((count + 1))
    echo "$verdict $count - $1"
    [ "$verdict" = ok ] || for said in "$folder/out" "$folder/err"; do
        [ ! -f "$said" ] || tail -n 30 "$said" | sed 's/^/# /'
    done
}

# skip SENTENCE REASON
skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}

note() {
    echo "# $1"
}

skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

finish() {
    echo "1..$count"
}

# await SECONDS COMMAND..: again and again until it succeeds, so long at most.
await() {
    tries=$((10 * $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ $tries -gt 0 ] || return 1
        tries=$((tries - 1))
        sleep 0.1
    done
}

# json_after FILE WORDS NAME: in JSON with a value a line, the first value of NAME after
# a line with WORDS.
json_after() {
    ${AWK:-awk} -v words="$2" -v name="\"$3\":" '
        index($0, words) { is_there = 1 }
        is_there && $1 == name { sub(/,$/, "", $2); print $2; exit }' "$1"
}

# in_german COMMAND..: by a user whose numbers have commas; the file "is_translated" is
# there if an awk that was called would have seen any.
in_german() {
    cat >"$folder/awk" <<EOF
#!/bin/sh
[ "\$LC_ALL" = C ] || touch "$folder/is_translated"
exec ${AWK:-awk} "\$@"
EOF
    chmod +x "$folder/awk"
    (
        LC_ALL=de_DE.UTF-8 AWK=$folder/awk
        export LC_ALL AWK
        "$@"
    )
}

# holds EXPRESSION: of numbers, as awk understands them.
holds() {
    ${AWK:-awk} "BEGIN { exit !($1) }"
}
