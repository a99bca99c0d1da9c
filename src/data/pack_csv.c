/* SPDX-License-Identifier: BSD-3-Clause */
/* A table of pixels into a set, in two passes: the first counts. */
#include "config.h"

#include "src/data/pack.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct table {
    FILE *file;
    const char *path;
    double most;
    int64_t line; /* number of the last one read */
    char *text;
    size_t room;

    int side;      /* of an image; 0: not known yet */
    double *value; /* [side^2 + 1] */
};

/* How many values the line has, those that fit in 'value'; -1 if one is no number. */
static int split(double *value, int room, const char *text)
{
    int n = 0;

    for (;;) {
        char *end;
        const double x = strtod(text, &end);

        if (end == text)
            return -1;
        if (n < room)
            value[n] = x;
        n++;
        end += strspn(end, " \t\r\n");
        if (*end == '\0')
            return n;
        if (*end != ',' && *end != ';')
            return -1;
        text = end + 1;
    }
}

/* The first line with numbers tells the side. */
static int find_side(struct table *t, int values)
{
    const int side = (int)lrint(sqrt(values - 1));

    if (values < 2 || side * side != values - 1 || side > DECODE_SIDE_MOST)
        return ERR(ERR_DATA,
                   "%s, line %lld: %d values are not a square of pixels and a "
                   "label",
                   t->path, (long long)t->line, values);
    t->side  = side;
    t->value = mem_new((size_t)values, sizeof *t->value);
    return 0;
}

/* Why a line is no image, or NULL. */
static const char *fault(const struct table *t, int values)
{
    const int pixels   = t->side * t->side;
    const double label = values > pixels ? t->value[pixels] : 0;

    if (values < 0)
        return "a value is no number";
    if (values != pixels + 1)
        return "it has more or fewer values than the first";
    if (!(label >= 0 && label < H5SET_CLASSES_MOST && label == floor(label)))
        return "the label is no whole number from 0";
    for (int i = 0; i < pixels; i++) {
        if (!(t->value[i] >= 0 && t->value[i] <= t->most))
            return "a pixel is not within 0 and --csv-max";
    }
    return NULL;
}

/* The next image into 'value': 1, 0 at the end, or a code.  Bad lines are counted in
 * 'skipped', where it is given, and then named.
 */
static int next(struct table *t, int64_t *skipped)
{
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, before the first line */

    while (getline(&t->text, &t->room, t->file) >= 0) {
        const char *why;
        int values;

        if (t->line++ == 0 && strncmp(t->text, mark, strlen(mark)) == 0)
            memset(t->text, ' ', strlen(mark));
        if (t->text[strspn(t->text, " \t\r\n")] == '\0')
            continue;
        values = split(NULL, 0, t->text);
        if (t->side == 0 && values < 0 && t->line == 1)
            continue; /* a heading */
        if (t->side == 0 && values > 0)
            TRY(find_side(t, values));
        if (t->side > 0)
            split(t->value, t->side * t->side + 1, t->text);
        why = t->side > 0 ? fault(t, values) : "a value is no number";
        if (why == NULL)
            return 1;
        if (skipped != NULL) {
            WARN("%s, line %lld is skipped: %s", t->path, (long long)t->line, why);
            ++*skipped;
        }
    }
    return ferror(t->file) ? ERR(ERR_IO, "%s: %s", t->path, strerror(errno)) : 0;
}

static int count(struct pack_result *result, struct table *t)
{
    struct h5set_shape *s = &result->shape;
    int rc;

    *result = (struct pack_result){ .shape.kind = H5SET_IMAGES };
    while ((rc = next(t, &result->skipped)) == 1) {
        const int64_t label = (int64_t)t->value[t->side * t->side];

        s->count++;
        s->classes = label >= s->classes ? label + 1 : s->classes;
    }
    s->height = s->width = t->side;
    if (rc == 0 && s->count == 0)
        return ERR(ERR_DATA, "%s holds no image", t->path);
    return rc;
}

static int append(struct h5set *set, const struct table *t, uint8_t *rgb)
{
    const int pixels    = t->side * t->side;
    const int32_t label = (int32_t)t->value[pixels];

    for (int i = 0; i < 3 * pixels; i++)
        rgb[i] = (uint8_t)lrint(t->value[i / 3] / t->most * 255);
    return h5set_append(set, rgb, 3 * (size_t)pixels, &label, 1);
}

static int write_set(const struct pack_result *result, const char *out, struct table *t)
{
    uint8_t *rgb      = mem_new(3 * (size_t)t->side * (size_t)t->side, 1);
    struct h5set *set = NULL;
    int rc            = h5set_create(&set, out, &result->shape, "");

    rewind(t->file);
    t->line = 0;
    for (int64_t i = 0; rc == 0 && i < result->shape.count; i++) {
        rc = next(t, NULL);
        if (rc == 1)
            rc = append(set, t, rgb);
        else if (rc == 0)
            rc = ERR(ERR_DATA, "%s has changed while it was packed", t->path);
    }
    if (rc == 0)
        rc = h5set_finish(&set);
    h5set_drop(&set);
    mem_free(rgb);
    return rc;
}

int pack_csv(struct pack_result *result, const char *out, const char *from, double most)
{
    struct table t = { .file = fopen(from, "r"), .path = from, .most = most };
    int rc;

    if (t.file == NULL)
        return ERR(ERR_USAGE, "--from=%s: %s", from, strerror(errno));
    rc = count(result, &t);
    if (rc == 0)
        rc = write_set(result, out, &t);
    mem_free(t.value);
    free(t.text);
    fclose(t.file);
    return rc;
}
