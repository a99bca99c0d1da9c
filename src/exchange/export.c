/* SPDX-License-Identifier: BSD-3-Clause */
/* From a checkpoint to npz or safetensors.  Every element is read once, so that the
 * digests are compared on the way.
 */
#include "config.h"

#include "src/exchange/transfer.h"

#include "ckpt/digest.h"
#include "ckpt/file.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/exchange/map.h"
#include "src/step/stored.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

struct export
{
    struct ckpt_file *from;
    int fd;
    struct spec spec;
    struct style style;
    struct params params;
    struct map map;
    uint64_t *digest; /* [entries] of what was read */
    int64_t *read;    /* [entries] elements */
    float *piece, *turned;
};

/* The dataset of a tensor, of the shape that it has in this model; NULL with a
 * sentence.
 */
static const struct entry *dataset_of(const struct export *ex, const struct param *p)
{
    const int stacked = p->block >= 0;
    char name[PARAM_NAME], full[CKPT_NAME];
    const struct entry *e;

    param_stacked_name(name, p);
    snprintf(full, sizeof full, "params/%s", name);
    e = file_find(ex->from, full);
    if (e == NULL) {
        err_keep("%s: '%s' is missing", ex->from->path, full);
        return NULL;
    }
    if (e->dims != stacked + p->dims || (stacked && e->size[0] != ex->spec.L) ||
        memcmp(&e->size[stacked], p->dim, (size_t)p->dims * sizeof p->dim[0]) != 0) {
        err_keep("%s: '%s' has another shape than in %s", ex->from->path, full,
                 ex->spec.name);
        return NULL;
    }
    return e;
}

/* All tensors of the model are there, and no others. */
static int check(const struct export *ex)
{
    int datasets = 0, in_model = 0;

    for (int i = 0; i < ex->from->entries; i++)
        datasets += strncmp(ex->from->entry[i].name, "params/", 7) == 0;
    for (int i = 0; i < ex->params.count; i++) {
        if (dataset_of(ex, &ex->params.param[i]) == NULL)
            return ERR_DATA;
        in_model += ex->params.param[i].block <= 0;
    }
    if (datasets != in_model)
        return ERR(ERR_DATA, "%s has %d parameters that have no place in %s",
                   ex->from->path, datasets - in_model, ex->spec.name);
    return 0;
}

/* ---- the supply ------------------------------------------------------------------ */

static int read_param(float *x, struct export *ex, const struct param *p)
{
    const struct entry *e = dataset_of(ex, p);
    const int i           = (int)(e - ex->from->entry);
    const int64_t n       = param_size(p);
    const int64_t index   = p->block >= 0 ? p->block * n : 0;

    TRY(file_read(x, ex->fd, ex->from, e, index, n));
    ex->digest[i] += digest_of(x, n, index);
    ex->read[i] += n;
    return 0;
}

/* The piece of array 'i' that begins at element 'at'. */
static int more(void *ctx, const float **x, int64_t *n, int i, int64_t at)
{
    struct export *ex         = ctx;
    const struct map_piece *p = &ex->map.piece[ex->map.first[i]];

    while (p->at < at)
        p++;
    *x = ex->turned;
    *n = p->a * p->b * p->c;
    if (p->is_added) {
        memset(ex->turned, 0, (size_t)*n * sizeof *ex->turned);
        return 0;
    }
    TRY(read_param(ex->piece, ex, &ex->params.param[p->param]));
    map_turn(ex->turned, ex->piece, p->a, p->b, p->c);
    return 0;
}

/* What was read whole is what was once written. */
static int compare(void *ctx)
{
    const struct export *ex = ctx;

    for (int i = 0; i < ex->from->entries; i++) {
        const struct entry *e = &ex->from->entry[i];

        if (ex->read[i] == e->elements && ex->digest[i] != e->digest)
            return ERR(ERR_DATA, "%s: '%s' is damaged", ex->from->path, e->name);
    }
    return 0;
}

/* ---- the whole ------------------------------------------------------------------- */

static int alloc_room(struct export *ex)
{
    int64_t most = 0;
    void *room;

    for (int i = 0; i < ex->map.pieces; i++) {
        const struct map_piece *p = &ex->map.piece[i];
        const int64_t n           = p->a * p->b * p->c;

        most = n > most ? n : most;
    }
    TRY(mem_alloc(&room, (size_t)most * sizeof *ex->piece));
    ex->piece = room;
    TRY(mem_alloc(&room, (size_t)most * sizeof *ex->turned));
    ex->turned = room;
    ex->digest = mem_new((size_t)ex->from->entries, sizeof *ex->digest);
    ex->read   = mem_new((size_t)ex->from->entries, sizeof *ex->read);
    return 0;
}

static int open_source(struct export *ex, const char *from)
{
    TRY(file_open(&ex->from, from));
    ex->fd = open(from, O_RDONLY);
    if (ex->fd < 0)
        return ERR(ERR_IO, "%s cannot be read: %s", from, strerror(errno));
    TRY(stored_spec(&ex->spec, ex->from));
    params_make(&ex->params, &ex->spec, HEAD_INIT_PAPER);
    return check(ex);
}

static int choose_style(struct export *ex, const char *to,
                        const struct exchange_options *o)
{
    bool is_npz;

    TRY(foreign_is_npz(&is_npz, to));
    if (!is_npz && o->scan)
        return ERR(ERR_USAGE, "--scan is for .npz: timm has no stacked blocks");
    ex->style = (struct style){ .is_timm       = !is_npz,
                                .prefix        = "",
                                .is_scan       = o->scan,
                                .has_cls_place = !is_npz && ex->spec.pool == POOL_CLS,
                                .has_head      = o->head };
    if (is_npz)
        strcpy(ex->style.prefix, "params/");
    return 0;
}

static int run(FILE *out, struct export *ex, const char *to, const char *from,
               const struct exchange_options *o)
{
    struct supply supply = { .more = more, .ctx = ex };

    TRY(open_source(ex, from));
    TRY(choose_style(ex, to, o));
    TRY(map_make(&ex->map, &ex->spec, &ex->params, &ex->style));
    TRY(alloc_room(ex));
    supply.array = ex->map.array;
    supply.count = ex->map.arrays;
    TRY(foreign_write(to, &supply, compare));
    fprintf(out, "%s: %s, %d arrays with the names of %s\n", to, ex->spec.name,
            ex->map.arrays, ex->style.is_timm ? "timm" : "big_vision");
    fprintf(out, "the file does not say: %s GELU, norms with 1e-6",
            gelu_name(ex->spec.gelu));
    if (ex->style.is_timm)
        fprintf(out, ", %" PRId64 " heads", ex->spec.H);
    fprintf(out, "\n");
    return 0;
}

int transfer_export(FILE *out, const char *to, const char *from,
                    const struct exchange_options *o)
{
    struct export ex = { .fd = -1 };
    const int rc     = run(out, &ex, to, from, o);

    if (ex.fd >= 0)
        close(ex.fd);
    mem_free(ex.piece);
    mem_free(ex.turned);
    mem_free(ex.digest);
    mem_free(ex.read);
    map_free(&ex.map);
    params_free(&ex.params);
    file_close(&ex.from);
    return rc;
}
