#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# configure --with-NAME=DIR takes a library that lies in DIR, in lib64 too, and none that
# lies elsewhere; what programs know of where they are installed changes with --prefix;
# no flags make floating point imprecise.
# shellcheck disable=SC2154,SC2015
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
source=$(cd "${srcdir:-.}" && pwd)
build=$(cd "${top_builddir:-.}" && pwd)
makefile=${top_builddir:-.}/Makefile
cc=$(sed -n 's/^CC = //p' "$makefile")
[ -x "$source/configure" ] || skip_all 'there is no configure'
case $source in
*[[:space:]]*) skip_all 'configure takes no blank in its own absolute name' ;;
esac
[ ! -f "$source/config.status" ] || skip_all 'the source was configured where it lies'

# A prefix with nothing but Jansson, which is looked for first.
mkdir -p "$folder/there/include/jansson" "$folder/there/lib64" "$folder/empty" "$folder/build"
for name in jansson.h jansson_config.h; do
    # The compiler and the flags are words.
    # shellcheck disable=SC2046
    file=$(echo "#include <$name>" |
        $cc $(sed -n 's/^JANSSON_CFLAGS = //p' "$makefile") -E - 2>/dev/null |
        sed -n "s|^# 1 \"\(.*/$name\)\".*|\1|p" | head -n 1)
    [ ! -f "$file" ] || ln -s "$file" "$folder/there/include/jansson/"
done
file=$($cc -print-file-name=libjansson.so)
[ ! -f "$file" ] || ln -s "$file" "$folder/there/lib64/"
[ -f "$folder/there/include/jansson/jansson.h" ] && [ -f "$folder/there/lib64/libjansson.so" ] ||
    skip_all 'Jansson is not in a usual place'

cd "$folder/build" || exit 99
"$source/configure" CC="$cc" --with-jansson="$folder/there" --with-blis="$folder/empty" \
    >"$folder/out" 2>&1
grep -q '^checking for Jansson... yes' "$folder/out" &&
    grep -q "^JANSSON_LIBS='.*-L$folder/there/lib64 " config.log &&
    grep -q "^JANSSON_CFLAGS='.*-I$folder/there/include/jansson" config.log
ok 'a library is taken from lib64, its header from a folder of its own'
tail -n 1 "$folder/out" | grep -q "^configure: error: BLIS is missing in $folder/empty: install"
ok 'one that is not there is missing, whatever the system has'

# An HDF5 that knows no MPI will do, one of another MPI will not, nor one that brings
# another MPI's library along.
mkdir -p "$folder/h5/include" "$folder/h5/lib"
echo 'int H5Fopen(void) { return 0; }' >"$folder/h5.c"
try_hdf5() { # LINE IN ITS HEADER
    printf '%s\n' 'int H5Fopen(const char *, unsigned, long);' "$1" \
        '#define H5F_ACC_RDONLY 0' '#define H5P_DEFAULT 0' >"$folder/h5/include/hdf5.h"
    "$source/configure" -C CC="$cc" --without-blis --without-onednn \
        --with-hdf5="$folder/h5" --with-jpeg="$folder/empty" 2>&1 |
        sed -n 's/^checking for HDF5... //p' >>"$folder/hdf5"
}
$cc -shared -fPIC "$folder/h5.c" -o "$folder/h5/lib/libhdf5.so"
try_hdf5 ''
try_hdf5 '#define H5_HAVE_PARALLEL 1'
mpi=$folder/h5/lib/libmpi.so.1066
$cc -shared -fPIC "$folder/h5.c" -Wl,-soname,libmpi.so.1066 -o "$mpi"
$cc -shared -fPIC -Wl,--no-as-needed "$folder/h5.c" -o "$folder/h5/lib/libhdf5.so" "$mpi" \
    -Wl,-rpath,"$folder/h5/lib"
try_hdf5 ''
[ "$(tr '\n' ' ' <"$folder/hdf5")" = 'yes no no ' ]
ok 'HDF5 may be serial, and is refused where it is of another MPI'

# Another MPI before it in the path, and even one whose launcher has a better name.
mkdir "$folder/mine" "$folder/theirs"
printf '#!/bin/sh\nexec %s "$@"\n' "$cc" >"$folder/mine/mpicc"
for launcher in mpirun mpiexec; do
    for suffix in '' .openmpi .mpich .hydra; do
        touch "$folder/theirs/$launcher$suffix"
    done
    touch "$folder/mine/$launcher"
