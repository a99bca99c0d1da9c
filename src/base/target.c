/* SPDX-License-Identifier: BSD-3-Clause */
/* One function for any x86-64, whatever the flags, that calls none of ours.  What loops
 * of src/dev are compiled for is asked for at run time, and is no matter of this.
 */
#include "config.h"

#include "src/base/target.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#ifdef __x86_64__

enum { STATUS_ENVIRONMENT = 3 };

/* clang-format off */
#define LACKS(feature) !__builtin_cpu_supports(feature) ? feature :

__attribute__((constructor, target("arch=x86-64,no-avx")))
void target_check(void)
{
    const char *lacks;

    __builtin_cpu_init();
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
        NULL;
    if (lacks == NULL)
        return;
    fprintf(stderr,
            "%s: this processor has no %s, which the build was allowed to use (CFLAGS "
            "%s): build for this one, or without -march\n",
            program_invocation_short_name, lacks, BUILD_CFLAGS);
    _exit(STATUS_ENVIRONMENT);
}
/* clang-format on */

#else

void target_check(void)
{
}

#endif
