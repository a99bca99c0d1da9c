/* SPDX-License-Identifier: BSD-3-Clause */
/* A sheet of images. */
#include "config.h"

#include "src/data/sheet.h"

#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/decode.h"

#include <stdio.h>
#include <string.h>

enum { GAP = 2, SEARCH = 1 << 20 };

/* The index of the image in the row and column, -1 if none was found.  Rows of classes
 * go on from 'last', that of the column before.
 */
static int64_t index_of(const struct data *data, int row, int column, int64_t last)
{
    const struct range class = { row % data->classes, row % data->classes + 1 };

    if (data->count > 0)
        return row % data->count + column * data->count;
    for (int64_t i = last + 1; i < last + SEARCH; i++) {
        float is_it;

        data->ops->get(data, NULL, &is_it, class, i);
        if (is_it > 0)
            return i;
    }
    return -1;
}

static int write_file(const char *path, const void *bytes, size_t size)
{
    struct draft d;

    TRY(draft_open(&d, path));
    fwrite(bytes, 1, size, d.file);
    return draft_finish(&d);
}

/* One larger than the pictures that are read is hardly wanted, and needs the memory. */
static int check_sides(int height, int width)
{
    if (height <= DECODE_SIDE_MOST && width <= DECODE_SIDE_MOST &&
        (int64_t)height * width <= DECODE_PIXELS_MOST)
        return 0;
    return ERR(
        ERR_USAGE,
        "a sheet of %d x %d pixels is too large: fewer --rows or --columns, or a "
        "smaller --image",
        width, height);
}

int sheet_write(const char *path, const struct data *data, int rows, int columns)
{
    const int side = data->image, step = side + GAP;
    const int height = rows * step + GAP, width = columns * step + GAP;
    const int64_t line      = 3 * (int64_t)width;
    const size_t numbers    = 3 * (size_t)side * (size_t)side;
    struct decode_room room = { 0 };
    size_t size             = 0;
    float *image;
    uint8_t *one, *rgb;
    int rc;

    TRY(check_sides(height, width));
    image = mem_new(numbers, sizeof *image);
    one   = mem_new(numbers, 1);
    rgb   = mem_new((size_t)height, (size_t)line);
    memset(rgb, 128, (size_t)height * (size_t)line);
    for (int r = 0; r < rows; r++) {
        int64_t index = -1;

        for (int c = 0; c < columns; c++) {
            uint8_t *at = rgb + (GAP + r * step) * line + 3 * (int64_t)(GAP + c * step);

            index = index_of(data, r, c, index);
            if (index < 0)
                break;
            data->ops->get(data, image, NULL, (struct range){ 0, 0 }, index);
            augment_bytes(one, image, (int64_t)numbers);
            for (int y = 0; y < side; y++)
                memcpy(at + y * line, one + 3 * (int64_t)y * side, 3 * (size_t)side);
        }
    }
    rc = data_failure(data);
    if (rc == 0)
        rc = encode_png(&room, &size, (struct pixels){ rgb, height, width });
    if (rc == 0)
        rc = write_file(path, room.bytes, size);
    decode_free(&room);
    mem_free(rgb);
    mem_free(one);
    mem_free(image);
    return rc;
}
