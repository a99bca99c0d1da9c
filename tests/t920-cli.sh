#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The command line of vitbench as a user meets it: bad input is refused in one sentence
# from one rank with the right status on all, alone and on two ranks; what runs nothing
# needs no mpirun and prints once.
vitbench=${top_builddir:-.}/vitbench
mpiexec=${MPIEXEC:-mpiexec}
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"

# run RANKS ARGUMENT..: leaves out, err, and the status of every rank, sorted, in status.
run() {
    ranks=$1
    shift
    "$mpiexec" -n "$ranks" sh -c '"$@" || status=$?; echo "::${status:-0}" >&2' \
        sh "$vitbench" "$@" >"$folder/out" 2>"$folder/all" </dev/null
    sed -n 's/^::\(.*\)/\1/p' "$folder/all" | sort | tr '\n' ' ' >"$folder/status"
    grep '^vitbench' "$folder/all" | grep -v ' times mean' >"$folder/err"
}

# refused STATUS WORDS ARGUMENT..: on one rank and on two.
refused() {
    wanted=$1
    words=$2
    shift 2
    for n in 1 2; do
        run $n "$@"
        case $n in 1) statuses="$wanted " ;; 2) statuses="$wanted $wanted " ;; esac
        [ "$(cat "$folder/status")" = "$statuses" ] && [ "$(wc -l <"$folder/err")" -eq 1 ] &&
            grep -q -- "$words" "$folder/err"
        ok "np=$n: $* ends with $wanted and says .. $words .."
    done
}

refused 2 'nor a named shape' --shape=23B
refused 2 'did you mean --shape' --shap=B
refused 2 'DxM' --mesh=2by2
refused 2 'from 0' --shape=mu --layers=-1
refused 2 'whole number' --shape=mu --steps=many
refused 2 'whole number' --shape=mu --batch=999999999999999999999
refused 2 'cannot be divided into 4 heads' --shape=50/1/70/4
refused 2 'is for f32 on a GPU' --shape=mu --tf32
refused 2 'is for 6 ranks' --shape=mu --mesh=3x2
refused 3 'cannot be written' --shape=mu --steps=1 --json=/nowhere/at/all.json
refused 3 'cannot be written' --shape=mu --steps=1 --jsonl=/
refused 2 'same file' --shape=mu --steps=1 --json=one.json --jsonl=./one.json
refused 3 'cannot be written' --shape=mu --steps=1 --trace=/nowhere/at/all.json
refused 2 'there is no such folder' --shape=mu --case=ckpt --out="$folder/scrach"
refused 3 'not enough memory' --shape=983040/100/983040/3840 --classes=10

run 2 --shape=mu --mesh=2x1 --batch=1
[ "$(cat "$folder/status")" = '2 2 ' ] && grep -q 'too small for 2 data ranks' "$folder/err"
ok 'fewer images than data ranks are refused'
run 4 --shape=mu --mesh=1x4
[ "$(cat "$folder/status")" = '2 2 2 2 ' ] && grep -q 'too many for the 2 heads' "$folder/err"
ok 'more model ranks than heads are refused'

run 2 --case=coll,block --shape=mu --batch=2 --dtype=bf16:emulate --ring-wire=f32 \
    --sizes=8:8:2 --seconds=0.01
grep -q '^  run  *f32 on cpu:emulate, overlap' "$folder/out" &&
    grep -q '^  run  *bf16 on cpu:emulate, overlap' "$folder/out" &&
    [ "$(grep -c 'partial sums in f32' "$folder/out")" -eq 1 ]
ok 'collectives are of f32, also beside a model in bf16'

if grep -q '^#define HAVE_ONEDNN 1' "${top_builddir:-.}/config.h"; then
    DNNL_MAX_CPU_ISA=AVX2 run 2 --shape=mu --device=cpu:onednn --dtype=bf16 --steps=1
    [ "$(cat "$folder/status")" = '3 3 ' ] && grep -q 'bf16 needs' "$folder/err"
    ok 'bf16 is refused where oneDNN may not use AVX-512'
fi

