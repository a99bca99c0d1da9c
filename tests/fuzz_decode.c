/* SPDX-License-Identifier: BSD-3-Clause */
/* Image files: whole, by rows, and through a crop, as a source reads them. */
#include "config.h"

#include "tests/fuzz.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/decode.h"

/* Larger pictures take long and show nothing more. */
enum { PIXELS_MOST = 1 << 20, SIZE = 16 };

static uint64_t sum; /* so that all pixels are read */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct decode_room room;
    static int64_t index;
    float image[3 * SIZE * SIZE];
    struct pixels p;
    struct view v;
    int h, w;

    if (decode_size(&h, &w, data, size) != 0 || (int64_t)h * w > PIXELS_MOST) {
        err_forget();
        return 0;
    }
    if (decode_rows(&p, &room, data, size, 0, h) == 0) {
        if (p.height != h || p.width != w)
            die("%d x %d became %d x %d", w, h, p.width, p.height);
        for (int64_t i = 0; i < 3 * (int64_t)h * w; i++)
            sum += p.rgb[i];
    }
    v = augment_view(h, w, SIZE, AUGMENT_CROP, 1, index++);
    if (decode_rows(&p, &room, data, size, v.from.y, v.from.y + v.from.height) == 0)
        augment_apply(image, p, v.from.y, &v);
    err_forget();
    return 0;
}
