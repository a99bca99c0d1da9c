#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# vitdata as a user meets it: folders, lists and tables become sets; what is damaged or
# foreign is named, skipped and counted; bad input and a full disk end with one sentence
# and the right status, and leave no half-written file.
vitdata=${top_builddir:-.}/vitdata
data=${srcdir:-.}/tests/data
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
[ -x "$vitdata" ] || skip_all 'this build has no vitdata: HDF5 is missing'
for format in JPEG PNG; do
    grep -q "define HAVE_$format 1" "${top_builddir:-.}/config.h" ||
        skip_all "this build has no $format"
done

# run ARGUMENT..: leaves out, err; the status is that of vitdata.
run() {
    "$vitdata" "$@" >"$folder/out" 2>"$folder/err" </dev/null
}

# refused STATUS WORDS ARGUMENT..: one sentence with WORDS, and nothing on stdout.
refused() {
    wanted=$1
    words=$2
    shift 2
    run "$@"
    [ $? -eq "$wanted" ] && [ "$(wc -l <"$folder/err")" -eq 1 ] && [ ! -s "$folder/out" ] &&
        grep -q -- "$words" "$folder/err"
    ok "$* ends with $wanted and says .. $words .."
}

# says WORDS FILE
says() {
    grep -q -- "$1" "$folder/${2:-out}"
}

refused 2 'which command'
refused 2 'no command .pick.' pick x.h5
refused 2 'needs the name of a file' info
refused 2 'needs --from' pack "$folder/x.h5"
refused 2 'No such file' pack "$folder/x.h5" --from="$folder/none"
[ ! -e /proc/self/mem ] ||
    refused 3 'mem cannot be read: Input' pack "$folder/x.h5" --from=/proc/self/mem
refused 2 'unpack it first' pack "$folder/x.h5" --from=digits.csv.gz
refused 2 "is not for 'info'" info x.h5 --n=3
refused 2 'did you mean --from' pack x.h5 --fro=y
refused 2 'none.h5 cannot be read' info "$folder/none.h5"
refused 2 'is a folder: vitdata pack' info "$folder"
refused 3 'cannot be written' sheet /nonexistent/x.png --rows=1 --columns=1 --image=8
for option in --help --version; do
    run $option && [ -s "$folder/out" ] && [ ! -s "$folder/err" ]
    ok "$option prints"
done
run --help && awk 'length > 80 { exit 1 }' "$folder/out"
ok 'the help is 80 columns wide'

# a folder of classes, with files that are none
mkdir -p "$folder/in/red/more" "$folder/in/blue" "$folder/in/.hidden"
cp "$data/bars.jpg" "$folder/in/red/1.jpg"
cp "$data/bars.png" "$folder/in/red/more/2.png"
cp "$data/bars-grey.jpg" "$folder/in/blue/3.jpg"
head -c 300 "$data/bars.jpg" >"$folder/in/blue/4-cut.jpg"
echo text >"$folder/in/blue/5.txt"
: >"$folder/in/blue/6-empty.png"
echo text >"$folder/in/README"
ln -s nowhere "$folder/in/blue/7.jpg"
run pack "$folder/a.h5" --from="$folder/in" && says '3 images of 2 classes; skipped: 5'
ok 'a folder becomes a set'
says '4-cut.jpg is skipped: damaged JPEG' err && says '5.txt is skipped: neither' err &&
    says '6-empty.png is skipped' err && says 'README is skipped' err
ok 'what is skipped is named'
run info "$folder/a.h5" && says '^items *3 image files' && says '2 JPEG, 1 PNG, 0 neither' &&
    says '^classes *2, of 1 to 2' && says '^names *blue red$' && says 'verified$'
ok 'info describes and verifies it'
run pack "$folder/d.h5" --from="$folder/in" --decode=12 && run info "$folder/d.h5" &&
    says '^items *3 images' && says '12 wide, 12 high' && says 'verified$'
ok 'or a set of pixels'
run sheet "$folder/a.png" --data="$folder/a.h5" --rows=3 --columns=2 --image=16 \
    --augment=crop+flip && [ "$(head -c 4 "$folder/a.png" | tail -c 3)" = PNG ]
ok 'a sheet of it is drawn'
run sheet "$folder/b.png" --data="$folder/a.h5" --rows=8 --columns=2 --image=16 \
    --augment=crop+flip && cmp "$folder/a.png" "$folder/b.png"
