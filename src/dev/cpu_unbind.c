/* SPDX-License-Identifier: BSD-3-Clause */
/* Give back what the OpenMP of a library has bound: see cpu_unbind.h. */
#include "config.h"

#include "src/dev/cpu_unbind.h"

#include "src/base/mem.h"
#include "src/dev/cpu_info.h"

#include <dlfcn.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

/* What GNU's OpenMP says of its places. */
struct places {
    int (*count)(void);
    int (*cpus)(int place);
    void (*list)(int place, int *cpus);
};

/* Let the pointer at 'function' be 'name' of 'library'; false where it has none. */
static bool find(void *function, void *library, const char *name)
{
    void *const found = dlsym(library, name);

    memcpy(function, &found, sizeof found); /* ISO C has no cast for this */
    return found != NULL;
}

/* True if 'library' has places, and is not the OpenMP that this program calls. */
static bool find_places(struct places *p, void *library)
{
    static const char name[] = "omp_get_num_places";

    return dlsym(library, name) != dlsym(RTLD_NEXT, name) &&
           find(&p->count, library, name) &&
           find(&p->cpus, library, "omp_get_place_num_procs") &&
           find(&p->list, library, "omp_get_place_proc_ids");
}

/* Let this thread run in all places of 'p'. */
static void spread(const struct places *p)
{
    const size_t size = CPU_ALLOC_SIZE(CPU_CORES_MOST);
    cpu_set_t *mask   = CPU_ALLOC(CPU_CORES_MOST);

    if (mask == NULL)
        return;
    CPU_ZERO_S(size, mask);
    for (int place = 0; place < p->count(); place++) {
        const int count = p->cpus(place);
        int *cpu        = mem_new((size_t)count + 1, sizeof *cpu);

        p->list(place, cpu);
        for (int i = 0; i < count; i++)
            CPU_SET_S(cpu[i], size, mask);
        mem_free(cpu);
    }
    if (CPU_COUNT_S(size, mask) > 0) /* nothing is bound where there are no places */
        (void)sched_setaffinity(0, size, mask);
    CPU_FREE(mask);
}

void cpu_unbind(void)
{
    void *const library = dlopen("libgomp.so.1", RTLD_LAZY | RTLD_NOLOAD);
    struct places places;

    if (library == NULL)
        return;
    if (find_places(&places, library))
        spread(&places);
    dlclose(library);
}
