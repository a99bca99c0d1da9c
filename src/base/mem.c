/* SPDX-License-Identifier: BSD-3-Clause */
/* Counted host memory, and what the system says about memory.
 *
 *      | header: the size of the block | block .. | spare |
 *
 * Header and spare are MEM_ALIGN bytes each.  The spare is never used, but BLIS
 * 0.9 reads up to a vector beyond the end of small matrices, which at the end
 * of a page would be fatal.
 */
#include "config.h"

#include "src/base/mem.h"

#include "src/base/err.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static atomic_int_least64_t live_bytes, peak_bytes;

static void count(size_t bytes)
{
    const int64_t more = (int64_t)bytes;
    const int64_t now  = atomic_fetch_add(&live_bytes, more) + more;
    int64_t peak       = atomic_load(&peak_bytes);

    while (now > peak && !atomic_compare_exchange_weak(&peak_bytes, &peak, now))
        continue;
}

/* Large pages for a long block: where rows of a matrix lie far apart, or many matrices
 * are read by turns, the processor does not know enough small ones by heart.
 */
static void ask_large_pages(char *at, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    const size_t before = (MEM_PAGE - (uintptr_t)at % MEM_PAGE) % MEM_PAGE;

    if (bytes >= before + MEM_PAGE)
        (void)madvise(at + before, (bytes - before) / MEM_PAGE * MEM_PAGE,
                      MADV_HUGEPAGE);
#else
    (void)at;
    (void)bytes;
#endif
}

int mem_alloc(void **block, size_t bytes)
{
    void *memory;

    if (bytes > PTRDIFF_MAX - 3 * (size_t)MEM_ALIGN)
        return ERR(ERR_MEMORY, "a block of %zu bytes is more than a process can have",
                   bytes);
    memory = aligned_alloc(MEM_ALIGN, mem_round(bytes) + 2 * MEM_ALIGN);
    if (memory == NULL)
        return ERR(ERR_MEMORY,
                   "no memory for a block of %zu bytes beside the %lld in use", bytes,
                   (long long)mem_now());
    ask_large_pages(memory, mem_round(bytes));
    memcpy(memory, &bytes, sizeof bytes);
    count(bytes);
    *block = (char *)memory + MEM_ALIGN;
    return 0;
}

void mem_free(void *block)
{
    size_t bytes;

    if (block == NULL)
        return;
    block = (char *)block - MEM_ALIGN;
    memcpy(&bytes, block, sizeof bytes);
    atomic_fetch_sub(&live_bytes, (int64_t)bytes);
    free(block);
}

static size_t whole_pages(size_t bytes)
{
    return (bytes / MEM_PAGE + 1) * MEM_PAGE;
}

