#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Whole runs of vitbench on the device cuda, on a GPU that is emulated (tests/emu): its
# memory is out of MPI's reach, so all messages pass through the host's, and it has clocks.
# A run's own checks hold it against f64 on cpu:ref.
# shellcheck source=tests/emu_tap.sh
. "${srcdir:-.}/tests/emu_tap.sh"
emulated vitbench

# run NAME RANKS [OPTION ..]
run() {
    name=$1
    ranks=$2
    shift 2
    "${MPIEXEC:-mpiexec}" -n "$ranks" "$program" --device=cuda --shape=16/1/32/2 \
        --image=8 --patch=4 --classes=10 --batch=4 --steps=2 --warmup=1 --seconds=0.1 \
        --threads=1 --json="$folder/$name.json" --jsonl="$folder/$name.jsonl" "$@" \
        </dev/null >"$folder/out" 2>&1
}

# Losses and norms of run $1 differ by no more than $3 of themselves from those of $2.
same() {
    sed 's/.*"loss": *\([^,]*\),.*"grad_norm": *\([^,]*\),.*/\1 \2/' \
        "$folder/$1.jsonl" "$folder/$2.jsonl" >"$folder/out"
    ${AWK:-awk} -v most="$3" '
        function apart(a, b) { return a > b ? a - b : b - a }
        { loss[NR] = $1; norm[NR] = $2 }
        END {
            half = NR / 2
            for (i = 1; i <= half; i++)
                bad += !(loss[i] > 0 && norm[i] > 0 &&
                         apart(loss[i], loss[half + i]) <= most * loss[i] &&
                         apart(norm[i], norm[half + i]) <= most * norm[i])
            exit bad > 0 || half < 2
        }' "$folder/out"
}

run f32 1 --dtype=f32 --profile
[ $? -eq 0 ] && grep -q 'is VALID' "$folder/out"
ok 'f32 passes its checks'
grep -q '^  clocks *1755 of 1980 MHz, memory 2619 MHz, 65 C, 690 W, held back by' \
    "$folder/out"
ok 'the clocks are said, and what holds them back'
"$build/tests/schema_check" "${srcdir:-.}/bench/schema.json" "$folder/f32.json" >>"$folder/out" 2>&1 &&
    [ "$(json_after "$folder/f32.json" '"clocks"' held_by)" = '"power' ]
ok 'and are in the JSON, which is valid'
grep -q '"cuda": "CUDA .*, cuBLASLt [1-9][0-9]*\.[0-9]*\.[0-9]*"' "$folder/f32.json"
ok 'which library does products is said'
# Products as large as the emulated GPU leaves undone, of 2^31 FLOP, take a second.
measured=$(json_after "$folder/f32.json" '"peak"' measured)
holds "$measured > 0.8 * 2^31 && $measured < 1.1 * 2^31"
ok 'the peak that was measured is the rate of products'
# Sums of two arrays as large as it leaves undone, of 2^22 f32, take a second, too.
bytes=$(json_after "$folder/f32.json" '"name": "adamw"' bytes_per_s)
share=$(json_after "$folder/f32.json" '"name": "adamw"' of_bandwidth)
holds "$bytes > 0.8 * 3 * 2^24 * $share && $bytes < 1.1 * 3 * 2^24 * $share"
ok 'and the bandwidth that of sums'
grep -q '"gpu": "emulated GPU"' "$folder/f32.json" &&
    ! grep -q '"cpu": "emulated GPU"' "$folder/f32.json" &&
    EMU_NVML_14=1 "$program" --case=step --device=cuda --dtype=f32 --shape=16/1/32/2 --image=8 \
        --patch=4 --batch=1 --steps=1 --warmup=0 --seconds=0.1 --no-check \
        >"$folder/out" 2>&1 &&
    grep -q '^GPU  *emulated GPU' "$folder/out"
ok 'as is the name of the GPU, apart from the processor'
grep -q '^  clocks *1755 of 1980 MHz, .* 65 C, 690 W, held back by' \
    "$folder/out"
