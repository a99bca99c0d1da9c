#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# RUN long
# tests/gpu.sh, as it is on a machine with a GPU, but on the emulated one: its parts end,
# its report and the archive of its logs are there, and a part that fails makes it fail.
. "${srcdir:-.}/tests/tap.sh"
build=${top_builddir:-.}
script=$(cd "${srcdir:-.}" && pwd)/tests/gpu.sh
[ -x "$build/tests/emu/vitbench" ] || skip_all 'no emulated GPU in this build'
PATH=$folder:$PATH
GPU_TESTS=
GPU_TINY='--shape=16/1/32/2 --image=8 --patch=4 --batch=4'
GPU_SMALL='--shape=16/1/32/2 --image=8 --patch=4 --batch=4 --classes=10 --steps=2'
LD_LIBRARY_PATH=$(cd "$build/tests/emu" && pwd)${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export PATH GPU_TESTS GPU_TINY GPU_SMALL LD_LIBRARY_PATH

"$script" "$build/tests/emu" "$folder/report.txt" >"$folder/out" 2>&1
[ $? -eq 77 ] && grep -q 'SKIP: nvidia-smi shows no GPU' "$folder/out"
ok 'without a GPU it is skipped'
cat >"$folder/nvidia-smi" <<'EOF'
#!/bin/sh
case " $* " in
*' -L '*) echo 'GPU 0: emulated' ;;
*' -l '*) echo $$ >"${0%/*}/keeper" && echo 'as time goes by' && exec sleep 4000 ;;
*) echo emulated ;;
esac
EOF
# A real one would find no GPU here.
printf '#!/bin/sh\n' >"$folder/compute-sanitizer"
chmod +x "$folder/nvidia-smi" "$folder/compute-sanitizer"
GPU_SECONDS=4000 bash "$script" "$build/tests/emu" "$folder/report.txt" \
    >"$folder/out" 2>&1
ok 'all parts pass'
grep -q '^PASS  sanitizer-step' "$folder/report.txt" &&
    grep -q '^PASS  2x1-bf16-equals-1x1-bf16' "$folder/report.txt" &&
    grep -q '^  attn_backward' "$folder/report.txt" &&
    grep -q "^way  .* gelu', where: [a-z]* (" "$folder/report.txt" &&
    [ "$(grep -c 'cuBLASLt [1-9]' "$folder/report.txt")" -eq 1 ] &&
    ! grep -q '^build' "$folder/report.txt" &&
    sed -n '/^peak .* a rank/,/^$/p' "$folder/report.txt" | tr -s '\n ' ' ' |
    grep -q 'all ranks; data sheet n/a' &&
    grep -q '^0 failed' "$folder/report.txt"
ok 'the report has verdicts and a profile'
tar -tzf "$folder/report-logs.tar.gz" >"$folder/out" &&
    grep -q '^./bench-small.json' "$folder/out" &&
    tar -xzOf "$folder/report-logs.tar.gz" ./nvidia-smi.csv | grep -q 'as time goes by'
ok 'the archive has the logs'
mkdir "$folder/tests"
cat >"$folder/tests/t999-fails" <<'EOF'
#!/bin/sh
echo 'x: component_repository_open: unable to open plug-in'
echo '    dlopen error: plug-in: Error'
echo '/bin/sh: libc.so.6: no such version'
exit 1
EOF
chmod +x "$folder/tests/t999-fails"
GPU_PARTS=tests GPU_TESTS=t999-fails bash "$script" "$folder" \
    "$folder/report.txt" >"$folder/out" 2>&1
[ $? -ne 0 ] && [ "$(sed -n 4p "$folder/report.txt")" = '/bin/sh: libc.so.6: no such version' ] &&
    [ "$(wc -l <"$folder/report.txt")" -eq 5 ]
ok 'a part that fails says why, and parts that were not asked for are not run'
cat >"$folder/compute-sanitizer" <<'EOF'
#!/bin/sh
while [ "${1#--}" != "$1" ]; do shift; done
"$@" && echo '========= ERROR SUMMARY: 0 errors'
EOF
mkdir "$folder/bare" "$folder/bare/tests"
printf '#!/bin/sh\nexit 0\n' >"$folder/bare/vitbench"
printf '#!/bin/sh\nexit 1\n' >"$folder/bare/tests/t232-cuda-bf16"
chmod +x "$folder/bare/vitbench" "$folder/bare/tests/t232-cuda-bf16"
GPU_PARTS=sanitizer bash "$script" "$folder/bare" "$folder/report.txt" >"$folder/out" 2>&1
[ $? -ne 0 ] && grep -q '^FAIL  sanitizer-memcheck' "$folder/report.txt" &&
    grep -A1 '^PASS  sanitizer-step' "$folder/report.txt" |
    grep -q '^========= ERROR SUMMARY: 0 errors'
