#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# All that needs a GPU, in one command and within ten minutes:
#
#   tests/gpu.sh [DIR] [REPORT]    DIR: a build, or an unpacked bundle (make gpu-bundle)
#
#   GPU_PARTS="tests mesh bench compare modes sanitizer"    those to run, in this order
#   GPU_PYTHON=python3    one that has PyTorch               GPU_SECONDS=570
#
# By default what decides comes first: tests of the device cuda against cpu:ref; whole steps
# on 1x1, 1x2 and 2x1 ranks that share the GPU; benchmarks; PyTorch beside them where it is
# installed; other ways of computing; compute-sanitizer, where it works.  Each kind has its
# share of GPU_SECONDS, with what those before it have left, and of that a part has half, or
# its own bound (longer where GPU_SECONDS is): what hangs takes no time of what follows.
# REPORT grows as they end, and so does the archive of their logs beside it, so that what
# has run is there when the rest was cut off.  No GPU: 77.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -d "$here/libexec" ]; then
    default=$here
else
    default=$here/../build
fi
dir=$(cd "${1:-$default}" && pwd) || exit 2
report=${2:-gpu-report.txt}
archive=${report%.txt}-logs.tar.gz
limit=${GPU_SECONDS:-570}
failed=0

if ! timeout -k 5 20 nvidia-smi -L 2>/dev/null | grep -q GPU; then
    echo "gpu.sh: SKIP: nvidia-smi shows no GPU here" >&2
    exit 77
fi
logs=$(mktemp -d) || exit 2
# Where nothing keeps a GPU it is shut down after its last process, and the next one waits
# for seconds until it is up: this one is there from first to last, and notes the clocks.
timeout -k 5 $((limit + 60)) nvidia-smi \
    --query-gpu=timestamp,clocks.sm,power.draw,temperature.gpu,memory.used \
    --format=csv,noheader -l 5 >"$logs/nvidia-smi.csv" 2>/dev/null </dev/null &
trap 'kill $! 2>/dev/null; rm -rf "$logs"' EXIT
if [ -d "$dir/libexec" ]; then # a bundle: its wrappers find its libraries
    bin=$dir/bin tests=$dir/bin
    PATH=$dir/bin:$PATH
else
    bin=$dir tests=$dir/tests
fi
# cuBLASLt: that of PyTorch's packages first, so that both have the same, NVIDIA's HPC SDK has
# it in math_libs; NVML, too.  PyTorch itself runs without these folders, with its own.
python=${GPU_PYTHON:-python3}
plain_path=${LD_LIBRARY_PATH-}
packages=$(timeout -k 5 20 "$python" -c '
import nvidia
for path in nvidia.__path__: print(path + "/cu13/lib", path + "/cublas/lib")' 2>/dev/null)
toolkit=${CUDA_HOME:-${CUDA_PATH:-/usr/local/cuda}}
for folder in $packages /usr/local/nvidia/lib64 "$toolkit/lib64" \
    "$toolkit/../../math_libs/${toolkit##*/}/lib64"; do
    [ -d "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
PATH=$PATH:$toolkit/bin # compute-sanitizer, where the machine has a toolkit
export PATH LD_LIBRARY_PATH
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
# A sandbox may not let one process read another's memory, which Open MPI takes for granted.
export OMPI_MCA_btl_vader_single_copy_mechanism=none
# Processes of an MPI meet at 127.0.0.1, even a single one: a machine without a network may
# have that down.
ip link set lo up 2>/dev/null || timeout -k 5 20 "$python" -c '
import fcntl, socket, struct
fcntl.ioctl(socket.socket(), 0x8914, struct.pack("16sh22x", b"lo", 1))' 2>/dev/null

say() {
    printf '%s\n' "$*" | tee -a "$report"
}

# What a log says of a failure: first whoever says who it is, or a check that failed; for
# want of both its end.  Plug-ins that the MPI could do without are no reason.
reasons() {
    grep -v -E 'component_repository_open|dlopen error|Perhaps a missing symbol' "$1" |
        awk '
        /^(not ok|# |vit[a-z]+: |mpirun|orted|ORTE|\/bin\/[a-z]*sh: )|rank [0-9]+ on/ ||
            /FAILED|[Ee]rror|cannot|unable|No such file/ { if (said++ < 9) print; next }
        /[a-z]/ { last[ends++ % 6] = $0 }
        END {
            for (i = 0; said == 0 && i < 6; i++)
                if ((ends + i) % 6 in last) print last[(ends + i) % 6]
        }'
}

weight() {
    case $1 in
    compare) echo 9 ;;
    bench) echo 6 ;;
    sanitizer) echo 4 ;;
    tests) echo 3 ;;
    mesh | modes) echo 2 ;;
    *) echo 0 ;;
    esac
}