ok 'a driver of CUDA 14 has clocks, too'
# in_time CHECK RUN..: CHECK holds, perhaps after the same RUN again, for there may be one in
# which others had the core for long.
in_time() {
    check=$1
    shift
    for _ in 1 2 3 4; do
        $check && return
        "$@"
    done
    $check
}
is_f32_timed() {
    seconds=$(json_after "$folder/f32.json" '"steps"' median)
    attention=$(json_after "$folder/f32.json" '"name": "attn_backward"' seconds)
    blocks=$(json_after "$folder/f32.json" '"stages"' blocks)
    note "step $seconds s, blocks $blocks s, attn_backward $attention s"
    holds "$attention > 0.05 * $seconds && $attention < $seconds" &&
        holds "$blocks > $attention / 2 && $blocks < $seconds"
}
in_time is_f32_timed run f32 1 --dtype=f32 --profile
ok 'events time operations and stages'
used=$(json_after "$folder/f32.json" '"memory"' peak_rss)
planned=$(json_after "$folder/f32.json" '"memory"' predicted)
echo "# $used bytes used, $planned planned" >>"$folder/out"
holds "$used > 0.9 * $planned && $used < 1.1 * $planned"
ok 'the memory of the device is what was planned'
opening=$(json_after "$folder/f32.json" '"spent"' opening)
steps=$(json_after "$folder/f32.json" '"spent"' steps)
checks=$(json_after "$folder/f32.json" '"spent"' checks)
echo "# opening $opening s, steps $steps s, checks $checks s" >>"$folder/out"
tr -s '\n ' ' ' <"$folder/out" |
    grep -q ' spent opening .*, tuning .*, steps .*, checks .* s in all' &&
    holds "$opening > 0 && $checks > 0 && $steps > 2 * $seconds"
ok 'so is what the case spent its time on'

is_block_timed() {
    attention=$(json_after "$folder/f32.json" '"name": "attn_backward"' seconds)
    block=$(json_after "$folder/block.json" '"steps"' median)
    note "block $block s, attn_backward $attention s"
    [ $status -eq 0 ] && holds "$block > $attention / 4"
}
run_block() {
    "$program" --device=cuda --dtype=f32 --case=block --shape=16/1/32/2 --image=8 --patch=4 \
        --classes=10 --batch=4 --steps=2 --warmup=1 --seconds=0.1 --threads=1 \
        --json="$folder/block.json" </dev/null >"$folder/out" 2>&1
    status=$?
}
run_both() {
    run f32 1 --dtype=f32 --profile
    run_block
}
run_block
in_time is_block_timed run_both
ok 'a block alone is waited for, too'

emulated=$program
program=$build/vitbench
run cpu 1 --dtype=f32 --device=cpu:ref --no-check
program=$emulated
same f32 cpu 1e-5 && grep -q '"device": "cpu:ref"' "$folder/cpu.json"
ok 'its losses are those of the cores, which draw the same images'
run plain 1 --dtype=f32 --no-graph --no-check --tune=off --steps=3
run graph 1 --dtype=f32 --no-check --tune=off --steps=3
same plain graph 0 && grep -q '"graph": true' "$folder/graph.json" &&
    grep -q '"graph": false' "$folder/plain.json"
ok 'steps are played from a graph, with the same losses'
run plain-1x2 2 --dtype=f32 --mesh=1x2 --no-check --tune=off --no-graph
run 1x2-f32 2 --dtype=f32 --mesh=1x2 --no-check --tune=off
tr -s '\n ' ' ' <"$folder/out" | grep -q 'steps as [1-9][0-9]* graphs between messages' &&
    same plain-1x2 1x2-f32 0 && grep -q '"graph": false' "$folder/plain-1x2.json" &&
    ! grep -q '"graphs"' "$folder/plain-1x2.json" &&
    [ "$(json_after "$folder/1x2-f32.json" '"cases"' graphs)" -gt 10 ] &&
    "$build/tests/schema_check" "${srcdir:-.}/bench/schema.json" "$folder/1x2-f32.json" \
        >>"$folder/out" 2>&1
