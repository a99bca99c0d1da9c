/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory is aligned and counted. */
#include "config.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/apart.h"
#include "tests/tap.h"

#include <string.h>
#include <sys/mount.h>

static void test_failures(void)
{
    void *block       = NULL;
    const int64_t now = mem_now();

    ok(mem_alloc(&block, SIZE_MAX) == ERR_MEMORY && err_sentence() != NULL,
       "an impossible block is refused with a sentence");
    ok(mem_alloc(&block, (size_t)1 << 60) == ERR_MEMORY, "so is one beyond all memory");
    ok(block == NULL && mem_now() == now, "a refusal leaves nothing behind");
    mem_free(NULL);
    ok(mem_now() == now, "NULL can be freed");
    err_forget();
}

static void test_counts(void)
{
    const int64_t now = mem_now();
    void *a, *b, *none;
    bool are_aligned = true;
    char *zeroed;

    ok(mem_alloc(&a, 1000) == 0 && mem_now() == now + 1000, "bytes are counted");
    ok(mem_alloc(&b, 3 << 20) == 0 && mem_peak() >= now + 1000 + (3 << 20),
       "so is their peak");
    memset(a, 1, 1000);
    memset(b, 2, 3 << 20);
    mem_free(b);
    mem_free(a);
    ok(mem_now() == now && mem_peak() >= now + 1000 + (3 << 20),
       "freed bytes leave the count, not the peak");
    for (size_t bytes = 0; bytes < 300; bytes++) {
        are_aligned =
            are_aligned && mem_alloc(&a, bytes) == 0 && (uintptr_t)a % MEM_ALIGN == 0;
        mem_free(a);
    }
    ok(are_aligned, "blocks of all sizes are aligned");
    ok(mem_alloc(&none, 0) == 0 && none != NULL, "an empty block is a block");
    mem_free(none);
    zeroed = mem_new(10, 7);
    ok(zeroed[0] == 0 && zeroed[69] == 0 && mem_now() == now + 70,
       "small things come zeroed");
    zeroed[69] = 1;
    zeroed     = mem_grow(zeroed, 10, 11, 7);
    ok(zeroed[69] == 1 && zeroed[70] == 0 && zeroed[76] == 0 && mem_now() == now + 77,
       "a list grows, zeroed where it is new");
    mem_free(zeroed);
    zeroed = mem_grow(NULL, 0, 2, 3);
    ok(zeroed[0] == 0 && zeroed[5] == 0 && mem_now() == now + 6, "from nothing, too");
    mem_free(zeroed);
    ok(mem_round(0) == 0 && mem_round(1) == 64 && mem_round(64) == 64 &&
           mem_round(65) == 128,
       "sizes round up to the alignment");
}

static void test_pages(void)
{
    const int64_t now  = mem_now();
    const size_t bytes = 3 * (size_t)MEM_PAGE + 5;
    void *pages        = NULL;
    bool are_zero      = true;
    char *at;

    ok(mem_map(&pages, SIZE_MAX) == ERR_MEMORY &&
           mem_map(&pages, (size_t)1 << 60) == ERR_MEMORY && pages == NULL,
       "pages beyond all memory are refused");
    err_forget();
    mem_unmap(NULL, bytes);
    ok(mem_map(&pages, bytes) == 0 && mem_now() == now + (int64_t)bytes &&
           (uintptr_t)pages % MEM_PAGE == 0,
       "fresh pages are aligned and counted");
    at = pages;
    for (size_t i = 0; i < bytes; i++)
        are_zero = are_zero && at[i] == 0;
    memset(pages, 1, bytes);
    mem_unmap(pages, bytes);
    ok(are_zero && mem_now() == now, "zeroed, and go back");
    ok(mem_map(&pages, 0) == 0 && pages != NULL, "none are a block, too");
    mem_unmap(pages, 0);
}

static void test_system(void)
{
    enum { BYTES = 64 << 20 };
    const int64_t before = mem_high_water();
    void *block;

    ok(mem_machine() > 0 && mem_available() > 0 && mem_available() <= mem_machine(),
       "the system says how much memory there is");
    ok(before > 0, "and how much we have had");
    ok(mem_alloc(&block, BYTES) == 0, "a large block");
    ok(mem_high_water() - before < BYTES / 2,
       "a block is not touched by allocating it");
    memset(block, 1, BYTES);
    ok(mem_high_water() - before > BYTES / 2, "but by writing into it");
    mem_free(block);
}

/* Where there is no /proc. */
static int probe_bare(void)
{
    const int64_t all = mem_machine();

    if (!apart_mounts() || mount("none", "/proc", "tmpfs", 0, "size=64k") != 0)
        return APART_CANNOT;
    return !(mem_machine() == all && mem_available() > 0 && mem_available() <= all);
}

int main(void)
{
    test_failures();
    test_counts();
    test_pages();
    test_system();
    apart_ok("it says how much memory there is without /proc, too", probe_bare,
             "nothing can be mounted here");
    return tap_done();
}