ok 'with no more rows than images'
cp "$data/bars.jpg" "$folder/one.jpg"
echo 'one.jpg 0' >"$folder/one.txt"
run pack "$folder/one.h5" --from="$folder/one.txt" && run info "$folder/one.h5" &&
    says '^pictures *[0-9]* wide, [0-9]* high$' && says '^classes *1, of 1 item each$'
ok 'what all have alike is said once'
(
    ulimit -f 20
    run synth "$folder/large.h5" --n=40 --image=32
)
[ $? -eq 3 ] && says '^vitdata: .*large.h5.*: File too large$' err &&
    [ "$(find "$folder" -name 'large*' | wc -l)" -eq 0 ]
ok 'a set above the limit of files ends with 3 and a sentence, and leaves nothing'
refused 2 'too large: fewer --rows' sheet "$folder/x.png" --rows=9 --columns=9 --image=4000
refused 2 'is a name of a set' sheet "$folder/a.h5"
ln -s a.h5 "$folder/link"
refused 2 'is read, and would be written over' sheet "$folder/link" --data="$folder/a.h5"
refused 2 'is read, and would be written over' pack "$folder/in/README" --from="$folder/in/README"
mkdir "$folder/none"
refused 2 'no folders' pack "$folder/x.h5" --from="$folder/none"
mkdir "$folder/none/class"
refused 2 'no image' pack "$folder/x.h5" --from="$folder/none"

# lists
printf 'red/1.jpg 0\nred/more/2.png 1\n\n# more\nblue/3.jpg 2\nblue/5.txt 1\nred/1.jpg x\n' \
    >"$folder/in/list"
run pack "$folder/l.h5" --from="$folder/in/list" && says '3 images of 3 classes; skipped: 2' &&
    says 'line 7 is skipped' err
ok 'a list becomes a set'
printf 'red/1.jpg 0 4\nblue/3.jpg 2\n' >"$folder/in/many"
run pack "$folder/m.h5" --from="$folder/in/many" && run info "$folder/m.h5" &&
    says '^classes *5, of 0 to 1' && says '^labels *1.5 an item'
ok 'images of a list may have several labels'

# tables
printf 'a,b,c,d,label\n0,1,2,4,0\n4,4,4,4,1\n1,2,x,3,0\n1,2,3,0\n9,0,0,0,1\n1,1,1,1,-1\n' \
    >"$folder/t.csv"
run pack "$folder/t.h5" --from="$folder/t.csv" --csv-max=4 &&
    says '2 images of 2 classes; skipped: 4' && says 'line 4 is skipped: a value is no number' err &&
    says 'line 5 is skipped: it has more or fewer' err && says 'line 6 is skipped: a pixel' err &&
    says 'line 7 is skipped: the label' err
ok 'a table becomes a set, bad lines are named'
run info "$folder/t.h5" && says '2 wide, 2 high' && says 'verified$'
ok 'with its pixels'
{
    printf '\357\273\277'
    sed -n 2,3p "$folder/t.csv"
} >"$folder/u.csv"
run pack "$folder/u.h5" --from="$folder/u.csv" --csv-max=4 && says '2 images of 2 classes'
ok 'a mark of UTF-8 before it costs no line'
refused 2 'csv-max is for a table' pack "$folder/x.h5" --from="$folder" --csv-max=4
refused 2 'classes is for fractals' sheet "$folder/x.png" --data="$folder/a.h5" --classes=3
refused 2 'augment is for pictures' sheet "$folder/x.png" --data=noise --augment=flip
refused 2 'is for image files' pack "$folder/x.h5" --from="$folder/t.csv" --decode=8
printf '1,2,3,0\n' >"$folder/s.csv"
refused 2 'not a square' pack "$folder/x.h5" --from="$folder/s.csv"

# fractals
run synth "$folder/f.h5" --n=20 --classes=3 --image=16 && run info "$folder/f.h5" &&
    says '^items *20 images' && says 'verified$'
ok 'a set of fractals'
run synth "$folder/j.h5" --n=5 --classes=3 --image=16 --quality=80 && run info "$folder/j.h5" &&
    says '5 JPEG, 0 PNG'
ok 'and one of JPEG files'
run synth "$folder/f2.h5" --n=20 --classes=3 --image=16 && cmp -s "$folder/f.h5" "$folder/f2.h5"
ok 'the same again, to the byte'
run synth "$folder/g.h5" --n=1 --classes=1 --image=16 &&
    run sheet "$folder/g.png" --data="$folder/g.h5" --rows=1 --columns=1 --image=16 &&
    run sheet "$folder/h.png" --classes=1 --rows=1 --columns=1 --image=16 &&
    ! cmp -s "$folder/g.png" "$folder/h.png"