/* A page more than is wanted holds a place where one begins; the rest goes back. */
int mem_map(void **pages, size_t bytes)
{
    const size_t size = whole_pages(bytes);
    char *memory      = MAP_FAILED;
    size_t before;

    if (bytes <= PTRDIFF_MAX - 2 * (size_t)MEM_PAGE)
        memory = mmap(NULL, size + MEM_PAGE, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return ERR(ERR_MEMORY,
                   "no memory for %zu bytes of pages beside the %lld in use", bytes,
                   (long long)mem_now());
    before = (MEM_PAGE - (uintptr_t)memory % MEM_PAGE) % MEM_PAGE;
    if (before > 0)
        munmap(memory, before);
    munmap(memory + before + size, MEM_PAGE - before);
    ask_large_pages(memory + before, size);
    count(bytes);
    *pages = memory + before;
    return 0;
}

void mem_unmap(void *pages, size_t bytes)
{
    if (pages == NULL)
        return;
    atomic_fetch_sub(&live_bytes, (int64_t)bytes);
    munmap(pages, whole_pages(bytes));
}

void mem_trim(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void *mem_new(size_t count, size_t size)
{
    void *block = NULL;
    size_t bytes;

    if (__builtin_mul_overflow(count, size, &bytes))
        die("%zu things of %zu bytes", count, size);
    if (mem_alloc(&block, bytes) != 0)
        err_end(ERR_MEMORY);
    memset(block, 0, bytes);
    return block;
}

void *mem_grow(void *old, size_t used, size_t count, size_t size)
{
    void *block = mem_new(count, size);

    if (used > 0)
        memcpy(block, old, used * size);
    mem_free(old);
    return block;
}

int64_t mem_now(void)
{
    return atomic_load(&live_bytes);
}

int64_t mem_peak(void)
{
    return atomic_load(&peak_bytes);
}

/* --- What the system says ------------------------------------------------- */

/* The number after 'key' at the start of a line of 'path', or -1. */
static int64_t field(const char *path, const char *key)
{
    FILE *file       = fopen(path, "r");
    const size_t len = strlen(key);
    int64_t value    = -1;
    char line[256];

    if (file == NULL)
        return -1;
    while (value < 0 && fgets(line, sizeof line, file) != NULL) {
        char *end;

        if (strncmp(line, key, len) != 0)
            continue;
        value = strtoll(line + len, &end, 10);
        if (end == line + len) /* "max": no limit */
            value = -1;
    }
    fclose(file);
    return value;
}

static int64_t kilobytes(const char *path, const char *key)
{
    const int64_t value = field(path, key);

    return value > 0 ? value * 1024 : 0;
}

/* The system's number of pages of a kind, in bytes: what there is where no /proc is. */
static int64_t pages(int kind)
{
    const int64_t count = sysconf(kind), size = sysconf(_SC_PAGESIZE);

    return count > 0 && size > 0 ? count * size : 0;
}

/* The files in which a version of control groups keeps the limit and the use; pages of
 * files count as use there, but those not lately used are given back on demand.
 */
struct group_files {
    const char *root, *limit, *use, *idle;
};

/* What the control group 'path' and those above it leave, at most 'least'. */
static int64_t groups_leave(int64_t least, const struct group_files *files, char *path)
{
    for (;;) {
        char name[2][640];
        int64_t limit, use, idle;
        char *slash;

        snprintf(name[0], sizeof name[0], "%s%s/%s", files->root, path, files->limit);
        limit = field(name[0], "");
        snprintf(name[0], sizeof name[0], "%s%s/%s", files->root, path, files->use);
        snprintf(name[1], sizeof name[1], "%s%s/memory.stat", files->root, path);
        use  = field(name[0], "");
        idle = field(name[1], files->idle);
        if (limit >= 0 && use >= 0) {
            const int64_t left = limit - use + (idle > 0 ? idle : 0);

            if (left < least)
                least = left > 0 ? left : 0;
        }
        slash = strrchr(path, '/');
        if (slash == NULL)
            return least;
        *slash = '\0';
    }
}

int64_t mem_available(void)
{
    static const struct group_files v1 = { "/sys/fs/cgroup/memory",
                                           "memory.limit_in_bytes",
                                           "memory.usage_in_bytes",
                                           "total_inactive_file " };
    static const struct group_files v2 = { "/sys/fs/cgroup", "memory.max",
                                           "memory.current", "inactive_file " };
    int64_t least                      = kilobytes("/proc/meminfo", "MemAvailable:");
    FILE *file                         = fopen("/proc/self/cgroup", "r");
    char line[512];

    if (least == 0)
        least = pages(_SC_AVPHYS_PAGES);
    if (file == NULL)
        return least;
    while (fgets(line, sizeof line, file) != NULL) { /* id:controllers:path */
        char *controllers = strchr(line, ':');
        char *path        = controllers != NULL ? strchr(controllers + 1, ':') : NULL;

        if (path == NULL)
            continue;
        *path++                   = '\0';
        path[strcspn(path, "\n")] = '\0';
        if (strcmp(line, "0:") == 0)
            least = groups_leave(least, &v2, path);
        else if (strstr(controllers, "memory") != NULL)
            least = groups_leave(least, &v1, path);
    }
    fclose(file);
    return least;
}

int64_t mem_machine(void)
{
    const int64_t bytes = kilobytes("/proc/meminfo", "MemTotal:");

    return bytes > 0 ? bytes : pages(_SC_PHYS_PAGES);
}

int64_t mem_high_water(void)
{
    return kilobytes("/proc/self/status", "VmHWM:");
}