VITBENCH_SHAPPE=mu run 2
[ "$(cat "$folder/status")" = '2 2 ' ] && grep -q 'did you mean VITBENCH_SHAPE' "$folder/err"
ok 'an unknown variable of ours in the environment is refused'
VITBENCH_STEPS=-1 run 2 --shape=mu
[ "$(cat "$folder/status")" = '2 2 ' ] && grep -q 'from VITBENCH_STEPS' "$folder/err"
ok 'a bad value there, too, with its name'

for option in --help --version --list-shapes --print-config --schema '--dry-run --shape=mu'; do
    $vitbench $option >"$folder/out" 2>"$folder/err" </dev/null && [ -s "$folder/out" ] &&
        [ ! -s "$folder/err" ] && cp "$folder/out" "$folder/alone"
    ok "$option needs no mpirun"
    run 2 $option
    [ "$(cat "$folder/status")" = '0 0 ' ] && cmp -s "$folder/out" "$folder/alone"
    ok "$option prints once on two ranks"
done
# All that is installed: programs that are not built are passed over.  Leaves how many
# there are, and the statuses other than 0.
everything() {
    programs=0
    statuses=
    for program in vitbench vittrain vitprobe vitckpt vitdata vitfit vitbench-sim; do
        program=${top_builddir:-.}/$program
        [ -x "$program" ] || continue
        programs=$((programs + 1))
        "$program" "$1" || statuses="$statuses $?"
    done
    for script in bench/vitbench-growth bench/vitbench-scaling src/train/vittrain-plot; do
        programs=$((programs + 1))
        PATH=${top_builddir:-.}:$PATH sh "${srcdir:-.}/$script" "$1" || statuses="$statuses $?"
    done
}

everything --help >"$folder/out" 2>"$folder/err" </dev/null
[ -z "$statuses" ] && [ ! -s "$folder/err" ] && awk 'length > 80 { exit 1 }' "$folder/out"
ok 'the help of every program is 80 columns wide'
everything --version >"$folder/out" 2>&1 </dev/null
[ "$(wc -l <"$folder/out")" -eq $programs ] &&
    ! grep -qv '^vit[a-z-]* [0-9.]* (git ' "$folder/out"
ok 'and each says its version in a line'
refused 2 '--help lists them' -h

run 2 --shape=mu --steps=2 --no-check --json="$folder/r.json" --jsonl="$folder/r.jsonl"
[ "$(cat "$folder/status")" = '0 0 ' ] && [ "$(wc -l <"$folder/r.jsonl")" -eq 2 ]
ok 'two steps are run, and two lines written'
# figures NAME FILE: the numbers of that name, one a line.
figures() {
    sed -n "s/.*\"$1\": *\([0-9.e+-]*\).*/\1/p" "$2"
}
for step in min max; do
    figures $step "$folder/r.json" | head -n 1 # the first are those of the steps
done >"$folder/wanted"
figures seconds "$folder/r.jsonl" | sort -g >"$folder/found"
paste "$folder/wanted" "$folder/found" | awk '{ if ($1 - $2 > 1e-9 || $2 - $1 > 1e-9) exit 1 }'
ok 'each with the time of its slowest rank, as the statistics have it'
tail -n 1 "$folder/out" | grep -q '^Final Summary::vitbench result is NOT CHECKED with a rating of='
ok 'the last line says NOT CHECKED'
# model FLOP/s over ranks and the peak that is printed: of GFLOP/s "meas%", both rounded.
awk '$1 == "!step" { rate = $NF; said = $(NF - 1) }
    $1 == "work" { for (i = 2; i < NF; i++) if ($i == "peak") peak = $(i + 1) }
    END { off = 100 * rate / 2 / peak - said; most = 0.05 + said * 0.06 / peak
        exit !(peak > 0 && off < most && off > -most) }' \
    "$folder/out"
ok 'its share of the peak is that of the peak that it says'
for name in flops_per_step median peak_measured mfu_measured; do
    figures $name "$folder/r.json" | head -n 1
