/* SPDX-License-Identifier: BSD-3-Clause */
/* A table from the features of processors to BLIS's kernel sets.
 *
 * BLIS takes the number in BLIS_ARCH_TYPE when it starts and dies if its build lacks
 * that set.  Which sets the build has, its header says; the number of a set changes
 * from version to version, but BLIS names the numbers before it has started.
 */
#include "config.h"

#include "src/dev/blis_arch.h"

#include "src/dev/cpu_info.h"

#include <blis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum vendor { ANY, AMD, INTEL };

/* Best first.  On AMD 'family' and all later ones; zen is 0x17 too, and zen2 differs
 * from it in the widths that it was tuned for alone.
 */
static const struct {
    const char *name;
    enum cpu_isa isa;
    enum vendor vendor;
    int family;
} sets[] = {
#ifdef BLIS_CONFIG_SKX
    { "skx", CPU_ISA_AVX512, ANY, 0 },
#endif
#ifdef BLIS_CONFIG_ZEN3
    { "zen3", CPU_ISA_AVX2, AMD, 0x19 },
#endif
#ifdef BLIS_CONFIG_ZEN2
    { "zen2", CPU_ISA_AVX2, AMD, 0x17 },
#endif
#ifdef BLIS_CONFIG_ZEN
    { "zen", CPU_ISA_AVX2, AMD, 0x17 },
#endif
#ifdef BLIS_CONFIG_HASWELL
    { "haswell", CPU_ISA_AVX2, ANY, 0 },
#endif
    { NULL, CPU_ISA_BASE, ANY, 0 },
};

static const char *best_set(void)
{
    const enum cpu_isa isa = cpu_isa();
    int family             = 0;
    const bool is_amd      = cpu_is_amd(&family);
    int i                  = 0;

    while (sets[i].name != NULL &&
           (isa < sets[i].isa || (sets[i].vendor == AMD && !is_amd) ||
            (sets[i].vendor == INTEL && !cpu_is_intel()) || family < sets[i].family))
        i++;
    return sets[i].name;
}

/* BLIS's number of the set 'name', or -1. */
static int number_of(const char *name)
{
    for (int id = 0; id < BLIS_NUM_ARCHS; id++)
        if (strcmp(bli_arch_string((arch_t)id), name) == 0)
            return id;
    return -1;
}

void blis_arch_start(char *about, size_t size)
{
    const char *best = best_set(), *got;
    const int number = best != NULL ? number_of(best) : -1;
    char why[64]     = "its own choice", text[16];

    if (getenv("BLIS_ARCH_TYPE") != NULL) {
        snprintf(why, sizeof why, "by BLIS_ARCH_TYPE");
        bli_init();
    } else if (number >= 0) {
        snprintf(text, sizeof text, "%d", number);
        setenv("BLIS_ARCH_TYPE", text, 1);
        bli_init();
        unsetenv("BLIS_ARCH_TYPE");
        snprintf(why, sizeof why, "for %s", cpu_isa_name(cpu_isa()));
    } else {
        bli_init();
    }
    got = bli_arch_string(bli_arch_query_id());
    if (number >= 0 && getenv("BLIS_ARCH_TYPE") == NULL && strcmp(got, best) != 0)
        snprintf(why, sizeof why, "chosen before; %s would be right", best);
    snprintf(about, size, "BLIS %s, %s kernels (%s)", bli_info_get_version_str(), got,
             why);
}