ok 'on 1x2 the parts between messages are played, with the same losses'
same f32 1x2-f32 1e-5
ok 'f32 on 1x2 has the losses of one rank'
run 2x1-f32 2 --dtype=f32 --mesh=2x1 --no-check
[ $? -eq 0 ] && same f32 2x1-f32 1e-5
ok 'f32 on 2x1 too'
run uneven 1 --dtype=f32 --shape=32/1/40/4 --no-check --tune=off
run 1x3-f32 3 --dtype=f32 --shape=32/1/40/4 --mesh=1x3 --progress=thread --no-check --tune=off
[ $? -eq 0 ] && same uneven 1x3-f32 1e-5
ok 'and on 1x3, whose ranks have more heads and fewer, and no thread pushes messages'
run bf16 1 --dtype=bf16 --micro-batches=2 --deterministic
[ $? -eq 0 ] && grep -q 'is VALID' "$folder/out" &&
    tr -s '\n ' ' ' <"$folder/out" | grep -q '2 micro-batches, a graph each' &&
    [ "$(json_after "$folder/bf16.json" '"cases"' graphs)" -eq 2 ]
ok 'bf16 passes its checks, in two micro-batches, each played from a graph'
run 2x2-bf16 4 --dtype=bf16 --mesh=2x2 --no-check --tune=off
same bf16 2x2-bf16 1e-2
ok 'bf16 on 2x2 has the losses of one rank'
run wires 4 --dtype=bf16 --mesh=2x2 --no-check --tune=off --ring-wire=f32 --grad-wire=bf16
same bf16 wires 1e-2
ok 'and with partial sums sent in f32, gradients in bf16'

run parallel 1 --dtype=bf16 --wiring=parallel --qk-norm --shape=32/2/48/2
[ $? -eq 0 ] && grep -q 'is VALID' "$folder/out" &&
    [ "$(json_after "$folder/parallel.json" '"cases"' graphs)" -eq 1 ] &&
    grep -q "gelu', where\": \"[a-z]* (.* s, [a-z]* .* s)\"" "$folder/parallel.json" &&
    ! grep -q ', where' "$folder/bf16.json"
ok 'parallel blocks with QK-norm pass their checks in bf16'
run parallel-1x2 2 --dtype=bf16 --wiring=parallel --qk-norm --shape=32/2/48/2 --mesh=1x2
[ $? -eq 0 ] && grep -q 'is VALID' "$folder/out" && same parallel parallel-1x2 1e-2
ok 'and on 1x2, with the losses of one rank'

run profile-1x2 2 --dtype=f32 --mesh=1x2 --profile --tune=off
[ $? -eq 0 ] && grep -q 'is VALID' "$folder/out"
ok 'two ranks, whose operations were timed, prove their overlap in as many rounds'

# Of products whose parts may be added in any order, as none may in deterministic runs.
for drift in 1 9; do
    EMU_DRIFT=$drift
    export EMU_DRIFT
    run loose-$drift 1 --dtype=f32 --no-check --tune=off
    run tight-$drift 1 --dtype=f32 --no-check --deterministic
done
unset EMU_DRIFT
same tight-1 tight-9 0 && ! same loose-1 loose-9 0
ok 'deterministic runs have no products but those that repeat'

"$program" --device=cuda --dtype=f32 --case=data --image=160 --seconds=0.1 --threads=1 \
    </dev/null >"$folder/out" 2>&1
[ $? -eq 0 ] && grep -q '^  cut .* ok$' "$folder/out" && grep -q '^  view .* ok$' "$folder/out"
ok 'images made of bytes are those that the cores make'
run tf32 1 --dtype=f32 --tf32
[ $? -eq 0 ] && grep -q 'is VALID' "$folder/out" && same f32 tf32 1e-2 && ! same f32 tf32 1e-6
ok 'TF32 passes its checks, and is not f32'
EMU_NAME='NVIDIA H200'
export EMU_NAME
run sheet 1 --dtype=f32 --tf32 --steps=1 --warmup=0 --no-check
for ranks in 1 2; do
    run sheet-$ranks $ranks --dtype=f32 --steps=1 --warmup=0 --no-check --tune=off
    holds "$(json_after "$folder/sheet-$ranks.json" '"peak"' spec) * $ranks == 67e12"
    ok "$ranks of its ranks have the peak of an H200's data sheet"