ok 'what a sanitizer sums up is in the report'
mkdir "$folder/bundle" "$folder/bundle/bin" "$folder/bundle/libexec"
printf '#!/bin/sh\n[ -z "${BUNDLE_BARE-}" ]\n' >"$folder/bundle/bin/t232-cuda-bf16"
printf '#!/bin/sh\nexec sleep 100\n' >"$folder/bundle/bin/vitbench"
chmod +x "$folder/bundle/bin/"*
GPU_PARTS=sanitizer GPU_SECONDS=12 bash "$script" "$folder/bundle" "$folder/report.txt" \
    >"$folder/out" 2>&1
[ $? -ne 0 ] && grep -A1 '^PASS  sanitizer-racecheck-again' "$folder/report.txt" |
    grep -q '^========= ERROR SUMMARY: 0 errors' &&
    grep -q '^FAIL  sanitizer-step: status 124' "$folder/report.txt" &&
    ! grep -q 'sanitizer-step-again' "$folder/report.txt"
ok 'what the C library of the machine does not run is run by ours, but not what hangs'
cat >"$folder/vitbench" <<'EOF'
#!/bin/sh
case $* in *--no-check*) exit 0 ;; esac
for option; do
    case $option in
    --jsonl=*) printf '{"step":%s,"seconds":%s,"loss":1}\n' 1 0.5 2 0.25 3 1e-1 \
        >"${option#*=}" ;;
    esac
done
exit 124
EOF
chmod +x "$folder/vitbench"
GPU_PARTS='bench no' bash "$script" "$folder" "$folder/report.txt" >"$folder/out" 2>&1
[ $? -ne 0 ] && grep -A1 '^FAIL  bench-small' "$folder/report.txt" |
    grep -q '^3 steps without checks: median 0.2500 s, least 0.1000 s' &&
    grep -q '^PASS  profile-small' "$folder/report.txt" &&
    ! grep -q no-graph "$folder/report.txt" &&
    grep -q '^SKIP  no: no such part' "$folder/report.txt"