# bound KIND..: when the first of these kinds of parts, which are those to come, has to end.
bound() {
    local kind all=0

    for kind in "$@"; do
        all=$((all + $(weight "$kind")))
    done
    [ $all -eq 0 ] || end=$((SECONDS + (limit - SECONDS) * $(weight "$1") / all))
}

# part NAME SECONDS COMMAND..: run it, its output in a log, its verdict in the report; with
# "half" for SECONDS, no longer than half of what its kind has left.
part() {
    local name=$1 most=$2 left=$((end - SECONDS)) start=$SECONDS status=0

    shift 2
    if [ $left -lt 5 ]; then
        say "SKIP  $name: no time left"
        return 77
    fi
    if [ "$most" = half ]; then
        most=$(((left + 5) / 2))
    elif [ "$limit" -gt 570 ]; then # a slow machine
        most=$((most * limit / 570))
    fi
    [ "$most" -lt $left ] || most=$left
    timeout -k 5 "$most" "$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
    case $status in
    0) say "PASS  $name ($((SECONDS - start)) s)" ;;
    77) say "SKIP  $name: $(grep -m1 SKIP "$logs/$name.log")" ;;
    *)
        failed=$((failed + 1))
        say "FAIL  $name: status $status after $((SECONDS - start)) s"
        reasons "$logs/$name.log" | tee -a "$report"
        ;;
    esac
    tar -C "$logs" -czf "$archive.new" . 2>/dev/null && mv "$archive.new" "$archive"
    return $status
}

# The losses and norms of two runs, which differ by no more than $3 of themselves.
same() {
    awk -v most="$3" '
        function field(name) {
            if (!match($0, "\"" name "\": *[-+.0-9eE]+")) return "none"
            value = substr($0, RSTART, RLENGTH); sub(/.*: */, "", value)
            return value
        }
        function apart(a, b) { return a > b ? a - b : b - a }
        FNR == NR { loss[FNR] = field("loss"); norm[FNR] = field("grad_norm"); next }
        {
            a = field("loss"); b = field("grad_norm"); rows++
            if (a == "none" || apart(a, loss[FNR]) > most * loss[FNR] ||
                apart(b, norm[FNR]) > most * norm[FNR]) {
                print "# step " FNR ": " a ", " b " and " loss[FNR] ", " norm[FNR]
                bad = 1
            }
        }
        END { exit bad || rows == 0 }' "$1" "$2"
}
export -f same

# A shape so small that any GPU is quick; tiny NAME RANKS OPTION..: a step of it.
tiny='--shape=64/2/128/4 --image=32 --patch=8 --batch=4'
tiny() {
    local name=$1 ranks=$2

    shift 2
    part "$name" half mpirun -n "$ranks" "$bin/vitbench" --device=cuda \
        ${GPU_TINY:-$tiny} --classes=10 \
        --steps=2 --warmup=1 --seconds=0.1 --jsonl="$logs/$name.jsonl" "$@"
}

# equal NAME OTHER SHARE
equal() {
    part "$1-equals-$2" 5 bash -c "same '$logs/$2.jsonl' '$logs/$1.jsonl' $3"
}

# What CPUs compute was tested where they do, and would take some of the GPU's time.
test_all() {
    local test alone

    for test in ${GPU_TESTS-t200-dev t205-dev-products t210-dev-ops \
        t212-dev-pictures t230-dev-adamw t232-cuda-bf16 t435-optim t502-graph}; do
        case $test in t205-* | t210-*) alone=cuda ;; *) alone= ;; esac
        part "$test" half "$tests/$test" $alone
        [ "$test" != t502-graph ] || part t502-graph-2 half mpirun -n 2 "$tests/$test"
    done
}

mesh_all() {
    local dtype share mesh

    for dtype in f32 bf16; do
        [ $dtype = f32 ] && share=1e-4 || share=2e-2
        tiny 1x1-$dtype 1 --dtype=$dtype
        for mesh in 1x2 2x1; do
            tiny $mesh-$dtype 2 --dtype=$dtype --mesh=$mesh --no-check
            equal $mesh-$dtype 1x1-$dtype $share
        done
    done
}

