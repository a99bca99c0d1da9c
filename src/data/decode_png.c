/* SPDX-License-Identifier: BSD-3-Clause */
/* PNG through libpng, which makes 8-bit RGB of every kind of PNG.  It reports an error
 * by a function that must not return: ours keeps the sentence and jumps back to where
 * the call began.  Rows cannot be left out.
 *
 * The simplified interface serves writing alone: reading, it takes 16 bits for linear
 * light where the file does not say so, and libpng 1.6.51 to 1.6.58 spoil the rows of
 * interlaced files of 16 bits there.
 */
#include "config.h"

#include "src/data/decode_impl.h"

#include "src/base/err.h"

#ifdef HAVE_PNG

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <png.h>

struct reader {
    png_structp png;
    png_infop info;
    const unsigned char *next; /* of the file's bytes, of which 'left' are left */
    size_t left;
    jmp_buf back;
    char sentence[128];
};

static void fail(png_structp png, png_const_charp sentence)
{
    struct reader *r = png_get_error_ptr(png);

    snprintf(r->sentence, sizeof r->sentence, "%s", sentence);
    longjmp(r->back, 1);
}

static void say_nothing(png_structp png, png_const_charp sentence)
{
    (void)png, (void)sentence;
}

static void take(png_structp png, png_bytep to, size_t bytes)
{
    struct reader *r = png_get_io_ptr(png);

    if (bytes > r->left)
        png_error(png, "it ends too early");
    memcpy(to, r->next, bytes);
    r->next += bytes;
    r->left -= bytes;
}

static int damaged(const struct reader *r)
{
    if (strstr(r->sentence, "emory") != NULL) /* the library has no codes */
        return ERR(ERR_MEMORY, "no memory to decode a PNG");
    return ERR(ERR_DATA, "damaged PNG: %s", r->sentence);
}

/* Read the head and look at the sides; jumps back when it fails.  Of the chunks that a
 * file may lack, only those that pixels depend on are read.
 */
static int read_head(struct reader *r)
{
    static const png_byte chunks[] = "cHRM\0gAMA\0iCCP\0sBIT\0sRGB\0tRNS";

    r->png  = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, fail, say_nothing);
    r->info = png_create_info_struct(r->png);
    if (r->info == NULL)
        return ERR(ERR_ENV, "libpng cannot be begun");
    png_set_benign_errors(r->png, 1);
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_AS_DEFAULT, chunks,
                                sizeof chunks / 5);
    png_set_read_fn(r->png, r, take);
    png_read_info(r->png, r->info);
    return decode_limits(png_get_image_height(r->png, r->info),
                         png_get_image_width(r->png, r->info));
}

int png_size(int *height, int *width, const void *file, size_t size)
{
    struct reader r = { .next = file, .left = size };
    int rc;

    if (setjmp(r.back) != 0) {
        rc = damaged(&r);
        goto destroy;
    }
    rc = read_head(&r);
    if (rc == 0) {
        *height = (int)png_get_image_height(r.png, r.info);
        *width  = (int)png_get_image_width(r.png, r.info);
    }
destroy:
    png_destroy_read_struct(&r.png, &r.info, NULL);
    return rc;
}

/* All rows into 'rgb' [height, width, 3], on white; jumps back when it fails. */
static void read_rows(const struct reader *r, uint8_t *rgb, int height, size_t row)
{
    const png_color_16 white = { 0, 255, 255, 255, 255 };
    int passes;

    png_set_alpha_mode_fixed(r->png, PNG_ALPHA_PNG, PNG_DEFAULT_sRGB);
    png_set_expand(r->png);
    png_set_background_fixed(r->png, &white, PNG_BACKGROUND_GAMMA_SCREEN, 0, 0);
    png_set_scale_16(r->png);
    png_set_gray_to_rgb(r->png);
    passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    if (png_get_rowbytes(r->png, r->info) != row)
        png_error(r->png, "its rows do not become RGB");
    for (; passes > 0; passes--) {
        for (int y = 0; y < height; y++)
            png_read_row(r->png, rgb + (size_t)y * row, NULL);
    }
}

int png_rows(struct pixels *p, struct decode_room *room, const void *file, size_t size,
             int first, int last)
{
    struct reader r = { .next = file, .left = size };
    int height, width, rc;
    size_t row;

    if (setjmp(r.back) != 0) {
        rc = damaged(&r);
        goto destroy;
    }
    rc = read_head(&r);
    if (rc != 0)
        goto destroy;
    height = (int)png_get_image_height(r.png, r.info);
    width  = (int)png_get_image_width(r.png, r.info);
    row    = 3 * (size_t)width;
    if (first < 0 || last > height || first >= last)
        rc = ERR(ERR_DATA, "there are no rows %d to %d", first, last);
    if (rc == 0)
        rc = decode_reserve(room, row * (size_t)height);
    if (rc != 0)
        goto destroy;
    read_rows(&r, room->bytes, height, row);
    *p = (struct pixels){ (uint8_t *)room->bytes + row * (size_t)first, last - first,
                          width };
destroy:
    png_destroy_read_struct(&r.png, &r.info, NULL);
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
