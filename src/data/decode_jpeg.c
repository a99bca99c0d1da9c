/* SPDX-License-Identifier: BSD-3-Clause */
/* JPEG through libjpeg-turbo.  The library reports an error by a function that must not
 * return: ours keeps the library's sentence and jumps back to where the call began.
 *
 * The library repairs what it can and counts warnings.  Here a warning about the coded
 * picture itself makes the file a damaged one; stray bytes between its parts do not,
 * since they are common and change no pixel.
 */
#include "config.h"

#include "src/data/decode_impl.h"

#include "src/base/err.h"

#ifdef HAVE_JPEG

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

struct failure {
    struct jpeg_error_mgr base; /* first: the library knows only this */
    jmp_buf back;
    char sentence[JMSG_LENGTH_MAX];
    bool is_damaged;
};

static void fail(j_common_ptr info)
{
    struct failure *f = (struct failure *)info->err;

    info->err->format_message(info, f->sentence);
    longjmp(f->back, 1);
}

static void warn(j_common_ptr info, int level)
{
    struct failure *f = (struct failure *)info->err;

    if (level >= 0)
        return; /* a trace */
    switch (info->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_ICC:
        return;
    default:
        break;
    }
    if (!f->is_damaged)
        info->err->format_message(info, f->sentence);
    f->is_damaged = true;
}

static void say_nothing(j_common_ptr info)
{
    (void)info;
}

/* A small file may ask for very many passes over a large picture. */
static void count_scans(j_common_ptr info)
{
    struct failure *f    = (struct failure *)info->err;
    j_decompress_ptr d   = (j_decompress_ptr)info;
    const int64_t pixels = (int64_t)d->image_height * d->image_width;

    if (d->input_scan_number * pixels > DECODE_PASSES_MOST) {
        snprintf(f->sentence, sizeof f->sentence, "too many scans: %d",
                 d->input_scan_number);
        longjmp(f->back, 1);
    }
}

static void set_failure(struct failure *f)
{
    jpeg_std_error(&f->base);
    f->base.error_exit     = fail;
    f->base.emit_message   = warn;
    f->base.output_message = say_nothing;
    f->sentence[0]         = '\0';
    f->is_damaged          = false;
}

static int damaged(const struct failure *f)
{
    if (f->base.msg_code == JERR_OUT_OF_MEMORY)
        return ERR(ERR_MEMORY, "no memory to decode a JPEG");
    return ERR(ERR_DATA, "damaged JPEG: %s", f->sentence);
}

/* Read the head and look at the sides; jumps back when it fails. */
static int read_head(struct jpeg_decompress_struct *info, const void *file, size_t size)
{
    jpeg_mem_src(info, file, size);
    jpeg_read_header(info, TRUE);
    return decode_limits(info->image_height, info->image_width);
}

int jpeg_size(int *height, int *width, const void *file, size_t size)
{
    struct jpeg_decompress_struct info;
    struct failure failure;
    int rc;

    set_failure(&failure);
    info.err = &failure.base;
    if (setjmp(failure.back) != 0) {
        rc = damaged(&failure);
        goto destroy;
    }
    jpeg_create_decompress(&info);
    rc = read_head(&info, file, size);
    if (rc == 0) {
        *height = (int)info.image_height;
        *width  = (int)info.image_width;
    }
destroy:
    jpeg_destroy_decompress(&info);
    return rc;
}

/* Four inks to three colours, in place: the files of Adobe's programs hold the paper
 * that shows through, 255 for no ink.
 */
static void from_inks(uint8_t *to, const uint8_t *from, int n, bool is_inverted)
{
    for (int i = 0; i < n; i++) {
        const int flip = is_inverted ? 0 : 255, k = from[4 * i + 3] ^ flip;

        for (int c = 0; c < 3; c++)
            to[3 * i + c] = (uint8_t)((from[4 * i + c] ^ flip) * k / 255);
    }
}

