# SPDX-License-Identifier: BSD-3-Clause
# How vitbench's configure looks for things.

# VIT_CFLAG(VARIABLE, FLAGS): FLAGS in VARIABLE if the compiler takes them, without the
# user's beside, which it may warn of.
AC_DEFUN([VIT_CFLAG], [
AC_MSG_CHECKING([whether $CC takes $2])
vit_save_CFLAGS=$CFLAGS
CFLAGS="$2 -Werror"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM], [$1="$2"; vit_ok=yes], [$1=; vit_ok=no])
CFLAGS=$vit_save_CFLAGS
AC_MSG_RESULT([$vit_ok])
AC_SUBST([$1])
])

# VIT_LDFLAG(VARIABLE, FLAGS): FLAGS in VARIABLE if the linker takes them.
AC_DEFUN([VIT_LDFLAG], [
AC_MSG_CHECKING([whether the linker takes $2])
vit_save_LDFLAGS=$LDFLAGS
LDFLAGS="$LDFLAGS $2"
AC_LINK_IFELSE([AC_LANG_PROGRAM], [$1="$2"; vit_ok=yes], [$1=; vit_ok=no])
LDFLAGS=$vit_save_LDFLAGS
AC_MSG_RESULT([$vit_ok])
AC_SUBST([$1])
])

