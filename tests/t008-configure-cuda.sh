#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# configure takes CUDA where nvcc says that it lies, for what nvcc builds for, or says why
# not.  The toolkit is none: that of CUDA 12.4, for another kind of host, in folders as
# NVIDIA's HPC SDK has them.
# shellcheck disable=SC2154
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
source=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${top_builddir:-.}" && pwd)
cc=$(sed -n 's/^CC = //p' "$build/Makefile")
[ -x "$source/configure" ] || skip_all 'there is no configure'
[ ! -f "$source/config.status" ] || skip_all 'the source was configured where it lies'

sdk=$(cd "$folder" && pwd -P)/sdk
for of in cuda/12.4 math_libs/12.4; do
    mkdir -p "$sdk/$of/targets/sbsa-linux/include" "$sdk/$of/targets/sbsa-linux/lib"
    ln -s targets/sbsa-linux/include "$sdk/$of/include"
    ln -s targets/sbsa-linux/lib "$sdk/$of/lib64"
done
mkdir "$sdk/cuda/12.4/bin"
ln -s 12.4/bin "$sdk/cuda/bin"
echo 'typedef void *cublasLtHandle_t;' >"$sdk/math_libs/12.4/include/cublasLt.h"
: >"$sdk/math_libs/12.4/lib64/libcublasLt.so.12"
printf '%s\n' 'enum { cudaSuccess };' 'int cudaGetDeviceCount(int *);' \
    >"$sdk/cuda/12.4/include/cuda_runtime.h"
echo 'int cudaGetDeviceCount(int *n) { return *n = 0; }' >"$folder/cudart.c"
$cc -c "$folder/cudart.c" -o "$folder/cudart.o"
ar cr "$sdk/cuda/12.4/lib64/libcudart_static.a" "$folder/cudart.o"
cat >"$sdk/cuda/12.4/bin/nvcc" <<'EOF'
#!/bin/sh
top=$(dirname "$0")/..
case $* in
--list-gpu-arch) printf 'compute_%s\n' 75 80 90 ;;
--version) echo 'Cuda compilation tools, release 12.4, V12.4.131' ;;
*)
    lib=$top/targets/sbsa-linux/lib
    printf '#$ %s\n' "TOP=$top" "INCLUDES=\"-I$top/targets/sbsa-linux/include\"  " \
        "LIBRARIES=  \"-L$lib/stubs\" \"-L$lib\"" 'gcc -D__CUDA_ARCH_LIST__=900 -error'
    case $* in *-ccbin=g++-99*) echo 'host_config.h:143:2: error: unsupported' && exit 1 ;; esac
    ;;
esac
EOF
chmod +x "$sdk/cuda/12.4/bin/nvcc"

# No other nvcc comes before that of CUDA_HOME, but where it lies among all programs.
home=CUDA_HOME=$sdk/cuda/12.4
path=
IFS=:
for of in $PATH; do
    [ -x "$of/nvcc" ] || path=$path${path:+:}$of
done
unset IFS
if [ -x /usr/bin/nvcc ]; then
    home=--with-cuda=$sdk
    path=$PATH
fi

# What is no matter of CUDA was answered when this was built.
answers() {
    grep '^[a-z]*_cv_[A-Za-z0-9_]*=' "$build/config.log" | grep -v -i '_cv_env_\|nvcc'
}
mkdir "$folder/build"
cd "$folder/build" || exit 99
configure_cuda() {
    answers >config.cache
    env -u NVCC -u NVCCFLAGS -u CUDA_HOME -u CUDA_PATH PATH="$path" \
        "$source/configure" -n -C CC="$cc" --without-blis --without-onednn --without-hdf5 \
        --without-jpeg --without-png --without-libzip --without-lapack --without-scalapack \
        --without-simgrid "$@" >"$folder/out" 2>&1
}

configure_cuda "$home" && of=targets/sbsa-linux &&
    grep -q "^CUDA_CPPFLAGS=' -I$sdk/cuda/12.4/$of/include -I$sdk/math_libs/12.4/$of/include'" \
        config.log &&
    grep -q "^CUDA_LIBS='$sdk/cuda/12.4/$of/lib/libcudart_static.a " config.log &&
    grep -q "define CUDA_LIBDIR \"$sdk/math_libs/12.4/$of/lib\"" config.log
ok 'the toolkit of CUDA_HOME is found, and cuBLASLt where the HPC SDK has it'
grep -q "CUDA  *12.4 by $sdk/.*/nvcc, for 90\$" "$folder/out" &&
    grep -q "^NVCC_ARCH='.*_90,code=sm_90 .*code=compute_90'" config.log
ok 'of the usual capabilities those are built for that nvcc knows'
mv "$sdk/cuda/12.4/targets/sbsa-linux/lib" "$sdk/cuda/12.4/lib"
configure_cuda --with-cuda="$sdk" --with-cuda-arch=80 &&
    grep -q "^CUDA_LIBS='$sdk/cuda/12.4/lib/libcudart_static.a " config.log &&
    grep -q 'CUDA  *12.4 by .*/nvcc, for 80$' "$folder/out"
ok 'one in a folder named may have its libraries in lib, and builds for what was asked for'
configure_cuda --with-cuda="$sdk" --with-cuda-arch=90,100
tail -n 1 "$folder/out" | grep -q 'error: no CUDA: .*/nvcc does not build these kernels for 100, but for 80,90 (see'
ok 'one that was asked for and that nvcc does not know is refused, with those that it knows'
configure_cuda --with-cuda-arch=90a
tail -n 1 "$folder/out" | grep -q 'error: --with-cuda-arch=90a is no list such as 90,100'
ok 'so is one with letters'
configure_cuda NVCC="$sdk/cuda/bin/nvcc" NVCCFLAGS=-ccbin=g++-99 &&
    grep -q 'CUDA  *no: .*/nvcc does not compile: host_config.h:143:2: error: unsupported$' \
        "$folder/out"
ok 'where nvcc does not work the summary says why there is no CUDA'
finish