/* Rows into 'to' [last - first, width, 3]; jumps back when it fails. */
static void read_rows(struct jpeg_decompress_struct *info, uint8_t *to, uint8_t *inks,
                      int first, int last)
{
    const bool is_ink = info->out_color_space == JCS_CMYK;

    if (first > 0)
        jpeg_skip_scanlines(info, (JDIMENSION)first);
    while ((int)info->output_scanline < last) {
        const int row = (int)info->output_scanline - first;
        uint8_t *at   = to + 3 * (int64_t)row * info->output_width;
        JSAMPROW line = is_ink ? inks : at;

        if (jpeg_read_scanlines(info, &line, 1) != 1)
            break; /* the memory source always has more to give */
        if (is_ink)
            from_inks(at, inks, (int)info->output_width, info->saw_Adobe_marker);
    }
}

int jpeg_rows(struct pixels *p, struct decode_room *room, const void *file, size_t size,
              int first, int last)
{
    struct jpeg_decompress_struct info;
    struct jpeg_progress_mgr progress = { .progress_monitor = count_scans };
    struct failure failure;
    int rc;

    set_failure(&failure);
    info.err = &failure.base;
    if (setjmp(failure.back) != 0) {
        rc = damaged(&failure);
        goto destroy;
    }
    jpeg_create_decompress(&info);
    info.progress = &progress;
    rc            = read_head(&info, file, size);
    if (rc == 0 && (first < 0 || last > (int)info.image_height || first >= last))
        rc = ERR(ERR_DATA, "there are no rows %d to %d", first, last);
    if (rc == 0)
        rc = decode_reserve(room, (3 * (size_t)(last - first) + 4) * info.image_width);
    if (rc != 0)
        goto destroy;
    info.out_color_space =
        info.jpeg_color_space == JCS_CMYK || info.jpeg_color_space == JCS_YCCK
            ? JCS_CMYK
            : JCS_RGB;
    jpeg_start_decompress(&info);
    read_rows(&info, room->bytes,
              (uint8_t *)room->bytes + 3 * (size_t)(last - first) * info.image_width,
              first, last);
    if (failure.is_damaged)
        rc = damaged(&failure);
    else
        *p = (struct pixels){ room->bytes, last - first, (int)info.image_width };
destroy:
    jpeg_destroy_decompress(&info);
    return rc;
}

int encode_jpeg(struct decode_room *room, size_t *size, struct pixels p, int quality)
{
    struct jpeg_compress_struct info;
    struct failure failure;
    unsigned char *made = NULL;
    unsigned long bytes = 0;
    int rc;

    set_failure(&failure);
    info.err = &failure.base;
    if (setjmp(failure.back) != 0) {
        rc = ERR(ERR_DATA, "no JPEG can be made: %s", failure.sentence);
        goto destroy;
    }
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &made, &bytes);
    info.image_width      = (JDIMENSION)p.width;
    info.image_height     = (JDIMENSION)p.height;
    info.input_components = 3;
    info.in_color_space   = JCS_RGB;
    jpeg_set_defaults(&info);
    jpeg_set_quality(&info, quality, TRUE);
    jpeg_start_compress(&info, TRUE);
    while (info.next_scanline < info.image_height) {
        JSAMPROW line =
            (JSAMPROW)p.rgb + 3 * (size_t)info.next_scanline * (size_t)p.width;

        jpeg_write_scanlines(&info, &line, 1);
    }
    jpeg_finish_compress(&info);
    rc = decode_reserve(room, bytes);
    if (rc == 0) {
        memcpy(room->bytes, made, bytes);
        *size = bytes;
    }
destroy:
    jpeg_destroy_compress(&info);
    free(made);
    return rc;
}

#else

static int no_jpeg(void)
{
    return ERR(ERR_ENV, "this build has no JPEG: configure found no libjpeg-turbo "
                        "(Debian: libjpeg62-turbo-dev)");
}

int jpeg_size(int *height, int *width, const void *file, size_t size)
{
    (void)height, (void)width, (void)file, (void)size;
    return no_jpeg();
}

int jpeg_rows(struct pixels *p, struct decode_room *room, const void *file, size_t size,
              int first, int last)
{
    (void)p, (void)room, (void)file, (void)size, (void)first, (void)last;
    return no_jpeg();
}

int encode_jpeg(struct decode_room *room, size_t *size, struct pixels p, int quality)
{
    (void)room, (void)size, (void)p, (void)quality;
    return no_jpeg();
}

#endif