done
EMU_GPUS=2
export EMU_GPUS
run sheet-apart 2 --dtype=f32 --steps=1 --warmup=0 --no-check --tune=off
unset EMU_GPUS
holds "$(json_after "$folder/sheet-apart.json" '"peak"' spec) == 67e12"
ok 'each of two, where there are two GPUs'
unset EMU_NAME
holds "$(json_after "$folder/sheet.json" '"peak"' spec) == 494.75e12"
ok 'which is that of TF32 where products are in it'
for other in cpu:ref\ f32 cuda\ bf16; do
    "$program" --device="${other% *}" --dtype="${other#* }" --tf32 --shape=16/1/32/2 \
        >"$folder/out" 2>&1
    [ $? -eq 2 ] && grep -q -- '--tf32 is for f32 on a GPU' "$folder/out"
    ok "which $other has not"
done
# Rank 1 has no GPU; with what else is said to both.
hide() {
    "${MPIEXEC:-mpiexec}" -n 2 sh -c '
        if [ "${OMPI_COMM_WORLD_RANK:-$PMI_RANK}" = 1 ]; then
            EMU_GPUS=0
            export EMU_GPUS
        fi
        exec "$@"' sh "$program" --shape=16/1/32/2 --image=8 --patch=4 --batch=4 "$@" \
        </dev/null >"$folder/out" 2>&1
}
hide --device=auto
[ $? -eq 3 ] && [ "$(grep -c 'this rank has cpu.* rank 0 has cuda in' "$folder/out")" -eq 1 ]
ok 'ranks on different devices end with 3, and one of them says so'
hide --device=auto --dtype=f32 --mesh=1x2
[ $? -eq 3 ] && [ "$(grep -c 'this rank has cpu.* rank 0 has cuda in f32' "$folder/out")" -eq 1 ]
ok 'in the same format, too'

# In a job of Slurm's, all that mpiexec starts have the number of the script there, too.  The
# emulated clocks are those of the GPU on bus 0, which is the second one here; GPUs are of a
# later generation than the kernels.
for own in MPI_LOCALRANKID PALS_LOCAL_RANKID MV2_COMM_WORLD_LOCAL_RANK \
    JSM_NAMESPACE_LOCAL_RANK FLUX_TASK_LOCAL_ID; do
    env EMU_GPUS=2 EMU_BUS=255 EMU_MAJOR=12 EMU_COUNTS= SLURM_LOCALID=0 $own=3 "$program" \
        --device=cuda --shape=16/1/32/2 --image=8 --patch=4 --batch=4 --steps=1 --seconds=0.1 \
        --threads=1 --no-check </dev/null >"$folder/out" 2>&1 &&
        grep -q ', GPU 1, ' "$folder/out" && grep -q '^emulated GPU 1: ' "$folder/out" &&
        grep -q '^  clocks *1755' "$folder/out"
    ok "a rank takes the GPU of its $own, not of Slurm, and its clocks"
done

EMU_MAJOR=7
export EMU_MAJOR
set -- --shape=16/1/32/2 --image=8 --patch=4 --batch=4 --steps=1 --seconds=0.1 --threads=1
"$program" --device=cuda "$@" </dev/null >"$folder/out" 2>&1
[ $? -eq 3 ] && grep -q 'has compute capability 7.0, and this build has kernels for' "$folder/out"
ok 'a GPU that this build has no kernels for ends the run with 3, and is named'
"$program" "$@" </dev/null >"$folder/out" 2>&1
[ $? -eq 0 ] && grep -q ' f32 on cpu:' "$folder/out"
ok 'where nobody asked for it the run is one of the cores, in their format'
unset EMU_MAJOR
EMU_REFUSE=library "$program" --device=cuda "$@" </dev/null >"$folder/out" 2>&1
[ $? -eq 3 ] && grep -q 'library is not found' "$folder/out"
ok 'nor is there one without the library for its products'
EMU_REFUSE=library "$program" "$@" </dev/null >"$folder/out" 2>&1
[ $? -eq 0 ] && grep -q ' f32 on cpu:' "$folder/out"
ok 'and the cores have their format then, too'