# What a benchmark's log begins with: cuBLASLt's version, the peaks, the table's head.
head_of() {
    sed -n -e '/^libraries/,/^build/{/^build/d;p}' -e '/^peak/,/^$/p' -e '/^ case /p' \
        "$logs/$1.log" | tee -a "$report"
}

# What the report takes of a benchmark's log, from lines like $2 on: its table, stages and
# clocks, or its profile.
table() {
    sed -n -e "/$2/,/^=====/p" "$logs/$1.log" 2>/dev/null |
        grep -v -E '^(=|  (act|param|grad)_|  reduce)' | tee -a "$report"
}

# What a benchmark does in the way that it timed to be the fastest, but for algorithms.
ways() {
    sed -n -E 's/^ *"(.*, where|attention .*)": "(.*)",?$/way  \1: \2/p' "$logs/$1.json" \
        2>/dev/null | tee -a "$report"
}

# What a benchmark has measured whose checks were cut off: steps are written as they end.
steps_of() {
    sed -n 's/.*"seconds":\([-+.0-9e]*\).*/\1/p' "$logs/$1.jsonl" 2>/dev/null | sort -g |
        awk '{ s[NR] = $1 }
            END {
                if (NR > 0)
                    printf "%d steps without checks: median %.4f s, least %.4f s\n", NR,
                        (s[int((NR + 1) / 2)] + s[int(NR / 2) + 1]) / 2, s[1]
            }' | tee -a "$report"
}

# Ways of running vitbench, each for where the one before failed; what a shape's benchmark
# ended with is what its comparisons take.
declare -A manner_of
next_manner() {
    case $1 in
    '') echo --no-graph ;;
    --no-graph) echo '--no-graph --tune=off' ;;
    esac
}

# Steps as a graph, with all checks.  Graphs are recorded in the second step and the third,
# one for either batch's place.  What fails before its steps is tried in other ways, in one
# if it hangs, and then what helped is where other shapes begin.  Whose checks fail or take
# too long has its steps, and once more would take the time of other shapes.
usual_manner=
bench() {
    local name=$1 run manner=$usual_manner status has_hung=

    shift
    set -- "$bin/vitbench" --device=cuda --dtype=bf16 "$@"
    while :; do
        run=bench-$name$(printf %s "$manner" | tr -d ' ')
        part "$run" 60 "$@" --warmup=3 --steps=10 $manner --json="$logs/$run.json" \
            --jsonl="$logs/$run.jsonl" && status=0 || status=$?
        case $status in
        77) ;;
        *) if grep -q '^!step' "$logs/$run.log"; then head_of "$run"; else steps_of "$run"; fi ;;
        esac
        table "$run" '^!step'
        case $status in
        0)
            [ -z "$has_hung" ] || usual_manner=$manner
            break
            ;;
        77) break ;;
        124 | 137)
            [ -z "$manner" ] || break
            has_hung=yes
            ;;
        esac
        [ ! -s "$logs/$run.jsonl" ] || break
        manner=$(next_manner "$manner")
        [ -n "$manner" ] || break
    done
    manner_of[$name]=$manner
    ways "$run"
}

# Some steps whose operations are timed; they are no graph.
profile() {
    local run=profile-$1 manner=${manner_of[$1]-}

    shift
    part "$run" 40 "$bin/vitbench" --device=cuda --dtype=bf16 "$@" --steps=5 --profile \
        --no-check $manner --json="$logs/$run.json"
    table "$run" '^  operation'
}

bench_all() {
    local how

    for how in bench profile; do
        if [ -n "${GPU_SMALL-}" ]; then
            $how small $GPU_SMALL
            continue
        fi
        $how So400m --shape=So400m --batch=128
        $how 22B --shape=22B --layers=4 --batch=64
        $how g --shape=g --batch=64
    done
}

# compare SHAPE[-WORD] OPTION..: both beside each other on the same steps, by turns.  The first
# round has what PyTorch takes to start and to compile, half a minute and more.
compare() {
    local name=$1 script=$here/compare.py

    shift
    [ -f "$script" ] || script=$here/../bench/compare/compare.py
    part "compare-$name" 120 env LD_LIBRARY_PATH="$plain_path" "$python" "$script" \
        --vitbench="$logs/vitbench" --dtype=bf16 --device=cuda --rounds=3 --warmup=3 \
        --steps=10 --seconds=80 ${manner_of[${name%-*}]-} "$@"
    grep -E '^(vitbench|peer|memory|round|ratio)' "$logs/compare-$name.log" 2>/dev/null |
        tee -a "$report"
}