done | paste -s | awk '{ off = $1 / ($2 * 2 * $3) / $4 - 1; exit !($4 > 0 && off * off < 1e-12) }'
ok 'and the one in the JSON beside it'
grep -q '"valid": false' "$folder/r.json"
ok 'and the JSON that it is not valid'
"${top_builddir:-.}/tests/schema_check" "${srcdir:-.}/bench/schema.json" "$folder/r.json" \
    >"$folder/out" 2>&1
ok 'the JSON obeys the schema'

run 2 --shape=mu --mesh=1x2 --steps=2 --seconds=0.1 --require-overlap=1 \
    --trace="$folder/t.json"
[ "$(cat "$folder/status")" = '1 1 ' ] && grep -q 'hidden share of .*: n/a' "$folder/out"
ok 'a bar of overlap that cannot be told ends with 1'
grep -q '"name":"rank 1 (0, 1)' "$folder/t.json"
ok 'and a trace is written'
if [ -c /dev/full ]; then
    run 1 --shape=mu --steps=1 --trace=/dev/full --json="$folder/r.json"
    [ "$(cat "$folder/status")" = '3 ' ] && grep -q '0 passed, 1 failed' "$folder/out" &&
        grep -q '^      "status": "fail"' "$folder/r.json"
    ok 'a case that an error breaks off has not passed'
    "$vitbench" --shape=mu --seconds=1000 >/dev/full 2>"$folder/err" </dev/null
    [ $? -eq 3 ] && grep -q 'output cannot be written' "$folder/err"
    ok 'a run that nobody can hear ends before its steps, with 3'
    everything --help >/dev/full 2>"$folder/err" </dev/null
    [ "$(echo "$statuses" | tr -d '3 ')" = '' ] && [ "$(echo "$statuses" | wc -w)" -eq $programs ]
    ok 'so does help'
else
    skip 'a case that an error breaks off has not passed' 'there is no /dev/full'
    skip 'a run that nobody can hear ends before its steps, with 3' 'nor here'
    skip 'so does help' 'nor here'
fi
"$vitbench" --shape=mu --seconds=1000 2>"$folder/err" <&- >&-
[ $? -eq 3 ] && grep -q 'output cannot be written' "$folder/err"
ok 'or where its streams are closed: no file of MPI takes their numbers'
# On a busy machine a step of a millisecond may pass undisturbed, and the measured peak not,
# which takes longer: then the step is too fast to be VALID.  These take longer, too.
run 2 --shape=mu --mesh=1x2 --batch=64 --steps=2 --seconds=0.1 --overlap=bidir \
    --progress=thread --no-tune
[ "$(cat "$folder/status")" = '0 0 ' ] && grep -q 'overlap bidir, progress thread' "$folder/out"
ok 'rings both ways, pushed by a thread'
for limit in OMP_THREAD_LIMIT=1 OMP_DYNAMIC=true OMP_MAX_ACTIVE_LEVELS=0; do
    env $limit "$vitbench" --shape=mu --image=64 --batch=64 --steps=1 --no-tune \
        --threads=4 >"$folder/out" 2>"$folder/err" </dev/null
    ok "with $limit a run of four threads passes its checks"
    said=$(awk '$1 == "threads" { print $2 }' "$folder/out")
    [ "$limit" = OMP_DYNAMIC=true ] || [ "$said" = 1 ]
    ok "and says how many there are: $said"
done
# threads_of VARIABLE=VALUE..: as a run with them says.
threads_of() {
    env "$@" "$vitbench" --shape=mu --steps=1 --no-check --no-tune 2>"$folder/err" \
        </dev/null | awk '$1 == "threads" { print $2 }'
}
free=$(threads_of OMP_PROC_BIND=false)
for bind in OMP_PROC_BIND=close OMP_PROC_BIND=true OMP_PLACES=cores; do
    bound=$(threads_of $bind)
    [ -n "$bound" ] && [ "$bound" = "$free" ]
    ok "with $bind a rank has as many threads: $bound"
