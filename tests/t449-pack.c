/* SPDX-License-Identifier: BSD-3-Clause */
/* Packing pictures where memory is short. */
#include "config.h"

#include "src/data/pack.h"

#include "src/base/err.h"
#include "src/data/decode.h"
#include "tests/asan.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Blocks of at least LARGE bytes until one is not to be had; -1: all are. */
enum { LARGE = 100000, LARGE_SIDE = 200 };

static int large_left = -1;

#if defined(__GLIBC__) && !defined(HAS_ASAN)
void *__libc_memalign(size_t align, size_t size);

void *aligned_alloc(size_t align, size_t size)
{
    if (size >= LARGE && large_left >= 0 && large_left-- == 0)
        return NULL;
    return __libc_memalign(align, size);
}
#endif

static bool write_picture(const char *name, const struct decode_room *file, size_t size)
{
    FILE *to = fopen(scratch_path(name), "wb");
    bool is_whole;

    if (to == NULL)
        return false;
    is_whole = fwrite(file->bytes, 1, size, to) == size;
    return fclose(to) == 0 && is_whole;
}

/* Whichever picture there is no memory for, it is not left out. */
static void test_pack_memory(void)
{
    static uint8_t rgb[3 * LARGE_SIDE * LARGE_SIDE];
    struct decode_room file = { 0 };
    const char *from        = scratch_path("in");
    size_t size             = 0;
    int n = 0, wrong = 0;

    if (encode_png(&file, &size, (struct pixels){ rgb, LARGE_SIDE, LARGE_SIDE }) != 0) {
        tap_skip("a picture that there is no memory for is not left out",
                 err_sentence());
        err_forget();
        return;
    }
    mkdir(from, 0777);
    mkdir(scratch_path("in/a"), 0777);
    if (!write_picture("in/a/1.png", &file, size) ||
        !write_picture("in/a/2.png", &file, size))
        abort();
    for (bool is_met = true; is_met; n++) {
        struct pack_result result;
        int rc;

        large_left = n;
        rc         = pack_files(&result, scratch_path("packed.h5"), from, 0);
        is_met     = large_left < 0;
        large_left = -1;
        if (is_met ? rc != ERR_MEMORY : rc != 0 || result.shape.count != 2) {
            tap_note("block %d: error %d", n, rc);
            wrong++;
        }
        err_forget();
    }
    ok(wrong == 0, "a picture that there is no memory for is not left out");
    tap_note("%d blocks", n - 1);
    decode_free(&file);
}

int main(void)
{
    scratch_open();
    test_pack_memory();
    return tap_done();
}