# Two ranks see one GPU each: the same, or by number.  What there is for both of them is said
# where the shape is too large.
see() {
    "${MPIEXEC:-mpiexec}" -n 2 sh -c '
        EMU_BUS=$(($1 * ${OMPI_COMM_WORLD_RANK:-$PMI_RANK}))
        export EMU_BUS
        shift
        exec "$@"' sh "$1" "$program" --device=cuda --shape=So400m --threads=1 \
        --seconds=0.1 --json="$folder/see.json" </dev/null >"$folder/out" 2>&1
    grep '"reason"' "$folder/see.json" >"$folder/out"
}
see 0
grep -q "of a node's 0.3 GB" "$folder/out"
ok 'ranks that share a GPU have its memory together'
see 1
grep -q "of a node's 0.5 GB" "$folder/out"
ok 'ranks that see one GPU each, not the same, have the memory of two'

EMU_GPUS=2
EMU_OTHERS=64 # MiB
export EMU_GPUS EMU_OTHERS
see 0
unset EMU_GPUS EMU_OTHERS
grep -q "of a node's 0.4 GB" "$folder/out"
ok 'as do ranks that see both, but for what others have of it'
"$program" --device=cuda --dtype=f64 --shape=16/1/32/2 --image=8 --patch=4 \
    </dev/null >"$folder/out" 2>&1
[ $? -eq 2 ] && grep -q 'cuda has no products of f64: take ' "$folder/out"
ok 'there is no f64 on a GPU'

EMU_SHARED=101376
export EMU_SHARED
set -- --dtype=bf16 --image=20 --steps=1 --warmup=0 --no-check --tune=off
run large-head 1 --shape=128/1/128/1 "$@"
[ $? -ne 0 ] && grep -q 'heads of 128 needs [0-9]* bytes of shared memory' "$folder/out"
ok 'a GPU with too little shared memory for large heads is named as such'
run small-head 1 --shape=64/1/64/1 "$@"
ok 'and computes smaller ones'
unset EMU_SHARED

"$program" --dry-run --device=cuda --shape=608/10/928/16 --ranks=4 >"$folder/out" 2>&1
[ $? -eq 0 ] && grep -q '1x4 (data x model) chosen' "$folder/out"
ok 'a dry run plans with the memory of the device'

# The emulated GPU itself, where pages are of 64 KiB, as beside real ones they may be.
cat >"$folder/pages.c" <<'END'
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
enum { PAGE = 1 << 16 };
void *mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    const int is_free = at == NULL && (flags & MAP_ANONYMOUS) != 0;
    const uintptr_t got = (uintptr_t)syscall(SYS_mmap, at, bytes + is_free * PAGE, prot, flags,
                                             fd, offset);
    return (void *)(is_free && (void *)got != MAP_FAILED ? (got + PAGE - 1) / PAGE * PAGE : got);
}
int mprotect(void *at, size_t bytes, int prot)
{
    if ((uintptr_t)at % PAGE == 0)
        return (int)syscall(SYS_mprotect, at, bytes, prot);
    errno = EINVAL;
    return -1;
}
long sysconf(int what)
{
    long (*real)(int) = (long (*)(int))dlsym(RTLD_NEXT, "sysconf");
    return what == _SC_PAGESIZE ? PAGE : real(what);
}
END
cc=$(sed -n 's/^CC = //p' "$build/Makefile")
what='where pages are of 64 KiB there is an emulated GPU, too'
if $cc -shared -fPIC -o "$folder/pages.so" "$folder/pages.c" -ldl >"$folder/out" 2>&1 &&
    LD_PRELOAD=$folder/pages.so env true >>"$folder/out" 2>&1; then
    LD_PRELOAD=$folder/pages.so "$program" --case=step --device=cuda --dtype=f32 \
        --shape=16/1/32/2 --image=8 --patch=4 --batch=1 --steps=1 --warmup=0 --seconds=0.1 \
        --threads=1 --no-tune >"$folder/out" 2>&1
    [ $? -eq 0 ] && grep -q 'is VALID' "$folder/out"
    ok "$what"
else
    skip "$what" 'nothing can be loaded before a program'
fi
finish