ok 'of a benchmark cut off in its checks the steps are there; a part that is none is named'
printf '#!/bin/sh\nsleep 100\n' >"$folder/tests/t999-fails"
printf '#!/bin/sh\nexit 0\n' >"$folder/vitbench"
cat >"$folder/tests/t999-passes" <<'EOF'
#!/bin/sh
[ "$OMPI_MCA_btl_vader_single_copy_mechanism" = none ] &&
    kill -0 "$(cat "${0%/*}/../keeper")"
EOF
chmod +x "$folder/tests/t999-passes"
rm -f "$folder/keeper"
GPU_PARTS='tests bench' GPU_TESTS='t999-fails t999-passes' GPU_SECONDS=45 bash "$script" \
    "$folder" "$folder/report.txt" >"$folder/out" 2>&1
[ $? -ne 0 ] && grep -q '^FAIL  t999-fails: status 124' "$folder/report.txt" &&
    grep -q '^PASS  t999-passes' "$folder/report.txt" &&
    grep -q '^PASS  bench-small' "$folder/report.txt"
ok 'what hangs takes no time of what follows, and ranks pass messages through shared memory'
[ -s "$folder/keeper" ] && ! kill -0 "$(cat "$folder/keeper")" 2>"$folder/out"
ok 'the GPU is kept up from first to last, and no longer'
mkdir -p "$folder/sdk/cuda/12.4/lib64" "$folder/sdk/math_libs/12.4/lib64"
printf '#!/bin/sh\ncase $LD_LIBRARY_PATH in *12.4/lib64*math_libs/12.4/lib64) ;; *) exit 1 ;; esac\n' \
    >"$folder/tests/t999-passes"
CUDA_HOME=$folder/sdk/cuda/12.4 GPU_PARTS=tests GPU_TESTS=t999-passes bash "$script" "$folder" \
    "$folder/report.txt" >"$folder/out" 2>&1
ok 'libraries are found in CUDA_HOME, and where the HPC SDK has them'
printf '#!/bin/sh\ngrep -q 127.0.0.1 /proc/self/net/fib_trie\n' >"$folder/tests/t999-passes"
printf '#!/bin/sh\n[ "$*" = cuda ]\n' >"$folder/tests/t205-alone"
chmod +x "$folder/tests/t205-alone"
GPU_PARTS=tests GPU_TESTS='t205-alone t999-passes' bash "$script" "$folder" \
    "$folder/report.txt" >"$folder/out" 2>&1
ok 'tests of many devices are told to look at the GPU alone'
if unshare -n true 2>/dev/null; then
    printf '#!/bin/sh\nexit 1\n' >"$folder/ip"
    chmod +x "$folder/ip"
    for has_ip in no yes; do
        GPU_PARTS=tests GPU_TESTS=t999-passes unshare -n bash "$script" "$folder" \
            "$folder/report.txt" >"$folder/out" 2>&1
        ok "127.0.0.1 is brought up where it is down, by ip: $has_ip"
        rm -f "$folder/ip"
    done
else
    skip '127.0.0.1 is brought up where it is down' 'only root may take it down'
fi
cat >"$folder/python" <<'EOF'
#!/bin/sh
case $* in
*'import nvidia'*) exit 1 ;;
*find_spec*) exit 0 ;;
*--layers=4*--batch=64*) echo garbage && exec sleep 100 ;;
*--batch=32*) ;;
*) exit 1 ;;
esac
echo 'vitbench  cuda, 1 threads, bf16, 0.2000 s'
echo 'round 1   vitbench 0.2000 s, peer 0.2200 s, ratio 1.100'
exec sleep 100
EOF
chmod +x "$folder/python"
small=$GPU_SMALL
unset GPU_SMALL
GPU_PARTS=compare GPU_SECONDS=8 GPU_PYTHON=$folder/python bash "$script" "$folder" \
    "$folder/report.txt" >"$folder/out" 2>&1
[ $? -ne 0 ] && grep -A2 '^FAIL  compare-22B-32: status 124' "$folder/report.txt" |
    grep -q '^round 1 .* ratio 1.100' &&
    [ "$(grep -c '^[FS][AK][I][LP]  compare-' "$folder/report.txt")" -eq 5 ] &&
    tar -tzf "$folder/report-logs.tar.gz" | grep -q compare-22B-32.log
ok 'of a comparison that hangs the rounds are there, and the others are said'
cat >"$folder/vitbench" <<'EOF'
#!/bin/sh
case $* in
*--shape=22B*--no-graph*--tune=off* | *--shape=22B*--tune=off*--no-graph*) exit 0 ;;
*--shape=22B*) exit 3 ;;
*--no-graph* | *--profile*) exit 0 ;;
esac
exit 3
EOF
cat >"$folder/python" <<'EOF'
#!/bin/sh
case $* in
*'import nvidia'*) exit 1 ;;
*.py*) echo "round 1   $*" ;;
esac
EOF
GPU_PARTS='bench compare' GPU_PYTHON=$folder/python bash "$script" "$folder" \
    "$folder/report.txt" >"$folder/out" 2>&1
[ $? -ne 0 ] && grep -q '^PASS  bench-So400m--no-graph' "$folder/report.txt" &&
    ! grep -q '^[A-Z]*  bench-So400m--no-graph--' "$folder/report.txt" &&
    grep -q '^PASS  bench-22B--no-graph--tune=off' "$folder/report.txt" &&
    [ "$(grep -c '^round 1 .* --no-graph --tune=off --shape=22B' "$folder/report.txt")" -eq 2 ] &&
    [ "$(grep -c '^round 1 .* --no-graph --shape=' "$folder/report.txt")" -eq 3 ]
ok 'a benchmark that fails is tried in other ways, which comparisons take'
cat >"$folder/vitbench" <<'EOF'
#!/bin/sh
case $* in *--profile*) exit 0 ;; *--shape=22B*) exit 0 ;; esac
for option; do
    case $option in
    --jsonl=*) printf '{"step":%s,"seconds":%s,"loss":1}\n' 1 0.5 2 0.25 3 1e-1 \
        >"${option#*=}" ;;
    esac
done
case $* in *--shape=g*) printf '!step the table\n=====\n' ;; esac
exit 1
EOF
GPU_PARTS=bench bash "$script" "$folder" "$folder/report.txt" >"$folder/out" 2>&1
[ $? -ne 0 ] && grep -A1 '^FAIL  bench-So400m: status 1' "$folder/report.txt" |
    grep -q '^3 steps without checks: median 0.2500 s' &&
    grep -A1 '^FAIL  bench-g: status 1' "$folder/report.txt" | grep -q '^!step the table' &&
    [ "$(grep -c 'steps without checks' "$folder/report.txt")" -eq 1 ] &&
    grep -q '^PASS  bench-22B' "$folder/report.txt" &&
    [ "$(grep -c '^[FPS][AK][IS][LSP]  bench-' "$folder/report.txt")" -eq 3 ]
ok 'a benchmark that has its steps is not tried again when its checks fail'
cat >"$folder/vitbench" <<'EOF'
#!/bin/sh
case $* in *--no-graph*) exit 0 ;; esac
exit 124
EOF
GPU_PARTS=bench bash "$script" "$folder" "$folder/report.txt" >"$folder/out" 2>&1
[ $? -ne 0 ] && grep -q '^FAIL  bench-So400m: status 124' "$folder/report.txt" &&
    [ "$(grep -c '^PASS  bench-.*--no-graph (' "$folder/report.txt")" -eq 3 ] &&
    [ "$(grep -c '^PASS  profile-' "$folder/report.txt")" -eq 3 ] &&
    [ "$(grep -c '^FAIL' "$folder/report.txt")" -eq 1 ]
ok 'graphs that hang are waited for once, not once for each shape'
GPU_SMALL=$small
export GPU_SMALL
GPU_SECONDS=1 bash "$script" "$build/tests/emu" "$folder/report.txt" >"$folder/out" 2>&1
grep -q '^SKIP  1x1-f32: no time left' "$folder/report.txt"
ok 'what there is no time for is said'
finish