done
why='the core of a rank that it shares with other work is named'
if [ -r /proc/self/schedstat ] && command -v taskset >/dev/null; then
    core=$(taskset -cp $$ | sed 's/.*: \([0-9]*\).*/\1/')
    bound=$(threads_of OMP_PLACES="{$core}")
    [ "$bound" = 1 ]
    ok "in a single place it has one thread: $bound"
    taskset -c "$core" sh -c 'while :; do :; done' &
    taskset -c "$core" "$vitbench" --shape=mu --steps=40 --no-check --json="$folder/r.json" \
        >"$folder/out" 2>"$folder/err" </dev/null
    kill $!
    grep -q '^WARNING .* % of the timed steps the core of rank 0 on' "$folder/out" &&
        grep -q 'the core of rank 0 on' "$folder/r.json"
    ok "$why"
else
    skip 'in a single place it has one thread' 'there is perhaps no taskset'
    skip "$why" 'the system does not count, or has no taskset'
fi
run 1 --shape=mu --steps=2 --require-mfu=100
[ "$(cat "$folder/status")" = '1 ' ] && grep -q 'result is INVALID' "$folder/out"
ok 'a bar that is not reached ends with 1'

$vitbench --shape=mu --seconds=100 --json="$folder/s.json" --jsonl="$folder/s.jsonl" \
    >"$folder/out" 2>"$folder/err" </dev/null &
await 30 test -s "$folder/s.jsonl"
kill -TERM $!
wait $!
[ $? -eq 3 ] && grep -q INCOMPLETE "$folder/out" && grep -q INCOMPLETE "$folder/s.json"
ok 'stopped by SIGTERM it writes what it has, marked INCOMPLETE, and ends with 3'

# A library that was compiled with gcc's -ffast-math makes subnormals zero for the process.
cat >"$folder/flush.c" <<END
#include <stdio.h>
#include <xmmintrin.h>
enum { FLUSH = 0x8040 };
__attribute__((constructor)) static void flush(void)
{
    _mm_setcsr(_mm_getcsr() | FLUSH);
}
__attribute__((destructor)) static void tell(void)
{
    fprintf(stderr, "flushed %d\n", (_mm_getcsr() & FLUSH) != 0);
}
END
why='programs keep subnormals, whatever libraries were compiled with'
cc=$(sed -n 's/^CC = //p' "${top_builddir:-.}/Makefile")
if $cc -shared -fPIC "$folder/flush.c" -o "$folder/flush.so" 2>"$folder/err" &&
    LD_PRELOAD=$folder/flush.so env true 2>&1 | grep -q '^flushed 1'; then
    "$mpiexec" -n 1 env LD_PRELOAD="$folder/flush.so" "$vitbench" --case=none \
        >"$folder/out" 2>&1
    for program in vitbench vitdata vitfit; do # without MPI, those that are built
        program=${top_builddir:-.}/$program
        [ ! -x "$program" ] || LD_PRELOAD=$folder/flush.so "$program" --version
    done >>"$folder/out" 2>&1
    [ "$(grep -c '^flushed 0' "$folder/out")" -ge 2 ] && ! grep -q '^flushed 1' "$folder/out"
    ok "$why"
else
    skip "$why" 'no library makes them zero here'
fi

# compare.py, and a PyTorch that is not asked for anything.
compared() {
    words=$1
    shift
    PYTHONPATH=$folder python3 "${srcdir:-.}/bench/compare/compare.py" --shape=mu --steps=1 \
        --warmup=0 --threads=1 --vitbench="$vitbench" "$@" >"$folder/out" 2>&1
    [ $? -eq 1 ] && tail -n 1 "$folder/out" | grep -q -- "^compare.py: .*$words"
}
why='a step that PyTorch does not take is not compared with it'
if command -v python3 >/dev/null 2>&1; then
    mkdir "$folder/torch"
    : >"$folder/torch/__init__.py"
    compared '--gelu=tanh' --gelu=exact && compared '--optimizer=adamw' --optimizer=sgd &&
        compared '--pool=gap' --pool=cls && compared 'QK-norm in parallel' --qk-norm=on
    ok "$why"
else
    skip "$why" 'there is no Python'
fi

finish