ok 'but other fractals than a run of that seed begins with'

# damage
head -c 3000 "$folder/f.h5" >"$folder/cut.h5"
refused 2 'cut.h5' info "$folder/cut.h5"
size=$(wc -c <"$folder/f.h5")
{
    head -c $((size / 2)) "$folder/f.h5"
    printf 'damage'
    tail -c +$((size / 2 + 7)) "$folder/f.h5"
} >"$folder/bad.h5"
run info "$folder/bad.h5"
[ $? -eq 2 ] && [ "$(wc -l <"$folder/err")" -eq 1 ] && says 'is damaged: its digest' err
ok 'a damaged set is found out by its digest'

# the benchmark of the input
vitbench=${top_builddir:-.}/vitbench
"$vitbench" --case=data --data="$folder/a.h5" --image=16 >"$folder/out" 2>"$folder/err" \
    </dev/null && [ "$(grep -cE '^  (read|decode|augment|file) .* ok$' "$folder/out")" -eq 4 ]
ok 'vitbench times reading, decoding, augmenting'
"$vitbench" --case=data --data="$folder/cut.h5" >"$folder/out" 2>"$folder/err" </dev/null
[ $? -eq 2 ] && grep -q 'cut.h5' "$folder/err"
ok 'and refuses a damaged set'

# two at once, and what a killed one has left
"$vitdata" synth "$folder/long.h5" --n=1000000 --classes=3 --image=64 >/dev/null 2>&1 &
first=$!
await 10 test -s "$folder/long.h5.part"
run synth "$folder/long.h5" --n=9 --classes=3 --image=32
[ $? -eq 3 ] && [ "$(wc -l <"$folder/err")" -eq 1 ] &&
    says "long.h5 is being written by another program, process $first" err &&
    [ -f "$folder/long.h5.part" ]
ok 'a set that another program is writing is left to it'
kill -KILL $first
wait $first 2>/dev/null
[ ! -e "$folder/long.h5" ] && run synth "$folder/long.h5" --n=9 --classes=3 --image=32 &&
    [ ! -e "$folder/long.h5.part" ] && [ ! -e "$folder/long.h5.lock" ]
ok 'and can be made anew when that was killed'

mkdir "$folder/odd.h5.lock"
refused 3 "odd.h5.lock cannot be written: Is a directory" \
    synth "$folder/odd.h5" --n=9 --classes=3 --image=32
rmdir "$folder/odd.h5.lock"
if [ -d /sys ] && ! run synth /sys/odd.h5 --n=9 --classes=3 --image=32; then
    says 'sys/odd.h5 cannot be written: [PRO]' err
    ok 'where nothing can be made, the sentence is why'
else
    skip 'where nothing can be made, the sentence is why' 'no /sys'
fi
"$vitdata" synth "$folder/odd.h5" --n=9 --classes=3 --image=32 <&- >/dev/null &&
    [ ! -e "$folder/odd.h5.lock" ]
ok 'no lock stays, also of a program whose input is closed'

# a process that this one cannot see is one of another host
cat >"$folder/away" <<'END'
"$1" synth "$2/far.h5" --n=9 --classes=3 --image=32 >"$2/out" 2>"$2/err"
END
if unshare --user --map-root-user --pid --fork true 2>/dev/null; then
    "$vitdata" synth "$folder/far.h5" --n=1000000 --classes=3 --image=64 \
        >/dev/null 2>&1 &
    first=$!
    await 10 test -s "$folder/far.h5.part"
    unshare --user --map-root-user --pid --fork sh "$folder/away" "$vitdata" "$folder" &
    second=$!
    await 10 says 'waiting up to' err
    kill -KILL $first
    wait $second && says 'far.h5 is locked from elsewhere; waiting up to 120 s' err &&
        [ -s "$folder/far.h5" ] && [ ! -e "$folder/far.h5.lock" ]
    ok 'a lock from elsewhere is waited for'
else
    skip 'a lock from elsewhere is waited for' 'namespaces are not allowed here'
fi

# a full disk, here a limit on the size of files
(
    trap '' XFSZ
    ulimit -f 20
    run synth "$folder/full.h5" --n=100 --classes=3 --image=32
)
[ $? -eq 3 ] && [ "$(wc -l <"$folder/err")" -eq 1 ] && says 'full.h5' err &&
    [ ! -e "$folder/full.h5" ] && [ ! -e "$folder/full.h5.part" ]
ok 'a full disk is said, and nothing is left'

finish
