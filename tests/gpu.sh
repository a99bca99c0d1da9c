#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-3-Clause
# All that needs a GPU, in one command and within ten minutes:
#
#   tests/gpu.sh [DIR] [REPORT]    DIR: a build, or an unpacked bundle (make gpu-bundle)
#
# Tests of the device cuda against cpu:ref; whole steps on 1x1, 1x2 and 2x1 ranks that
# share the GPU; compute-sanitizer, where it works; benchmarks, and PyTorch beside them
# where it is installed.  Leaves a report and the logs beside it.  Without a GPU: 77.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -d "$here/libexec" ]; then
    default=$here
else
    default=$here/../build
fi
dir=$(cd "${1:-$default}" && pwd) || exit 2
report=${2:-gpu-report.txt}
logs=${report%.txt}-logs
limit=${GPU_SECONDS:-570}
failed=0

if ! nvidia-smi -L 2>/dev/null | grep -q GPU; then
    echo "gpu.sh: SKIP: nvidia-smi shows no GPU here" >&2
    exit 77
fi
mkdir -p "$logs"
if [ -d "$dir/libexec" ]; then # a bundle: its wrappers find its libraries
    bin=$dir/bin tests=$dir/bin
    PATH=$dir/bin:$PATH
else
    bin=$dir tests=$dir/tests
fi
for folder in /usr/local/nvidia/lib64 /usr/local/cuda/lib64 \
    "$(python3 -c 'import nvidia, os; print(os.path.join(list(nvidia.__path__)[0], "cu13", "lib"))' 2>/dev/null)"; do
    [ -d "$folder" ] && LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$folder
done
export PATH LD_LIBRARY_PATH
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none

say() {
    printf '%s\n' "$*" | tee -a "$report"
}

# step NAME SECONDS COMMAND..: run it, its output in a log, its verdict in the report.
step() {
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
        grep -E '^(not ok|#)|rank [0-9]+ on|error' "$logs/$name.log" | tail -n 12 |
            tee -a "$report"
        ;;
    esac
    return $status
}

bench() {
    "$bin/vitbench" --device=cuda "$@"
}

# The losses and norms of two runs, which differ by no more than $3 of themselves.
same() {
    awk -v most="$3" '
        function field(name) {
            if (!match($0, "\"" name "\": *[-+.0-9eE]+")) return "none"
            value = substr($0, RSTART, RLENGTH); sub(/.*: */, "", value)
            return value
        }
        FNR == NR { loss[FNR] = field("loss"); norm[FNR] = field("grad_norm"); next }
        {
            a = field("loss"); b = field("grad_norm"); rows++
            if (a == "none" || a - loss[FNR] > most * loss[FNR] ||
                loss[FNR] - a > most * loss[FNR] || b - norm[FNR] > most * norm[FNR] ||
                norm[FNR] - b > most * norm[FNR]) {
                print "step " FNR ": " a ", " b " and " loss[FNR] ", " norm[FNR]; bad = 1
            }
        }
        END { exit bad || rows == 0 }' "$1" "$2"
}

: >"$report"
say "vitbench on a GPU, $(date -u +%Y-%m-%dT%H:%MZ)"
nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.sm,clocks.mem \
    --format=csv,noheader 2>/dev/null | tee -a "$report"

for test in t200-dev t205-dev-products t210-dev-ops t230-dev-adamw t232-cuda-bf16; do
    step "$test" 120 "$tests/$test"
done

tiny="--shape=32/2/64/4 --image=32 --patch=8 --classes=10 --batch=4 --steps=2 --warmup=1"
for dtype in f32 bf16; do
    for mesh in 1x1 1x2 2x1; do
        # shellcheck disable=SC2086
        step "mesh-$mesh-$dtype" 60 mpirun -n $((${mesh%x*} * ${mesh#*x})) \
            "$bin/vitbench" --device=cuda $tiny --dtype=$dtype --mesh=$mesh \
            --jsonl="$logs/$mesh-$dtype.jsonl"
        [ "$mesh" = 1x1 ] || step "mesh-$mesh-$dtype-equals-1x1" 5 bash -c \
            "$(declare -f same); same $logs/1x1-$dtype.jsonl $logs/$mesh-$dtype.jsonl \
            $([ $dtype = f32 ] && echo 1e-4 || echo 2e-2)"
    done
done

if command -v compute-sanitizer >/dev/null; then
    program=$tests/t232-cuda-bf16
    [ -x "$tests/.libs/t232-cuda-bf16" ] && program=$tests/.libs/t232-cuda-bf16
    for tool in memcheck racecheck; do
        step "sanitizer-$tool" 60 compute-sanitizer --tool=$tool --error-exitcode=1 \
            --target-processes=all "$program"
    done
else
    say "SKIP  compute-sanitizer is not here"
fi

for case in "22B --layers=4 --batch=64" "g --batch=64" "So400m --batch=128"; do
    name=${case%% *}
    # shellcheck disable=SC2086
    step "bench-$name" 100 bench --shape=$case --dtype=bf16 --profile --seconds=5 \
        --json="$logs/$name.json" &&
        sed -n '/^!step/,/^  memory/p' "$logs/bench-$name.log" | tee -a "$report"
done

compare=$here/compare.py
[ -f "$compare" ] || compare=$here/../bench/compare/compare.py
if python3 -c 'import numpy, torch' 2>/dev/null; then
    step compare-So400m 150 python3 "$compare" --vitbench="$bin/vitbench" --dtype=bf16 \
        --device=cuda --shape=So400m --layers=4 --batch=64 --rounds=3 &&
        tee -a "$report" <"$logs/compare-So400m.log"
else
    say "SKIP  compare: no PyTorch here"
fi

say "$failed failed, $SECONDS seconds"
[ "$failed" -eq 0 ]