# VIT_PRECISE: floating point as it is written, with NaN and sums in the given order:
# CFLAGS end with what takes -ffast-math, -Ofast or a default like them back.
# A function that is nowhere is called where a number is NaN and a sum was rounded: a
# program that links has been told that this cannot be.
AC_DEFUN([VIT_PRECISE], [
AC_MSG_CHECKING([for the flags of precise floating point])
vit_save_CFLAGS=$CFLAGS
vit_ok=no
for vit_flags in '' -fp-model=precise '-fno-fast-math -fno-math-errno' -Kieee -Knoeval; do
    CFLAGS="$vit_save_CFLAGS $vit_flags"
    AC_COMPILE_IFELSE([AC_LANG_SOURCE([[#include "$srcdir/src/base/precise.h"]])],
        [AC_LINK_IFELSE([AC_LANG_PROGRAM([[
void nowhere(void);
volatile double given[3];]], [[
const double x = given[0], y = given[1], z = given[2];
if (x != x && (y + z) - y > z)
    nowhere();]])], [], [vit_ok=yes; break])])
done
AS_IF([test $vit_ok = no],
    [AC_MSG_RESULT([unknown])
     AC_MSG_ERROR([with CFLAGS=$vit_save_CFLAGS the compiler takes no number for NaN, or sums in another order, and checks would prove nothing: add its flag for precise floating point])],
    [test -z "$vit_flags"], [CFLAGS=$vit_save_CFLAGS; AC_MSG_RESULT([none])],
    [AC_MSG_RESULT([$vit_flags])])
])

# VIT_MPI_COMPILER: without a CC of the user's, an MPI's compiler.
AC_DEFUN([VIT_MPI_COMPILER], [
AC_ARG_WITH([mpi],
    [AS_HELP_STRING([--with-mpi=DIR|NAME],
        [the MPI in DIR, or with the compiler mpicc.NAME])],
    [], [with_mpi=yes])
AS_CASE([$with_mpi],
    [no], [AC_MSG_ERROR([MPI cannot be left out])],
    [yes], [vit_mpicc='mpicc mpicc.openmpi mpicc.mpich'; vit_mpi_path=$PATH],
    [*/*], [vit_mpicc=mpicc; vit_mpi_path=$with_mpi/bin],
    [vit_mpicc="mpicc.$with_mpi mpicc-$with_mpi"; vit_mpi_path=$PATH])
AC_ARG_VAR([MPIEXEC], [what starts an MPI program, as MPIEXEC -n 2 PROGRAM])
AS_IF([test -z "$CC"],
    [AC_PATH_PROGS([MPICC], [$vit_mpicc], [], [$vit_mpi_path])
     AS_IF([test -n "$MPICC"], [CC=$MPICC],
        [test "x$with_mpi" != xyes],
        [AC_MSG_ERROR([no MPI compiler for --with-mpi=$with_mpi])])])
])

# VIT_MPI_LIBS: the MPI libraries that conftest would be started with.
m4_define([VIT_MPI_LIBS],
    [`ldd conftest$EXEEXT 2>/dev/null |
      $AWK '@S|@1 ~ /^libmpi(ch)?\.so/ { printf " %s ", @S|@1 }'`])

# VIT_MPI: which MPI the compiler has, by itself or through pkg-config, and what starts
# its programs.  Sets 'mpi' to openmpi, mpich or other, and 'mpi_macro' to what its
# header defines.
AC_DEFUN([VIT_MPI], [
m4_pushdef([vit_mpi_program],
    [AC_LANG_PROGRAM([[#include <mpi.h>]], [[MPI_Init(0, 0);]])])
AC_MSG_CHECKING([for MPI])
AC_LINK_IFELSE([vit_mpi_program], [vit_ok=yes; vit_mpi_libs=VIT_MPI_LIBS],
    [vit_ok=no
     for vit_pc in ompi-c mpich mpi-c; do
         MPI_CFLAGS=`$PKG_CONFIG --cflags $vit_pc 2>/dev/null` || continue
         MPI_LIBS=`$PKG_CONFIG --libs $vit_pc 2>/dev/null`
         vit_save_CPPFLAGS=$CPPFLAGS; vit_save_LIBS=$LIBS
         CPPFLAGS="$CPPFLAGS $MPI_CFLAGS"; LIBS="$MPI_LIBS $LIBS"
         AC_LINK_IFELSE([vit_mpi_program],
             [vit_ok=yes; vit_mpi_libs=VIT_MPI_LIBS; break])
         CPPFLAGS=$vit_save_CPPFLAGS; LIBS=$vit_save_LIBS
     done])
m4_popdef([vit_mpi_program])
AC_MSG_RESULT([$vit_ok])
AS_IF([test $vit_ok = no],
    [AC_MSG_ERROR([no MPI: install one (Debian: libopenmpi-dev), or name it with CC=mpicc or --with-mpi=DIR])])
mpi=other
mpi_macro=MPI_VERSION
mpi_about='an unknown MPI'
vit_launchers='mpiexec mpirun'
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[#include <mpi.h>
#ifndef OPEN_MPI
#error
#endif]])],
    [mpi=openmpi; mpi_macro=OPEN_MPI; mpi_about='Open MPI'
     vit_launchers='mpirun.openmpi mpirun mpiexec'])
AC_COMPILE_IFELSE([AC_LANG_SOURCE([[#include <mpi.h>
#ifndef MPICH_VERSION
#error
#endif]])],
    [mpi=mpich; mpi_macro=MPICH_VERSION; mpi_about='MPICH'
     vit_launchers='mpiexec.mpich mpiexec.hydra mpiexec'])
# The one beside the compiler is of the same MPI; another's would start single ranks.
set dummy $CC
vit_cc=`command -v "$[2]"` || vit_cc=
AS_IF([test -n "$vit_cc"],
    [vit_cc_dir=`dirname "$vit_cc"`
     AC_PATH_PROGS([MPIEXEC], [$vit_launchers], [], [$vit_cc_dir])])
AS_IF([test -z "$MPIEXEC"],
    [AC_PATH_PROGS([MPIEXEC], [$vit_launchers], [], [$vit_mpi_path])])
])

# VIT_LIB(NAME, OPTION, TITLE, DEBIAN, MODULES, USUAL, PROLOGUE, BODY, HOW)
# Look for a library with pkg-config as one of MODULES, then with the flags of USUAL, of
# which each candidate joins its flags with colons; --with-OPTION=DIR takes of these the
# names alone, and a library that lies in DIR.
# Sets NAME_CFLAGS, NAME_LIBS, have_OPTION and the conditional and macro HAVE_NAME.
# A program that would hold another MPI than the compiler's is no success.  With
# HOW = optional a library that is missing is left out, unless it was asked for; with
# HOW = needed it cannot be left out.
AC_DEFUN([VIT_LIB], [
AC_ARG_WITH([$2],
    [AS_HELP_STRING([--with-$2=DIR],
        [$3 in DIR]m4_if([$9], [needed], [], [[; --without-$2 to leave it out]]))],
    [], [with_$2=m4_if([$9], [optional], [check], [yes])])
vit_tries=
AS_CASE([$with_$2],
    [no], [m4_if([$9], [needed], [AC_MSG_ERROR([$3 cannot be left out])])],
    [yes | check],
    [AS_IF([test -n "$PKG_CONFIG"],
        [for vit_pc in $5; do
             vit_flags=`$PKG_CONFIG --cflags --libs $vit_pc 2>/dev/null | tr -s ' ' ':'`
             vit_tries="$vit_tries $vit_flags"
         done])
     vit_tries="$vit_tries $6"],
    [AS_IF([test ! -d "$with_$2"], [AC_MSG_ERROR([--with-$2=$with_$2 is no directory])])
     vit_inc=-I$with_$2/include:-I$with_$2/include/$2
     for vit_dir in $with_$2/lib $with_$2/lib64 $with_$2/lib/$multiarch; do
         for vit_flags in $6; do
             vit_flags=`echo ":$vit_flags" | sed 's/:-@<:@IL@:>@@<:@^:@:>@*//g'`
             vit_name=`echo "$vit_flags" | sed 's/^:-l//; s/:.*//'`
             AS_IF([ls "$vit_dir/lib$vit_name".* >/dev/null 2>&1],
                 [vit_tries="$vit_tries $vit_inc:-L$vit_dir:-Wl,-rpath,$vit_dir$vit_flags"])
         done
     done])
have_$2=no
AS_IF([test "x$with_$2" != xno],
    [AC_MSG_CHECKING([for $3])
     vit_save_CPPFLAGS=$CPPFLAGS
     vit_save_LIBS=$LIBS
     for vit_try in $vit_tries; do
         $1_CFLAGS=
         $1_LIBS=
         for vit_flag in `echo "$vit_try" | tr ':' ' '`; do
             AS_CASE([$vit_flag],
                 [-I*|-D*], [$1_CFLAGS="$$1_CFLAGS $vit_flag"],
                 [$1_LIBS="$$1_LIBS $vit_flag"])
         done
         CPPFLAGS="$vit_save_CPPFLAGS $$1_CFLAGS"
         LIBS="$$1_LIBS $vit_more_libs $vit_save_LIBS"
         AC_LINK_IFELSE([AC_LANG_PROGRAM([$7], [$8])],
             [have_$2=yes
              for vit_name in VIT_MPI_LIBS; do
                  AS_CASE([$vit_mpi_libs], [*" $vit_name "*], [],
                      [AS_ECHO(["$vit_name is of another MPI"]) >&AS_MESSAGE_LOG_FD
                       have_$2=no])
              done])
         AS_IF([test $have_$2 = yes], [break])
     done
     CPPFLAGS=$vit_save_CPPFLAGS
     LIBS=$vit_save_LIBS
     AC_MSG_RESULT([$have_$2])
     AS_IF([test $have_$2 = yes],
         [AC_DEFINE([HAVE_$1], [1], [Define to 1 if $3 is used.])],
         [test "x$with_$2" != xcheck],
         [AS_CASE([$with_$2], [yes], [vit_where=], [vit_where=" in $with_$2"])
          AC_MSG_ERROR([$3 is missing$vit_where: install it (Debian: $4), m4_if([$9], [needed],
              [or name its place with --with-$2=DIR],
              [name its place with --with-$2=DIR, or leave it out with --without-$2])])])])
AS_IF([test $have_$2 = no],
    [$1_CFLAGS=
     $1_LIBS=])
AC_SUBST([$1_CFLAGS])
AC_SUBST([$1_LIBS])
AM_CONDITIONAL([HAVE_$1], [test $have_$2 = yes])
])

# VIT_CUDA: NVIDIA's compiler and the headers of its libraries, for the device 'cuda'.
# --with-cuda=DIR looks in DIR alone; who names capabilities asks for CUDA.  The run-time
# library is linked statically and all else is opened when the device is, so that programs
# start where there is no driver.
# Sets NVCC, NVCC_ARCH, CUDA_CPPFLAGS, CUDA_LIBS, have_cuda and HAVE_CUDA.
AC_DEFUN([VIT_CUDA], [
AC_ARG_WITH([cuda],
    [AS_HELP_STRING([--with-cuda=DIR],
        [the CUDA toolkit in DIR, else that of the nvcc in PATH, CUDA_HOME, CUDA_PATH or /usr/local/cuda; --without-cuda to leave it out])],
    [], [with_cuda=check])
AC_ARG_WITH([cuda-arch],
    [AS_HELP_STRING([--with-cuda-arch=90,100],
        [the compute capabilities to build for, without the point; else those of 90 and 100 that nvcc knows])],
    [AS_IF([test "x$with_cuda" = xcheck], [with_cuda=yes])
     AS_CASE([$with_cuda_arch], [*@<:@!0-9,@:>@* | ,* | *, | *,,* | ''],
        [AC_MSG_ERROR([--with-cuda-arch=$with_cuda_arch is no list such as 90,100, without points and letters])])],
    [with_cuda_arch=])
AC_ARG_VAR([NVCC], [the CUDA compiler])
AC_ARG_VAR([NVCCFLAGS], [more flags for it, such as -ccbin=g++-12])
have_cuda=no
have_cuda_about=no
AS_IF([test "x$with_cuda" != xno],
    [AS_CASE([$with_cuda],
        [yes | check],
        [vit_path=$PATH${CUDA_HOME:+:$CUDA_HOME/bin}${CUDA_PATH:+:$CUDA_PATH/bin}:/usr/local/cuda/bin
         vit_why='there is no nvcc in PATH, CUDA_HOME, CUDA_PATH or /usr/local/cuda'],
        [AS_IF([test ! -d "$with_cuda"],
            [AC_MSG_ERROR([--with-cuda=$with_cuda is no directory])])
         vit_path=$with_cuda/bin:$with_cuda/cuda/bin
         vit_why="there is no nvcc in $with_cuda/bin"])
     AS_CASE([$NVCCFLAGS], [*use_fast_math*],
        [AC_MSG_ERROR([NVCCFLAGS=$NVCCFLAGS would make tanh good to 11 bits: leave --use_fast_math out])])
     AS_IF([test -z "$NVCC"], [AC_PATH_PROG([NVCC], [nvcc], [], [$vit_path])])
     AS_IF([test -n "$NVCC"], [VIT_CUDA_ARCH])
     AS_IF([test -z "$vit_why"], [VIT_CUDA_NVCC])
     AS_IF([test -z "$vit_why"], [VIT_CUDA_LIBS])
     AS_IF([test -z "$vit_why"],
        [have_cuda=yes
         have_cuda_about="$vit_version by $NVCC, for $with_cuda_arch"],
        [test "x$with_cuda" = xcheck],
        [have_cuda_about="no: $vit_why"],
        [AC_MSG_ERROR([no CUDA: $vit_why (see config.log): install a toolkit, name its place with --with-cuda=DIR, or leave it out with --without-cuda])])])
AS_IF([test $have_cuda = yes],
    [AC_DEFINE([HAVE_CUDA], [1], [Define to 1 if the CUDA toolkit is used.])
     AC_DEFINE_UNQUOTED([CUDA_ARCHS], ["$with_cuda_arch"],
        [Compute capabilities that kernels are built for.])
     AC_DEFINE_UNQUOTED([CUDA_LIBDIR], ["$vit_lt_dir"],
        [Where cuBLASLt was when this was built.])],
    [CUDA_CPPFLAGS=
     CUDA_LIBS=
     NVCC_ARCH=])
AC_SUBST([CUDA_CPPFLAGS])
AC_SUBST([CUDA_LIBS])
AC_SUBST([NVCC_ARCH])
AM_CONDITIONAL([HAVE_CUDA], [test $have_cuda = yes])
AC_PATH_PROGS([HOST_CXX], [g++ clang++ c++])
AM_CONDITIONAL([HAVE_EMULATOR], [test $have_cuda = yes && test -n "$HOST_CXX"])
])

# The three parts of VIT_CUDA; vit_why is empty, or what stands against CUDA.

# What to build for, 80 at least: tensor cores take bf16 from there on.  The last one is
# there as PTX, too, which drivers compile for later GPUs.
AC_DEFUN([VIT_CUDA_ARCH], [
AC_MSG_CHECKING([what $NVCC builds for])
vit_log=`$NVCC --list-gpu-arch 2>&1`
vit_known=`AS_ECHO(["$vit_log"]) | sed -n '/_@<:@1-7@:>@.$/d; s/^compute_//p' | sort -n |
    tr '\n' ',' | sed 's/,$//'`
vit_why=
vit_archs=
NVCC_ARCH=
for vit_arch in `echo "${with_cuda_arch:-90,100}" | tr ',' ' '`; do
    AS_CASE([,$vit_known,],
        [*,$vit_arch,*],
        [vit_archs=${vit_archs:+$vit_archs,}$vit_arch
         vit_last=$vit_arch
         NVCC_ARCH="$NVCC_ARCH -gencode=arch=compute_$vit_arch,code=sm_$vit_arch"],
        [AS_IF([test -n "$with_cuda_arch"],
            [vit_why="$NVCC does not build these kernels for $vit_arch, but for $vit_known"])])
done
AS_IF([test -z "$vit_known"],
    [vit_why=`AS_ECHO(["$NVCC does not run: $vit_log"]) | head -n 1`],
    [test -z "$vit_why$vit_archs"],
    [vit_why="$NVCC builds for neither 90 nor 100"])
with_cuda_arch=$vit_archs
NVCC_ARCH="$NVCC_ARCH -gencode=arch=compute_$vit_last,code=compute_$vit_last"
AC_MSG_RESULT([${vit_archs:-nothing}])
])

# Whether nvcc works, and where it says that headers and libraries are, for that differs by
# who packs them; NVIDIA's HPC SDK has cuBLASLt apart, in math_libs, and Python's packages
# have lib where nvcc says lib64.
AC_DEFUN([VIT_CUDA_NVCC], [
AC_MSG_CHECKING([whether $NVCC works])
AC_LANG_CONFTEST([AC_LANG_SOURCE([[#include <cuda_bf16.h>
#if CUDART_VERSION < 11080
#error vitbench needs CUDA 11.8
#endif
__global__ void nothing(void) {}
int main(void) { nothing<<<1, 1>>>(); return 0; }]])])
vit_log=`cp conftest.c conftest.cu &&
    $NVCC -v -std=c++17 $NVCC_ARCH $NVCCFLAGS -c conftest.cu -o conftest.$OBJEXT 2>&1` ||
    vit_why="$NVCC does not compile: "`AS_ECHO(["$vit_log"]) | grep -v '^#@S|@ ' | grep -m 1 'error\|fatal'`
AS_IF([test -z "$vit_why"],
    [vit_version=`$NVCC --version | sed -n 's/.* release \(.*\), V.*/\1/p'`
     vit_top=`AS_ECHO(["$vit_log"]) | sed -n 's/^#@S|@ TOP=//p'`
     vit_math=`cd -P "$vit_top/../../math_libs/$vit_version" 2>/dev/null && pwd`
     CUDA_CPPFLAGS=
     vit_dirs=
     for vit_flag in `AS_ECHO(["$vit_log"]) | tr -d '"' |
             sed -n 's/^#@S|@ INCLUDES=//p; s/^#@S|@ LIBRARIES=//p'` \
             ${vit_top:+-L$vit_top/lib} \
             ${vit_math:+-I$vit_math/include -L$vit_math/lib64}; do
         vit_dir=`echo "$vit_flag" | sed 's/^-.//'`
         vit_dir=`cd -P "$vit_dir" 2>/dev/null && pwd` || continue
         AS_CASE([$vit_flag],
             [*/stubs], [],
             [-I*], [CUDA_CPPFLAGS="$CUDA_CPPFLAGS -I$vit_dir"],
             [-L*], [vit_dirs="$vit_dirs $vit_dir"])
     done
     AC_MSG_RESULT([$vit_version])],
    [AC_MSG_RESULT([no])
     AS_ECHO(["$vit_log"]) >&AS_MESSAGE_LOG_FD])
rm -f conftest*
])

# Whether programs link with the run-time library, and where cuBLASLt is.  No -L: it would
# come before those of other libraries, and Debian has CUDA's among all others.
AC_DEFUN([VIT_CUDA_LIBS], [
CUDA_LIBS=
vit_lt_dir=
for vit_dir in $vit_dirs; do
    AS_IF([test -z "$CUDA_LIBS" && test -f "$vit_dir/libcudart_static.a"],
        [CUDA_LIBS="$vit_dir/libcudart_static.a -lrt -lpthread -ldl"])
    AS_IF([test -z "$vit_lt_dir" && ls "$vit_dir"/libcublasLt.so.* >/dev/null 2>&1],
        [vit_lt_dir=$vit_dir])
done
AS_IF([test -z "$CUDA_LIBS"],
    [vit_why="libcudart_static.a is not with the libraries of $NVCC"],
    [vit_save_CPPFLAGS=$CPPFLAGS
     vit_save_LIBS=$LIBS
     CPPFLAGS="$CPPFLAGS $CUDA_CPPFLAGS"
     LIBS="$CUDA_LIBS $LIBS"
     AC_MSG_CHECKING([whether programs compile and link with CUDA])
     AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <cublasLt.h>
#include <cuda_runtime.h>]], [[cublasLtHandle_t lt;
      int n;
      return cudaGetDeviceCount(&n) == cudaSuccess && sizeof lt > 0;]])],
        [AC_MSG_RESULT([yes])],
        [AC_MSG_RESULT([no])
         vit_why="programs do not compile or link with $CUDA_CPPFLAGS $CUDA_LIBS"
         AC_PREPROC_IFELSE([AC_LANG_SOURCE([[#include <cublasLt.h>]])], [],
            [vit_why="cublasLt.h is not with the headers of $NVCC"])])
     CPPFLAGS=$vit_save_CPPFLAGS
     LIBS=$vit_save_LIBS])
])