compare_all() {
    if [ -n "${GPU_SMALL-}" ]; then
        say "SKIP  compare: too small"
        return
    fi
    if ! LD_LIBRARY_PATH=$plain_path timeout -k 5 20 "$python" -c \
        'import importlib.util as u, sys; sys.exit(u.find_spec("torch") is None)'; then
        say "SKIP  compare: $python has no PyTorch"
        return
    fi
    cat >"$logs/vitbench" <<EOF
#!/bin/sh
LD_LIBRARY_PATH='$LD_LIBRARY_PATH' exec '$bin/vitbench' "\$@"
EOF
    chmod +x "$logs/vitbench"
    compare So400m --shape=So400m --batch=128
    compare 22B-32 --shape=22B --layers=4 --batch=32
    compare g --shape=g --batch=64
    compare 22B --shape=22B --layers=4 --batch=64 --rounds=2
    compare So400m-cudnn --shape=So400m --batch=128 --attention=cudnn --rounds=1
}

modes_all() {
    tiny tf32 1 --dtype=f32 --tf32
    tiny deterministic 1 --dtype=bf16 --deterministic --no-check
    tiny deterministic-again 1 --dtype=bf16 --deterministic --no-check
    equal deterministic-again deterministic 0
    tiny graph 1 --dtype=bf16 --deterministic --no-check --steps=6
    tiny no-graph 1 --dtype=bf16 --deterministic --no-check --steps=6 --no-graph
    equal graph no-graph 0
    set -- 2 --dtype=bf16 --mesh=1x2 --deterministic --no-check --tune=off --steps=6
    tiny 1x2-graphs "$@"
    tiny 1x2-no-graphs "$@" --no-graph
    equal 1x2-graphs 1x2-no-graphs 0
}

# sanitize NAME TOOL PROGRAM OPTION..: the summary goes to the report.  A bundle's program
# runs by this machine's C library, which the tool may know better than the bundle's.
# Errors of calls are the program's own to see: some ask what is not ready, or not there.
sanitize() {
    local name=sanitizer-$1 status=0

    set -- compute-sanitizer --tool="$2" --error-exitcode=1 --report-api-errors=no \
        --target-processes=all "${@:3}"
    part "$name" half env BUNDLE_BARE=1 "$@" || status=$?
    case $status in
    0 | 77 | 124 | 137) ;;
    *)
        if [ -d "$dir/libexec" ] && ! grep -q SUMMARY "$logs/$name.log"; then
            name=$name-again
            part "$name" half "$@"
        fi
        ;;
    esac
    grep -h SUMMARY "$logs/$name.log" 2>/dev/null | tee -a "$report"
}

# Operations by both tools; a step's graph, and noise that the GPU draws.
sanitize_all() {
    local program=$tests/t232-cuda-bf16

    if ! command -v compute-sanitizer >/dev/null; then
        say "SKIP  compute-sanitizer is not here"
        return
    fi
    [ ! -x "$tests/.libs/t232-cuda-bf16" ] || program=$tests/.libs/t232-cuda-bf16
    sanitize memcheck memcheck "$program" untimed
    sanitize racecheck racecheck "$program" untimed
    sanitize step memcheck "$bin/vitbench" --device=cuda --dtype=bf16 \
        ${GPU_TINY:-$tiny} --classes=10 --steps=3 --warmup=1 --seconds=0.1 --no-check \
        --tune=off
}

: >"$report"
say "vitbench on a GPU, $(date -u +%Y-%m-%dT%H:%MZ)"
timeout -k 5 20 nvidia-smi \
    --query-gpu=name,driver_version,memory.total,persistence_mode,clocks.sm,clocks.mem \
    --format=csv,noheader 2>/dev/null | tee -a "$report"
set -- ${GPU_PARTS-tests mesh bench compare modes sanitizer}
while [ $# -gt 0 ]; do
    bound "$@"
    case $1 in
    tests) test_all ;;
    mesh) mesh_all ;;
    bench) bench_all ;;
    compare) compare_all ;;
    modes) modes_all ;;
    sanitizer) sanitize_all ;;
    *) say "SKIP  $1: no such part" ;;
    esac
    shift
done
say "$failed failed, $SECONDS seconds"
[ "$failed" -eq 0 ]
