#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vitbench-scaling: its tables have a line for every number of ranks that fits, with the
# simulated times beside the model's; its pictures are drawn; bad options are refused.
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
scaling=${srcdir:-.}/bench/vitbench-scaling
VITBENCH=${top_builddir:-.}/vitbench
VIT_MACHINES=${srcdir:-.}/src/plan/machines
export VITBENCH VIT_MACHINES

run() {
    sh "$scaling" "$@" >"$folder/out" 2>&1 </dev/null
}

refused() {
    words=$1
    shift
    run "$@"
    [ $? -eq 2 ] && grep -q -- "$words" "$folder/out"
    ok "$* is refused: .. $words .."
}

refused 'says where' --kind=weak
refused 'expected weak, strong or both' --machine=h200 --kind=both-ways
refused 'not a number' --machine=h200 --ranks=many
refused 'is set here' --machine=h200 --batch=8
refused 'is set here' --machine=h200 --no-dry-run
refused 'say --shape=VALUE' --machine=h200 --shape mu
refused 'say --ranks=VALUE' --machine=h200 --ranks 4
refused 'is above --ranks=8' --machine=h200 --first=16 --ranks=8
refused 'one at a time' --machine=h200 --shape=22B,So400m
refused 'ends in .svg or .png' --machine=h200 --out=x.pdf
refused 'neither a machine file' --machine=nowhere
refused 'nor a named shape' --machine=h200 --shape=huge

run --help
grep -q -- '--out=FILE' "$folder/out" && tail -n 1 "$folder/out" | grep -q '^All others' &&
    ! grep -q '.\{81\}' "$folder/out"
ok 'its help is whole, in 80 columns'

run --machine=h200 --shape=So400m --ranks=8 --kind=weak
[ "$(grep -c ' ring \| plain \| bidir ' "$folder/out")" -eq 4 ] &&
    grep -q '^ *8 .* [0-9.]* *- *-$' "$folder/out"
ok 'So400m on 1 to 8 GPUs are four lines, none simulated'
! grep -q '.\{81\}' "$folder/out"
ok 'of 80 columns'

in_german run --machine=h200 --shape=So400m --ranks=1 --kind=weak
grep -q ' 1x1 ' "$folder/out" && [ ! -e "$folder/is_translated" ]
ok 'numbers are read and written with points in every language'

run --machine=h200 --ranks=2
[ $? -eq 3 ] && grep -q '^Strong scaling of 22B on h200: 16 images' "$folder/out" &&
    tail -n 1 "$folder/out" | grep -q '^vitbench-scaling: nothing fits'
ok '22B, which it takes by itself, does not fit on two: status 3'

sed '/"bf16": 989/d; s/\("f32": 67[0.]*\),/\1/' "$VIT_MACHINES/h200.json" \
    >"$folder/peakless.json"
! grep -q '"bf16": 9' "$folder/peakless.json" &&
    run --machine="$folder/peakless.json" --shape=So400m --ranks=1 --kind=weak &&
    grep -q '^ *1 1x1 .* n/a  *0.0  *100.0 ' "$folder/out"
ok 'without a peak there is no MFU'

run --machine=h200 --shape=So400m --ranks=4 --kind=strong --images=1 --micro-batches=2
[ $? -eq 0 ] && grep -q '^ *4 2x2 ' "$folder/out"
ok 'micro-batches go where there are images enough'

# A simulator that always says two seconds.
cat >"$folder/sim" <<'EOF'
#!/bin/sh
for option; do
    case $option in --json=*) echo '  "median": 2.0,' >"${option#*=}" ;; esac
done
EOF
chmod +x "$folder/sim"
VITBENCH_SIM_PROGRAM=$folder/sim run --machine=h200 --shape=22B --ranks=16 --first=8 \
    --simulate=8 --kind=strong --images=4
grep -q '^ *8 .* 2  *[-+][0-9.]*$' "$folder/out" && grep -q '^ *16 .* -  *-$' "$folder/out"
ok 'what was simulated stands beside the model'

if [ -c /dev/full ]; then
    sh "$scaling" --machine=h200 --shape=B --ranks=2 --kind=weak \
        >/dev/full 2>"$folder/out" </dev/null
    [ $? -eq 3 ] && [ "$(cat "$folder/out")" = 'vitbench-scaling: the output cannot be written' ]
    ok 'a table that cannot be written ends with 3'
else
    skip 'a table that cannot be written ends with 3' 'there is no /dev/full'
fi

if command -v gnuplot >/dev/null 2>&1; then
    run --machine=frontier --shape=B --ranks=16 --out="$folder/a user's.svg" &&
        grep -q 'strong scaling' "$folder/a user's.svg" && grep -q '</svg>' "$folder/a user's.svg"
    ok 'a picture is drawn'
    ln -s /dev/full "$folder/full.svg"
    run --machine=frontier --shape=B --ranks=2 --kind=weak --out="$folder/full.svg"
    [ $? -eq 3 ] && grep -q 'full.svg cannot be written$' "$folder/out"
    ok 'one that does not fit on the disk ends with 3'
else
    skip 'a picture is drawn' 'gnuplot is missing'
fi
finish
