/* SPDX-License-Identifier: BSD-3-Clause */
/* PNG through libpng's simplified interface, which turns every kind of PNG into 8-bit
 * RGB and reports errors by a return value.  Rows cannot be left out.
 */
#include "config.h"

#include "src/data/decode_impl.h"

#include "src/base/err.h"

#ifdef HAVE_PNG

#include <png.h>

#include <string.h>

/* Read the head; on success the caller calls png_image_free(). */
static int begin(png_image *image, const void *file, size_t size)
{
    int rc;

    memset(image, 0, sizeof *image);
    image->version = PNG_IMAGE_VERSION;
    if (png_image_begin_read_from_memory(image, file, size) == 0)
        return ERR(ERR_DATA, "damaged PNG: %s", image->message);
    rc = decode_limits(image->height, image->width);
    if (rc != 0)
        png_image_free(image);
    return rc;
}

int png_size(int *height, int *width, const void *file, size_t size)
{
    png_image image;

    TRY(begin(&image, file, size));
    *height = (int)image.height;
    *width  = (int)image.width;
    png_image_free(&image);
    return 0;
}

int png_rows(struct pixels *p, struct decode_room *room, const void *file, size_t size,
             int first, int last)
{
    const png_color white = { 255, 255, 255 };
    png_image image;
    int rc;

    TRY(begin(&image, file, size));
    image.format = PNG_FORMAT_RGB;
    rc           = decode_reserve(room, PNG_IMAGE_SIZE(image));
    if (rc == 0 && (first < 0 || last > (int)image.height || first >= last))
        rc = ERR(ERR_DATA, "there are no rows %d to %d", first, last);
    if (rc == 0 && png_image_finish_read(&image, &white, room->bytes, 0, NULL) == 0)
        rc = ERR(ERR_DATA, "damaged PNG: %s", image.message);
    if (rc == 0)
        *p = (struct pixels){ (uint8_t *)room->bytes + 3 * (int64_t)first * image.width,
                              last - first, (int)image.width };
    png_image_free(&image);
    return rc;
}

int encode_png(struct decode_room *room, size_t *size, struct pixels p)
{
    png_image image = { .version = PNG_IMAGE_VERSION,
                        .format  = PNG_FORMAT_RGB,
                        .height  = (png_uint_32)p.height,
                        .width   = (png_uint_32)p.width };
    size_t bytes    = PNG_IMAGE_PNG_SIZE_MAX(image);

    TRY(decode_reserve(room, bytes));
    if (png_image_write_to_memory(&image, room->bytes, &bytes, 0, p.rgb, 0, NULL) == 0)
        return ERR(ERR_DATA, "no PNG can be made: %s", image.message);
    *size = bytes;
    return 0;
}

#else

static int no_png(void)
{
    return ERR(ERR_ENV, "this build has no PNG: configure found no libpng "
                        "(Debian: libpng-dev)");
}

int png_size(int *height, int *width, const void *file, size_t size)
{
    (void)height, (void)width, (void)file, (void)size;
    return no_png();
}

int png_rows(struct pixels *p, struct decode_room *room, const void *file, size_t size,
             int first, int last)
{
    (void)p, (void)room, (void)file, (void)size, (void)first, (void)last;
    return no_png();
}

int encode_png(struct decode_room *room, size_t *size, struct pixels p)
{
    (void)room, (void)size, (void)p;
    return no_png();
}

#endif
