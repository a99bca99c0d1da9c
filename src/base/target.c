/* SPDX-License-Identifier: BSD-3-Clause */
/* One function for any processor of x86-64 or ARM, whatever the flags, that calls none
 * of ours.  What loops of src/dev are compiled for is asked for at run time, and is no
 * matter of this.
 */
#include "config.h"

#include "src/base/target.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#include <sys/prctl.h>
#endif

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* clang-format off */
#if defined(__x86_64__)
#define HAS_CHECK
#define OLDEST __attribute__((target("arch=x86-64,no-avx")))
#define FLAGS "-march"
#define LACKS(feature) !__builtin_cpu_supports(feature) ? feature :
#elif defined(__aarch64__) && defined(__linux__)
#define HAS_CHECK
#ifndef __clang__
#define OLDEST __attribute__((target("arch=armv8-a")))
#else
#define OLDEST
#endif
#define FLAGS "-march, -mcpu and -msve-vector-bits"
#define LACKS(feature, word, bit) (getauxval(word) >> (bit) & 1) == 0 ? feature :
#endif

#ifdef HAS_CHECK

enum { STATUS_ENVIRONMENT = 3 };

__attribute__((constructor)) OLDEST
void target_check(void)
{
    const char *lacks;

#ifdef __x86_64__
    __builtin_cpu_init();
#endif
    lacks =
#ifdef __SSE4_2__
        LACKS("sse4.2")
#endif
#ifdef __AVX__
        LACKS("avx")
#endif
#ifdef __AVX2__
        LACKS("avx2")
#endif
#ifdef __FMA__
        LACKS("fma")
#endif
#ifdef __BMI2__
        LACKS("bmi2")
#endif
#ifdef __AVX512F__
        LACKS("avx512f")
#endif
#ifdef __AVX512BW__
        LACKS("avx512bw")
#endif
#ifdef __AVX512VNNI__
        LACKS("avx512vnni")
#endif
#ifdef __AVX512BF16__
        LACKS("avx512bf16")
#endif
#ifdef __ARM_FEATURE_ATOMICS
        LACKS("lse", AT_HWCAP, 8)
#endif
#ifdef __ARM_FEATURE_FP16_VECTOR_ARITHMETIC
        LACKS("fp16", AT_HWCAP, 10)
#endif
#ifdef __ARM_FEATURE_DOTPROD
        LACKS("dotprod", AT_HWCAP, 20)
#endif
#ifdef __ARM_FEATURE_SVE
        LACKS("sve", AT_HWCAP, 22)
#endif
#ifdef __ARM_FEATURE_SVE2
        LACKS("sve2", AT_HWCAP2, 1)
#endif
#ifdef __ARM_FEATURE_MATMUL_INT8
        LACKS("i8mm", AT_HWCAP2, 13)
#endif
#ifdef __ARM_FEATURE_BF16_VECTOR_ARITHMETIC
        LACKS("bf16", AT_HWCAP2, 14)
#endif
#if __ARM_FEATURE_SVE_BITS > 0 /* of another length it skips numbers */
        8 * (prctl(PR_SVE_GET_VL) & PR_SVE_VL_LEN_MASK) != __ARM_FEATURE_SVE_BITS
            ? "sve of " TEXT(__ARM_FEATURE_SVE_BITS) " bits" :
#endif
        NULL;
    if (lacks == NULL)
        return;
    fprintf(stderr,
            "%s: this processor has no %s, which the build was allowed to use (CFLAGS "
            "%s): build for this one, or without " FLAGS "\n",
            program_invocation_short_name, lacks, BUILD_CFLAGS);
    _exit(STATUS_ENVIRONMENT);
}
/* clang-format on */

#else

void target_check(void)
{
}

#endif
