/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1 */
/* No allocation in a step, once the first ones have been taken: the program's own
 * functions of the heap stand before those of the C library and count, on all threads.
 * Libraries that take and give back memory in every call, and cannot be told not to,
 * are counted apart and told: OpenMP takes some for a team of one thread (GNU's; LLVM's
 * for its loops, too), oneDNN (in C++) six blocks for a map of its arguments, whoever
 * owns its scratchpad, and in its plain product of f32, which has no scratchpad, the
 * parts that it packs.
 */
#include "config.h"

#include "tests/asan.h"
#include "tests/model.h"
#include "tests/ranks.h"

#include "src/base/err.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GLIBC__) && !defined(HAS_ASAN)

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *at, size_t size);
void *__libc_memalign(size_t align, size_t size);

static atomic_int allocations;         /* the program's own */
static atomic_int of_libraries;        /* and theirs */
static atomic_llong of_libraries_size; /* in bytes */
static bool is_counting;

static const void *openmp; /* where that of this build lies, whatever its name */

static void find_openmp(void)
{
    void *const function = dlsym(RTLD_NEXT, "omp_get_thread_num");
    Dl_info info;

    if (function != NULL && dladdr(function, &info) != 0)
        openmp = info.dli_fbase;
}

static bool is_of_library(const void *from)
{
    Dl_info info;

    return dladdr(from, &info) != 0 && info.dli_fname != NULL &&
           (info.dli_fbase == openmp || strstr(info.dli_fname, "libdnnl") != NULL ||
            strstr(info.dli_fname, "libstdc++") != NULL);
}

static void count_call(const void *from, size_t size)
{
    if (!is_counting)
        return;
    if (is_of_library(from)) {
        of_libraries++;
        of_libraries_size += (long long)size;
    } else {
        allocations++;
    }
}

void *malloc(size_t size)
{
    count_call(__builtin_return_address(0), size);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    count_call(__builtin_return_address(0), count * size);
    return __libc_calloc(count, size);
}

void *realloc(void *at, size_t size)
{
    count_call(__builtin_return_address(0), size);
    return __libc_realloc(at, size);
}

void *memalign(size_t align, size_t size)
{
    count_call(__builtin_return_address(0), size);
    return __libc_memalign(align, size);
}

void *aligned_alloc(size_t align, size_t size)
{
    count_call(__builtin_return_address(0), size);
    return __libc_memalign(align, size);
}

int posix_memalign(void **at, size_t align, size_t size)
{
    count_call(__builtin_return_address(0), size);
    *at = __libc_memalign(align, size);
    return *at == NULL ? 12 : 0; /* ENOMEM */
}

static void check(const char *device, enum dtype dtype, enum wiring wiring,
                  enum pool pool)
{
    struct model_options o = model_odd(wiring, pool, LOSS_SOFTMAX);
    struct dev *probe;
    struct model m;
    const int before = allocations;

    if (dev_open(&probe, device, dtype, 1) != 0) {
        tap_skip(device, err_sentence());
        err_forget();
        return;
    }
    dev_close(&probe);
    o.device = device;
    o.dtype  = dtype;
    model_open(&m, &o, MPI_COMM_WORLD);
    of_libraries      = 0;
    of_libraries_size = 0;
    for (int s = 1; s <= 10; s++) {
        struct step_result r;

        is_counting = s >= 3;
        step_run(m.step, 1, &r);
    }
    is_counting = false;
    if (!ok(allocations == before, "no allocation in steps 3 to 10 of %s %s, %s",
            device, dtype_name(dtype), wiring_name(wiring)))
        tap_note("%d allocations", allocations - before);
    tap_note("its libraries take %d blocks a step, %.3f MB", of_libraries / 8,
             (double)of_libraries_size / 8e6);
    model_close(&m);
}

static void run(void)
{
    void *volatile sample; /* or the compiler spares the call */

    find_openmp();
    is_counting = true;
    sample      = malloc(1);
    is_counting = false;
    ok(sample != NULL && allocations == 1, "allocations are counted");
    free(sample);
    check("cpu:ref", DTYPE_F64, WIRING_PARALLEL, POOL_MAP);
    check("cpu:blis", DTYPE_F32, WIRING_PARALLEL, POOL_MAP);
    check("cpu:blis", DTYPE_F32, WIRING_SEQUENTIAL, POOL_GAP);
    check("cpu:onednn", DTYPE_F32, WIRING_SEQUENTIAL, POOL_MAP);
    check("cpu:onednn", DTYPE_BF16, WIRING_PARALLEL, POOL_CLS);
    check("cpu:emulate", DTYPE_BF16, WIRING_SEQUENTIAL, POOL_MAP);
}

#else

static void run(void)
{
    tap_skip("allocations of a step", "nothing here counts them");
}

#endif

int main(int argc, char **argv)
{
    ranks_open(&argc, &argv, "t515-alloc");
    run();
    return ranks_done();
}
