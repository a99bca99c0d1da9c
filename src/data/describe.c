/* SPDX-License-Identifier: BSD-3-Clause */
/* The description of a set: sizes, classes, and whether it is what was written. */
#include "config.h"

#include "src/data/describe.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/h5set.h"

struct span {
    int64_t least, most;
};

static void widen(struct span *s, int64_t x)
{
    s->least = x < s->least ? x : s->least;
    s->most  = x > s->most ? x : s->most;
}

/* "640", or "480 to 640". */
static const char *span_text(char text[48], const struct span *s)
{
    if (s->least == s->most)
        snprintf(text, 48, "%lld", (long long)s->most);
    else
        snprintf(text, 48, "%lld to %lld", (long long)s->least, (long long)s->most);
    return text;
}

/* Sides and bytes of encoded files, from their heads. */
static int print_files(FILE *out, const struct h5set *set)
{
    const struct h5set_shape *s = h5set_shape(set);
    struct span width = { INT64_MAX, 0 }, height = width, bytes = width;
    struct decode_room room = { 0 };
    int64_t kinds[3]        = { 0 };
    int rc                  = 0;
    char text[48], high[48];

    for (int64_t i = 0; rc == 0 && i < s->count; i++) {
        size_t size;
        int h, w;

        rc = h5set_read(&room, &size, set, i);
        if (rc != 0)
            break;
        kinds[decode_kind(room.bytes, size)]++;
        widen(&bytes, (int64_t)size);
        if (decode_size(&h, &w, room.bytes, size) != 0) {
            err_forget();
            continue;
        }
        widen(&width, w);
        widen(&height, h);
    }
    decode_free(&room);
    if (rc != 0)
        return rc;
    fprintf(out, "files      %lld JPEG, %lld PNG, %lld neither; %s bytes\n",
            (long long)kinds[DECODE_JPEG], (long long)kinds[DECODE_PNG],
            (long long)kinds[DECODE_UNKNOWN], span_text(text, &bytes));
    if (width.most > 0)
        fprintf(out, "pictures   %s wide, %s high\n", span_text(text, &width),
                span_text(high, &height));
    return 0;
}

/* How many items the smallest and the largest class have. */
static int print_classes(FILE *out, const struct h5set *set)
{
    const struct h5set_shape *s = h5set_shape(set);
    int64_t *items              = mem_new((size_t)s->classes, sizeof *items);
    float *target               = mem_new((size_t)s->classes, sizeof *target);
    struct span span            = { INT64_MAX, 0 };
    int64_t labels              = 0;
    int rc                      = 0;
    char text[48];

    for (int64_t i = 0; rc == 0 && i < s->count; i++) {
        int32_t label = 0;

        if (s->has_many)
            rc = h5set_target(target, set, (struct range){ 0, s->classes }, i);
        else
            rc = h5set_label(&label, set, i);
        if (rc == 0 && !s->has_many && label >= 0 && label < s->classes)
            items[label]++;
        for (int64_t k = 0; rc == 0 && s->has_many && k < s->classes; k++)
            items[k] += target[k] > 0;
    }
    for (int64_t k = 0; k < s->classes; k++) {
        widen(&span, items[k]);
        labels += items[k];
    }
    fprintf(out, "classes    %lld, of %s item%s each\n", (long long)s->classes,
            span_text(text, &span), span.most == 1 ? "" : "s");
    if (s->has_many)
        fprintf(out, "labels     %.3g an item\n", (double)labels / (double)s->count);
    mem_free(target);
    mem_free(items);
    return rc;
}

/* The first few names. */
static int print_names(FILE *out, const char *path)
{
    enum { LENGTH = 60 };
    char *names;
    const int rc = h5set_names(&names, path);
    size_t n;

    for (n = 0; names[n] != '\0' && n < LENGTH; n++)
        names[n] = names[n] == '\n' ? ' ' : names[n];
    if (n > 0)
        fprintf(out, "names      %.*s%s\n", (int)n, names,
                names[n] != '\0' ? " .." : "");
    mem_free(names);
    return rc;
}

static int print_set(FILE *out, const struct h5set *set, const char *path)
{
    static const char *const kind[] = { [H5SET_ENCODED]  = "image files",
                                        [H5SET_IMAGES]   = "images",
                                        [H5SET_FEATURES] = "rows of features" };
    const struct h5set_shape *s     = h5set_shape(set);

    fprintf(out, "set        %s\n", path);
    fprintf(out, "items      %lld %s\n", (long long)s->count, kind[s->kind]);
    if (s->kind == H5SET_ENCODED)
        TRY(print_files(out, set));
    if (s->kind == H5SET_IMAGES)
        fprintf(out, "pictures   %d wide, %d high\n", s->width, s->height);
    if (s->kind == H5SET_FEATURES)
        fprintf(out, "features   %lld\n", (long long)s->features);
    TRY(print_classes(out, set));
    TRY(print_names(out, path));
    if (s->digest == 0) {
        fprintf(out, "digest     none: it cannot be verified\n");
        return 0;
    }
    TRY(h5set_verify(set));
    fprintf(out, "digest     %016llx, verified\n", (unsigned long long)s->digest);
    return 0;
}

int describe_set(FILE *out, const char *path)
{
    struct h5set *set = NULL;
    int rc;

    TRY(h5set_open(&set, path));
    rc = print_set(out, set, path);
    h5set_close(&set);
    return rc;
}