done
chmod +x "$folder"/mine/* "$folder"/theirs/*
(
    unset CC MPIEXEC
    export PATH="$folder/theirs:$PATH"
    "$source/configure" CC="$folder/mine/mpicc" --with-jansson="$folder/empty" \
        >"$folder/out" 2>&1
)
grep '^checking for mpi[a-z.]*\.\.\. /' "$folder/out" | tail -n 1 |
    grep -q "\.\.\. $folder/mine/mpi[a-z]*$"
ok 'programs are started by the launcher that lies beside the compiler'
tail -n 1 "$folder/out" | grep -q '^configure: error: Jansson is missing .*=DIR$' &&
    ! "$source/configure" --help | grep -q -e --without-jansson
ok 'to leave out what cannot be left out is not advised'

echo '#warning of it' >"$folder/warns.h"
"$source/configure" CC="$cc" CFLAGS="-O2 -ffast-math -include $folder/warns.h" --enable-shared \
    ac_cv_prog_c_openmp=unsupported >"$folder/out" 2>&1
tail -n 1 "$folder/out" | grep -q 'has no OpenMP: install it (.*--disable-openmp$'
ok 'a compiler without OpenMP is refused, unless one thread a rank was asked for'
grep -q '^checking whether to build shared libraries... no$' "$folder/out"
ok 'objects are of one kind, as those of nvcc, where shared libraries are asked for, too'
about='checking for the flags of precise floating point...'
if echo 'int x;' | $cc -ffast-math -Werror -c -o "$folder/x.o" -x c - 2>/dev/null; then
    grep -q "^$about -f" "$folder/out"
    ok 'a user who asks for -ffast-math gets precise floating point'
    for flags in '-O0 -ffast-math' '-O0 -ffast-math -fno-fast-math'; do
        # shellcheck disable=SC2086
        $cc $flags -c -o "$folder/x.o" -x c "$source/src/base/precise.h" 2>&1 |
            grep -c 'error: .*NaN has to be seen'
    done >"$folder/out"
    [ "$(tr '\n' ' ' <"$folder/out")" = '1 0 ' ]
    ok 'with other flags of make than of configure, no file compiles that misses NaN'
    printf '%s\n' '#!/bin/sh' "exec $cc \"\$@\" -O2 -funsafe-math-optimizations" >"$folder/cc"
    chmod +x "$folder/cc"
    "$source/configure" CC="$folder/cc" >"$folder/out" 2>&1
    tail -n 1 "$folder/out" |
        grep -q '^configure: error: .* checks would prove nothing: add its flag'
    ok 'a compiler that adds up in an order of its own is refused'
else
    skip 'fast floating point is taken back' "$cc takes no -ffast-math"
fi
"$source/configure" --prefix="$folder/a place" >"$folder/out" 2>&1
grep -q 'a place has a space, and libtool cannot install there' "$folder/out"
ok 'a prefix that libtool cannot install into is refused'
for names in --program-prefix= --program-prefix=my- --program-suffix=_openmpi; do
    "$source/configure" "$names" --with-mpi=no 2>&1 |
        grep -c 'error: programs and job scripts call each other by name: leave '
done >"$folder/out"
[ "$(tr '\n' ' ' <"$folder/out")" = '0 1 1 ' ]
ok 'other names of programs, which would not find each other, are refused'
"$source/configure" -C CC="$cc" NVCCFLAGS=--use_fast_math --without-blis --without-onednn \
    --without-hdf5 --without-lapack --without-scalapack >"$folder/out" 2>&1
grep -q 'error: NVCCFLAGS=.*: leave --use_fast_math out$' "$folder/out"
ok 'nvcc is not asked for fast functions'

to=$folder/to
for what in install uninstall; do
    ${MAKE:-make} -C "$build" $what DESTDIR="$to" prefix=/here >"$folder/out" 2>&1 &&
        find "$to" ! -type d -o -name vitbench >"$folder/$what"
done
[ -s "$folder/install" ] && [ ! -s "$folder/uninstall" ]
ok 'uninstalling leaves no file or folder of ours'

why='random numbers have the bits of all machines, whatever CFLAGS fuse'
unfused=$(sed -n 's/^UNFUSED_CFLAGS = //p' "$build/Makefile")
if [ -n "$unfused" ]; then
    case $("$(echo "$cc" | sed 's/ .*//')" --version) in
    *'Free Software'* | *clang*) # else the linker would compile them, as it was told
        unfused='-ffp-contract=off -fno-lto'
        ;;
    esac
    ${MAKE:-make} -C "$build" -n V=1 -W src/base/rng.c CFLAGS=-O3 src/base/rng.lo |
        grep -q -- "-O3 .*$unfused"
    ok "$why"
else
    skip "$why" 'the compiler takes no flag for it'
fi

${MAKE:-make} -C "$build" -n -W Makefile vitfit >"$folder/out" 2>&1
grep -q 'machine_file\.lo' "$folder/out" && grep -q 'plan_write\.lo' "$folder/out"
ok 'after another configure the paths within the programs are made anew'
finish
