/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of other programs: as they are, and with lengths and sums mended, they are read
 * array by array, if they open, and imported as the model of tests/data.
 */
#include "config.h"

#include "tests/fuzz.h"
#include "tests/scratch.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/exchange/foreign.h"
#include "src/exchange/transfer.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SOME = 1000 };

static char path[32];
static FILE *none;

/* The file lies in memory; a checkpoint, if one is made, in a folder of its own. */
static int open_memory(void)
{
    const int fd = memfd_create("fuzz", 0);

    none = fopen("/dev/null", "w");
    if (fd < 0 || none == NULL)
        die("no memory for files");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    scratch_open();
    return fd;
}

static void read_arrays(void)
{
    struct foreign *f = NULL;
    float x[SOME];

    if (foreign_open(&f, path) != 0)
        return;
    for (int i = 0; i < f->arrays; i++) {
        const struct array *a = &f->array[i];
        const int64_t n       = a->elements < SOME ? a->elements : SOME;

        if (a->type == ARRAY_OTHER)
            continue;
        foreign_read(x, f, a, 0, n);
        foreign_read(x, f, a, a->elements - n, n);
    }
    foreign_close(&f);
}

static void look_at(const uint8_t *data, size_t size)
{
    const struct exchange_options o = { .shape = "40/2/72/4", .head = true };
    static int fd                   = -1;

    if (fd < 0)
        fd = open_memory();
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        die("%s cannot be written", path);
    read_arrays();
    transfer_import(none, scratch_path("made.h5"), path, &o);
    err_forget();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t mended[FUZZ_SIZE];

    look_at(data, size);
    if (size <= sizeof mended) {
        memcpy(mended, data, size);
        look_at(mended, fuzz_repair(mended, size));
    }
    return 0;
}
