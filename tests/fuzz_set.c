/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets: opened, read, verified, and fed to a model, if they open. */
#include "config.h"

#include "tests/fuzz.h"
#include "tests/scratch.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/data/data.h"
#include "src/data/h5set.h"

#include <fcntl.h>
#include <unistd.h>

enum { SIZE = 8, ITEMS_MOST = 20 };

static void read_set(const struct h5set *set)
{
    const struct h5set_shape *s = h5set_shape(set);
    struct decode_room room     = { 0 };
    float target[16];
    size_t size;

    for (int64_t i = 0; i < s->count && i < ITEMS_MOST; i++) {
        h5set_read(&room, &size, set, i);
        h5set_target(target, set, (struct range){ 0, 16 }, i);
    }
    if (s->count < 100000)
        h5set_verify(set);
    decode_free(&room);
}

static void feed(const char *name)
{
    const struct data_options o = { .image   = SIZE,
                                    .augment = AUGMENT_CROP,
                                    .holdout = 0.2 };
    struct data *data           = NULL;
    float image[3 * SIZE * SIZE], target[4];

    if (data_open_file(&data, name, &o) != 0)
        return;
    for (int i = 0; i < ITEMS_MOST; i++)
        data->ops->get(data, image, target,
                       (struct range){ 0, data->classes < 4 ? data->classes : 4 }, i);
    data_close(&data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *path;
    static int fd     = -1;
    struct h5set *set = NULL;

    log_set_level(LOG_ERROR); /* grey images are expected */
    if (fd < 0) {
        scratch_open();
        path = scratch_path("set");
        fd   = open(path, O_RDWR | O_CREAT, 0600);
    }
    if (ftruncate(fd, 0) != 0 || pwrite(fd, data, size, 0) != (ssize_t)size)
        die("%s cannot be written", path);
    if (h5set_open(&set, path) == 0)
        read_set(set);
    h5set_close(&set);
    feed(path);
    err_forget();
    return 0;
}
