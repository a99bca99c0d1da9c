/* SPDX-License-Identifier: BSD-3-Clause */
/* Checkpoints: read tensor by tensor, if they open.  What is behind FUZZ_SIZE bytes is
 * zero here.
 */
#include "config.h"

#include "tests/fuzz.h"

#include "ckpt/file.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "tests/scratch.h"

#include <fcntl.h>
#include <unistd.h>

enum { SOME = 1000, WHOLE = 8 << 20 /* bytes of a small checkpoint, about */ };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *path;
    static int fd       = -1;
    struct ckpt_file *f = NULL;
    float x[SOME];

    if (fd < 0) {
        log_set_level(LOG_ERROR);
        scratch_open();
        path = scratch_path("ckpt.h5");
        fd   = open(path, O_RDWR | O_CREAT, 0600);
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size ||
        ftruncate(fd, WHOLE) != 0)
        die("%s cannot be written", path);
    if (file_open(&f, path) == 0) {
        for (int i = 0; i < f->entries; i++) {
            const struct entry *e = &f->entry[i];
            const int64_t n       = e->elements < SOME ? e->elements : SOME;

            file_read(x, fd, f, e, 0, n);
            file_read(x, fd, f, e, e->elements - n, n);
        }
        file_close(&f);
    }
    err_forget();
    return 0;
}
