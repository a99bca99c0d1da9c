/* SPDX-License-Identifier: BSD-3-Clause */
/* Threads of a BLAS that is only known when the program runs: the functions by which
 * the usual ones are told are looked up by name.
 */
#include "config.h"

#include "src/eval/blas.h"

#ifdef HAVE_BLIS
#include "src/dev/blis_arch.h"
#endif

#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

/* Call 'name' if the program holds it; BLIS wants a number of its own size. */
static void tell(const char *name, int threads)
{
    void *found = dlsym(RTLD_DEFAULT, name);
    void (*set)(intptr_t threads);

    if (found == NULL)
        return;
    memcpy(&set, &found, sizeof set); /* ISO C has no cast for this */
    set(threads);
}

void blas_start(int threads)
{
#ifdef HAVE_BLIS
    char about[128];

    blis_arch_start(about, sizeof about);
#endif
    tell("bli_thread_set_num_threads", threads);
    tell("openblas_set_num_threads", threads);
    tell("MKL_Set_Num_Threads", threads);
}
