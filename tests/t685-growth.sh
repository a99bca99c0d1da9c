#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vitbench-growth: a line for every batch, number of tokens and width; its picture is
# drawn; bad options are refused.
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
growth=${srcdir:-.}/bench/vitbench-growth
VITBENCH=${top_builddir:-.}/vitbench
export VITBENCH

run() {
    sh "$growth" "$@" >"$folder/out" 2>&1 </dev/null
}

refused() {
    words=$1
    shift
    run "$@"
    [ $? -eq 2 ] && grep -q -- "$words" "$folder/out"
    ok "$* is refused: .. $words .."
}

refused 'not a number' --batches=1,many
refused 'no square' --batches=none --tokens=50
refused 'is set here' --batch=8
refused 'is set here' --batch 8
refused 'say --shape=VALUE' --shape mu
refused 'one at a time' --shape=mu,S
refused 'takes no steps' --shape=mu --batches=1 --tokens=none --widths=none --list-shapes
refused 'ends in .svg or .png' --out=x.pdf
refused 'nor a named shape' --shape=huge

run --help
grep -q -- '--shape=768' "$folder/out" && tail -n 1 "$folder/out" | grep -q '^All others' &&
    ! grep -q '.\{81\}' "$folder/out"
ok 'its help is whole, in 80 columns'

run --shape=mu --batches=1,2 --tokens=49 --widths=64,128 --threads=1
[ "$(grep -c '^\(batch\|tokens\|width\) .*[0-9]$' "$folder/out")" -eq 5 ] &&
    grep -q '^tokens *49 *83 *49 ' "$folder/out"
ok 'two batches, one number of tokens and two widths are five lines'

in_german run --shape=mu --batches=1 --tokens=none --widths=none --threads=1
grep -q '^batch ' "$folder/out" && [ ! -e "$folder/is_translated" ]
ok 'numbers are read and written with points in every language'

run --shape=mu --batches=none --tokens=none --widths=65536,64 --threads=1
[ $? -eq 0 ] && grep -q '^width *65536 .*SKIPPED not enough memory' "$folder/out" &&
    grep -q '^width *64 .*[0-9]$' "$folder/out"
ok 'a width that is too large for the memory says so, and the next one is measured'

# A vitbench whose steps take the seconds in its name.
steps_of() {
    cat >"$folder/$1" <<'EOF'
#!/bin/sh
for option; do
    case $option in --jsonl=*) lines=${option#*=} ;; esac
done
for s in $(basename "$0" | tr '-' ' '); do
    echo "{\"seconds\":$s,\"tokens_per_s\":$((120 / s)),\"mfu_measured\":0.$((6 / s))}"
done >"$lines"
EOF
    chmod +x "$folder/$1"
    VITBENCH=$folder/$1 run --batches=1 --tokens=none --widths=none
}
steps_of 6-1-2-3-3
grep -q '^batch  *1  *1  *256  *3  *40  *20.0$' "$folder/out"
ok 'of five steps the third counts'
steps_of 4-1-6-2
grep -q '^batch  *1  *1  *256  *3  *40  *20.0$' "$folder/out"
ok 'of four the mean of two'
steps_of 2
grep -q '^batch  *1  *1  *256  *2  *60  *30.0$' "$folder/out"
ok 'and one counts, too'

# A vitbench that does nothing until it is told to end, and says so.
cat >"$folder/vitbench" <<'EOF'
#!/bin/sh
trap 'echo told >"$0.told"; kill $!; exit 3' TERM
sleep 60 &
echo >"$0.runs"
wait
EOF
chmod +x "$folder/vitbench"
mkdir "$folder/tmp"
TMPDIR=$folder/tmp VITBENCH=$folder/vitbench sh "$growth" >"$folder/out" 2>&1 </dev/null &
await 10 test -f "$folder/vitbench.runs"
kill -TERM $!
wait $!
[ $? -eq 3 ] && [ -f "$folder/vitbench.told" ] && [ -z "$(ls "$folder/tmp")" ]
ok 'told to end it ends what it runs, and leaves nothing'

if [ -c /dev/full ]; then
    sh "$growth" --shape=mu --batches=1 --tokens=none --widths=none --threads=1 \
        >/dev/full 2>"$folder/out" </dev/null
    [ $? -eq 3 ] && [ "$(cat "$folder/out")" = 'vitbench-growth: the output cannot be written' ]
    ok 'a table that cannot be written ends with 3'
else
    skip 'a table that cannot be written ends with 3' 'there is no /dev/full'
fi

if command -v gnuplot >/dev/null 2>&1; then
    run --shape=mu --batches=1,2 --tokens=none --widths=none --threads=1 \
        --out="$folder/a user's.svg"
    grep -q 'tokens/s' "$folder/a user's.svg"
    ok 'the picture is drawn'
    run --out="$folder/nowhere/g.svg"
    [ $? -eq 3 ] && [ "$(wc -l <"$folder/out")" -eq 1 ] &&
        grep -q 'nowhere/g.svg cannot be written' "$folder/out"
    ok 'a picture that cannot be written is refused before anything is measured'
    ln -s /dev/full "$folder/full.svg"
    run --shape=mu --batches=1 --tokens=none --widths=none --threads=1 \
        --out="$folder/full.svg"
    [ $? -eq 3 ] && grep -q 'full.svg cannot be written$' "$folder/out"
    ok 'one that does not fit on the disk ends with 3'
    for step in 1 2; do
        echo "{\"step\": $step, \"loss\": 2, \"lr\": 1, \"grad_norm\": 1, \"peak_logit\": 1}"
    done >"$folder/log.jsonl"
    sh "${srcdir:-.}/src/train/vittrain-plot" "$folder/full.svg" "$folder/log.jsonl" \
        >"$folder/out" 2>&1
    [ $? -eq 3 ] && grep -q 'full.svg cannot be written$' "$folder/out"
    ok 'so does one of vittrain-plot'
else
    skip 'the picture is drawn' 'gnuplot is not installed'
fi
finish
