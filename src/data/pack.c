/* SPDX-License-Identifier: BSD-3-Clause */
/* Files into a set, in two passes: the first decodes every file, to find the damaged
 * and the foreign ones and to know all sizes; the second writes.
 */
#include "config.h"

#include "src/data/pack.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/data/decode_impl.h"
#include "src/data/gather.h"
#include "src/data/meter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MOST (INT64_C(1) << 30) /* bytes */

struct rooms {
    struct decode_room file, picture;
};

static void rooms_free(struct rooms *r)
{
    decode_free(&r->file);
    decode_free(&r->picture);
}

/* ---- one file -------------------------------------------------------------------- */

static int read_file(struct rooms *r, size_t *size, const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat about;
    int rc = 0;

    if (file == NULL || fstat(fileno(file), &about) != 0)
        rc = ERR(ERR_IO, "%s", strerror(errno));
    else if (!S_ISREG(about.st_mode) || about.st_size > FILE_MOST)
        rc = ERR(ERR_DATA, "not a file, or a very large one");
    else
        rc = decode_reserve(&r->file, (size_t)about.st_size + 1);
    if (rc == 0) {
        *size = fread(r->file.bytes, 1, (size_t)about.st_size + 1, file);
        if (ferror(file) || *size != (size_t)about.st_size)
            rc = ERR(ERR_IO, "it cannot be read, or changes");
    }
    if (file != NULL)
        fclose(file);
    return rc;
}

/* Read and decode the whole of a file. */
static int open_picture(struct pixels *p, struct rooms *r, size_t *size,
                        const char *path)
{
    int height, width;

    TRY(read_file(r, size, path));
    TRY(decode_size(&height, &width, r->file.bytes, *size));
    return decode_rows(p, &r->picture, r->file.bytes, *size, 0, height);
}

/* ---- the first pass -------------------------------------------------------------- */

/* Sets the bytes of a picture: 0, and the file is named, if it is none; -1 where memory
 * is short.
 */
static void check(struct gather_file *f, struct rooms *r, struct meter *meter)
{
    struct pixels p;
    size_t size  = 0;
    const int rc = open_picture(&p, r, &size, f->path);

#ifdef _OPENMP
#pragma omp critical
#endif
    {
        if (rc != 0 && rc != ERR_MEMORY) {
            meter_clear(meter);
            WARN("%s is skipped: %s", f->path, err_sentence());
        }
        meter_step(meter);
    }
    err_forget();
    f->bytes = rc == 0 ? (int64_t)size : rc == ERR_MEMORY ? -1 : 0;
}

/* Keep the pictures of 'g', in order, of 'bytes' in all. */
static int keep_pictures(int64_t *bytes, struct gather *g)
{
    struct meter meter;
    int64_t kept = 0;

    meter_open(&meter, "checking files", g->count);
#ifdef _OPENMP
#pragma omp parallel
#endif
    {
        struct rooms rooms = { 0 };

#ifdef _OPENMP
#pragma omp for schedule(dynamic)
#endif
        for (int64_t i = 0; i < g->count; i++)
            check(&g->file[i], &rooms, &meter);
        rooms_free(&rooms);
    }
    meter_clear(&meter);
    for (int64_t i = 0; i < g->count; i++) {
        if (g->file[i].bytes < 0)
            return ERR(ERR_MEMORY, "no memory to decode %s", g->file[i].path);
    }
    *bytes = 0;
    for (int64_t i = 0; i < g->count; i++) {
        const struct gather_file f = g->file[i];

        g->file[i].path  = NULL;
        g->file[i].label = NULL;
        if (f.bytes > 0) {
            *bytes += f.bytes;
            g->file[kept++] = f;
        } else {
            mem_free(f.path);
            mem_free(f.label);
        }
    }
    g->count = kept;
    return 0;
}

/* ---- the second pass ------------------------------------------------------------- */

static int append(struct h5set *set, const struct gather_file *f, struct rooms *r,
                  int decode, float *image, uint8_t *rgb)
{
    const int64_t numbers = 3 * (int64_t)decode * decode;
    struct pixels p;
    struct view view;
    size_t size = 0;
    int rc =
        decode > 0 ? open_picture(&p, r, &size, f->path) : read_file(r, &size, f->path);

    if (rc == ERR_MEMORY || rc == ERR_IO)
        return ERR(rc, "%s cannot be read again: %s", f->path, err_sentence());
    if (rc != 0 || (int64_t)size != f->bytes)
        return ERR(ERR_DATA, "%s has changed while it was packed", f->path);
    if (decode == 0)
        return h5set_append(set, r->file.bytes, size, f->label, f->labels);
    view = augment_middle(p.height, p.width, decode);
    augment_apply(image, p, 0, &view);
    augment_bytes(rgb, image, numbers);
    return h5set_append(set, rgb, (size_t)numbers, f->label, f->labels);
}

static int append_all(struct h5set *set, const struct gather *g, int decode)
{
    const size_t numbers = 3 * (size_t)decode * (size_t)decode;
    struct rooms rooms   = { 0 };
    void *image = NULL, *rgb = NULL;
    struct meter meter;
    int rc = mem_alloc(&image, numbers * sizeof(float));

    if (rc == 0)
        rc = mem_alloc(&rgb, numbers);
    meter_open(&meter, "writing", g->count);
    for (int64_t i = 0; rc == 0 && i < g->count; i++) {
        rc = append(set, &g->file[i], &rooms, decode, image, rgb);
        meter_step(&meter);
    }
    meter_clear(&meter);
    rooms_free(&rooms);
    mem_free(rgb);
    mem_free(image);
    return rc;
}

/* ---- both ------------------------------------------------------------------------ */

static int gather(struct gather *g, const char *from)
{
    struct stat about;

    if (stat(from, &about) != 0)
        return err_unread(from);
    return S_ISDIR(about.st_mode) ? gather_folder(g, from) : gather_list(g, from);
}

static int pack(struct pack_result *result, struct gather *g, const char *out,
                const char *from, int decode)
{
    struct h5set *set = NULL;
    const int64_t all = g->count;
    int64_t bytes;
    int rc;

    TRY(keep_pictures(&bytes, g));
    result->skipped = all - g->count + g->bad_lines;
    result->shape   = (struct h5set_shape){
          .kind     = decode > 0 ? H5SET_IMAGES : H5SET_ENCODED,
          .count    = g->count,
          .classes  = g->classes,
          .has_many = g->has_many,
          .bytes    = bytes,
          .height   = decode,
          .width    = decode,
    };
    if (g->count == 0)
        return ERR(ERR_DATA, "there is no image in %s that can be read", from);
    TRY(h5set_create(&set, out, &result->shape, g->names));
    rc = append_all(set, g, decode);
    if (rc != 0) {
        h5set_drop(&set);
        return rc;
    }
    return h5set_finish(&set);
}

int pack_files(struct pack_result *result, const char *out, const char *from,
               int decode)
{
    struct gather g = { 0 };
    int rc          = gather(&g, from);

    if (rc == 0)
        rc = pack(result, &g, out, from, decode);
    gather_close(&g);
    return rc;
}
