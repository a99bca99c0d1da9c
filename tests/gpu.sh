#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# All that needs a GPU, in one command and within ten minutes:
#
#   tests/gpu.sh [DIR] [REPORT]    DIR: a build, or an unpacked bundle (make gpu-bundle)
#
# What decides comes first: tests of the device cuda against cpu:ref; whole steps on 1x1,
# 1x2 and 2x1 ranks that share the GPU; benchmarks; PyTorch beside them where it is
# installed; compute-sanitizer, where it works.  Each part has its own bound, all of them
# GPU_SECONDS (570).  REPORT grows as parts end, and so does the archive of their logs
# beside it, so that what has run is there when the rest was cut off.  No GPU: 77.
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

if ! nvidia-smi -L 2>/dev/null | grep -q GPU; then
    echo "gpu.sh: SKIP: nvidia-smi shows no GPU here" >&2
    exit 77
fi
logs=$(mktemp -d) || exit 2
trap 'rm -rf "$logs"' EXIT
if [ -d "$dir/libexec" ]; then # a bundle: its wrappers find its libraries
    bin=$dir/bin tests=$dir/bin
    PATH=$dir/bin:$PATH
else
    bin=$dir tests=$dir/tests
fi
# cuBLASLt and NVML: from a toolkit, or from PyTorch's packages.
for folder in /usr/local/nvidia/lib64 /usr/local/cuda/lib64 \
    "$(python3 -c 'import nvidia, os; print(os.path.join(list(nvidia.__path__)[0], "cu13", "lib"))' 2>/dev/null)" \
    "$(python3 -c 'import nvidia.cublas.lib as m; print(list(m.__path__)[0])' 2>/dev/null)"; do
    [ -d "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export PATH LD_LIBRARY_PATH
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none

say() {
    printf '%s\n' "$*" | tee -a "$report"
}

# part NAME SECONDS COMMAND..: run it, its output in a log, its verdict in the report.
part() {
    local name=$1 most=$2 left=$((limit - SECONDS)) start=$SECONDS status=0

    shift 2
    if [ $left -lt 5 ]; then
        say "SKIP  $name: no time left"
        return 1
    fi
    [ "$most" -lt $left ] || most=$left
    timeout -k 5 "$most" "$@" >"$logs/$name.log" 2>&1 </dev/null || status=$?
    case $status in
    0) say "PASS  $name ($((SECONDS - start)) s)" ;;
    77) say "SKIP  $name: $(grep -m1 SKIP "$logs/$name.log")" ;;
    *)
        failed=$((failed + 1))
        say "FAIL  $name: status $status after $((SECONDS - start)) s"
        grep -E '^(not ok|#)|rank [0-9]+ on|FAILED|[Ee]rror' "$logs/$name.log" |
            tail -n 12 | tee -a "$report"
        ;;
    esac
    tar -C "$logs" -czf "$archive" . 2>/dev/null
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

# tiny NAME RANKS OPTION..: a step so small that any GPU is quick.
tiny() {
    local name=$1 ranks=$2

    shift 2
    part "$name" 45 mpirun -n "$ranks" "$bin/vitbench" --device=cuda \
        ${GPU_TINY:---shape=64/2/128/4 --image=32 --patch=8 --batch=4} --classes=10 \
        --steps=2 --warmup=1 --seconds=0.1 --jsonl="$logs/$name.jsonl" "$@"
}

# equal NAME OTHER SHARE
equal() {
    part "$1-equals-$2" 5 bash -c "same '$logs/$2.jsonl' '$logs/$1.jsonl' $3"
}

: >"$report"
say "vitbench on a GPU, $(date -u +%Y-%m-%dT%H:%MZ)"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem \
    --format=csv,noheader 2>/dev/null | tee -a "$report"

for test in ${GPU_TESTS-t200-dev t205-dev-products t210-dev-ops t230-dev-adamw \
    t232-cuda-bf16}; do
    part "$test" 45 "$tests/$test"
done
for dtype in f32 bf16; do
    [ $dtype = f32 ] && share=1e-4 || share=2e-2
    tiny 1x1-$dtype 1 --dtype=$dtype
    for mesh in 1x2 2x1; do
        tiny $mesh-$dtype 2 --dtype=$dtype --mesh=$mesh --no-check
        equal $mesh-$dtype 1x1-$dtype $share
    done
done

# A benchmark's table, stages, clocks and profile are the report's, all else the log's.
bench() {
    local name=$1

    shift
    part "bench-$name" 80 "$bin/vitbench" --device=cuda --dtype=bf16 --steps=10 \
        --profile --json="$logs/bench-$name.json" "$@"
    sed -n -e '/^peak/p' -e '/^!step/,/^=====/p' "$logs/bench-$name.log" 2>/dev/null |
        grep -v -E '^(=|  (act|param|grad)_|  reduce)' | tee -a "$report"
}
if [ -z "${GPU_SMALL-}" ]; then
    bench So400m --shape=So400m --batch=128
    bench 22B --shape=22B --layers=4 --batch=64
    bench g --shape=g --batch=64
else
    bench small $GPU_SMALL
fi

# compare NAME OPTION..: a slice of the shape, of which both fit into the memory.
compare() {
    local name=$1 script=$here/compare.py

    shift
    [ -f "$script" ] || script=$here/../bench/compare/compare.py
    part "compare-$name" 110 python3 "$script" --vitbench="$bin/vitbench" --dtype=bf16 \
        --device=cuda --rounds=3 --steps=10 --threads=8 "$@"
    grep -E '^(peer|round|ratio)' "$logs/compare-$name.log" 2>/dev/null | tee -a "$report"
}
if [ -n "${GPU_SMALL-}" ]; then
    say "SKIP  compare: too small"
elif python3 -c 'import numpy, torch' 2>/dev/null; then
    compare So400m --shape=So400m --layers=8 --batch=64
    compare 22B --shape=22B --layers=2 --batch=32
    compare g --shape=g --layers=8 --batch=64
else
    say "SKIP  compare: no PyTorch here"
fi

tiny tf32 1 --dtype=f32 --tf32
tiny deterministic 1 --dtype=bf16 --deterministic --no-check
tiny deterministic-again 1 --dtype=bf16 --deterministic --no-check
equal deterministic-again deterministic 0
if command -v compute-sanitizer >/dev/null; then
    program=$tests/t232-cuda-bf16
    [ -x "$tests/.libs/t232-cuda-bf16" ] && program=$tests/.libs/t232-cuda-bf16
    for tool in memcheck racecheck; do
        part "sanitizer-$tool" 60 compute-sanitizer --tool=$tool --error-exitcode=1 \
            --target-processes=all "$program"
    done
else
    say "SKIP  compute-sanitizer is not here"
fi

say "$failed failed, $SECONDS seconds"
[ "$failed" -eq 0 ]
