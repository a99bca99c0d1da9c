/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of other programs: imported as the model of tests/data, as it is or as the file
 * seems to have it, and if they open, read array by array.
 */
#include "config.h"

#include "tests/fuzz.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/exchange/foreign.h"
#include "src/exchange/transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SOME = 1000 };

static char path[32];
static FILE *none;

/* The file lies in memory; a checkpoint, if one is made, in no folder that exists. */
static int open_memory(void)
{
    const int fd = memfd_create("fuzz", 0);

    none = fopen("/dev/null", "w");
    if (fd < 0 || none == NULL)
        die("no memory for files");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct exchange_options o = { .shape = "40/2/72/4", .head = true };
    static int fd                   = -1;

    if (fd < 0)
        fd = open_memory();
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        die("%s cannot be written", path);
    read_arrays();
    transfer_import(none, "/nowhere/out.h5", path, &o);
    err_forget();
    return 0;
}
